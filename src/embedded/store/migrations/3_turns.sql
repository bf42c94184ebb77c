-- Invitations wait for their turn apart from everything else, so that thousands of them are not looked through for the rows that
-- may go. The words are those of the claim.

drop index outbox_at_once;
drop index outbox_timed;
create index outbox_at_once on outbox (due, number) where sent_at is null and not_before is null and routing_key <> 'atshub.invites';
create index outbox_timed on outbox (due, number) where sent_at is null and not_before is not null and routing_key <> 'atshub.invites';
create index outbox_invites_at_once on outbox (due, number) where sent_at is null and not_before is null and routing_key = 'atshub.invites';
create index outbox_invites_timed on outbox (due, number) where sent_at is null and not_before is not null and routing_key = 'atshub.invites';
