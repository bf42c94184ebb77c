//! Karat's row in the registry of platforms.

use super::{client::Karat, endpoint::endpoint};
use crate::platform::Entry;
use atshub_actors::ports::PlatformCapabilities;
use std::sync::Arc;

/// What Karat's public API can do beyond inviting: none of these (its documentation has no argument for them).
pub(super) const CAPABILITIES: PlatformCapabilities =
    PlatformCapabilities { idempotency_key: false, cancel: false, schedule: false, webhooks: false, recruiter: false };

/// Name of the credential.
const TOKEN: &str = "token";

/// The row.
pub const ENTRY: Entry = Entry {
    kind: "karat",
    name: "Karat",
    connect: |account, secrets, http| {
        let endpoint = endpoint(&account.url).map_err(|error| format!("the url of platform account `{}` {error}", account.name))?;
        let unset = || format!("platform account `{}` has no `{TOKEN}`; set it with `atshub platform add`", account.name);
        let token = secrets.need(TOKEN, unset)?.clone();
        Ok(Arc::new(Karat::new(http, endpoint, token)))
    },
};
