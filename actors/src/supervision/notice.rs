//! What the supervisor hears, and the names in it: of children and of their threads.

use atshub_schemas::TenantName;
use jiff::Timestamp;
use std::{fmt, sync::Arc, time::Duration};

/// The name of a child, for example `tenant/acme` or `invites/1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildName(pub Arc<str>);

impl fmt::Display for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Number of a thread that children live on.
pub(super) type ThreadNumber = u64;

/// What the supervisor hears: from children, from their dispatchers, from the watchdog.
#[derive(Debug)]
pub(super) enum Notice {
    /// The generation is up and takes deliveries.
    Up { child: ChildName, generation: u64 },
    /// The generation is gone.
    Down { child: ChildName, generation: u64, panicking: bool },
    /// A future of the generation panicked; its death follows.
    Crashed { child: ChildName, generation: u64, cause: String },
    /// A tenant's message crashed a child that works for all tenants, or made its thread stand still.
    Blamed { tenant: TenantName, cause: String, froze: bool },
    /// The credential was refused twice: pause the child, with this cause, and test it then.
    Unauthorized { child: ChildName, generation: u64, cause: String, until: Timestamp },
    /// The generation has had work in hand for too long without getting anything done.
    NoProgress { child: ChildName, generation: u64, cause: String },
    /// A closed child has nothing in hand any more.
    Closed { child: ChildName },
    /// A standing of the supervisor's own making is in the store.
    Stored { child: ChildName },
    /// A thread stands still, in the middle of work for the child of this number.
    Stuck { thread: ThreadNumber, child: u64, age: Duration },
    /// A thread that stood still goes on.
    Returned { thread: ThreadNumber },
}
