//! Idle timeouts, right, early and late, after everything that may or may not count as activity.

use super::super::scene::{ACK, CONFIG, END, FLUSH, FLUSHED, KEEPALIVE, READY, error, heard};
use super::unusual::{found, rows};

const PROGRESS: &str = r#"<{"type":"progress","seq":1,"audio_processed_ms":10}"#;

/// What happens before, the last of it at 20 s.
fn activities() -> Vec<(&'static str, Vec<(u64, String)>)> {
    let text = |lines: &[(u64, &str)]| lines.iter().map(|(ms, line)| (*ms, (*line).to_owned())).collect::<Vec<_>>();
    let word = heard(0, 0, 500);
    vec![
        ("nothing", vec![]),
        ("audio", text(&[(20_000, "audio 32000")])),
        ("empty audio", text(&[(1_000, "audio 32000"), (20_000, "audio 0")])),
        ("broken audio", text(&[(1_000, "audio 32000"), (20_000, "audio 641")])),
        ("a bad message", text(&[(1_000, "audio 32000"), (20_000, "> ")])),
        ("an unknown type", text(&[(1_000, "audio 32000"), (20_000, r#">{"type":"strange"}"#)])),
        ("a keepalive", text(&[(1_000, "audio 32000"), (20_000, KEEPALIVE)])),
        ("a keepalive, answered", text(&[(1_000, "audio 32000"), (20_000, KEEPALIVE), (20_010, ACK)])),
        ("keepalives, answered", text(&[(1_000, KEEPALIVE), (1_010, ACK), (20_000, r#">{"type":"keepalive"}"#)])),
        ("an update", text(&[(1_000, "audio 32000"), (20_000, r#">{"type":"update","id":"u","language":"de"}"#)])),
        ("a second config", text(&[(1_000, "audio 32000"), (20_000, CONFIG)])),
        ("a flush, answered", text(&[(1_000, "audio 32000"), (20_000, FLUSH), (20_010, FLUSHED)])),
        ("a flush, open", text(&[(1_000, "audio 32000"), (20_000, FLUSH)])),
        ("a flush, open, and progress", text(&[(1_000, "audio 32000"), (20_000, FLUSH), (21_900, PROGRESS)])),
        ("the sentinel", text(&[(1_000, "audio 32000"), (20_000, END)])),
        ("the sentinel and progress", text(&[(1_000, "audio 32000"), (20_000, END), (21_900, PROGRESS)])),
        ("the sentinel and a final", text(&[(1_000, "audio 32000"), (20_000, END), (21_900, &word)])),
        ("the sentinel after a silence", text(&[(1_000, "audio 32000"), (30_800, END)])),
        ("a keepalive after a silence", text(&[(1_000, "audio 32000"), (30_800, KEEPALIVE)])),
        ("a keepalive after a silence, answered", text(&[(1_000, "audio 32000"), (30_800, KEEPALIVE), (30_810, ACK)])),
        ("a flush after a silence", text(&[(1_000, "audio 32000"), (30_800, FLUSH)])),
        ("audio after a silence", text(&[(1_000, "audio 32000"), (30_800, "audio 640")])),
        ("a final after the timeout", text(&[(1_000, "audio 32000"), (31_100, &word)])),
        ("progress after the timeout", text(&[(1_000, "audio 32000"), (33_000, PROGRESS)])),
        ("a final long after the timeout", text(&[(1_000, "audio 32000"), (40_000, &word)])),
        (
            "a keepalive long after the timeout, answered",
            text(&[(1_000, "audio 32000"), (40_000, KEEPALIVE), (40_010, ACK)]),
        ),
        (
            "a keepalive long after the timeout, answered late",
            text(&[(1_000, "audio 32000"), (40_000, KEEPALIVE), (41_000, ACK)]),
        ),
        ("the client closes", text(&[(1_000, "audio 32000"), (20_000, "close 1000")])),
    ]
}

fn idle(before: &[(u64, String)], when: &str) -> String {
    let mut lines: Vec<(u64, String)> =
        vec![(0, "control 10".into()), (10, "open".into()), (100, CONFIG.into()), (200, READY.into())];
    lines.extend(before.iter().cloned());
    let (ms, how) = when.split_once(' ').unwrap_or((when, ""));
    let ms: u64 = ms.parse().expect("a time");
    let timeout = error("idle_timeout", true, "");
    match how {
        "" => lines.push((ms, timeout)),
        "for good" => lines.push((ms, timeout.replace(r#""retryable":true"#, r#""retryable":false"#))),
        close => lines.push((ms, close.to_owned())),
    }
    found(lines)
}

#[test]
fn idle_timeouts_are_judged_as_they_were() {
    let times = [
        "25000", "28000", "29500", "30200", "31000", "31200", "33000", "38000", "38300", "40500", "47900", "49000",
        "49700", "50000", "50300", "51000", "55000", "57300", "58000", "61000", "66100", "70000", "80000",
    ];
    let mut all: Vec<String> = times.map(str::to_owned).to_vec();
    all.extend(
        ["50100 for good", "50100 closed 4408", "31100 closed 4408", "25000 closed 4408", "60000 closed 1001"]
            .map(str::to_owned),
    );
    all.extend(["55000 gave_up 1", "70000 gave_up 1"].map(str::to_owned));
    let mut table = String::new();
    for (name, before) in activities() {
        rows(&mut table, name, &all, |when| idle(&before, when));
    }
    insta::assert_snapshot!(table);
}
