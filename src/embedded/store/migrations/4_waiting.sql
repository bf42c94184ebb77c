-- What waits is found by its effect key. No two rows of a tenant that are not sent have the same.
alter table outbox add column effect_key text;
create unique index outbox_key on outbox (tenant, effect_key) where effect_key is not null and sent_at is null;

-- Who works on a message, until when, and which beginning was settled last.
alter table attempts add column owner text;
alter table attempts add column held_until integer;
alter table attempts add column settled integer not null default 0;
update attempts set settled = begun;

-- What was heard of people, jobs and interviews apart from any application; `body` is the whole of it.
create table heard (
    tenant     text    not null,
    kind       text    not null,
    id         text    not null,
    version    integer not null,
    body       text    not null,
    updated_at integer not null,
    primary key (tenant, kind, id)
) strict;
create index heard_age on heard (updated_at);
