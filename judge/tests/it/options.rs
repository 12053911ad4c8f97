//! What `ready.config` may say of each option: the default where it was not asked for, what was asked for, or that it is ignored.

use lastword_judge::{Options, judge};
use lastword_spec::trace::Spoken;

use super::scene::{READY, broken};

const COMPARED: &[(&str, &str, &str, &str)] = &[
    // Path, the member of `config` that asks for the default, how `ready` says it, how `ready` says something else.
    ("audio.encoding", r#""audio":{"encoding":"pcm_s16le"}"#, r#""pcm_s16le""#, r#""pcm_mulaw""#),
    (
        "audio.sample_rate_hz",
        r#""audio":{"sample_rate_hz":16000}"#,
        r#""sample_rate_hz":16000"#,
        r#""sample_rate_hz":8000"#,
    ),
    ("audio.channels", r#""audio":{"channels":1}"#, r#""channels":1"#, r#""channels":2"#),
    ("interim_results", r#""interim_results":true"#, r#""interim_results":true"#, r#""interim_results":false"#),
    ("words", r#""words":false"#, r#""words":false"#, r#""words":true"#),
    ("vad_events", r#""vad_events":false"#, r#""vad_events":false"#, r#""vad_events":true"#),
    ("endpointing.mode", r#""endpointing":{"mode":"vad"}"#, r#""mode":"vad""#, r#""mode":"none""#),
    ("endpointing.silence_ms", r#""endpointing":{"silence_ms":500}"#, r#""silence_ms":500"#, r#""silence_ms":501"#),
    (
        "endpointing.max_segment_ms",
        r#""endpointing":{"max_segment_ms":30000}"#,
        r#""max_segment_ms":30000"#,
        r#""max_segment_ms":30001"#,
    ),
];

/// What is broken by this `ready` after a `config` with these members.
fn answered(members: &str, ready: &str) -> Vec<String> {
    let comma = if members.is_empty() { "" } else { "," };
    broken(&[(0, "open"), (0, &format!(r#">{{"type":"config"{comma}{members}}}"#)), (10, ready)])
}

fn ignoring(ready: &str, path: &str) -> String {
    ready.replace(r#""ignored":[]"#, &format!(r#""ignored":["{path}"]"#))
}

#[test]
fn an_option_has_its_default_or_what_was_asked_for_or_is_listed_as_ignored() {
    for (path, asks, said, other) in COMPARED {
        let ready = READY.replace(said, other);
        assert_ne!(ready, READY, "{path}");
        assert_eq!(answered(asks, READY), [""; 0], "{path}");
        assert_eq!(answered("", &ready), ["CFG-S4"], "{path}");
        assert_eq!(answered(asks, &ready), ["CFG-S12"], "{path}");
        assert_eq!(answered(asks, &ignoring(&ready, path)), [""; 0], "{path}");
    }
}

#[test]
fn an_object_in_the_list_of_ignored_options_stands_for_all_in_it() {
    let ready = READY.replace(r#""silence_ms":500"#, r#""silence_ms":501"#);
    let asks = r#""endpointing":{"silence_ms":500}"#;
    assert_eq!(answered(asks, &ignoring(&ready, "endpointing")), [""; 0]);
    assert_eq!(answered(asks, &ignoring(&ready, "endpoint")), ["CFG-S12"]);
    assert_eq!(answered(asks, &ignoring(&ready, "endpointing.silence_ms.x")), ["CFG-S12"]);
}

#[test]
fn an_option_that_need_not_be_served_is_listed_where_it_is_not() {
    let with = |member: &str| READY.replace(r#""interim_results""#, &format!(r#"{member},"interim_results""#));
    for (path, asks, right, other) in [
        ("language", r#""language":"en""#, r#""language":"en""#, r#""language":"de""#),
        ("task", r#""task":"translate""#, r#""task":"translate""#, r#""task":"transcribe""#),
        ("languages", r#""languages":["en","de"]"#, r#""languages":["en","de"]"#, r#""languages":["en"]"#),
        ("keyterms", r#""keyterms":["alpha"]"#, r#""keyterms":["alpha"]"#, r#""keyterms":["beta"]"#),
    ] {
        assert_eq!(answered(asks, &with(right)), [""; 0], "{path}");
        assert_eq!(answered(asks, READY), ["CFG-S10"], "{path}: absent");
        assert_eq!(answered(asks, &ignoring(READY, path)), [""; 0], "{path}: listed");
        // Transcription is what a server does that serves no task.
        let clause = if path == "task" { "CFG-S10" } else { "CFG-S12" };
        assert_eq!(answered(asks, &with(other)), [clause], "{path}: another");
        assert_eq!(answered("", &with(other)), [""; 0], "{path}: not asked for, no default");
    }
    for path in ["words", "vad_events"] {
        let asks = format!(r#""{path}":true"#);
        assert_eq!(answered(&asks, READY), ["CFG-S10"], "{path}");
        assert_eq!(answered(&asks, &ignoring(READY, path)), [""; 0], "{path}");
        let in_force = READY.replace(&format!(r#""{path}":false"#), &format!(r#""{path}":true"#));
        assert_eq!(answered(&asks, &in_force), [""; 0], "{path}");
        let denied = in_force.replace(r#""capabilities":{}"#, &format!(r#""capabilities":{{"{path}":false}}"#));
        assert_eq!(answered(&asks, &denied), ["CFG-S10"], "{path}: in force and not served");
        assert_eq!(answered(&asks, &ignoring(&denied, path)), [""; 0], "{path}");
    }
}

#[test]
fn a_format_is_served_as_asked_or_refused() {
    let asks = r#""audio":{"sample_rate_hz":8000,"channels":2}"#;
    let with = |capabilities: &str| {
        let ready = READY.replace(r#""sample_rate_hz":16000,"channels":1"#, r#""sample_rate_hz":8000,"channels":2"#);
        ready.replace(r#""capabilities":{}"#, &format!(r#""capabilities":{{{capabilities}}}"#))
    };
    assert_eq!(answered(asks, READY), ["CFG-S6"], "replaced");
    for served in ["", r#""max_channels":2"#, r#""sample_rates_hz":[8000,16000]"#, r#""encodings":["pcm_s16le"]"#] {
        assert_eq!(answered(asks, &with(served)), [""; 0], "{served}");
    }
    for excluded in [r#""max_channels":1"#, r#""sample_rates_hz":[16000]"#, r#""encodings":["pcm_mulaw"]"#] {
        assert_eq!(answered(asks, &with(excluded)), ["CFG-S6"], "{excluded}");
    }
}

#[test]
fn a_model_is_the_one_that_was_asked_for() {
    let asks = r#""model":"small""#;
    let with = |model: &str, capabilities: &str| {
        let ready = READY.replace(r#""interim_results""#, &format!(r#""model":"{model}","interim_results""#));
        ready.replace(r#""capabilities":{}"#, &format!(r#""capabilities":{{{capabilities}}}"#))
    };
    assert_eq!(answered(asks, &with("small", "")), [""; 0]);
    assert_eq!(answered(asks, &with("small", r#""models":["small","large"]"#)), [""; 0]);
    assert_eq!(answered(asks, &with("large", "")), ["CFG-S7"]);
    assert_eq!(answered(asks, &with("small", r#""models":["large"]"#)), ["CFG-S7"]);
    assert_eq!(answered(asks, READY), ["CFG-S7"]);
    assert_eq!(answered(asks, &ignoring(READY, "model")), ["CFG-S7"]);
}

#[test]
fn what_is_required_is_served_or_the_session_is_refused() {
    let with = |path: &str, ready: &str| answered(&format!(r#""required":["{path}"]"#), ready);
    assert_eq!(with("interim_results", READY), [""; 0]);
    assert_eq!(with("interim_results", &ignoring(READY, "interim_results")), ["CFG-S9"]);
    assert_eq!(with("teleportation", READY), ["CFG-S9"]);
}

#[test]
fn what_a_dialect_cannot_show_is_named_in_the_judgement() {
    let mut trace = super::scene::scene(&[(0, "open")]);
    let unbound = vec!["PRG-S1".to_owned(), "PRG-S99".to_owned()];
    trace.header.dialect = Some(Spoken { name: "other".to_owned(), not_binding: unbound, lacks: Vec::new() });
    let judgement = judge(&trace, &Options::default());
    assert_eq!(judgement.not_binding.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["PRG-S1"]);
}
