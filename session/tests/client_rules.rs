//! Rules of the client that a single row of the table does not show: clocks, bounds that progress extends, outcomes, the buffer.

use core::time::Duration;

use lastword_session::{
    ApiMisuse, ClientEvent, ClientOptions, ClientOutput, ClientSession, ClientTimer, Fact, IncompleteReason, Outcome,
    State, TransportError,
};
use lastword_spec::close::CloseCode;
use lastword_spec::message::ClientMessage;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const CONFIG: &str = r#""audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}"#;
const LIMITS: &str = r#""idle_timeout_ms":30000,"keepalive_interval_ms":10000,"ready_ms":10000,"flush_ms":5000,"drain_ms":15000,"close_ms":2000,"progress_interval_ms":2000,"max_step_ms":30000,"max_frame_bytes":64000,"max_text_bytes":65536,"max_session_ms":3600000,"max_buffered_audio_ms":30000"#;

fn ready_text(config: &str, limits: &str) -> String {
    format!(
        r#"{{"type":"ready","session_id":"s-1","protocol":"lastword.v1","config":{{{config}}},"limits":{{{limits}}}}}"#
    )
}

/// What one run of outputs held.
#[derive(Debug, Default)]
struct Out {
    sent: Vec<String>,
    events: Vec<ClientEvent>,
    facts: Vec<Fact>,
    close: Option<CloseCode>,
    dropped: bool,
}

/// Takes every output; the transport accepts each message at once.
fn drain(session: &mut ClientSession, now: Duration) -> Out {
    let mut out = Out::default();
    while let Some(output) = session.poll_output() {
        match output {
            ClientOutput::Send(message) => {
                out.sent.push(match message {
                    ClientMessage::Keepalive(keepalive) => format!("keepalive {:?}", keepalive.seq),
                    other => other.message_type().to_owned(),
                });
                session.handle_transmitted(now).unwrap();
            }
            ClientOutput::SendAudio(bytes) => {
                out.sent.push(format!("audio {}", bytes.len()));
                session.handle_transmitted(now).unwrap();
            }
            ClientOutput::Event(event) => out.events.push(event),
            ClientOutput::Violation(violation) => out.facts.push(violation.fact),
            ClientOutput::Close { code } => out.close = Some(code),
            ClientOutput::EchoClose { .. } => {}
            ClientOutput::Drop => out.dropped = true,
        }
    }
    out
}

fn give(session: &mut ClientSession, now: Duration, text: &str) -> Out {
    session.handle_text(now, text).unwrap();
    drain(session, now)
}

fn fire(session: &mut ClientSession) -> (ClientTimer, Duration, Out) {
    let (timer, at) = session.next_timer().expect("a timer runs");
    session.handle_timeout(at).unwrap();
    let out = drain(session, at);
    (timer, at, out)
}

fn configuring() -> ClientSession {
    let mut session = ClientSession::new(ClientOptions::default()).unwrap();
    assert_eq!(drain(&mut session, ms(0)).sent, ["config"]);
    session
}

fn streaming() -> ClientSession {
    let mut session = configuring();
    let out = give(&mut session, ms(0), &ready_text(CONFIG, LIMITS));
    assert!(matches!(out.events[..], [ClientEvent::Ready(_)]) && out.facts.is_empty(), "{out:?}");
    session
}

fn draining(audio_ms: usize) -> ClientSession {
    let mut session = streaming();
    session.push(&vec![1; audio_ms * 32]).unwrap();
    session.end(ms(0)).unwrap();
    assert_eq!(drain(&mut session, ms(0)).sent.last().map(String::as_str), Some("end_of_stream"));
    session
}

fn outcome(out: &Out) -> &Outcome {
    match out.events.last() {
        Some(ClientEvent::Ended(outcome)) => outcome,
        other => panic!("the last event is {other:?}"),
    }
}

fn ended(complete: bool, received_ms: u64, finals: u64) -> String {
    let reason = if complete { "completed" } else { "going_away" };
    format!(
        r#"{{"type":"session_ended","reason":"{reason}","complete":{complete},"audio_received_ms":{received_ms},"audio_processed_ms":{received_ms},"rejected_frames":0,"finals":{finals}}}"#
    )
}

#[test]
fn keepalives_come_an_interval_after_ready_and_after_the_last_audio() {
    let mut session = streaming();
    session.push(&[1; 3_200]).unwrap();
    assert_eq!(drain(&mut session, ms(4_000)).sent, ["audio 3200"]);
    let (timer, at, out) = fire(&mut session);
    assert_eq!((timer, at), (ClientTimer::Keepalive, ms(14_000)));
    assert_eq!(out.sent, ["keepalive None"]);
    assert_eq!(fire(&mut session).1, ms(24_000));
    // A flush is no activity.
    session.flush("a").unwrap();
    assert_eq!(drain(&mut session, ms(24_500)).sent, ["flush"]);
    let timers: Vec<_> = (0..2).map(|_| fire(&mut session)).map(|(timer, at, _)| (timer, at)).collect();
    assert_eq!(timers, [(ClientTimer::Flush, ms(29_500)), (ClientTimer::Probe, ms(30_000))]);
}

#[test]
fn no_keepalive_is_due_while_the_transport_takes_nothing() {
    let mut session = streaming();
    session.push(&[1; 3_200]).unwrap();
    assert!(matches!(session.poll_output(), Some(ClientOutput::SendAudio(_))));
    assert_eq!(session.poll_output(), None);
    assert_eq!(session.next_timer(), Some((ClientTimer::Probe, ms(30_000))));
    session.handle_transmitted(ms(20_000)).unwrap();
    assert_eq!(session.next_timer(), Some((ClientTimer::Keepalive, ms(30_000))));
}

#[test]
fn a_server_that_fell_silent_is_asked_once_and_then_given_up() {
    let mut session = streaming();
    let mut course = Vec::new();
    let outcome = loop {
        let (timer, at, out) = fire(&mut session);
        course.push(format!("{} {timer:?} {}", at.as_secs(), out.sent.join(",")));
        if let Some(ClientEvent::Ended(outcome)) = out.events.last() {
            break outcome.clone();
        }
    };
    assert_eq!(
        course,
        [
            "10 Keepalive keepalive None",
            "20 Keepalive keepalive None",
            "30 Keepalive keepalive Some(1)",
            "40 Keepalive keepalive None",
            "50 Keepalive keepalive None",
            "60 Keepalive keepalive None",
            "60 Silence ",
        ]
    );
    assert!(outcome.is_retryable());
    let Outcome::Incomplete { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, IncompleteReason::ConnectionLost(TransportError::Silence));
    let (timer, _, out) = fire(&mut session);
    assert!(timer == ClientTimer::Close && out.dropped && session.is_closed());
}

#[test]
fn an_answer_to_the_question_is_life() {
    let mut session = streaming();
    for _ in 0..3 {
        let _ = fire(&mut session);
    }
    let out = give(&mut session, ms(31_000), r#"{"type":"keepalive_ack","seq":1}"#);
    assert!(out.facts.is_empty());
    assert_eq!(give(&mut session, ms(31_000), r#"{"type":"keepalive_ack","seq":1}"#).facts, [Fact::AckUnasked]);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(fire(&mut session).2.sent);
    }
    assert!(session.state() == State::Streaming && asked.iter().flatten().any(|sent| sent == "keepalive Some(2)"));
}

#[test]
fn ready_is_waited_for_for_ten_seconds_and_with_progress_for_sixty() {
    let mut session = configuring();
    let (timer, at, out) = fire(&mut session);
    assert_eq!((timer, at), (ClientTimer::Ready, ms(10_000)));
    assert!(matches!(outcome(&out), Outcome::Error { code, .. } if code.as_str() == "ready_timeout"));
    assert_eq!(out.close, Some(CloseCode::PROTOCOL_ERROR));

    let mut session = configuring();
    for seq in 1..=35 {
        let _ = give(
            &mut session,
            ms(seq * 2_000),
            &format!(r#"{{"type":"progress","seq":{seq},"audio_processed_ms":0}}"#),
        );
        if seq == 29 {
            assert_eq!(session.next_timer(), Some((ClientTimer::Ready, ms(60_000))));
        }
    }
    assert_eq!(session.next_timer(), Some((ClientTimer::Ready, ms(60_000))));
}

#[test]
fn the_drain_bound_follows_progress_as_long_as_it_moves() {
    let mut session = draining(1_000);
    assert_eq!(session.next_timer(), Some((ClientTimer::Drain, ms(15_000))));
    let progress =
        |seq: u64, processed: u64| format!(r#"{{"type":"progress","seq":{seq},"audio_processed_ms":{processed}}}"#);
    assert!(give(&mut session, ms(14_000), &progress(1, 100)).facts.is_empty());
    assert_eq!(session.next_timer(), Some((ClientTimer::Drain, ms(29_000))));
    // An unknown type and a repeated value extend nothing.
    let _ = give(&mut session, ms(20_000), r#"{"type":"x_new"}"#);
    assert_eq!(give(&mut session, ms(20_000), &progress(1, 100)).facts, [Fact::ProgressSeqWrong]);
    assert_eq!(session.next_timer(), Some((ClientTimer::Drain, ms(29_000))));
    // One long step extends it until `max_step_ms`, and no further: a server that runs in place is given up.
    for (seq, at) in (2..).zip((22_000..60_000).step_by(2_000)) {
        let _ = give(&mut session, ms(at), &progress(seq, 100));
    }
    let (timer, at, out) = fire(&mut session);
    assert_eq!((timer, at), (ClientTimer::Drain, ms(44_000 + 15_000)));
    assert!(matches!(outcome(&out), Outcome::Incomplete { reason: IncompleteReason::DrainTimeout, .. }));
}

#[test]
fn a_final_is_an_advance() {
    let mut session = draining(1_000);
    let _ = give(
        &mut session,
        ms(10_000),
        r#"{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":0,"channel":0}"#,
    );
    assert_eq!(session.next_timer(), Some((ClientTimer::Drain, ms(25_000))));
    let again = give(
        &mut session,
        ms(11_000),
        r#"{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":0,"channel":0}"#,
    );
    assert!(again.facts == [Fact::FinalRepeated] && again.events.is_empty());
    assert_eq!(session.next_timer(), Some((ClientTimer::Drain, ms(25_000))));
}

#[test]
fn a_flush_that_is_not_answered_fails_and_the_session_goes_on() {
    let mut session = streaming();
    session.flush("a").unwrap();
    session.flush("b").unwrap();
    assert_eq!(session.flush("a"), Err(ApiMisuse::BadFlushId));
    let _ = drain(&mut session, ms(1_000));
    let (timer, at, out) = fire(&mut session);
    assert_eq!((timer, at), (ClientTimer::Flush, ms(6_000)));
    assert_eq!(out.events, [ClientEvent::FlushFailed { id: "a".into() }]);
    let late = give(&mut session, ms(6_500), r#"{"type":"flushed","id":"a"}"#);
    assert!(late.events.is_empty() && late.facts.is_empty(), "{late:?}");
    let out = give(&mut session, ms(6_600), r#"{"type":"flushed","id":"b"}"#);
    assert_eq!(out.events, [ClientEvent::Flushed { id: "b".into() }]);
    assert_eq!(give(&mut session, ms(6_700), r#"{"type":"flushed","id":"c"}"#).facts, [Fact::FlushedUnasked]);
    assert_eq!(session.state(), State::Streaming);
}

#[test]
fn an_error_with_the_id_of_a_flush_fails_that_flush() {
    let mut session = streaming();
    session.flush("a").unwrap();
    let _ = drain(&mut session, ms(0));
    let out = give(
        &mut session,
        ms(1),
        r#"{"type":"error","code":"invalid_state","message":"no","fatal":false,"retryable":false,"id":"a"}"#,
    );
    assert!(matches!(&out.events[..], [ClientEvent::Error(_), ClientEvent::FlushFailed { id }] if id == "a"));
}

#[test]
fn a_flush_that_is_still_owed_at_the_end_fails_for_its_caller() {
    let mut session = streaming();
    session.flush("a").unwrap();
    session.end(ms(0)).unwrap();
    let _ = drain(&mut session, ms(0));
    let out = give(&mut session, ms(1), &ended(true, 0, 0));
    assert!(matches!(&out.events[..], [ClientEvent::FlushFailed { .. }, ClientEvent::Ended(Outcome::Complete(_))]));
}

#[test]
fn complete_needs_an_account_that_agrees() {
    let outcome_of = |account: &str, finals: u64| {
        let mut session = draining(1_000);
        for id in 0..finals {
            let text =
                format!(r#"{{"type":"final","segment_id":{id},"text":"a","start_ms":0,"end_ms":0,"channel":0}}"#);
            let _ = give(&mut session, ms(1), &text);
        }
        let out = give(&mut session, ms(2), account);
        let Outcome::Incomplete { reason, .. } = outcome(&out) else { return (None, out.facts) };
        (Some(reason.clone()), out.facts)
    };
    assert_eq!(outcome_of(&ended(true, 1_000, 2), 2), (None, vec![]));
    let contradicts = (Some(IncompleteReason::AccountContradicts), vec![Fact::CountersContradict]);
    assert_eq!(outcome_of(&ended(true, 999, 2), 2), contradicts);
    assert_eq!(outcome_of(&ended(true, 1_001, 2), 2), contradicts);
    assert_eq!(outcome_of(&ended(true, 1_000, 3), 2), contradicts, "a final was lost");
    let refused = ended(true, 1_000, 0).replace(r#""rejected_frames":0"#, r#""rejected_frames":1"#);
    let contradicts = (Some(IncompleteReason::AccountContradicts), vec![Fact::CompleteWithoutCompletion]);
    assert_eq!(outcome_of(&refused, 0), contradicts);
    assert_eq!(outcome_of(&ended(false, 400, 0), 0), (Some(IncompleteReason::NotComplete), vec![]));
}

#[test]
fn an_end_before_the_sentinel_is_never_complete() {
    let mut session = streaming();
    let out = give(&mut session, ms(1), &ended(true, 0, 0));
    assert_eq!(out.facts, [Fact::CompletedBeforeSentinel]);
    assert!(matches!(outcome(&out), Outcome::Incomplete { reason: IncompleteReason::EndedEarly, .. }));
    assert_eq!((out.close, session.state()), (Some(CloseCode::NORMAL), State::Ended));
}

#[test]
fn a_fatal_error_is_told_at_once_and_the_account_behind_it_taken() {
    let fatal = r#"{"type":"error","code":"quota_exceeded","message":"no more","fatal":true,"retryable":true,"retry_after_ms":5}"#;
    let mut session = draining(0);
    let out = give(&mut session, ms(10), fatal);
    assert!(matches!(&out.events[..], [ClientEvent::Error(error)] if error.fatal));
    let out = give(&mut session, ms(20), &ended(false, 0, 0));
    let Outcome::Error { code, retryable: true, retry_after_ms: Some(5), ended: Some(_), .. } = outcome(&out) else {
        panic!("{out:?}")
    };
    assert_eq!(code.as_str(), "quota_exceeded");

    let mut session = draining(0);
    let _ = give(&mut session, ms(10), fatal);
    let (timer, at, out) = fire(&mut session);
    assert_eq!((timer, at), (ClientTimer::AfterError, ms(2_010)));
    assert!(matches!(outcome(&out), Outcome::Error { ended: None, .. }));
}

#[test]
fn a_close_without_a_word_is_never_success() {
    let mut session = configuring();
    session.handle_close(ms(1), Some(1000)).unwrap();
    let out = drain(&mut session, ms(1));
    assert!(matches!(outcome(&out), Outcome::Error { code, .. } if code.as_str() == "closed_before_ready"));

    let mut session = draining(100);
    session.handle_close(ms(1), Some(1000)).unwrap();
    let out = drain(&mut session, ms(1));
    let closed = IncompleteReason::Closed { code: Some(CloseCode::NORMAL) };
    assert!(matches!(outcome(&out), Outcome::Incomplete { reason, .. } if *reason == closed));
    assert!(session.is_closed());
}

#[test]
fn a_ready_with_gaps_is_used_with_the_defaults_and_reported() {
    let mut session = configuring();
    let out = give(&mut session, ms(0), &ready_text(CONFIG, r#""keepalive_interval_ms":0"#));
    assert_eq!(out.facts, [Fact::ReadyLimitsIncomplete, Fact::LimitBelowMinimum]);
    assert_eq!(session.state(), State::Streaming);
    assert_eq!(session.next_timer(), Some((ClientTimer::Keepalive, ms(100))), "the least interval, not none");
}

#[test]
fn another_audio_format_than_asked_is_not_lived_with() {
    let mut session = configuring();
    let out = give(&mut session, ms(0), &ready_text(&CONFIG.replace("16000", "8000"), LIMITS));
    assert_eq!(out.facts, [Fact::AudioFormatReplaced]);
    assert!(matches!(outcome(&out), Outcome::Incomplete { reason: IncompleteReason::AudioReplaced, .. }));
    assert_eq!(out.close, Some(CloseCode::PROTOCOL_ERROR));
}

#[test]
fn pushes_wait_for_ready_within_a_bound_and_are_refused_after_the_end() {
    let mut session = configuring();
    assert!(session.can_push(15_000 * 32) && !session.can_push(15_000 * 32 + 2));
    session.push(&vec![1; 15_000 * 32]).unwrap();
    assert_eq!(session.push(&[1; 2]), Err(ApiMisuse::BufferFull));
    assert_eq!(session.push(&[1; 3]), Err(ApiMisuse::BrokenFrame { group_bytes: 2, length: 3 }));
    session.end(ms(5)).unwrap();
    assert_eq!(session.push(&[1; 2]), Err(ApiMisuse::AfterEnd));
    assert_eq!(session.flush("a"), Err(ApiMisuse::AfterEnd));
    assert!(drain(&mut session, ms(5)).sent.is_empty());
    let out = give(&mut session, ms(9_000), &ready_text(CONFIG, LIMITS));
    assert_eq!(out.sent.len(), 151);
    assert_eq!(out.sent.last().map(String::as_str), Some("end_of_stream"));
    assert_eq!(session.audio_sent_ms(), 15_000);
}

#[test]
fn cancelling_throws_away_what_waits_and_fails_its_flushes() {
    let mut session = configuring();
    session.push(&[1; 3_200]).unwrap();
    session.flush("a").unwrap();
    session.cancel(ms(5)).unwrap();
    let out = drain(&mut session, ms(5));
    assert_eq!(out.events, [ClientEvent::FlushFailed { id: "a".into() }, ClientEvent::Ended(Outcome::Cancelled)]);
    assert_eq!((out.close, out.sent.len()), (Some(CloseCode::NORMAL), 0));
    // What the server sent before it knew is nobody's fault.
    let late = give(&mut session, ms(6), &ready_text(CONFIG, LIMITS));
    assert!(late.facts.is_empty() && late.events.is_empty());
    assert_eq!(session.push(&[1; 2]), Err(ApiMisuse::Over));
}
