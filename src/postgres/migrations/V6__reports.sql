-- When candidacies came to their states, for reports: `asked_at` by the clock of who asked, the others by the hub's, when it first saw the
-- candidacy there. Dossiers get no more columns here: PostgreSQL guesses the rows of a table that it has never analysed from the width of
-- its columns, and with more of them it takes any index that begins with the tenant for as good as the key.

drop index dossiers_refused;
create index dossiers_refused on dossiers (tenant, created_at desc) where state = 'refused';
create index dossiers_waiting on dossiers (tenant, job_id, created_at desc) where state in ('refused', 'received');

alter table candidacies add column asked_at timestamptz, add column invited_at timestamptz, add column scheduled_at timestamptz,
    add column completed_at timestamptz;
update candidacies c set asked_at = (k.value ->> 'asked_at')::timestamptz
    from dossiers d cross join lateral json_array_elements(d.body -> 'candidacies') as k (value)
    where d.tenant = c.tenant and d.application_id = c.application_id and k.value ->> 'id' = c.id::text;
