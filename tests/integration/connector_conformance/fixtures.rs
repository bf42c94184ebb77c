//! Fixtures: one JSON file a case, and a `suite.json` that says with which credentials and by which signature.

use atshub::{
    ats::{Account, Entry, Ordered},
    credentials::Secrets,
    http::{Http, Options},
};
use atshub_actors::{domain::Policy, ports::PlatformRole};
use atshub_schemas::ExternalId;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// `suite.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    pub(super) tenant: String,
    pub(super) now: Timestamp,
    pub(super) secrets: BTreeMap<String, String>,
    /// The setting that takes the address of a server in place of the ATS.
    pub(super) address_setting: Option<String>,
    pub(super) signature: Option<Signature>,
    pub(super) partner_secret: Option<String>,
    /// One client for all cases: making one reads the machine's root certificates.
    #[serde(skip)]
    http: Option<Http>,
}

/// HMAC-SHA256 of the body, in hex, in a header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) header: String,
    pub(super) prefix: String,
    pub(super) secret: String,
}

/// Any other file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    #[serde(skip)]
    pub(super) file: String,
    pub(super) kind: Kind,
    /// What it shows, for people.
    pub(super) what: String,
    #[serde(default)]
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    pub(super) roles: Vec<PlatformRole>,
    #[serde(default)]
    pub(super) live: bool,
    /// The order that is in force, for partner calls.
    #[serde(default)]
    pub(super) order: Option<ExternalId>,
    #[serde(default)]
    pub(super) body: Value,
    #[serde(default)]
    pub(super) request: Value,
    #[serde(default)]
    pub(super) calls: Vec<Expected>,
    pub(super) expect: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Hook,
    Partner,
    Write,
    Look,
    Read,
    Test,
}

/// A call that the connector is to make, and what it hears.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) path: String,
    pub(super) body: Value,
    pub(super) status: u16,
    pub(super) answer: Value,
}

/// All fixtures of a row. Needs a runtime.
pub(super) fn load(entry: &Entry) -> (Suite, Vec<Case>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(entry.fixtures);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("`{}` has no fixtures in {}: {e}", entry.kind, entry.fixtures));
    let (mut suite, mut cases) = (None, Vec::new());
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let wrong = |e: serde_json::Error| -> ! { panic!("{}/{name}: {e}", entry.fixtures) };
        if name == "suite.json" {
            suite = Some(serde_json::from_slice(&text).unwrap_or_else(|e| wrong(e)));
        } else {
            let case: Case = serde_json::from_slice(&text).unwrap_or_else(|e| wrong(e));
            cases.push(Case { file: format!("{}/{name}", entry.fixtures), ..case });
        }
    }
    cases.sort_by(|a, b| a.file.cmp(&b.file));
    let mut suite: Suite = suite.unwrap_or_else(|| panic!("{} has no suite.json", entry.fixtures));
    suite.http = Http::new(tokio::runtime::Handle::current(), Options::default()).ok();
    (suite, cases)
}

impl Suite {
    /// The account of a case.
    pub(super) fn account(&self, policy: &Policy) -> Account {
        self.account_with(policy, self.secrets.clone())
    }

    pub(super) fn account_with(&self, policy: &Policy, secrets: BTreeMap<String, String>) -> Account {
        let secrets = secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
        Account {
            tenant: self.tenant.parse().unwrap(),
            policy: Arc::new(policy.clone()),
            secrets: Secrets::new(secrets),
            http: self.http.clone().unwrap(),
        }
    }

    /// Headers under which this body is the ATS's own.
    pub(super) fn headers(&self, kind: Kind, body: &[u8]) -> Vec<(String, String)> {
        match kind {
            Kind::Hook => self.signature.iter().map(|signature| signature.sign(&self.secrets[&signature.secret], body)).collect(),
            _ => self.partner_secret.iter().map(|secret| ("authorization".into(), format!("Bearer {}", self.secrets[secret]))).collect(),
        }
    }
}

impl Case {
    /// What is known of the application for which an assessment is ordered.
    pub(super) fn ordered(&self) -> Ordered {
        Ordered { live: self.live, order: self.order.clone(), ended: 0 }
    }
}

impl Signature {
    pub(super) fn sign(&self, secret: &str, body: &[u8]) -> (String, String) {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
        (self.header.clone(), format!("{}{}", self.prefix, hex::encode(mac.finalize().into_bytes())))
    }
}

/// Whether `actual` is as expected; the string `*` stands for anything but null.
pub(super) fn fits(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(any), actual) if any == "*" => !actual.is_null(),
        (Value::Object(e), Value::Object(a)) => e.len() == a.len() && e.iter().all(|(k, v)| a.get(k).is_some_and(|a| fits(v, a))),
        (Value::Array(e), Value::Array(a)) => e.len() == a.len() && e.iter().zip(a).all(|(e, a)| fits(e, a)),
        (expected, actual) => expected == actual,
    }
}
