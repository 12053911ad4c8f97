//! Where the release probes stop being a proof: delays that are one step apart. The debt is a `session_ended`, five probes of each
//! sort, and the suspect itself does what the control does.

use lastword_judge::{Options, judge};
use lastword_spec::trace::{Event, EventKind, Open, Probe, Stimulus};

use super::bench::{Bench, Course, ends, released, stuck};
use super::scene::{CONFIG, END, READY, ended, scene};

/// A stuck suspect, controls that show nothing for so long, and frames of audio at these times.
fn frames_release(controls: usize, watched_ms: u64, frames: &[(u64, u64)]) -> bool {
    let frames: Vec<Course> = frames.iter().map(|(at_ms, after_ms)| released(*at_ms, *after_ms)).collect();
    let bench = Bench::of(stuck(20_000)).probes(Stimulus::Nothing, &vec![stuck(watched_ms); controls]);
    bench.probes(Stimulus::Audio, &frames).says() == "waits for [Audio]"
}

#[test]
fn five_releases_and_five_controls_are_a_proof_and_four_are_not() {
    let frames = [(200, 5), (400, 5), (600, 5), (800, 5), (1_000, 5)];
    assert!(frames_release(5, 4_000, &frames));
    assert!(!frames_release(4, 4_000, &frames));
    assert!(!frames_release(5, 4_000, &frames[1..]));
}

#[test]
fn the_control_is_watched_for_as_long_as_the_longest_release_took() {
    let frames = [(200, 5), (400, 5), (600, 5), (800, 5), (1_000, 5)];
    assert!(frames_release(5, 1_005, &frames));
    assert!(!frames_release(5, 1_004, &frames));
}

/// A server that ends by itself after these times, and with audio after that time in all five.
fn by_a_timer(controls: [u64; 5], with_audio_ms: u64) -> String {
    let bench = Bench::of(ends(controls[2])).probes(Stimulus::Nothing, &controls.map(ends));
    bench.probes(Stimulus::Audio, &[released(with_audio_ms - 1, 1); 5]).says()
}

#[test]
fn what_a_stimulus_brings_a_fifth_earlier_is_held_back_by_a_timer() {
    assert_eq!(by_a_timer([2_000; 5], 1_599), "masked None [Audio]");
    assert_eq!(by_a_timer([2_000; 5], 1_600), "slow");
    assert_eq!(by_a_timer([300; 5], 239), "masked None [Audio]");
    assert_eq!(by_a_timer([299; 5], 200), "slow", "so short a silence is no timer");
}

/// A suspect and controls that end after these times, the controls side by side and each so much later than the one before it;
/// with audio they end after half of it.
fn side_by_side(apart_ms: u64, controls: [u64; 5]) -> String {
    begun([0, 1, 2, 3, 4].map(|n| n * apart_ms), controls)
}

/// The same with controls that begin at these times.
fn begun(at_ms: [u64; 5], controls: [u64; 5]) -> String {
    let beside: Vec<(u64, Course)> = at_ms.into_iter().zip(controls.map(ends)).collect();
    let bench = Bench::of(ends(controls[0])).beside(Stimulus::Nothing, &beside);
    bench.probes(Stimulus::Audio, &[released(controls[0] / 2, 1); 5]).says()
}

#[test]
fn controls_that_began_together_are_late_together_by_one_moment_of_the_machine() {
    assert_eq!(side_by_side(0, [1_300; 5]), "slow");
    assert_eq!(side_by_side(62, [1_300; 5]), "slow");
    assert_eq!(side_by_side(63, [1_300; 5]), "masked None [Audio]");
    // All end at the same moment, whenever they began: it is the moment, not a timer.
    assert_eq!(side_by_side(50, [1_400, 1_350, 1_300, 1_250, 1_200]), "slow");
    assert_eq!(side_by_side(100, [1_500, 1_400, 1_300, 1_200, 1_100]), "slow");
    // They are half as far apart as they began, and further.
    assert_eq!(side_by_side(100, [1_400, 1_350, 1_300, 1_250, 1_200]), "masked None [Audio]");
    assert_eq!(side_by_side(100, [1_401, 1_350, 1_300, 1_250, 1_200]), "slow");
}

#[test]
fn controls_that_a_machine_let_go_on_in_two_moments_are_two_and_not_five() {
    assert_eq!(begun([0, 0, 1, 265, 266], [653, 653, 653, 713, 713]), "slow");
    assert_eq!(begun([0, 100, 200, 300, 301], [700; 5]), "masked None [Audio]");
    assert_eq!(begun([0, 100, 200, 201, 300], [700; 5]), "masked None [Audio]");
    assert_eq!(begun([0, 1, 150, 151, 300], [700; 5]), "slow");
    assert_eq!(begun([0, 49, 150, 199, 300], [700; 5]), "slow");
    assert_eq!(begun([0, 50, 150, 199, 300], [700; 5]), "masked None [Audio]");
}

#[test]
fn a_timer_is_constant() {
    assert_eq!(by_a_timer([2_000, 2_000, 2_000, 2_250, 2_250], 1_000), "masked None [Audio]");
    assert_eq!(by_a_timer([2_000, 2_000, 2_000, 2_251, 2_251], 1_000), "slow");
    assert_eq!(by_a_timer([3_500, 3_500, 3_500, 3_850, 3_850], 1_000), "masked None [Audio]", "to a tenth");
    assert_eq!(by_a_timer([3_500, 3_500, 3_500, 3_851, 3_851], 1_000), "slow");
}

#[test]
fn who_gets_on_before_three_quarters_of_the_time_are_left_works() {
    let says = |progress: &'static [(u64, u64)]| {
        let course = Course { progress, ..ends(2_000) };
        let bench = Bench::of(course).probes(Stimulus::Nothing, &[course; 5]);
        bench.probes(Stimulus::Audio, &[released(499, 1); 5]).says()
    };
    assert_eq!(says(&[(1, 0), (500, 900)]), "masked None [Audio]");
    assert_eq!(says(&[(1, 0), (501, 900)]), "slow");
    assert_eq!(says(&[(1, 0), (501, 0), (1_000, 0)]), "masked None [Audio]", "progress that stands still is no work");
    assert_eq!(says(&[(501, 900), (1_000, 900)]), "masked None [Audio]", "what was processed before is no work now");
}

#[test]
fn what_is_released_at_once_or_behind_the_same_work_each_time_was_held_back() {
    let says = |after_ms: [u64; 5]| {
        let with_audio: Vec<Course> =
            (1..).zip(after_ms).map(|(step, after_ms)| released(step * 1_000, after_ms)).collect();
        let bench = Bench::of(ends(9_000)).probes(Stimulus::Nothing, &[ends(9_000); 5]);
        bench.probes(Stimulus::Audio, &with_audio).says()
    };
    assert_eq!(says([1, 1, 700, 950, 700]), "masked None [Audio]");
    assert_eq!(says([1, 1, 700, 951, 700]), "slow");
    assert_eq!(says([600, 700, 1, 1, 1]), "masked None [Audio]");
}

#[test]
fn a_suspect_that_took_less_than_half_as_long_was_not_held_by_the_timer_however_slow_the_machine_is() {
    let says = |own_ms| {
        let mut bench = Bench::of(ends(own_ms)).probes(Stimulus::Nothing, &[ends(2_400); 5]);
        bench = bench.probes(Stimulus::Audio, &[released(200, 300); 5]);
        bench.trace.header.time_scale_percent = 600;
        bench.says()
    };
    assert_eq!(says(1_200), "masked None [Audio]");
    assert!(says(1_199).contains("the probes took another time than the suspect itself"));
}

#[test]
fn a_long_silence_that_is_as_long_as_an_announced_limit_follows_it() {
    let alone = |ms| Bench::of(ends(ms)).probes(Stimulus::Nothing, &[ends(ms); 5]).says();
    for (ms, limit) in [(10_000, "keepalive_interval_ms"), (15_000, "drain_ms")] {
        assert_eq!(alone(ms), format!("masked Some({limit:?}) []"));
    }
    // 120 ms and a fiftieth of it.
    assert_eq!(alone(10_326), r#"masked Some("keepalive_interval_ms") []"#);
    assert_eq!(alone(10_327), "slow");
    assert_eq!(alone(9_687), r#"masked Some("keepalive_interval_ms") []"#);
    assert_eq!(alone(9_686), "slow");
}

#[test]
fn what_is_as_long_as_a_limit_only_in_the_middle_of_five_follows_none() {
    // Twelve seconds of silence each, behind work that takes its time.
    let says = |progress: [&'static [(u64, u64)]; 5]| {
        let courses = progress.map(|progress| Course { progress, ..ends(progress[0].0 + 12_000) });
        Bench::of(courses[2]).probes(Stimulus::Nothing, &courses).says()
    };
    let steady: [&[(u64, u64)]; 5] = [&[(2_300, 9)], &[(3_000, 9)], &[(3_000, 9)], &[(3_000, 9)], &[(3_700, 9)]];
    let other: [&[(u64, u64)]; 5] = [&[(2_100, 9)], &[(3_000, 9)], &[(3_000, 9)], &[(3_000, 9)], &[(3_700, 9)]];
    assert_eq!(says(steady), r#"masked Some("drain_ms") []"#);
    assert_eq!(says(other), "slow");
}

#[test]
fn a_silence_no_longer_than_the_line_is_unsteady_is_no_timer() {
    let bench = |ready_ms: [u64; 5]| {
        let courses = ready_ms.map(|ready_ms| Course { ready_ms, ..ends(10_000) });
        Bench::of(ends(10_000)).probes(Stimulus::Nothing, &courses)
    };
    let says = |ready_ms| bench(ready_ms).says();
    let masked = r#"masked Some("keepalive_interval_ms") []"#;
    assert_eq!(says([0, 100, 200, 300, 7_499]), masked);
    assert_eq!(says([0, 100, 200, 300, 7_500]), "slow");
    assert_eq!(says([9_000; 5]), masked, "a model that is loaded each time");
    let late = Course { ready_ms: 9_000, ..ends(10_000) };
    let others = bench([0, 100, 200, 300, 400]).probes(Stimulus::Audio, &[late]);
    assert_eq!(others.says(), masked, "only the controls show how steady the line is");
}

#[test]
fn what_came_in_some_probes_is_open_and_not_stuck() {
    let with_audio = |frames: [Course; 5]| {
        let mut bench = Bench::of(stuck(20_000));
        for stimulus in Stimulus::ALL {
            let courses = if *stimulus == Stimulus::Audio { frames } else { [stuck(4_000); 5] };
            bench = bench.probes(*stimulus, &courses);
        }
        bench.says()
    };
    let (late, prompt, never) = (released(200, 600), released(200, 5), stuck(4_000));
    for (frames, came) in [
        ([late, never, never, never, never], 1),
        ([prompt, never, never, never, never], 1),
        ([prompt, late, never, never, never], 2),
    ] {
        let said = with_audio(frames);
        assert!(said.contains(&format!("it came in {came} of 5 probes with the stimulus `audio`")), "{said}");
    }
    let said = with_audio([never; 5]);
    assert!(said.contains("control sessions"), "nothing brought it: {said}");
}

#[test]
fn a_suspect_that_took_about_as_long_as_the_timer_was_held_by_it() {
    let says = |own_ms, timer_ms| {
        let bench = Bench::of(ends(own_ms)).probes(Stimulus::Nothing, &[ends(timer_ms); 5]);
        bench.probes(Stimulus::Audio, &[released(200, 300); 5]).says()
    };
    let other = "the probes took another time than the suspect itself";
    // An eighth of a long timer less, a third and half a second of a short one more.
    assert_eq!(says(7_000, 8_000), "masked None [Audio]");
    assert!(says(6_999, 8_000).contains(other));
    assert_eq!(says(3_700, 2_400), "masked None [Audio]");
    assert!(says(3_701, 2_400).contains(other));
}

#[test]
fn nothing_is_stuck_for_good_where_one_stimulus_was_never_tried() {
    let mut bench = Bench::of(stuck(20_000));
    for stimulus in Stimulus::ALL.iter().filter(|stimulus| **stimulus != Stimulus::Audio) {
        bench = bench.probes(*stimulus, &[stuck(4_000); 5]);
    }
    let said = bench.says();
    assert!(said.contains("not enough release probes with the stimulus `audio`"), "{said}");
}

#[test]
fn who_is_silent_too_long_each_time_breaks_the_bound_where_the_suspect_was_silent_for_three_quarters_of_it() {
    let found = |own_ms| Bench::of(ends(own_ms)).probes(Stimulus::Nothing, &[ends(6_000); 5]).finds();
    assert_eq!(found(4_500), ["PRG-S1"]);
    assert_eq!(found(4_499), [""; 0]);
}

#[test]
fn before_ready_a_silence_is_long_only_beyond_what_binds_there() {
    // Two seconds, whatever the session's own interval is. [PRG-S1]
    let says = |ms: u64| {
        let ready = READY
            .replace(r#""progress_interval_ms":2000"#, r#""progress_interval_ms":500"#)
            .replace(r#""idle_timeout_ms":30000"#, &format!(r#""idle_timeout_ms":{}"#, 3 * ms))
            .replace(r#""keepalive_interval_ms":10000"#, &format!(r#""keepalive_interval_ms":{ms}"#));
        let plan = |last| scene(&[(0, "open"), (0, CONFIG), (ms, ready.as_str()), (ms + 500, last)]);
        let mut bench = Bench { trace: plan("closed 1000"), next_ms: ms + 600 };
        for round in 1..=5 {
            let mut events = plan("gave_up 1").events;
            let probe = Probe { of: 0, stimulus: Stimulus::Nothing, round };
            events[0].kind = EventKind::Open(Open { probe: Some(probe), ..Open::default() });
            events.insert(2, Event::new(1_000, 0, EventKind::Stimulus(Stimulus::Nothing)));
            for event in &mut events {
                event.conn = 1_999 + round;
                event.t_us += bench.next_ms * 1_000;
            }
            bench.trace.events.append(&mut events);
            bench.next_ms += ms + 600;
        }
        bench.says()
    };
    assert_eq!(says(1_000), "slow");
    assert_eq!(says(2_500), "slow");
    assert_eq!(says(2_600), r#"masked Some("keepalive_interval_ms") []"#);
}

/// Controls and stimuli side by side on a machine that is so many times as slow as usual: each stimulus at these times after the
/// first control began, on a session that began so long before, and how soon it ended then. Controls take 2 s each.
fn on_a_busy_machine(times_as_slow: u64, stimuli: &[Stimulus], began_ms: [u64; 5], after_ms: u64) -> String {
    let stimuli: Vec<(Stimulus, u64)> = stimuli.iter().map(|stimulus| (*stimulus, after_ms)).collect();
    stimulated(times_as_slow, &stimuli, began_ms, [300, 900, 600, 1_200, 1_000])
}

/// The same with these pauses before the stimuli.
fn stimulated(times_as_slow: u64, stimuli: &[(Stimulus, u64)], began_ms: [u64; 5], pauses_ms: [u64; 5]) -> String {
    let mut bench = Bench::of(ends(2_070));
    bench.trace.header.time_scale_percent = 100 * times_as_slow;
    let first_ms = bench.next_ms;
    let controls = [(0, 2_020), (150, 2_170), (300, 2_050), (450, 2_040), (600, 2_060)];
    bench = bench.beside(Stimulus::Nothing, &controls.map(|(at_ms, took_ms)| (at_ms, ends(took_ms))));
    for (stimulus, after_ms) in stimuli {
        for (round, (began_ms, pause_ms)) in (1..).zip(began_ms.into_iter().zip(pauses_ms)) {
            bench.next_ms = first_ms + began_ms;
            let conn = bench.trace.events.iter().map(|event| event.conn).max().unwrap_or(0) + 1;
            bench.play(conn, Some(Probe { of: 0, stimulus: *stimulus, round }), released(pause_ms, *after_ms));
        }
    }
    bench.trace.events.sort_by_key(|event| event.t_us);
    bench.says()
}

#[test]
fn what_two_stimuli_bring_at_once_while_every_control_waits_is_held_back_by_a_timer_however_busy_the_machine_is() {
    use Stimulus::{Audio, Keepalive};
    let beside = [0, 200, 500, 700, 700];
    let masked = "masked None [Audio, Keepalive]";
    assert_eq!(on_a_busy_machine(1, &[Audio, Keepalive], beside, 20), masked);
    assert_eq!(on_a_busy_machine(10, &[Audio, Keepalive], beside, 320), masked);
    assert_eq!(on_a_busy_machine(10, &[Audio, Keepalive], beside, 501), "slow", "not at once");
    assert_eq!(on_a_busy_machine(10, &[Audio], beside, 20), "slow", "one stimulus");
    // There may be work in it that takes half as long.
    let both = [(Audio, 20), (Keepalive, 20)];
    let late = [990, 1_100, 1_000, 1_200, 1_000];
    assert_eq!(stimulated(10, &both, beside, late), "slow");
    assert_eq!(stimulated(10, &both, beside, [989, 1_100, 1_000, 1_200, 1_000]), masked);
    let only_one_at_once = [(Audio, 20), (Keepalive, 520), (Stimulus::EndOfStream, 520)];
    assert_eq!(stimulated(10, &only_one_at_once, beside, [300, 900, 600, 1_200, 1_000]), "slow");
    // Whoever is at its end within the last 300 ms of a control does not show that it waited on.
    let at_once_at = |ms: u64| {
        let pauses_ms = [300, 900, 600, 1_200, 1_000];
        stimulated(10, &both, pauses_ms.map(|pause_ms| ms - 20 - pause_ms), pauses_ms)
    };
    assert_eq!(at_once_at(1_700), masked);
    assert_eq!(at_once_at(1_900), "slow");
    // The machine may have stood still while the controls waited.
    assert_eq!(on_a_busy_machine(10, &[Audio, Keepalive], [3_000, 3_200, 3_400, 3_600, 3_800], 20), "slow");
}

/// A session whose end comes so long after the harness gave up and closed it.
fn ends_behind_our_close(after_ms: u64) -> Bench {
    let (last, came_ms) = (ended(1_000, 0, 0), 20_011 + after_ms);
    let plan = [
        (0, "open"),
        (0, CONFIG),
        (0, READY),
        (0, "audio 32000"),
        (10, END),
        (15_000, "control 50"),
        (20_010, "gave_up 1"),
        (20_011, "close 1000"),
        (came_ms, &last),
        (came_ms + 1, "closed 1000"),
    ];
    Bench { trace: scene(&plan), next_ms: 21_000 }
}

#[test]
fn what_comes_behind_the_harness_s_own_close_was_brought_by_that_and_by_no_timer() {
    let controls = [stuck(11_000); 5];
    let bench = || ends_behind_our_close(22).probes(Stimulus::Nothing, &controls);
    let by_close = || bench().probes(Stimulus::Close, &[released(300, 5); 5]);
    assert_eq!(by_close().says(), "waits for [Close]");
    let judgement = judge(&by_close().trace, &Options::default());
    let found: Vec<_> = judgement.findings.iter().map(|one| (one.kind.as_str(), one.requirement.as_str())).collect();
    assert_eq!(found, [("UNBOUNDED_WAIT", "END-S2")]);
    assert!(
        judgement.findings[0].message.contains("waits for the client's Close"),
        "{}",
        judgement.findings[0].message
    );
    // Where a Close brings nothing on other connections, it came late, and that convicts nobody here.
    assert_eq!(bench().says(), r#"Some(Open("the release probes show nothing"))"#);
}
