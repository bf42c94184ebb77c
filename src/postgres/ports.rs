//! What the actors and the rail ask of the store, passed on to whoever does it here; times by the database's clock on the way in, and by
//! this process's on the way out.

use super::{
    PostgresStore, callers, clock, commit, connection::Fault, forget, lookups, outbox, partitions, place, processes, progress, reading,
    registry, searched,
};
use crate::records::{Rows, stored};
use async_trait::async_trait;
use atshub_actors::{
    domain::{Lookup, Page, Subject},
    ports::{
        Beat, Callers, Change, Claim, ClaimedRow, CommitOutcome, Door, Dossiers, Found, Fresh, Journal, JournalEntry, MessageKey,
        MessageView, Person, PlatformAccount, ProcessRecord, Progress, Rail, SealedSecret, ShownChild, Standing, Store, StoreError,
        TenantRecord, handover,
    },
    supervision::ChildSnapshot,
};
use atshub_schemas::{ExternalId, TenantName};
use futures_util::FutureExt;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

#[async_trait]
impl Journal for PostgresStore {
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError> {
        let rows = self.clocks.rows(Rows::new(change, &self.turns, self.clocks.now())?);
        if rows.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let (reply, answer) = oneshot::channel();
        self.ask(&self.commits, commit::Job { rows, reply }, answer).await
    }

    async fn begin(&self, key: &MessageKey, claim: Claim) -> Result<Progress, StoreError> {
        let (reply, answer) = oneshot::channel();
        let progress = self.ask(&self.beginnings, progress::Beginning { key: key.clone(), claim, reply }, answer).await?;
        let own = |time| self.clocks.to_own(time);
        Ok(Progress { held_until: progress.held_until.map(own), earlier: progress.earlier.map(own), ..progress })
    }

    async fn renew(&self, key: &MessageKey, claim: Claim) -> Result<bool, StoreError> {
        Ok(progress::renew(&self.database, key.clone(), claim).await?)
    }

    async fn crashed(&self, key: &MessageKey, owner: Option<Uuid>, cause: &str) -> Result<u32, StoreError> {
        Ok(progress::crashed(&self.database, key.clone(), owner, cause, self.now()).await?)
    }
}

#[async_trait]
impl Rail for PostgresStore {
    async fn claim(&self, now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError> {
        let now = self.clocks.to_store(now);
        let until = now.checked_add(lease).map_err(|e| StoreError::Broken(format!("a lease has no end: {e}")))?;
        let [limit, invites] = [limit, invites].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let until = stored(until);
        let claimed = outbox::claim(&self.database, now, limit, invites, until).await;
        if let Err(Fault::Away(_)) = &claimed {
            self.letting_go.until(until, lease);
        }
        Ok(claimed?)
    }

    fn fresh(&self, lease: Duration) -> Option<Fresh> {
        let (store, relay) = handover(lease);
        *self.heralds.relay.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
        Some(relay)
    }

    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError> {
        Ok(outbox::sent(&self.database, rows).await?)
    }

    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        self.unsent_all(vec![row], not_before, cause).await
    }

    async fn unsent_all(&self, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        let numbers: Vec<i64> = rows.into_iter().map(|row| row.row).collect();
        let unsent = outbox::unsent(&self.database, numbers.clone(), self.clocks.to_store(not_before), cause).await;
        if let Err(Fault::Away(_)) = &unsent {
            self.letting_go.rows(numbers);
        }
        Ok(unsent?)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(outbox::next_due(&self.database, self.now()).await?.map(|due| self.clocks.to_own(due)))
    }

    fn outbox_bell(&self) -> Arc<Notify> {
        Arc::clone(&self.heralds.bell)
    }

    async fn send_again(&self, queue: &str) -> Result<u64, StoreError> {
        let again = outbox::send_again(&self.database, queue, self.now()).await?;
        if again > 0 {
            self.heralds.bell.notify_one();
        }
        Ok(again)
    }
}

#[async_trait]
impl Dossiers for PostgresStore {
    async fn look_up(&self, tenant: &TenantName, by: Vec<Lookup>, of: Vec<Subject>) -> Result<Found, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(&self.questions, lookups::Question { tenant: tenant.clone(), by, of, reply }, answer).await
    }

    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError> {
        Ok(searched::page(&self.database, tenant.clone(), state.to_owned(), after.cloned(), limit).await?)
    }

    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(reading::candidacy_counts(&self.database, tenant.cloned()).await?)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError> {
        Ok(reading::message(&self.database, crate::records::storable(id), self.now()).await?)
    }

    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(reading::journal(&self.database, tenant.clone(), application.clone()).await?)
    }

    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(reading::parked_counts(&self.database, tenant.cloned()).await?)
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        Ok(registry::tenants(&self.database).await?)
    }

    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError> {
        if expected.is_none() {
            forget::before(&self.database, tenant.name.to_string()).await?;
        }
        Ok(registry::put_tenant(&self.database, tenant, expected).await?)
    }

    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError> {
        let removed = registry::remove_tenant(&self.database, name.to_string()).await?;
        Ok(forget::tenant(&self.database, name.to_string()).await? > 0 || removed)
    }

    async fn set_standing(
        &self,
        name: &TenantName,
        standing: Standing,
        cause: Option<&str>,
        until: Option<Timestamp>,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        let to = (standing, cause.map(str::to_owned), until);
        Ok(registry::set_standing(&self.database, name.to_string(), to, over, self.clocks.now()).await?)
    }

    async fn end_standing(&self, name: &TenantName, until: Timestamp) -> Result<bool, StoreError> {
        Ok(registry::end_standing(&self.database, name.to_string(), until, self.clocks.now()).await?)
    }

    async fn beat(&self, beat: Beat, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        Ok(processes::beat(&self.database, &self.clocks, beat, alive).await?)
    }

    async fn processes(&self, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        Ok(processes::all(&self.database, &self.clocks, alive).await?)
    }

    async fn leave(&self, process: Uuid) -> Result<(), StoreError> {
        Ok(processes::leave(&self.database, process).await?)
    }

    async fn show_children(&self, process: Uuid, children: Vec<ChildSnapshot>) -> Result<(), StoreError> {
        Ok(processes::show(&self.database, process, &children).await?)
    }

    async fn hide_children(&self, process: Uuid, names: Vec<String>) -> Result<(), StoreError> {
        Ok(processes::hide(&self.database, process, names).await?)
    }

    async fn children(&self, name: Option<&str>) -> Result<Vec<ShownChild>, StoreError> {
        Ok(processes::children(&self.database, name.map(str::to_owned)).await?)
    }

    async fn tell_callers(&self, told: Vec<Callers>) -> Result<(), StoreError> {
        Ok(callers::tell(&self.database, told).await?)
    }

    async fn callers(&self, tenant: Option<&TenantName>) -> Result<Vec<Callers>, StoreError> {
        Ok(callers::all(&self.database, tenant.map(ToString::to_string)).await?)
    }

    async fn forget_refusals(&self, tenant: &TenantName, door: Door) -> Result<(), StoreError> {
        Ok(callers::forget(&self.database, tenant.to_string(), door).await?)
    }

    async fn tenants_version(&self) -> Result<u64, StoreError> {
        Ok(registry::version(&self.database).await?)
    }

    async fn platforms(&self) -> Result<Vec<PlatformAccount>, StoreError> {
        Ok(registry::platforms(&self.database).await?)
    }

    async fn put_platform(&self, account: PlatformAccount) -> Result<(), StoreError> {
        Ok(registry::put_platform(&self.database, account).await?)
    }

    async fn remove_platform(&self, name: &str) -> Result<bool, StoreError> {
        Ok(registry::remove_platform(&self.database, name.to_owned()).await?)
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), StoreError> {
        Ok(registry::put_secret(&self.database, secret).await?)
    }

    async fn keep_secret(&self, secret: SealedSecret) -> Result<SealedSecret, StoreError> {
        Ok(registry::keep_secret(&self.database, secret).await?)
    }

    async fn reseal(&self, before: &SealedSecret, after: SealedSecret) -> Result<bool, StoreError> {
        Ok(registry::reseal(&self.database, before.clone(), after).await?)
    }

    async fn secrets(&self, owner: &str) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(registry::secrets(&self.database, owner.to_owned()).await?)
    }

    async fn all_secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(registry::all_secrets(&self.database).await?)
    }

    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        Ok(registry::delete_secret(&self.database, owner.to_owned(), name.to_owned()).await?)
    }

    async fn forget_removed(&self, disabled: Timestamp) -> Result<u64, StoreError> {
        Ok(forget::removed(&self.database, self.clocks.to_store(disabled)).await?)
    }

    async fn erase(&self, tenant: &TenantName, person: &Person, really: bool) -> Result<BTreeMap<&'static str, u64>, StoreError> {
        Ok(forget::person(&self.database, tenant.to_string(), person.clone(), really).await?)
    }

    async fn sweep(&self, now: Timestamp, history: Timestamp, candidates: Timestamp) -> Result<(), StoreError> {
        // A process whose clock is ahead must not drop what is not old.
        partitions::make(&self.database, self.clocks.to_store(now)).await?;
        Ok(partitions::drop_old(&self.database, self.clocks.to_store(history), self.clocks.to_store(candidates)).await?)
    }

    async fn pull_back(&self) -> Result<u64, StoreError> {
        Ok(clock::pull_back(&self.database, &self.clocks).await?)
    }

    async fn gone_back(&self) -> Result<Option<u64>, StoreError> {
        let again = place::gone_back(&self.database, self.now()).await?;
        if again.is_some_and(|again| again > 0) {
            self.heralds.bell.notify_one();
        }
        Ok(again)
    }

    async fn went_back(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(place::went_back(&self.database).await?.map(|at| self.clocks.to_own(at)))
    }

    async fn identity(&self) -> Result<String, StoreError> {
        Ok(place::identity(&self.database).await?)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.run(|connection| async move { Ok(connection.batch_execute(place::WRITES).await?) }.boxed()).await?)
    }
}
