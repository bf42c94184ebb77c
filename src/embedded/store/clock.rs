//! What a wrong clock has put far ahead is pulled back. The file has but one clock, this process's own: a wait that was set later than
//! now was set while that clock was ahead.

use super::{connection::Fault, registry::raise, threads::Kept, words::Micros};
use crate::records::{LONGEST_LEASE, PULLED_LEASE, TOLERANCE, stored};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

/// A wait that was set by a clock that is ahead of this one keeps its length, from now on.
const WAITS: &str = "update outbox set made_at = ?1, claimed_until = null, due = ?1 + max(due - made_at, 0), \
    not_before = case when not_before is null then null else ?1 + max(not_before - made_at, 0) end \
    where sent_at is null and made_at > ?2";
const HANDED_OUT: &str = "update outbox set claimed_until = null where sent_at is null and claimed_until > ?1";
const HELD: &str = "update attempts set held_until = ?1 where held_until > ?2";
const NEXT: &str =
    "update attempts set updated_at = ?1, next_at = ?1 + max(next_at - updated_at, 0) where next_at is not null and updated_at > ?2";
const STANDINGS: &str = "update tenants set version = ?1, stood = ?1, updated_at = ?2, until = ?2 + max(until - updated_at, 0) \
    where until is not null and updated_at > ?3";

/// Pulls it back; answers how much that was.
pub(super) fn pull_back(connection: &Connection, now: Timestamp) -> Result<Kept<u64>, Fault> {
    let at = |span: SignedDuration| Micros(stored(now.checked_add(span).unwrap_or(now)));
    let (now, ahead, longest) = (at(SignedDuration::ZERO), at(TOLERANCE), at(LONGEST_LEASE));
    let mut rows = connection.prepare_cached(WAITS)?.execute([now, ahead])?;
    rows += connection.prepare_cached(HANDED_OUT)?.execute([longest])?;
    rows += connection.prepare_cached(HELD)?.execute([at(PULLED_LEASE), longest])?;
    rows += connection.prepare_cached(NEXT)?.execute([now, ahead])?;
    let until = "select exists (select 1 from tenants where until is not null and updated_at > ?)";
    if connection.prepare_cached(until)?.query_row([ahead], |row| row.get(0))? {
        let version = raise(connection)?;
        rows += connection.prepare_cached(STANDINGS)?.execute(params![version, now, ahead])?;
    }
    Ok(Kept::All(u64::try_from(rows).unwrap_or(u64::MAX)))
}
