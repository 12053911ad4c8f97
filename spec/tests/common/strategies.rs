//! Strategies for every message, with every member in and out. Owns no expectation.

use lastword_spec::close::EndReason;
use lastword_spec::error_code::ErrorCode;
use lastword_spec::ijson::MAX_INTEGER;
use lastword_spec::limits::Limits;
use lastword_spec::message::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        config().prop_map(|config| ClientMessage::Config(Box::new(config))),
        option::of(integer()).prop_map(|seq| ClientMessage::Keepalive(Keepalive { seq })),
        id().prop_map(|id| ClientMessage::Flush(Flush { id })),
        (id(), option::of(endpointing_request()), option::of(text()), option::of(texts())).prop_map(
            |(id, endpointing, language, keyterms)| {
                ClientMessage::Update(Box::new(Update { id, endpointing, language, keyterms }))
            }
        ),
        Just(ClientMessage::EndOfStream),
    ]
}

pub(crate) fn server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        ready().prop_map(|ready| ServerMessage::Ready(Box::new(ready))),
        partial().prop_map(ServerMessage::Partial),
        final_result().prop_map(ServerMessage::Final),
        id().prop_map(|id| ServerMessage::Flushed(Flushed { id })),
        (id(), effective_config()).prop_map(|(id, config)| ServerMessage::Updated(Box::new(Updated { id, config }))),
        session_ended().prop_map(ServerMessage::SessionEnded),
        (integer(), any::<u32>())
            .prop_map(|(start_ms, channel)| ServerMessage::SpeechStarted(SpeechStarted { start_ms, channel })),
        (integer(), any::<u32>())
            .prop_map(|(end_ms, channel)| ServerMessage::SpeechEnded(SpeechEnded { end_ms, channel })),
        integer().prop_map(|seq| ServerMessage::KeepaliveAck(KeepaliveAck { seq })),
        (integer(), integer())
            .prop_map(|(seq, audio_processed_ms)| ServerMessage::Progress(Progress { seq, audio_processed_ms })),
        (vocabulary(&["audio_backlog"]), text())
            .prop_map(|(code, message)| ServerMessage::Warning(Warning { code: code.into(), message })),
        error().prop_map(ServerMessage::Error),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let options =
        (option::of(text()), texts(), option::of(text()), option::of(vocabulary(&["transcribe", "translate"])));
    let audio = option::of(
        (option::of(encoding()), option::of(1..=u32::MAX), option::of(1..=u32::MAX))
            .prop_map(|(encoding, sample_rate_hz, channels)| AudioRequest { encoding, sample_rate_hz, channels }),
    );
    let switches = (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any::<bool>()));
    let rest = (option::of(endpointing_request()), texts(), option::of(text()), texts());
    (options, audio, switches, rest).prop_map(|(options, audio, switches, rest)| Config {
        language: options.0,
        languages: options.1,
        model: options.2,
        task: options.3.map(Task::from),
        audio,
        interim_results: switches.0,
        words: switches.1,
        vad_events: switches.2,
        endpointing: rest.0,
        keyterms: rest.1,
        token: rest.2,
        required: rest.3,
    })
}

fn endpointing_request() -> impl Strategy<Value = EndpointingRequest> {
    let mode = option::of(vocabulary(&["vad", "none"]).prop_map(EndpointingMode::from));
    (mode, option::of(1..=60_000_u64), option::of(1_000..=600_000_u64))
        .prop_map(|(mode, silence_ms, max_segment_ms)| EndpointingRequest { mode, silence_ms, max_segment_ms })
}

fn effective_config() -> impl Strategy<Value = EffectiveConfig> {
    config().prop_map(|config| config.effective())
}

fn ready() -> impl Strategy<Value = Ready> {
    (text(), text(), effective_config(), limits(), capabilities(), texts()).prop_map(
        |(session_id, protocol, config, limits, capabilities, ignored)| Ready {
            session_id,
            protocol,
            config,
            limits,
            capabilities,
            ignored,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    (vec(integer(), 12), option::of(integer())).prop_map(|(of, max_buffered_output_bytes)| Limits {
        idle_timeout_ms: of[0],
        keepalive_interval_ms: of[1],
        ready_ms: of[2],
        flush_ms: of[3],
        drain_ms: of[4],
        close_ms: of[5],
        progress_interval_ms: of[6],
        max_step_ms: of[7],
        max_frame_bytes: of[8],
        max_text_bytes: of[9],
        max_session_ms: of[10],
        max_buffered_audio_ms: of[11],
        max_buffered_output_bytes,
    })
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let audio = (option::of(vec(encoding(), 0..3)), option::of(vec(any::<u32>(), 0..3)), option::of(any::<u32>()));
    let switches = (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any::<bool>()));
    let names = (option::of(texts()), option::of(texts()));
    (audio, switches, names).prop_map(|(audio, switches, names)| Capabilities {
        encodings: audio.0,
        sample_rates_hz: audio.1,
        max_channels: audio.2,
        words: switches.0,
        vad_events: switches.1,
        update: switches.2,
        languages: names.0,
        models: names.1,
    })
}

fn partial() -> impl Strategy<Value = Partial> {
    let numbers = (integer(), integer(), integer(), integer(), any::<u32>());
    (numbers, text(), words(), option::of(text())).prop_map(|(numbers, text, words, language)| Partial {
        segment_id: numbers.0,
        revision: numbers.1,
        text,
        start_ms: numbers.2,
        end_ms: numbers.3,
        words,
        language,
        channel: numbers.4,
    })
}

fn final_result() -> impl Strategy<Value = Final> {
    let numbers = (integer(), integer(), integer(), any::<u32>());
    let names = (option::of(text()), option::of(text()));
    (numbers, text(), option::of(probability()), words(), names).prop_map(
        |(numbers, text, confidence, words, names)| Final {
            segment_id: numbers.0,
            text,
            start_ms: numbers.1,
            end_ms: numbers.2,
            confidence,
            words,
            language: names.0,
            speaker: names.1,
            channel: numbers.3,
        },
    )
}

fn words() -> impl Strategy<Value = Option<Vec<Word>>> {
    let word = (text(), integer(), integer(), option::of(probability()))
        .prop_map(|(text, start_ms, end_ms, confidence)| Word { text, start_ms, end_ms, confidence });
    option::of(vec(word, 0..4))
}

fn session_ended() -> impl Strategy<Value = SessionEnded> {
    let reason = vocabulary(&["completed", "idle_timeout", "bad_message"]).prop_map(EndReason::from);
    let counters = (integer(), integer(), integer(), integer());
    (reason, any::<bool>(), counters, option::of(text())).prop_map(|(reason, complete, counters, message)| {
        SessionEnded {
            reason,
            complete,
            audio_received_ms: counters.0,
            audio_processed_ms: counters.1,
            rejected_frames: counters.2,
            finals: counters.3,
            message,
        }
    })
}

fn error() -> impl Strategy<Value = ErrorMessage> {
    let code = vocabulary(&["internal", "overloaded"]).prop_map(ErrorCode::from);
    let bits = (any::<bool>(), any::<bool>());
    (code, text(), bits, option::of(integer()), option::of(text()), option::of(id())).prop_map(
        |(code, message, bits, retry_after_ms, param, id)| ErrorMessage {
            code,
            message,
            fatal: bits.0,
            retryable: bits.1,
            retry_after_ms,
            param,
            id,
        },
    )
}

fn encoding() -> impl Strategy<Value = Encoding> {
    vocabulary(&["pcm_s16le", "opus"]).prop_map(Encoding::from)
}

/// A known value of an open vocabulary, or any other.
fn vocabulary(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(known).prop_map(str::to_owned), text()]
}

fn probability() -> impl Strategy<Value = Probability> {
    let edge = proptest::sample::select(vec![0.0, -0.0, 1.0, f64::MIN_POSITIVE, 5e-324, 0.1, 1.0 - f64::EPSILON / 2.0]);
    prop_oneof![edge, 0.0..=1.0].prop_map(|value| Probability::new(value).expect("from 0 to 1"))
}

fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, Just(MAX_INTEGER), 0..=MAX_INTEGER]
}

/// 1 to 128 bytes: `char`s of up to four.
fn id() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..=32).prop_map(|characters| characters.into_iter().collect())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

/// Any string: NUL, controls, quotes, characters of four bytes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\0\u{1f}\"\\/\u{7f}\u{2028}\u{ffff}\u{10ffff}".to_owned()),
        vec(any::<char>(), 0..12).prop_map(|characters| characters.into_iter().collect()),
    ]
}
