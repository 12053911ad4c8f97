//! Owns how a step becomes bytes: the messages that a scripted client sends, well-formed or not.

use lastword_spec::limits::Limits;
use serde_json::{Map, Value};

use super::env::Env;
use crate::case::{Padded, Step};
use crate::wire::Outgoing;
use crate::{audio_frames, limit, wire};

/// The messages of a step that only sends; none for any other step. `number` is the last one given out in this case.
pub(super) fn messages(step: &Step, env: &Env, limits: &Limits, attempt: u32, number: &mut u64) -> Vec<Outgoing> {
    let by_name = |name: &str| limit::by_name(limits, name);
    let token = env.dialler.target().token.as_deref();
    match step {
        Step::Send(message) => vec![Outgoing::Text(text(message, token, number))],
        Step::Raw(raw) => vec![Outgoing::Text(raw.clone())],
        Step::Padded(wanted) => vec![Outgoing::Text(padded(wanted, wanted.bytes.resolve(by_name)))],
        Step::Nested(depth) => vec![Outgoing::Text(nested(*depth))],
        Step::Audio(audio) => audio_frames::frames(audio, &env.speech, attempt, |name| env.audio_limit(limits, name)),
        Step::Binary(wanted) => {
            let length = wanted.bytes.as_ref().map_or(0, |sized| sized.resolve(by_name));
            let mut bytes = wanted.head.clone().into_bytes();
            bytes.resize(usize::try_from(length).unwrap_or(0).max(bytes.len()), 0);
            vec![Outgoing::RawBinary(bytes.into())]
        }
        Step::Frame(frame) => vec![Outgoing::RawText(from_hex(&frame.text_hex))],
        Step::Fragmented(steps) => {
            let whole = steps.iter().flat_map(|step| messages(step, env, limits, attempt, number));
            whole.map(|message| Outgoing::Fragmented(Box::new(message))).collect()
        }
        Step::Close(close) => vec![Outgoing::Close(close.code)],
        Step::Start(_)
        | Step::Open(_)
        | Step::SideBySide(_)
        | Step::Use(_)
        | Step::Burst(_)
        | Step::Repeat(_)
        | Step::Tick(_) => Vec::new(),
        Step::Await(_) | Step::Barrier | Step::Settle | Step::Finish => Vec::new(),
        Step::ExpectClose | Step::Drop => Vec::new(),
    }
}

/// The object as text. A `config` carries the credential of the run unless it says something of its own. In strings `$TOKEN`
/// stands for that credential, `$WRONG` for one that cannot be right, `$ANY` for the first or, where the run has none, one that
/// means nothing, and `$NUMBER` for a number that comes once; a member `token` with `$NONE` is left out.
fn text(message: &Map<String, Value>, token: Option<&str>, number: &mut u64) -> String {
    let mut message = message.clone();
    let is_config = message.get("type").is_some_and(|kind| kind == "config");
    match message.get("token").and_then(Value::as_str) {
        Some("$NONE") => {
            message.remove("token");
        }
        None if is_config => {
            if let Some(token) = token {
                message.insert("token".into(), Value::from(token));
            }
        }
        Some(_) | None => {}
    }
    let mut message = Value::Object(message);
    fill(&mut message, token, number);
    plain(&message)
}

/// The text of an object as most clients write it: `type` first. Only a case about the form of messages sends another.
pub(super) fn plain(message: &Value) -> String {
    let Some(kind) = message.get("type") else { return message.to_string() };
    let mut rest = message.clone();
    if let Value::Object(members) = &mut rest {
        members.remove("type");
    }
    let rest = rest.to_string();
    let rest = rest.trim_start_matches('{');
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"type\":{kind}{comma}{rest}")
}

fn fill(value: &mut Value, token: Option<&str>, number: &mut u64) {
    match value {
        Value::String(text) => match text.as_str() {
            "$TOKEN" => *value = token.map_or(Value::Null, Value::from),
            "$WRONG" => *value = Value::from(wire::WRONG_TOKEN),
            "$ANY" => *value = Value::from(token.unwrap_or(wire::WRONG_TOKEN)),
            "$NUMBER" => {
                *number += 1;
                *value = Value::from(format!("n-{number}"));
            }
            _ => {}
        },
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, token, number)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, token, number)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The message with an extension member that makes it exactly so long, or as short as it can be.
fn padded(wanted: &Padded, bytes: u64) -> String {
    let mut message = wanted.message.clone();
    message.insert("x_pad".into(), Value::from(""));
    let bare = plain(&Value::Object(message.clone())).len();
    let fill = usize::try_from(bytes).unwrap_or(0).saturating_sub(bare);
    message.insert("x_pad".into(), Value::from("p".repeat(fill)));
    plain(&Value::Object(message))
}

fn nested(depth: u32) -> String {
    let mut text = String::from(r#"{"type":"keepalive","x_deep":"#);
    text.extend(std::iter::repeat_n('[', depth as usize));
    text
}

fn from_hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Amount;

    #[test]
    fn a_padded_message_has_exactly_the_length_asked_for() {
        let message = Map::from_iter([("type".to_owned(), Value::from("keepalive"))]);
        let bytes = Amount { limit: None, percent: 100, plus: 0 };
        let text = padded(&Padded { message, bytes }, 300);
        assert_eq!(text.len(), 300);
        assert!(serde_json::from_str::<Value>(&text).expect("JSON")["x_pad"].is_string());
    }

    #[test]
    fn type_is_the_first_member() {
        let text = |json: &str| plain(&serde_json::from_str(json).expect("JSON"));
        assert_eq!(text(r#"{"a":{"b":1},"type":"x"}"#), r#"{"type":"x","a":{"b":1}}"#);
        assert_eq!(text(r#"{"type":"x"}"#), r#"{"type":"x"}"#);
        assert_eq!(text(r#"{"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn a_config_carries_the_credential_of_the_run_unless_it_says_otherwise() {
        let object = |text: &str| match serde_json::from_str(text).expect("JSON") {
            Value::Object(map) => map,
            other => panic!("{other}"),
        };
        let token = |message: &str| {
            let sent: Value = serde_json::from_str(&text(&object(message), Some("sesame"), &mut 0)).expect("JSON");
            sent.get("token").and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(token(r#"{"type":"config"}"#).as_deref(), Some("sesame"));
        assert_eq!(token(r#"{"type":"config","token":"$WRONG"}"#).as_deref(), Some(wire::WRONG_TOKEN));
        assert_eq!(token(r#"{"type":"config","token":"$NONE"}"#), None);
        assert_eq!(token(r#"{"type":"keepalive"}"#), None);
    }

    #[test]
    fn hexadecimal_digits_become_bytes() {
        assert_eq!(from_hex("c328 00"), [0xc3, 0x28, 0x00]);
    }
}
