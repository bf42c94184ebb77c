//! The CloudEvents 1.0 envelope, structured JSON mode, and the only way from bytes to a message and back.
//!
//! Decoding goes outside in, and stops at the first thing wrong: size, JSON, envelope fields, type, data. What could be
//! read by then is kept in the refusal, so that a parked message can be found by its id.

use crate::{
    Message, Refusal, RefusalCode, TenantName, json,
    shape::{self, called},
    text::{ExternalId, InvalidText, Kind, Line, MessageId, is_kept, read_answer},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// AMQP `content_type` of an envelope (CloudEvents 1.0, JSON event format).
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Largest body taken, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The one version of CloudEvents taken.
pub const SPEC_VERSION: &str = "1.0";
/// The one form of `data` taken.
pub const DATA_CONTENT_TYPE: &str = "application/json";

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
        out.insert("specversion".into(), SPEC_VERSION.into());
        out.insert("id".into(), self.id.as_str().into());
        out.insert("source".into(), self.source.as_str().into());
        out.insert("type".into(), self.message.kind().into());
        out.insert("tenant".into(), self.tenant.as_str().into());
        if let Some(subject) = &self.subject {
            out.insert("subject".into(), subject.as_str().into());
        }
        out.insert("time".into(), self.time.to_string().into());
        out.insert("datacontenttype".into(), DATA_CONTENT_TYPE.into());
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
        let object = match json::read(body) {
            Ok(Value::Object(object)) => object,
            Ok(other) => {
                let detail = format!("the body is {}; send one CloudEvents 1.0 object, not a batch", called(&other));
                return Err(Refusal::new(RefusalCode::UndecodableBody, detail));
            }
            // A body that can be read all the same, with a name given twice or a character cut in two, is still found again by its id.
            Err(refusal) => {
                let value = read_answer(body).unwrap_or_default();
                return Err(value.as_object().map_or(refusal.clone(), |object| identified(refusal, object)));
            }
        };
        Self::from_object(&object).map_err(|refusal| identified(refusal, &object))
    }

    fn from_object(object: &Map<String, Value>) -> Result<Self, Refusal> {
        if required(object, "specversion")? != SPEC_VERSION {
            return Err(Refusal::at(RefusalCode::InvalidField, "specversion", "is not \"1.0\", the only CloudEvents version taken"));
        }
        let id = checked("id", MessageId::new(required(object, "id")?))?;
        let source = checked("source", Line::verbatim(required(object, "source")?))?;
        let kind = required(object, "type")?;
        let tenant = checked("tenant", TenantName::new(required(object, "tenant")?))?;
        let time = shape::time(required(object, "time")?).ok_or_else(|| {
            Refusal::at(RefusalCode::InvalidField, "time", "is not an RFC 3339 time with an offset; use the form `2026-11-23T10:15:00Z`")
        })?;
        let subject = optional(object, "subject")?.map(|text| checked("subject", ExternalId::new(text))).transpose()?;
        let traceparent = optional(object, "traceparent")?.map(|text| checked("traceparent", Line::new(text))).transpose()?;
        if optional(object, "datacontenttype")?.is_some_and(|content| content != DATA_CONTENT_TYPE) {
            return Err(Refusal::at(RefusalCode::InvalidField, "datacontenttype", "is not \"application/json\", the only one taken"));
        }
        let entry = crate::catalog::entry(kind).ok_or_else(|| unknown_type(kind))?;
        let data = object.get("data").filter(|data| !data.is_null()).ok_or_else(|| {
            let detail = format!("is missing; send an object, as `atshub schema show {}` prints it", entry.kind);
            Refusal::at(RefusalCode::MissingField, "data", detail)
        })?;
        let message = Message::decode(entry.kind, data).ok_or_else(|| unknown_type(kind))??;
        Ok(Self { id, source, tenant, subject, time, traceparent, message })
    }
}

/// The refusal with what of the envelope could be read.
fn identified(refusal: Refusal, object: &Map<String, Value>) -> Refusal {
    let text =
        |name: &str| object.get(name).and_then(Value::as_str).map(|s| s.chars().filter(|c| is_kept(Kind::Id, *c)).take(128).collect());
    Refusal { id: text("id"), kind: text("type"), tenant: text("tenant"), ..refusal }
}

/// What each attribute of the envelope is, for a person.
fn wanted(name: &str) -> &'static str {
    match name {
        "specversion" => "the string \"1.0\"",
        "id" => "a string, the message's id: a UUID for example",
        "source" => "a string, who publishes: for example \"/bridges/jobvite/acme\"",
        "type" => "a string, the message type: for example \"application.moved.v1\"",
        "tenant" => "a string, the tenant's name",
        "time" => "a string, when it happened: for example \"2026-11-23T10:15:00Z\"",
        "subject" => "a string, what it is about: for example \"application/8842\"",
        "traceparent" => "a string, as W3C Trace Context has it",
        "datacontenttype" => "the string \"application/json\"",
        _ => "a string",
    }
}

fn required<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    optional(object, name)?.ok_or_else(|| Refusal::at(RefusalCode::MissingField, name, format!("is missing; send {}", wanted(name))))
}

fn optional<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Refusal::at(RefusalCode::InvalidField, name, format!("is {}; send {}", called(other), wanted(name)))),
    }
}

fn checked<T>(name: &str, value: Result<T, InvalidText>) -> Result<T, Refusal> {
    value.map_err(|e| Refusal::at(RefusalCode::InvalidField, name, e.0))
}

fn unknown_type(kind: &str) -> Refusal {
    let stem = kind.rsplit_once(".v").map_or(kind, |(stem, _)| stem);
    let near = crate::catalog::CATALOG.iter().find(|e| !stem.is_empty() && e.kind.starts_with(stem));
    let advice = near.map_or_else(|| "`atshub schema list` prints them all".to_owned(), |e| format!("did you mean `{}`?", e.kind));
    Refusal::at(RefusalCode::UnknownType, "type", format!("`{}` is not a message type; {advice}", json::shown(kind)))
}
