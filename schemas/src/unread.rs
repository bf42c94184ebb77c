//! What a newer version of the hub wrote and this one has no name for: kept, and written back unchanged. Nothing of it is
//! interpreted, but that some of its texts can be shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that this version does not know, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unread(Map<String, Value>);

impl Unread {
    /// There is nothing that this version does not know.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of this name, where it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}
