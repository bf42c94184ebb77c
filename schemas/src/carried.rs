//! What is carried along and not read: fields that another release knows, kept so that they are written again as they were.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, ops::Deref};

/// Fields by name, with whatever values they have. Meant for `#[serde(flatten)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Carried(BTreeMap<String, Value>);

impl Carried {
    /// Leaves a field out from now on. False: there was none of that name.
    pub fn drop_field(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

impl Deref for Carried {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
