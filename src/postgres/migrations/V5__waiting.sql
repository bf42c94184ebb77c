-- The outbox in two: messages, which are written once, and what waits to be sent, which is small and changes. To hand a row out
-- and to check it off writes no body again.

-- A row stands here from the change that asks for it until the broker has confirmed it. `day` and `number` name its message.
-- No two rows of a tenant have the same effect key.
create table waiting (
    number        bigint      primary key,
    day           date        not null,
    tenant        text        not null,
    effect_key    text,
    invitation    boolean     not null,
    not_before    timestamptz,
    due           timestamptz not null,
    claimed_until timestamptz,
    failures      integer     not null default 0,
    last_error    text
) with (fillfactor = 70);
create unique index waiting_key on waiting (tenant, effect_key) where effect_key is not null;
create index waiting_at_once on waiting (due, number) where not_before is null and not invitation;
create index waiting_timed on waiting (due, number) where not_before is not null and not invitation;
create index waiting_invites_at_once on waiting (due, number) where not_before is null and invitation;
create index waiting_invites_timed on waiting (due, number) where not_before is not null and invitation;
create index waiting_day on waiting (day);

insert into waiting (number, day, tenant, invitation, not_before, due, claimed_until, failures, last_error)
    select number, day, tenant, routing_key = 'atshub.invites', not_before, due, claimed_until, failures, last_error
    from outbox where sent_at is null;

drop index outbox_at_once;
drop index outbox_timed;
drop index outbox_invites_at_once;
drop index outbox_invites_timed;
alter table outbox drop column not_before, drop column due, drop column claimed_until, drop column sent_at, drop column failures,
    drop column last_error;

-- Who works on a message, until when, and which beginning was settled last.
alter table attempts add column owner uuid, add column held_until timestamptz, add column settled integer not null default 0;
update attempts set settled = begun;

-- What was heard of people, jobs and interviews apart from any application; `body` is the whole of it.
create table heard (
    tenant     text        not null,
    kind       text        not null,
    id         text        not null,
    version    bigint      not null,
    body       json        not null,
    updated_at timestamptz not null,
    primary key (tenant, kind, id)
);
create index heard_age on heard (updated_at);
