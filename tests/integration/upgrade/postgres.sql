-- A database as the hub of the schema before "waiting" left it: its own statements, and what it wrote. Not to be changed: it stands for
-- databases that are out there.

create table refinery_schema_history (version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255));
insert into refinery_schema_history (version, name, applied_on, checksum) values
    (1, 'rail', '2026-11-19T08:00:00Z', '5270932062918098216'),
    (2, 'registry', '2026-11-19T08:00:00Z', '7957180920776459642'),
    (3, 'processes', '2026-11-19T08:00:00Z', '15059702130475346499'),
    (4, 'turns', '2026-11-19T08:00:00Z', '17763605665715084344');

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

-- Invitations wait for their turn apart from everything else, so that thousands of them are not looked through for the rows that
-- may go. The words are those of the claim.

drop index outbox_at_once;
drop index outbox_timed;
create index outbox_at_once on outbox (due, number) where sent_at is null and not_before is null and routing_key <> 'atshub.invites';
create index outbox_timed on outbox (due, number) where sent_at is null and not_before is not null and routing_key <> 'atshub.invites';
create index outbox_invites_at_once on outbox (due, number) where sent_at is null and not_before is null and routing_key = 'atshub.invites';
create index outbox_invites_timed on outbox (due, number) where sent_at is null and not_before is not null and routing_key = 'atshub.invites';

-- What it held.
insert into tenants (name, ats, platform, policy, standing, cause, version, created_at, updated_at) values
    ('acme', 'bridge', 'main', '{"trigger_stages":["Karat Assessment"],"trigger_stages_by_job":{},"roles":{},"role_field":"Karat Role","status_field":"Karat Status","labels":{},"platform_name":"Karat","recruiter_from":["candidate","job"],"invited_note":true,"cancel_from_ats":false,"sandbox":true,"prefetch":16,"connector":{}}', 'active', null, 1, '2026-11-20T09:00:00Z', '2026-11-20T09:00:00Z');
update versions set value = 1 where name = 'tenants';
insert into platforms (name, kind, url, updated_at) values ('main', 'karat', 'http://127.0.0.1:9', '2026-11-20T09:00:00Z');
insert into dossiers (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) values
    ('acme', 'a-invited', 2, 'p-invited', 'j-1', 'invited', '{"tenant":"acme","application":{"id":"a-invited","url":"https://ats.example/applications/invited"},"candidate":{"id":"p-invited","name":"Ada Invited","email":"invited@example.org","profile_url":"https://ATS.example/people/invited/"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000100","role_named":"1201","role":{"id":"1201","name":"Backend engineer"},"state":{"state":"invited"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":{"id":null,"candidacy":"pc-invited","link":"https://platform.example/i/invited","state":null,"ats_url":"https://ats.example/applications/invited"},"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', '2026-11-20T09:00:01Z', '2026-11-20T09:00:05Z'),
    ('acme', 'a-waiting', 1, 'p-waiting', 'j-1', 'received', '{"tenant":"acme","application":{"id":"a-waiting","url":"https://ats.example/applications/waiting"},"candidate":{"id":"p-waiting","name":"Ada Waiting","email":"waiting@example.org"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":1,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000101","role_named":"1201","role":null,"state":{"state":"received"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":null,"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', '2026-11-20T09:00:01Z', '2026-11-20T09:00:05Z'),
    ('acme', 'a-refused', 2, 'p-refused', 'j-1', 'refused', '{"tenant":"acme","application":{"id":"a-refused","url":"https://ats.example/applications/refused"},"candidate":{"id":"p-refused","name":"Ada Refused","email":"refused@example.org","phone":"12345"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000102","role_named":"1201","role":null,"state":{"state":"refused","error":{"code":"phone_too_short"}},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":null,"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', '2026-11-20T09:00:01Z', '2026-11-20T09:00:05Z'),
    ('acme', 'a-done', 2, 'p-done', 'j-1', 'completed', '{"tenant":"acme","application":{"id":"a-done","url":"https://ats.example/applications/done"},"candidate":{"id":"p-done","name":"Ada Done","email":"done@example.org"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000103","role_named":"1201","role":{"id":"1201","name":"Backend engineer"},"state":{"state":"completed"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":{"id":null,"candidacy":"pc-done","link":"https://platform.example/i/done","state":null,"ats_url":"https://ats.example/applications/done"},"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', '2026-11-20T09:00:01Z', '2026-11-20T09:00:05Z');
insert into candidacies (tenant, id, application_id, state, live_key, platform_candidacy, changed_at) values
    ('acme', '01936b2e-5f00-7000-8000-000000000100', 'a-invited', 'invited', 'invited@example.org|1201', 'pc-invited', '2026-11-20T09:00:05Z'),
    ('acme', '01936b2e-5f00-7000-8000-000000000101', 'a-waiting', 'received', null, null, '2026-11-20T09:00:05Z'),
    ('acme', '01936b2e-5f00-7000-8000-000000000102', 'a-refused', 'refused', null, null, '2026-11-20T09:00:05Z'),
    ('acme', '01936b2e-5f00-7000-8000-000000000103', 'a-done', 'completed', null, 'pc-done', '2026-11-20T09:00:05Z');
insert into outbox (day, exchange, routing_key, tenant, source, message_id, kind, body, created_at, not_before, due, sent_at, failures, last_error) values
    ('2026-11-20', 'atshub.work', 'atshub.invites', 'acme', '/atshub', 'm-invite', 'invite.requested.v1', '{"specversion":"1.0","id":"m-invite","source":"/atshub","tenant":"acme","type":"invite.requested.v1","subject":"application/a-waiting","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000101","intent":1}}', '2026-11-20T09:00:02Z', null, '2026-11-20T09:00:02Z', null, 0, null),
    ('2026-11-20', 'atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-status', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-status","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-done","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000103","application":"a-done","candidate":"p-done","write":{"kind":"status","sequence":2,"code":"completed","text":"Completed"}}}', '2026-11-20T09:00:02Z', '2026-11-20T09:00:02Z', '2026-11-20T09:00:02Z', null, 3, 'the broker is away'),
    ('2099-01-01', 'atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-later', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-later","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000100","application":"a-invited","candidate":"p-invited","write":{"kind":"note","marker":"[atshub later]","body":"Later.\n[atshub later]"}}}', '2026-11-20T09:00:02Z', '2099-01-01T00:00:00Z', '2099-01-01T00:00:00Z', null, 0, null),
    ('2026-11-20', 'atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-sent', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-sent","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000100","application":"a-invited","candidate":"p-invited","write":{"kind":"status","sequence":1,"code":"invited","text":"Invited"}}}', '2026-11-20T09:00:02Z', null, '2026-11-20T09:00:02Z', '2026-11-20T09:00:06Z', 0, null);
insert into inbox (day, tenant, source, id, time, kind, envelope, disposition, handled_at) values
    ('2026-11-20', 'acme', '/bridges/old', 'm-fact', '2026-11-20T09:00:02Z', 'application.moved.v1', '{"specversion":"1.0","id":"m-fact","source":"/bridges/old","tenant":"acme","type":"application.moved.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"application":{"id":"a-invited","url":"https://ats.example/applications/invited"},"to_stage":{"name":"Karat Assessment"}}}', '{"verdict":"accepted","code":"invite","text":"the candidate is to be invited","remedy":null}', '2026-11-20T09:00:03Z');
insert into journal (day, at, tenant, application, candidacy, message, code, text) values
    ('2026-11-20', '2026-11-20T09:00:03Z', 'acme', 'a-invited', '01936b2e-5f00-7000-8000-000000000100', 'm-fact', 'invite', 'the candidate is to be invited');
insert into attempts (tenant, source, id, begun, begun_at, failures, crashes, last_error, next_at, updated_at) values
    ('acme', '/atshub', 'm-status', 3, '2026-11-20T09:00:04Z', 3, 0, 'transient: no answer', '2026-11-20T09:00:05Z', '2026-11-20T09:00:04Z');
insert into parked (fingerprint, at, recorded_at, tenant, source, queue, exchange, routing_key, message_id, kind, code, field, detail, body) values
    ('00000000-0000-0000-0000-00000000004d', '2026-11-20T09:00:04Z', '2026-11-20T09:00:04Z', 'acme', null, 'atshub.tenant.acme', 'atshub.events', 'acme.application.moved.v1', 'm-parked', null, 'undecodable_body', null, 'the body is not JSON', '\x6e6f206d657373616765');
