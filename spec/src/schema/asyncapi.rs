//! The AsyncAPI 3.1 document: one channel, every message, and the state machine as an extension. Owns that document;
//! message schemas and direction marks come from its siblings.

use serde_json::{Map, Value, json};

use super::direction::Direction;
use super::{DO_NOT_EDIT, MESSAGES, Message, generator, tagged_body, write};
use crate::PROTOCOL;
use crate::table::{Answer, Bound, CLIENT_ROWS, DEBTS, Row, SERVER_ROWS, Side, State};

/// `schemas/v1/asyncapi.yaml`.
pub(super) fn document() -> String {
    let mut generator = generator("/components/schemas");
    let mut messages = Map::new();
    for message in MESSAGES {
        messages.insert(message_name(message), component_message(message, tagged_body(message, &mut generator)));
    }
    messages.insert(AUDIO.into(), audio_message());
    let document = json!({
        "asyncapi": "3.1.0",
        "info": info(),
        "defaultContentType": "application/json",
        "channels": { CHANNEL: channel() },
        "operations": operations(),
        "components": { "messages": messages, "schemas": generator.take_definitions(true) },
        "x-lastword-state-table": state_table(),
    });
    let yaml = serde_norway::to_string(&in_order(&document)).expect("a JSON document has string keys only");
    format!("# {DO_NOT_EDIT}\n{yaml}")
}

const CHANNEL: &str = "session";
const AUDIO: &str = "audio";

fn info() -> Value {
    json!({
        "title": "Lastword streaming speech-to-text",
        "version": "1.0.0",
        "description": "Streaming speech-to-text over one WebSocket connection. The document is written from the side of the \
                        server: it receives what a client sends. Control messages are text messages with one JSON object, \
                        audio is binary. When a message is legal, and what each side then owes, is in \
                        `x-lastword-state-table`; `x-legal-in` names the states of the receiver. The normative text is in \
                        `spec/v1`.",
        "license": { "name": "MIT OR Apache-2.0" },
    })
}

fn channel() -> Value {
    let mut messages: Map<String, Value> = MESSAGES.iter().map(|message| reference(&message_name(message))).collect();
    messages.extend([reference(AUDIO)]);
    json!({
        "address": null,
        "title": "One session",
        "description": format!(
            "One session is one WebSocket connection; the path is the operator's. The subprotocol is `{PROTOCOL}`."
        ),
        "messages": messages,
        "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
    })
}

fn reference(message: &str) -> (String, Value) {
    (message.to_owned(), json!({ "$ref": format!("#/components/messages/{message}") }))
}

fn operations() -> Map<String, Value> {
    let mut operations: Map<String, Value> = MESSAGES
        .iter()
        .map(|message| {
            let name = message_name(message);
            let direction = Direction::of(message.sent_by, message.message_type);
            let mut operation = operation(message.sent_by, &name);
            operation["x-legal-in"] = json!(direction.legal_in);
            operation["x-requirements"] = json!(direction.requirements);
            (name, operation)
        })
        .collect();
    operations.insert(AUDIO.into(), operation(Side::Client, AUDIO));
    operations
}

fn operation(sent_by: Side, message: &str) -> Value {
    let action = match sent_by {
        Side::Client => "receive",
        Side::Server => "send",
    };
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{CHANNEL}") },
        "messages": [{ "$ref": format!("#/channels/{CHANNEL}/messages/{message}") }],
        "x-sent-by": sent_by.as_str(),
    })
}

/// No two messages of v1 share a name, so the name does not say the side; the marks do.
fn message_name(message: &Message) -> String {
    message.message_type.to_owned()
}

fn component_message(message: &Message, body: Value) -> Value {
    json!({
        "name": message.message_type,
        "title": message.message_type,
        "summary": format!("Sent by the {}.", message.sent_by.as_str()),
        "contentType": "application/json",
        "payload": body,
    })
}

fn audio_message() -> Value {
    json!({
        "name": AUDIO,
        "title": AUDIO,
        "summary": "Sent by the client: one binary message of whole sample groups, in the format of `ready.config.audio`.",
        "contentType": "application/octet-stream",
        "payload": { "type": "string", "contentEncoding": "binary" },
    })
}

fn state_table() -> Value {
    json!({
        "states": State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
        "server": SERVER_ROWS.iter().map(|row| row_value(row, row.input.as_str())).collect::<Vec<_>>(),
        "client": CLIENT_ROWS.iter().map(|row| row_value(row, row.input.as_str())).collect::<Vec<_>>(),
        "debts": debts(),
    })
}

fn row_value<I>(row: &Row<I>, input: &str) -> Value {
    let (answer, code) = answer_words(row.answer);
    let mut value = json!({
        "state": row.state.as_str(),
        "input": input,
        "answer": answer,
        "next": row.next.as_str(),
        "ids": row.ids.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
    });
    if let Some(code) = code {
        value["code"] = code.into();
    }
    value
}

fn answer_words(answer: Answer) -> (&'static str, Option<&'static str>) {
    match answer {
        Answer::Nothing => ("nothing", None),
        Answer::Accept => ("accept", None),
        Answer::CountMayReject(code) => ("count, may reject", Some(code)),
        Answer::RejectOnce(code) => ("reject once", Some(code)),
        Answer::Reject(code) => ("reject", Some(code)),
        Answer::Wait => ("wait for ready", None),
        Answer::OweReady => ("owe ready", None),
        Answer::SendReady => ("send ready", None),
        Answer::OweFlushed => ("owe flushed", None),
        Answer::UpdatedOrError => ("send updated or error", None),
        Answer::OweKeepaliveAck => ("owe keepalive_ack", None),
        Answer::OweSessionEnded => ("owe session_ended", None),
        Answer::Fatal(code) => ("fatal error", Some(code)),
        Answer::FatalByCause => ("fatal error by cause", None),
        Answer::SendSessionEnded => ("send session_ended", None),
        Answer::EchoClose => ("echo Close", None),
        Answer::Discard => ("discard", None),
        Answer::Deliver => ("deliver", None),
        Answer::Note => ("note", None),
        Answer::Violation => ("violation", None),
    }
}

fn debts() -> Vec<Value> {
    let debts = DEBTS.iter().map(|debt| {
        json!({
            "state": debt.state.as_str(),
            "debtor": debt.debtor.as_str(),
            "owes": debt.what,
            "since": debt.since,
            "within": match debt.within {
                Bound::Limit(limit) => json!({ "limit": limit }),
                Bound::Extensible(limit) => json!({ "limit": limit, "extended_by_progress": true }),
                Bound::Fixed(bound_ms) => json!({ "ms": bound_ms }),
            },
            "ids": debt.ids.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
        })
    });
    debts.collect()
}

/// The document with its members in the order of [`write::ordered`], which the YAML library keeps.
fn in_order(value: &Value) -> serde_norway::Value {
    match value {
        Value::Object(object) => {
            let members = write::ordered(object).into_iter();
            serde_norway::Value::Mapping(
                members.map(|(name, member)| (name.as_str().into(), in_order(member))).collect(),
            )
        }
        Value::Array(items) => serde_norway::Value::Sequence(items.iter().map(in_order).collect()),
        Value::String(text) => text.as_str().into(),
        Value::Bool(bool) => (*bool).into(),
        Value::Null => serde_norway::Value::Null,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(unsigned), _) => unsigned.into(),
            (_, Some(signed)) => signed.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
    }
}
