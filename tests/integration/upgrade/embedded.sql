-- A database as the hub of the schema before "waiting" left it: its own statements, and what it wrote. Not to be changed: it stands for
-- databases that are out there.

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
    ('acme', 'bridge', 'main', '{"trigger_stages":["Karat Assessment"],"trigger_stages_by_job":{},"roles":{},"role_field":"Karat Role","status_field":"Karat Status","labels":{},"platform_name":"Karat","recruiter_from":["candidate","job"],"invited_note":true,"cancel_from_ats":false,"sandbox":true,"prefetch":16,"connector":{}}', 'active', null, 1, 1795165200000000, 1795165200000000);
update versions set value = 1 where name = 'tenants';
insert into platforms (name, kind, url, updated_at) values ('main', 'karat', 'http://127.0.0.1:9', 1795165200000000);
insert into dossiers (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) values
    ('acme', 'a-invited', 2, 'p-invited', 'j-1', 'invited', '{"tenant":"acme","application":{"id":"a-invited","url":"https://ats.example/applications/invited"},"candidate":{"id":"p-invited","name":"Ada Invited","email":"invited@example.org","profile_url":"https://ATS.example/people/invited/"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000100","role_named":"1201","role":{"id":"1201","name":"Backend engineer"},"state":{"state":"invited"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":{"id":null,"candidacy":"pc-invited","link":"https://platform.example/i/invited","state":null,"ats_url":"https://ats.example/applications/invited"},"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', 1795165201000000, 1795165205000000),
    ('acme', 'a-waiting', 1, 'p-waiting', 'j-1', 'received', '{"tenant":"acme","application":{"id":"a-waiting","url":"https://ats.example/applications/waiting"},"candidate":{"id":"p-waiting","name":"Ada Waiting","email":"waiting@example.org"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":1,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000101","role_named":"1201","role":null,"state":{"state":"received"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":null,"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', 1795165201000000, 1795165205000000),
    ('acme', 'a-refused', 2, 'p-refused', 'j-1', 'refused', '{"tenant":"acme","application":{"id":"a-refused","url":"https://ats.example/applications/refused"},"candidate":{"id":"p-refused","name":"Ada Refused","email":"refused@example.org","phone":"12345"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000102","role_named":"1201","role":null,"state":{"state":"refused","error":{"code":"phone_too_short"}},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":null,"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', 1795165201000000, 1795165205000000),
    ('acme', 'a-done', 2, 'p-done', 'j-1', 'completed', '{"tenant":"acme","application":{"id":"a-done","url":"https://ats.example/applications/done"},"candidate":{"id":"p-done","name":"Ada Done","email":"done@example.org"},"job":{"id":"j-1","title":"Engineer","role":"1201"},"recruiter":{"email":"Rae@acme.example"},"grader":null,"stage":{"name":"Karat Assessment"},"assessment":null,"fact_time":"2026-11-20T09:00:00Z","data_time":"2026-11-20T09:00:00Z","sequence":1,"status_written":1,"version":2,"candidacies":[{"id":"01936b2e-5f00-7000-8000-000000000103","role_named":"1201","role":{"id":"1201","name":"Backend engineer"},"state":{"state":"completed"},"intent":1,"asked_at":"2026-11-20T09:00:00Z","invitation":{"id":null,"candidacy":"pc-done","link":"https://platform.example/i/done","state":null,"ats_url":"https://ats.example/applications/done"},"changed_at":"2026-11-20T09:00:05Z"}],"created_at":"2026-11-20T09:00:01Z","updated_at":"2026-11-20T09:00:05Z"}', 1795165201000000, 1795165205000000);
insert into candidacies (tenant, id, application_id, state, live_key, platform_candidacy, changed_at) values
    ('acme', '01936b2e-5f00-7000-8000-000000000100', 'a-invited', 'invited', 'invited@example.org|1201', 'pc-invited', 1795165205000000),
    ('acme', '01936b2e-5f00-7000-8000-000000000101', 'a-waiting', 'received', null, null, 1795165205000000),
    ('acme', '01936b2e-5f00-7000-8000-000000000102', 'a-refused', 'refused', null, null, 1795165205000000),
    ('acme', '01936b2e-5f00-7000-8000-000000000103', 'a-done', 'completed', null, 'pc-done', 1795165205000000);
insert into outbox (exchange, routing_key, tenant, source, message_id, kind, body, created_at, not_before, due, sent_at, failures, last_error) values
    ('atshub.work', 'atshub.invites', 'acme', '/atshub', 'm-invite', 'invite.requested.v1', '{"specversion":"1.0","id":"m-invite","source":"/atshub","tenant":"acme","type":"invite.requested.v1","subject":"application/a-waiting","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000101","intent":1}}', 1795165202000000, null, 1795165202000000, null, 0, null),
    ('atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-status', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-status","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-done","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000103","application":"a-done","candidate":"p-done","write":{"kind":"status","sequence":2,"code":"completed","text":"Completed"}}}', 1795165202000000, 1795165202000000, 1795165202000000, null, 3, 'the broker is away'),
    ('atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-later', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-later","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000100","application":"a-invited","candidate":"p-invited","write":{"kind":"note","marker":"[atshub later]","body":"Later.\n[atshub later]"}}}', 1795165202000000, 4070908800000000, 4070908800000000, null, 0, null),
    ('atshub.work', 'tenant.acme', 'acme', '/atshub', 'm-sent', 'writeback.requested.v1', '{"specversion":"1.0","id":"m-sent","source":"/atshub","tenant":"acme","type":"writeback.requested.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"candidacy":"01936b2e-5f00-7000-8000-000000000100","application":"a-invited","candidate":"p-invited","write":{"kind":"status","sequence":1,"code":"invited","text":"Invited"}}}', 1795165202000000, null, 1795165202000000, 1795165206000000, 0, null);
insert into inbox (tenant, source, id, time, kind, envelope, disposition, handled_at) values
    ('acme', '/bridges/old', 'm-fact', 1795165202000000, 'application.moved.v1', '{"specversion":"1.0","id":"m-fact","source":"/bridges/old","tenant":"acme","type":"application.moved.v1","subject":"application/a-invited","time":"2026-11-20T09:00:02Z","datacontenttype":"application/json","data":{"application":{"id":"a-invited","url":"https://ats.example/applications/invited"},"to_stage":{"name":"Karat Assessment"}}}', '{"verdict":"accepted","code":"invite","text":"the candidate is to be invited","remedy":null}', 1795165203000000);
insert into journal (at, tenant, application, candidacy, message, code, text) values
    (1795165203000000, 'acme', 'a-invited', '01936b2e-5f00-7000-8000-000000000100', 'm-fact', 'invite', 'the candidate is to be invited');
insert into attempts (tenant, source, id, begun, begun_at, failures, crashes, last_error, next_at, updated_at) values
    ('acme', '/atshub', 'm-status', 3, 1795165204000000, 3, 0, 'transient: no answer', 1795165205000000, 1795165204000000);
insert into parked (fingerprint, at, recorded_at, tenant, source, queue, exchange, routing_key, message_id, kind, code, field, detail, body) values
    ('00000000-0000-0000-0000-00000000004d', 1795165204000000, 1795165204000000, 'acme', null, 'atshub.tenant.acme', 'atshub.events', 'acme.application.moved.v1', 'm-parked', null, 'undecodable_body', null, 'the body is not JSON', x'6e6f206d657373616765');
pragma user_version = 3;
