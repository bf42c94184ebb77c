//! The wire contract, tried: the committed files are current, old messages still decode, bad ones are refused by name.

mod agreement;
mod asyncapi;
mod committed;
mod hostile;
mod refusals;
mod support;
