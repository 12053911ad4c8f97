//! What one side says in a dialect, the other side of that dialect hears, but for what the dialect declares lost. For every dialect of
//! the crate and every one of `tests/reach`. And whatever comes, nothing panics and nothing vanishes.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use lastword_dialects::{ClientSide, Dialect, Frame, FromClient, Heard, Output, Seed, ServerSide, Upgrade};
use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::{
    AudioRequest, ClientMessage, Config, ErrorMessage, Final, Flush, Flushed, Keepalive, KeepaliveAck, Partial,
    Probability, Progress, ServerMessage, SessionEnded, SpeechEnded, SpeechStarted, Warning, Word,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reach");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    names.sort();
    // It has two forms of one message on purpose, and its words are not all of its text.
    names.retain(|path| path.file_stem().is_some_and(|name| name != "everything"));
    let reach = names.iter().map(|path| Dialect::from_toml("reach", &fs::read_to_string(path).unwrap()).unwrap());
    Dialect::builtins().cloned().chain(reach).collect()
});

/// Where nothing on the wire says that a result is final, finals come late: when the next one begins, or at the end.
const LATE: &[&str] = &["fireworks", "gradium", "whisperlivekit"];

/// One thing that one side says.
#[derive(Clone, Debug)]
enum Step {
    Audio(u16),
    Keepalive(Option<u64>),
    Flush,
    /// How many words the text has now.
    Partial(usize),
    Final(usize, u32),
    Speech,
    Warning,
    Error(bool),
    Progress,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u16..2_000).prop_map(Step::Audio),
        1 => proptest::option::of(0_u64..9).prop_map(Step::Keepalive),
        1 => Just(Step::Flush),
        4 => (1_usize..6).prop_map(Step::Partial),
        4 => (1_usize..6, 1_u32..=100).prop_map(|(words, confidence)| Step::Final(words, confidence)),
        1 => Just(Step::Speech),
        1 => Just(Step::Warning),
        1 => any::<bool>().prop_map(Step::Error),
        1 => Just(Step::Progress),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let language = prop_oneof![Just(None), Just(Some("en".to_owned())), Just(Some("pt-BR".to_owned()))];
    let rate = prop_oneof![Just(None), Just(Some(8_000)), Just(Some(24_000))];
    let model = prop_oneof![Just(None), "[a-z &=/%+?]{1,12}".prop_map(Some)];
    (language, rate, model, proptest::option::of(any::<bool>())).prop_map(|(language, rate, model, interim_results)| {
        Config {
            language,
            model: model.filter(|model| !model.trim().is_empty()),
            audio: rate.map(|rate| AudioRequest { sample_rate_hz: Some(rate), ..AudioRequest::default() }),
            interim_results,
            ..Config::default()
        }
    })
}

/// Both ends of one connection, and what each said and heard.
struct Pair<'d> {
    dialect: &'d Dialect,
    client: ClientSide<'d>,
    server: ServerSide<'d>,
    /// The texts of finals, as they were said and as they came.
    said: Vec<String>,
    came: Vec<String>,
}

impl Pair<'_> {
    /// The client says this: what the server hears.
    fn up(&mut self, said: &FromClient) -> Vec<FromClient> {
        let outputs = match said {
            FromClient::Message(message) => self.client.send(message),
            FromClient::Audio(bytes) => self.client.send_audio(bytes),
        };
        let frames: Vec<Frame> = outputs.iter().filter_map(|output| output.as_send().cloned()).collect();
        frames.iter().flat_map(|frame| heard(self.server.receive(frame))).collect()
    }

    /// The server says this: what the client hears; `None` where the dialect cannot say it, or by a Close only.
    fn down(&mut self, said: &ServerMessage) -> Option<Vec<ServerMessage>> {
        let outputs = self.server.send(said);
        let frames: Vec<Frame> = outputs.iter().filter_map(|output| output.as_send().cloned()).collect();
        let is_lost = outputs.iter().any(|output| matches!(output, Output::Lost(_)));
        assert!(!is_lost || frames.is_empty(), "half a message was sent");
        if frames.is_empty() || frames.iter().any(|frame| matches!(frame, Frame::Close { .. })) {
            return None;
        }
        let outputs: Vec<_> = frames.iter().flat_map(|frame| self.client.receive(frame)).collect();
        for output in &outputs {
            if let Some(Heard { message: Some(ServerMessage::Final(result)), .. }) = output.as_heard() {
                self.came.push(result.text.clone());
            }
        }
        Some(heard(outputs))
    }

    /// Both as the dialect carries them.
    fn same<T: codec::WireMessage>(&self, message_type: &str, said: &T, heard: &T) {
        let carried = self.dialect.carried(message_type).unwrap_or_default();
        let view = |message: &T| {
            let all: Value = serde_json::from_str(&codec::encode(message)).unwrap();
            if self.dialect.is_native() {
                return all;
            }
            let kept = carried.iter().filter_map(|member| Some((member.clone(), exact(all.pointer(member)?))));
            Value::Object(kept.collect::<Map<_, _>>())
        };
        assert_eq!(view(said), view(heard), "{}: `{message_type}`", self.dialect.name());
    }
}

/// Numbers that went through a logarithm come back but for their last digits; words are compared without them.
fn exact(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::from((number.as_f64().unwrap() * 1e9).round() as i64),
        Value::Array(items) => items.iter().map(|item| item.get("text").unwrap_or(item).clone()).collect(),
        other => other.clone(),
    }
}

fn heard<M: Clone + std::fmt::Debug>(outputs: Vec<Output<M>>) -> Vec<M> {
    outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Heard(Heard { message, origin, .. }) if origin.on_wire => message,
            Output::Heard(_) | Output::Note(_) | Output::Send(_) => None,
            other => panic!("one side does not understand the other: {other:?}"),
        })
        .collect()
}

fn words_of(text: &str, start_ms: u64, end_ms: u64, confidence: u32) -> Vec<Word> {
    let all: Vec<&str> = text.split(' ').collect();
    let step = (end_ms - start_ms) / all.len() as u64;
    let last = all.len() - 1;
    let word = |(index, word): (usize, &&str)| Word {
        text: (*word).to_owned(),
        start_ms: start_ms + step * index as u64,
        end_ms: if index == last { end_ms } else { start_ms + step * (index as u64 + 1) },
        confidence: Probability::new(f64::from(confidence) / 100.0),
    };
    all.iter().enumerate().map(word).collect()
}

fn converses(dialect: &Dialect, config: &Config, steps: &[Step]) {
    let seed = Seed { uuid: "u-1".to_owned(), token: Some("k".to_owned()) };
    let mut pair = Pair {
        dialect,
        client: ClientSide::new(dialect, seed.clone()),
        server: ServerSide::new(dialect, Seed { token: None, ..seed }),
        said: Vec::new(),
        came: Vec::new(),
    };
    connects(&mut pair, config);
    let (mut segment_id, mut revision, mut start_ms) = (0, 0, 0);
    let mut open = String::new();
    for (number, step) in steps.iter().enumerate() {
        let now_ms = start_ms + 100 * (number as u64 + 1);
        match step {
            Step::Audio(samples) => {
                let said = FromClient::Audio((0..*samples).flat_map(|sample| (sample as i16).to_le_bytes()).collect());
                assert_eq!(pair.up(&said), [said], "{}", dialect.name());
                // A rate that is not on the wire is a rate that the server cannot know.
                if dialect.carried("config").is_some_and(|carried| carried.contains("/audio/sample_rate_hz")) {
                    assert_eq!(pair.client.audio_ms(), pair.server.audio_ms(), "{}", dialect.name());
                }
            }
            Step::Keepalive(seq) => {
                let said = ClientMessage::Keepalive(Keepalive { seq: *seq });
                for heard in messages(pair.up(&FromClient::Message(said.clone()))) {
                    pair.same("keepalive", &said, &heard);
                }
                let acknowledged = ServerMessage::KeepaliveAck(KeepaliveAck { seq: seq.unwrap_or_default() });
                expect_down(&mut pair, &acknowledged);
            }
            Step::Flush => {
                let id = format!("f{number}");
                let flush = ClientMessage::Flush(Flush { id: id.clone() });
                let up = messages(pair.up(&FromClient::Message(flush)));
                let Some(ClientMessage::Flush(came)) = up.first() else { continue };
                if let Some(down) = pair.down(&ServerMessage::Flushed(Flushed { id: came.id.clone() })) {
                    assert_eq!(down, [ServerMessage::Flushed(Flushed { id })], "{}", dialect.name());
                }
            }
            // They would come as finals at the end.
            Step::Partial(_) if LATE.contains(&dialect.name()) => {}
            Step::Partial(words) => {
                let more = vec![format!("word{number}"); *words].join(" ");
                open = format!("{open} {more}").trim().to_owned();
                let said = ServerMessage::Partial(Partial {
                    segment_id,
                    revision,
                    text: open.clone(),
                    start_ms,
                    end_ms: now_ms,
                    words: Some(words_of(&open, start_ms, now_ms, 100)),
                    language: Some("en".to_owned()),
                    channel: 0,
                });
                if expect_down(&mut pair, &said) {
                    revision += 1;
                }
            }
            Step::Final(words, confidence) => {
                let text = vec![format!("Last{number}"); *words].join(" ");
                let said = ServerMessage::Final(Final {
                    segment_id,
                    text: text.clone(),
                    start_ms,
                    end_ms: now_ms,
                    confidence: Probability::new(f64::from(*confidence) / 100.0),
                    words: Some(words_of(&text, start_ms, now_ms, *confidence)),
                    language: Some("en".to_owned()),
                    speaker: None,
                    channel: 0,
                });
                pair.said.push(text);
                if LATE.contains(&dialect.name()) {
                    assert!(pair.down(&said).is_some(), "{}: every service has finals", dialect.name());
                } else {
                    assert!(expect_down(&mut pair, &said), "{}: every service has finals", dialect.name());
                }
                (segment_id, revision, start_ms, open) = (segment_id + 1, 0, now_ms, String::new());
            }
            Step::Speech => {
                let start = SpeechStarted { start_ms: now_ms, channel: 0 };
                expect_down(&mut pair, &ServerMessage::SpeechStarted(start));
                expect_down(&mut pair, &ServerMessage::SpeechEnded(SpeechEnded { end_ms: now_ms, channel: 0 }));
            }
            Step::Warning => {
                let warning = Warning { code: "going_away".into(), message: "soon".to_owned() };
                expect_down(&mut pair, &ServerMessage::Warning(warning));
            }
            Step::Error(fatal) => {
                let error = ErrorMessage {
                    code: "overloaded".into(),
                    message: "too much".to_owned(),
                    fatal: *fatal,
                    retryable: true,
                    retry_after_ms: None,
                    param: None,
                    id: None,
                };
                expect_down(&mut pair, &ServerMessage::Error(error));
            }
            Step::Progress => {
                let progress = Progress { seq: number as u64 + 1, audio_processed_ms: now_ms };
                expect_down(&mut pair, &ServerMessage::Progress(progress));
            }
        }
    }
    ends(&mut pair, segment_id);
    if dialect.carried("session_ended").is_some() || !LATE.contains(&dialect.name()) {
        assert_eq!(pair.came.join(" "), pair.said.join(" "), "{}", dialect.name());
    }
}

fn connects(pair: &mut Pair<'_>, config: &Config) {
    if let Ok(Some(request)) = pair.client.pre_request("http://127.0.0.1:1", config) {
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let given = lastword_dialects::HttpRequest { url: format!("/{path}"), ..request.clone() };
        let answer = pair.server.pre_request(&given, "ws://127.0.0.1:2/s").expect("the request is the dialect's own");
        pair.client.pre_response(answer.status, &answer.body).unwrap();
    }
    let upgrade = pair.client.upgrade("ws://127.0.0.1:1", config).unwrap();
    let path = upgrade.url.splitn(4, '/').nth(3).unwrap_or_default();
    let came = Upgrade { url: format!("/{path}"), ..upgrade.clone() };
    let opened = pair.server.opened(&came);
    assert!(!opened.iter().any(|output| matches!(output, Output::Note(_))), "{}: {opened:?}", pair.dialect.name());
    let by_upgrade = opened.into_iter().find_map(|output| match output {
        Output::Heard(Heard { message: Some(FromClient::Message(message)), .. }) => Some(message),
        _ => None,
    });
    let said = ClientMessage::Config(Box::new(Config {
        audio: Some(AudioRequest { encoding: None, channels: None, ..config.audio.clone().unwrap_or_default() }),
        ..config.clone()
    }));
    let by_message = messages(pair.up(&FromClient::Message(said.clone())));
    let heard = by_upgrade.or(by_message.into_iter().next());
    let Some(ClientMessage::Config(heard)) = heard else { panic!("{}: no config came", pair.dialect.name()) };
    // The audio is told in full, and an option left out may come as its default.
    let carried = pair.dialect.carried("config").unwrap_or_default();
    let ClientMessage::Config(said) = said else { unreachable!("it was made above") };
    if carried.contains("/audio/sample_rate_hz")
        && said.audio.as_ref().is_some_and(|audio| audio.sample_rate_hz.is_some())
    {
        assert_eq!(said.effective().audio, heard.effective().audio, "{}", pair.dialect.name());
    }
    for (member, said, heard) in [("/language", &said.language, &heard.language), ("/model", &said.model, &heard.model)]
    {
        if carried.contains(member) && said.is_some() {
            assert_eq!(said, heard, "{}: {member}", pair.dialect.name());
        }
    }
}

fn messages(heard: Vec<FromClient>) -> Vec<ClientMessage> {
    heard
        .into_iter()
        .filter_map(|one| match one {
            FromClient::Message(message) => Some(message),
            FromClient::Audio(_) => None,
        })
        .collect()
}

/// Says it and compares; whether the dialect says it at all.
fn expect_down(pair: &mut Pair<'_>, said: &ServerMessage) -> bool {
    let Some(came) = pair.down(said) else { return false };
    assert_eq!(came.len(), 1, "{}: {said:?} came as {came:?}", pair.dialect.name());
    assert_eq!(said.message_type(), came[0].message_type());
    pair.same(said.message_type(), said, &came[0]);
    match (said, &came[0]) {
        (ServerMessage::Partial(said), ServerMessage::Partial(came)) => {
            assert_eq!((said.segment_id, said.revision), (came.segment_id, came.revision), "{}", pair.dialect.name());
        }
        (ServerMessage::Final(said), ServerMessage::Final(came)) => {
            assert_eq!(said.segment_id, came.segment_id, "{}", pair.dialect.name());
        }
        _ => {}
    }
    true
}

fn ends(pair: &mut Pair<'_>, finals: u64) {
    let up = messages(pair.up(&FromClient::Message(ClientMessage::EndOfStream)));
    let has_end = !pair.dialect.lacks(lastword_dialects::Capability::EndOfStream);
    assert_eq!(up == [ClientMessage::EndOfStream], has_end, "{}", pair.dialect.name());
    let ended = ServerMessage::SessionEnded(SessionEnded {
        reason: "completed".into(),
        complete: true,
        audio_received_ms: pair.client.audio_ms(),
        audio_processed_ms: pair.client.audio_ms(),
        rejected_frames: 0,
        finals,
        message: None,
    });
    if let Some(came) = pair.down(&ended) {
        let last = came.last().expect("a message");
        if !pair.dialect.is_native() && pair.dialect.carried("session_ended").unwrap().contains("/message") {
            return;
        }
        pair.same("session_ended", &ended, last);
    } else if pair.dialect.ends_by_close() {
        let close = pair.server.close(lastword_spec::close::CloseCode::NORMAL);
        let outputs = pair.client.receive(&close);
        assert!(outputs.iter().all(|output| !matches!(output, Output::Unmatched(_))));
        let made_up = outputs.iter().filter_map(Output::as_heard).next_back().expect("the Close says it");
        assert_eq!((&made_up.message, made_up.origin.on_wire), (&Some(ended), false), "{}", pair.dialect.name());
    }
}

fn json() -> impl Strategy<Value = String> {
    let names = prop_oneof![
        Just("type"),
        Just("message"),
        Just("text"),
        Just("tokens"),
        Just("segments"),
        Just("start"),
        Just("is_final"),
        Just("words"),
        Just("transcript"),
        Just("is_last"),
        Just("error_code"),
        Just("channel"),
        Just("alternatives"),
        Just("metadata"),
    ];
    let constants = prop_oneof![
        Just("final"),
        Just("Results"),
        Just("Turn"),
        Just("ready"),
        Just("error"),
        Just("session_ended"),
        Just("<end>"),
        Just("AddTranscript"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        constants.prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    });
    prop_oneof![8 => value.prop_map(|value| value.to_string()), 1 => "\\PC{0,20}"]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        6 => json().prop_map(Frame::Text),
        1 => proptest::collection::vec(any::<u8>(), 0..9).prop_map(Frame::Binary),
        1 => (1000_u16..1015).prop_map(Frame::close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_side_says_the_other_hears(config in config(), steps in proptest::collection::vec(step(), 0..24)) {
        for dialect in DIALECTS.iter() {
            converses(dialect, &config, &steps);
        }
    }

    #[test]
    fn whatever_comes_is_a_message_of_v1_or_unmatched_and_never_a_panic(frames in proptest::collection::vec(frame(), 0..12)) {
        for dialect in DIALECTS.iter().filter(|dialect| !dialect.is_native()) {
            let mut client = ClientSide::new(dialect, Seed::default());
            let mut server = ServerSide::new(dialect, Seed::default());
            for frame in &frames {
                for output in client.receive(frame) {
                    if let Output::Heard(Heard { v1: Frame::Text(text), message: Some(message), .. }) = output {
                        prop_assert_eq!(codec::decode_server(&text, u64::MAX), Ok(Decoded::Message(message)));
                    }
                }
                for output in server.receive(frame) {
                    if let Output::Heard(Heard { v1: Frame::Text(text), message: Some(FromClient::Message(message)), .. }) = output {
                        prop_assert_eq!(codec::decode_client(&text, u64::MAX), Ok(Decoded::Message(message)));
                    }
                }
            }
        }
    }
}
