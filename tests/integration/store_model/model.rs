//! The rail as it is meant: facts, what they ask for, rows that wait, copies at the broker, attempts and their owners. In memory, one step
//! at a time; knows no store. Held to its own promises after every step.

use super::words::{ACTORS, Answer, End, KEYS, POISON, RELAY_LEASE, RETRY, Step, WORKS, Word, is_invitation};
use std::collections::BTreeSet;

/// By what a row is found while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Effect(usize),
    /// The next try of a work.
    Again(usize),
    /// A work that was put off.
    PutOff(usize),
    /// Sent again, found by nothing.
    None,
}

/// A row of the outbox. Its number is the model's own, in the order of the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) number: u32,
    pub(super) work: usize,
    pub(super) name: Name,
    due: u64,
    claimed_until: Option<u64>,
}

/// An actor's copy of a message, and how far the attempt at it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hand {
    pub(super) work: usize,
    /// Who owns the attempt: a number of the model's own.
    pub(super) owner: u32,
    pub(super) looks: bool,
    pub(super) acted: bool,
    /// Its process has found its lease run out: it makes no call any more.
    lapsed: bool,
    /// The queue of its copy is gone: it does not come back.
    orphan: bool,
}

/// What the store knows of attempts at a work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    pub(super) owner: Option<u32>,
    lapsed: bool,
    pub(super) begun: u32,
    pub(super) failures: u32,
    pub(super) crashes: u32,
}

/// What became of a begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Handled,
    Held,
    Taken,
}

/// Everything there is, and what the last step came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) facts: [bool; WORKS],
    pub(super) handled: [bool; WORKS],
    pub(super) parked: [bool; WORKS],
    /// Asked for, and taken back or replaced before it was sent.
    withdrawn: [bool; WORKS],
    pub(super) effects: [u32; WORKS],
    pub(super) attempts: [Attempts; WORKS],
    pub(super) rows: Vec<Row>,
    /// Rows that were sent: number and work.
    sent: Vec<(u32, usize)>,
    /// Copies at the broker that nobody has in hand.
    pub(super) copies: Vec<usize>,
    pub(super) hands: [Option<Hand>; ACTORS],
    /// The last attempt of each actor that it lost by dying.
    pub(super) before: [Option<(usize, u32)>; ACTORS],
    /// What each relay has claimed and not yet published: number and work.
    pub(super) claimed: [Vec<(u32, usize)>; ACTORS],
    rows_made: u32,
    owners_made: u32,
    pub(super) last: Last,
}

/// What the last step has to come to at the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// Whether the change was new; all its repetitions are duplicates if it has a guard, else the same once more.
    pub(super) committed: bool,
    pub(super) begun: Option<Begun>,
    pub(super) takes_over: Option<u32>,
    pub(super) owned: bool,
    pub(super) again: u64,
}

impl Model {
    pub(super) fn apply(mut self, step: &Step) -> Self {
        self.last = Last::default();
        match *step {
            Step::Fact { work, .. } => self.fact(work),
            Step::TakeBack { key, .. } => self.take_back(Name::Effect(key)),
            Step::Wait { seconds } => self.now += seconds,
            Step::Claim { relay } => self.claim(relay),
            Step::Publish { relay, row, word } => self.publish(relay, row, word),
            Step::Take { actor, work, answer } => {
                self.leave_broker(work);
                self.begin(actor, work);
                // A copy that is put off is put off as often as it is asked.
                if self.last.begun == Some(Begun::Held) && answer != Answer::Heard {
                    self.put(work, Name::PutOff(work), self.now + RETRY);
                }
            }
            Step::TakeBoth { work } => {
                self.leave_broker(work);
                self.leave_broker(work);
                // Whichever comes first is called the first.
                self.begin(0, work);
                if self.last.begun != Some(Begun::Handled) {
                    self.put(work, Name::PutOff(work), self.now + RETRY);
                }
            }
            Step::Lapse { work } => self.lapse(work),
            Step::Renew { actor } => self.renew(actor),
            Step::Act { actor } => self.act(actor),
            Step::Settle { actor, end, acknowledged, .. } => self.settle(actor, end, acknowledged),
            Step::Die { actor, counted } => self.die(actor, counted),
            Step::Restart => {
                for actor in 0..ACTORS {
                    if let Some(hand) = self.hands[actor].take().filter(|hand| !hand.orphan) {
                        self.copies.push(hand.work);
                    }
                }
                self.before = Default::default();
                (0..WORKS).for_each(|work| self.lapse(work));
            }
            Step::LoseQueue { invitations } => self.lose(invitations),
        }
        self.keeps_its_promises();
        self
    }

    fn keeps_its_promises(&self) {
        for work in 0..WORKS {
            assert!(self.effects[work] <= 1, "work {work} was done twice");
            assert!(!self.handled[work] || self.effects[work] == 1, "work {work} is handled and was not done");
            let settled = !self.facts[work] || self.handled[work] || self.parked[work] || self.withdrawn[work];
            let somewhere = self.rows.iter().any(|row| row.work == work)
                || self.copies.contains(&work)
                || self.hands.iter().flatten().any(|hand| hand.work == work && !hand.orphan);
            assert!(settled || somewhere, "work {work} is nowhere, and unsettled");
        }
        for (at, row) in self.rows.iter().enumerate() {
            assert!(row.name == Name::None || self.rows[..at].iter().all(|other| other.name != row.name), "{row:?} waits twice");
        }
    }

    /// A row that waits by this name is gone.
    fn take_back(&mut self, name: Name) {
        if name == Name::None {
            return;
        }
        for row in self.rows.iter().filter(|row| row.name == name) {
            self.withdrawn[row.work] |= matches!(name, Name::Effect(_));
        }
        self.rows.retain(|row| row.name != name);
        self.last.committed = true;
    }

    fn put(&mut self, work: usize, name: Name, due: u64) {
        self.take_back(name);
        self.rows_made += 1;
        self.rows.push(Row { number: self.rows_made, work, name, due, claimed_until: None });
    }

    fn fact(&mut self, work: usize) {
        if !self.facts[work] {
            self.facts[work] = true;
            self.put(work, Name::Effect(work % KEYS), 0);
            self.last.committed = true;
        }
    }

    pub(super) fn due(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.due <= self.now && row.claimed_until.is_none_or(|until| until <= self.now))
    }

    fn claim(&mut self, relay: usize) {
        let due: BTreeSet<u32> = self.due().map(|row| row.number).collect();
        for row in self.rows.iter_mut().filter(|row| due.contains(&row.number)) {
            row.claimed_until = Some(self.now + RELAY_LEASE);
            self.claimed[relay].push((row.number, row.work));
        }
    }

    fn publish(&mut self, relay: usize, number: u32, word: Word) {
        let Some(at) = self.claimed[relay].iter().position(|(row, _)| *row == number) else { return };
        let (_, work) = self.claimed[relay].remove(at);
        if word != Word::Refused {
            self.copies.push(work);
        }
        match word {
            Word::Lost => {}
            Word::Confirmed => {
                if self.rows.iter().any(|row| row.number == number) {
                    self.sent.push((number, work));
                }
                self.rows.retain(|row| row.number != number);
            }
            Word::Refused => {
                if let Some(row) = self.rows.iter_mut().find(|row| row.number == number) {
                    (row.due, row.claimed_until) = (self.now + RETRY, None);
                }
            }
        }
    }

    fn leave_broker(&mut self, work: usize) {
        if let Some(at) = self.copies.iter().position(|copy| *copy == work) {
            self.copies.remove(at);
        }
    }

    fn begin(&mut self, actor: usize, work: usize) {
        let takes_over = self.before[actor].filter(|(of, _)| *of == work).map(|(_, owner)| owner);
        let attempts = &mut self.attempts[work];
        let begun = match attempts.owner {
            _ if self.handled[work] => Begun::Handled,
            Some(owner) if !attempts.lapsed && takes_over != Some(owner) => Begun::Held,
            _ => Begun::Taken,
        };
        self.last.takes_over = takes_over;
        self.last.begun = Some(begun);
        match begun {
            Begun::Handled => {}
            Begun::Held => self.put(work, Name::PutOff(work), self.now + RETRY),
            Begun::Taken => {
                self.owners_made += 1;
                (attempts.owner, attempts.lapsed) = (Some(self.owners_made), false);
                attempts.begun += 1;
                self.before[actor] = None;
                let (owner, looks) = (self.owners_made, attempts.begun > 1);
                self.hands[actor] = Some(Hand { work, owner, looks, acted: false, lapsed: false, orphan: false });
            }
        }
    }

    /// Whether an attempt has this work under a lease.
    pub(super) fn may_lapse(&self, work: usize) -> bool {
        self.attempts[work].owner.is_some() && !self.attempts[work].lapsed
    }

    /// Work that is to be settled in the end, because it was asked for and not taken back.
    pub(super) fn is_wanted(&self, work: usize) -> bool {
        self.facts[work] && !self.withdrawn[work]
    }

    fn lapse(&mut self, work: usize) {
        self.attempts[work].lapsed = self.attempts[work].owner.is_some();
        for hand in self.hands.iter_mut().flatten().filter(|hand| self.attempts[work].owner == Some(hand.owner)) {
            hand.lapsed = true;
        }
    }

    fn renew(&mut self, actor: usize) {
        let Some(hand) = &mut self.hands[actor] else { return };
        let attempts = &mut self.attempts[hand.work];
        self.last.owned = attempts.owner == Some(hand.owner);
        if self.last.owned {
            (attempts.lapsed, hand.lapsed) = (false, false);
        }
    }

    /// Whether an actor may act: it has not yet, and its lease holds.
    pub(super) fn may_act(&self, actor: usize) -> bool {
        self.hands[actor].as_ref().is_some_and(|hand| !hand.acted && !hand.lapsed)
    }

    fn act(&mut self, actor: usize) {
        let Some(hand) = &mut self.hands[actor] else { return };
        if !(hand.looks && self.effects[hand.work] > 0) {
            self.effects[hand.work] += 1;
        }
        hand.acted = true;
    }

    fn settle(&mut self, actor: usize, end: End, acknowledged: bool) {
        let Some(hand) = self.hands[actor].take() else { return };
        let work = hand.work;
        self.last.committed = if end == End::Done {
            !std::mem::replace(&mut self.handled[work], true)
        } else {
            let owned = self.attempts[work].owner == Some(hand.owner) && !self.handled[work];
            if owned {
                (self.attempts[work].owner, self.attempts[work].lapsed) = (None, false);
                self.attempts[work].failures += u32::from(end != End::PutOff);
                match end {
                    End::Retry => self.put(work, Name::Again(work), self.now + RETRY),
                    End::PutOff => self.put(work, Name::PutOff(work), self.now + RETRY),
                    _ => self.parked[work] = true,
                }
            }
            owned
        };
        if !acknowledged && !hand.orphan {
            self.copies.push(work);
        }
    }

    fn die(&mut self, actor: usize, counted: bool) {
        let Some(hand) = self.hands[actor].take() else { return };
        let attempts = &mut self.attempts[hand.work];
        self.before[actor] = Some((hand.work, hand.owner));
        if counted {
            attempts.crashes += 1;
            if attempts.owner == Some(hand.owner) {
                (attempts.owner, attempts.lapsed) = (None, false);
            }
            if attempts.crashes >= POISON {
                self.parked[hand.work] = true;
                return;
            }
        }
        if !hand.orphan {
            self.copies.push(hand.work);
        }
    }

    fn lose(&mut self, invitations: bool) {
        let lost = |work: usize| is_invitation(work) == invitations;
        self.copies.retain(|work| !lost(*work));
        for hand in self.hands.iter_mut().flatten().filter(|hand| lost(hand.work)) {
            hand.orphan = true;
        }
        for work in (0..WORKS).filter(|work| lost(*work)) {
            let waiting = self.rows.iter().filter(|row| row.work == work).map(|row| row.number).max();
            let Some(number) = self.sent.iter().filter(|(_, of)| *of == work).map(|(number, _)| *number).max() else { continue };
            if self.handled[work] || self.parked[work] || waiting.is_some_and(|waiting| waiting > number) {
                continue;
            }
            self.sent.retain(|(sent, _)| *sent != number);
            self.rows.push(Row { number, work, name: Name::None, due: 0, claimed_until: None });
            self.last.again += 1;
        }
    }
}
