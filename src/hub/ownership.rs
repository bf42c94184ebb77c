//! Who runs which tenant, as one process sees it: rendezvous hashing over the processes that may run tenants. Pure: the same
//! processes and the same name have the same owner in every process, and a process that joins or leaves moves only the tenants
//! that it gets, or had.
//!
//! Views differ for as long as a beat takes to be seen. That is no harm: a tenant's queue has a single active consumer, so that
//! of two that both think they own it one waits, and one that nobody thinks it owns keeps its messages.

use atshub_actors::ports::ProcessRecord;
use atshub_schemas::TenantName;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A process's weight for a tenant. SHA-256, because the standard library's hashes may change with its version, and two
/// versions of the hub may run at the same time.
fn weight(process: Uuid, tenant: &TenantName) -> [u8; 32] {
    Sha256::new_with_prefix(process.as_bytes()).chain_update(tenant.as_str()).finalize().into()
}

/// The process that a tenant is for: the one with the highest weight. `None` if there is none at all.
#[must_use]
pub fn owner(processes: &BTreeSet<Uuid>, tenant: &TenantName) -> Option<Uuid> {
    processes.iter().copied().max_by_key(|process| (weight(*process, tenant), *process))
}

/// How one process sees the others, and itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    own: Uuid,
    candidates: BTreeSet<Uuid>,
    adrift: bool,
}

impl View {
    /// These share the tenants.
    #[must_use]
    pub fn of(own: Uuid, candidates: BTreeSet<Uuid>) -> Self {
        Self { own, candidates, adrift: false }
    }

    /// This process shares its tenants with nobody.
    #[must_use]
    pub fn sole(own: Uuid) -> Self {
        Self::of(own, [own].into())
    }

    /// This process has been out of touch for so long that others may do its work: it runs nothing.
    #[must_use]
    pub fn adrift(&self) -> Self {
        Self { adrift: true, ..self.clone() }
    }

    /// Whether this process runs anything: tenants that it owns, and its part of the shared queues.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.adrift
    }

    /// Whether this process runs this tenant.
    #[must_use]
    pub fn owns(&self, tenant: &TenantName) -> bool {
        self.works() && owner(&self.candidates, tenant) == Some(self.own)
    }

    /// The processes that share the tenants.
    #[must_use]
    pub fn candidates(&self) -> &BTreeSet<Uuid> {
        &self.candidates
    }
}

/// What a process knows of itself when it looks at the others.
#[derive(Debug, Clone, Copy)]
pub struct Standpoint<'a> {
    /// Which one it is.
    pub own: Uuid,
    /// Whether it can run tenants now.
    pub able: bool,
    /// Whether it is being stopped.
    pub stopping: bool,
    /// Whether it was out of touch a moment ago, and with it perhaps everybody; and who shared the tenants before.
    pub returning: Option<&'a BTreeSet<Uuid>>,
}

/// Who shares the tenants, by what the store said last.
///
/// Those that live and are able. But whoever returns from being out of touch does not yet know who else is only about to
/// return (a broker or a store that was away for everybody): for a while it counts all that live, and all that shared the
/// tenants before, so that the first one to return does not take everything and give most of it back.
#[must_use]
pub fn candidates(records: &[ProcessRecord], at: Standpoint<'_>) -> BTreeSet<Uuid> {
    let others = || records.iter().filter(|other| other.process != at.own && other.live);
    let mut found: BTreeSet<Uuid> = others().filter(|other| other.able || at.returning.is_some()).map(|other| other.process).collect();
    found.extend(at.returning.into_iter().flatten());
    // Whoever is alone keeps what it has while its broker is away: there is nobody to take it over.
    let stays = at.able || (!at.stopping && others().next().is_none());
    if stays {
        found.insert(at.own)
    } else {
        found.remove(&at.own)
    };
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn tenants() -> impl Iterator<Item = TenantName> {
        (0..600).map(|n| TenantName::new(format!("tenant-{n}")).unwrap())
    }

    fn processes() -> impl Strategy<Value = BTreeSet<Uuid>> {
        proptest::collection::btree_set(any::<u128>().prop_map(Uuid::from_u128), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_tenant_is_owned_by_exactly_one_of_the_processes(processes in processes()) {
            let views: Vec<View> = processes.iter().map(|own| View::of(*own, processes.clone())).collect();
            for tenant in tenants() {
                prop_assert_eq!(views.iter().filter(|view| view.owns(&tenant)).count(), 1);
            }
        }

        #[test]
        fn a_process_that_joins_moves_only_the_tenants_that_it_gets(before in processes(), new in any::<u128>()) {
            let new = Uuid::from_u128(new);
            prop_assume!(!before.contains(&new));
            let mut after = before.clone();
            after.insert(new);
            for tenant in tenants() {
                let (was, is) = (owner(&before, &tenant), owner(&after, &tenant));
                prop_assert!(was == is || is == Some(new));
            }
        }

        #[test]
        fn a_process_that_leaves_moves_only_the_tenants_that_it_had(before in processes(), which in any::<prop::sample::Index>()) {
            let gone = *which.get(&before.iter().copied().collect::<Vec<_>>());
            let mut after = before.clone();
            after.remove(&gone);
            for tenant in tenants() {
                let (was, is) = (owner(&before, &tenant), owner(&after, &tenant));
                prop_assert!(was == is || was == Some(gone));
            }
        }

        #[test]
        fn no_process_has_less_than_half_or_more_than_twice_its_share(processes in processes()) {
            let share = tenants().count() / processes.len();
            for process in &processes {
                let has = tenants().filter(|tenant| owner(&processes, tenant) == Some(*process)).count();
                prop_assert!(has * 2 >= share && has <= share * 2, "{has} of a share of {share}");
            }
        }
    }

    #[test]
    fn the_owner_of_a_tenant_is_the_same_in_every_version_of_the_hub() {
        let processes: BTreeSet<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let owners: Vec<u128> = ["acme", "birch", "cedar", "dune", "ember", "fjord"]
            .map(|name| owner(&processes, &TenantName::new(name).unwrap()).unwrap().as_u128())
            .into();
        assert_eq!(owners, [3, 3, 2, 1, 2, 1]);
        assert_eq!(owner(&BTreeSet::new(), &TenantName::new("acme").unwrap()), None);
    }

    fn record(process: u128, able: bool, live: bool) -> ProcessRecord {
        let at = Timestamp::UNIX_EPOCH;
        ProcessRecord { process: Uuid::from_u128(process), name: format!("host:{process}"), started_at: at, beat_at: at, able, live }
    }

    fn seen(records: &[ProcessRecord], able: bool, stopping: bool, returning: Option<&[u128]>) -> Vec<u128> {
        let before: Option<BTreeSet<Uuid>> = returning.map(|ids| ids.iter().copied().map(Uuid::from_u128).collect());
        let at = Standpoint { own: Uuid::from_u128(1), able, stopping, returning: before.as_ref() };
        candidates(records, at).into_iter().map(|process| process.as_u128()).collect()
    }

    #[test]
    fn those_that_live_and_are_able_share_the_tenants() {
        let all = [record(1, true, true), record(2, true, true), record(3, false, true), record(4, true, false)];
        assert_eq!(seen(&all, true, false, None), [1, 2]);
        assert_eq!(seen(&all, false, false, None), [2], "what it knows of itself is newer than what it last said");
        assert_eq!(seen(&all, false, true, None), [2], "it is being stopped");
    }

    #[test]
    fn whoever_is_alone_keeps_its_tenants_while_its_broker_is_away_and_not_when_it_is_stopped() {
        let alone = [record(1, false, true), record(2, true, false)];
        assert_eq!(seen(&alone, false, false, None), [1]);
        assert_eq!(seen(&alone, false, true, None), [0u128; 0]);
    }

    #[test]
    fn whoever_returns_counts_those_that_may_be_about_to_return() {
        let all = [record(1, false, true), record(2, false, true), record(3, true, false)];
        assert_eq!(seen(&all, true, false, Some(&[1, 3])), [1, 2, 3], "2 lives, 3 was there before");
        assert_eq!(seen(&all, true, false, None), [1], "and a while later those alone that did");
        assert_eq!(seen(&all, false, false, Some(&[1, 3])), [2, 3], "it has not yet returned itself");
    }

    #[test]
    fn a_process_adrift_runs_nothing() {
        let view = View::sole(Uuid::from_u128(1));
        let acme = TenantName::new("acme").unwrap();
        assert!(view.works() && view.owns(&acme));
        assert!(!view.adrift().works() && !view.adrift().owns(&acme));
        assert_eq!(view.adrift().candidates(), view.candidates(), "it remembers who was there");
    }
}
