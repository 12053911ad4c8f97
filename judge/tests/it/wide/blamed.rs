//! Which requirement an error, a close or an end is blamed on, by what the client had sent before it: a table of one unusual thing
//! and of two, against every reaction. A line lists the reactions that come to the same; an empty one is all those that are right
//! or nobody's breach.

use lastword_spec::error_code::{Fatality, error_code_spec};

use super::super::scene::{END, ended, error};
use super::unusual::{Sent, all, found, pairs, rows, session, title};

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

/// What is blamed, or doubted, where the server reacts like this: `!` a fatal error, `2` the error twice, `cut` a close after it, `flushed` and the rest as named.
fn blamed(sent: &[&Sent], reaction: &str) -> String {
    let mut session = session(sent);
    let lines = &mut session.lines;
    let whole = ended(session.audio_ms, session.refused, 0);
    let close = |code: &str| error_code_spec(code).and_then(|spec| spec.close).map_or(1_011, |code| code.0);
    match reaction.split_once(' ').unwrap_or((reaction, "")) {
        ("closed" | "dropped", _) => lines.push((2_500, reaction.to_owned())),
        ("ended", _) => lines.extend([(2_500, whole), (2_510, "closed 1000".into())]),
        ("!", code) => lines.extend([
            (2_500, error(code, true, "")),
            (2_510, whole.replace("completed", code).replace("true", "false")),
            (2_520, format!("closed {}", close(code))),
        ]),
        ("cut", code) => lines.extend([(2_500, error(code, false, "")), (2_600, "closed 1011".into())]),
        (count, code) => {
            for again in 0..count.parse().expect("how often") {
                lines.push((2_500 + again, error(code, false, "")));
            }
            if !session.drains {
                lines.push((3_000, END.into()));
            }
            lines.extend([(3_100, whole), (3_110, "closed 1000".into())]);
        }
    }
    found(session.lines)
}

fn reactions() -> Vec<String> {
    let once = CODES.iter().map(|code| format!("1 {code}"));
    let twice = CODES.iter().map(|code| format!("2 {code}"));
    let fatal = CODES.iter().chain(ONLY_FATAL).map(|code| format!("! {code}"));
    let cut = CODES.iter().map(|code| format!("cut {code}"));
    let closes = CLOSES.iter().map(|code| format!("closed {code}"));
    let rest = ["dropped", "ended"].map(str::to_owned);
    once.chain(twice).chain(fatal).chain(cut).chain(closes).chain(rest).collect()
}

#[test]
fn every_reaction_to_one_unusual_thing_is_blamed_as_it_was() {
    let mut table = String::new();
    for one in &all() {
        rows(&mut table, &title(&[one]), &reactions(), |reaction| blamed(&[one], reaction));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn errors_after_two_unusual_things_are_blamed_as_they_were() {
    let is_never_fatal = |code: &&str| error_code_spec(code).is_some_and(|spec| spec.fatality == Fatality::NonFatal);
    let texts = ["2 bad_message", "2 unknown_type", "2 invalid_state"].map(str::to_owned);
    let once = CODES.iter().map(|code| format!("1 {code}")).chain(texts);
    let fatal = CODES.iter().copied().filter(is_never_fatal).chain(["internal"]).map(|code| format!("! {code}"));
    let reactions: Vec<String> = once.chain(fatal).chain(["ended".to_owned()]).collect();
    let all = all();
    let names = [
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
    let mut table = String::new();
    for pair in pairs(&all, &names) {
        rows(&mut table, &title(&pair), &reactions, |reaction| blamed(&pair, reaction));
    }
    insta::assert_snapshot!(table);
}
