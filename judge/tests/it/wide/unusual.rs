//! Unusual things that a client may send, and the session in which it does: what the tables of this folder are made of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lastword_judge::{Options, judge};

use super::super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, scene};
use Phase::{Before, Draining, Early, Instead, Streaming};

/// Where in a session something is sent.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// Before `config`.
    Before,
    /// Between `config` and `ready`.
    Early,
    Streaming,
    /// After the sentinel.
    Draining,
    /// While streaming, and no other audio is sent.
    Instead,
}

/// Something that a client sends, and how many milliseconds and refused frames that makes.
pub(super) struct Sent {
    pub(super) name: &'static str,
    phase: Phase,
    lines: Vec<String>,
    audio_ms: u64,
    refused: u64,
}

fn sent(name: &'static str, phase: Phase, lines: &[&str]) -> Sent {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let bytes = |line: &String| {
        line.split_once(' ').filter(|_| !line.starts_with(['>', '<'])).and_then(|(_, n)| n.parse().ok())
    };
    let lengths: Vec<u64> = lines.iter().filter_map(bytes).filter(|bytes| *bytes > 0).collect();
    let is_refused = |bytes: u64| matches!(phase, Before | Draining) || !bytes.is_multiple_of(2);
    let refused = lengths.iter().filter(|bytes| is_refused(**bytes)).count() as u64;
    let audio_ms = lengths.iter().filter(|bytes| !is_refused(**bytes)).sum::<u64>() / 32;
    Sent { name, phase, lines, audio_ms, refused }
}

const SEQ: &str = r#">{"type":"keepalive","seq":7}"#;
const PLAIN: &str = r#">{"type":"keepalive"}"#;
const UNKNOWN: &str = r#">{"type":"strange"}"#;
const UPDATE: &str = r#">{"type":"update","id":"u","language":"de"}"#;
const NO_JSON: &str = "> ";
const NO_TYPE: &str = ">{}";
const NAMED: &str = r#">{"type":"flush","id":7}"#;

pub(super) fn all() -> Vec<Sent> {
    let long = |bytes: usize| format!(r#">{{"type":"keepalive","x_pad":"{}"}}"#, "a".repeat(bytes));
    let mut all = vec![
        sent("nothing", Streaming, &[]),
        sent("no audio", Instead, &[]),
        sent("a keepalive", Streaming, &[SEQ]),
        sent("a flush", Streaming, &[FLUSH]),
        sent("a flush, flushed", Streaming, &[FLUSH, FLUSHED]),
        sent("empty audio", Streaming, &["audio 0"]),
        sent("two empty frames", Streaming, &["audio 0", "audio 0"]),
        sent("empty audio alone", Instead, &["audio 0"]),
        sent("broken audio", Streaming, &["audio 641"]),
        sent("broken audio alone", Instead, &["audio 641"]),
        sent("two broken frames", Streaming, &["audio 641", "audio 643"]),
        sent("a short frame", Streaming, &["audio 318"]),
        sent("a long frame", Streaming, &["audio 32032"]),
        sent("a command as audio", Streaming, &["command 640"]),
        sent("no JSON", Streaming, &[NO_JSON]),
        sent("two bad messages", Streaming, &[NO_JSON, NO_TYPE]),
        sent("a bad member", Streaming, &[NAMED]),
        sent("hostile bytes", Streaming, &[">\u{fffd}"]),
        sent("an unknown type", Streaming, &[UNKNOWN]),
        sent("an update", Streaming, &[UPDATE]),
        sent("an odd form", Streaming, &[r#">{ "type":"keepalive"}"#]),
        sent("an extension", Streaming, &[r#">{"type":"keepalive","x_new":1}"#]),
        sent("a second config", Streaming, &[CONFIG]),
        sent("audio after the end", Draining, &["audio 640"]),
        sent("two frames after the end", Draining, &["audio 640", "audio 642"]),
        sent("empty audio after the end", Draining, &["audio 0"]),
        sent("a second sentinel", Draining, &[END]),
        sent("a keepalive after the end", Draining, &[PLAIN]),
        sent("two keepalives after the end", Draining, &[PLAIN, SEQ]),
        sent("audio behind a flush", Streaming, &[FLUSH, FLUSHED, "audio 640"]),
        sent("a flush after the end", Draining, &[FLUSH]),
        sent("an unknown type after the end", Draining, &[UNKNOWN]),
        sent("no JSON after the end", Draining, &[NO_JSON]),
        sent("early audio", Early, &["audio 640"]),
        sent("an early flush", Early, &[FLUSH]),
        sent("an early keepalive", Early, &[SEQ]),
        sent("an early sentinel", Early, &[END]),
        sent("early audio and sentinel", Early, &["audio 640", END]),
        sent("an early bad message", Early, &[NO_JSON]),
        sent("audio before config", Before, &["audio 640"]),
        sent("a flush before config", Before, &[FLUSH]),
        sent("a keepalive before config", Before, &[SEQ]),
        sent("a sentinel before config", Before, &[END]),
        sent("a bad member before config", Before, &[NAMED]),
        sent("an unknown type before config", Before, &[UNKNOWN]),
    ];
    for (name, bytes) in [("a long text", 40_000), ("a text that is too long", 65_537)] {
        all.push(Sent { lines: vec![long(bytes)], ..sent(name, Streaming, &[]) });
    }
    all
}

/// A session up to the reaction of the server, which is to come at 2.5 s. Unless audio is sent instead, there is a second of it.
pub(super) struct Session {
    pub(super) lines: Vec<(u64, String)>,
    /// What a right server counts.
    pub(super) audio_ms: u64,
    pub(super) refused: u64,
    /// The sentinel has been sent.
    pub(super) drains: bool,
}

pub(super) fn session(sent: &[&Sent]) -> Session {
    let ended_early = sent.iter().any(|one| one.phase == Early && one.lines.iter().any(|line| line == END));
    let drains = ended_early || sent.iter().any(|one| one.phase == Draining);
    let mut lines: Vec<(u64, String)> =
        vec![(0, "control 10".into()), (0, "open".into()), (100, CONFIG.into()), (200, READY.into())];
    let mut audio_ms = sent.iter().map(|one| one.audio_ms).sum();
    if !ended_early && !sent.iter().any(|one| one.phase == Instead) {
        lines.push((300, "audio 32000".into()));
        audio_ms += 1_000;
    }
    if drains && !ended_early {
        lines.push((1_200, END.into()));
    }
    for (index, one) in sent.iter().enumerate() {
        let from_ms = match one.phase {
            Before => 10,
            Early => 110,
            Streaming | Instead => 1_000,
            Draining => 1_300,
        };
        let at = |line: usize| from_ms + 10 * index as u64 + line as u64;
        lines.extend(one.lines.iter().enumerate().map(|(line, text)| (at(line), text.clone())));
    }
    Session { lines, audio_ms, refused: sent.iter().map(|one| one.refused).sum(), drains }
}

/// What is found in a session that goes on like this, and what stays in doubt. Sessions besides it complete.
pub(super) fn found(mut lines: Vec<(u64, String)>) -> String {
    lines.push((9_000, "control 10".into()));
    lines.sort_by_key(|(ms, _)| *ms);
    let lines: Vec<(u64, &str)> = lines.iter().map(|(ms, line)| (*ms, line.as_str())).collect();
    let judgement = judge(&scene(&lines), &Options::default());
    let mut told: Vec<(String, usize)> = Vec::new();
    for one in &judgement.findings {
        let what = format!("{} {}", one.requirement.as_str(), one.kind.as_str());
        match told.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += 1,
            None => told.push((what, 1)),
        }
    }
    let times = |(what, count): (String, usize)| if count > 1 { format!("{what} x{count}") } else { what };
    let found = told.into_iter().map(times);
    let doubted = judgement.undecided.keys().map(|id| format!("{id} ?"));
    found.chain(doubted).collect::<Vec<_>>().join(", ")
}

/// One line for all of `what` that come to the same.
pub(super) fn rows(table: &mut String, title: &str, what: &[String], found: impl Fn(&str) -> String) {
    let _ = writeln!(table, "{title}");
    let mut same: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in what {
        same.entry(found(one)).or_default().push(one);
    }
    for (found, what) in same {
        let _ = writeln!(table, "    {found}: {}", what.join(", "));
    }
}

pub(super) fn title(sent: &[&Sent]) -> String {
    sent.iter().map(|one| one.name).collect::<Vec<_>>().join(", then ")
}

/// Those of these names, and every pair of them.
pub(super) fn pairs<'a>(all: &'a [Sent], names: &[&str]) -> Vec<[&'a Sent; 2]> {
    let picked: Vec<&Sent> = all.iter().filter(|one| names.contains(&one.name)).collect();
    assert_eq!(picked.len(), names.len(), "all names are known");
    let pairs = picked.iter().enumerate().flat_map(|(index, one)| picked[index + 1..].iter().map(|two| [*one, *two]));
    pairs.collect()
}
