//! A store that can be made to fail: while it does, no call reaches the one behind it.

use super::Drills;
use async_trait::async_trait;
use atshub_actors::{
    domain::{Lookup, Page, Subject},
    ports::{
        Beat, Callers, Change, Claim, ClaimedRow, CommitOutcome, Door, Dossiers, Found, Journal, JournalEntry, MessageKey, MessageView,
        Person, PlatformAccount, ProcessRecord, Progress, Rail, SealedSecret, ShownChild, Standing, Store, StoreError, TenantRecord,
    },
    supervision::ChildSnapshot,
};
use atshub_schemas::{ExternalId, TenantName};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;
use uuid::Uuid;

pub(super) struct DrilledStore {
    pub(super) drills: Arc<Drills>,
    pub(super) store: Arc<dyn Store>,
}

/// Every call is passed on, unless the store is to be away.
macro_rules! passed_on {
    ($port:ident { $($call:ident($($name:ident: $type:ty),*) -> $answer:ty;)* } $($more:tt)*) => {
        #[async_trait]
        impl $port for DrilledStore {
            $(async fn $call(&self, $($name: $type),*) -> Result<$answer, StoreError> {
                self.drills.store()?;
                self.store.$call($($name),*).await
            })*

            $($more)*
        }
    };
}

passed_on! {
    Journal {
        commit(change: Change) -> CommitOutcome;
        begin(key: &MessageKey, claim: Claim) -> Progress;
        renew(key: &MessageKey, claim: Claim) -> bool;
        only_process_begins(landing: Duration) -> ();
        crashed(key: &MessageKey, owner: Option<Uuid>, cause: &str) -> u32;
    }
}

passed_on! {
    Rail {
        send_again(queue: &str) -> u64;
        claim(now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Vec<ClaimedRow>;
        sent(rows: Vec<ClaimedRow>) -> ();
        unsent(row: ClaimedRow, not_before: Timestamp, cause: &str) -> ();
        unsent_all(rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> ();
        next_due() -> Option<Timestamp>;
    }
    fn outbox_bell(&self) -> Arc<Notify> {
        self.store.outbox_bell()
    }
}

passed_on! {
    Dossiers {
        look_up(tenant: &TenantName, by: Vec<Lookup>, of: Vec<Subject>) -> Found;
        page(tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Page;
        candidacy_counts(tenant: Option<&TenantName>) -> BTreeMap<String, u64>;
    }
}

passed_on! {
    Store {
        message(id: &str) -> Vec<MessageView>;
        journal(tenant: &TenantName, application: &ExternalId) -> Vec<JournalEntry>;
        parked_counts(tenant: Option<&TenantName>) -> BTreeMap<String, u64>;
        tenants() -> Vec<TenantRecord>;
        put_tenant(tenant: TenantRecord, expected: Option<u64>) -> bool;
        remove_tenant(name: &TenantName) -> bool;
        forget_removed(disabled: Timestamp) -> u64;
        erase(tenant: &TenantName, person: &Person, really: bool) -> BTreeMap<&'static str, u64>;
        set_standing(name: &TenantName, standing: Standing, cause: Option<&str>, until: Option<Timestamp>, over: Option<u64>) -> Option<u64>;
        end_standing(name: &TenantName, until: Timestamp) -> bool;
        beat(beat: Beat, alive: Duration) -> Vec<ProcessRecord>;
        processes(alive: Duration) -> Vec<ProcessRecord>;
        leave(process: Uuid) -> ();
        show_children(process: Uuid, children: Vec<ChildSnapshot>) -> ();
        hide_children(process: Uuid, names: Vec<String>) -> ();
        children(name: Option<&str>) -> Vec<ShownChild>;
        tell_callers(callers: Vec<Callers>) -> ();
        callers(tenant: Option<&TenantName>) -> Vec<Callers>;
        forget_refusals(tenant: &TenantName, door: Door) -> ();
        tenants_version() -> u64;
        platforms() -> Vec<PlatformAccount>;
        put_platform(account: PlatformAccount) -> ();
        remove_platform(name: &str) -> bool;
        put_secret(secret: SealedSecret) -> ();
        keep_secret(secret: SealedSecret) -> SealedSecret;
        reseal(before: &SealedSecret, after: SealedSecret) -> bool;
        secrets(owner: &str) -> Vec<SealedSecret>;
        all_secrets() -> Vec<SealedSecret>;
        delete_secret(owner: &str, name: &str) -> bool;
        identity() -> String;
        sweep(now: Timestamp, history: Timestamp, candidates: Timestamp) -> ();
        pull_back() -> u64;
        gone_back() -> Option<u64>;
        went_back() -> Option<Timestamp>;
        ping() -> ();
    }
}
