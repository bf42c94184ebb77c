//! The five bad ones: what goes wrong with them, and what became of them.

use crate::{
    Size,
    cast::{Outside, moved, publication, publish},
    ground::Ground,
};
use atshub::rabbitmq::RabbitBroker;
use atshub_actors::ports::{Broker, Dossiers, Store};
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
/// How long a tenant that panics at every message does so, at least: the longest that can be asked for.
const PANICKING: u32 = 600;

/// Whom the flood is for that goes past the hub: no tenant of it.
const NOBODY: &str = "nobody";

/// The ways of being bad, each tenant its own.
const WAYS: [&str; 5] = ["panics", "floods", "blocks", "hangs", "revoked"];

/// Those named, with commas between them; without any, all.
pub(crate) fn ways(named: Option<&str>) -> Vec<String> {
    let Some(named) = named else { return WAYS.map(str::to_owned).to_vec() };
    let ways: Vec<String> = named.split(',').map(str::to_owned).collect();
    let unknown = ways.iter().find(|way| !WAYS.contains(&way.as_str()));
    assert!(unknown.is_none(), "--bad takes some of {WAYS:?}, not {unknown:?}");
    ways
}

/// Places of those that get messages beyond their part of the load.
pub(crate) fn busy(size: &Size) -> [usize; 4] {
    let ashby = size.tenants - size.ashby;
    [PANICS, FREEZES, ashby, ashby + 1]
}

/// The bad ones.
pub(crate) struct Bad {
    /// Those of [`WAYS`] that are wanted in this run; the other tenants of the five are well, though nobody counts them.
    ways: Vec<String>,
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
    pub(crate) async fn new(outside: &Outside, ground: &Ground, flood: usize, ways: &[String]) -> Self {
        let broker = RabbitBroker::connect(&ground.node.url(), Handle::current(), Default::default()).await.unwrap();
        let mut ashby = outside.bad_ashby().into_iter();
        let (hangs, revoked) = (ashby.next().unwrap(), ashby.next().unwrap());
        let names = [PANICS, FLOODS, FREEZES].map(|at| outside.name(at).clone());
        let (begun, drills) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { ways: ways.to_vec(), broker, names, hangs, revoked, flood, begun, drills }
    }

    /// Nobody is bad; the flood goes into a queue of its own, of the same kind, that no hub knows.
    pub(crate) async fn elsewhere(outside: &Outside, ground: &Ground, flood: usize) -> Self {
        let mut bad = Self::new(outside, ground, flood, &["floods".to_owned()]).await;
        bad.names[FLOODS] = NOBODY.parse().unwrap();
        bad.broker.declare(atshub::hub::inbox(&bad.names[FLOODS])).await.unwrap();
        bad
    }

    fn wanted(&self, way: &str) -> bool {
        self.ways.iter().any(|wanted| wanted == way)
    }

    /// A thread that is to be blocked at every message is asked for before each.
    pub(crate) async fn before(&self, tenant: usize) {
        if tenant == FREEZES && self.wanted("blocks") && self.begun.load(Ordering::Relaxed) {
            self.drill(FREEZES, DrillFault::TenantFreeze, BLOCKED).await;
        }
    }

    async fn drill(&self, tenant: usize, fault: DrillFault, seconds: u32) {
        let request = DrillRequest { fault, seconds, by: Line::new("bench").unwrap() };
        let source = Line::new("/operators/bench").unwrap();
        let drill = Envelope::new(source, self.names[tenant].clone(), Timestamp::now(), Message::DrillRequested(request));
        let heard = self.broker.publish(vec![publication(topology::CONTROL, &drill)]).await;
        self.drills.fetch_add(usize::from(heard.iter().all(Result::is_ok)), Ordering::Relaxed);
    }

    /// Lets everything go wrong after this time. Answers with how long it took to publish the flood.
    pub(crate) async fn begin(&self, after: Duration) -> Duration {
        tokio::time::sleep(after).await;
        self.begun.store(true, Ordering::Relaxed);
        if self.wanted("panics") {
            self.drill(PANICS, DrillFault::TenantPanic, PANICKING).await;
        }
        if self.wanted("hangs") {
            self.hangs.1.faults().next("*", Fault::Hang, usize::MAX);
        }
        if self.wanted("revoked") {
            self.revoked.1.faults().next("*", Fault::RefuseCredential, usize::MAX);
        }
        if !self.wanted("floods") {
            return Duration::ZERO;
        }
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
        let told = [
            ("panics", "panics at every message", PANICS),
            ("floods", "floods", FLOODS),
            ("blocks", "blocks its thread", FREEZES),
            ("hangs", "its ATS hangs", self.hangs.0),
            ("revoked", "its key is revoked", self.revoked.0),
        ];
        for (_, what, at) in told.into_iter().filter(|(way, ..)| self.wanted(way)) {
            let name = outside.name(at);
            if at == FLOODS && *name != self.names[FLOODS] {
                continue;
            }
            let standing = records.iter().find(|r| r.name == *name).map_or("gone", |r| r.standing.as_str());
            let parked = ground.store.parked_counts(Some(name)).await.unwrap();
            let (decided, invited) = (ground.store.candidacy_counts(Some(name)).await.unwrap(), outside.invitations_of(at));
            lines.push(format!(
                "bad: {what} ({name}): stands {standing}, candidacies {decided:?}, {invited} statuses written, parked {parked:?}"
            ));
        }
        if self.wanted("floods") {
            lines.push(format!("bad: {} messages of the flood were published in {:.1} s", self.flood, flood.as_secs_f64()));
        }
        lines.push(format!("bad: {} drills were heard", self.drills.load(Ordering::Relaxed)));
        lines
    }
}
