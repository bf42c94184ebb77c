-- Who runs the hub: its processes, each heard of every few seconds, what their children are doing, and when a tenant that was
-- set aside is to go on by itself.

alter table tenants add column until integer;

create table processes (
    process    text    primary key,
    name       text    not null,
    started_at integer not null,
    beat_at    integer not null,
    able       integer not null
) strict;

-- Told again by whichever process runs the child: no history.
create table children (
    name     text    primary key,
    process  text    not null,
    at       integer not null,
    snapshot text    not null
) strict;
create index children_process on children (process);
