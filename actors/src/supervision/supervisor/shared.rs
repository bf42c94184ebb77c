//! Children that work for all tenants: nobody else does their work, so they are never set aside. When a tenant's message makes one
//! of them die, the child goes on at once, and the death counts against the tenant.

use super::{STORE_AGAIN, Supervisor, deaths::FREEZES};
use crate::phase::{Phase, Step};
use crate::ports::Standing;
use crate::supervision::{
    backoff::{Intensity, Verdict},
    notice::ChildName,
};
use actix::Context;
use atshub_schemas::TenantName;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What a tenant's messages have done to children that work for all.
#[derive(Debug, Default)]
pub(super) struct Blame {
    deaths: Intensity,
    frozen: u32,
}

impl Supervisor {
    /// A child that works for all died of a message: its next generation is made at once, because the others' messages are not to
    /// wait. That comes to an end by itself: a message that does it twice is parked, a tenant whose messages go on is set aside.
    pub(super) fn again_at_once(&mut self, name: &ChildName, code: &str, cause: String, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get(name).filter(|c| !c.leaving && c.phase.wants_actor()) else { return };
        let generation = child.generation;
        self.note(name, code, &cause);
        self.back_off(name, generation, Duration::ZERO, cause, ctx);
    }

    /// A tenant's message made a child that works for all die. The tenant is held to what its own actor is held to.
    pub(super) fn blamed(&mut self, tenant: TenantName, cause: &str, froze: bool) {
        let now = Instant::now();
        let blame = self.blames.entry(tenant.clone()).or_default();
        blame.frozen += u32::from(froze);
        let verdict = blame.deaths.died(&self.options.restarts, now, 0.5);
        blame.deaths.came_up(now);
        if verdict != Verdict::Quarantine && blame.frozen <= FREEZES {
            return;
        }
        self.blames.remove(&tenant);
        let cause = format!("its messages made what works for all tenants die too often, last: {cause}");
        tracing::error!(%tenant, cause, "a tenant is quarantined");
        let here = self.children.iter().find(|(_, child)| child.spec.tenant.as_ref() == Some(&tenant));
        match here.map(|(name, child)| (name.clone(), child.phase)) {
            Some((name, phase)) if phase.wants_actor() || phase == Phase::BackingOff => {
                self.set_aside(&name, Step::Quarantine, cause, None);
            }
            // Somebody has set it aside already.
            Some(_) => {}
            None => self.quarantine_elsewhere(tenant, cause),
        }
    }

    /// Another process runs it, and learns of this from the store.
    fn quarantine_elsewhere(&self, tenant: TenantName, cause: String) {
        let (store, stored) = (Arc::clone(&self.options.store), Arc::clone(&self.options.stored));
        self.options.io.spawn(async move {
            loop {
                let done = async {
                    let found = store.tenants().await?.into_iter().find(|record| record.name == tenant);
                    if let Some(record) = found.filter(|record| record.standing == Standing::Active) {
                        // Whoever was faster has looked at it since.
                        store.set_standing(&tenant, Standing::Quarantined, Some(&cause), None, Some(record.stood)).await?;
                    }
                    Ok::<_, crate::ports::StoreError>(())
                };
                match done.await {
                    Ok(()) => return stored.notify_one(),
                    Err(error) => tracing::warn!(%tenant, %error, "failed to store a tenant's standing; trying again"),
                }
                tokio::time::sleep(STORE_AGAIN).await;
            }
        });
    }
}
