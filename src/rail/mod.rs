//! Consumer, relay and settlement.
