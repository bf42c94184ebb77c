//! What every row of the two registries has to keep, whatever it is called: one suite, driven by each row's own fixtures.
//! Nothing here names an ATS or a platform.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by stopping; clippy exempts test functions, not what they call"
)]

mod fixtures;
mod fuzz;
mod hostile;
mod inbound;
mod outbound;
mod platforms;
mod rows;
mod script;
