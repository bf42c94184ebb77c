//! Children that are let go at once, because what they have in hand is not theirs any more.

use super::{on_both_pairs, on_stage, probe::Start, quick};
use crate::support::hub::{Pair, soon};
use atshub_actors::supervision::{Phase, Relinquish};

on_both_pairs! {
    what_is_let_go_takes_no_further_step_and_is_done_once_by_whoever_comes_next
}

fn what_is_let_go_takes_no_further_step_and_is_done_once_by_whoever_comes_next(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("idle", Start::Well)]).await;
        stage.publish("acme", &["gated-1"]).await;
        stage.entered(1).await;
        soon("letting go", stage.supervisor.send(Relinquish)).await.unwrap();
        assert!(stage.board.snapshot().is_empty(), "nobody is there any more: {:?}", stage.board.snapshot());
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.entered(1).await;
        // What was begun first stands first at the gate, and would go on now, were it not taken back.
        stage.strings.gate.add_permits(1);
        let (generation, id) = soon("its message", stage.done.recv()).await.unwrap();
        assert_eq!((generation, id.as_str()), (2, "gated-1"), "done by the next, not by the one that was let go");
        stage.until("tenant/acme", Phase::Running).await;
        stage.nothing_left("acme").await;
        let acme = stage.board.child("tenant/acme").unwrap();
        assert!(acme.restarts == 0 && acme.history.is_empty(), "it was nobody's crash: {acme:?}");
        assert!(stage.done.try_recv().is_err(), "something was done twice");
    });
}
