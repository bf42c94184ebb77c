-- Who the hub works for: tenants, platform accounts, credentials, and the counter that says when any of them changed.

create table versions (
    name  text   primary key,
    value bigint not null
);
insert into versions (name, value) values ('tenants', 0);

create table tenants (
    name       text        primary key,
    ats        text        not null,
    platform   text        not null,
    policy     json        not null,
    standing   text        not null,
    cause      text,
    version    bigint      not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table platforms (
    name       text        primary key,
    kind       text        not null,
    url        text        not null,
    updated_at timestamptz not null
);

-- Cipher text only.
create table secrets (
    owner       text        not null,
    name        text        not null,
    sealed      bytea       not null,
    fingerprint text        not null,
    set_at      timestamptz not null,
    primary key (owner, name)
);
