//! The record of each connection, and how often one breach is told.

use std::fmt::Write as _;
use std::path::Path;

use lastword_judge::{Connection, Monitor, Options, judge};
use lastword_spec::trace::{self, Event, EventKind, Side, Trace};

fn read(name: &str) -> Trace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/good").join(name).with_extension("jsonl");
    trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace")
}

fn line(one: &Connection) -> String {
    let ms = |us: Option<u64>| us.map_or("-".to_owned(), |us| (us / 1_000).to_string());
    let close = one.close.as_ref().map_or("open".to_owned(), |close| {
        format!(
            "{} {:?}{}",
            close.by.as_str(),
            close.code.map(|code| code.0),
            if close.frame { "" } else { " without a frame" }
        )
    });
    let mut text = format!(
        "{} {} {:?} {:?} refused {:?}, sent {} ms, {} partials, {:?}, errors {:?}, {close};",
        one.conn,
        one.state.as_str(),
        one.label,
        one.speech,
        one.refused,
        one.audio_sent_ms,
        one.partials,
        one.transcript,
        one.errors
    );
    let times = [
        one.opened_us,
        one.ready_us,
        one.sentinel_us,
        one.first_partial_us,
        one.last_final_us,
        one.session_ended_us,
        one.closed_us,
    ];
    for time in times {
        let _ = write!(text, " {}", ms(time));
    }
    text
}

#[test]
fn the_records_of_good_traces_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/good");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of traces")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".jsonl")?.to_owned()))
        .collect();
    names.sort();
    let mut table = String::from("opened, ready, sentinel, first partial, last final, session_ended, closed, in ms\n");
    for name in names {
        let _ = writeln!(table, "{name}");
        for connection in &judge(&read(&name), &Options::default()).connections {
            let _ = writeln!(table, "  {}", line(connection));
        }
    }
    insta::assert_snapshot!(table);
}

/// A trace in which the server says the same wrong thing so often.
fn with_wrong_progress(times: usize) -> Trace {
    let mut trace = read("plain");
    let at = trace.events.iter().position(|event| matches!(&event.kind, EventKind::Audio { .. })).expect("audio");
    let wrong = Event {
        kind: EventKind::Text { from: Side::Server, text: r#"{"type":"keepalive_ack","seq":77}"#.to_owned() },
        ..trace.events[at].clone()
    };
    for _ in 0..times {
        trace.events.insert(at, wrong.clone());
    }
    trace
}

#[test]
fn one_breach_is_told_ten_times_on_a_connection_at_most() {
    for (times, told) in [(1, 1), (9, 9), (10, 10), (11, 10), (40, 10)] {
        let judgement = judge(&with_wrong_progress(times), &Options::default());
        let ids: Vec<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
        assert_eq!(ids, vec!["KA-S6"; told], "{times} times");
    }
}

#[test]
fn who_closed_first_is_who_sent_the_first_close() {
    let mut trace = read("plain");
    let closes: Vec<usize> =
        (0..trace.events.len()).filter(|index| matches!(trace.events[*index].kind, EventKind::Close { .. })).collect();
    let [server, client] = closes[..] else { panic!("two closes: {closes:?}") };
    let by = |trace: &Trace| judge(trace, &Options::default()).connections[0].close.as_ref().map(|close| close.by);
    assert_eq!(by(&trace), Some(Side::Server));
    trace.events.swap(server, client);
    assert_eq!(by(&trace), Some(Side::Client));
    trace.events.truncate(client);
    assert_eq!(by(&trace), Some(Side::Client));
    trace.events.truncate(server);
    assert_eq!(by(&trace), None);
}

#[test]
fn a_text_of_the_longest_length_is_legal_and_a_longer_one_is_not() {
    let trace = read("plain");
    let mut monitor = Monitor::new(&trace.header, &Options::default());
    trace.events.iter().for_each(|event| monitor.observe(event));
    assert_eq!(monitor.ready(0).map(|ready| ready.protocol.as_str()), Some("lastword.v1"));
    let longest = usize::try_from(monitor.limits(0).max_text_bytes).expect("a length");
    for (bytes, ids) in [(longest, vec![]), (longest + 1, vec!["LIM-S3"])] {
        let mut trace = trace.clone();
        let at = trace.events.iter().position(|event| matches!(&event.kind, EventKind::Audio { .. })).expect("audio");
        let (head, tail) = (r#"{"type":"flush","id":"f","x_pad":""#, r#""}"#);
        let asked = format!("{head}{}{tail}", "a".repeat(bytes - head.len() - tail.len()));
        let event = |from, text: String| Event { kind: EventKind::Text { from, text }, ..trace.events[at].clone() };
        let exchange = [event(Side::Client, asked), event(Side::Server, r#"{"type":"flushed","id":"f"}"#.to_owned())];
        trace.events.splice(at..at, exchange);
        let judgement = judge(&trace, &Options::default());
        let found: Vec<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
        assert_eq!(found, ids, "{bytes} bytes");
    }
}
