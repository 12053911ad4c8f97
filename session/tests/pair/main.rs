//! A client and a server session in memory, with a scripted engine, under a virtual clock: they end by messages in every course that
//! two conforming parties can take, however slow the engine and however small the buffers.

mod engine;
mod world;

use core::time::Duration;

use lastword_session::{ClientEvent, IncompleteReason, Outcome, ServerPolicy};
use lastword_spec::limits::Limits;

use engine::Pace;
use world::{Act, Setup, World};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Audio at the pace of speech, in pushes of 100 ms, then the end.
fn speech(length_ms: u64) -> Vec<(Duration, Act)> {
    let mut script: Vec<_> = (0..length_ms / 100).map(|n| (ms(n * 100), Act::Push(100))).collect();
    script.push((ms(length_ms), Act::End));
    script
}

fn assert_complete(world: &World) {
    world.assert_ended_by_messages();
    let Outcome::Complete(ended) = world.outcome() else { panic!("{:?}\n{:#?}", world.outcome(), world.wire) };
    assert_eq!(ended.audio_received_ms, world.audio_pushed_ms());
    assert_eq!(world.heard(), world.said());
    assert_eq!(ended.finals as usize, world.said().len());
    assert_eq!(world.sent("> end_of_stream"), 1);
    assert_eq!(world.sent("< session_ended completed"), 1);
}

#[test]
fn speech_goes_in_and_every_word_comes_out() {
    let world = World::new(Setup { script: speech(3_500), ..Setup::default() }).run();
    assert_complete(&world);
    assert_eq!(world.heard(), ["word 0", "word 1", "word 2", "word 3"]);
    assert!(world.events.iter().any(|event| matches!(event, ClientEvent::Partial(_))));
    // Nothing waited for any timer.
    assert!(world.now() < ms(3_600), "{:?}", world.now());
}

#[test]
fn the_wire_of_a_short_session() {
    let script = vec![(ms(0), Act::Push(100)), (ms(10), Act::Flush("a")), (ms(20), Act::Push(150)), (ms(30), Act::End)];
    let world = World::new(Setup { script, ..Setup::default() }).run();
    assert_complete(&world);
    insta::assert_snapshot!(world.wire.join("\n"), @r"
    > config
    < ready
    > audio
    > flush
    < partial
    < progress
    < final
    < flushed a
    > audio
    > audio
    > end_of_stream
    < partial
    < partial
    < final
    < session_ended completed
    < Close 1000
    > Close 1000
    ");
}

#[test]
fn an_input_that_ends_before_ready_is_sent_whole_after_it() {
    let pace = Pace { start: ms(9_000), ..Pace::default() };
    let script = vec![(ms(0), Act::Push(5_000)), (ms(1), Act::Flush("early")), (ms(2), Act::End)];
    let world = World::new(Setup { pace, script, ..Setup::default() }).run();
    assert_complete(&world);
    let ready = world.wire.iter().position(|line| line == "< ready").unwrap();
    assert!(world.wire[..ready].iter().all(|line| line == "> config" || line == "< progress"), "{:#?}", world.wire);
    assert_eq!(world.sent("< flushed early"), 1);
}

#[test]
fn a_start_of_fifty_seconds_is_waited_for_while_progress_comes() {
    let pace = Pace { start: ms(50_000), ..Pace::default() };
    let script = vec![(ms(0), Act::Push(1_000)), (ms(2), Act::End)];
    let world = World::new(Setup { pace, script, ..Setup::default() }).run();
    assert_complete(&world);
    assert!(world.sent("< progress") >= 25);
}

#[test]
fn a_flush_that_is_open_at_the_sentinel_is_answered_before_the_end() {
    let pace = Pace { settle: ms(3_000), ..Pace::default() };
    let script =
        vec![(ms(0), Act::Push(700)), (ms(10), Act::Flush("a")), (ms(10), Act::Flush("b")), (ms(20), Act::End)];
    let world = World::new(Setup { pace, script, ..Setup::default() }).run();
    assert_complete(&world);
    let tail: Vec<&str> = world.wire.iter().map(String::as_str).filter(|line| line.starts_with("< ")).collect();
    let order = |line: &str| tail.iter().position(|one| *one == line).unwrap();
    assert!(order("< flushed a") < order("< flushed b"));
    assert!(order("< flushed b") < order("< session_ended completed"));
}

#[test]
fn zero_audio_ends_like_any_other_session() {
    for script in [vec![(ms(0), Act::End)], vec![(ms(100), Act::Flush("a")), (ms(100), Act::End)]] {
        let world = World::new(Setup { script, ..Setup::default() }).run();
        assert_complete(&world);
        let Outcome::Complete(ended) = world.outcome() else { unreachable!() };
        assert_eq!((ended.audio_received_ms, ended.audio_processed_ms, ended.finals), (0, 0, 0));
    }
}

#[test]
fn fifty_seconds_of_engine_work_after_the_end_are_waited_for() {
    // Ten seconds of audio at a fifth of real time, told in steps of half a second.
    let pace = Pace { per_ms: ms(5), ..Pace::default() };
    let mut script = speech(10_000);
    script.insert(50, (ms(4_950), Act::Flush("half")));
    let world = World::new(Setup { pace, script, ..Setup::default() }).run();
    assert_complete(&world);
    assert!(world.now() > ms(50_000));
    assert_eq!(world.sent("< flushed half"), 1);
}

#[test]
fn a_single_step_of_twenty_five_seconds_is_waited_for() {
    // Longer than `drain_ms` and `flush_ms`, shorter than `max_step_ms`; the engine tells every second that it lives.
    let pace = Pace { settle: ms(25_000), step: ms(1_000), ..Pace::default() };
    let script = vec![(ms(0), Act::Push(1_500)), (ms(0), Act::Flush("a")), (ms(100), Act::End)];
    let world = World::new(Setup { pace, script, ..Setup::default() }).run();
    assert_complete(&world);
    assert!(world.now() > ms(50_000));
}

#[test]
fn full_buffers_slow_the_client_down_and_lose_nothing() {
    // 40 s of audio at once, through a pipe of 4 KiB, to a server that holds one second and works at half real time.
    let limits = Limits { max_buffered_audio_ms: 1_000, ..Limits::DEFAULT };
    let policy = ServerPolicy { limits, ..ServerPolicy::default() };
    let pace = Pace { per_ms: ms(2), step: ms(300), ..Pace::default() };
    let script = vec![(ms(0), Act::Push(40_000)), (ms(0), Act::Flush("a")), (ms(0), Act::End)];
    let world = World::new(Setup { policy, pace, capacity_bytes: 4_096, script, ..Setup::default() }).run();
    assert_complete(&world);
    assert_eq!(world.audio_pushed_ms(), 40_000);
    assert!(world.most_unprocessed_ms <= 1_100, "{} ms", world.most_unprocessed_ms);
    assert!(world.sent("< progress") > 30);
}

#[test]
fn silence_is_bridged_by_keepalives_and_ends_in_time() {
    let script = vec![(ms(0), Act::Push(500)), (ms(300_000), Act::Push(500)), (ms(300_100), Act::End)];
    let world = World::new(Setup { script, ..Setup::default() }).run();
    assert_complete(&world);
    assert!((29..=31).contains(&world.sent("> keepalive")), "{}", world.sent("> keepalive"));
    assert!(world.sent("< keepalive_ack") >= 5, "the client asks now and then whether the server lives");
    assert!(
        world.fired.iter().all(|timer| timer == "client Keepalive" || timer == "client Probe"),
        "{:?}",
        world.fired
    );
}

fn course() -> Setup {
    let mut script = speech(2_000);
    script.insert(10, (ms(950), Act::Flush("a")));
    Setup { script, pace: Pace { start: ms(300), settle: ms(200), ..Pace::default() }, ..Setup::default() }
}

/// The course of a session, cut short after every possible step.
fn after_every_step(interrupt: impl Fn(&mut World)) -> Vec<World> {
    let steps = World::new(course()).run().steps;
    let mut worlds = Vec::new();
    for count in 0..steps {
        let mut world = World::new(course());
        for _ in 0..count {
            world.step();
        }
        interrupt(&mut world);
        worlds.push(world.run());
    }
    worlds
}

#[test]
fn a_session_can_be_cancelled_at_every_step() {
    let mut cancelled = 0;
    for world in after_every_step(World::cancel) {
        world.assert_ended_by_messages();
        match world.outcome() {
            Outcome::Cancelled => cancelled += 1,
            // The end had come before the application changed its mind.
            outcome => assert!(outcome.is_complete(), "{outcome:?}"),
        }
        assert!(world.sent("< session_ended completed") <= 1);
        assert_eq!(world.sent("> Close 1000"), 1);
    }
    assert!(cancelled > 50);
}

#[test]
fn a_lost_connection_is_told_at_every_step() {
    let mut lost = 0;
    for world in after_every_step(World::cut) {
        assert_eq!(world.gave_up, [""; 0]);
        match world.outcome() {
            Outcome::Incomplete { reason: IncompleteReason::ConnectionLost(_), .. } => lost += 1,
            Outcome::Error { code, .. } => assert_eq!(code.as_str(), "closed_before_ready"),
            outcome => assert!(outcome.is_complete(), "{outcome:?}"),
        }
        let flushes = world
            .events
            .iter()
            .filter(|event| matches!(event, ClientEvent::Flushed { .. } | ClientEvent::FlushFailed { .. }));
        assert!(flushes.count() <= 1, "a flush is answered once");
    }
    assert!(lost > 50);
}

#[test]
fn a_second_end_and_a_late_cancel_do_nothing() {
    let script = vec![
        (ms(0), Act::Push(200)),
        (ms(10), Act::End),
        (ms(11), Act::End),
        (ms(5_000), Act::Cancel),
        (ms(5_001), Act::End),
    ];
    let world = World::new(Setup { script, ..Setup::default() }).run();
    assert_complete(&world);
}
