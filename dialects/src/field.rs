//! The closed list of fields: what a message of each kind can tell, by which names a dialect file may call it, and in which units.
//! Owns names and conversions; it knows no rules.

use serde_json::{Number, Value};

/// A kind of message in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Config,
    Keepalive,
    Flush,
    Update,
    EndOfStream,
    Audio,
    Ready,
    Partial,
    Final,
    Flushed,
    Updated,
    SessionEnded,
    SpeechStarted,
    SpeechEnded,
    KeepaliveAck,
    Progress,
    Warning,
    Error,
    AudioAck,
    Window,
    Tokens,
    Ignore,
}

impl Kind {
    const CLIENT: &'static [Self] =
        &[Self::Config, Self::Keepalive, Self::Flush, Self::Update, Self::EndOfStream, Self::Audio, Self::Ignore];
    const SERVER: &'static [Self] = &[
        Self::Ready,
        Self::Partial,
        Self::Final,
        Self::Flushed,
        Self::Updated,
        Self::SessionEnded,
        Self::SpeechStarted,
        Self::SpeechEnded,
        Self::KeepaliveAck,
        Self::Progress,
        Self::Warning,
        Self::Error,
        Self::AudioAck,
        Self::Window,
        Self::Tokens,
        Self::Ignore,
    ];

    pub(crate) const fn all(of_client: bool) -> &'static [Self] {
        if of_client { Self::CLIENT } else { Self::SERVER }
    }

    pub(crate) fn find(name: &str, of_client: bool) -> Option<Self> {
        Self::all(of_client).iter().copied().find(|kind| kind.as_str() == name)
    }

    /// The name in a file, which is the `type` of v1 where there is one.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Keepalive => "keepalive",
            Self::Flush => "flush",
            Self::Update => "update",
            Self::EndOfStream => "end_of_stream",
            Self::Audio => "audio",
            Self::Ready => "ready",
            Self::Partial => "partial",
            Self::Final => "final",
            Self::Flushed => "flushed",
            Self::Updated => "updated",
            Self::SessionEnded => "session_ended",
            Self::SpeechStarted => "speech_started",
            Self::SpeechEnded => "speech_ended",
            Self::KeepaliveAck => "keepalive_ack",
            Self::Progress => "progress",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::AudioAck => "audio_ack",
            Self::Window => "window",
            Self::Tokens => "tokens",
            Self::Ignore => "ignore",
        }
    }

    /// The fields of its message.
    pub(crate) const fn fields(self) -> &'static [Field] {
        match self {
            Self::Config => CONFIG,
            Self::Ready | Self::Updated => READY,
            Self::Keepalive | Self::KeepaliveAck => SEQ,
            Self::Flush | Self::Flushed => ID,
            Self::Update => UPDATE,
            Self::Audio => AUDIO,
            Self::Partial | Self::Final => RESULT,
            Self::SessionEnded => ENDED,
            Self::SpeechStarted => SPEECH_STARTED,
            Self::SpeechEnded => SPEECH_ENDED,
            Self::Progress => PROGRESS,
            Self::Warning => WARNING,
            Self::Error => ERROR,
            Self::EndOfStream | Self::AudioAck | Self::Window | Self::Tokens | Self::Ignore => &[],
        }
    }
}

/// One name for one member of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// As a dialect file calls it.
    pub(crate) name: &'static str,
    /// The member of the v1 message, as a JSON pointer; empty for what the translator keeps itself.
    pub(crate) member: &'static str,
    pub(crate) unit: Unit,
}

/// How the value on the wire relates to the value in v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Any JSON value, as it is.
    Plain,
    Text,
    Boolean,
    Integer,
    /// Milliseconds there and here; a fraction is rounded.
    Milliseconds,
    /// Seconds there, milliseconds here.
    Seconds,
    /// Seconds without a fraction there, rounded down; milliseconds here.
    WholeSeconds,
    /// A number from 0 to 1.
    Probability,
    /// The natural logarithm of a probability there, the probability here.
    LogProbability,
    /// 0 to 100 there, 0 to 1 here.
    Percent,
    /// What tells segments apart, as text.
    Key,
    /// An array of words, taken by `{ each, ... }` and written by a table with the one key `${words}`.
    Words,
    /// Strings, as an array or with commas between.
    Strings,
}

const fn field(name: &'static str, member: &'static str, unit: Unit) -> Field {
    Field { name, member, unit }
}

const CONFIG: &[Field] = &[
    field("language", "/language", Unit::Text),
    field("languages", "/languages", Unit::Strings),
    field("model", "/model", Unit::Text),
    field("task", "/task", Unit::Text),
    field("encoding", "/audio/encoding", Unit::Text),
    field("sample_rate_hz", "/audio/sample_rate_hz", Unit::Integer),
    field("channels", "/audio/channels", Unit::Integer),
    field("interim_results", "/interim_results", Unit::Boolean),
    field("words", "/words", Unit::Boolean),
    field("vad_events", "/vad_events", Unit::Boolean),
    field("endpointing", "/endpointing/mode", Unit::Text),
    field("silence_ms", "/endpointing/silence_ms", Unit::Milliseconds),
    field("silence_s", "/endpointing/silence_ms", Unit::Seconds),
    field("max_segment_ms", "/endpointing/max_segment_ms", Unit::Milliseconds),
    field("max_segment_s", "/endpointing/max_segment_ms", Unit::Seconds),
    field("keyterms", "/keyterms", Unit::Strings),
    field("token", "/token", Unit::Text),
];
const READY: &[Field] = &[
    field("session_id", "/session_id", Unit::Key),
    field("id", "/id", Unit::Key),
    field("language", "/config/language", Unit::Text),
    field("model", "/config/model", Unit::Text),
    field("task", "/config/task", Unit::Text),
    field("encoding", "/config/audio/encoding", Unit::Text),
    field("sample_rate_hz", "/config/audio/sample_rate_hz", Unit::Integer),
    field("channels", "/config/audio/channels", Unit::Integer),
    field("interim_results", "/config/interim_results", Unit::Boolean),
    field("words", "/config/words", Unit::Boolean),
    field("vad_events", "/config/vad_events", Unit::Boolean),
    field("silence_ms", "/config/endpointing/silence_ms", Unit::Milliseconds),
    field("silence_s", "/config/endpointing/silence_ms", Unit::Seconds),
];
const SEQ: &[Field] = &[field("seq", "/seq", Unit::Integer)];
const ID: &[Field] = &[field("id", "/id", Unit::Key)];
const UPDATE: &[Field] = &[
    field("id", "/id", Unit::Key),
    field("language", "/language", Unit::Text),
    field("endpointing", "/endpointing/mode", Unit::Text),
    field("silence_ms", "/endpointing/silence_ms", Unit::Milliseconds),
    field("silence_s", "/endpointing/silence_ms", Unit::Seconds),
    field("max_segment_ms", "/endpointing/max_segment_ms", Unit::Milliseconds),
    field("keyterms", "/keyterms", Unit::Strings),
];
const AUDIO: &[Field] = &[field("audio", "/audio", Unit::Text), field("audio_base64", "/audio", Unit::Text)];
const RESULT: &[Field] = &[
    field("segment", "/segment_id", Unit::Key),
    field("revision", "/revision", Unit::Integer),
    field("text", "/text", Unit::Text),
    field("start_ms", "/start_ms", Unit::Milliseconds),
    field("start_s", "/start_ms", Unit::Seconds),
    field("end_ms", "/end_ms", Unit::Milliseconds),
    field("end_s", "/end_ms", Unit::Seconds),
    field("duration_ms", "/duration_ms", Unit::Milliseconds),
    field("duration_s", "/duration_ms", Unit::Seconds),
    field("confidence", "/confidence", Unit::Probability),
    field("confidence_ln", "/confidence", Unit::LogProbability),
    field("confidence_percent", "/confidence", Unit::Percent),
    field("words", "/words", Unit::Words),
    field("language", "/language", Unit::Text),
    field("speaker", "/speaker", Unit::Key),
    field("channel", "/channel", Unit::Integer),
    // Whether this final says again what earlier finals of the utterance said; for `finals = "restating"`.
    field("restates", "/restates", Unit::Boolean),
];
const ENDED: &[Field] = &[
    field("reason", "/reason", Unit::Text),
    field("complete", "/complete", Unit::Boolean),
    field("audio_received_ms", "/audio_received_ms", Unit::Milliseconds),
    field("audio_received_s", "/audio_received_ms", Unit::Seconds),
    field("audio_received_whole_s", "/audio_received_ms", Unit::WholeSeconds),
    field("audio_processed_ms", "/audio_processed_ms", Unit::Milliseconds),
    field("audio_processed_s", "/audio_processed_ms", Unit::Seconds),
    field("audio_processed_whole_s", "/audio_processed_ms", Unit::WholeSeconds),
    field("rejected_frames", "/rejected_frames", Unit::Integer),
    field("finals", "/finals", Unit::Integer),
    field("message", "/message", Unit::Key),
];
const SPEECH_STARTED: &[Field] = &[
    field("start_ms", "/start_ms", Unit::Milliseconds),
    field("start_s", "/start_ms", Unit::Seconds),
    field("channel", "/channel", Unit::Integer),
];
const SPEECH_ENDED: &[Field] = &[
    field("end_ms", "/end_ms", Unit::Milliseconds),
    field("end_s", "/end_ms", Unit::Seconds),
    field("channel", "/channel", Unit::Integer),
];
const PROGRESS: &[Field] = &[
    field("seq", "/seq", Unit::Integer),
    field("audio_processed_ms", "/audio_processed_ms", Unit::Milliseconds),
    field("audio_processed_s", "/audio_processed_ms", Unit::Seconds),
];
const WARNING: &[Field] = &[field("code", "/code", Unit::Key), field("message", "/message", Unit::Key)];
const ERROR: &[Field] = &[
    field("code", "/code", Unit::Key),
    field("message", "/message", Unit::Key),
    field("fatal", "/fatal", Unit::Boolean),
    field("retryable", "/retryable", Unit::Boolean),
    field("retry_after_ms", "/retry_after_ms", Unit::Milliseconds),
    field("retry_after_s", "/retry_after_ms", Unit::Seconds),
    field("param", "/param", Unit::Text),
    field("id", "/id", Unit::Key),
];

/// The fields of one word.
pub(crate) const WORD: &[Field] = &[
    field("text", "/text", Unit::Text),
    field("start_ms", "/start_ms", Unit::Milliseconds),
    field("start_s", "/start_ms", Unit::Seconds),
    field("end_ms", "/end_ms", Unit::Milliseconds),
    field("end_s", "/end_ms", Unit::Seconds),
    field("duration_ms", "/duration_ms", Unit::Milliseconds),
    field("duration_s", "/duration_ms", Unit::Seconds),
    field("confidence", "/confidence", Unit::Probability),
    field("confidence_ln", "/confidence", Unit::LogProbability),
    field("confidence_percent", "/confidence", Unit::Percent),
];

/// The fields of one token of a `tokens` rule and of one segment of a `window` rule.
pub(crate) const PIECE: &[Field] = RESULT;

/// The fields of the transcript of a whole recording.
pub(crate) const BATCH: &[Field] = &[
    field("text", "/text", Unit::Text),
    field("language", "/language", Unit::Text),
    field("duration_ms", "/duration_ms", Unit::Milliseconds),
    field("duration_s", "/duration_ms", Unit::Seconds),
    field("segments", "/segments", Unit::Plain),
];
/// The fields of a refusal to transcribe one.
pub(crate) const BATCH_REFUSAL: &[Field] = &[field("message", "/message", Unit::Text)];

/// What a session knows, in every template: `member` is empty.
pub(crate) const SESSION: &[Field] = &[
    field("uuid", "", Unit::Key),
    field("token", "", Unit::Text),
    field("session_id", "", Unit::Key),
    field("language", "", Unit::Text),
    field("model", "", Unit::Text),
    field("task", "", Unit::Text),
    field("encoding", "", Unit::Text),
    field("sample_rate_hz", "", Unit::Integer),
    field("channels", "", Unit::Integer),
    field("audio_frames", "", Unit::Integer),
    field("audio_ms", "", Unit::Milliseconds),
    field("audio_s", "", Unit::Seconds),
    field("transcript", "", Unit::Text),
    field("socket_url", "", Unit::Text),
];

/// The field of that name among these, or among what the session knows.
pub(crate) fn find(fields: &[Field], name: &str) -> Option<Field> {
    fields.iter().chain(SESSION).copied().find(|field| field.name == name)
}

/// The names of these fields, for an error.
pub(crate) fn names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The floor under a log probability: JSON has no infinity.
const LN_FLOOR: f64 = -100.0;

impl Unit {
    /// The v1 value of a wire value.
    pub(crate) fn read(self, value: &Value) -> Result<Value, String> {
        let wanted = |what: &str| Err(format!("{what} is wanted, {} stands there", describe(value)));
        match self {
            Self::Plain => Ok(value.clone()),
            Self::Text => match value {
                Value::String(_) => Ok(value.clone()),
                _ => wanted("a string"),
            },
            Self::Key => match value {
                Value::String(_) => Ok(value.clone()),
                Value::Number(_) | Value::Bool(_) => Ok(Value::String(value.to_string())),
                _ => wanted("a string or a number"),
            },
            Self::Boolean => match value {
                Value::Bool(_) => Ok(value.clone()),
                Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(Value::Bool(true)),
                Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(Value::Bool(false)),
                _ => wanted("a boolean"),
            },
            Self::Integer | Self::Milliseconds | Self::Seconds | Self::WholeSeconds => match number(value) {
                Some(number) => {
                    let scaled =
                        if matches!(self, Self::Seconds | Self::WholeSeconds) { number * 1_000.0 } else { number };
                    // A time just below zero comes from rounding at the other side.
                    Ok(Value::from(scaled.round().max(0.0) as u64))
                }
                None => wanted("a number"),
            },
            Self::Probability | Self::LogProbability | Self::Percent => match number(value) {
                Some(number) => {
                    let probability = match self {
                        Self::LogProbability => number.exp(),
                        Self::Percent => number / 100.0,
                        _ => number,
                    };
                    Ok(Value::from(probability))
                }
                None => wanted("a number"),
            },
            Self::Words => match value {
                Value::Array(_) => Ok(value.clone()),
                _ => wanted("an array"),
            },
            Self::Strings => match value {
                Value::Array(items) if items.iter().all(Value::is_string) => Ok(value.clone()),
                Value::String(text) => {
                    Ok(text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Value::from).collect())
                }
                _ => wanted("an array of strings"),
            },
        }
    }

    /// The wire value of a v1 value.
    pub(crate) fn write(self, value: &Value) -> Value {
        let of = |number: Option<f64>| number.and_then(Number::from_f64).map_or(Value::Null, Value::Number);
        match self {
            Self::Seconds => of(value.as_f64().map(|ms| ms / 1_000.0)),
            Self::WholeSeconds => value.as_u64().map_or(Value::Null, |ms| Value::from(ms / 1_000)),
            Self::LogProbability => of(value.as_f64().map(|probability| probability.ln().max(LN_FLOOR))),
            Self::Percent => of(value.as_f64().map(|probability| probability * 100.0)),
            _ => value.clone(),
        }
    }
}

/// A number, be it written as one or as a string.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A JSON value in a word or two, without its content where that may be long.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units_are_scaled_both_ways() {
        for (unit, wire, v1) in [
            (Unit::Seconds, json!(1.25), json!(1250)),
            (Unit::WholeSeconds, json!(3), json!(3000)),
            (Unit::Milliseconds, json!(40), json!(40)),
            (Unit::Percent, json!(50.0), json!(0.5)),
            (Unit::LogProbability, json!(0.0), json!(1.0)),
        ] {
            assert_eq!(unit.read(&wire), Ok(v1.clone()));
            assert_eq!(unit.write(&v1), wire);
        }
        assert_eq!(Unit::Seconds.read(&json!("1.250")), Ok(json!(1250)), "some services write times as strings");
        assert_eq!(Unit::WholeSeconds.write(&json!(3_999)), json!(3), "a fraction is what the wire has no place for");
        assert_eq!(Unit::LogProbability.write(&json!(0.0)), json!(-100.0), "JSON has no infinity");
    }

    #[test]
    fn a_wrong_type_is_told_without_its_content() {
        assert_eq!(Unit::Text.read(&json!(["secret"])), Err("a string is wanted, an array stands there".to_owned()));
        assert!(Unit::Seconds.read(&json!("soon")).is_err());
    }
}
