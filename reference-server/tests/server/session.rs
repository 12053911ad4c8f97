//! Sessions over loopback with the scripted engine: what a client gets for what it sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    CONFIG, Client, END, PATIENCE, Running, binary, costly, instant, silence, speech, start, start_scripted,
};
use futures_util::{SinkExt as _, StreamExt as _};
use lastword_server::recognizer::scripted::{ScriptedCost, scripted};
use lastword_server::recognizer::{
    DecodeFuture, DecodeRequest, Decoded, Decoder, EngineError, EngineEvent, Recognizer, StreamOptions, Tick,
};
use lastword_server::settings::Settings;
use lastword_spec::limits::Limits;
use lastword_spec::message::ServerMessage;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn small_limits() -> Settings {
    let limits = Limits { idle_timeout_ms: 1_000, keepalive_interval_ms: 333, ..Limits::DEFAULT };
    Settings { limits, config_timeout_ms: 1_000, ..Settings::default() }
}

/// What the scripted engine makes of this audio by itself.
async fn expected(samples: &[i16]) -> String {
    let (input, mut events) = instant().open(StreamOptions::default()).expect("a stream");
    input.push(samples.to_vec());
    input.finish();
    let mut finals = Vec::new();
    while let Some(event) = events.recv().await {
        if let EngineEvent::Final(heard) = event {
            finals.push(heard.text);
        }
    }
    finals.join(" ")
}

#[tokio::test]
async fn a_session_gives_partials_then_finals_then_true_counters_and_closes() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let samples = [speech(1, 1_500), silence(700), speech(2, 1_507)].concat();
    client.stream(&samples).await;
    client.send(END).await;
    let heard = client.rest().await;
    assert_eq!(heard.text(), expected(&samples).await);
    let partials = heard.messages.iter().filter(|message| matches!(message, ServerMessage::Partial(_))).count();
    assert!(partials >= 2, "{heard:#?}");
    let ended = heard.ended();
    assert!(ended.complete, "{ended:?}");
    assert_eq!((ended.reason.as_str(), ended.finals, ended.rejected_frames), ("completed", 2, 0));
    assert_eq!((ended.audio_received_ms, ended.audio_processed_ms), (3_707, 3_707));
    assert_eq!(heard.close, Some(1000));
}

#[tokio::test]
async fn ready_says_what_the_engine_serves_and_the_defaults_of_the_protocol_are_in_force() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    let ServerMessage::Ready(ready) = client.begin(CONFIG).await else { unreachable!() };
    assert_eq!(ready.config.model.as_deref(), Some("scripted"));
    assert_eq!((ready.config.endpointing.silence_ms, ready.config.endpointing.max_segment_ms), (500, 30_000));
    assert!(ready.ignored.is_empty(), "{:?}", ready.ignored);
    assert_eq!((ready.capabilities.words, ready.capabilities.vad_events), (Some(true), Some(true)));
    assert_eq!(ready.limits.max_step_ms, 30_000);

    let mut client = server.connect().await;
    let asked = r#"{"type":"config","language":"tlh","words":true,"vad_events":true,"endpointing":{"silence_ms":250}}"#;
    let ServerMessage::Ready(ready) = client.begin(asked).await else { unreachable!() };
    assert_eq!(ready.ignored, ["language"]);
    assert_eq!(ready.config.endpointing.silence_ms, 250);
    client.stream(&[speech(1, 1_000), silence(300), speech(2, 1_000)].concat()).await;
    client.send(END).await;
    let heard = client.rest().await;
    assert_eq!(heard.finals().len(), 2, "a pause of 300 ms ends a segment where 250 ms are in force");
    assert!(
        heard.finals().iter().all(|result| result.words.as_ref().is_some_and(|words| words.len() == 4)),
        "{heard:#?}"
    );
    let started = heard.messages.iter().filter(|message| matches!(message, ServerMessage::SpeechStarted(_))).count();
    assert_eq!(started, 2);
}

#[tokio::test]
async fn a_flush_brings_the_finals_so_far_and_the_session_goes_on() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    client.stream(&speech(1, 800)).await;
    client.send(r#"{"type":"flush","id":"one"}"#).await;
    client.send(r#"{"type":"flush","id":"two"}"#).await;
    client.stream(&speech(2, 800)).await;
    client.send(END).await;
    let heard = client.rest().await;
    let shape: Vec<String> = heard
        .messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Final(result) => Some(format!("final {}", result.segment_id)),
            ServerMessage::Flushed(flushed) => Some(format!("flushed {}", flushed.id)),
            _ => None,
        })
        .collect();
    assert_eq!(shape, ["final 0", "flushed one", "flushed two", "final 1"]);
    assert!(heard.ended().complete);
}

#[tokio::test]
async fn a_session_without_audio_ends_like_any_other() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    client.send(END).await;
    let heard = client.rest().await;
    assert_eq!((heard.ended().complete, heard.ended().audio_received_ms, heard.close), (true, 0, Some(1000)));
}

#[tokio::test]
async fn everything_sent_at_once_before_ready_is_handled_in_order_after_it() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    let samples = speech(1, 900);
    for message in
        [Message::text(CONFIG), binary(&samples), Message::text(r#"{"type":"flush","id":"f"}"#), Message::text(END)]
    {
        client.socket.feed(message).await.expect("buffered");
    }
    client.socket.flush().await.expect("written");
    let heard = client.rest().await;
    assert!(matches!(heard.messages[0], ServerMessage::Ready(_)), "{heard:#?}");
    assert_eq!(heard.text(), expected(&samples).await);
    assert_eq!(heard.errors(), Vec::<String>::new());
    assert!(heard.ended().complete);
}

#[tokio::test]
async fn late_audio_and_a_second_sentinel_in_one_write_are_refused_once_each_and_lose_nothing() {
    let server = start(Settings::default(), costly(300)).await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let samples = speech(1, 1_000);
    client.stream(&samples).await;
    let late = binary(&speech(2, 20));
    for message in [Message::text(END), late.clone(), Message::text(END), late, Message::binary(vec![])] {
        client.socket.feed(message).await.expect("buffered");
    }
    client.socket.flush().await.expect("written");
    let heard = client.rest().await;
    assert_eq!(heard.errors(), ["audio_after_end", "duplicate_end_of_stream"]);
    assert_eq!(heard.text(), expected(&samples).await);
    let ended = heard.ended();
    assert_eq!((ended.complete, ended.rejected_frames, ended.audio_received_ms), (true, 2, 1_000));
    assert_eq!(heard.close, Some(1000));
}

#[tokio::test]
async fn progress_comes_while_a_drain_takes_its_time() {
    let limits = Limits { progress_interval_ms: 500, ..Limits::DEFAULT };
    let server = start(Settings { limits, ..Settings::default() }, costly(1_600)).await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    client.stream(&speech(1, 500)).await;
    client.send(END).await;
    let heard = client.rest().await;
    let seqs: Vec<u64> = heard
        .messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Progress(progress) => Some(progress.seq),
            _ => None,
        })
        .collect();
    assert!(seqs.len() >= 3, "{heard:#?}");
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
}

/// Cancels and takes what comes: nothing but the answer to the Close.
async fn cancel(client: &mut Client, code: Option<u16>) {
    let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "".into() });
    client.socket.send(Message::Close(frame)).await.expect("sent");
    let heard = client.rest().await;
    let finished = heard.messages.iter().any(|message| matches!(message, ServerMessage::SessionEnded(_)));
    assert!(!finished, "a cancelled session ended as if it were not: {heard:#?}");
    assert_eq!(heard.close, Some(code.unwrap_or(1005)));
}

#[tokio::test]
async fn a_close_cancels_at_any_point_is_answered_with_its_code_and_frees_the_slot() {
    let server = start(Settings::default(), costly(5_000)).await;
    for (messages, code) in [
        (vec![], Some(1000)),
        (vec![Message::text(CONFIG)], Some(4321)),
        (vec![Message::text(CONFIG), binary(&speech(1, 1_000))], Some(1001)),
        (vec![Message::text(CONFIG), binary(&speech(1, 1_000)), Message::text(r#"{"type":"flush","id":"f"}"#)], None),
        (vec![Message::text(CONFIG), binary(&speech(1, 1_000)), Message::text(END)], Some(1000)),
    ] {
        let mut client = server.connect().await;
        for message in messages {
            client.socket.send(message).await.expect("sent");
        }
        cancel(&mut client, code).await;
        server.empty().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_frees_its_slot() {
    let server = start(Settings::default(), costly(5_000)).await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    client.stream(&speech(1, 1_000)).await;
    client.send(r#"{"type":"flush","id":"f"}"#).await;
    assert_eq!(server.sessions().await, 1);
    drop(client);
    server.empty().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_session_with_the_finals_so_far_and_1009() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let samples = speech(1, 2_000);
    client.audio(&samples).await;
    client.audio(&vec![0; 32_001]).await;
    let heard = client.rest().await;
    assert_eq!(heard.text(), expected(&samples).await, "a frame of exactly the limit is accepted");
    assert_eq!(heard.errors(), ["message_too_large!"]);
    let ended = heard.ended();
    assert_eq!((ended.reason.as_str(), ended.complete, ended.rejected_frames), ("message_too_large", false, 1));
    assert_eq!(heard.close, Some(1009));
}

#[tokio::test]
async fn a_frame_far_over_the_limit_is_not_even_read_and_closed_with_1009() {
    let server = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    // The server may stop reading in the middle of it.
    let _ = client.socket.send(Message::binary(vec![0; 8 << 20])).await;
    assert_eq!(client.rest().await.close, Some(1009));
    server.empty().await;
}

#[tokio::test]
async fn bytes_that_are_no_websocket_frames_are_closed_with_1002_and_no_text_with_1007() {
    use tokio::io::AsyncWriteExt as _;
    for (bytes, code) in [
        // Not masked; a reserved opcode; text that is not UTF-8, under a mask of zeros.
        (&[0x82, 0x02, 1, 2][..], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
    ] {
        let server = start_scripted().await;
        let mut client = server.connect().await;
        client.begin(CONFIG).await;
        client.socket.get_mut().write_all(bytes).await.expect("written");
        assert_eq!(client.rest().await.close, Some(code), "{bytes:?}");
        server.empty().await;
    }
}

#[tokio::test]
async fn two_minutes_of_audio_as_fast_as_they_go_from_a_client_that_reads_nothing_arrive_whole() {
    let limits = Limits { max_buffered_audio_ms: 5_000, close_ms: 500, ..Limits::DEFAULT };
    let recognizer = scripted(ScriptedCost { per_segment_ms: 0, per_audio_second_ms: 15 });
    let server = start(Settings { limits, ..Settings::default() }, recognizer).await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let samples: Vec<i16> =
        (0..60).flat_map(|seed| [speech(seed, 1_400), silence(600)].concat()).chain(speech(99, 7)).collect();
    client.stream(&samples).await;
    client.send(END).await;
    // The server is through, and past the time it waits for the client's Close, before the client reads the first byte.
    server.empty().await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let heard = client.rest().await;
    assert_eq!(heard.text(), expected(&samples).await);
    let ended = heard.ended();
    assert_eq!((ended.complete, ended.audio_received_ms, ended.audio_processed_ms), (true, 120_007, 120_007));
    assert_eq!((ended.finals, ended.rejected_frames, heard.close), (61, 0, Some(1000)));
}

/// An engine that decodes nothing until it is let.
struct Gate {
    open: watch::Receiver<bool>,
}

impl Decoder for Gate {
    fn decode(&self, _request: DecodeRequest, _tick: Tick) -> DecodeFuture {
        let mut open = self.open.clone();
        Box::pin(async move {
            let opened = open.wait_for(|open| *open).await;
            opened.map(|_| Decoded::default()).map_err(|_| EngineError::ShutDown)
        })
    }

    fn decode_if_idle(&self, _request: DecodeRequest, _tick: Tick) -> Option<DecodeFuture> {
        None
    }
}

#[tokio::test]
async fn a_full_buffer_stops_the_client_and_nothing_else_and_all_of_it_is_processed_in_the_end() {
    let (gate, open) = watch::channel(false);
    let recognizer = Recognizer::new(instant().info().clone(), Arc::new(Gate { open }));
    let limits = Limits { max_buffered_audio_ms: 2_000, ..Limits::DEFAULT };
    let server = start(Settings { limits, ..Settings::default() }, recognizer).await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    // More than the kernel holds: 64 MiB in frames of a second, alternating so that segments end.
    let (voiced, silent) = (binary(&speech(1, 1_000)), binary(&silence(1_000)));
    let mut sent = 0;
    let stopped = loop {
        let frame = if sent % 2 == 0 { voiced.clone() } else { silent.clone() };
        if tokio::time::timeout(Duration::from_millis(500), client.socket.feed(frame)).await.is_err() {
            break true;
        }
        sent += 1;
        if sent == 2_000 {
            break false;
        }
    };
    assert!(stopped, "{sent} s of audio went into a buffer of 2 s");
    gate.send_replace(true);
    client.socket.flush().await.expect("written");
    client.send(END).await;
    let heard = client.rest().await;
    let ended = heard.ended();
    assert!(ended.complete, "{ended:?}");
    // The frame at which it stopped may have been taken or not.
    let received_s = ended.audio_received_ms / 1_000;
    assert!((sent..=sent + 1).contains(&received_s), "{received_s} s arrived of {sent}");
    assert_eq!(ended.audio_processed_ms, ended.audio_received_ms);
}

#[tokio::test]
async fn a_client_that_falls_silent_gets_its_finals_and_idle_timeout_and_one_with_keepalives_does_not() {
    let server = start(small_limits(), instant()).await;
    let mut silent = server.connect().await;
    silent.begin(CONFIG).await;
    let samples = speech(1, 600);
    silent.stream(&samples).await;

    let mut alive = server.connect().await;
    alive.begin(CONFIG).await;
    let heard = {
        let keepalives = async {
            for seq in 0..8 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                alive.send(&format!(r#"{{"type":"keepalive","seq":{seq}}}"#)).await;
            }
            alive.send(END).await;
        };
        tokio::join!(silent.rest(), keepalives).0
    };
    assert_eq!(heard.text(), expected(&samples).await);
    assert_eq!(heard.errors(), ["idle_timeout!"]);
    assert_eq!(
        (heard.ended().reason.as_str(), heard.ended().complete, heard.close),
        ("idle_timeout", false, Some(4408))
    );
    let heard = alive.rest().await;
    let acks = heard.messages.iter().filter(|message| matches!(message, ServerMessage::KeepaliveAck(_))).count();
    assert_eq!((acks, heard.ended().complete), (8, true));
}

#[tokio::test]
async fn a_client_without_config_is_told_and_closed() {
    let server = start(small_limits(), instant()).await;
    let heard = server.connect().await.rest().await;
    assert_eq!((heard.errors(), heard.close), (vec!["config_timeout!".to_owned()], Some(4408)));
    server.empty().await;
}

/// An engine whose every decode fails.
struct Broken;

impl Decoder for Broken {
    fn decode(&self, _request: DecodeRequest, _tick: Tick) -> DecodeFuture {
        Box::pin(std::future::ready(Err(EngineError::Decode("it broke".to_owned()))))
    }

    fn decode_if_idle(&self, _request: DecodeRequest, _tick: Tick) -> Option<DecodeFuture> {
        None
    }
}

#[tokio::test]
async fn an_engine_that_fails_is_an_internal_error_a_session_ended_and_1011() {
    let recognizer = Recognizer::new(instant().info().clone(), Arc::new(Broken));
    let server = start(Settings::default(), recognizer).await;
    for last in [r#"{"type":"flush","id":"f"}"#, END] {
        let mut client = server.connect().await;
        client.begin(CONFIG).await;
        client.stream(&speech(1, 1_000)).await;
        client.send(last).await;
        let heard = client.rest().await;
        assert_eq!((heard.errors(), heard.close), (vec!["internal!".to_owned()], Some(1011)));
        let ended = heard.ended();
        assert_eq!((ended.reason.as_str(), ended.complete, ended.finals), ("internal", false, 0));
        assert_eq!(ended.audio_received_ms, 1_000);
    }
    server.empty().await;
}

#[tokio::test]
async fn a_shutdown_lets_a_drain_complete_and_ends_the_others_with_their_finals() {
    let mut server = start(Settings::default(), costly(400)).await;
    let samples = speech(1, 1_000);
    let mut draining = server.connect().await;
    draining.begin(CONFIG).await;
    draining.stream(&samples).await;
    draining.send(END).await;
    let mut streaming = server.connect().await;
    streaming.begin(CONFIG).await;
    streaming.stream(&samples).await;
    let mut new = server.connect().await;
    // All that was sent has been read once a keepalive behind it is answered.
    streaming.send(r#"{"type":"keepalive","seq":1}"#).await;
    while !matches!(streaming.next().await, ServerMessage::KeepaliveAck(_)) {}
    server.stop();
    let (drained, streamed, unready) = tokio::join!(draining.rest(), streaming.rest(), new.rest());
    assert_eq!((drained.ended().complete, drained.close), (true, Some(1000)));
    assert_eq!(drained.text(), expected(&samples).await);
    assert_eq!((streamed.errors(), streamed.close), (vec!["going_away!".to_owned()], Some(1001)));
    assert_eq!((streamed.ended().reason.as_str(), streamed.ended().audio_processed_ms), ("going_away", 1_000));
    assert_eq!(streamed.text(), expected(&samples).await);
    assert_eq!((unready.errors(), unready.close), (vec!["going_away!".to_owned()], Some(1001)));
    let ended = tokio::time::timeout(PATIENCE, &mut server.task).await.expect("in time");
    ended.expect("no panic").expect("no error");
}

/// The time until two acknowledgements have come for two keepalives that were written apart.
async fn two_replies(client: &mut Client) -> Duration {
    let started = Instant::now();
    client.send(r#"{"type":"keepalive","seq":1}"#).await;
    client.send(r#"{"type":"keepalive","seq":2}"#).await;
    for _ in 0..2 {
        assert!(matches!(client.next().await, ServerMessage::KeepaliveAck(_)));
    }
    started.elapsed()
}

#[tokio::test]
async fn two_small_replies_do_not_wait_for_each_other() {
    let server: Running = start_scripted().await;
    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let mut times = Vec::new();
    for _ in 0..100 {
        times.push(two_replies(&mut client).await);
    }
    times.sort_unstable();
    // With Nagle's algorithm on it is 40 ms, on an idle machine as on a busy one.
    assert!(times[50] < Duration::from_millis(30), "{times:?}");
    client.socket.close(None).await.expect("closed");
    while client.socket.next().await.is_some() {}
}
