//! Runs of a client under test, written as lines: what is on the wire, what its application asks and is told, how it exits.

mod both_ways;
mod budget;
mod calls;
mod debts;
mod edges;
mod ends;
mod odd;
mod sent;
mod table;

use lastword_judge::{Judgement, Options, judge};
use lastword_spec::close::CloseCode;
use lastword_spec::finding::Culprit;
use lastword_spec::trace::{
    Call, Called, ClientOutcome, Eof, Event, EventKind, Exited, Header, InputEnd, InputEnded, Open, Returned, Shown,
    Side, Started, Told, ToldWhat, Trace,
};

use super::scene::{CONFIG, END, READY, ended};

pub(super) const SECRET: &str = "right-token";

/// A trace of (milliseconds, what). `>` before a text is the client's, `<` the server's; `@1 ` to `@9 ` before anything
/// is for that connection; the rest are the words of [`kind_of`].
pub(super) fn run(events: &[(u64, &str)]) -> Trace {
    let events = events.iter().map(|(ms, what)| {
        let other = what.strip_prefix('@').and_then(|rest| rest.split_once(' '));
        let (conn, what) = other.map_or((0, *what), |(conn, what)| (conn.parse().expect("a number"), what));
        Event::new(ms * 1_000, conn, kind_of(what))
    });
    Trace { header: Header::new(Side::Client), events: events.collect() }
}

fn kind_of(what: &str) -> EventKind {
    if let Some(text) = what.strip_prefix('>') {
        return EventKind::Text { from: Side::Client, text: text.to_owned() };
    }
    if let Some(text) = what.strip_prefix('<') {
        return EventKind::Text { from: Side::Server, text: text.to_owned() };
    }
    let words: Vec<&str> = what.split(' ').collect();
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
    let small = |index: usize| u32::try_from(number(index).expect("a number")).expect("a small number");
    let code = || number(1).and_then(|code| u16::try_from(code).ok()).map(CloseCode);
    let rest = |from: usize| words.get(from..).filter(|rest| !rest.is_empty()).map(|rest| rest.join(" "));
    let call = |index: usize| *Call::ALL.iter().find(|call| Some(&call.as_str()) == words.get(index)).expect("a call");
    match words[0] {
        "program" => EventKind::Started(Started { driven: false, audio_ms: number(1) }),
        "driven" => EventKind::Started(Started { driven: true, audio_ms: None }),
        "open" => EventKind::Open(Open {
            offered: vec!["lastword.v1".to_owned()],
            selected: Some("lastword.v1".to_owned()),
            url: rest(1),
            authorization: what.ends_with("shown").then_some(Shown::Good),
            ..Open::default()
        }),
        "failed" => EventKind::ConnectFailed { error: "refused".to_owned() },
        "refused" => EventKind::Refused { status: 503, retry_after: None, offered: None, authorization: None },
        "audio" => EventKind::Audio { from: Side::Client, bytes: number(1).expect("bytes"), head: Vec::new() },
        "sound" => EventKind::Audio { from: Side::Server, bytes: 2, head: Vec::new() },
        "close" => EventKind::Close { from: Side::Client, code: code(), reason: String::new() },
        "closed" => EventKind::Close { from: Side::Server, code: code(), reason: String::new() },
        "leaves" => EventKind::Eof { from: Side::Client, how: Eof::Reset },
        "dropped" => EventKind::Eof { from: Side::Server, how: Eof::Reset },
        "finished" => EventKind::Eof { from: Side::Server, how: Eof::Fin },
        "ping" => EventKind::Ping { from: Side::Server },
        "pong" => EventKind::Pong { from: Side::Server },
        "deaf" => EventKind::Reads { reads: false },
        "reads" => EventKind::Reads { reads: true },
        "input" => EventKind::InputEnded(InputEnded { known_by: InputEnd::Driver, audio_ms: number(1) }),
        "call" => EventKind::Called(Called { number: small(1), what: call(2), audio_ms: None }),
        "push" => EventKind::Called(Called { number: small(1), what: Call::Push, audio_ms: number(2) }),
        // What the client has not read, what the transport has not taken, and what the server has not read; `-` is not known.
        // `part`: nor is what the transport has sent and heard nothing of.
        "flow" | "part" => EventKind::Transport {
            unacknowledged_bytes: number(1).filter(|_| words[0] == "flow").map(|_| 0),
            unread_bytes: number(1),
            unsent_bytes: number(2),
            waiting_bytes: number(3),
            retransmits: None,
        },
        "back" => EventKind::Returned(Returned { number: small(1), what: call(2), failed: None }),
        "fails" => EventKind::Returned(Returned { number: small(1), what: call(2), failed: rest(3) }),
        "told" => EventKind::Told(told(&words[1..])),
        "logged" => EventKind::Logged(rest(1).unwrap_or_default()),
        "exit" => EventKind::Exited(Exited { code: number(1).and_then(|code| i32::try_from(code).ok()), signal: None }),
        "signal" => EventKind::Exited(Exited { code: None, signal: number(1).and_then(|one| i32::try_from(one).ok()) }),
        "gave_up" => EventKind::GaveUp { after_ms: 1, quiescent: None },
        _ => panic!("no event: {what:?}"),
    }
}

/// `final 0 a text`, `final 0@100-900 a text` with its times, `final - a text` without a segment, `error CODE`,
/// `error CODE TEXT again` or `never` for whether it may be retried, `ended OUTCOME`,
/// `raised TEXT`, `left COUNT`, or one word.
fn told(words: &[&str]) -> Told {
    if words[0] == "raised" {
        let text = Some(words[1..].join(" "));
        let outcome = Some(ClientOutcome::Error);
        return Told { outcome, raised: Some(true), text, ..Told::new(ToldWhat::Ended) };
    }
    let names = [
        ToldWhat::Ready,
        ToldWhat::Partial,
        ToldWhat::Final,
        ToldWhat::Flushed,
        ToldWhat::FlushFailed,
        ToldWhat::Error,
        ToldWhat::Other,
        ToldWhat::Ended,
        ToldWhat::Left,
    ];
    let what = *names.iter().find(|name| name.as_str() == words[0]).expect("what is told");
    let argument = words.get(1).copied();
    let mut told = Told::new(what);
    match what {
        ToldWhat::Partial | ToldWhat::Final => {
            let (segment, times) = argument.unwrap_or_default().split_once('@').unzip();
            let (start, end) = times.and_then(|times| times.split_once('-')).unzip();
            told.segment_id = segment.or(argument).and_then(|word| word.parse().ok());
            told.start_ms = start.and_then(|ms| ms.parse().ok());
            told.end_ms = end.and_then(|ms| ms.parse().ok());
            told.text = Some(words[2..].join(" "));
        }
        ToldWhat::Error => {
            told.code = argument.filter(|code| *code != "-").map(str::to_owned);
            told.text = words.get(2).map(|text| (*text).to_owned());
            told.retryable = words.get(3).map(|may| *may == "again");
        }
        ToldWhat::Ended => {
            let outcomes =
                [ClientOutcome::Complete, ClientOutcome::Error, ClientOutcome::Cancelled, ClientOutcome::Incomplete];
            told.outcome = outcomes.into_iter().find(|outcome| Some(outcome.as_str()) == argument);
            told.code = words.get(2).map(|code| (*code).to_owned());
        }
        ToldWhat::Left => told.count = argument.and_then(|word| word.parse().ok()),
        _ => {}
    }
    told
}

pub(super) fn verdict(events: &[(u64, &str)]) -> Judgement {
    let options = Options { secrets: vec![String::new(), SECRET.to_owned()], ..Options::default() };
    let judgement = judge(&run(events), &options);
    assert!(judgement.findings.iter().all(|finding| finding.culprit == Culprit::Client));
    judgement
}

/// The requirements that a run breaks, in order.
pub(super) fn broken(events: &[(u64, &str)]) -> Vec<String> {
    verdict(events).findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
}

/// A run by the driver protocol from its start to `ready`.
pub(super) const DRIVEN: &[(u64, &str)] =
    &[(0, "driven"), (0, "call 1 start"), (0, "open"), (1, CONFIG), (2, READY), (2, "told ready")];
/// A program of which only the frames and the exit are seen, from its start to `ready`.
pub(super) const PROGRAM: &[(u64, &str)] = &[(0, "program"), (0, "open"), (1, CONFIG), (2, READY)];

pub(super) fn joined<'a>(parts: &[&[(u64, &'a str)]]) -> Vec<(u64, &'a str)> {
    parts.concat()
}

pub(super) fn driven<'a>(events: &[(u64, &'a str)]) -> Vec<(u64, &'a str)> {
    joined(&[DRIVEN, events])
}

pub(super) fn program<'a>(events: &[(u64, &'a str)]) -> Vec<(u64, &'a str)> {
    joined(&[PROGRAM, events])
}

pub(super) fn fatal(code: &str) -> String {
    super::scene::error(code, true, "")
}

pub(super) const PROGRESS: &str = r#"<{"type":"progress","seq":1,"audio_processed_ms":0}"#;

#[test]
fn a_whole_session_of_either_sort_breaks_nothing() {
    let last = ended(100, 0, 0);
    let wire = [(11, "audio 1600"), (60, "audio 1600"), (70, "input 100"), (71, END), (110, &last)];
    let told = [(111, "told ended complete"), (112, "close 1000"), (113, "closed 1000"), (114, "told left 0")];
    assert_eq!(broken(&driven(&joined(&[&wire, &told]))), [""; 0]);
    assert_eq!(broken(&program(&joined(&[&wire, &[(112, "close 1000"), (113, "exit 0")]]))), [""; 0]);
}
