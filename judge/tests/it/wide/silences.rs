//! Silences of every length where a session stands in each of many ways: what ends them, what a control session showed meanwhile,
//! and what was said so that it was no silence at all.

use super::super::scene::{END, FLUSHED, KEEPALIVE, READY, ended, heard};
use super::said::situations;
use super::unusual::{found, rows};

/// The event before which nothing is silent is at 1 s at the latest.
const FROM_MS: u64 = 1_000;

fn progress(seq: u64, audio_ms: u64) -> String {
    format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{audio_ms}}}"#)
}

/// What pays the debt where the session stands.
fn payment(name: &str, before: &[(u64, String)]) -> String {
    let said = |what: &str| before.iter().any(|(_, line)| line.contains(what));
    if name.starts_with("configuring") {
        READY.to_owned()
    } else if said("session_ended") || said(r#""fatal":true"#) {
        "closed 1000".to_owned()
    } else if said(END) {
        ended(1_000, 0, 0)
    } else {
        FLUSHED.to_owned()
    }
}

/// The findings where the silence goes like this: a length in milliseconds, and who does what then or meanwhile.
fn silent(name: &str, before: &[(u64, String)], how: &str) -> String {
    let mut lines = before.to_vec();
    let mut words = how.split(' ');
    let length_ms: u64 = words.next().and_then(|word| word.parse().ok()).expect("a length");
    let until_ms = FROM_MS + length_ms;
    let words: Vec<&str> = words.collect();
    let has = |what: &str| words.contains(&what);
    for control in ["control", "unanswered"] {
        if has(control) {
            lines.push((until_ms - 100, format!("{control} 10")));
        }
        if has("slow") {
            lines.push((until_ms - 90, "control 800".to_owned()));
        }
    }
    if has("progress") || has("still") {
        let told = (1..).map(|seq| (FROM_MS + seq * 1_500, seq)).take_while(|(ms, _)| *ms < until_ms);
        lines.extend(told.map(|(ms, seq)| (ms, progress(seq, if has("still") { 0 } else { seq.min(1_000) }))));
    }
    if has("warnings") {
        let warning = r#"<{"type":"warning","code":"c","message":"m"}"#;
        let told = (1..).map(|count| FROM_MS + count * 1_500).take_while(|ms| *ms < until_ms);
        lines.extend(told.map(|ms| (ms, warning.to_owned())));
    }
    if has("keepalive") {
        lines.push((until_ms - 100, KEEPALIVE.to_owned()));
    }
    if has("audio") {
        lines.push((until_ms - 100, "audio 640".to_owned()));
    }
    match words.last() {
        Some(&"final") => lines.push((until_ms, heard(0, 0, 500))),
        Some(&"warning") => lines.push((until_ms, r#"<{"type":"warning","code":"c","message":"m"}"#.to_owned())),
        Some(&"paid") => lines.push((until_ms, payment(name, before))),
        _ => lines.push((until_ms, "gave_up 1".to_owned())),
    }
    if has("afterwards") {
        lines.push((until_ms + 100, "control 10".to_owned()));
    }
    let is_alone = has("nobody") || has("unanswered");
    if is_alone {
        lines.push((until_ms + 200, "unanswered 10".to_owned()));
    }
    lines.sort_by_key(|(ms, _)| *ms);
    found(lines)
}

#[test]
fn silences_are_judged_as_they_were() {
    let lengths = [400, 1_900, 2_600, 3_900, 4_100, 5_600, 9_000, 11_200, 16_600, 34_000];
    let mut all = Vec::new();
    for length in lengths {
        for how in ["", " control", " afterwards", " unanswered"] {
            all.push(format!("{length}{how}"));
        }
    }
    for length in [3_900, 4_100, 5_600, 11_200, 16_600] {
        for how in
            [" control final", " slow final", " control warning", " control paid", " paid", " control keepalive paid"]
        {
            all.push(format!("{length}{how}"));
        }
    }
    for length in [5_600, 16_600, 34_000, 36_000] {
        for how in ["progress", "still", "warnings", "still paid", "progress paid", "still control", "warnings control"]
        {
            all.push(format!("{length} {how}"));
        }
    }
    all.extend(
        ["4600 control audio paid", "4600 control keepalive final", "3000 control keepalive final"].map(str::to_owned),
    );
    let mut table = String::new();
    for (name, before) in situations() {
        rows(&mut table, name, &all, |how| silent(name, &before, how));
    }
    insta::assert_snapshot!(table);
}
