//! The client over an in-memory pipe under a paused clock, against a server session driven by hand and against servers that break the
//! protocol.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword_client::{
    AudioSender, ConnectError, ConnectOptions, Event, Events, FlushError, IncompleteReason, Outcome, SendError, attach,
    connect_over,
};
use lastword_session::TransportError;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::{Behaviour, Seen, serve, settle};

async fn pipe(bytes: usize) -> (WebSocketStream<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (client, server) = tokio::io::duplex(bytes);
    (
        WebSocketStream::from_raw_socket(client, Role::Client, None).await,
        WebSocketStream::from_raw_socket(server, Role::Server, None).await,
    )
}

async fn session(behaviour: Behaviour) -> (AudioSender, Events, JoinHandle<Seen>) {
    let (client, server) = pipe(64 << 10).await;
    let server = tokio::spawn(serve(server, behaviour));
    let (audio, events) = attach(client, &ConnectOptions::default()).unwrap();
    (audio, events, server)
}

/// A session with a server that is written out in the test.
async fn against<F, Fut>(bytes: usize, server: F) -> (AudioSender, Events, JoinHandle<Fut::Output>)
where
    F: FnOnce(WebSocketStream<DuplexStream>) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send,
{
    let (client, socket) = pipe(bytes).await;
    let server = tokio::spawn(server(socket));
    let (audio, events) = attach(client, &ConnectOptions::default()).unwrap();
    (audio, events, server)
}

static SECOND: [i16; 16_000] = [1; 16_000];
const READY: &str = r#"{"type":"ready","session_id":"s-1","protocol":"lastword.v1","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}},"limits":{"idle_timeout_ms":30000,"keepalive_interval_ms":10000,"ready_ms":10000,"flush_ms":5000,"drain_ms":15000,"close_ms":2000,"progress_interval_ms":2000,"max_step_ms":30000,"max_frame_bytes":64000,"max_text_bytes":65536,"max_session_ms":3600000,"max_buffered_audio_ms":30000}}"#;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn audio_goes_in_and_the_transcript_comes_out() {
    let (mut audio, events, server) = session(Behaviour::default()).await;
    for _ in 0..3 {
        audio.push(&SECOND).await.unwrap();
    }
    audio.push(&SECOND[..8_001]).await.unwrap();
    audio.finish();
    let transcript = events.transcript().await;
    assert_eq!(transcript.text(), "word0 word1 word2 word3");
    assert!(transcript.outcome.is_complete(), "{:?}", transcript.outcome);
    let seen = server.await.unwrap();
    assert_eq!((seen.audio_bytes, seen.sentinels, seen.close), (3 * 32_000 + 16_002, 1, Some(1000)));
    assert!(!seen.texts.iter().any(|text| text.starts_with("VIOLATION")), "{:?}", seen.texts);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_while_the_buffer_is_full_and_nothing_is_lost() {
    let (mut audio, events, server) = session(Behaviour { start: ms(9_000), ..Behaviour::default() }).await;
    let began = Instant::now();
    for _ in 0..40 {
        audio.push(&SECOND).await.unwrap();
    }
    assert!(began.elapsed() >= ms(9_000), "the buffer holds 15 s, and before `ready` nothing leaves it");
    audio.finish();
    let transcript = events.transcript().await;
    assert!(transcript.outcome.is_complete(), "{:?}", transcript.outcome);
    assert_eq!((transcript.finals.len(), server.await.unwrap().audio_bytes), (40, 40 * 32_000));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_ends_before_ready_is_complete_all_the_same() {
    let (mut audio, events, server) = session(Behaviour { start: ms(50_000), ..Behaviour::default() }).await;
    audio.push(&SECOND).await.unwrap();
    audio.finish();
    assert!(events.transcript().await.outcome.is_complete());
    assert_eq!(server.await.unwrap().sentinels, 1);
}

#[tokio::test(start_paused = true)]
async fn fifty_seconds_of_work_after_the_end_are_waited_for() {
    let (mut audio, events, _server) = session(Behaviour { settle: ms(25_000), ..Behaviour::default() }).await;
    audio.push(&SECOND).await.unwrap();
    let flushed = audio.flush();
    audio.push(&SECOND).await.unwrap();
    audio.finish();
    let began = Instant::now();
    let transcript = events.transcript().await;
    assert!(transcript.outcome.is_complete(), "{:?}", transcript.outcome);
    assert!(flushed.await.is_ok());
    assert!(began.elapsed() >= ms(50_000));
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_answered_after_its_finals_and_the_session_goes_on() {
    let (mut audio, mut events, _server) = session(Behaviour { settle: ms(700), ..Behaviour::default() }).await;
    audio.push(&SECOND).await.unwrap();
    audio.flush().await.unwrap();
    let mut heard = Vec::new();
    while let Ok(Some(event)) = timeout(ms(1), events.next()).await {
        heard.push(event);
    }
    assert!(matches!(&heard[..], [Event::Ready(_), Event::Final(result)] if result.text == "word0"), "{heard:?}");
    audio.push(&SECOND).await.unwrap();
    audio.finish();
    let transcript = events.transcript().await;
    assert!(transcript.outcome.is_complete() && transcript.text() == "word1");
}

#[tokio::test(start_paused = true)]
async fn a_flush_without_an_answer_fails_and_the_session_goes_on() {
    let (mut audio, mut events, _server) = session(Behaviour { deaf_to_flushes: true, ..Behaviour::default() }).await;
    let began = Instant::now();
    assert_eq!(audio.flush().await, Err(FlushError::NotAnswered));
    assert!((ms(5_000)..ms(6_000)).contains(&began.elapsed()));
    assert!(matches!(events.next().await, Some(Event::Ready(_))));
    assert!(matches!(events.next().await, Some(Event::Violation(_))));
    audio.push(&SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_dropped_cancels() {
    let (mut audio, events, server) = session(Behaviour::default()).await;
    audio.push(&SECOND).await.unwrap();
    settle().await;
    drop(audio);
    assert_eq!(events.transcript().await.outcome, Outcome::Cancelled);
    let seen = server.await.unwrap();
    assert_eq!((seen.close, seen.sentinels), (Some(1000), 0));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_dropped_after_the_end_cancel_and_before_it_do_not() {
    let (mut audio, events, server) = session(Behaviour { settle: ms(5_000), ..Behaviour::default() }).await;
    audio.push(&SECOND).await.unwrap();
    audio.finish();
    settle().await;
    drop(events);
    assert_eq!(server.await.unwrap().close, Some(1000));

    let (mut audio, events, server) = session(Behaviour { settle: ms(5_000), ..Behaviour::default() }).await;
    drop(events);
    audio.push(&SECOND).await.unwrap();
    audio.flush().await.unwrap();
    audio.finish();
    let seen = server.await.unwrap();
    assert_eq!((seen.sentinels, seen.audio_bytes), (1, 32_000));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_incomplete_and_wakes_whoever_pushes() {
    let behaviour = Behaviour { drop_after_bytes: Some(20_000), ..Behaviour::default() };
    let (mut audio, events, _server) = session(behaviour).await;
    let pushing = tokio::spawn(async move {
        loop {
            if let Err(error) = audio.push(&SECOND).await {
                return (error, audio.flush().await);
            }
        }
    });
    let outcome = events.transcript().await.outcome;
    assert!(matches!(outcome, Outcome::Incomplete { reason: IncompleteReason::ConnectionLost(_), .. }), "{outcome:?}");
    assert_eq!(pushing.await.unwrap(), (SendError::Ended, Err(FlushError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_config_is_an_error_after_ten_seconds() {
    let (_audio, events, _server) =
        against(4_096, |mut socket| async move { while socket.next().await.is_some() {} }).await;
    let began = Instant::now();
    let outcome = events.transcript().await.outcome;
    assert!(matches!(&outcome, Outcome::Error { code, .. } if code.as_str() == "ready_timeout"), "{outcome:?}");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_a_lost_connection() {
    let (_audio, events, server) = against(4_096, |mut socket| async move {
        let mut keepalives = 0;
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            keepalives += usize::from(message.is_text());
        }
        keepalives
    })
    .await;
    let began = Instant::now();
    let outcome = events.transcript().await.outcome;
    let lost = IncompleteReason::ConnectionLost(TransportError::Silence);
    assert!(matches!(&outcome, Outcome::Incomplete { reason, .. } if *reason == lost), "{outcome:?}");
    assert_eq!(began.elapsed().as_secs(), 60);
    drop(_audio);
    assert_eq!(server.await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_reported_and_changes_nothing() {
    let (audio, mut events, _server) = against(64 << 10, |mut socket| async move {
        socket.next().await.unwrap().unwrap();
        for garbage in ["[]", "{", r#"{"type":7}"#, r#"{"type":"x_new"}"#] {
            socket.send(Message::text(garbage)).await.unwrap();
        }
        socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text.contains("end_of_stream")) {
                let ended = r#"{"type":"session_ended","reason":"completed","complete":true,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":0}"#;
                socket.send(Message::text(ended)).await.unwrap();
                socket.close(None).await.unwrap();
            }
        }
    })
    .await;
    let mut violations = 0;
    let mut audio = Some(audio);
    let outcome = loop {
        match events.next().await.unwrap() {
            Event::Violation(_) => violations += 1,
            Event::Ready(_) => audio.take().unwrap().finish(),
            Event::Ended(outcome) => break outcome,
            other => panic!("{other:?}"),
        }
    };
    assert!(violations == 4 && outcome.is_complete(), "{violations} {outcome:?}");
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_client_reads_while_its_own_writing_is_blocked() {
    // The server writes two thousand partials and reads nothing until they are gone, through a pipe of 2 KiB each way.
    let (mut audio, events, server) = against(2_048, |mut socket| async move {
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        sleep(ms(100)).await;
        for revision in 1..=2_000 {
            let partial = format!(
                r#"{{"type":"partial","segment_id":0,"revision":{revision},"text":"some words","start_ms":0,"end_ms":1,"channel":0}}"#
            );
            socket.send(Message::text(partial)).await.unwrap();
        }
        let mut bytes = 0;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                bytes += message.len();
            }
            if message.to_text().is_ok_and(|text| text.contains("end_of_stream")) {
                return bytes;
            }
        }
        0
    })
    .await;
    let sending = tokio::spawn(async move {
        for _ in 0..20 {
            audio.push(&SECOND).await.unwrap();
        }
        audio.finish();
    });
    // Nobody takes an event meanwhile: that is no obstacle either.
    assert_eq!(timeout(ms(60_000), server).await.unwrap().unwrap(), 20 * 32_000);
    sending.await.unwrap();
    let outcome = events.transcript().await.outcome;
    assert!(!outcome.is_complete(), "the server closed without `session_ended`");
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_is_told_and_ends_the_events_without_a_close() {
    let (_audio, mut events, _server) = against(4_096, |mut socket| async move {
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        let error =
            r#"{"type":"error","code":"quota_exceeded","message":"no more today","fatal":true,"retryable":false}"#;
        socket.send(Message::text(error)).await.unwrap();
        sleep(ms(600_000)).await;
    })
    .await;
    assert!(matches!(events.next().await, Some(Event::Ready(_))));
    assert!(matches!(events.next().await, Some(Event::Error(error)) if error.fatal));
    let began = Instant::now();
    let Some(Event::Ended(Outcome::Error { code, retryable, .. })) = events.next().await else { panic!("no outcome") };
    assert_eq!((code.as_str(), retryable, began.elapsed().as_secs()), ("quota_exceeded", false, 2));
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_gone_soon_after_the_end_even_if_the_server_never_closes() {
    let (audio, events, server) = against(4_096, |mut socket| async move {
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let ended = r#"{"type":"session_ended","reason":"completed","complete":true,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":0}"#;
        socket.send(Message::text(ended)).await.unwrap();
        let told = Instant::now();
        // Reads below the WebSocket, so that no library answers the Close.
        let mut raw = socket.into_inner();
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut raw, &mut bytes).await.unwrap();
        (told.elapsed(), bytes)
    })
    .await;
    audio.finish();
    let began = Instant::now();
    let closed = events.closed();
    assert!(events.transcript().await.outcome.is_complete());
    assert!(began.elapsed() < ms(1_000), "the outcome does not wait for the Close");
    closed.await;
    assert!(began.elapsed() >= ms(2_000), "but who wants to can");
    settle().await;
    assert_eq!(
        Handle::current().metrics().num_alive_tasks(),
        0,
        "nothing of the session is left, the server has seen it"
    );
    let (took, bytes) = server.await.unwrap();
    assert_eq!(bytes[0] & 0x0f, 8, "a Close, and nothing else");
    assert!(took >= ms(2_000) && took < ms(5_000), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_final_that_comes_again_is_reported_and_delivered_once() {
    let (audio, mut events, _server) = against(64 << 10, |mut socket| async move {
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let last = r#"{"type":"final","segment_id":0,"text":"one","start_ms":0,"end_ms":0,"channel":0}"#;
        let ended = r#"{"type":"session_ended","reason":"completed","complete":true,"audio_received_ms":0,"audio_processed_ms":0,"rejected_frames":0,"finals":2}"#;
        // The account counts what was sent. [END-S9]
        for text in [last, last, ended] {
            socket.send(Message::text(text)).await.unwrap();
        }
        while socket.next().await.is_some() {}
    })
    .await;
    audio.finish();
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    assert!(
        matches!(
            &told[..],
            [Event::Ready(_), Event::Final(_), Event::Violation(_), Event::Ended(Outcome::Complete(_))]
        ),
        "{told:?}"
    );
}

#[expect(clippy::result_large_err, reason = "the WebSocket library asks for this type of error")]
#[tokio::test(start_paused = true)]
async fn a_connection_that_stands_already_is_upgraded_within_the_bound() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let server = tokio::spawn(async move {
        let mut shown = None;
        let note = |request: &Request, mut response: Response| {
            let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            shown = Some((request.uri().to_string(), header("authorization")));
            response.headers_mut().insert("sec-websocket-protocol", "lastword.v1".parse().unwrap());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(far, note).await.unwrap();
        (serve(socket, Behaviour::default()).await.sentinels, shown)
    });
    let options = ConnectOptions::default().token("open sesame").unwrap();
    let (mut audio, events) = connect_over(near, "ws://somewhere/v1/listen", options).await.unwrap();
    audio.push(&SECOND).await.unwrap();
    audio.finish();
    assert!(events.transcript().await.outcome.is_complete());
    let (sentinels, shown) = server.await.unwrap();
    assert_eq!((sentinels, shown), (1, Some(("/v1/listen".into(), Some("Bearer open sesame".into())))));

    let (near, _held) = tokio::io::duplex(64 << 10);
    let began = Instant::now();
    let refused = connect_over(near, "ws://somewhere/v1/listen", ConnectOptions::default()).await;
    assert!(matches!(refused, Err(ConnectError::Timeout { .. })), "{refused:?}");
    assert_eq!(began.elapsed().as_secs(), 10);
}
