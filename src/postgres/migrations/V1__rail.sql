-- What the rail stands on. Inbox, outbox and journal are partitioned by day, so that retention drops tables in place of
-- rows; days for which no partition was made land in the default one.

-- Messages that were handled. `day` is that of the envelope's time: a redelivery has the same, so the key is unique
-- where it matters.
create table inbox (
    day         date        not null,
    tenant      text        not null,
    source      text        not null,
    id          text        not null,
    time        timestamptz not null,
    kind        text        not null,
    envelope    json        not null,
    disposition json        not null,
    handled_at  timestamptz not null,
    primary key (day, tenant, source, id)
) partition by range (day);
create table inbox_default partition of inbox default;
create index inbox_id on inbox (id);

create sequence outbox_number as bigint;

-- Messages to publish. `day` is that of the due time when the row was made, and stays when it is put off. A row without
-- `not_before` is due at once by any clock.
create table outbox (
    day           date        not null,
    number        bigint      not null default nextval('outbox_number'),
    exchange      text        not null,
    routing_key   text        not null,
    tenant        text        not null,
    source        text        not null,
    message_id    text        not null,
    kind          text        not null,
    body          text        not null,
    created_at    timestamptz not null,
    not_before    timestamptz,
    due           timestamptz not null,
    claimed_until timestamptz,
    sent_at       timestamptz,
    failures      integer     not null default 0,
    last_error    text,
    primary key (day, number)
) partition by range (day);
create table outbox_default partition of outbox default;
create index outbox_at_once on outbox (due, number) where sent_at is null and not_before is null;
create index outbox_timed on outbox (due, number) where sent_at is null and not_before is not null;
create index outbox_message on outbox (message_id);

create sequence journal_number as bigint;

-- History. `day` is that of `at`.
create table journal (
    day         date        not null,
    number      bigint      not null default nextval('journal_number'),
    at          timestamptz not null,
    tenant      text        not null,
    application text,
    candidacy   uuid,
    message     text,
    code        text        not null,
    text        text        not null,
    primary key (day, number)
) partition by range (day);
create table journal_default partition of journal default;
create index journal_application on journal (tenant, application, at, number);
create index journal_message on journal (message);

-- How far a message has come that is not handled yet, and how it came there.
create table attempts (
    tenant     text        not null,
    source     text        not null,
    id         text        not null,
    begun      integer     not null default 0,
    begun_at   timestamptz,
    failures   integer     not null default 0,
    crashes    integer     not null default 0,
    last_error text,
    next_at    timestamptz,
    updated_at timestamptz not null,
    primary key (tenant, source, id)
);
create index attempts_id on attempts (id);
create index attempts_age on attempts (updated_at);

-- One row per application; `body` is the whole of it, the other columns are what it is found by.
create table dossiers (
    tenant         text        not null,
    application_id text        not null,
    version        bigint      not null,
    candidate_id   text,
    job_id         text,
    state          text,
    body           json        not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    primary key (tenant, application_id)
);
create index dossiers_candidate on dossiers (tenant, candidate_id, created_at desc);
create index dossiers_refused on dossiers (tenant, job_id, created_at desc) where state = 'refused';

-- The candidacies of the dossiers, drawn from their bodies in the same transaction. The live key is checked at the end
-- of it, so that a key may move from one candidacy to another within one change.
create table candidacies (
    tenant             text        not null,
    id                 uuid        not null,
    application_id     text        not null,
    state              text        not null,
    live_key           text,
    platform_candidacy text,
    changed_at         timestamptz not null,
    primary key (tenant, id),
    constraint candidacies_live unique (tenant, live_key) deferrable initially deferred
);
create index candidacies_application on candidacies (tenant, application_id);
create index candidacies_platform on candidacies (tenant, platform_candidacy) where platform_candidacy is not null;

-- Messages set aside with a reason; the body may be anything.
create table parked (
    number      bigint      generated always as identity primary key,
    fingerprint uuid        not null unique,
    at          timestamptz not null,
    recorded_at timestamptz not null,
    tenant      text,
    source      text,
    queue       text        not null,
    exchange    text        not null,
    routing_key text        not null,
    message_id  text,
    kind        text,
    code        text        not null,
    field       text,
    detail      text        not null,
    body        bytea       not null
);
create index parked_message on parked (message_id);
create index parked_tenant on parked (tenant, code);
