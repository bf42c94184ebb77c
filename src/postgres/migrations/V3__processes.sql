-- Who runs the hub: its processes, each heard of every few seconds, what their children are doing, and when a tenant that was
-- set aside is to go on by itself.

alter table tenants add column until timestamptz;

create table processes (
    process    uuid        primary key,
    name       text        not null,
    started_at timestamptz not null,
    beat_at    timestamptz not null,
    able       boolean     not null
);

-- Told again by whichever process runs the child: no history, so nothing is lost with it.
create unlogged table children (
    name     text        primary key,
    process  uuid        not null,
    at       timestamptz not null,
    snapshot json        not null
);
create index children_process on children (process);
