//! The AsyncAPI 3.0 document: exchanges as channels, what the hub receives and sends as operations, and the message
//! types by reference to their JSON Schemas. Written from the hub's side, as AsyncAPI wants it: what the hub receives,
//! a bridge publishes.

use super::{envelope_schema, who};
use crate::{CONTENT_TYPE, Entry, Family, catalog::CATALOG, topology};
use serde_json::{Map, Value, json};

/// The version of the AMQP binding that the document is written in.
const BINDING_VERSION: &str = "0.3.0";

/// The document as committed: its messages point at `json/<type>.json`.
#[must_use]
pub fn asyncapi() -> Value {
    document(|entry| json!({ "$ref": format!("./json/{}.json", entry.kind) }), Map::new())
}

/// The same in one piece, for `atshub schema asyncapi`: every schema is inside it.
#[must_use]
pub fn asyncapi_bundled() -> Value {
    let mut schemas = Map::new();
    for entry in CATALOG {
        let mut schema = envelope_schema(entry);
        point_at_components(&mut schema);
        if let Some(object) = schema.as_object_mut() {
            object.remove("$id");
            object.remove("$schema");
            if let Some(Value::Object(definitions)) = object.remove("$defs") {
                schemas.extend(definitions);
            }
        }
        schemas.insert(format!("envelope.{}", entry.kind), schema);
    }
    document(|entry| json!({ "$ref": format!("#/components/schemas/envelope.{}", entry.kind) }), schemas)
}

fn point_at_components(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(target) if name == "$ref" => *target = target.replace("#/$defs/", "#/components/schemas/"),
                    other => point_at_components(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_at_components),
        _ => {}
    }
}

fn document(payload: impl Fn(&Entry) -> Value, schemas: Map<String, Value>) -> Value {
    let messages: Map<String, Value> = CATALOG.iter().map(|entry| (entry.kind.to_owned(), message(entry, &payload(entry)))).collect();
    let mut components = json!({ "messages": messages });
    if !schemas.is_empty() {
        components["schemas"] = schemas.into();
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "atshub",
            "version": "1.0.0",
            "description": "Messages between applicant tracking systems, their bridges and the hub. Bridges publish facts on `atshub.events`, perform commands from `atshub.commands.<tenant>`, and answer on `atshub.events`.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ. Each installation has its own address; `amqps` wherever the network is not its own.",
            },
        },
        "channels": {
            "events": exchange("events", topology::EVENTS, "topic", "{tenant}.{type}", "What happened. The alternate exchange of this one is `atshub.unrouted`: a fact for no known tenant is recorded there.", &[Family::Fact, Family::Answer]),
            "commands": exchange("commands", topology::COMMANDS, "topic", "{tenant}.{type}", "Write-backs for bridges to perform.", &[Family::Command]),
            "tenantCommands": {
                "address": format!("{}.{{tenant}}", topology::COMMANDS),
                "title": "commands of one tenant",
                "description": "The queue from which a tenant's bridge takes its commands. The hub declares it for each tenant whose connector is `bridge`.",
                "parameters": { "tenant": { "description": "The tenant's name." } },
                "messages": references(&[Family::Command]),
                "bindings": { "amqp": {
                    "is": "queue",
                    "queue": { "name": format!("{}.{{tenant}}", topology::COMMANDS), "durable": true, "exclusive": false, "autoDelete": false },
                    "bindingVersion": BINDING_VERSION,
                } },
            },
            "work": exchange("work", topology::WORK, "direct", "{queue}", "The hub's own work. Nobody else may publish here.", &[Family::Internal]),
            "lifecycle": exchange("lifecycle", topology::LIFECYCLE, "topic", "{tenant}.{type}", "What happened to the hub itself, for dashboards and alerts.", &[Family::Lifecycle]),
            "control": exchange("control", topology::CONTROL, "fanout", "{tenant}.{type}", "What operators ask of every hub process.", &[Family::Control]),
        },
        "operations": {
            "receiveFacts": operation("receive", "events", &[Family::Fact], "The hub takes facts. Publish `mandatory`, with confirms."),
            "receiveAnswers": operation("receive", "events", &[Family::Answer], "The hub takes the bridges' answers to its commands."),
            "sendCommands": operation("send", "commands", &[Family::Command], "The hub asks a tenant's bridge to write into its ATS."),
            "sendWork": operation("send", "work", &[Family::Internal], "The hub's relay publishes the hub's own work."),
            "receiveWork": operation("receive", "work", &[Family::Internal], "The hub's actors take it."),
            "sendLifecycle": operation("send", "lifecycle", &[Family::Lifecycle], "The hub says what happened to it."),
            "receiveControl": operation("receive", "control", &[Family::Control], "Every hub process hears it; the one that runs the tenant does it."),
        },
        "components": components,
    })
}

fn message(entry: &Entry, payload: &Value) -> Value {
    json!({
        "name": entry.kind,
        "title": entry.summary,
        "summary": who(entry.family),
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "bindings": { "amqp": { "contentEncoding": "UTF-8", "messageType": entry.kind, "bindingVersion": BINDING_VERSION } },
    })
}

fn of<'a>(families: &'a [Family]) -> impl Iterator<Item = &'static str> + 'a {
    CATALOG.iter().filter(|entry| families.contains(&entry.family)).map(|entry| entry.kind)
}

fn references(families: &[Family]) -> Map<String, Value> {
    of(families).map(|kind| (kind.to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") }))).collect()
}

fn exchange(id: &str, name: &str, kind: &str, address: &str, description: &str, families: &[Family]) -> Value {
    let parameters = match address {
        "{queue}" => json!({ "queue": { "description": "Name of one of the hub's work queues, or `tenant.<tenant>`." } }),
        _ => {
            json!({ "tenant": { "description": "The tenant's name." }, "type": { "description": "The message type, for example `application.moved.v1`." } })
        }
    };
    json!({
        "address": address,
        "title": id,
        "description": description,
        "parameters": parameters,
        "messages": references(families),
        "bindings": { "amqp": {
            "is": "routingKey",
            "exchange": { "name": name, "type": kind, "durable": true, "autoDelete": false },
            "bindingVersion": BINDING_VERSION,
        } },
    })
}

fn operation(action: &str, channel: &str, families: &[Family], summary: &str) -> Value {
    let messages: Vec<Value> = of(families).map(|kind| json!({ "$ref": format!("#/channels/{channel}/messages/{kind}") })).collect();
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "summary": summary,
        "messages": messages,
        "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true, "bindingVersion": BINDING_VERSION } },
    })
}
