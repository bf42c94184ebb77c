//! What the actors need of the world, as traits. Each has two implementations, held to one conformance suite.
//!
//! Every method may be called from any arbiter. An implementation does its work on threads of its own: an arbiter that
//! stands still must not hold up a database connection that other tenants use.

mod broker;
mod callers;
mod clock;
mod connector;
mod dossiers;
mod handover;
mod journal;
mod platform;
mod processes;
mod rail;
mod records;
mod registry;
mod store;

pub use broker::{
    Ack, AckError, Broker, BrokerError, BrokerHealth, Consumption, Cut, Delivery, Missing, Publication, PublishError, QueueInfo, QueueSpec,
};
pub use callers::{Callers, Door};
pub use clock::{Clock, SystemClock};
pub use connector::{Capabilities, Connector, Feature, Inventory, NO_PLACE_FOR_STATUS, Named, Place, Written};
pub use dossiers::{Dossiers, Found};
pub use handover::{Fresh, Handover, handover};
pub use journal::Journal;
pub use platform::{Invitation, InvitationRequest, Platform, PlatformCapabilities, PlatformRole};
pub use processes::{Beat, ProcessRecord, ShownChild};
pub use rail::Rail;
pub use records::{
    Attempt, Change, Claim, ClaimedRow, CommitOutcome, Conflict, Disposition, DossierWrite, Handled, HeardWrite, JournalEntry, MessageKey,
    MessageView, OutboxRow, Parked, ParkedView, Progress,
};
pub use registry::{PlatformAccount, SealedSecret, Standing, TenantRecord};
pub use store::{Person, Store, StoreError};
