-- What came to the doors of tenants: whether callers could be known as the ATS.
create table callers (
    tenant        text    not null,
    door          text    not null,
    known_at      integer,
    refused       integer not null,
    refused_since integer,
    refused_at    integer,
    primary key (tenant, door)
) strict, without rowid;
