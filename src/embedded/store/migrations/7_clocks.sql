-- When a wait was set: one that was set in the future was set by a wrong clock, and its length is what counts.
alter table outbox add column made_at integer;
update outbox set made_at = created_at where sent_at is null;

-- Where this store was when it was last worked on, and when that was last found to be elsewhere: it has been copied.
create table place (
    only_one  integer primary key check (only_one = 1),
    mark      text    not null,
    went_back integer
) strict;
