-- When a wait was set, by the database's clock: one that was set in the future was set by a wrong clock, and its length is what counts.
alter table waiting add column made_at timestamptz;
update waiting w set made_at = o.created_at from outbox o where o.day = w.day and o.number = w.number;
update waiting set made_at = clock_timestamp() where made_at is null;
alter table waiting alter column made_at set default clock_timestamp(), alter column made_at set not null;

-- Where this store was when it was last worked on, and when that was last found to be elsewhere: restored, or another server's copy.
create table place (
    only_one  boolean     primary key check (only_one),
    mark      text        not null,
    went_back timestamptz
);
