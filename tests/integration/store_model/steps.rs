//! Which steps can be taken when, and how often each is drawn.

use super::{
    model::Model,
    words::{ACTORS, Answer, End, KEYS, Step, TICKS, WORKS, Word},
};
use proptest::{
    prelude::*,
    strategy::{BoxedStrategy, Union},
};
use proptest_state_machine::ReferenceStateMachine;

fn answer() -> impl Strategy<Value = Answer> + Clone {
    prop_oneof![3 => Just(Answer::Heard), 2 => Just(Answer::Lost), 1 => Just(Answer::Twice)]
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Step> {
        let mut open: Vec<(u32, BoxedStrategy<Step>)> = vec![
            (6, (0..WORKS, answer()).prop_map(|(work, answer)| Step::Fact { work, answer }).boxed()),
            (1, (0..KEYS, answer()).prop_map(|(key, answer)| Step::TakeBack { key, answer }).boxed()),
            (4, TICKS.prop_map(|seconds| Step::Wait { seconds }).boxed()),
            (1, any::<bool>().prop_map(|invitations| Step::LoseQueue { invitations }).boxed()),
            (1, Just(Step::Restart).boxed()),
        ];
        if model.due().next().is_some() {
            open.push((6, (0..ACTORS).prop_map(|relay| Step::Claim { relay }).boxed()));
        }
        for relay in 0..ACTORS {
            let word = || prop_oneof![4 => Just(Word::Confirmed), 2 => Just(Word::Lost), 1 => Just(Word::Refused)];
            open.extend(model.claimed[relay].iter().map(|(row, _)| {
                let row = *row;
                (8, word().prop_map(move |word| Step::Publish { relay, row, word }).boxed())
            }));
        }
        for actor in 0..ACTORS {
            if model.hands[actor].is_none() {
                // Most of all of what another actor has already.
                open.extend((0..WORKS).filter(|work| model.copies.contains(work)).map(|work| {
                    let often = if model.may_lapse(work) { 16 } else { 6 };
                    (often, answer().prop_map(move |answer| Step::Take { actor, work, answer }).boxed())
                }));
                continue;
            }
            open.push((1, Just(Step::Renew { actor }).boxed()));
            open.push((3, any::<bool>().prop_map(move |counted| Step::Die { actor, counted }).boxed()));
            if model.may_act(actor) {
                open.push((8, Just(Step::Act { actor }).boxed()));
            }
            let ends = if model.hands[actor].as_ref().is_some_and(|hand| hand.acted) {
                prop_oneof![4 => Just(End::Done), 2 => Just(End::Retry), 1 => Just(End::Park)].boxed()
            } else {
                prop_oneof![3 => Just(End::Retry), 3 => Just(End::PutOff), 1 => Just(End::Park)].boxed()
            };
            let settles = (ends, answer(), prop::bool::weighted(0.8));
            open.push((6, settles.prop_map(move |(end, answer, acknowledged)| Step::Settle { actor, end, answer, acknowledged }).boxed()));
        }
        open.extend(
            (0..WORKS).map(|work| Step::TakeBoth { work }).filter(|step| Self::preconditions(model, step)).map(|s| (8, Just(s).boxed())),
        );
        open.extend(
            (0..WORKS).map(|work| Step::Lapse { work }).filter(|step| Self::preconditions(model, step)).map(|s| (3, Just(s).boxed())),
        );
        Union::new_weighted(open).boxed()
    }

    fn apply(model: Self, step: &Step) -> Self {
        model.apply(step)
    }

    fn preconditions(model: &Self, step: &Step) -> bool {
        let in_hand = |actor: usize| model.hands[actor].is_some();
        match *step {
            Step::Publish { relay, row, .. } => model.claimed[relay].iter().any(|(claimed, _)| *claimed == row),
            Step::Take { actor, work, .. } => !in_hand(actor) && model.copies.contains(&work),
            Step::TakeBoth { work } => {
                let copies = model.copies.iter().filter(|copy| **copy == work).count();
                copies >= 2 && (0..ACTORS).all(|actor| !in_hand(actor) && model.before[actor].is_none_or(|(before, _)| before != work))
            }
            Step::Lapse { work } => model.may_lapse(work),
            Step::Renew { actor } | Step::Die { actor, .. } => in_hand(actor),
            Step::Act { actor } => model.may_act(actor),
            Step::Settle { actor, end, .. } => model.hands[actor].as_ref().is_some_and(|hand| hand.acted || end != End::Done),
            Step::Fact { .. } | Step::TakeBack { .. } | Step::Wait { .. } | Step::Claim { .. } | Step::Restart | Step::LoseQueue { .. } => {
                true
            }
        }
    }
}
