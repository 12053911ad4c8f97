//! Encoding and decoding are inverse, for every message.

#[path = "common/strategies.rs"]
mod strategies;

use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::{ClientMessage, Keepalive, Probability, ServerMessage};
use proptest::prelude::*;

const MAX_TEXT_BYTES: u64 = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_client_message_comes_back_as_it_was(message in strategies::client_message()) {
        let text = codec::encode(&message);
        let tag = format!(r#"{{"type":"{}""#, message.message_type());
        prop_assert!(text.starts_with(&tag), "{}", text);
        prop_assert_eq!(codec::decode_client(&text, MAX_TEXT_BYTES), Ok(Decoded::Message(message)));
    }

    #[test]
    fn a_server_message_comes_back_as_it_was(message in strategies::server_message()) {
        let text = codec::encode(&message);
        let tag = format!(r#"{{"type":"{}""#, message.message_type());
        prop_assert!(text.starts_with(&tag), "{}", text);
        prop_assert_eq!(codec::decode_server(&text, MAX_TEXT_BYTES), Ok(Decoded::Message(message)));
    }

    #[test]
    fn a_probability_keeps_its_bits(bits in any::<u64>()) {
        if let Some(probability) = Probability::new(f64::from_bits(bits)) {
            let text = serde_json::to_string(&probability).expect("a number");
            let back: Probability = serde_json::from_str(&text).expect("in range");
            prop_assert_eq!(back.get().to_bits(), bits);
        }
    }
}

#[test]
fn absent_members_are_left_out() {
    assert_eq!(codec::encode(&ClientMessage::EndOfStream), r#"{"type":"end_of_stream"}"#);
    assert_eq!(codec::encode(&ClientMessage::Config(Box::default())), r#"{"type":"config"}"#);
    assert_eq!(codec::encode(&ClientMessage::Keepalive(Keepalive { seq: Some(7) })), r#"{"type":"keepalive","seq":7}"#);
}

#[test]
fn null_in_an_optional_member_is_as_good_as_its_absence() {
    let text = r#"{"type":"config","audio":null,"languages":null,"keyterms":null,"required":null,"task":null,"words":null,
        "endpointing":{"mode":null,"silence_ms":null,"max_segment_ms":null}}"#;
    let Ok(Decoded::Message(ClientMessage::Config(config))) = codec::decode_client(text, MAX_TEXT_BYTES) else {
        panic!("a config");
    };
    assert_eq!(config.effective(), lastword_spec::message::EffectiveConfig::default());
}

#[test]
fn a_type_of_the_other_side_is_unknown() {
    for message_type in ServerMessage::TYPES {
        let text = format!(r#"{{"type":"{message_type}"}}"#);
        let unknown = Decoded::Unknown { message_type: (*message_type).to_owned() };
        assert_eq!(codec::decode_client(&text, MAX_TEXT_BYTES), Ok(unknown));
    }
    for message_type in ClientMessage::TYPES {
        let text = format!(r#"{{"type":"{message_type}"}}"#);
        let unknown = Decoded::Unknown { message_type: (*message_type).to_owned() };
        assert_eq!(codec::decode_server(&text, MAX_TEXT_BYTES), Ok(unknown));
    }
}

#[test]
fn values_that_v1_does_not_define_survive() {
    let text = r#"{"type":"error","code":"x_cosmic_ray","message":"hm","fatal":false,"retryable":true}"#;
    let Ok(Decoded::Message(message @ ServerMessage::Error(_))) = codec::decode_server(text, MAX_TEXT_BYTES) else {
        panic!("an error");
    };
    assert_eq!(codec::encode(&message), text);
}
