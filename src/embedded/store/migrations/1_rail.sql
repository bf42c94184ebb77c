-- What the rail stands on, and who the hub works for. Times are microseconds since 1970; ids are text.

-- Messages that were handled.
create table inbox (
    tenant      text    not null,
    source      text    not null,
    id          text    not null,
    time        integer not null,
    kind        text    not null,
    envelope    text    not null,
    disposition text    not null,
    handled_at  integer not null,
    primary key (tenant, source, id)
) strict;
create index inbox_id on inbox (id);
create index inbox_age on inbox (time);

-- Messages to publish. A row without `not_before` is due at once by any clock.
create table outbox (
    number        integer primary key autoincrement,
    exchange      text    not null,
    routing_key   text    not null,
    tenant        text    not null,
    source        text    not null,
    message_id    text    not null,
    kind          text    not null,
    body          text    not null,
    created_at    integer not null,
    not_before    integer,
    due           integer not null,
    claimed_until integer,
    sent_at       integer,
    failures      integer not null default 0,
    last_error    text
) strict;
create index outbox_at_once on outbox (due, number) where sent_at is null and not_before is null;
create index outbox_timed on outbox (due, number) where sent_at is null and not_before is not null;
create index outbox_message on outbox (message_id);
create index outbox_age on outbox (due) where sent_at is not null;

-- History.
create table journal (
    number      integer primary key autoincrement,
    at          integer not null,
    tenant      text    not null,
    application text,
    candidacy   text,
    message     text,
    code        text    not null,
    text        text    not null
) strict;
create index journal_application on journal (tenant, application, at, number);
create index journal_message on journal (message);
create index journal_age on journal (at);

-- How far a message has come that is not handled yet, and how it came there.
create table attempts (
    tenant     text    not null,
    source     text    not null,
    id         text    not null,
    begun      integer not null default 0,
    begun_at   integer,
    failures   integer not null default 0,
    crashes    integer not null default 0,
    last_error text,
    next_at    integer,
    updated_at integer not null,
    primary key (tenant, source, id)
) strict;
create index attempts_id on attempts (id);
create index attempts_age on attempts (updated_at);

-- One row per application; `body` is the whole of it, the other columns are what it is found by.
create table dossiers (
    tenant         text    not null,
    application_id text    not null,
    version        integer not null,
    candidate_id   text,
    job_id         text,
    state          text,
    body           text    not null,
    created_at     integer not null,
    updated_at     integer not null,
    primary key (tenant, application_id)
) strict;
create index dossiers_candidate on dossiers (tenant, candidate_id, created_at desc);
create index dossiers_refused on dossiers (tenant, job_id, created_at desc) where state = 'refused';

-- The candidacies of the dossiers, drawn from their bodies in the same transaction.
create table candidacies (
    tenant             text    not null,
    id                 text    not null,
    application_id     text    not null,
    state              text    not null,
    live_key           text,
    platform_candidacy text,
    changed_at         integer not null,
    primary key (tenant, id)
) strict;
create unique index candidacies_live on candidacies (tenant, live_key) where live_key is not null;
create index candidacies_application on candidacies (tenant, application_id);
create index candidacies_platform on candidacies (tenant, platform_candidacy) where platform_candidacy is not null;

-- Messages set aside with a reason; the body may be anything.
create table parked (
    number      integer primary key autoincrement,
    fingerprint text    not null unique,
    at          integer not null,
    recorded_at integer not null,
    tenant      text,
    source      text,
    queue       text    not null,
    exchange    text    not null,
    routing_key text    not null,
    message_id  text,
    kind        text,
    code        text    not null,
    field       text,
    detail      text    not null,
    body        blob    not null
) strict;
create index parked_message on parked (message_id);
create index parked_tenant on parked (tenant, code);

create table versions (
    name  text    primary key,
    value integer not null
) strict;
insert into versions (name, value) values ('tenants', 0);

create table tenants (
    name       text    primary key,
    ats        text    not null,
    platform   text    not null,
    policy     text    not null,
    standing   text    not null,
    cause      text,
    version    integer not null,
    created_at integer not null,
    updated_at integer not null
) strict;

create table platforms (
    name       text    primary key,
    kind       text    not null,
    url        text    not null,
    updated_at integer not null
) strict;

-- Cipher text only.
create table secrets (
    owner       text    not null,
    name        text    not null,
    sealed      blob    not null,
    fingerprint text    not null,
    set_at      integer not null,
    primary key (owner, name)
) strict;
