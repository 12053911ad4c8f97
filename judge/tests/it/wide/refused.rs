//! Which requirement the refusal of a session is blamed on, by what is unusual about its `config` or came before it: a table of
//! every fatal error, close and silence against every sort of `config`.

use lastword_judge::{Options, judge};
use lastword_spec::error_code::{ERROR_CODES, error_code_spec};

use super::super::scene::{READY, error, scene};
use super::unusual::rows;

/// The members of a `config`, or with `>` the whole text; none: there is none.
const CONFIGS: &[(&str, Option<&str>)] = &[
    ("no config", None),
    ("a plain config", Some("")),
    ("an extension", Some(r#""x_new":1"#)),
    ("an odd form", Some(r#">{ "type":"config"}"#)),
    ("an unknown member", Some(r#""strange":1"#)),
    ("another rate", Some(r#""audio":{"sample_rate_hz":8000}"#)),
    ("the default rate", Some(r#""audio":{"sample_rate_hz":16000}"#)),
    ("an unknown encoding", Some(r#""audio":{"encoding":"strange"}"#)),
    ("a bad rate", Some(r#""audio":{"sample_rate_hz":"x"}"#)),
    ("a rate at the top", Some(r#""sample_rate":8000"#)),
    ("channels at the top", Some(r#""channels":1"#)),
    ("a bad value", Some(r#""words":3"#)),
    ("a model", Some(r#""model":"small""#)),
    ("a model that exists nowhere", Some(r#""model":"no-such-model""#)),
    ("a required option", Some(r#""required":["words"]"#)),
    ("a required option and words", Some(r#""words":true,"required":["words"]"#)),
    ("words", Some(r#""words":true"#)),
    ("speech events", Some(r#""vad_events":true"#)),
    ("a language", Some(r#""language":"en""#)),
    ("languages", Some(r#""languages":["en","de"]"#)),
    ("key terms", Some(r#""keyterms":["alpha"]"#)),
    ("a task", Some(r#""task":"translate""#)),
    ("words, in an odd form", Some(r#">{ "type":"config","words":true}"#)),
    ("a token", Some(r#""token":"right-token""#)),
];

/// What comes before it.
const BEFORE: &[(&str, &[&str])] = &[
    ("", &[]),
    (", audio before it", &["audio 640"]),
    (", a bad message before it", &["> "]),
    (", hostile bytes before it", &[">\u{fffd}"]),
    (", a flush before it", &[r#">{"type":"flush","id":"f"}"#]),
    (", a sentinel before it", &[r#">{"type":"end_of_stream"}"#]),
];

fn refused(before: &[&str], config: Option<&str>, how: &str) -> String {
    let mut lines: Vec<(u64, String)> = vec![(0, "control 10".into()), (0, "open".into())];
    lines.extend(before.iter().enumerate().map(|(index, line)| (10 + index as u64, (*line).to_owned())));
    match config {
        Some(whole) if whole.starts_with('>') => lines.push((100, whole.to_owned())),
        Some("") => lines.push((100, r#">{"type":"config"}"#.into())),
        Some(members) => lines.push((100, format!(r#">{{"type":"config",{members}}}"#))),
        None => {}
    }
    let (word, rest) = how.split_once(' ').unwrap_or((how, ""));
    let (code, param) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "fatal" => {
            let member = if param.is_empty() { String::new() } else { format!(r#","param":"{param}""#) };
            let close = error_code_spec(code).and_then(|spec| spec.close).map_or(1_011, |code| code.0);
            lines.extend([(800, error(code, true, &member)), (810, format!("closed {close}"))]);
        }
        "late" => lines.extend([(10_500, error(code, true, "")), (10_510, "closed 4408".into())]),
        "closed" | "dropped" => lines.push((800, how.to_owned())),
        "late_close" => lines.push((2_000, format!("closed {code}"))),
        "error" => lines.extend([(800, error(code, false, "")), (900, READY.to_owned())]),
        "ready" => lines.push((800, READY.to_owned())),
        "gave_up" => lines.push((13_000, "gave_up 1".into())),
        _ => panic!("{how}"),
    }
    lines.push((14_000, "control 10".into()));
    let lines: Vec<(u64, &str)> = lines.iter().map(|(ms, line)| (*ms, line.as_str())).collect();
    let options = Options { secrets: vec!["right-token".into()], ..Options::default() };
    let judgement = judge(&scene(&lines), &options);
    let found = judgement.findings.iter().map(|one| format!("{} {}", one.requirement.as_str(), one.kind.as_str()));
    let doubted = judgement.undecided.keys().map(|id| format!("{id} ?"));
    let found: Vec<String> = found.chain(doubted).collect();
    if !found.is_empty() {
        return found.join(", ");
    }
    let proved: Vec<&str> = judgement.exercised.iter().map(|id| id.as_str()).collect();
    format!("proves {}", proved.join(" "))
}

fn reactions() -> Vec<String> {
    let fatal = ERROR_CODES.iter().map(|spec| format!("fatal {}", spec.code));
    let named = ["words", "audio.sample_rate_hz", "x"]
        .into_iter()
        .flat_map(|param| ["invalid_config", "unsupported_option"].map(|code| format!("fatal {code} {param}")));
    let closes = ["1000", "1001", "1002", "1009", "1011", "4400", "4408"].map(|code| format!("closed {code}"));
    let rest = [
        "fatal strange",
        "late config_timeout",
        "late strange",
        "late internal",
        "late overloaded",
        "late invalid_config",
        "late_close 1001",
        "dropped",
        "ready",
        "gave_up",
        "error bad_message",
        "error invalid_state",
        "error unknown_type",
        "error message_too_large",
    ];
    fatal.chain(named).chain(closes).chain(rest.map(str::to_owned)).collect()
}

#[test]
fn every_refusal_is_blamed_as_it_was() {
    let mut table = String::new();
    for (name, config) in CONFIGS {
        rows(&mut table, name, &reactions(), |how| refused(&[], *config, how));
    }
    for (name, before) in &BEFORE[1..] {
        for (of, config) in [CONFIGS[0], CONFIGS[1], CONFIGS[3]] {
            rows(&mut table, &format!("{of}{name}"), &reactions(), |how| refused(before, config, how));
        }
    }
    insta::assert_snapshot!(table);
}
