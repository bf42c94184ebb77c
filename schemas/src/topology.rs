//! Names of exchanges and queues, and the rules of routing keys. The adapters declare them; nobody else spells them.

use crate::TenantName;

/// Topic exchange on which producers publish facts, routing key `<tenant>.<type>`, `mandatory`, with confirms.
pub const EVENTS: &str = "atshub.events";
/// Direct exchange for the hub's own messages. Only the hub may publish here.
pub const WORK: &str = "atshub.work";
/// Topic exchange for write-backs that a tenant's own bridge performs, routing key `<tenant>.<type>`.
pub const COMMANDS: &str = "atshub.commands";
/// Exchange and queue of dead letters.
pub const DEAD: &str = "atshub.dead";
/// Alternate exchange and queue of messages for no known tenant.
pub const UNROUTED: &str = "atshub.unrouted";
/// Fanout exchange of operator commands to every hub process.
pub const CONTROL: &str = "atshub.control";
/// Topic exchange of the hub's own events.
pub const LIFECYCLE: &str = "atshub.lifecycle";
/// Exchange that nobody publishes to: that it is there, and how, says to which store's hub the virtual host belongs.
pub const STORE: &str = "atshub.store";
/// Queue of the invite actors.
pub const INVITES: &str = "atshub.invites";
/// Queue of the notifier actors.
pub const NOTICES: &str = "atshub.notices";
/// Queue of the results actors.
pub const RESULTS: &str = "atshub.results";

/// Times the broker may deliver one message before it dead-letters it. High on purpose: when a hub dies, every
/// message in its hands counts, the innocent ones too. The hub's own attempts are counted in the store.
pub const DELIVERY_LIMIT: u32 = 20;

/// The sentence for a broker that belongs to another store than `own`; to which, where that is known.
#[must_use]
pub fn other_store(own: &str, theirs: Option<&str>) -> String {
    let theirs = theirs.map(|store| format!(" `{store}`")).unwrap_or_default();
    format!(
        "the broker's queues belong to the hub on another store{theirs}, and this one is `{own}`; give each store a virtual host (or a folder) of its own in `broker.url`. If that store is gone for good: `atshub broker release --yes`"
    )
}

/// What the names of all tenants' queues begin with.
pub const TENANT_QUEUES: &str = "atshub.tenant.";

/// The one queue of a tenant: its facts, and the write-backs to its ATS.
#[must_use]
pub fn tenant_queue(tenant: &TenantName) -> String {
    format!("{TENANT_QUEUES}{tenant}")
}

/// The queue from which a tenant's bridge takes its commands.
#[must_use]
pub fn commands_queue(tenant: &TenantName) -> String {
    format!("atshub.commands.{tenant}")
}

/// The queue of one hub process on [`CONTROL`]. It goes by itself some time after the process has gone.
#[must_use]
pub fn control_queue(process: &uuid::Uuid) -> String {
    format!("{CONTROL}.{process}")
}

/// Routing key on [`WORK`] of a tenant's own queue.
#[must_use]
pub fn tenant_work_key(tenant: &TenantName) -> String {
    format!("tenant.{tenant}")
}

/// Routing key on [`WORK`] that leads to the queue that a tenant's message came from.
#[must_use]
pub fn work_key(tenant: &TenantName, queue: &str) -> String {
    if queue == tenant_queue(tenant) { tenant_work_key(tenant) } else { queue.to_owned() }
}

/// Routing key on [`EVENTS`], [`COMMANDS`] and [`LIFECYCLE`]: `<tenant>.<type>`.
#[must_use]
pub fn routing_key(tenant: &TenantName, kind: &str) -> String {
    format!("{tenant}.{kind}")
}

/// The tenant that a routing key on [`EVENTS`] names: all before the first full stop (tenant names have none).
#[must_use]
pub fn tenant_of_key(routing_key: &str) -> Option<TenantName> {
    TenantName::new(routing_key.split('.').next()?).ok()
}
