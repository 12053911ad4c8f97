//! Rules of the server that a single row of the table does not show: negotiation, clocks, progress, backpressure, counters.

use core::time::Duration;

use lastword_session::{
    ApiMisuse, EngineResult, Fact, Refusal, ServerOutput, ServerPolicy, ServerSession, ServerTimer, State, Token,
};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::{Capabilities, EffectiveConfig, ErrorMessage, Ready, ServerMessage, SessionEnded};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn policy() -> ServerPolicy {
    ServerPolicy::default()
}

/// Gives a `config` and tells what came out.
fn configure(policy: ServerPolicy, config: &str) -> (ServerSession, Vec<ServerOutput>) {
    let mut session = ServerSession::new(policy, "s-1").unwrap();
    session.handle_text(ms(0), config).unwrap();
    let outputs = drain(&mut session);
    (session, outputs)
}

fn ready(session: &mut ServerSession, now: Duration) -> Vec<ServerOutput> {
    let config = session.config().cloned().unwrap();
    session.engine_ready(now, config, Vec::new()).unwrap();
    drain(session)
}

fn streaming(policy: ServerPolicy) -> ServerSession {
    let (mut session, _) = configure(policy, r#"{"type":"config"}"#);
    let _ = ready(&mut session, ms(0));
    assert_eq!(session.state(), State::Streaming);
    session
}

fn drain(session: &mut ServerSession) -> Vec<ServerOutput> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn error(outputs: &[ServerOutput]) -> &ErrorMessage {
    let error = outputs.iter().find_map(|output| match output {
        ServerOutput::Send(ServerMessage::Error(error)) => Some(error),
        _ => None,
    });
    error.unwrap_or_else(|| panic!("no error in {outputs:?}"))
}

fn ended(outputs: &[ServerOutput]) -> &SessionEnded {
    let ended = outputs.iter().find_map(|output| match output {
        ServerOutput::Send(ServerMessage::SessionEnded(ended)) => Some(ended),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("no `session_ended` in {outputs:?}"))
}

fn the_ready(outputs: &[ServerOutput]) -> &Ready {
    let ready = outputs.iter().find_map(|output| match output {
        ServerOutput::Send(ServerMessage::Ready(ready)) => Some(ready),
        _ => None,
    });
    ready.unwrap_or_else(|| panic!("no `ready` in {outputs:?}"))
}

fn names(outputs: &[ServerOutput]) -> Vec<&'static str> {
    let name = |output: &ServerOutput| match output {
        ServerOutput::Send(message) => Some(message.message_type()),
        ServerOutput::Close { .. } => Some("Close"),
        _ => None,
    };
    outputs.iter().filter_map(name).collect()
}

fn heard(segment: u64, start_ms: u64, end_ms: u64) -> EngineResult {
    EngineResult { segment, text: "word".into(), start_ms, end_ms, ..EngineResult::default() }
}

#[test]
fn credentials_are_checked_before_anything_else_with_one_message() {
    let guarded = || ServerPolicy { token: Some(Token::new("right")), ..policy() };
    let attempts = [
        r#"{"type":"config"}"#,
        r#"{"type":"config","token":"wrong"}"#,
        r#"{"type":"config","token":"wrong","sample_rate":8000}"#,
        r#"{"type":"config","token":7}"#,
        r#"{"type":"config","token":"","model":"none"}"#,
    ];
    let mut messages = Vec::new();
    for attempt in attempts {
        let (session, outputs) = configure(guarded(), attempt);
        let error = error(&outputs);
        assert_eq!((error.code.as_str(), session.state()), ("unauthenticated", State::Ended), "{attempt}");
        assert!(matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == 4401));
        messages.push((error.message.clone(), error.param.clone()));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let (_, outputs) = configure(guarded(), r#"{"type":"config","token":"right","sample_rate":8000}"#);
    assert_eq!(error(&outputs).code, "invalid_config");
    let (session, _) = configure(guarded(), r#"{"type":"config","token":"right"}"#);
    assert_eq!(session.state(), State::Configuring);
    assert!(!format!("{session:?}").contains("right"), "the token must not show in a log");
}

/// SEC-S1: one good credential is enough, but every one that is presented must be good.
#[test]
fn behind_a_good_header_a_token_may_be_left_out_and_a_wrong_one_is_refused() {
    let guarded = || ServerPolicy { token: Some(Token::new("right")), header_was_good: true, ..policy() };
    for good in [r#"{"type":"config"}"#, r#"{"type":"config","token":"right"}"#] {
        assert_eq!(configure(guarded(), good).0.state(), State::Configuring, "{good}");
    }
    let (session, outputs) = configure(guarded(), r#"{"type":"config","token":"wrong"}"#);
    assert_eq!((error(&outputs).code.as_str(), session.state()), ("unauthenticated", State::Ended));
}

#[test]
fn each_refusal_names_its_code_param_and_close_code() {
    let models = ServerPolicy {
        capabilities: Capabilities { models: Some(vec!["tiny".into()]), ..policy().capabilities },
        ..policy()
    };
    let cases = [
        (r#"{"audio":{"sample_rate_hz":"16000"}}"#, "invalid_config", "audio.sample_rate_hz", 4400),
        (r#"{"sample_rate":16000}"#, "invalid_config", "sample_rate", 4400),
        (r#"{"endpointing":{"silence_ms":0}}"#, "invalid_config", "endpointing.silence_ms", 4400),
        (r#"{"audio":{"encoding":"opus"}}"#, "unsupported_audio", "audio.encoding", 4422),
        (r#"{"audio":{"encoding":"s16le"}}"#, "unsupported_audio", "audio.encoding", 4422),
        (r#"{"audio":{"sample_rate_hz":8000}}"#, "unsupported_audio", "audio.sample_rate_hz", 4422),
        (r#"{"audio":{"channels":2}}"#, "unsupported_audio", "audio.channels", 4422),
        (r#"{"model":"large"}"#, "unknown_model", "model", 4404),
        (r#"{"words":true,"required":["words"]}"#, "unsupported_option", "words", 4422),
        (r#"{"required":["keyterms"]}"#, "unsupported_option", "keyterms", 4422),
        (r#"{"required":["no.such.path"]}"#, "unsupported_option", "no.such.path", 4422),
    ];
    for (body, code, param, close) in cases {
        let config = body.replacen('{', r#"{"type":"config","#, 1);
        let (session, outputs) = configure(models.clone(), &config);
        let error = error(&outputs);
        assert_eq!((error.code.as_str(), error.param.as_deref()), (code, Some(param)), "{config}");
        assert!(error.fatal && session.state() == State::Ended);
        assert!(
            matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == close),
            "{config}: {outputs:?}"
        );
    }
}

#[test]
fn what_is_not_served_is_listed_and_what_is_served_is_in_force() {
    let config = r#"{"type":"config","language":"en-US","words":true,"vad_events":true,"keyterms":["a"],"task":"translate",
        "endpointing":{"mode":"none","silence_ms":700},"interim_results":false,"x_new":1,"required":["endpointing"]}"#;
    let capabilities = Capabilities { languages: Some(vec!["en".into()]), ..policy().capabilities };
    let (mut session, _) = configure(ServerPolicy { capabilities, ..policy() }, config);
    let outputs = ready(&mut session, ms(1));
    let ready = the_ready(&outputs);
    assert_eq!(ready.ignored, ["task", "words", "vad_events", "keyterms", "x_new"]);
    let in_force = &ready.config;
    assert_eq!(in_force.language.as_deref(), Some("en-US"));
    assert!(!in_force.words && !in_force.vad_events && !in_force.interim_results && in_force.keyterms.is_empty());
    assert_eq!((in_force.endpointing.mode.as_str(), in_force.endpointing.silence_ms), ("none", 700));
    assert_eq!((ready.protocol.as_str(), ready.capabilities.update), ("lastword.v1", Some(false)));
}

#[test]
fn what_the_engine_changes_is_listed_and_must_not_be_required() {
    let shorter = |session: &ServerSession| {
        let mut config: EffectiveConfig = session.config().cloned().unwrap();
        config.endpointing.max_segment_ms = 10_000;
        config.model = Some("tiny".into());
        config
    };
    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    let config = shorter(&session);
    session.engine_ready(ms(0), config, vec!["language".into()]).unwrap();
    assert_eq!(the_ready(&drain(&mut session)).ignored, ["language", "endpointing.max_segment_ms"]);

    let required =
        r#"{"type":"config","endpointing":{"max_segment_ms":20000},"required":["endpointing.max_segment_ms"]}"#;
    let (mut session, _) = configure(policy(), required);
    let config = shorter(&session);
    session.engine_ready(ms(0), config, Vec::new()).unwrap();
    let outputs = drain(&mut session);
    assert_eq!(error(&outputs).code, "unsupported_option");
    assert!(outputs.contains(&ServerOutput::CancelEngine) && outputs.contains(&ServerOutput::Release));

    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    let mut config = session.config().cloned().unwrap();
    config.audio.sample_rate_hz = 8_000;
    assert_eq!(session.engine_ready(ms(0), config, Vec::new()), Err(ApiMisuse::EngineChangedAudio));
    assert_eq!(session.state(), State::Configuring);
}

#[test]
fn an_engine_without_room_is_an_overload_with_a_time_to_come_back() {
    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    let refusal = Refusal {
        code: ErrorCode::OVERLOADED,
        message: "all engines are busy; try again".into(),
        param: None,
        retry_after_ms: Some(5_000),
    };
    session.engine_refused(ms(3), refusal).unwrap();
    let outputs = drain(&mut session);
    let error = error(&outputs);
    assert!(error.fatal && error.retryable && error.retry_after_ms == Some(5_000));
    assert!(matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == 1013));
}

#[test]
fn the_idle_clock_stands_still_during_a_flush_and_while_the_server_does_not_read() {
    let limits = Limits { max_buffered_audio_ms: 1_000, ..Limits::DEFAULT };
    let mut session = streaming(ServerPolicy { limits, ..policy() });
    assert_eq!(session.next_timer(), Some((ServerTimer::Idle, ms(30_000))));
    session.handle_text(ms(10_000), r#"{"type":"flush","id":"a"}"#).unwrap();
    let _ = drain(&mut session);
    assert_eq!(session.next_timer().map(|(timer, _)| timer), Some(ServerTimer::Engine));
    session.engine_flushed(ms(50_000), 0).unwrap();
    let _ = drain(&mut session);
    assert_eq!(session.next_timer(), Some((ServerTimer::Idle, ms(80_000))));

    session.engine_backlog(ms(50_000), 0).unwrap();
    session.handle_binary(ms(60_000), &[1; 32_000]).unwrap();
    let _ = drain(&mut session);
    assert!(!session.wants_read());
    assert_eq!(session.handle_binary(ms(60_000), &[1; 320]), Err(ApiMisuse::NotReading));
    assert_eq!(session.next_timer().map(|(timer, _)| timer), Some(ServerTimer::Engine));
    session.engine_backlog(ms(100_000), 500).unwrap();
    assert!(session.wants_read());
    assert_eq!(session.next_timer(), Some((ServerTimer::Idle, ms(130_000))));
}

#[test]
fn only_what_counts_as_activity_resets_the_idle_clock() {
    let mut session = streaming(policy());
    let deadline = |session: &ServerSession| session.next_timer().map(|(_, at)| at);
    for (at, frame) in [(1_000, &[][..]), (2_000, &[1; 3][..])] {
        session.handle_binary(ms(at), frame).unwrap();
        let _ = drain(&mut session);
        assert_eq!(deadline(&session), Some(ms(30_000)));
    }
    session.handle_text(ms(3_000), "[]").unwrap();
    let _ = drain(&mut session);
    assert_eq!(deadline(&session), Some(ms(30_000)));
    session.handle_text(ms(4_000), r#"{"type":"x_new"}"#).unwrap();
    let _ = drain(&mut session);
    assert_eq!(deadline(&session), Some(ms(34_000)));
    session.handle_binary(ms(5_000), &[1; 2]).unwrap();
    let _ = drain(&mut session);
    assert_eq!(deadline(&session), Some(ms(35_000)));
}

#[test]
fn an_idle_session_ends_with_its_finals_an_error_and_its_reason() {
    let mut session = streaming(policy());
    session.handle_binary(ms(0), &[1; 32_000]).unwrap();
    let _ = drain(&mut session);
    session.engine_partial(ms(1), heard(0, 0, 500)).unwrap();
    let _ = drain(&mut session);
    session.handle_timeout(ms(30_000)).unwrap();
    let outputs = drain(&mut session);
    assert!(outputs.contains(&ServerOutput::FinishEngine) && names(&outputs).is_empty());
    session.handle_text(ms(30_001), r#"{"type":"end_of_stream"}"#).unwrap();
    assert_eq!(drain(&mut session), [], "the session is already ending");
    session.engine_progress(ms(30_500), 900).unwrap();
    assert_eq!(names(&drain(&mut session)), ["progress"]);
    session.engine_drained(ms(31_000), 1_000).unwrap();
    let outputs = drain(&mut session);
    assert_eq!(names(&outputs), ["final", "error", "session_ended", "Close"]);
    let account = ended(&outputs);
    assert_eq!((account.reason.as_str(), account.complete, account.finals), ("idle_timeout", false, 1));
    assert!(error(&outputs).retryable);
    assert!(matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == 4408));
}

#[test]
fn progress_follows_the_engine_while_something_is_owed_and_no_clock() {
    let mut session = streaming(policy());
    session.handle_binary(ms(0), &[1; 64_000]).unwrap();
    let _ = drain(&mut session);
    session.engine_progress(ms(100), 500).unwrap();
    assert_eq!(drain(&mut session), [], "nothing is owed yet");
    session.handle_text(ms(200), r#"{"type":"end_of_stream"}"#).unwrap();
    let _ = drain(&mut session);
    let mut sent = Vec::new();
    for at in (300..6_000).step_by(300) {
        session.engine_progress(ms(at), at / 10).unwrap();
        for output in drain(&mut session) {
            let ServerOutput::Send(ServerMessage::Progress(progress)) = output else { panic!("{output:?}") };
            sent.push((at, progress.seq, progress.audio_processed_ms));
        }
    }
    assert_eq!(sent, [(300, 1, 500), (1_500, 2, 500), (2_700, 3, 500), (3_900, 4, 500), (5_100, 5, 510)]);
    // Nothing but the engine makes it speak.
    let (timer, at) = session.next_timer().unwrap();
    assert_eq!((timer, at), (ServerTimer::Engine, ms(5_700 + 60_000)));
}

#[test]
fn progress_before_ready_keeps_to_the_interval_of_the_specification() {
    let limits = Limits { progress_interval_ms: 60_000, ..Limits::DEFAULT };
    let (mut session, _) = configure(ServerPolicy { limits, ..policy() }, r#"{"type":"config"}"#);
    let mut sent = 0;
    for at in (500..=10_000).step_by(500) {
        session.engine_progress(ms(at), 0).unwrap();
        sent += drain(&mut session).len();
    }
    assert_eq!(sent, 10);
}

#[test]
fn a_dead_engine_is_noticed_and_the_client_is_told() {
    let mut session = streaming(policy());
    session.handle_text(ms(0), r#"{"type":"end_of_stream"}"#).unwrap();
    let _ = drain(&mut session);
    let (timer, at) = session.next_timer().unwrap();
    assert!(timer.gives_up());
    session.handle_timeout(at).unwrap();
    let outputs = drain(&mut session);
    assert_eq!(names(&outputs), ["error", "session_ended", "Close"]);
    assert_eq!(ended(&outputs).reason, "internal");
    assert!(outputs.contains(&ServerOutput::CancelEngine));
}

#[test]
fn a_shutdown_warns_drains_and_goes_away() {
    let mut session = streaming(policy());
    session.handle_binary(ms(0), &[1; 3_200]).unwrap();
    let _ = drain(&mut session);
    session.shut_down(ms(10)).unwrap();
    assert_eq!(names(&drain(&mut session)), ["warning"]);
    session.engine_final(ms(20), heard(0, 0, 100)).unwrap();
    assert_eq!(names(&drain(&mut session)), ["final"]);
    session.engine_drained(ms(30), 100).unwrap();
    let outputs = drain(&mut session);
    assert_eq!(names(&outputs), ["error", "session_ended", "Close"]);
    assert_eq!(ended(&outputs).reason, "going_away");
    assert!(matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == 1001));

    let mut draining = streaming(policy());
    draining.handle_text(ms(0), r#"{"type":"end_of_stream"}"#).unwrap();
    let _ = drain(&mut draining);
    draining.shut_down(ms(1)).unwrap();
    assert_eq!(draining.state(), State::Draining);
}

#[test]
fn the_longest_session_ends_with_max_duration() {
    let limits = Limits { max_session_ms: 60_000, idle_timeout_ms: 300_000, ..Limits::DEFAULT };
    let mut session = streaming(ServerPolicy { limits, ..policy() });
    assert_eq!(session.next_timer(), Some((ServerTimer::Session, ms(60_000))));
    session.handle_timeout(ms(60_000)).unwrap();
    let _ = drain(&mut session);
    session.engine_drained(ms(60_001), 0).unwrap();
    assert_eq!(ended(&drain(&mut session)).reason, "max_duration");
}

#[test]
fn refused_frames_before_the_sentinel_make_it_incomplete_and_after_it_do_not() {
    let account = |before: bool| {
        let mut session = streaming(policy());
        session.handle_binary(ms(0), &[1; 330]).unwrap();
        let _ = drain(&mut session);
        if before {
            session.handle_binary(ms(0), &[1; 3]).unwrap();
            let _ = drain(&mut session);
        }
        session.handle_text(ms(0), r#"{"type":"end_of_stream"}"#).unwrap();
        let _ = drain(&mut session);
        session.handle_binary(ms(0), &[1; 320]).unwrap();
        let _ = drain(&mut session);
        session.engine_drained(ms(1), 10).unwrap();
        let outputs = drain(&mut session);
        let account = ended(&outputs).clone();
        (account.complete, account.rejected_frames, account.audio_received_ms, account.audio_processed_ms)
    };
    assert_eq!(account(true), (false, 2, 10, 10));
    assert_eq!(account(false), (true, 1, 10, 10));
}

#[test]
fn an_engine_that_processed_less_than_was_accepted_is_not_complete() {
    let mut session = streaming(policy());
    session.handle_binary(ms(0), &[1; 3_200]).unwrap();
    let _ = drain(&mut session);
    session.handle_text(ms(0), r#"{"type":"end_of_stream"}"#).unwrap();
    let _ = drain(&mut session);
    session.engine_drained(ms(1), 99).unwrap();
    let outputs = drain(&mut session);
    assert!(!ended(&outputs).complete);
    assert!(matches!(outputs.last(), Some(ServerOutput::Close { code, .. }) if code.0 == 1000));
}

#[test]
fn what_waits_for_ready_is_bounded() {
    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    let mut taken = 0;
    while session.wants_read() {
        session.handle_text(ms(1), r#"{"type":"keepalive","seq":1}"#).unwrap();
        assert!(matches!(&drain(&mut session)[..], [ServerOutput::Violation(violation)]
            if violation.fact == Fact::ControlBeforeReady));
        taken += 1;
    }
    assert_eq!(taken, 256);
    assert_eq!(session.handle_text(ms(1), r#"{"type":"keepalive"}"#), Err(ApiMisuse::NotReading));
    let acks = names(&ready(&mut session, ms(2))).iter().filter(|name| **name == "keepalive_ack").count();
    assert_eq!(acks, 256);

    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    let mut bytes = 0;
    while session.wants_read() {
        session.handle_binary(ms(1), &[1; 64_000]).unwrap();
        let _ = drain(&mut session);
        bytes += 64_000;
    }
    assert_eq!(bytes, 960_000);
}

#[test]
fn open_flushes_are_bounded_and_those_behind_wait_in_order() {
    let (mut session, _) = configure(policy(), r#"{"type":"config"}"#);
    for id in 0..100 {
        session.handle_text(ms(1), &format!(r#"{{"type":"flush","id":"f{id}"}}"#)).unwrap();
        let _ = drain(&mut session);
    }
    let opened = ready(&mut session, ms(2));
    let tokens =
        |outputs: &[ServerOutput]| outputs.iter().filter(|one| matches!(one, ServerOutput::FlushEngine { .. })).count();
    assert_eq!(tokens(&opened), 64);
    assert!(!session.wants_read());
    let mut answered = Vec::new();
    for token in 0..100 {
        session.engine_flushed(ms(3), token).unwrap();
        for output in drain(&mut session) {
            if let ServerOutput::Send(ServerMessage::Flushed(flushed)) = output {
                answered.push(flushed.id);
            }
        }
    }
    assert_eq!(answered, (0..100).map(|id| format!("f{id}")).collect::<Vec<_>>());
    assert!(session.wants_read());
}

#[test]
fn outputs_must_be_taken_and_an_engine_must_speak_in_turn() {
    let mut session = ServerSession::new(policy(), "s-1").unwrap();
    assert!(matches!(session.engine_drained(ms(0), 0), Err(ApiMisuse::EngineOutOfTurn { what: "drained", .. })));
    session.handle_text(ms(0), r#"{"type":"config"}"#).unwrap();
    assert_eq!(session.handle_text(ms(0), r#"{"type":"keepalive"}"#), Err(ApiMisuse::OutputPending));
    let _ = drain(&mut session);
    assert!(matches!(session.engine_final(ms(0), heard(0, 0, 1)), Err(ApiMisuse::EngineOutOfTurn { .. })));
    let _ = ready(&mut session, ms(0));
    assert!(matches!(session.engine_drained(ms(0), 0), Err(ApiMisuse::EngineOutOfTurn { .. })));
    assert_eq!(session.engine_flushed(ms(0), 0), Err(ApiMisuse::FlushOutOfOrder { token: 0 }));
    assert_eq!(session.state(), State::Streaming);
}

#[test]
fn a_container_is_noticed_once_and_its_bytes_are_audio_all_the_same() {
    let mut session = streaming(policy());
    session.handle_binary(ms(0), b"RIFF\x00\x00\x00\x00WAVE").unwrap();
    let outputs = drain(&mut session);
    assert_eq!(names(&outputs), ["warning"]);
    assert!(outputs.iter().any(|output| matches!(output, ServerOutput::Audio(bytes) if bytes.len() == 12)));
    session.handle_binary(ms(0), b"RIFF").unwrap();
    assert_eq!(names(&drain(&mut session)), Vec::<&str>::new());
}

#[test]
fn a_client_that_does_not_answer_the_close_is_dropped() {
    let mut session = streaming(policy());
    session.handle_text(ms(0), r#"{"type":"end_of_stream"}"#).unwrap();
    let _ = drain(&mut session);
    session.engine_drained(ms(5), 0).unwrap();
    let _ = drain(&mut session);
    assert_eq!(session.next_timer(), Some((ServerTimer::Close, ms(2_005))));
    session.handle_text(ms(100), "anything").unwrap();
    assert_eq!(drain(&mut session), [], "read and discarded");
    session.handle_timeout(ms(2_005)).unwrap();
    assert_eq!(drain(&mut session), [ServerOutput::Drop]);
    assert!(session.is_closed());
}

/// LIM-S3: a client cannot know an announced limit before `ready`, so the default holds until then.
#[test]
fn before_ready_the_default_text_limit_holds_even_where_a_smaller_one_will_be_announced() {
    let small = ServerPolicy { limits: Limits { max_text_bytes: 4_096, ..Limits::DEFAULT }, ..policy() };
    let long = format!(r#"{{"type":"config","x_note":"{}"}}"#, "a".repeat(5_000));
    let (mut session, outputs) = configure(small, &long);
    assert!(matches!(outputs[..], [ServerOutput::StartEngine(_)]), "{outputs:?}");
    let _ = ready(&mut session, ms(0));
    session.handle_text(ms(1), &format!(r#"{{"type":"keepalive","x_note":"{}"}}"#, "a".repeat(5_000))).unwrap();
    let outputs = drain(&mut session);
    let refused = |output: &ServerOutput| matches!(output, ServerOutput::Violation(violation) if violation.fact == Fact::OversizeText);
    assert!(outputs.iter().any(refused), "{outputs:?}");
}
