//! Which requirement wrong counters of `session_ended` are blamed on, by what the client had sent: a table of what is counted
//! too much or too little against the unusual frames that may explain it.

use super::super::scene::{END, ended};
use super::unusual::{Sent, all, found, pairs, rows, session, title};

/// What the last counters are, of a server that otherwise does what it must: the difference in audio received, `-`, `+` or `=` a
/// number of milliseconds; the difference in what was processed of it; the refused frames; whether that is called complete; more
/// finals; and whether audio was said to be dropped.
fn counted(sent: &[&Sent], how: &str) -> String {
    let mut session = session(sent);
    let mut words = how.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).expect("a number");
    let (received, processed, refused) = (number(), number(), number());
    let flags: Vec<&str> = words.collect();
    let audio_ms = session.audio_ms.saturating_add_signed(received);
    let refused = session.refused.saturating_add_signed(refused);
    let mut last = ended(audio_ms, refused, u64::from(flags.contains(&"final")));
    let processed_ms = audio_ms.saturating_add_signed(processed);
    last = last
        .replace(&format!(r#""audio_processed_ms":{audio_ms}"#), &format!(r#""audio_processed_ms":{processed_ms}"#));
    let (complete, not) = (r#""complete":true"#, r#""complete":false"#);
    if flags.contains(&"complete") {
        last = last.replace(not, complete);
    } else if flags.contains(&"incomplete") {
        last = last.replace(complete, not);
    }
    if !session.drains {
        session.lines.push((2_000, END.into()));
    }
    if flags.contains(&"dropped") {
        let warning = r#"<{"type":"warning","code":"audio_dropped","message":"m"}"#;
        session.lines.push((2_050, warning.into()));
    }
    // A drain of less than a second: what came after the sentinel may not have been read.
    let ended_ms = if flags.contains(&"fast") { 2_100 } else { 3_600 };
    session.lines.extend([(ended_ms, last), (ended_ms + 10, "closed 1000".into())]);
    found(session.lines)
}

fn counts() -> Vec<String> {
    let received = ["-1000", "-640", "-30", "-20", "-10", "-9", "-1", "0", "1", "9", "20", "40", "641", "1000"];
    let mut all: Vec<String> = received.iter().map(|ms| format!("{ms} 0 0")).collect();
    for processed in ["-1", "-500", "1"] {
        for flags in ["", " complete", " incomplete", " dropped", " dropped incomplete", " dropped complete"] {
            all.push(format!("0 {processed} 0{flags}"));
        }
    }
    for refused in ["-2", "-1", "0", "1", "2", "3"] {
        for flags in ["", " complete", " incomplete"] {
            all.push(format!("0 0 {refused}{flags}"));
        }
    }
    all.extend(["-1", "0", "1", "2"].map(|refused| format!("0 0 {refused} fast")));
    all.extend(["0 0 0 final", "0 0 0 dropped", "0 0 0 dropped incomplete", "20 0 -1", "20 0 1"].map(str::to_owned));
    all
}

#[test]
fn wrong_counters_after_one_unusual_thing_are_blamed_as_they_were() {
    let mut table = String::new();
    for one in &all() {
        rows(&mut table, &title(&[one]), &counts(), |how| counted(&[one], how));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn wrong_counters_after_two_unusual_things_are_blamed_as_they_were() {
    let all = all();
    let names = [
        "empty audio",
        "two empty frames",
        "broken audio",
        "two broken frames",
        "a short frame",
        "a long frame",
        "a command as audio",
        "a flush, flushed",
        "audio after the end",
        "two frames after the end",
        "early audio",
        "audio before config",
    ];
    let counts: Vec<String> =
        counts().into_iter().filter(|how| !how.contains('d') && !how.contains("complete")).collect();
    let mut table = String::new();
    for pair in pairs(&all, &names) {
        rows(&mut table, &title(&pair), &counts, |how| counted(&pair, how));
    }
    insta::assert_snapshot!(table);
}
