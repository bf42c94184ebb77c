//! The hub's tenants as the doors are shown them. It decides nothing.

use crate::{
    api::{self, TenantDoor, TenantRow},
    hub,
};
use atshub_actors::supervision::{Board, BreakerSnapshot, BreakerState, ChildSnapshot, ThreadSnapshot};
use atshub_schemas::TenantName;
use std::{collections::BTreeMap, sync::Arc};

/// The hub's tenants and their actors, as the doors see them.
pub(super) struct Tenants(pub(super) Arc<hub::Directory>, pub(super) Board);

impl api::Directory for Tenants {
    fn tenant(&self, name: &str) -> Option<TenantDoor> {
        let seat = self.0.seat(&TenantName::new(name).ok()?)?;
        Some(TenantDoor {
            record: Arc::clone(&seat.record),
            account: seat.account.clone(),
            entry: seat.entry?,
            platform: seat.platform.as_ref().map(|platform| Arc::clone(&platform.adapter)),
        })
    }

    fn snapshot(&self) -> Vec<TenantRow> {
        let row = |seat: Arc<hub::Seat>| {
            let child = self.0.child(&seat.record.name);
            TenantRow {
                name: seat.record.name.to_string(),
                ats: seat.entry.map_or_else(|| seat.record.ats.clone(), |entry| entry.name.to_owned()),
                phase: match &child {
                    Some(child) => child.phase.as_str(),
                    None if self.0.owns(&seat.record.name) => "starting",
                    None => "elsewhere",
                }
                .to_owned(),
                generation: child.as_ref().map_or(0, |child| child.generation),
                restarts: child.as_ref().map_or(0, |child| child.restarts),
                next_start: child.as_ref().and_then(|child| child.next_start),
                breakers: breakers(child.as_ref(), &seat),
                in_flight: child.as_ref().map_or(0, |child| child.in_hand as u64),
                held_since: child.as_ref().and_then(|child| child.held_since),
                oldest: child.as_ref().and_then(|child| child.oldest),
                cause: child.and_then(|child| child.cause).or_else(|| seat.record.cause.clone()),
            }
        };
        self.0.all().into_iter().map(row).collect()
    }

    fn restarts(&self) -> BTreeMap<String, u64> {
        self.1.restarts()
    }

    fn threads(&self) -> Vec<ThreadSnapshot> {
        self.1.threads()
    }
}

/// The breakers before a tenant's ATS and, where it lets no or few calls through, before its platform.
fn breakers(child: Option<&ChildSnapshot>, seat: &hub::Seat) -> Vec<BreakerSnapshot> {
    let own = child.map(|child| child.breakers.clone()).unwrap_or_default();
    let platform = seat.platform.as_ref().map(|platform| platform.gate.shown());
    own.into_iter().chain(platform.filter(|breaker| breaker.state != BreakerState::Closed)).collect()
}
