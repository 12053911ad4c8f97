//! What a peer is told when its message is refused: kind, place, clause, and no secret.

use lastword_spec::codec::{self, DecodeError, DecodeErrorKind, Decoded, WireMessage};
use lastword_spec::limits::Limits;
use lastword_spec::message::{ClientMessage, EffectiveConfig, ServerMessage};

const MAX_TEXT_BYTES: u64 = 4_096;

fn refusal<M: WireMessage + std::fmt::Debug>(text: &str) -> DecodeError {
    match M::decode(text, MAX_TEXT_BYTES) {
        Err(error) => error,
        Ok(decoded) => panic!("taken: {text} as {decoded:?}"),
    }
}

fn listing<M: WireMessage + std::fmt::Debug>(texts: &[&str]) -> String {
    let line = |text: &&str| {
        let error = refusal::<M>(text);
        format!("{text}\n    {:?} at {:?}\n    {error}\n", error.kind, error.path)
    };
    texts.iter().map(line).collect()
}

#[test]
fn of_a_client() {
    let texts = [
        "",
        "hello",
        "[1]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"end_of_stream""#,
        r#"{"type":"end_of_stream","x":{"a":[1,{"b":1,"b":2}]}}"#,
        r#"{"type":"end_of_stream","x":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}"#,
        r#"{"type":"end_of_stream","x":["\ud800"]}"#,
        r#"{"type":"keepalive","seq":9007199254740992}"#,
        r#"{"type":"keepalive","seq":1.0}"#,
        r#"{"type":"keepalive","seq":1e2}"#,
        r#"{"type":"keepalive","seq":-1}"#,
        r#"{"type":"keepalive","seq":"1"}"#,
        r#"{"type":"flush"}"#,
        r#"{"type":"flush","id":null}"#,
        r#"{"type":"flush","id":""}"#,
        r#"{"type":"update","id":"u","endpointing":{"silence_ms":60001}}"#,
        r#"{"type":"config","audio":["pcm_s16le",16000,1]}"#,
        r#"{"type":"config","audio":{"sample_rate_hz":0}}"#,
        r#"{"type":"config","audio":{"sample_rate_hz":4294967296}}"#,
        r#"{"type":"config","audio":{"channels":1.5}}"#,
        r#"{"type":"config","sample_rate":16000}"#,
        r#"{"type":"config","encoding":null}"#,
        r#"{"type":"config","languages":"en"}"#,
        r#"{"type":"config","keyterms":["a",2]}"#,
    ];
    insta::assert_snapshot!(listing::<ClientMessage>(&texts));
}

#[test]
fn of_a_server() {
    let texts = [
        r#"{"type":"final","segment_id":0,"text":"a","start_ms":0.5,"end_ms":1,"channel":0}"#,
        r#"{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":1,"channel":0,"confidence":1.5}"#,
        r#"{"type":"partial","segment_id":0,"revision":0,"text":"a","start_ms":0,"end_ms":1,"channel":0,"words":[{"text":"a","start_ms":0}]}"#,
        r#"{"type":"partial","segment_id":0,"revision":0,"text":"a","start_ms":0,"end_ms":1}"#,
        r#"{"type":"error","code":"internal","message":"m","retryable":true}"#,
        r#"{"type":"error","code":"internal","message":"m","fatal":"yes","retryable":true}"#,
        r#"{"type":"error","code":"internal","message":"m","fatal":true,"retryable":true,"retry_after_ms":"5"}"#,
        r#"{"type":"ready","session_id":"s","protocol":"lastword.v1"}"#,
        r#"{"type":"ready","session_id":"s","protocol":"lastword.v1","config":{"audio":{"encoding":"pcm_s16le"}},"limits":{}}"#,
        r#"{"type":"session_ended","reason":"completed","complete":1}"#,
    ];
    insta::assert_snapshot!(listing::<ServerMessage>(&texts));
}

#[test]
fn a_refusal_never_repeats_a_string_of_the_peer() {
    let texts = [
        r#"{"type":"config","audio":"hunter2","token":"hunter2"}"#,
        r#"{"type":"config","token":["hunter2"]}"#,
        r#"{"type":"config","words":"hunter2"}"#,
        r#"{"type":"config","audio":{"channels":"hunter2"}}"#,
        r#"{"type":"flush","id":{"hunter2":1}}"#,
        r#"{"type":"config","token":"hunter2"#,
        r#"{"type":"config","token":"hunter2\x"}"#,
    ];
    for text in texts {
        let error = refusal::<ClientMessage>(text);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn bytes_and_lengths_are_checked_first() {
    let not_utf8 = codec::decode_bytes::<ClientMessage>(b"{\"type\":\"\xff\"}", MAX_TEXT_BYTES);
    assert_eq!(not_utf8.map_err(|error| error.kind), Err(DecodeErrorKind::NotUtf8));
    let text = r#"{"type":"end_of_stream"}"#;
    assert!(codec::decode_client(text, text.len() as u64).is_ok());
    let too_long = codec::decode_client(text, text.len() as u64 - 1);
    assert_eq!(too_long.map_err(|error| error.kind), Err(DecodeErrorKind::TooLong));
    let too_long = codec::decode_bytes::<ClientMessage>(b"\xff\xff", 1);
    assert_eq!(too_long.map_err(|error| error.kind), Err(DecodeErrorKind::TooLong));
}

#[test]
fn an_incomplete_ready_can_be_read_and_says_what_it_lacks() {
    let text = r#"{"type":"ready","session_id":"s","protocol":"lastword.v1",
        "config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":8000},"words":null,"interim_results":false,"vad_events":true},
        "limits":{"idle_timeout_ms":1000,"keepalive_interval_ms":500,"ready_ms":1,"flush_ms":2,"drain_ms":3,"close_ms":4,
        "progress_interval_ms":5,"max_step_ms":6,"max_frame_bytes":7,"max_text_bytes":8,"max_session_ms":9}}"#;
    assert!(codec::decode_server(text, MAX_TEXT_BYTES).is_err());
    let lenient = codec::decode_ready_lenient(text, MAX_TEXT_BYTES).expect("readable");
    assert_eq!(
        lenient.missing,
        [
            "config.audio.channels",
            "config.endpointing.max_segment_ms",
            "config.endpointing.mode",
            "config.endpointing.silence_ms",
            "config.words",
            "limits.max_buffered_audio_ms",
        ]
    );
    assert_eq!(lenient.ready.config.audio.sample_rate_hz, 8_000);
    assert_eq!(lenient.ready.limits.max_buffered_audio_ms, Limits::DEFAULT.max_buffered_audio_ms);
    assert_eq!(lenient.ready.limits.idle_timeout_ms, 1_000);
}

#[test]
fn a_ready_without_config_and_limits_lacks_all_their_members() {
    let text = r#"{"type":"ready","session_id":"s","protocol":"lastword.v1"}"#;
    let lenient = codec::decode_ready_lenient(text, MAX_TEXT_BYTES).expect("readable");
    assert_eq!(lenient.ready.config, EffectiveConfig::default());
    assert_eq!(lenient.ready.limits, Limits::DEFAULT);
    assert_eq!(lenient.missing.iter().filter(|path| path.starts_with("limits.")).count(), 12);
    assert_eq!(lenient.missing.iter().filter(|path| path.starts_with("config.")).count(), 9);
}

#[test]
fn a_lenient_reading_still_refuses_wrong_types_and_other_messages() {
    let wrong = r#"{"type":"ready","session_id":"s","protocol":"lastword.v1","limits":{"drain_ms":"15000"}}"#;
    let error = codec::decode_ready_lenient(wrong, MAX_TEXT_BYTES).expect_err("a string is no limit");
    assert_eq!((error.path.as_str(), error.clause.as_str()), ("limits.drain_ms", "LIM-S1"));
    assert!(
        codec::decode_ready_lenient(r#"{"type":"progress","seq":1,"audio_processed_ms":1}"#, MAX_TEXT_BYTES).is_err()
    );
}

#[test]
fn a_complete_ready_reads_the_same_both_ways() {
    let ready = lastword_spec::message::Ready {
        session_id: "s".into(),
        protocol: lastword_spec::PROTOCOL.into(),
        config: EffectiveConfig::default(),
        limits: Limits::DEFAULT,
        capabilities: Default::default(),
        ignored: vec!["x".into()],
    };
    let text = codec::encode(&ServerMessage::Ready(Box::new(ready.clone())));
    let lenient = codec::decode_ready_lenient(&text, MAX_TEXT_BYTES).expect("complete");
    assert_eq!((lenient.ready, lenient.missing), (ready.clone(), Vec::new()));
    assert_eq!(
        codec::decode_server(&text, MAX_TEXT_BYTES),
        Ok(Decoded::Message(ServerMessage::Ready(Box::new(ready))))
    );
}

#[test]
fn members_of_a_config_that_v1_does_not_define_are_listed_by_path() {
    let text = r#"{"type":"config","x_a":1,"audio":{"channels":1,"bits":16},"endpointing":{"x":{"y":1}},"words":true,"punctuate":[]}"#;
    assert_eq!(codec::config_paths_unknown(text), ["x_a", "audio.bits", "endpointing.x", "punctuate"]);
    assert_eq!(codec::config_paths_unknown(r#"{"type":"config"}"#), [""; 0]);
    assert_eq!(codec::config_paths_unknown("no json"), [""; 0]);
}

#[test]
fn limits_can_be_read_in_part() {
    let serde_json::Value::Object(object) = serde_json::json!({ "drain_ms": 700, "close_ms": "2000", "ready_ms": 1.5 })
    else {
        panic!("an object");
    };
    let (limits, missing) = Limits::from_partial(&object);
    assert_eq!((limits.drain_ms, limits.close_ms), (700, Limits::DEFAULT.close_ms));
    assert_eq!(missing.len(), 11);
    assert!(!missing.contains(&"drain_ms"));
    let low: Vec<_> = limits.below_minimum().into_iter().map(|(spec, value)| (spec.name, value)).collect();
    assert_eq!(low, [("drain_ms", 700)]);
}

#[test]
fn the_defaults_are_not_below_the_minima() {
    assert!(Limits::DEFAULT.below_minimum().is_empty());
}
