-- What came to the doors of tenants: whether callers could be known as the ATS.
create table callers (
    tenant        text   not null,
    door          text   not null,
    known_at      timestamptz,
    refused       bigint not null,
    refused_since timestamptz,
    refused_at    timestamptz,
    primary key (tenant, door)
);
