//! Every pair of state and input of the specification's tables, at the machines: the state after it, and the kind of answer. The
//! tables and the machines are two independent forms of one rule; this is where they meet.

use core::time::Duration;

use lastword_session::{
    ClientEvent, ClientOptions, ClientOutput, ClientSession, ServerOutput, ServerPolicy, ServerSession, ServerTimer,
    State, TransportError,
};
use lastword_spec::close::{CloseCode, EndReason, close_code_for};
use lastword_spec::error_code::ErrorCode;
use lastword_spec::message::{ClientMessage, Config, ErrorMessage, ServerMessage, SessionEnded};
use lastword_spec::table::{Answer, ClientInput, ServerInput, client_row, server_row};

const NOW: Duration = Duration::from_secs(1);

// ---------------------------------------------------------------------------------------------------------------- the server

/// A session in this state; with nine bad messages behind it where the tenth is to come.
fn server_in(state: State, bad_messages: u32) -> ServerSession {
    let mut session = ServerSession::new(ServerPolicy::default(), "s-1").unwrap();
    for _ in 0..bad_messages {
        session.handle_text(NOW, "[]").unwrap();
        let _ = outputs(&mut session);
    }
    let steps: &[fn(&mut ServerSession)] = &[
        |session| session.handle_text(NOW, r#"{"type":"config"}"#).unwrap(),
        |session| engine_ready(session),
        |session| session.handle_text(NOW, r#"{"type":"end_of_stream"}"#).unwrap(),
        |session| session.engine_drained(NOW, 0).unwrap(),
        |session| session.handle_close(NOW, Some(1000)).unwrap(),
    ];
    let count = match state {
        State::AwaitConfig => 0,
        State::Configuring => 1,
        State::Streaming | State::Failing => 2,
        State::Draining => 3,
        State::Ended => 4,
        State::Closed => 5,
    };
    for step in &steps[..count] {
        step(&mut session);
        let _ = outputs(&mut session);
    }
    if state == State::Failing {
        session.handle_binary(NOW, &[0; 64_002]).unwrap();
        let _ = outputs(&mut session);
    }
    assert_eq!(session.state(), state);
    session
}

fn engine_ready(session: &mut ServerSession) {
    let config = session.config().cloned().unwrap_or_default();
    session.engine_ready(NOW, config, Vec::new()).unwrap();
}

fn outputs(session: &mut ServerSession) -> Vec<ServerOutput> {
    std::iter::from_fn(|| session.poll_output())
        .filter(|output| {
            !matches!(output, ServerOutput::Violation(_) | ServerOutput::Release | ServerOutput::CancelEngine)
        })
        .collect()
}

fn messages(outputs: &[ServerOutput]) -> Vec<&ServerMessage> {
    outputs
        .iter()
        .filter_map(|output| if let ServerOutput::Send(message) = output { Some(message) } else { None })
        .collect()
}

/// Gives the input; `false` if it cannot arise because its timer does not run, or is the engine's misuse.
fn give(session: &mut ServerSession, input: ServerInput) -> bool {
    let text = |session: &mut ServerSession, text: &str| session.handle_text(NOW, text).unwrap();
    let due = |session: &mut ServerSession, timer: ServerTimer| {
        let at = session.next_timer().filter(|(next, _)| *next == timer).map(|(_, at)| at);
        at.inspect(|at| session.handle_timeout(*at).unwrap()).is_some()
    };
    match input {
        ServerInput::Config => text(session, r#"{"type":"config"}"#),
        ServerInput::RefusedConfig => text(session, r#"{"type":"config","sample_rate":8000}"#),
        ServerInput::Audio => session.handle_binary(NOW, &[1; 320]).unwrap(),
        ServerInput::EmptyAudio => session.handle_binary(NOW, &[]).unwrap(),
        ServerInput::BrokenAudio => session.handle_binary(NOW, &[1; 321]).unwrap(),
        ServerInput::OversizeAudio => session.handle_binary(NOW, &[1; 64_002]).unwrap(),
        ServerInput::Keepalive => text(session, r#"{"type":"keepalive"}"#),
        ServerInput::KeepaliveSeq => text(session, r#"{"type":"keepalive","seq":7}"#),
        ServerInput::Flush => text(session, r#"{"type":"flush","id":"a"}"#),
        ServerInput::Update => text(session, r#"{"type":"update","id":"a"}"#),
        ServerInput::EndOfStream => text(session, r#"{"type":"end_of_stream"}"#),
        ServerInput::UnknownType => text(session, r#"{"type":"x_new"}"#),
        ServerInput::BadMessage | ServerInput::TenthBadMessage => text(session, r#"{"type":"flush"}"#),
        ServerInput::OversizeText => text(session, &format!(r#"{{"type":"keepalive","x_":"{}"}}"#, "x".repeat(70_000))),
        ServerInput::Close => session.handle_close(NOW, Some(1000)).unwrap(),
        ServerInput::Loss => session.handle_loss(NOW).unwrap(),
        ServerInput::ConfigTimeout => return due(session, ServerTimer::Config),
        ServerInput::IdleTimeout => return due(session, ServerTimer::Idle),
        ServerInput::EngineReady => {
            let config = session.config().cloned().unwrap_or_default();
            return session.engine_ready(NOW, config, Vec::new()).is_ok();
        }
        ServerInput::EngineFailed => session.engine_failed(NOW, "gone").unwrap(),
        ServerInput::Drained => {
            let received_ms = session.audio_received_ms();
            return session.engine_drained(NOW, received_ms).is_ok();
        }
    }
    true
}

#[test]
fn the_server_does_what_its_table_says() {
    for &state in State::ALL {
        for &input in ServerInput::ALL {
            let row = server_row(state, input);
            let bad_messages = if input == ServerInput::TenthBadMessage { 9 } else { 0 };
            let mut session = server_in(state, bad_messages);
            let before = session.clone();
            if !give(&mut session, input) {
                assert_eq!(session, before, "{row:?}: an input that cannot be here changed the session");
                assert_eq!((row.answer, row.next), (Answer::Nothing, state), "{row:?}");
                continue;
            }
            let given = outputs(&mut session);
            assert_eq!(session.state(), row.next, "{row:?}");
            check_server_answer(row.answer, input, session, given, &format!("{row:?}"));
        }
    }
}

fn check_server_answer(
    answer: Answer,
    input: ServerInput,
    mut session: ServerSession,
    given: Vec<ServerOutput>,
    row: &str,
) {
    match answer {
        Answer::Nothing | Answer::Discard => assert_eq!(given, [], "{row}"),
        Answer::Accept => assert!(matches!(&given[..], [ServerOutput::Audio(_)]), "{row}: {given:?}"),
        Answer::CountMayReject(code) => {
            assert!(given.is_empty() || nonfatal(&given, code, row), "{row}: {given:?}");
            assert_eq!(rejected_frames(session), 1, "{row}");
        }
        Answer::RejectOnce(code) => {
            assert!(nonfatal(&given, code, row));
            give(&mut session, input);
            assert_eq!(outputs(&mut session), [], "{row}: told twice");
            assert_eq!(rejected_frames(session), 2, "{row}");
        }
        Answer::Reject(code) => {
            assert!(nonfatal(&given, code, row));
            let with_id = matches!(input, ServerInput::Flush | ServerInput::Update);
            let id = messages(&given).into_iter().find_map(|message| match message {
                ServerMessage::Error(error) => error.id.clone(),
                _ => None,
            });
            assert_eq!(id.is_some(), with_id, "{row}");
        }
        Answer::Wait => check_waited(session, input, &given, row),
        Answer::OweReady => {
            assert!(matches!(&given[..], [ServerOutput::StartEngine(_)]), "{row}: {given:?}");
            engine_ready(&mut session);
            assert_eq!(messages(&outputs(&mut session))[0].message_type(), "ready", "{row}");
        }
        Answer::SendReady => assert_eq!(messages(&given)[0].message_type(), "ready", "{row}"),
        Answer::OweFlushed => {
            let [ServerOutput::FlushEngine { token }] = given[..] else { panic!("{row}: {given:?}") };
            session.engine_flushed(NOW, token).unwrap();
            assert_eq!(messages(&outputs(&mut session))[0].message_type(), "flushed", "{row}");
        }
        Answer::UpdatedOrError => assert!(nonfatal(&given, "unsupported_option", row)),
        Answer::OweKeepaliveAck => assert_eq!(messages(&given)[0].message_type(), "keepalive_ack", "{row}"),
        Answer::OweSessionEnded => {
            assert_eq!(given, [ServerOutput::FinishEngine], "{row}");
            session.engine_drained(NOW, 0).unwrap();
            assert_ends(&outputs(&mut session), "completed", row);
        }
        Answer::Fatal(code) => {
            let mut given = given;
            if session.state() == State::Failing {
                assert!(messages(&given).is_empty(), "{row}: the finals come before the error");
                let received_ms = session.audio_received_ms();
                session.engine_drained(NOW, received_ms).unwrap();
                given = outputs(&mut session);
            }
            assert_fatal(&given, Some(code), row);
        }
        Answer::FatalByCause => assert_fatal(&given, None, row),
        Answer::SendSessionEnded => {
            assert_eq!(messages(&given).last().map(|message| message.message_type()), Some("session_ended"), "{row}");
            assert!(matches!(given.last(), Some(ServerOutput::Close { .. })), "{row}: {given:?}");
        }
        Answer::EchoClose => {
            assert_eq!(given, [ServerOutput::EchoClose { code: Some(CloseCode::NORMAL) }], "{row}");
        }
        Answer::Deliver | Answer::Note | Answer::Violation => panic!("{row}: not an answer of a server"),
    }
}

/// What waits is handled after `ready` exactly as if it had come then.
fn check_waited(mut session: ServerSession, input: ServerInput, given: &[ServerOutput], row: &str) {
    assert_eq!(given, [], "{row}");
    engine_ready(&mut session);
    let late = outputs(&mut session);
    assert_eq!(messages(&late).first().map(|message| message.message_type()), Some("ready"), "{row}");
    let bad_messages = if input == ServerInput::TenthBadMessage { 9 } else { 0 };
    let mut reference = server_in(State::Streaming, bad_messages);
    assert!(give(&mut reference, input));
    assert_eq!(late[1..], outputs(&mut reference), "{row}");
    assert_eq!(session.state(), reference.state(), "{row}");
}

fn nonfatal(given: &[ServerOutput], code: &str, row: &str) -> bool {
    let [ServerOutput::Send(ServerMessage::Error(error))] = given else { panic!("{row}: {given:?}") };
    assert_eq!((error.code.as_str(), error.fatal), (code, false), "{row}");
    true
}

fn assert_fatal(given: &[ServerOutput], code: Option<&str>, row: &str) {
    let messages = messages(given);
    let error =
        messages.iter().find_map(|message| if let ServerMessage::Error(error) = message { Some(error) } else { None });
    let error = error.unwrap_or_else(|| panic!("{row}: {given:?}"));
    assert!(error.fatal && code.is_none_or(|code| error.code.as_str() == code), "{row}: {error:?}");
    if messages.len() > 1 {
        assert_ends(given, error.code.as_str(), row);
    }
    let close = close_code_for(&EndReason::from(&error.code));
    assert!(matches!(given.last(), Some(ServerOutput::Close { code, .. }) if Some(*code) == close), "{row}: {given:?}");
}

fn assert_ends(given: &[ServerOutput], reason: &str, row: &str) {
    let Some(ServerMessage::SessionEnded(ended)) = messages(given).last().copied() else { panic!("{row}: {given:?}") };
    assert_eq!((ended.reason.as_str(), ended.complete), (reason, reason == "completed"), "{row}");
}

/// What `session_ended` counts, once this session is brought to its end.
fn rejected_frames(mut session: ServerSession) -> u64 {
    for _ in 0..4 {
        match session.state() {
            State::AwaitConfig => session.handle_text(NOW, r#"{"type":"config"}"#).unwrap(),
            State::Configuring => engine_ready(&mut session),
            State::Streaming => session.handle_text(NOW, r#"{"type":"end_of_stream"}"#).unwrap(),
            State::Draining => session.engine_drained(NOW, 0).unwrap(),
            State::Failing | State::Ended | State::Closed => break,
        }
        for output in outputs(&mut session) {
            if let ServerOutput::Send(ServerMessage::SessionEnded(ended)) = output {
                return ended.rejected_frames;
            }
        }
    }
    panic!("no `session_ended`")
}

// ---------------------------------------------------------------------------------------------------------------- the client

const READY: &str = r#"{"type":"ready","session_id":"s-1","protocol":"lastword.v1","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":true,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}},"limits":{"idle_timeout_ms":30000,"keepalive_interval_ms":10000,"ready_ms":10000,"flush_ms":5000,"drain_ms":15000,"close_ms":2000,"progress_interval_ms":2000,"max_step_ms":30000,"max_frame_bytes":64000,"max_text_bytes":65536,"max_session_ms":3600000,"max_buffered_audio_ms":30000}}"#;

/// A session in this state, with a flush `a` and a keepalive of `seq` 1 open where they can be.
fn client_in(state: State) -> ClientSession {
    let config = Config { vad_events: Some(true), ..Config::default() };
    let mut session = ClientSession::new(ClientOptions { config, ..ClientOptions::default() }).unwrap();
    if state == State::AwaitConfig {
        return session;
    }
    let _ = sent_and_told(&mut session, NOW);
    if state == State::Configuring {
        return session;
    }
    session.handle_text(NOW, READY).unwrap();
    let _ = sent_and_told(&mut session, NOW);
    while let Some((_, at)) = session.next_timer() {
        session.handle_timeout(at).unwrap();
        let outputs = sent_and_told(&mut session, at);
        let asks = |output: &ClientOutput| matches!(output, ClientOutput::Send(ClientMessage::Keepalive(keepalive)) if keepalive.seq == Some(1));
        if outputs.iter().any(asks) {
            break;
        }
    }
    session.flush("a").unwrap();
    let _ = sent_and_told(&mut session, NOW);
    if state == State::Streaming {
        return session;
    }
    if state == State::Failing {
        session.handle_text(NOW, &server_text(ClientInput::FatalError)).unwrap();
    } else {
        session.end(NOW).unwrap();
    }
    let _ = sent_and_told(&mut session, NOW);
    if matches!(state, State::Ended | State::Closed) {
        session.handle_text(NOW, &server_text(ClientInput::SessionEnded)).unwrap();
        let _ = sent_and_told(&mut session, NOW);
    }
    if state == State::Closed {
        session.handle_close(NOW, Some(1000)).unwrap();
        let _ = sent_and_told(&mut session, NOW);
    }
    assert_eq!(session.state(), state);
    session
}

/// All outputs, with every message accepted by the transport at once.
fn sent_and_told(session: &mut ClientSession, now: Duration) -> Vec<ClientOutput> {
    let mut outputs = Vec::new();
    while let Some(output) = session.poll_output() {
        let transmit = matches!(output, ClientOutput::Send(_) | ClientOutput::SendAudio(_));
        outputs.push(output);
        if transmit {
            session.handle_transmitted(now).unwrap();
        }
    }
    outputs
}

fn server_text(input: ClientInput) -> String {
    let error = |fatal| {
        ServerMessage::Error(ErrorMessage {
            code: ErrorCode::INTERNAL,
            message: "trouble".into(),
            fatal,
            retryable: true,
            retry_after_ms: None,
            param: None,
            id: None,
        })
    };
    let ended = SessionEnded {
        reason: EndReason::COMPLETED,
        complete: true,
        audio_received_ms: 0,
        audio_processed_ms: 0,
        rejected_frames: 0,
        finals: 0,
        message: None,
    };
    match input {
        ClientInput::Ready => READY.into(),
        ClientInput::Partial => {
            r#"{"type":"partial","segment_id":0,"revision":1,"text":"a","start_ms":0,"end_ms":0,"channel":0}"#.into()
        }
        ClientInput::Final => {
            r#"{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":0,"channel":0}"#.into()
        }
        ClientInput::SpeechStarted => r#"{"type":"speech_started","start_ms":0,"channel":0}"#.into(),
        ClientInput::SpeechEnded => r#"{"type":"speech_ended","end_ms":0,"channel":0}"#.into(),
        ClientInput::Flushed => r#"{"type":"flushed","id":"a"}"#.into(),
        ClientInput::Updated => {
            r#"{"type":"updated","id":"a","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":true,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}}}"#.into()
        }
        ClientInput::KeepaliveAck => r#"{"type":"keepalive_ack","seq":1}"#.into(),
        ClientInput::Progress => r#"{"type":"progress","seq":1,"audio_processed_ms":0}"#.into(),
        ClientInput::Warning => r#"{"type":"warning","code":"x","message":"x"}"#.into(),
        ClientInput::Error => lastword_spec::codec::encode(&error(false)),
        ClientInput::FatalError => lastword_spec::codec::encode(&error(true)),
        ClientInput::SessionEnded => lastword_spec::codec::encode(&ServerMessage::SessionEnded(ended)),
        ClientInput::UnknownType => r#"{"type":"x_new"}"#.into(),
        ClientInput::Garbage | ClientInput::Close | ClientInput::Loss => "[]".into(),
    }
}

#[test]
fn the_client_does_what_its_table_says() {
    for &state in State::ALL {
        for &input in ClientInput::ALL {
            let row = client_row(state, input);
            let mut session = client_in(state);
            match input {
                ClientInput::Close => session.handle_close(NOW, Some(1001)).unwrap(),
                ClientInput::Loss => session.handle_loss(NOW, TransportError::Eof).unwrap(),
                _ => session.handle_text(NOW, &server_text(input)).unwrap(),
            }
            // Before the `config` has been given out, polling gives it out: that is no answer.
            let given: Vec<ClientOutput> = std::iter::from_fn(|| session.poll_output())
                .filter(|output| !matches!(output, ClientOutput::Send(ClientMessage::Config(_))))
                .collect();
            let reached = if state == State::AwaitConfig && session.state() == State::Configuring {
                state
            } else {
                session.state()
            };
            assert_eq!(reached, row.next, "{row:?}");
            let told = |output: &ClientOutput| matches!(output, ClientOutput::Event(_));
            let ended = given.iter().any(|output| matches!(output, ClientOutput::Event(ClientEvent::Ended(_))));
            let facts: Vec<_> = given
                .iter()
                .filter_map(|output| if let ClientOutput::Violation(one) = output { Some(one) } else { None })
                .collect();
            match row.answer {
                Answer::Nothing => assert_eq!(given, [], "{row:?}"),
                Answer::Note => assert!(!given.iter().any(told) || input == ClientInput::Loss, "{row:?}: {given:?}"),
                Answer::Deliver => assert!(given.iter().any(told), "{row:?}: {given:?}"),
                Answer::Violation => {
                    assert!(!given.iter().any(told), "{row:?}: {given:?}");
                    assert!(facts.iter().any(|one| row.ids.contains(&one.requirement())), "{row:?}: {facts:?}");
                }
                // In Ended this side's own Close is out already, and answers the server's.
                Answer::EchoClose if state == State::Ended => assert_eq!(given, [], "{row:?}"),
                Answer::EchoClose => assert!(
                    given.contains(&ClientOutput::EchoClose { code: Some(CloseCode::GOING_AWAY) }),
                    "{row:?}: {given:?}"
                ),
                other => panic!("{row:?}: {other:?} is not an answer of a client"),
            }
            let ends_now =
                matches!(row.next, State::Ended | State::Closed) && !matches!(state, State::Ended | State::Closed);
            assert_eq!(ended, ends_now, "{row:?}: {given:?}");
        }
    }
}
