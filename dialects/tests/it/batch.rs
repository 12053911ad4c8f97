//! The transcript of a whole recording in the words of a service.

use lastword_dialects::{BatchSegment, BatchTranscript, Dialect};
use serde_json::json;

fn transcript() -> BatchTranscript {
    let segment =
        |text: &str, start_ms, end_ms, confidence| BatchSegment { text: text.to_owned(), start_ms, end_ms, confidence };
    BatchTranscript {
        text: "one two".to_owned(),
        language: None,
        duration_ms: 2_500,
        segments: vec![segment("one", 0, 1_250, Some(1.0)), segment("two", 1_250, 2_000, None)],
    }
}

#[test]
fn the_answer_is_what_the_file_says_in_its_units() {
    let dialect = Dialect::builtin("whisper-fastapi").expect("built in");
    let batch = dialect.batch().expect("it has one");
    assert_eq!((batch.path(), batch.file_field()), ("/transcribe", "file"));
    let one = json!({ "text": "one", "start": 0.0, "end": 1.25, "confidence": 0.0 });
    let two = json!({ "text": "two", "start": 1.25, "end": 2.0 });
    let expected = json!({ "text": "one two", "language": null, "duration": 2.5, "segments": [one, two] });
    assert_eq!(batch.answer(&transcript()), expected);
    assert_eq!(batch.refusal("no file"), json!({ "detail": "no file" }));
    let known = BatchTranscript { language: Some("en".to_owned()), ..BatchTranscript::default() };
    assert_eq!(batch.answer(&known), json!({ "text": "", "language": "en", "duration": 0.0, "segments": [] }));
}

#[test]
fn a_service_without_it_has_none() {
    for name in ["lastword", "smallest-pulse"] {
        assert!(Dialect::builtin(name).expect("built in").batch().is_none(), "{name}");
    }
}
