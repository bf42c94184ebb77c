//! Store, relay, inbox and settlement as one model, on both stores: answers that are lost, copies that come again, two owners and leases
//! that end, in any order. At most one effect of each message, nothing handled twice, each settlement counted once, and nothing unsettled
//! for ever. Longer, by hand: `ATSHUB_TEST_FUZZ_CASES=20000 cargo nextest run --release --test integration store_model`.

#![cfg(test)]

mod model;
mod steps;
mod system;
mod words;

use crate::{damage::config, support::postgres::TestDatabase};
use atshub::embedded::store::SqliteStore;
use atshub_actors::ports::Store;
use model::Model;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use std::{cell::RefCell, ops::Range, rc::Rc, sync::Arc};
use system::System;
use tokio::runtime::Runtime;
use words::Step;

/// Steps of one case.
const STEPS: Range<usize> = 1..120;

/// What the cases on this thread are played on: a store for each, or one for all.
#[derive(Clone)]
struct Ground {
    runtime: Rc<Runtime>,
    store: Rc<dyn Fn() -> Arc<dyn Store>>,
}

thread_local! {
    static GROUND: RefCell<Option<Ground>> = const { RefCell::new(None) };
}

struct Rail;

impl StateMachineTest for Rail {
    type SystemUnderTest = (Ground, System);
    type Reference = Model;

    fn init_test(_: &Model) -> Self::SystemUnderTest {
        let ground = GROUND.with_borrow(Clone::clone).expect("a store");
        let system = ground.runtime.block_on(System::new((ground.store)()));
        (ground, system)
    }

    fn apply((ground, mut system): Self::SystemUnderTest, model: &Model, step: Step) -> Self::SystemUnderTest {
        ground.runtime.block_on(system.apply(model, step));
        (ground, system)
    }

    fn teardown((ground, system): Self::SystemUnderTest, model: Model) {
        ground.runtime.block_on(system.comes_to_rest(&model));
    }
}

fn holds_on(ground: &Ground, cases: u32) {
    GROUND.set(Some(ground.clone()));
    let config = Config { max_shrink_iters: 20_000, ..config(cases) };
    let mut runner = TestRunner::new(config.clone());
    let outcome = runner.run(&Model::sequential_strategy(STEPS), |(initial, steps, seen)| {
        Rail::test_sequential(config.clone(), initial, steps, seen);
        Ok(())
    });
    GROUND.set(None);
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn runtime() -> Rc<Runtime> {
    Rc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

#[test]
fn nothing_is_done_twice_counted_twice_or_unsettled_for_ever_on_the_embedded_store() {
    let ground = Ground { runtime: runtime(), store: Rc::new(|| Arc::new(SqliteStore::open_in_memory().unwrap())) };
    holds_on(&ground, 600);
}

#[test]
fn nothing_is_done_twice_counted_twice_or_unsettled_for_ever_on_postgresql() {
    let runtime = runtime();
    let database = runtime.block_on(TestDatabase::empty());
    let store: Arc<dyn Store> = Arc::new(runtime.block_on(database.store()));
    let ground = Ground { store: Rc::new(move || Arc::clone(&store)), runtime: Rc::clone(&runtime) };
    holds_on(&ground, 120);
    drop(ground);
    drop(database);
}
