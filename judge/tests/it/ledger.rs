//! What the monitor says is owed, while a session goes on.

use lastword_judge::{Monitor, Obligation, Options};
use lastword_spec::table::State;
use lastword_spec::trace::{self, Side};

use super::scene::{CONFIG, END, READY, ended, scene};

/// A monitor that has seen the first `events` events of a good trace.
fn after(name: &str, events: usize) -> Monitor {
    let path = format!("{}/traces/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let trace = trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace");
    let mut monitor = Monitor::new(&trace.header, &Options::default());
    for event in &trace.events[..events] {
        monitor.observe(event);
    }
    monitor
}

fn lines(owed: &[Obligation]) -> Vec<String> {
    owed.iter()
        .map(|one| {
            let (since_ms, due_ms) = (one.since_us / 1_000, one.due_us / 1_000);
            format!("{} owes {} from {since_ms} to {due_ms} [{}]", one.debtor.as_str(), one.what, one.requirement)
        })
        .collect()
}

#[test]
fn before_config_the_client_owes_it_and_the_server_will_owe_the_timeout() {
    let monitor = after("good/config-timeout", 1);
    assert_eq!(monitor.state(0), State::AwaitConfig);
    assert_eq!(lines(&monitor.owed(0)), ["client owes config from 0 to 10000 [CFG-C1]"]);
    assert_eq!(lines(&monitor.timers(0)), ["server owes error `config_timeout` from 10000 to 11000 [CON-S3]"]);
}

#[test]
fn progress_before_ready_extends_its_bound_up_to_a_minute() {
    assert_eq!(
        lines(&after("good/slow-ready", 2).owed(0)),
        ["server owes ready or a fatal error from 1 to 11001 [CFG-S1]"]
    );
    let due_us = |events| after("good/slow-ready", events).owed(0)[0].due_us;
    assert!(due_us(3) > due_us(2));
    assert!((2..15).all(|events| due_us(events) <= 66_001_000), "60 s and their grace");
}

#[test]
fn an_open_flush_and_an_unanswered_keepalive_are_owed_in_order() {
    let monitor = after("good/nothing-more", 28);
    assert_eq!(
        lines(&monitor.owed(0)),
        ["server owes keepalive_ack from 2011 to 13011 [KA-S6]", "server owes flushed from 2012 to 7512 [FLU-S2]"]
    );
}

#[test]
fn after_the_sentinel_the_server_owes_the_end_and_then_the_close() {
    let draining = after("good/slow-drain", 304);
    assert_eq!(draining.state(0), State::Draining);
    let owed = draining.owed(0);
    assert_eq!((owed[0].what.as_str(), owed[0].requirement.as_str()), ("session_ended", "END-S2"));
    assert_eq!(owed[0].debtor, Side::Server);
    let later = after("good/slow-drain", 310).owed(0);
    assert!(later[0].due_us > owed[0].due_us, "progress extends the drain");
    let ended = after("good/plain", 27);
    assert_eq!(ended.state(0), State::Ended);
    assert_eq!(ended.owed(0)[0].requirement.as_str(), "CLO-S2");
    assert_eq!(after("good/plain", 28).owed(0), []);
}

#[test]
fn an_idle_client_will_be_owed_the_idle_timeout() {
    let monitor = after("good/idle", 3);
    assert_eq!(monitor.limits(0).idle_timeout_ms, 3_000);
    let timers = monitor.timers(0);
    assert_eq!(timers[0].requirement.as_str(), "KA-S2");
    assert_eq!(timers[0].since_us - 3_000_000, monitor.connection(0).and_then(|conn| conn.ready_us).expect("ready"));
}

#[test]
fn a_message_that_must_end_the_session_is_owed_its_fatal_error() {
    let monitor = after("good/oversize-by-session", 27);
    assert!(
        lines(&monitor.owed(0))[0].starts_with("server owes fatal error `message_too_large`"),
        "{:?}",
        monitor.owed(0)
    );
}

#[test]
fn nothing_is_owed_by_a_session_that_a_breach_made_meaningless() {
    let owed = |events: &[(u64, &str)]| {
        let trace = scene(events);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        monitor.owed(0).len()
    };
    let last = ended(0, 0, 0);
    let begun = [(0, "open"), (1, CONFIG), (2, READY)];
    assert_eq!(owed(&[&begun[..], &[(3, END), (4, &last)]].concat()), 1, "the Close");
    assert_eq!(owed(&[&begun[..], &[(4, &last)]].concat()), 0, "it ended unasked");
}

#[test]
fn what_is_no_activity_was_counted_until_the_timeout_has_passed_since() {
    let clause = |heard_ms| {
        let told = r#"<{"type":"warning","code":"x_slow","message":"m"}"#;
        let trace =
            scene(&[(0, "open"), (0, CONFIG), (0, READY), (10, "audio 32000"), (20_000, "audio 0"), (heard_ms, told)]);
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        trace.events.iter().for_each(|event| monitor.observe(event));
        monitor.timers(0)[0].requirement.as_str().to_owned()
    };
    assert_eq!(clause(49_999), "KA-S7");
    assert_eq!(clause(50_000), "KA-S2");
}
