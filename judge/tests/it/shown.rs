//! What one release probe shows, and what a conclusion is drawn from: ends that are no answer, work behind a stimulus, too few
//! controls, and the limit that a silence follows.

use lastword_judge::Outcome;
use lastword_spec::trace::{Event, EventKind, Open, Probe, Stimulus};

use super::bench::{Bench, Course, ends, released, stuck};
use super::scene::{CONFIG, FLUSH, FLUSHED, READY, scene};

const FATAL: &str = r#"<{"type":"error","code":"internal","message":"m","fatal":true,"retryable":true}"#;
const OTHER_END: &str = concat!(
    r#"<{"type":"session_ended","reason":"internal","complete":false,"audio_received_ms":1000,"#,
    r#""audio_processed_ms":0,"rejected_frames":0,"finals":0}"#
);

/// Twice `progress_interval_ms`, and what bounds are stretched by.
const MOST_MS: u64 = 4_500;

/// What a frame of audio shows on a connection of a stuck server, at 50 ms.
fn with_audio(course: Course) -> Outcome {
    let bench = Bench::of(stuck(20_000)).probes(Stimulus::Nothing, &[stuck(4_000); 5]);
    let outcomes = bench.probes(Stimulus::Audio, &[Course { stimulus_ms: 50, ..course }; 5]).shows(Stimulus::Audio);
    assert_eq!(outcomes.len(), 5);
    outcomes[0]
}

#[test]
fn an_end_that_was_not_owed_ends_the_probe_and_pays_nothing() {
    let fails = Course { more: &[(100, FATAL)], ..stuck(4_000) };
    assert_eq!(with_audio(fails), Outcome::Ended { after_us: 50_000 });
    let other = Course { more: &[(100, OTHER_END)], ..stuck(4_000) };
    assert_eq!(with_audio(other), Outcome::Ended { after_us: 50_000 });
    let late = Course { more: &[(100, FATAL)], ..ends(150) };
    assert_eq!(with_audio(late), Outcome::Ended { after_us: 50_000 }, "what follows the end is no answer");
    assert_eq!(with_audio(ends(150)), Outcome::Released { after_us: 100_000, total_us: 150_000 });
}

#[test]
fn what_came_before_the_stimulus_took_as_long_as_from_the_last_thing_sent_before_it() {
    let early = Course { stimulus_ms: 200, more: &[(205, "audio 3200")], ..ends(100) };
    let bench = Bench::of(stuck(20_000)).probes(Stimulus::Nothing, &[stuck(4_000); 5]);
    let outcomes = bench.probes(Stimulus::Audio, &[Course { watched_ms: 400, ..early }; 5]).shows(Stimulus::Audio);
    assert!(matches!(outcomes[0], Outcome::ByItself { total_us: 100_000, .. }), "{outcomes:?}");
}

#[test]
fn what_follows_a_stimulus_after_a_while_was_not_released_where_no_control_was_tried() {
    let slow = |controls: usize| {
        let bench = Bench::of(stuck(20_000)).probes(Stimulus::Nothing, &vec![stuck(4_000); controls]);
        bench.probes(Stimulus::Audio, &[released(200, 900); 5]).shows(Stimulus::Audio)
    };
    assert!(slow(0).iter().all(|one| matches!(one, Outcome::ByItself { .. })));
    assert!(slow(5).iter().all(|one| matches!(one, Outcome::Released { .. })));
}

#[test]
fn what_follows_after_a_while_is_released_where_it_is_a_fifth_earlier_than_without_the_stimulus() {
    let at = |stimulus_ms| {
        let bench = Bench::of(ends(5_000)).probes(Stimulus::Nothing, &[ends(5_000); 5]);
        bench.probes(Stimulus::Audio, &[released(stimulus_ms, 900); 5]).shows(Stimulus::Audio)
    };
    assert!(at(3_099).iter().all(|one| matches!(one, Outcome::Released { .. })));
    assert!(at(3_100).iter().all(|one| matches!(one, Outcome::ByItself { .. })));
}

#[test]
fn the_work_behind_a_stimulus_may_differ_by_a_quarter_and_what_comes_at_once_is_no_work() {
    let says = |after_ms: [u64; 5]| {
        let with_audio: Vec<Course> =
            (1..).zip(after_ms).map(|(step, after_ms)| released(step * 1_000, after_ms)).collect();
        let bench = Bench::of(ends(9_000)).probes(Stimulus::Nothing, &[ends(9_000); 5]);
        bench.probes(Stimulus::Audio, &with_audio).says()
    };
    assert_eq!(says([500, 900, 900, 900, 900]), "masked None [Audio]");
    assert_eq!(says([501, 900, 900, 900, 900]), "slow");
    assert_eq!(says([2_000, 1_500, 2_000, 2_000, 2_000]), "masked None [Audio]");
    assert_eq!(says([2_000, 1_499, 2_000, 2_000, 2_000]), "slow");
}

#[test]
fn four_controls_are_too_few_for_a_timer() {
    let says = |controls: usize| {
        let bench = Bench::of(ends(2_000)).probes(Stimulus::Nothing, &vec![ends(2_000); controls]);
        bench.probes(Stimulus::Audio, &[released(999, 1); 5]).says()
    };
    assert_eq!(says(5), "masked None [Audio]");
    assert_eq!(says(4), "slow");
}

#[test]
fn probes_are_about_what_most_of_them_were_owed() {
    let mut bench = Bench::of(ends(2_000)).probes(Stimulus::Nothing, &[ends(2_000); 5]);
    bench = bench.probes(Stimulus::Audio, &[released(999, 1); 5]);
    // One more control was told to wait before the server was ready.
    let plan = [(0, "open"), (0, CONFIG), (900, READY), (2_000, "gave_up 1")];
    lay(&mut bench, 3_000, 6, 300, &plan);
    assert_eq!(bench.says(), "masked None [Audio]");
}

/// Adds a control that waits from this time on.
fn lay(bench: &mut Bench, conn: u32, round: u32, from_ms: u64, plan: &[(u64, &str)]) {
    let mut events = scene(plan).events;
    let probe = Probe { of: 0, stimulus: Stimulus::Nothing, round };
    events[0].kind = EventKind::Open(Open { probe: Some(probe), ..Open::default() });
    let stimulus = Event::new(from_ms * 1_000, 0, EventKind::Stimulus(Stimulus::Nothing));
    let index = events.iter().position(|event| event.t_us > stimulus.t_us).unwrap_or(events.len());
    events.insert(index, stimulus);
    for event in &mut events {
        event.conn = conn;
        event.t_us += bench.next_ms * 1_000;
    }
    bench.next_ms += plan.last().map_or(0, |(ms, _)| *ms) + 20;
    bench.trace.events.append(&mut events);
}

/// The conclusion about a server that does this in every session, waiting from this time on.
fn always(from_ms: u64, plan: &[(u64, &str)]) -> String {
    let last_ms = plan.last().map_or(0, |(ms, _)| *ms);
    let suspect = [&plan[..plan.len() - 1], &[(last_ms, "closed 1000")]].concat();
    let mut bench = Bench { trace: scene(&suspect), next_ms: last_ms + 100 };
    for round in 1..=5 {
        lay(&mut bench, 1_999 + round, round, from_ms, plan);
    }
    bench.says()
}

#[test]
fn the_limit_that_binds_a_wait_is_that_of_its_state() {
    let limits = |name: &str, default: u64, ms: u64| {
        let ready = READY.replace(r#""keepalive_interval_ms":10000"#, r#""keepalive_interval_ms":9000"#);
        ready.replace(&format!(r#""{name}":{default}"#), &format!(r#""{name}":{ms}"#))
    };
    for (ms, says) in [(6_000, r#"masked Some("ready_ms") []"#), (4_000, "slow")] {
        let ready = limits("ready_ms", 10_000, 6_000);
        let plan = [(0, "open"), (0, CONFIG), (ms, ready.as_str()), (ms + 500, "gave_up 1")];
        assert_eq!(always(1, &plan), says, "before ready");
    }
    for (ms, says) in [(6_000, r#"masked Some("flush_ms") []"#), (4_000, "slow")] {
        let ready = limits("flush_ms", 5_000, 6_000);
        let start = [(0, "open"), (0, CONFIG), (0, ready.as_str()), (0, "audio 32000"), (10, FLUSH)];
        let plan = [&start[..], &[(10 + ms, FLUSHED), (10 + ms + 500, "gave_up 1")]].concat();
        assert_eq!(always(11, &plan), says, "after a flush");
    }
}

#[test]
fn twice_the_interval_and_half_a_second_is_what_a_server_at_work_may_be_silent() {
    let found = |ms| Bench::of(ends(ms)).probes(Stimulus::Nothing, &[ends(ms); 5]).finds();
    assert_eq!(found(MOST_MS), [""; 0]);
    assert_eq!(found(MOST_MS + 1), ["PRG-S1"]);
}
