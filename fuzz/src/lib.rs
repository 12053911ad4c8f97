//! The bodies of the fuzz targets as plain functions, so that an ordinary test replays every seed on a stable compiler.
//! Owns the properties; the targets in `fuzz_targets/` only hand bytes over.

#[path = "../../spec/tests/common/mutate.rs"]
mod mutate;
#[path = "../../spec/tests/common/oracle.rs"]
mod oracle;

use std::fmt::Debug;
use std::sync::LazyLock;

use lastword_spec::codec::{self, Decoded, WireMessage};
use lastword_spec::message::{ClientMessage, ServerMessage};
use lastword_spec::table::Side;
use lastword_spec::{schema, trace};
use oracle::{Opinion, Oracle};

/// A target: its name, which is that of its folder of seeds, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. A new one is added here, under `[[bin]]`, in `fuzz_targets/` and with a folder of seeds.
pub const TARGETS: &[Target] = &[
    ("decode_client", decode_client),
    ("decode_server", decode_server),
    ("schema_diff", schema_diff),
    ("trace", read_trace),
    ("session", session),
];

/// The largest text that the targets take for a message.
const MAX_TEXT_BYTES: u64 = 4_096;

/// A client's message: no panic, and what is taken comes back as it was.
pub fn decode_client(bytes: &[u8]) {
    decode::<ClientMessage>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        // Any text at all, also one that is no `config`.
        let _ = codec::config_paths_unknown(text);
    }
}

/// A server's message: no panic, and what is taken comes back as it was, also by the lenient reading of `ready`.
pub fn decode_server(bytes: &[u8]) {
    let decoded = decode::<ServerMessage>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lenient = codec::decode_ready_lenient(text, MAX_TEXT_BYTES);
    if let Some(ServerMessage::Ready(ready)) = decoded {
        let lenient = lenient.expect("what the strict codec takes, the lenient one takes");
        assert_eq!((lenient.ready, lenient.missing), (*ready, Vec::new()));
    }
}

fn decode<M: WireMessage + Clone + PartialEq + Debug>(bytes: &[u8]) -> Option<M> {
    match codec::decode_bytes::<M>(bytes, MAX_TEXT_BYTES) {
        Ok(Decoded::Message(message)) => {
            let again = M::decode(&message.encode(), u64::MAX);
            assert_eq!(again, Ok(Decoded::Message(message.clone())), "written and read again");
            Some(message)
        }
        Ok(Decoded::Unknown { .. }) => None,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// The codec takes a text if and only if it is I-JSON and the published schema of its type takes it, for either side.
pub fn schema_diff(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(ours::<ClientMessage>(text), CLIENT.opinion(text, MAX_TEXT_BYTES as usize), "client: {text}");
    assert_eq!(ours::<ServerMessage>(text), SERVER.opinion(text, MAX_TEXT_BYTES as usize), "server: {text}");
}

static CLIENT: LazyLock<Oracle> = LazyLock::new(|| of_side(Side::Client, ClientMessage::TYPES));
static SERVER: LazyLock<Oracle> = LazyLock::new(|| of_side(Side::Server, ServerMessage::TYPES));

fn of_side(side: Side, types: &[&str]) -> Oracle {
    Oracle::new(types.iter().map(|name| {
        let schema = schema::message_schema(side, name).expect("every type has a schema");
        ((*name).to_owned(), schema)
    }))
}

fn ours<M: WireMessage>(text: &str) -> Opinion {
    match M::decode(text, MAX_TEXT_BYTES) {
        Ok(Decoded::Message(_)) => Opinion::Message,
        Ok(Decoded::Unknown { .. }) => Opinion::Unknown,
        Err(_) => Opinion::Refused,
    }
}

/// A trace file: no panic, neither in the reader nor in the judge, and what is read is written and read again as it was.
pub fn read_trace(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(trace) = trace::read(text) else { return };
    let judgement = lastword_judge::judge(&trace, &lastword_judge::Options::default());
    for finding in &judgement.findings {
        assert!(finding.frames.iter().all(|frame| *frame < trace.events.len()), "frames of the trace: {finding:?}");
        assert!(!finding.message.is_empty(), "a finding says what is wrong: {finding:?}");
    }
    assert_eq!(trace::read(&trace::write(&trace)), Ok(trace), "written and read again");
}

/// Any events into both session machines: no panic, and the invariants of the protocol hold for all that comes out.
pub fn session(bytes: &[u8]) {
    lastword_session::fuzz::drive(bytes);
}

/// A mutation that knows JSON, for libFuzzer's own know bytes only: swaps objects and arrays, duplicates keys, respells
/// numbers. `None` where the input is no JSON or the result would not fit `max_bytes`.
#[must_use]
pub fn mutate_json(input: &[u8], max_bytes: usize, seed: u32) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(input).ok()?;
    let mut state = u64::from(seed) | 1 << 32;
    let mut choose = |below: usize| {
        // A linear congruential generator: the seed is libFuzzer's, so the same input mutates the same way.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let count = 1 + choose(3);
    let mutated = mutate::mutate(text, count, &mut choose).into_bytes();
    (mutated != input && mutated.len() <= max_bytes).then_some(mutated)
}
