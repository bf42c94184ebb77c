//! Dossiers as they were just saved, for whoever works on them next in this process: that one need not read them. It saves over the version
//! that it has, so that it harms nobody if somebody else was there before. Decides nothing.

use crate::domain::Dossier;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use uuid::Uuid;

/// Most that are kept. Others are read from the store.
const MOST: usize = 256;

/// Dossiers that were just saved, by the candidacy that is worked on next.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Each with its place in the order.
    dossiers: HashMap<Uuid, (u64, Dossier)>,
    /// In the order in which they came; some are gone already, or came again.
    order: VecDeque<(u64, Uuid)>,
    next: u64,
}

impl Recent {
    /// Keeps one that was committed. Never one that is about to be: it may come to be another one with the same version.
    pub(crate) fn put(&self, candidacy: Uuid, committed: Dossier) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.next += 1;
        let place = inner.next;
        inner.dossiers.insert(candidacy, (place, committed));
        inner.order.push_back((place, candidacy));
        while inner.order.len() > MOST
            && let Some((place, oldest)) = inner.order.pop_front()
        {
            if inner.dossiers.get(&oldest).is_some_and(|(at, _)| *at == place) {
                inner.dossiers.remove(&oldest);
            }
        }
    }

    /// Takes it away: who asks again reads the store.
    pub(crate) fn take(&self, candidacy: Uuid) -> Option<Dossier> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.dossiers.remove(&candidacy).map(|(_, dossier)| dossier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_schemas::{ExternalId, TenantName, fact::Application};
    use jiff::Timestamp;

    fn dossier(version: u64) -> Dossier {
        let application = Application { id: ExternalId::new("a-1").unwrap(), url: None, status: None };
        Dossier { version, ..Dossier::new(TenantName::new("acme").unwrap(), application, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn one_is_taken_once_and_the_oldest_go_when_there_are_too_many() {
        let (recent, ids) = (Recent::default(), (0..2 * MOST as u128).map(Uuid::from_u128).collect::<Vec<_>>());
        for (version, id) in (1..).zip(&ids) {
            recent.put(*id, dossier(version));
        }
        assert!(recent.take(ids[MOST - 1]).is_none(), "it was one of the oldest");
        assert_eq!(recent.take(ids[MOST]).map(|d| d.version), Some(MOST as u64 + 1));
        assert!(recent.take(ids[MOST]).is_none());
        recent.put(ids[MOST], dossier(9_999));
        assert_eq!(recent.take(ids[MOST]).map(|d| d.version), Some(9_999));
        let inner = recent.0.lock().unwrap();
        assert!(inner.order.len() <= MOST && inner.dossiers.len() <= MOST);
    }
}
