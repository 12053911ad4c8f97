//! Which rows of the server's state table a trace shows to have been gone through.

use std::path::Path;

use lastword_judge::{Options, Rows, judge};
use lastword_spec::trace::{self, Eof, Event, EventKind, Side};

use super::scene::{CONFIG, END, READY, ended, scene};
use super::traces::traces;

fn visited(name: &str) -> Rows {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("traces/{name}.jsonl"));
    let text = std::fs::read_to_string(path).expect("a trace of this name");
    judge(&trace::read(&text).expect("a trace"), &Options::default()).visited
}

fn listing(rows: &Rows) -> String {
    let rows: Vec<String> =
        rows.iter().map(|(state, input)| format!("{}: {}", state.as_str(), input.as_str())).collect();
    rows.join("\n")
}

#[test]
fn a_plain_session_goes_through_six_rows() {
    let rows = listing(&visited("good/plain"));
    assert_eq!(
        rows,
        "AwaitConfig: config\nConfiguring: engine ready\nStreaming: audio\nStreaming: end_of_stream\nDraining: drained\nEnded: Close"
    );
}

#[test]
fn what_is_sent_before_ready_waits_and_is_met_after_it() {
    let rows = listing(&visited("good/early-end"));
    for row in ["Configuring: audio", "Configuring: end_of_stream", "Streaming: audio", "Streaming: end_of_stream"] {
        assert!(rows.contains(row), "{row} is not in\n{rows}");
    }
}

#[test]
fn timers_refusals_ends_and_what_comes_after_them_are_seen() {
    for (name, row) in [
        ("good/config-timeout", "AwaitConfig: config timer"),
        ("good/idle", "Streaming: idle timer"),
        ("good/idle", "Failing: drained"),
        ("good/refused-format", "AwaitConfig: config (refused)"),
        ("good/before-config", "AwaitConfig: keepalive{seq}"),
        ("good/tenth-bad-message", "Streaming: bad message (10th)"),
        ("good/after-the-end", "Draining: audio"),
        ("good/after-the-end", "Draining: end_of_stream"),
        ("good/after-the-end-too-late", "Draining: audio"),
        ("good/cancel-while-draining", "Draining: Close"),
        ("good/oversize-text", "Streaming: text (oversize)"),
    ] {
        let rows = listing(&visited(name));
        assert!(rows.lines().any(|line| line == row), "{name}: {row} is not in\n{rows}");
    }
}

#[test]
fn a_row_is_visited_whatever_the_server_makes_of_it_but_not_where_it_never_served() {
    assert!(listing(&visited("END-S5--second-end")).contains("Draining: end_of_stream"));
    assert!(visited("good/never-connected").is_empty());
}

#[test]
fn what_each_trace_visits_is_as_it_was() {
    let mut table = String::new();
    for folder in ["traces", "traces/good"] {
        for (name, trace) in traces(folder) {
            let rows = judge(&trace, &Options::default()).visited;
            let rows: Vec<String> =
                rows.iter().map(|(state, input)| format!("{} {}", state.as_str(), input.as_str())).collect();
            table.push_str(&format!("{name}: {}\n", rows.join(", ")));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_second_close_of_the_client_visits_nothing() {
    let rows = |more: &[(u64, &str)]| {
        let events = [&[(0, "open"), (0, CONFIG), (1, READY), (2, "close 1000")], more].concat();
        listing(&judge(&scene(&events), &Options::default()).visited)
    };
    let once = rows(&[]);
    assert!(once.contains("Streaming: Close"), "{once}");
    assert_eq!(rows(&[(3, "close 1001")]), once);
}

#[test]
fn what_comes_behind_a_close_of_the_client_visits_nothing_where_the_session_has_ended_since() {
    let last = ended(0, 0, 0);
    let rows = |more: &[Event]| {
        let mut trace = scene(&[(0, "open"), (0, CONFIG), (1, READY), (2, END), (3, "close 1000"), (4, &last)]);
        trace.events.extend_from_slice(more);
        listing(&judge(&trace, &Options::default()).visited)
    };
    let (once, event) = (rows(&[]), |kind| Event::new(5_000, 0, kind));
    assert!(once.contains("Draining: Close"), "{once}");
    let close = EventKind::Close { from: Side::Client, code: None, reason: String::new() };
    assert_eq!(rows(&[event(close)]), once);
    assert_eq!(rows(&[event(EventKind::Eof { from: Side::Client, how: Eof::Reset })]), once);
}

#[test]
fn a_text_as_long_as_the_limit_is_a_message() {
    let rows = |bytes: usize| {
        let text = format!(r#">{{"type":"flush","id":"f","x_pad":"{}"}}"#, "a".repeat(bytes - 36));
        assert_eq!(text.len(), bytes + 1);
        listing(&judge(&scene(&[(0, "open"), (0, CONFIG), (1, READY), (2, &text)]), &Options::default()).visited)
    };
    assert!(rows(65_536).contains("Streaming: flush"));
    assert!(rows(65_537).contains("Streaming: text (oversize)"));
}
