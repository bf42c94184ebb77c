//! How far messages have come: begun, failed, crashed. Counted before the work, so that a kill does not forget it.

use super::{
    connection::{Database, Fault},
    write,
};
use crate::records::{count, storable, stored};
use atshub_actors::ports::{Claim, MessageKey, Progress, StoreError};
use futures_util::FutureExt;
use jiff::{Timestamp, civil::Date};
use std::collections::HashSet;
use tokio::sync::oneshot;
use uuid::Uuid;

/// One beginning that waits for its answer.
pub(super) struct Beginning {
    pub key: MessageKey,
    pub claim: Claim,
    pub reply: oneshot::Sender<Result<Progress, StoreError>>,
}

/// What was handled is not begun again, and not counted; nor is what another attempt holds. Leases are by the database's own clock, so that
/// processes whose clocks differ agree.
const BEGIN: &str = "with k as materialized (\
        select * from unnest($1::int4[], $2::date[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::float8[]) \
        as k (ord, day, tenant, source, id, owner, lease)), \
    done as materialized (\
        select k.ord from k join inbox i on i.day = k.day and i.tenant = k.tenant and i.source = k.source and i.id = k.id), \
    begun as (\
        insert into attempts as a (tenant, source, id, begun, begun_at, updated_at, owner, held_until) \
        select tenant, source, id, 1, now(), now(), owner, clock_timestamp() + make_interval(secs => lease) from k \
        where not exists (select from done where done.ord = k.ord) order by tenant, source, id \
        on conflict (tenant, source, id) do update set begun = a.begun + case when a.owner = excluded.owner then 0 else 1 end, \
        begun_at = excluded.begun_at, updated_at = excluded.updated_at, owner = excluded.owner, held_until = excluded.held_until \
        where a.owner is null or a.owner = excluded.owner or a.held_until <= clock_timestamp() \
        returning tenant, source, id, begun, failures, crashes, owner) \
    select k.ord, done.ord is not null, coalesce(b.begun, a.begun, 0), coalesce(b.failures, a.failures, 0), \
        coalesce(b.crashes, a.crashes, 0), a.begun_at, b.owner, coalesce(a.held_until, now() + interval '1 second') \
    from k left join done on done.ord = k.ord \
    left join begun b on b.tenant = k.tenant and b.source = k.source and b.id = k.id \
    left join attempts a on a.tenant = k.tenant and a.source = k.source and a.id = k.id";

/// The attempt before was one at the same delivery, and has ended.
const TAKE_OVER: &str = "update attempts a set owner = null, held_until = null \
    from unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) as k (tenant, source, id, owner) \
    where a.tenant = k.tenant and a.source = k.source and a.id = k.id and a.owner = k.owner";

const RENEW: &str = "update attempts set held_until = clock_timestamp() + make_interval(secs => $5) \
    where tenant = $1 and source = $2 and id = $3 and owner = $4";

const CRASHED: &str = "insert into attempts as a (tenant, source, id, crashes, last_error, updated_at) values ($1, $2, $3, 1, $4, $5) \
    on conflict (tenant, source, id) do update set crashes = a.crashes + 1, last_error = excluded.last_error, \
    updated_at = excluded.updated_at, owner = nullif(a.owner, $6), held_until = case when a.owner = $6 then null else a.held_until end \
    returning crashes";

/// Notes a group of beginnings, one message at most once per statement.
pub(super) async fn begin(database: Database, group: Vec<Beginning>) {
    let mut left = group;
    while !left.is_empty() {
        let mut seen = HashSet::new();
        let (round, later): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|b| seen.insert((b.key.tenant.clone(), b.key.source.clone(), b.key.id.clone())));
        left = later;
        let (keys, replies): (Vec<_>, Vec<_>) = round.into_iter().map(|b| ((b.key, b.claim), b.reply)).unzip();
        let answers = noted(&database, keys).await;
        for (ord, reply) in replies.into_iter().enumerate() {
            let answer = match &answers {
                Ok(all) => all.get(ord).copied().flatten().ok_or_else(|| StoreError::Broken("a beginning was not noted".into())),
                Err(fault) => Err(fault.clone().into()),
            };
            // Whoever asked may have gone.
            let _gone = reply.send(answer);
        }
    }
}

async fn noted(database: &Database, keys: Vec<(MessageKey, Claim)>) -> Result<Vec<Option<Progress>>, Fault> {
    database
        .run(move |connection| {
            async move {
                let taken_over: Vec<(&MessageKey, Uuid)> = keys.iter().filter_map(|(key, claim)| Some((key, claim.takes_over?))).collect();
                if !taken_over.is_empty() {
                    let tenants: Vec<&str> = taken_over.iter().map(|(k, _)| k.tenant.as_str()).collect();
                    let sources: Vec<&str> = taken_over.iter().map(|(k, _)| k.source.as_str()).collect();
                    let ids: Vec<&str> = taken_over.iter().map(|(k, _)| k.id.as_str()).collect();
                    let owners: Vec<Uuid> = taken_over.iter().map(|(_, owner)| *owner).collect();
                    let statement = connection.prepare_cached(TAKE_OVER).await?;
                    connection.execute(&statement, &[&tenants, &sources, &ids, &owners]).await?;
                }
                let ords: Vec<i32> = (0..).take(keys.len()).collect();
                let days: Vec<Date> = keys.iter().map(|(k, _)| write::day(k.time)).collect();
                let tenants: Vec<&str> = keys.iter().map(|(k, _)| k.tenant.as_str()).collect();
                let sources: Vec<&str> = keys.iter().map(|(k, _)| k.source.as_str()).collect();
                let ids: Vec<&str> = keys.iter().map(|(k, _)| k.id.as_str()).collect();
                let owners: Vec<Uuid> = keys.iter().map(|(_, claim)| claim.owner).collect();
                let leases: Vec<f64> = keys.iter().map(|(_, claim)| claim.lease.as_secs_f64()).collect();
                let statement = connection.prepare_cached(BEGIN).await?;
                let mut answers = vec![None; keys.len()];
                for row in connection.query(&statement, &[&ords, &days, &tenants, &sources, &ids, &owners, &leases]).await? {
                    let number = |column: usize| Ok::<_, Fault>(count(row.try_get::<_, i32>(column)?.into()));
                    let (begun, failures, crashes) = (number(2)?, number(3)?, number(4)?);
                    let (handled, owner): (bool, Option<Uuid>) = (row.try_get(1)?, row.try_get(6)?);
                    let held_until = if handled || owner.is_some() { None } else { Some(row.try_get(7)?) };
                    // The join sees the row as it was before this beginning.
                    let progress = Progress { handled, held_until, owner, begun, earlier: row.try_get(5)?, failures, crashes };
                    if let Some(answer) = usize::try_from(row.try_get::<_, i32>(0)?).ok().and_then(|ord| answers.get_mut(ord)) {
                        *answer = Some(progress);
                    }
                }
                Ok(answers)
            }
            .boxed()
        })
        .await
}

/// Begins the lease of an attempt anew.
pub(super) async fn renew(database: &Database, key: MessageKey, claim: Claim) -> Result<bool, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(RENEW).await?;
                let (tenant, source, id) = (key.tenant.as_str(), key.source.as_str(), key.id.as_str());
                let renewed = connection.execute(&statement, &[&tenant, &source, &id, &claim.owner, &claim.lease.as_secs_f64()]).await?;
                Ok(renewed > 0)
            }
            .boxed()
        })
        .await
}

/// Counts a crash.
pub(super) async fn crashed(database: &Database, key: MessageKey, owner: Option<Uuid>, cause: &str, now: Timestamp) -> Result<u32, Fault> {
    let cause = storable(cause);
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(CRASHED).await?;
                let (tenant, source, id) = (key.tenant.as_str(), key.source.as_str(), key.id.as_str());
                let row = connection.query_one(&statement, &[&tenant, &source, &id, &cause, &stored(now), &owner]).await?;
                Ok(count(row.try_get::<_, i32>(0)?.into()))
            }
            .boxed()
        })
        .await
}
