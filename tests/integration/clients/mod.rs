//! The clients against the simulators, over real HTTP: what the fixtures of the conformance suite cannot show, because it
//! needs somebody on the other side who keeps state.

mod ashby;
mod ashby_inbound;
mod karat;
