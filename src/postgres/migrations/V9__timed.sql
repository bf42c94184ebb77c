-- What is due later holds its message itself: most of it (clocks of answers) ends before it is due, and then nothing of it stays. When it
-- is sent, its message goes to where those of all others are.
alter table waiting add column exchange text, add column routing_key text, add column source text, add column message_id text,
    add column kind text, add column body text, add column created_at timestamptz;
update waiting w set exchange = o.exchange, routing_key = o.routing_key, source = o.source, message_id = o.message_id, kind = o.kind,
    body = o.body, created_at = o.created_at from outbox o where w.not_before is not null and o.day = w.day and o.number = w.number;
delete from outbox o using waiting w where w.body is not null and o.day = w.day and o.number = w.number;
create index waiting_message on waiting (message_id) where message_id is not null;

-- Nothing is found by it.
drop index waiting_day;
