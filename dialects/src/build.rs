//! From the fields that a frame told to a message of v1, and back. Owns what is filled in where the wire is silent, and that it is
//! marked; it knows no rules.

use std::collections::BTreeMap;

use lastword_spec::PROTOCOL;
use lastword_spec::close::EndReason;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::error_code::{ErrorCode, error_code_spec};
use lastword_spec::limits::Limits;
use lastword_spec::message::{
    Capabilities, ClientMessage, ErrorMessage, Flushed, KeepaliveAck, Progress, Ready, ServerMessage, SessionEnded,
    SpeechEnded, SpeechStarted, Updated, Warning,
};
use serde_json::{Map, Value, json};

use crate::field::Kind;
use crate::frame::Origin;
use crate::pointer::Pointer;
use crate::rule::{Taken, with_duration};
use crate::session::Session;

/// The members of a frame, while a message is made of them: each that is asked for and absent is noted as synthesised.
pub(crate) struct Members {
    told: BTreeMap<&'static str, Value>,
    made_up: Vec<String>,
}

impl Members {
    pub(crate) fn new(taken: &Taken) -> Self {
        let made_up = taken.set.iter().map(|member| member[1..].replace('/', ".")).collect();
        Self { told: taken.members.clone(), made_up }
    }

    fn get(&mut self, member: &'static str) -> Option<Value> {
        self.told.get(member).cloned()
    }

    fn or(&mut self, member: &'static str, otherwise: impl Into<Value>) -> Value {
        match self.get(member) {
            Some(value) => value,
            None => {
                self.made_up.push(member[1..].replace('/', "."));
                otherwise.into()
            }
        }
    }

    fn number(&mut self, member: &'static str, otherwise: u64) -> u64 {
        self.or(member, otherwise).as_u64().unwrap_or(otherwise)
    }

    fn flag(&mut self, member: &'static str, otherwise: bool) -> bool {
        self.or(member, otherwise).as_bool().unwrap_or(otherwise)
    }

    fn text(&mut self, member: &'static str, otherwise: &str) -> String {
        self.or(member, otherwise).as_str().unwrap_or(otherwise).to_owned()
    }

    fn opt_text(&mut self, member: &'static str) -> Option<String> {
        self.get(member)?.as_str().map(str::to_owned)
    }

    fn opt_number(&mut self, member: &'static str) -> Option<u64> {
        self.get(member)?.as_u64()
    }

    fn origin(mut self) -> Origin {
        self.made_up.sort();
        self.made_up.dedup();
        Origin { on_wire: true, synthesised: self.made_up }
    }
}

/// The members as an object with v1's names.
pub(crate) fn object_of(taken: &Taken) -> Value {
    let mut object = Value::Object(Map::new());
    for (member, value) in &taken.members {
        if let Ok(at) = Pointer::parse(member) {
            at.put(&mut object, value.clone());
        }
    }
    object
}

/// A server's message that is no result. `expected` is the code of the refusal that is due, if one is.
pub(crate) fn server_message(
    kind: Kind,
    taken: &Taken,
    session: &mut Session,
    limits: &Limits,
    expected: Option<ErrorCode>,
) -> Result<(ServerMessage, Origin), String> {
    let mut members = Members::new(taken);
    let message = match kind {
        Kind::Ready => {
            let session_id = members.text("/session_id", &session.uuid);
            session.session_id = Some(session_id.clone());
            let mut ready = ready(session, limits);
            ready.session_id = session_id;
            ready.config = config_with(&ready.config, &members.told)?;
            for name in ["capabilities", "config", "limits", "protocol"] {
                members.made_up.push(name.to_owned());
            }
            ServerMessage::Ready(Box::new(ready))
        }
        Kind::Flushed => {
            let own = session.flushes.pop_front().unwrap_or_else(|| "unasked".to_owned());
            ServerMessage::Flushed(Flushed { id: members.text("/id", &own) })
        }
        Kind::Updated => {
            let own = session.updates.pop_front().unwrap_or_else(|| "unasked".to_owned());
            let config = config_with(&session.effective(), &members.told)?;
            members.made_up.push("config".to_owned());
            ServerMessage::Updated(Box::new(Updated { id: members.text("/id", &own), config }))
        }
        Kind::SessionEnded => ServerMessage::SessionEnded(SessionEnded {
            reason: EndReason::from(members.text("/reason", "completed")),
            complete: members.flag("/complete", session.after_end),
            audio_received_ms: members.number("/audio_received_ms", session.audio_ms()),
            audio_processed_ms: members.number("/audio_processed_ms", session.audio_ms()),
            rejected_frames: members.number("/rejected_frames", session.rejected_frames),
            finals: members.number("/finals", session.finals),
            message: members.opt_text("/message"),
        }),
        Kind::SpeechStarted => ServerMessage::SpeechStarted(SpeechStarted {
            start_ms: members.number("/start_ms", session.audio_ms()),
            channel: members.number("/channel", 0) as u32,
        }),
        Kind::SpeechEnded => ServerMessage::SpeechEnded(SpeechEnded {
            end_ms: members.number("/end_ms", session.audio_ms()),
            channel: members.number("/channel", 0) as u32,
        }),
        Kind::KeepaliveAck => ServerMessage::KeepaliveAck(KeepaliveAck { seq: members.number("/seq", 0) }),
        Kind::Progress => {
            session.progress_seq += 1;
            ServerMessage::Progress(Progress {
                seq: members.number("/seq", session.progress_seq),
                audio_processed_ms: members.number("/audio_processed_ms", 0),
            })
        }
        Kind::Warning => ServerMessage::Warning(Warning {
            code: members.text("/code", "unspecified").as_str().into(),
            message: members.text("/message", ""),
        }),
        Kind::Error => {
            let otherwise = expected.unwrap_or(ErrorCode::INTERNAL);
            let code = ErrorCode::from(members.text("/code", otherwise.as_str()));
            let retryable = error_code_spec(code.as_str()).is_some_and(|spec| spec.retryable);
            ServerMessage::Error(ErrorMessage {
                code,
                message: members.text("/message", ""),
                fatal: members.flag("/fatal", false),
                retryable: members.flag("/retryable", retryable),
                retry_after_ms: members.opt_number("/retry_after_ms"),
                param: members.opt_text("/param"),
                id: members.opt_text("/id").filter(|id| !id.is_empty()),
            })
        }
        other => return Err(format!("`{}` is no message of a server", other.as_str())),
    };
    Ok((checked(message)?, members.origin()))
}

/// What stands on the wire must be what it is here: ids that are too long, numbers out of range.
fn checked(message: ServerMessage) -> Result<ServerMessage, String> {
    match codec::decode_server(&codec::encode(&message), u64::MAX) {
        Ok(_) => Ok(message),
        Err(error) => Err(error.to_string()),
    }
}

/// A `ready` of which nothing was on the wire.
pub(crate) fn ready(session: &Session, limits: &Limits) -> Ready {
    Ready {
        session_id: session.session_id.clone().unwrap_or_else(|| session.uuid.clone()),
        protocol: PROTOCOL.to_owned(),
        config: session.effective(),
        limits: limits.clone(),
        capabilities: Capabilities::default(),
        ignored: Vec::new(),
    }
}

fn config_with(
    config: &lastword_spec::message::EffectiveConfig,
    told: &BTreeMap<&'static str, Value>,
) -> Result<lastword_spec::message::EffectiveConfig, String> {
    let mut object = serde_json::to_value(config).map_err(|error| error.to_string())?;
    for (member, value) in told {
        if let Some(member) = member.strip_prefix("/config") {
            overlay(&mut object, member, value.clone());
        }
    }
    serde_json::from_value(object).map_err(|error| error.to_string())
}

/// Puts a value at a pointer, whatever stood there.
pub(crate) fn overlay(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for token in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[token];
    }
    *at = value;
}

/// A client's control message. `Err` holds the text of a message that v1 would refuse, and why.
pub(crate) fn client_message(
    kind: Kind,
    taken: &Taken,
    session: &mut Session,
) -> Result<(ClientMessage, Origin), (String, String)> {
    let mut members = Members::new(taken);
    let mut object = match kind {
        Kind::Config => serde_json::to_value(&session.config).unwrap_or_else(|_| json!({})),
        _ => json!({}),
    };
    for (member, value) in &members.told {
        overlay(&mut object, member, value.clone());
    }
    if matches!(kind, Kind::Flush | Kind::Update) {
        session.requests += 1;
        let own = format!("{}-{}", kind.as_str(), session.requests);
        object["id"] = members.or("/id", own);
    }
    object["type"] = Value::from(kind.as_str());
    let text = object.to_string();
    match codec::decode_client(&text, u64::MAX) {
        Ok(Decoded::Message(message)) => Ok((message, members.origin())),
        Ok(Decoded::Unknown { .. }) => Err((text, "no message of v1".to_owned())),
        Err(error) => Err((text, error.to_string())),
    }
}

/// A message as an object of v1, with what templates may ask for besides.
pub(crate) fn object_of_text(v1: &str) -> Value {
    let mut object: Value = serde_json::from_str(v1).unwrap_or_else(|_| json!({}));
    with_duration(&mut object);
    if let Some(words) = object.get_mut("words").and_then(Value::as_array_mut) {
        words.iter_mut().for_each(with_duration);
    }
    object
}
