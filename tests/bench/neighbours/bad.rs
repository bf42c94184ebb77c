//! The five bad ones: what goes wrong with them, and what became of them.

use crate::{
    cast::{Outside, moved, publication, publish},
    ground::Ground,
};
use atshub::rabbitmq::RabbitBroker;
use atshub_actors::ports::{Broker, Store};
use atshub_schemas::{
    Envelope, Line, Message, TenantName,
    control::{DrillFault, DrillRequest},
    topology,
};
use atshub_simulators::{Fault, ashby::Account};
use jiff::Timestamp;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Places of the bad bridges among the tenants.
const PANICS: usize = 0;
const FLOODS: usize = 1;
const FREEZES: usize = 2;
/// Messages of the flood that are published together.
const WAVE: usize = 500;
/// How long the blocked thread stays blocked.
const BLOCKED: u32 = 60;

/// The bad ones.
pub(crate) struct Bad {
    /// A connection of their own, so that the flood stands in nobody's way before it is in the broker.
    broker: RabbitBroker,
    names: [TenantName; 3],
    hangs: (usize, Account),
    revoked: (usize, Account),
    flood: usize,
    begun: AtomicBool,
    drills: AtomicUsize,
}

impl Bad {
    pub(crate) async fn new(outside: &Outside, ground: &Ground, flood: usize) -> Self {
        let broker = RabbitBroker::connect(&ground.node.url(), Handle::current(), Default::default()).await.unwrap();
        let mut ashby = outside.bad_ashby().into_iter();
        let (hangs, revoked) = (ashby.next().unwrap(), ashby.next().unwrap());
        let names = [PANICS, FLOODS, FREEZES].map(|at| outside.name(at).clone());
        Self { broker, names, hangs, revoked, flood, begun: AtomicBool::new(false), drills: AtomicUsize::new(0) }
    }

    /// What goes wrong inside the hub is asked for before each message of the tenant that it is to happen to.
    pub(crate) async fn before(&self, tenant: usize) {
        let fault = match tenant {
            PANICS => DrillFault::TenantPanic,
            FREEZES => DrillFault::TenantFreeze,
            _ => return,
        };
        if !self.begun.load(Ordering::Relaxed) {
            return;
        }
        let request = DrillRequest { fault, seconds: BLOCKED, by: Line::new("bench").unwrap() };
        let source = Line::new("/operators/bench").unwrap();
        let drill = Envelope::new(source, self.names[tenant].clone(), Timestamp::now(), Message::DrillRequested(request));
        let heard = self.broker.publish(vec![publication(topology::CONTROL, &drill)]).await;
        self.drills.fetch_add(usize::from(heard.iter().all(Result::is_ok)), Ordering::Relaxed);
    }

    /// Lets everything go wrong after this time. Answers with how long it took to publish the flood.
    pub(crate) async fn begin(&self, after: Duration) -> Duration {
        tokio::time::sleep(after).await;
        self.begun.store(true, Ordering::Relaxed);
        self.hangs.1.faults().next("*", Fault::Hang, usize::MAX);
        self.revoked.1.faults().next("*", Fault::Fail(401), usize::MAX);
        let (began, tenant) = (Instant::now(), &self.names[FLOODS]);
        for first in (0..self.flood).step_by(WAVE) {
            let wave = (first..(first + WAVE).min(self.flood)).map(|n| moved(tenant, &format!("flood-{n}")).0);
            publish(&self.broker, wave.map(|envelope| publication(topology::EVENTS, &envelope)).collect()).await;
        }
        began.elapsed()
    }

    /// What became of each, a line for the table.
    pub(crate) async fn report(&self, outside: &Outside, ground: &Ground, flood: Duration) -> Vec<String> {
        let records = ground.store.tenants().await.unwrap();
        let mut lines = Vec::new();
        for (what, at) in [
            ("panics at every message", PANICS),
            ("floods", FLOODS),
            ("blocks its thread", FREEZES),
            ("its ATS hangs", self.hangs.0),
            ("its key is revoked", self.revoked.0),
        ] {
            let name = outside.name(at);
            let standing = records.iter().find(|r| r.name == *name).map_or("gone", |r| r.standing.as_str());
            let parked = ground.store.parked_counts(Some(name)).await.unwrap();
            let invited = outside.invitations_of(at);
            lines.push(format!("bad: {what} ({name}): stands {standing}, {invited} statuses written, parked {parked:?}"));
        }
        let asked = self.drills.load(Ordering::Relaxed);
        lines.push(format!(
            "bad: {} messages of the flood were published in {:.1} s; {asked} drills were heard",
            self.flood,
            flood.as_secs_f64()
        ));
        lines
    }
}
