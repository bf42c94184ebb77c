//! The same on a store, through its port alone. Broker, actors and outside are simulated here: no more of them than what the rail has to
//! be right about. Every answer of the store is held against the model's.

use super::{
    model::{Begun, Model},
    words::{ACTORS, Answer, End, KEYS, POISON, RELAY_LEASE, RETRY, Step, WORKS, Word, is_invitation},
};
use crate::support::build::{handled, later, moved, now, parked, publishes};
use atshub_actors::{
    domain::EffectKey,
    ports::{Attempt, Change, Claim, ClaimedRow, CommitOutcome, Conflict, MessageKey, OutboxRow, Progress, Store},
};
use atshub_schemas::{Envelope, TenantName, topology};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// Longer than any case takes: leases end when a step says so.
const LEASE: Duration = Duration::from_secs(3_600);
/// Most rows that are claimed at once: all there are.
const ALL: usize = 1_000;
/// Rounds in which everything has to come to rest.
const ROUNDS: u64 = 20;

/// One case on a store. Cases have tenants of their own, so that they may share it.
pub(super) struct System {
    store: Arc<dyn Store>,
    tenant: TenantName,
    began: Timestamp,
    facts: Vec<Envelope>,
    works: Vec<Envelope>,
    /// The store's names of the model's owners.
    owners: BTreeMap<u32, Uuid>,
    hands: [Option<(usize, Uuid, bool)>; ACTORS],
    claimed: [Vec<(u32, ClaimedRow)>; ACTORS],
    /// What the outside was made to do, which it counts and never refuses.
    effects: [u32; WORKS],
}

fn effect_key(key: usize) -> EffectKey {
    EffectKey { candidacy: Uuid::from_u128(1 + key as u128), intent: 1, what: "effect".into() }
}

impl System {
    pub(super) async fn new(store: Arc<dyn Store>) -> Self {
        let tenant = TenantName::new(format!("t-{}", Uuid::now_v7().simple())).unwrap();
        let began = now();
        // Whatever a case that failed has left in the queue that all share.
        store.send_again(topology::INVITES).await.unwrap();
        for row in store.claim(later(began, 1_000_000_000), ALL, ALL, Duration::ZERO).await.unwrap() {
            let left = Envelope::decode(&row.body).unwrap();
            let _ = store.commit(Change { handled: handled(&left), ..Change::default() }).await.unwrap();
            store.sent(vec![row]).await.unwrap();
        }
        let envelopes = |what: &str| (0..WORKS).map(|n| moved(&tenant, &format!("{what}-{n}"))).collect();
        let (facts, works) = (envelopes("fact"), envelopes("work"));
        let (owners, hands, claimed) = (BTreeMap::new(), Default::default(), Default::default());
        Self { store, began, facts, works, owners, hands, claimed, effects: [0; WORKS], tenant }
    }

    fn time(&self, seconds: u64) -> Timestamp {
        later(self.began, i64::try_from(seconds).unwrap())
    }

    fn key(&self, work: usize) -> MessageKey {
        MessageKey::from(&self.works[work])
    }

    /// A row that asks for a work.
    fn row(&self, work: usize, due: Option<u64>, key: Option<EffectKey>) -> OutboxRow {
        let row = publishes(&self.works[work], due.map(|due| self.time(due)));
        let routing_key = if is_invitation(work) { topology::INVITES.to_owned() } else { row.routing_key };
        OutboxRow { routing_key, key, ..row }
    }

    async fn commit_once(&self, change: Change) -> CommitOutcome {
        loop {
            match self.store.commit(change.clone()).await.unwrap() {
                CommitOutcome::Conflict(Conflict::Raced) => {}
                outcome => return outcome,
            }
        }
    }

    /// Commits as the answers come, or do not, and holds them against what they are to be.
    async fn commit(&self, change: Change, answer: Answer, first: CommitOutcome, again: CommitOutcome) {
        let outcomes = match answer {
            Answer::Heard => vec![self.commit_once(change).await],
            Answer::Lost => vec![self.commit_once(change.clone()).await, self.commit_once(change).await],
            Answer::Twice => {
                let (one, other) = tokio::join!(self.commit_once(change.clone()), self.commit_once(change));
                if one == first { vec![one, other] } else { vec![other, one] }
            }
        };
        let expected = [first, again];
        assert_eq!(outcomes, expected[..outcomes.len()], "{answer:?}");
    }

    /// A change that counts once, however often it is committed.
    async fn commit_guarded(&self, change: Change, answer: Answer, committed: bool) {
        let first = if committed { CommitOutcome::Committed } else { CommitOutcome::Duplicate };
        self.commit(change, answer, first, CommitOutcome::Duplicate).await;
    }

    pub(super) async fn apply(&mut self, model: &Model, step: Step) {
        match step {
            Step::Fact { work, answer } => {
                let outbox = vec![self.row(work, None, Some(effect_key(work % KEYS)))];
                let change = Change { handled: handled(&self.facts[work]), outbox, ..Change::default() };
                self.commit_guarded(change, answer, model.last.committed).await;
            }
            Step::TakeBack { key, answer } => {
                let change = Change { taken_back: vec![(self.tenant.clone(), effect_key(key))], ..Change::default() };
                self.commit(change, answer, CommitOutcome::Committed, CommitOutcome::Committed).await;
            }
            Step::Wait { .. } => {}
            Step::Claim { relay } => self.claim(model, relay).await,
            Step::Publish { relay, row, word } => self.publish(model, relay, row, word).await,
            Step::Take { actor, work, answer } => self.take(model, actor, work, answer).await,
            Step::TakeBoth { work } => self.take_both(model, work).await,
            Step::Lapse { work } => self.lapse(model.attempts[work].owner, work).await,
            Step::Renew { actor } => {
                let (work, owner, _) = self.hands[actor].unwrap();
                let claim = Claim { owner, lease: LEASE, takes_over: None };
                assert_eq!(self.store.renew(&self.key(work), claim).await.unwrap(), model.last.owned);
            }
            Step::Act { actor } => {
                let (work, _, looks) = self.hands[actor].unwrap();
                self.act(work, looks);
            }
            Step::Settle { actor, end, answer, .. } => self.settle(model, actor, end, answer).await,
            Step::Die { actor, counted } => self.die(model, actor, counted).await,
            Step::Restart => {
                self.hands = Default::default();
                self.store.only_process_begins(Duration::ZERO).await.unwrap();
                // Where a store is not one process's own, each lease ends by itself.
                for work in 0..WORKS {
                    self.lapse(model.attempts[work].owner, work).await;
                }
            }
            Step::LoseQueue { invitations } => {
                let queue = if invitations { topology::INVITES.to_owned() } else { topology::tenant_queue(&self.tenant) };
                assert_eq!(self.store.send_again(&queue).await.unwrap(), model.last.again, "{queue}");
            }
        }
        assert_eq!(self.effects, model.effects);
    }

    /// The lease of an attempt ends now, as if its owner had been silent for so long.
    async fn lapse(&self, owner: Option<u32>, work: usize) {
        let Some(owner) = owner.map(|owner| self.owners[&owner]) else { return };
        let over = Claim { owner, lease: Duration::ZERO, takes_over: None };
        assert!(self.store.renew(&self.key(work), over).await.unwrap(), "the store has another owner");
    }

    /// Looks whether it was done before, where that may be, and does it if not.
    fn act(&mut self, work: usize, looks: bool) {
        if !(looks && self.effects[work] > 0) {
            self.effects[work] += 1;
        }
    }

    async fn claim(&mut self, model: &Model, relay: usize) {
        let lease = Duration::from_secs(RELAY_LEASE);
        let mut rows = self.store.claim(self.time(model.now), ALL, ALL, lease).await.unwrap();
        rows.sort_by_key(|row| row.row);
        let new = &model.claimed[relay][self.claimed[relay].len()..];
        assert_eq!(rows.len(), new.len(), "the model says {new:?}");
        let mut numbers = new.to_vec();
        numbers.sort_unstable();
        let mut found = Vec::new();
        for (number, work) in numbers {
            let id = self.works[work].id.as_str();
            let at = rows.iter().position(|row| row.message_id == id).unwrap_or_else(|| panic!("no row of work {work}"));
            found.push((number, rows.remove(at)));
        }
        for (number, _) in new {
            let at = found.iter().position(|(found, _)| found == number).unwrap();
            self.claimed[relay].push(found.remove(at));
        }
    }

    async fn publish(&mut self, model: &Model, relay: usize, number: u32, word: Word) {
        let at = self.claimed[relay].iter().position(|(claimed, _)| *claimed == number).unwrap();
        let (_, row) = self.claimed[relay].remove(at);
        match word {
            Word::Confirmed => self.store.sent(vec![row]).await.unwrap(),
            Word::Refused => self.store.unsent(row, self.time(model.now + RETRY), "refused").await.unwrap(),
            Word::Lost => {}
        }
    }

    /// What the store says to a claim, held against the model.
    fn check(&self, model: &Model, work: usize, claim: Claim, progress: Progress) {
        let begun = match progress {
            Progress { handled: true, owner: None, held_until: None, .. } => Begun::Handled,
            Progress { handled: false, owner: None, held_until: Some(_), .. } => Begun::Held,
            Progress { handled: false, owner: Some(owner), held_until: None, .. } if owner == claim.owner => Begun::Taken,
            other => panic!("{other:?} to {claim:?}"),
        };
        let known = &model.attempts[work];
        assert_eq!(Some(begun), model.last.begun, "{progress:?}");
        assert_eq!((progress.begun, progress.failures, progress.crashes), (known.begun, known.failures, known.crashes), "work {work}");
    }

    async fn take(&mut self, model: &Model, actor: usize, work: usize, answer: Answer) {
        let takes_over = model.last.takes_over.map(|owner| self.owners[&owner]);
        let (key, claim) = (self.key(work), Claim { owner: Uuid::now_v7(), lease: LEASE, takes_over });
        let progress = match answer {
            Answer::Heard => self.store.begin(&key, claim).await.unwrap(),
            Answer::Lost => {
                self.store.begin(&key, claim).await.unwrap();
                self.store.begin(&key, claim).await.unwrap()
            }
            Answer::Twice => {
                let (one, other) = tokio::join!(self.store.begin(&key, claim), self.store.begin(&key, claim));
                let (one, other) = (one.unwrap(), other.unwrap());
                assert_eq!((one.owner, one.begun), (other.owner, other.begun));
                other
            }
        };
        self.check(model, work, claim, progress);
        match model.last.begun {
            Some(Begun::Taken) => self.has(model, actor, work, claim.owner),
            Some(Begun::Held) => self.put_off(model, work, answer).await,
            _ => {}
        }
    }

    fn has(&mut self, model: &Model, actor: usize, work: usize, owner: Uuid) {
        let hand = model.hands[actor].as_ref().unwrap();
        self.owners.insert(hand.owner, owner);
        self.hands[actor] = Some((work, owner, hand.looks));
    }

    /// A copy that another attempt holds waits.
    async fn put_off(&self, model: &Model, work: usize, answer: Answer) {
        let change = self.ends(model, work, None, End::PutOff);
        self.commit(change, answer, CommitOutcome::Committed, CommitOutcome::Committed).await;
    }

    async fn take_both(&mut self, model: &Model, work: usize) {
        let key = self.key(work);
        let [one, other] = [(); 2].map(|()| Claim { owner: Uuid::now_v7(), lease: LEASE, takes_over: None });
        let (first, second) = tokio::join!(self.store.begin(&key, one), self.store.begin(&key, other));
        let all = [(one, first.unwrap()), (other, second.unwrap())];
        let taken: Vec<Uuid> = all.iter().filter_map(|(claim, progress)| progress.owner.map(|_| claim.owner)).collect();
        assert_eq!(taken.len(), usize::from(model.last.begun == Some(Begun::Taken)), "{all:?}");
        if let Some(owner) = taken.first() {
            self.has(model, 0, work, *owner);
        }
        for (_, progress) in all {
            assert_eq!(progress.handled, model.last.begun == Some(Begun::Handled));
            if progress.held_until.is_some() {
                self.put_off(model, work, Answer::Heard).await;
            }
        }
    }

    /// The change that ends an attempt, or puts work off before one began.
    fn ends(&self, model: &Model, work: usize, owner: Option<Uuid>, end: End) -> Change {
        let due = model.now + RETRY;
        let waits = EffectKey { candidacy: Uuid::nil(), intent: 0, what: format!("waits/{}", self.works[work].id) };
        let outbox = match end {
            End::Retry => vec![self.row(work, Some(due), None)],
            End::PutOff => vec![self.row(work, Some(due), Some(waits))],
            End::Done | End::Park => vec![],
        };
        let next_at = (!outbox.is_empty()).then(|| self.time(due));
        let attempt =
            Attempt { key: self.key(work), owner, counts: end != End::PutOff, code: "test".into(), detail: String::new(), next_at };
        let parked = (end == End::Park).then(|| self.set_aside(work));
        Change { attempt: Some(attempt), outbox, parked, ..Change::default() }
    }

    fn set_aside(&self, work: usize) -> atshub_actors::ports::Parked {
        parked(self.tenant.as_str(), Some(self.works[work].id.as_str()), "test", &self.works[work].encode().unwrap())
    }

    async fn settle(&mut self, model: &Model, actor: usize, end: End, answer: Answer) {
        let (work, owner, _) = self.hands[actor].take().unwrap();
        let change = match end {
            End::Done => Change { handled: handled(&self.works[work]), ..Change::default() },
            end => self.ends(model, work, Some(owner), end),
        };
        self.commit_guarded(change, answer, model.last.committed).await;
    }

    async fn die(&mut self, model: &Model, actor: usize, counted: bool) {
        let (work, owner, _) = self.hands[actor].take().unwrap();
        if counted {
            let crashes = self.store.crashed(&self.key(work), Some(owner), "crashed").await.unwrap();
            assert_eq!(crashes, model.attempts[work].crashes);
            if crashes >= POISON {
                let change = Change { parked: Some(self.set_aside(work)), ..Change::default() };
                self.commit(change, Answer::Heard, CommitOutcome::Committed, CommitOutcome::Committed).await;
            }
        }
    }

    /// Lets everything that is left take its course: no more is to happen, all of it within a few rounds, and nothing is left.
    pub(super) async fn comes_to_rest(mut self, model: &Model) {
        let mut copies: Vec<usize> = model.copies.iter().copied().chain(self.hands.iter().flatten().map(|(work, ..)| *work)).collect();
        for work in 0..WORKS {
            self.lapse(model.attempts[work].owner, work).await;
        }
        let mut handled_now = model.handled;
        for round in 1..=ROUNDS {
            let due = self.store.claim(self.time(model.now + round * 100), ALL, ALL, Duration::ZERO).await.unwrap();
            copies.extend(due.iter().map(|row| self.works.iter().position(|work| work.id.as_str() == row.message_id).unwrap()));
            self.store.sent(due).await.unwrap();
            if copies.is_empty() {
                break;
            }
            for work in std::mem::take(&mut copies) {
                let claim = Claim { owner: Uuid::now_v7(), lease: LEASE, takes_over: None };
                let progress = self.store.begin(&self.key(work), claim).await.unwrap();
                assert_eq!(progress.handled, handled_now[work], "{progress:?}");
                if !progress.handled {
                    assert_eq!(progress.owner, Some(claim.owner), "work {work} is held by nobody, for ever: {progress:?}");
                    self.act(work, progress.begun > 1);
                    let change = Change { handled: handled(&self.works[work]), ..Change::default() };
                    self.commit_guarded(change, Answer::Lost, true).await;
                    handled_now[work] = true;
                }
            }
        }
        let end = self.time(1_000_000_000);
        assert!(copies.is_empty() && self.store.claim(end, ALL, ALL, Duration::ZERO).await.unwrap().is_empty(), "no rest: {copies:?}");
        assert_eq!(self.store.next_due().await.unwrap(), None);
        for (work, is_handled) in handled_now.into_iter().enumerate() {
            let views = self.store.message(self.works[work].id.as_str()).await.unwrap();
            let state = views.first().map(|view| view.state.as_str());
            if is_handled {
                // An actor that died of one copy may have had it set aside after another copy was done.
                assert!(state == Some("handled") || model.parked[work], "work {work} is {state:?}");
                assert_eq!(self.effects[work], 1, "work {work}");
            } else {
                assert!(self.effects[work] <= 1 && state.is_none_or(|state| state != "handled"), "work {work}");
                assert!(!model.is_wanted(work) || model.parked[work], "work {work} was asked for, and is {state:?}");
            }
            let failures = views.first().map_or(0, |view| view.failures);
            assert_eq!(failures, model.attempts[work].failures, "settlements of work {work}");
            assert_eq!(!self.store.message(self.facts[work].id.as_str()).await.unwrap().is_empty(), model.facts[work]);
        }
    }
}
