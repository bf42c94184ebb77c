//! The table of workers: the work that all processes share, each kind on a queue of its own. Children of every kind are the same actor
//! ([`atshub_actors::supervision::WorkActor`]); what differs is a row here.

use super::HubOptions;
use atshub_actors::{
    invite::{self, InviteOffice},
    ports::QueueSpec,
    supervision::{ChildName, ChildSpec, Factory, LaneOf, LastWords, Phase},
};
use atshub_schemas::topology;
use std::sync::Arc;

/// What every worker may work with.
pub(super) struct Office {
    pub(super) invites: InviteOffice,
}

/// A kind of work.
struct Worker {
    /// What its children's names begin with.
    name: &'static str,
    /// The queue they share, which is also the key that it is bound by.
    queue: &'static str,
    /// How many of them this process has.
    count: fn(&HubOptions) -> usize,
    /// Most deliveries that one of them has in hand.
    prefetch: fn(&HubOptions) -> u16,
    /// Which of its messages are worked on one after the other.
    lane: LaneOf,
    /// What is stored with a message that is parked because it crashed one of them twice.
    last_words: fn(&Office) -> LastWords,
    /// Makes one.
    factory: fn(&Office) -> Factory,
}

const WORKERS: &[Worker] = &[Worker {
    name: "invites",
    queue: topology::INVITES,
    count: |options| options.invite_actors,
    prefetch: |options| options.invite_prefetch,
    lane: invite::lane,
    last_words: |office| invite::last_words(office.invites.clone()),
    factory: |office| {
        let office = office.invites.clone();
        Arc::new(move |birth| invite::start(office.clone(), birth))
    },
}];

/// The queues of shared work, those included that nobody works on yet: what is published for them is kept.
pub(super) fn queues() -> impl Iterator<Item = QueueSpec> {
    [topology::INVITES, topology::NOTICES, topology::RESULTS].into_iter().map(queue)
}

fn queue(name: &str) -> QueueSpec {
    QueueSpec { name: name.into(), single_consumer: false, bindings: vec![(topology::WORK.into(), name.into())], expires: None }
}

/// The children of this process that work for all tenants.
pub(super) fn children(options: &HubOptions, office: &Office) -> Vec<ChildSpec> {
    let of_kind = |worker: &Worker| {
        let (last_words, factory) = ((worker.last_words)(office), (worker.factory)(office));
        let child = |n: usize| ChildSpec {
            name: ChildName(format!("{}/{n}", worker.name).into()),
            tenant: None,
            revision: 0,
            queue: queue(worker.queue),
            prefetch: (worker.prefetch)(options),
            lane: worker.lane,
            last_words: Some(Arc::clone(&last_words)),
            standing: Phase::Starting,
            stood: 0,
            cause: None,
            factory: Arc::clone(&factory),
        };
        (1..=(worker.count)(options).max(1)).map(child).collect::<Vec<_>>()
    };
    WORKERS.iter().flat_map(of_kind).collect()
}
