//! Which requirement an error, a close or an end is blamed on, by what the client had sent before it: a table of one unusual thing
//! and of two, against every reaction. A line lists the reactions that come to the same; an empty one is all those that are right
//! or nobody's breach.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lastword_judge::{Options, judge};
use lastword_spec::error_code::{Fatality, error_code_spec};

use super::super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, ended, error, scene};
use Phase::{Before, Draining, Early, Instead, Streaming};

/// Where in a session something is sent.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
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
struct Sent {
    name: &'static str,
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
    let is_refused = |bytes: u64| matches!(phase, Before | Draining) || bytes % 2 != 0;
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

fn all() -> Vec<Sent> {
    let long = |bytes: usize| format!(r#">{{"type":"keepalive","x_pad":"{}"}}"#, "a".repeat(bytes));
    let mut all = vec![
        sent("nothing", Streaming, &[]),
        sent("no audio", Instead, &[]),
        sent("a keepalive", Streaming, &[SEQ]),
        sent("a flush", Streaming, &[FLUSH]),
        sent("a flush, flushed", Streaming, &[FLUSH, FLUSHED]),
        sent("empty audio", Streaming, &["audio 0"]),
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

const CODES: &[&str] = &[
    "bad_message",
    "unknown_type",
    "invalid_state",
    "invalid_audio",
    "message_too_large",
    "audio_after_end",
    "duplicate_end_of_stream",
    "unsupported_option",
];
const ONLY_FATAL: &[&str] =
    &["internal", "idle_timeout", "config_timeout", "unauthenticated", "overloaded", "going_away"];
const CLOSES: &[&str] = &["1000", "1001", "1002", "1003", "1007", "1009", "1011", "4400", "4409"];

/// What is blamed, or doubted, where the server reacts like this: `!` a fatal error, `2` the error twice, `flushed` and the rest as named.
fn blamed(sent: &[&Sent], reaction: &str) -> String {
    let drains = sent.iter().any(|one| one.phase == Draining);
    let ended_early = sent.iter().any(|one| one.phase == Early && one.lines.iter().any(|line| line == END));
    let mut lines: Vec<(u64, String)> =
        vec![(0, "control 10".into()), (0, "open".into()), (100, CONFIG.into()), (200, READY.into())];
    let mut audio_ms = 0;
    if !sent.iter().any(|one| one.phase == Instead) && !ended_early {
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
        audio_ms += one.audio_ms;
    }
    let refused: u64 = sent.iter().map(|one| one.refused).sum();
    let whole = ended(audio_ms, refused, 0);
    let close = |code: &str| error_code_spec(code).and_then(|spec| spec.close).map_or(1_011, |code| code.0);
    match reaction.split_once(' ').unwrap_or((reaction, "")) {
        ("closed", _) | ("dropped", _) => lines.push((2_500, reaction.to_owned())),
        ("ended", _) => lines.extend([(2_500, whole), (2_510, "closed 1000".into())]),
        ("!", code) => lines.extend([
            (2_500, error(code, true, "")),
            (2_510, whole.replace("completed", code).replace("true", "false")),
            (2_520, format!("closed {}", close(code))),
        ]),
        (count, code) => {
            for again in 0..count.parse().expect("how often") {
                lines.push((2_500 + again, error(code, false, "")));
            }
            if !drains && !ended_early {
                lines.push((3_000, END.into()));
            }
            lines.extend([(3_100, whole), (3_110, "closed 1000".into())]);
        }
    }
    lines.push((9_000, "control 10".into()));
    lines.sort_by_key(|(ms, _)| *ms);
    let lines: Vec<(u64, &str)> = lines.iter().map(|(ms, line)| (*ms, line.as_str())).collect();
    let judgement = judge(&scene(&lines), &Options::default());
    let found = judgement.findings.iter().map(|one| format!("{} {}", one.requirement.as_str(), one.kind.as_str()));
    let doubted = judgement.undecided.keys().map(|id| format!("{id} ?"));
    found.chain(doubted).collect::<Vec<_>>().join(", ")
}

fn reactions() -> Vec<String> {
    let once = CODES.iter().map(|code| format!("1 {code}"));
    let twice = CODES.iter().map(|code| format!("2 {code}"));
    let fatal = CODES.iter().chain(ONLY_FATAL).map(|code| format!("! {code}"));
    let closes = CLOSES.iter().map(|code| format!("closed {code}"));
    let rest = ["dropped", "ended"].map(str::to_owned);
    once.chain(twice).chain(fatal).chain(closes).chain(rest).collect()
}

fn row(table: &mut String, sent: &[&Sent], reactions: &[String]) {
    let names: Vec<&str> = sent.iter().map(|one| one.name).collect();
    let _ = writeln!(table, "{}", names.join(", then "));
    let mut same: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for reaction in reactions {
        same.entry(blamed(sent, reaction)).or_default().push(reaction);
    }
    for (found, reactions) in same {
        let _ = writeln!(table, "    {found}: {}", reactions.join(", "));
    }
}

#[test]
fn every_reaction_to_one_unusual_thing_is_blamed_as_it_was() {
    let mut table = String::new();
    for one in &all() {
        row(&mut table, &[one], &reactions());
    }
    insta::assert_snapshot!(table);
}

#[test]
fn errors_after_two_unusual_things_are_blamed_as_they_were() {
    let is_never_fatal = |code: &&str| error_code_spec(code).is_some_and(|spec| spec.fatality == Fatality::NonFatal);
    let once = CODES.iter().map(|code| format!("1 {code}"));
    let fatal = CODES.iter().copied().filter(is_never_fatal).chain(["internal"]).map(|code| format!("! {code}"));
    let reactions: Vec<String> = once.chain(fatal).chain(["ended".to_owned()]).collect();
    let all = all();
    let picked = [
        "a flush",
        "empty audio",
        "broken audio",
        "a short frame",
        "no JSON",
        "an unknown type",
        "an odd form",
        "audio after the end",
        "empty audio after the end",
        "a keepalive after the end",
        "a second sentinel",
        "early audio",
        "an early flush",
        "an early sentinel",
        "audio before config",
        "a flush before config",
    ];
    let picked: Vec<&Sent> = all.iter().filter(|one| picked.contains(&one.name)).collect();
    let mut table = String::new();
    for (index, one) in picked.iter().enumerate() {
        for two in &picked[index + 1..] {
            row(&mut table, &[one, two], &reactions);
        }
    }
    insta::assert_snapshot!(table);
}
