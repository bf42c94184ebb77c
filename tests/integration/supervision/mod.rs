//! Supervision on a real broker and a real store, both pairs of them: every way of dying, threads that stand still, children that
//! get nothing done, floods, orders; and that nobody else notices.

mod deaths;
mod fairness;
mod freezes;
mod leaving;
mod orders;
mod plain_actix;
mod probe;
mod shared;
mod stage;

pub(crate) use probe::Start;
pub(crate) use stage::{on_stage, quick};

/// One test per case and pair.
macro_rules! on_both_pairs {
    ($($case:ident)*) => {
        mod on_rabbitmq_and_postgres { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Real); })* }
        mod embedded { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Embedded); })* }
    };
}
use on_both_pairs;
