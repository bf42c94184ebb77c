-- What people search dossiers by, beside them: more columns in `dossiers` itself would make PostgreSQL take any index that begins with the
-- tenant for as good as the key while the table was never analysed. Written in the statement that saves the dossier, when a key changes.

create table searched (
    tenant         text        not null,
    application_id text        not null,
    email_key      text,
    url_key        text,
    job_id         text,
    role_id        text,
    recruiter_key  text,
    created_at     timestamptz not null,
    primary key (tenant, application_id)
);
create index searched_email on searched (tenant, email_key, created_at desc) where email_key is not null;
create index searched_url on searched (tenant, url_key, created_at desc) where url_key is not null;
create index searched_job on searched (tenant, job_id, created_at desc) where job_id is not null;
create index searched_role on searched (tenant, role_id, created_at desc) where role_id is not null;
create index searched_recruiter on searched (tenant, recruiter_key, created_at desc) where recruiter_key is not null;

-- Pages of those in a state.
create index dossiers_state on dossiers (tenant, state, application_id) where state is not null;

-- The keys are made by the program: it fills the table after this, and notes here that it has.
insert into versions (name, value) values ('searched', 0);
