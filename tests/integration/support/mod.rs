//! What several suites need: the services under test, each test's own corner of them, and signals to wait for.

pub(crate) mod build;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod guards;
pub(crate) mod hub;
pub(crate) mod hub_process;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod rabbitmq;
pub(crate) mod raw_amqp;
pub(crate) mod services;
