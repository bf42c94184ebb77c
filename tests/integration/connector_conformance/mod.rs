//! What every row of the two registries has to keep, whatever it is called: one suite, driven by each row's own fixtures.
//! Nothing here names an ATS or a platform.

mod fixtures;
mod hostile;
mod inbound;
mod outbound;
mod platforms;
mod rows;
mod script;
