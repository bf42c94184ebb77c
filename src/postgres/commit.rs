//! A group of changes in one transaction: written at once, in the hope that nothing stands in the way of any of them. If something does,
//! what they depend on is read under locks, those that lose are dropped, and the rest is written. What the rows look like is in `write.rs`.
//!
//! The changes of one round touch nothing in common. One that shares a dossier, a message or a live key with an earlier
//! one of its group is taken in the next round, unless what was just committed decides it.

use super::{
    connection::{Database, Fault},
    heralds::{Heralds, promise, promised_until, tell},
    let_go::LettingGo,
    sending::Sending,
    statement::Statement,
    write::{self, How},
};
use crate::records::{Rows, taken};
use atshub_actors::ports::{CommitOutcome, Conflict, MessageKey, StoreError};
use deadpool_postgres::Client;
use futures_util::FutureExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::oneshot;
use tokio_postgres::Row;

/// How often one change is tried while others are faster, before it is given back as a conflict of versions.
const RACES: usize = 5;

/// One change that waits for its answer.
pub(super) struct Job {
    pub rows: Rows,
    pub reply: oneshot::Sender<Result<CommitOutcome, StoreError>>,
}

/// How a change ended, and the numbers of its outbox rows if it is committed.
type Outcome = Result<(CommitOutcome, Vec<i64>), Fault>;

/// Commits a group and answers each of its changes.
pub(super) async fn commit(database: Database, heralds: Heralds, letting_go: LettingGo, group: Vec<Job>) {
    let mut left = group;
    let relay = heralds.relay();
    while !left.is_empty() {
        let (round, later) = apart(left);
        let (mut rows, replies): (Vec<_>, Vec<_>) = round.into_iter().map(|job| (job.rows, job.reply)).unzip();
        if let Some(relay) = &relay {
            rows.iter_mut().for_each(|rows| promise(relay, rows));
        }
        let rows = Arc::new(rows);
        let outcomes = settle(&database, &rows).await;
        let (mut dossiers, mut messages) = (HashMap::new(), HashSet::new());
        for ((rows, reply), outcome) in rows.iter().zip(replies).zip(outcomes) {
            let numbers = outcome.as_ref().ok().filter(|(o, _)| *o == CommitOutcome::Committed).map(|(_, numbers)| &**numbers);
            if tell(relay.as_ref(), rows, numbers) {
                heralds.bell.notify_one();
            }
            if let (Some(relay), Err(Fault::Away(_)), Some(end)) = (&relay, &outcome, promised_until(rows)) {
                // They may be there, and nobody has them.
                letting_go.until(end, relay.lease);
            }
            if numbers.is_some() {
                dossiers.extend(rows.dossiers.iter().map(|d| ((d.tenant.as_str(), d.application.as_str()), d.version)));
                messages.extend(rows.handled.as_ref().map(|h| (&h.key.tenant, &h.key.source, &h.key.id)));
            }
            // Whoever asked may have gone; the change is kept or not all the same.
            let _gone = reply.send(outcome.map(|(outcome, _)| outcome).map_err(StoreError::from));
        }
        left = later
            .into_iter()
            .filter_map(|job| {
                let key = job.rows.handled.as_ref().map(|h| (&h.key.tenant, &h.key.source, &h.key.id));
                let decided =
                    if key.is_some_and(|key| messages.contains(&key)) {
                        CommitOutcome::Duplicate
                    } else if job.rows.dossiers.iter().any(|d| {
                        dossiers.get(&(d.tenant.as_str(), d.application.as_str())).is_some_and(|version| d.expected != Some(*version))
                    }) {
                        CommitOutcome::Conflict(Conflict::Raced)
                    } else {
                        return Some(job);
                    };
                let _gone = job.reply.send(Ok(decided));
                None
            })
            .collect();
    }
}

/// Splits off the changes that touch nothing in common, in order.
fn apart(group: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    let mut touched: HashSet<(u8, String, String, String)> = HashSet::new();
    group.into_iter().partition(|job| {
        let rows = &job.rows;
        let message = rows.key().map(|k| (0, k.tenant.to_string(), k.source.to_string(), k.id.to_string()));
        let dossiers = rows.dossiers.iter().map(|d| (1, d.tenant.clone(), d.application.clone(), String::new()));
        let candidacies =
            rows.dossiers.iter().flat_map(|d| d.candidacies.iter().map(|c| (2, d.tenant.clone(), c.id.to_string(), String::new())));
        let live = rows.live_keys().map(|(tenant, key)| (3, tenant.to_owned(), key.to_owned(), String::new()));
        let parked = rows.parked.iter().map(|p| (4, p.fingerprint.to_string(), String::new(), String::new()));
        let heard = rows.heard.iter().map(|h| (5, h.tenant.clone(), h.kind.to_owned(), h.id.clone()));
        let asked = rows.outbox.iter().filter_map(|o| Some((6, o.tenant.clone(), o.effect_key.clone()?, String::new())));
        let taken_back = rows.taken_back.iter().chain(&rows.ends).map(|(tenant, key)| (6, tenant.clone(), key.clone(), String::new()));
        let work = message.into_iter().chain(dossiers).chain(candidacies).chain(live).chain(parked);
        let mine: HashSet<_> = work.chain(heard).chain(asked).chain(taken_back).collect();
        let free = touched.is_disjoint(&mine);
        // What waits is touched as well, so that two changes of one message are not taken out of order.
        touched.extend(mine);
        free
    })
}

/// All of the round together; if the database refuses that, one by one, so that one change does not fail the others.
async fn settle(database: &Database, rows: &Arc<Vec<Rows>>) -> Vec<Outcome> {
    let all = rows.len();
    if write::is_plain(rows) {
        match transact(database, rows, 0..all, How::Hoping).await {
            Ok(outcomes) => return outcomes.into_iter().map(Ok).collect(),
            Err(Fault::Away(text)) => return vec![Err(Fault::Away(text)); all],
            Err(Fault::Race(_) | Fault::Lasting(_)) => {}
        }
    }
    let fault = match transact(database, rows, 0..all, How::Looked).await {
        Ok(outcomes) => return outcomes.into_iter().map(Ok).collect(),
        Err(Fault::Lasting(error)) if all == 1 => return vec![Err(Fault::Lasting(error))],
        Err(fault) => fault,
    };
    if let Fault::Away(_) = fault {
        // It is unclear whether the group was committed: none of it may be tried again here.
        return vec![Err(fault); all];
    }
    tracing::debug!(changes = all, "a group of changes is committed one by one");
    let mut outcomes = Vec::with_capacity(all);
    for one in 0..all {
        let outcome = alone(database, rows, one).await;
        let away = matches!(outcome, Err(Fault::Away(_)));
        outcomes.push(outcome);
        if away {
            break;
        }
    }
    outcomes.resize(all, Err(Fault::Away("the store went away".into())));
    outcomes
}

async fn alone(database: &Database, rows: &Arc<Vec<Rows>>, one: usize) -> Outcome {
    for _ in 0..RACES {
        match transact(database, rows, one..one + 1, How::Looked).await {
            Ok(mut outcomes) => {
                return outcomes.pop().ok_or_else(|| Fault::Lasting(StoreError::Broken("a change without an outcome".into())));
            }
            Err(Fault::Race(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok((CommitOutcome::Conflict(Conflict::Raced), vec![]))
}

async fn transact(
    database: &Database,
    rows: &Arc<Vec<Rows>>,
    part: std::ops::Range<usize>,
    how: How,
) -> Result<Vec<(CommitOutcome, Vec<i64>)>, Fault> {
    let rows = Arc::clone(rows);
    database
        .run(move |connection| {
            async move {
                let client: &Client = connection;
                let part: Vec<&Rows> = rows.get(part).unwrap_or_default().iter().collect();
                let sending = Sending::default();
                let done = Box::pin(write(client, &part, how, &sending)).await;
                let (outcomes, numbers) = match done {
                    Ok(done) => done,
                    // Its statements have gone, `commit` with them: what cannot be read here may stand there.
                    Err(Fault::Lasting(StoreError::Unreadable(text))) if sending.is_committing() => return Err(Fault::Away(text)),
                    Err(fault) if sending.is_committing() || matches!(fault, Fault::Away(_)) => return Err(fault),
                    Err(fault) => {
                        client.batch_execute("rollback").await?;
                        return Err(fault);
                    }
                };
                let mut numbers = numbers.into_iter();
                let own = |(rows, outcome): (&&Rows, CommitOutcome)| {
                    let most = if outcome == CommitOutcome::Committed { rows.outbox.len() } else { 0 };
                    (outcome, numbers.by_ref().take(most).collect())
                };
                Ok(part.iter().zip(outcomes).map(own).collect())
            }
            .boxed()
        })
        .await
}

/// Looks, if it is to; then writes and commits. `begin` is not waited for.
async fn write(client: &Client, part: &[&Rows], how: How, sending: &Sending) -> Result<(Vec<CommitOutcome>, Vec<i64>), Fault> {
    let all_committed = || vec![CommitOutcome::Committed; part.len()];
    if how == How::Hoping && !write::is_rare(part) {
        let answer = sending.at_once(write::hoping(part).ask(client, sending.one())).await?;
        return Ok((all_committed(), numbers_of(&answer)?));
    }
    let begin = async { Ok(client.batch_execute("begin").await?) };
    if how == How::Hoping {
        let statement = [write::hoping(part)];
        let ((), numbers) = futures_util::try_join!(begin, all(client, part, &statement, sending))?;
        return Ok((all_committed(), numbers));
    }
    let ((), outcomes) = futures_util::try_join!(begin, judge(client, part))?;
    let winners: Vec<&Rows> = part.iter().zip(&outcomes).filter(|(_, o)| **o == CommitOutcome::Committed).map(|(rows, _)| *rows).collect();
    if winners.is_empty() {
        client.batch_execute("rollback").await?;
        return Ok((outcomes, vec![]));
    }
    let numbers = all(client, &winners, &write::looked(&winners), sending).await?;
    Ok((outcomes, numbers))
}

/// Writes all of it, with these statements and what is rare, and commits.
async fn all(client: &Client, changes: &[&Rows], statements: &[Statement<'_>], sending: &Sending) -> Result<Vec<i64>, Fault> {
    // So that each is sent at once, and so in order.
    for statement in statements {
        statement.prepare(client).await?;
    }
    let asked = futures_util::future::try_join_all(statements.iter().map(|statement| statement.ask(client, sending.one())));
    let (answers, (), ()) = futures_util::try_join!(asked, Box::pin(write::rare(client, changes, sending)), sending.commit(client))?;
    answers.last().map_or(Ok(vec![]), |rows| numbers_of(rows))
}

/// The second column of the answer, if it has one.
fn numbers_of(rows: &[Row]) -> Result<Vec<i64>, Fault> {
    rows.first().filter(|row| row.len() > 1).map_or(Ok(vec![]), |row| Ok(row.try_get(1)?))
}

const HANDLED: &str = "select k.ord from unnest($1::int4[], $2::date[], $3::text[], $4::text[], $5::text[]) as k (ord, day, tenant, source, id) \
     join inbox i on i.day = k.day and i.tenant = k.tenant and i.source = k.source and i.id = k.id";
const BEGUN: &str = "select k.ord from unnest($1::int4[], $2::date[], $3::text[], $4::text[], $5::text[]) as k (ord, day, tenant, source, id) \
     where exists (select from inbox i where i.day = k.day and i.tenant = k.tenant and i.source = k.source and i.id = k.id) \
     or exists (select from attempts a where a.tenant = k.tenant and a.source = k.source and a.id = k.id)";
const WAITS: &str = "select w.tenant, w.effect_key from waiting w join unnest($1::text[], $2::text[]) as k (tenant, effect_key) \
     on w.tenant = k.tenant and w.effect_key = k.effect_key order by w.tenant, w.effect_key for update of w";
/// Locks in one order everywhere, so that two groups do not wait for each other.
const VERSIONS: &str = "select d.tenant, d.application_id, d.version from dossiers d \
     join unnest($1::text[], $2::text[]) as k (tenant, application) on d.tenant = k.tenant and d.application_id = k.application \
     order by d.tenant, d.application_id for update of d";
const HOLDERS: &str = "select c.tenant, c.live_key, c.application_id from candidacies c \
     join unnest($1::text[], $2::text[]) as k (tenant, live_key) on c.tenant = k.tenant and c.live_key = k.live_key";

/// What would become of each change; `Committed` if nothing stands in its way. The dossiers stay locked.
async fn judge(client: &Client, part: &[&Rows]) -> Result<Vec<CommitOutcome>, Fault> {
    let (handled, lost, versions, holders, waits, begun, heard) = futures_util::try_join!(
        handled(client, part),
        lost(client, part),
        versions(client, part),
        holders(client, part),
        waits(client, part),
        begun(client, part),
        write::heard_of(client, part),
    )?;
    let outcome = |(ord, rows): (usize, &&Rows)| {
        if handled.contains(&ord) || lost.contains(&ord) {
            return CommitOutcome::Duplicate;
        }
        let stale = |d: &crate::records::DossierRow| versions.get(&(d.tenant.clone(), d.application.clone())).copied() != d.expected;
        if rows.dossiers.iter().any(stale) {
            return CommitOutcome::Conflict(Conflict::Raced);
        }
        if rows.ends.as_ref().is_some_and(|key| !waits.contains(key)) {
            return CommitOutcome::Conflict(Conflict::Ended);
        }
        if begun.contains(&ord) {
            return CommitOutcome::Conflict(Conflict::Begun);
        }
        if heard.contains(&ord) {
            return CommitOutcome::Conflict(Conflict::Heard);
        }
        if let Some(conflict) = rows.own_conflict() {
            return CommitOutcome::Conflict(conflict);
        }
        let held = rows.live_keys().find_map(|(tenant, key)| {
            let holder = holders.get(&(tenant.to_owned(), key.to_owned()))?;
            (!rows.saves(tenant, holder)).then(|| taken(key, holder))
        });
        held.map_or(CommitOutcome::Committed, CommitOutcome::Conflict)
    };
    Ok(part.iter().enumerate().map(outcome).collect())
}

/// Whose message is in the inbox already: its work was done, and no attempt at it ends in another way any more.
async fn handled(client: &Client, part: &[&Rows]) -> Result<HashSet<usize>, Fault> {
    known(
        client,
        HANDLED,
        part.iter()
            .enumerate()
            .filter_map(|(ord, rows)| Some((ord, rows.handled.as_ref().map(|h| &h.key).or(rows.attempt.as_ref().map(|a| &a.key))?)))
            .collect(),
    )
    .await
}

/// Messages that were begun before, or handled.
async fn begun(client: &Client, part: &[&Rows]) -> Result<HashSet<usize>, Fault> {
    known(client, BEGUN, part.iter().enumerate().filter_map(|(ord, rows)| Some((ord, &rows.begins.as_ref()?.0))).collect()).await
}

/// What waits in the outbox still, of what is to end.
async fn waits(client: &Client, part: &[&Rows]) -> Result<HashSet<(String, String)>, Fault> {
    let (tenants, keys): (Vec<&str>, Vec<&str>) =
        part.iter().filter_map(|rows| rows.ends.as_ref()).map(|(tenant, key)| (tenant.as_str(), key.as_str())).unzip();
    if tenants.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = client.prepare_cached(WAITS).await?;
    let found = client.query(&statement, &[&tenants, &keys]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn known(client: &Client, sql: &str, keys: Vec<(usize, &MessageKey)>) -> Result<HashSet<usize>, Fault> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let ords: Vec<i32> = keys.iter().filter_map(|(ord, _)| i32::try_from(*ord).ok()).collect();
    let days: Vec<_> = keys.iter().map(|(_, k)| write::day(k.time)).collect();
    let tenants: Vec<&str> = keys.iter().map(|(_, k)| k.tenant.as_str()).collect();
    let sources: Vec<&str> = keys.iter().map(|(_, k)| k.source.as_str()).collect();
    let ids: Vec<&str> = keys.iter().map(|(_, k)| k.id.as_str()).collect();
    let statement = client.prepare_cached(sql).await?;
    let found = client.query(&statement, &[&ords, &days, &tenants, &sources, &ids]).await?;
    found.iter().map(|row| Ok(usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default())).collect()
}

/// Attempts that hold their messages. The others were settled before, or other owners took their messages.
const OWNED: &str = "select k.ord from unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::uuid[]) as k (ord, tenant, source, id, owner) \
     join attempts a on a.tenant = k.tenant and a.source = k.source and a.id = k.id and a.owner = k.owner order by k.ord for update of a";

async fn lost(client: &Client, part: &[&Rows]) -> Result<HashSet<usize>, Fault> {
    let owned = |(ord, rows): (usize, &&'_ Rows)| rows.attempt.as_ref().and_then(|a| Some((ord, a.key.clone(), a.owner?)));
    let attempts: Vec<_> = part.iter().enumerate().filter_map(owned).collect();
    if attempts.is_empty() {
        return Ok(HashSet::new());
    }
    let ords: Vec<i32> = attempts.iter().filter_map(|(ord, ..)| i32::try_from(*ord).ok()).collect();
    let tenants: Vec<&str> = attempts.iter().map(|(_, k, _)| k.tenant.as_str()).collect();
    let sources: Vec<&str> = attempts.iter().map(|(_, k, _)| k.source.as_str()).collect();
    let ids: Vec<&str> = attempts.iter().map(|(_, k, _)| k.id.as_str()).collect();
    let owners: Vec<uuid::Uuid> = attempts.iter().map(|(.., owner)| *owner).collect();
    let statement = client.prepare_cached(OWNED).await?;
    let mut lost: HashSet<usize> = attempts.iter().map(|(ord, ..)| *ord).collect();
    for row in client.query(&statement, &[&ords, &tenants, &sources, &ids, &owners]).await? {
        lost.remove(&usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default());
    }
    Ok(lost)
}

async fn versions(client: &Client, part: &[&Rows]) -> Result<HashMap<(String, String), i64>, Fault> {
    let (tenants, applications): (Vec<&str>, Vec<&str>) =
        part.iter().flat_map(|rows| &rows.dossiers).map(|d| (d.tenant.as_str(), d.application.as_str())).unzip();
    if tenants.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = client.prepare_cached(VERSIONS).await?;
    let found = client.query(&statement, &[&tenants, &applications]).await?;
    found.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

async fn holders(client: &Client, part: &[&Rows]) -> Result<HashMap<(String, String), String>, Fault> {
    let (tenants, keys): (Vec<&str>, Vec<&str>) = part.iter().flat_map(|rows| rows.live_keys()).unzip();
    if tenants.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = client.prepare_cached(HOLDERS).await?;
    let found = client.query(&statement, &[&tenants, &keys]).await?;
    found.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}
