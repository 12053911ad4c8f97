//! The codec and the published schemas agree on every text: the codec takes it if and only if it is I-JSON and the schema
//! of its type takes it. A difference prints the text.

#[path = "common/mutate.rs"]
mod mutate;
#[path = "common/oracle.rs"]
mod oracle;
#[path = "common/strategies.rs"]
mod strategies;

use std::sync::LazyLock;

use jsonschema::Validator;
use lastword_spec::codec::{self, Decoded, WireMessage};
use lastword_spec::message::{ClientMessage, ServerMessage};
use lastword_spec::table::Side;
use lastword_spec::{schema, trace};
use oracle::{Opinion, Oracle};
use proptest::prelude::*;
use serde_json::Value;

const MAX_TEXT_BYTES: usize = 4_096;

static CLIENT: LazyLock<Oracle> = LazyLock::new(|| of_side(Side::Client, ClientMessage::TYPES));
static SERVER: LazyLock<Oracle> = LazyLock::new(|| of_side(Side::Server, ServerMessage::TYPES));
static TRACE_LINE: LazyLock<Validator> = LazyLock::new(|| oracle::validator(&schema::trace_schema()));

fn of_side(side: Side, types: &[&str]) -> Oracle {
    Oracle::new(types.iter().map(|name| {
        let schema = schema::message_schema(side, name).expect("every type has a schema");
        ((*name).to_owned(), schema)
    }))
}

/// Opinions on the text as both sides' message, first the codec's, then the schema's.
fn agree(text: &str) -> Result<(), String> {
    agree_as::<ClientMessage>(text, &CLIENT).map_err(|difference| format!("as a client's message, {difference}"))?;
    agree_as::<ServerMessage>(text, &SERVER).map_err(|difference| format!("as a server's message, {difference}"))
}

fn agree_as<M: WireMessage + PartialEq + std::fmt::Debug>(text: &str, oracle: &Oracle) -> Result<(), String> {
    let decoded = M::decode(text, MAX_TEXT_BYTES as u64);
    let ours = match &decoded {
        Ok(Decoded::Message(_)) => Opinion::Message,
        Ok(Decoded::Unknown { .. }) => Opinion::Unknown,
        Err(_) => Opinion::Refused,
    };
    let theirs = oracle.opinion(text, MAX_TEXT_BYTES);
    if ours != theirs {
        return Err(format!("the codec says {ours:?} ({decoded:?}), the schema {theirs:?}: {text}"));
    }
    if let Ok(Decoded::Message(message)) = decoded {
        let again = message.encode();
        if M::decode(&again, u64::MAX) != Ok(Decoded::Message(message)) || oracle.opinion(&again, usize::MAX) != ours {
            return Err(format!("{text} is written back as {again}"));
        }
    }
    Ok(())
}

fn agree_on_trace_line(line: &str) -> Result<(), String> {
    let theirs = oracle::parse_ijson(line).is_some_and(|value| TRACE_LINE.is_valid(&oracle::integer_spelling(&value)));
    let is_header = serde_json::from_str::<Value>(line).is_ok_and(|value| value.get("lastword_trace").is_some());
    let header = r#"{"lastword_trace":1,"subject":"server"}"#;
    let read = trace::read(&if is_header { line.to_owned() } else { format!("{header}\n{line}\n") });
    match read.is_ok() == theirs {
        true => Ok(()),
        false => Err(format!("the reader says {read:?}, the schema takes it: {theirs}: {line}")),
    }
}

/// Lines that somebody once thought of, `#` before a remark.
fn hand_picked(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn on_the_hand_picked_list() {
    let list = include_str!("data/adversarial.txt");
    let differences: Vec<String> = hand_picked(list).filter_map(|text| agree(text).err()).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let taken = hand_picked(list).filter(|text| codec::decode_client(text, 4_096).is_ok()).count();
    assert!(taken > 10, "the list holds texts that are taken, too");
}

#[test]
fn on_texts_at_the_limits() {
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!(r#"{{"type":"end_of_stream","x":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    let long = |bytes: usize| format!(r#"{{"type":"end_of_stream","x":"{}"}}"#, "a".repeat(bytes - 31));
    assert_eq!(long(MAX_TEXT_BYTES).len(), MAX_TEXT_BYTES);
    let flush = |id: String| format!(r#"{{"type":"flush","id":"{id}"}}"#);
    let texts = [
        (nested(15), true),
        (nested(16), true),
        (nested(17), false),
        (nested(2_000), false),
        (long(MAX_TEXT_BYTES), true),
        (long(MAX_TEXT_BYTES + 1), false),
        (flush("a".repeat(128)), true),
        (flush("a".repeat(129)), false),
        (flush("\u{e9}".repeat(64)), true),
        (flush("\u{e9}".repeat(65)), false),
        (flush("\\u0041".repeat(128)), true),
    ];
    for (text, taken) in texts {
        agree(&text).unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(codec::decode_client(&text, MAX_TEXT_BYTES as u64).is_ok(), taken, "{text}");
    }
}

#[test]
fn on_trace_lines_of_the_hand_picked_list() {
    let lines = hand_picked(include_str!("data/trace_lines.txt"));
    let differences: Vec<String> = lines.filter_map(|line| agree_on_trace_line(line).err()).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_bundle_takes_what_the_single_schemas_take() {
    let files = schema::generate();
    let (_, bundle) = files.iter().find(|(path, _)| path.ends_with("lastword.v1.json")).expect("the bundle");
    let bundle = oracle::validator(&serde_json::from_str(bundle).expect("JSON"));
    for text in hand_picked(include_str!("data/adversarial.txt")) {
        let Some(value) = oracle::parse_ijson(text).filter(|value| value.is_object()) else { continue };
        let single = [&*CLIENT, &*SERVER].iter().any(|side| side.opinion(text, usize::MAX) == Opinion::Message);
        assert_eq!(bundle.is_valid(&oracle::integer_spelling(&value)), single, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn on_mutated_client_messages(
        message in strategies::client_message(),
        count in 0..4_usize,
        choices in proptest::collection::vec(any::<u16>(), 40),
    ) {
        prop_assert_eq!(agree(&mutated(&codec::encode(&message), count, &choices)), Ok(()));
    }

    #[test]
    fn on_mutated_server_messages(
        message in strategies::server_message(),
        count in 0..4_usize,
        choices in proptest::collection::vec(any::<u16>(), 40),
    ) {
        prop_assert_eq!(agree(&mutated(&codec::encode(&message), count, &choices)), Ok(()));
    }

    #[test]
    fn on_mutated_trace_lines(
        line in proptest::sample::select(hand_picked(include_str!("data/trace_lines.txt")).collect::<Vec<_>>()),
        count in 1..3_usize,
        choices in proptest::collection::vec(any::<u16>(), 40),
    ) {
        prop_assert_eq!(agree_on_trace_line(&mutated(line, count, &choices)), Ok(()));
    }
}

fn mutated(text: &str, count: usize, choices: &[u16]) -> String {
    let mut choices = choices.iter().cycle();
    mutate::mutate(text, count, &mut |below| choices.next().map_or(0, |choice| usize::from(*choice) % below))
}
