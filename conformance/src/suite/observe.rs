//! Owns the reading of a trace as the suite sees it: which abstract outputs came, and which event of the harness was which input.
//! Knows nothing of what should have come.

use lastword_spec::table::{ServerInput, State};
use lastword_spec::trace::{EventKind, Side, Trace};
use serde_json::{Map, Value};

use super::machine::{Machine, Transition};
use super::response::Output;
use super::wording;

/// The connection of a sequence; there is only one.
pub(super) const CONN: u32 = 0;

/// One output, with the number of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) event: usize,
    pub(super) output: Output,
}

/// What the subject said, in order, as long as it was waited for. What the suite leaves out is left out here.
pub(super) fn outputs(trace: &Trace) -> Vec<Seen> {
    let mut reader = Reader::default();
    reader.read(trace);
    let given_up = given_up(trace).unwrap_or(usize::MAX);
    reader.seen.retain(|seen| seen.event < given_up);
    reader.seen
}

/// Where the harness gave up its wait; what it did then was only to leave.
pub(super) fn given_up(trace: &Trace) -> Option<usize> {
    trace.events.iter().position(|event| event.conn == CONN && matches!(event.kind, EventKind::GaveUp { .. }))
}

/// Reads a trace as it grows, each event once.
#[derive(Default)]
pub(super) struct Reader {
    /// What the subject said so far.
    pub(super) seen: Vec<Seen>,
    upto: usize,
    closed: bool,
}

impl Reader {
    /// Takes what is new.
    pub(super) fn read(&mut self, trace: &Trace) {
        for (event, one) in trace.events.iter().enumerate().skip(self.upto).filter(|(_, one)| one.conn == CONN) {
            let output = match &one.kind {
                EventKind::Text { from: Side::Server, text } => said(text),
                EventKind::Close { from: Side::Server, code, .. } => Some(Output::Close(code.map(|code| code.0))),
                EventKind::Eof { from: Side::Server, .. } if !self.closed => Some(Output::Gone),
                _ => None,
            };
            self.closed |= matches!(output, Some(Output::Close(_)));
            self.seen.extend(output.map(|output| Seen { event, output }));
        }
        self.upto = trace.events.len();
    }
}

fn said(text: &str) -> Option<Output> {
    let Ok(Value::Object(message)) = serde_json::from_str(text) else { return None };
    let member = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(match member("type").as_str() {
        "ready" => Output::Ready,
        "flushed" => Output::Flushed,
        "updated" => Output::Updated,
        "keepalive_ack" => Output::Ack,
        "session_ended" => Output::Ended(member("reason").into()),
        "error" if message.get("fatal") == Some(&Value::Bool(true)) => Output::Fatal(member("code").into()),
        "error" if answers_an_update(&message) => Output::Updated,
        "error" => Output::Error(member("code").into()),
        _ => return None,
    })
}

/// An error that may stand in the place of `updated`.
fn answers_an_update(error: &Map<String, Value>) -> bool {
    let of = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let refused_here = of("code") == "invalid_state";
    of("code") == "unsupported_option" || (wording::is_update_id(of("id")) && !refused_here)
}

/// One input of the sequence: what the table says of it, and when it was sent, if it was.
pub(super) struct Sent<'a> {
    pub(super) input: ServerInput,
    pub(super) transition: &'a Transition,
    pub(super) event: Option<usize>,
}

/// The inputs of a sequence with the events that sent them, and the event behind the last of them.
pub(super) fn inputs<'a>(
    machine: &'a Machine,
    sequence: &[ServerInput],
    trace: &Trace,
) -> (Vec<Sent<'a>>, Option<usize>) {
    let by_harness = |event: &&(usize, &EventKind)| matches!(event.1.from(), Some(Side::Client));
    let of_the_sequence = trace.events.iter().enumerate().filter(|(_, one)| one.conn == CONN);
    let mut events = of_the_sequence
        .map(|(event, one)| (event, &one.kind))
        .filter(|one| by_harness(&one) && !is_control(one.1))
        .peekable();
    let mut sent = Vec::new();
    for (input, transition) in sequence.iter().zip(machine.walk(sequence)) {
        // The sentinel stands behind speech that keeps the subject busy.
        if *input == ServerInput::EndOfStream && transition.row.state == State::Streaming {
            while events.next_if(|(_, kind)| matches!(kind, EventKind::Audio { .. })).is_some() {}
        }
        let event = events.next().map(|(event, _)| event);
        sent.push(Sent { input: *input, transition, event });
    }
    (sent, events.next().map(|(event, _)| event))
}

fn is_control(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Open(_) | EventKind::Ping { .. } | EventKind::Pong { .. } | EventKind::Eof { .. })
}
