//! The CloudEvents 1.0 envelope, structured JSON mode, and the only way from bytes to a message and back.
//!
//! Decoding goes outside in, and stops at the first thing wrong: size, JSON, envelope fields, type, data. What could be
//! read by then is kept in the refusal, so that a parked message can be found by its id.

use crate::{
    Message, Refusal, RefusalCode, TenantName,
    text::{ExternalId, Line, MessageId},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// AMQP `content_type` of an envelope (CloudEvents 1.0, JSON event format).
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Largest body taken, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// One message with everything the rail needs to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Unique within `source`, for ever.
    pub id: MessageId,
    /// Who published it, for example `/bridges/jobvite/acme`.
    pub source: Line,
    /// Whose it is.
    pub tenant: TenantName,
    /// What it is about, for example `application/8842`.
    pub subject: Option<ExternalId>,
    /// When it happened, by the clock of whoever saw it. Facts are ordered by this.
    pub time: Timestamp,
    /// W3C Trace Context `traceparent`.
    pub traceparent: Option<Line>,
    /// What happened.
    pub message: Message,
}

impl Envelope {
    /// An envelope with a fresh time-ordered id (UUID version 7, RFC 9562).
    #[must_use]
    pub fn new(source: Line, tenant: TenantName, time: Timestamp, message: Message) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        #[expect(clippy::expect_used, reason = "a UUID is always a message id")]
        let id = MessageId::new(id).expect("a UUID is visible ASCII");
        Self { id, source, tenant, subject: None, time, traceparent: None, message }
    }

    /// Where it is published: `<tenant>.<type>`.
    #[must_use]
    pub fn routing_key(&self) -> String {
        crate::topology::routing_key(&self.tenant, self.message.kind())
    }

    /// The JSON that travels.
    ///
    /// # Errors
    /// Only if a message type cannot be written as JSON, which a test rules out for every type of the catalog.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.to_value()?)
    }

    /// The same as a JSON value.
    ///
    /// # Errors
    /// As [`Envelope::encode`].
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        let mut out = Map::new();
        out.insert("specversion".into(), "1.0".into());
        out.insert("id".into(), self.id.as_str().into());
        out.insert("source".into(), self.source.as_str().into());
        out.insert("type".into(), self.message.kind().into());
        out.insert("tenant".into(), self.tenant.as_str().into());
        if let Some(subject) = &self.subject {
            out.insert("subject".into(), subject.as_str().into());
        }
        out.insert("time".into(), self.time.to_string().into());
        out.insert("datacontenttype".into(), "application/json".into());
        if let Some(trace) = &self.traceparent {
            out.insert("traceparent".into(), trace.as_str().into());
        }
        out.insert("data".into(), self.message.data()?);
        Ok(Value::Object(out))
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// A [`Refusal`] with the code under which the message is to be parked, the field, and what would be right.
    pub fn decode(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_BYTES {
            let detail =
                format!("the body has {} bytes; at most {MAX_BYTES} are taken. Leave out what the hub can read from the ATS", body.len());
            return Err(Refusal::new(RefusalCode::TooLarge, detail));
        }
        let value: Value = serde_json::from_slice(body).map_err(|e| {
            Refusal::new(
                RefusalCode::UndecodableBody,
                format!("the body is not JSON ({e}); send one CloudEvents 1.0 object in structured mode"),
            )
        })?;
        let Value::Object(object) = value else {
            return Err(Refusal::new(
                RefusalCode::UndecodableBody,
                "the body is not a JSON object; send one CloudEvents 1.0 object, not a batch",
            ));
        };
        Self::from_object(&object).map_err(|refusal| {
            let text =
                |name: &str| object.get(name).and_then(Value::as_str).map(|s| s.chars().filter(|c| !c.is_control()).take(128).collect());
            Refusal { id: text("id"), kind: text("type"), tenant: text("tenant"), ..refusal }
        })
    }

    fn from_object(object: &Map<String, Value>) -> Result<Self, Refusal> {
        let version: String = required(object, "specversion", "the string \"1.0\"")?;
        if version != "1.0" {
            return Err(Refusal::at(RefusalCode::InvalidField, "specversion", "is not \"1.0\", the only CloudEvents version taken"));
        }
        let id: MessageId = required(object, "id", "a message id")?;
        let source: Line = required(object, "source", "who publishes, for example \"/bridges/jobvite/acme\"")?;
        let kind: String = required(object, "type", "a message type, for example \"application.moved.v1\"")?;
        let tenant: TenantName = required(object, "tenant", "the tenant's name")?;
        let time: Timestamp = required(object, "time", "an RFC 3339 time, for example \"2026-11-23T10:15:00Z\"")?;
        let subject: Option<ExternalId> = optional(object, "subject")?;
        let traceparent: Option<Line> = optional(object, "traceparent")?;
        if let Some(content) = optional::<String>(object, "datacontenttype")?
            && content != "application/json"
        {
            return Err(Refusal::at(RefusalCode::InvalidField, "datacontenttype", "is not \"application/json\""));
        }
        let data = object.get("data").filter(|d| !d.is_null()).ok_or_else(|| {
            Refusal::at(RefusalCode::MissingField, "data", "is missing; `atshub schema show <type>` prints what belongs there")
        })?;
        let message = match Message::decode(&kind, data) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(data_refusal(&kind, &error)),
            None => return Err(unknown_type(&kind)),
        };
        Ok(Self { id, source, tenant, subject, time, traceparent, message })
    }
}

fn required<T: serde::de::DeserializeOwned>(object: &Map<String, Value>, name: &str, what: &str) -> Result<T, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Err(Refusal::at(RefusalCode::MissingField, name, format!("is missing; send {what}"))),
        Some(value) => T::deserialize(value).map_err(|e| Refusal::at(RefusalCode::InvalidField, name, format!("{e}; send {what}"))),
    }
}

fn optional<T: serde::de::DeserializeOwned>(object: &Map<String, Value>, name: &str) -> Result<Option<T>, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value).map(Some).map_err(|e| Refusal::at(RefusalCode::InvalidField, name, e.to_string())),
    }
}

fn data_refusal(kind: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let text = error.inner().to_string();
    let path = error.path().to_string();
    let base = if path == "." { "data".to_owned() } else { format!("data.{path}") };
    if let Some(name) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Refusal::at(
            RefusalCode::MissingField,
            format!("{base}.{name}"),
            format!("is missing; `atshub schema show {kind}` prints what belongs there"),
        );
    }
    Refusal::at(RefusalCode::InvalidField, base, text)
}

fn unknown_type(kind: &str) -> Refusal {
    let shown: String = kind.chars().filter(|c| !c.is_control()).take(80).collect();
    let stem = kind.rsplit_once(".v").map_or(kind, |(stem, _)| stem);
    let near = crate::catalog::CATALOG
        .iter()
        .find(|e| e.kind.starts_with(stem) && !stem.is_empty())
        .map(|e| format!("; did you mean `{}`?", e.kind));
    let detail = format!("`{shown}` is not a message type{}", near.unwrap_or_else(|| "; `atshub schema list` prints them all".into()));
    Refusal::at(RefusalCode::UnknownType, "type", detail)
}
