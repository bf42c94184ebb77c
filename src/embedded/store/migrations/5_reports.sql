-- When candidacies came to their states, for reports: `asked_at` by the clock of who asked, the others by the hub's, when it first saw the
-- candidacy there.

drop index dossiers_refused;
create index dossiers_refused on dossiers (tenant, created_at desc) where state = 'refused';
create index dossiers_waiting on dossiers (tenant, job_id, created_at desc) where state in ('refused', 'received');

alter table candidacies add column asked_at integer;
alter table candidacies add column invited_at integer;
alter table candidacies add column scheduled_at integer;
alter table candidacies add column completed_at integer;
