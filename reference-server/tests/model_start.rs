//! A model is taken into service only after it has spoken; one that kills its process kills a child, not the server.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use lastword_server::recognizer::Recognizer;
use lastword_server::recognizer::whisper::{ModelError, ProbeCommand, WhisperOptions, load};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/model/tiny118-en-q5_0.bin")
}

fn options(model: PathBuf) -> WhisperOptions {
    let probe = ProbeCommand::new(PathBuf::from(env!("CARGO_BIN_EXE_lastword-server")));
    WhisperOptions::new(model, NonZeroUsize::MIN, probe)
}

/// Loads the fixture model with some of its bytes changed.
fn load_changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Recognizer, ModelError> {
    let mut bytes = std::fs::read(fixture()).expect("the fixture model");
    change(&mut bytes);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("written");
    load(&options(path))
}

/// The first byte of the data of a tensor.
fn data_of(bytes: &[u8], tensor: &str) -> usize {
    let at = bytes.windows(tensor.len()).position(|window| window == tensor.as_bytes());
    at.expect("the tensor is there") + tensor.len()
}

#[test]
fn the_fixture_model_needs_no_child() {
    let mut options = options(fixture());
    options.probe = ProbeCommand::new(PathBuf::from("no-such-program"));
    let info = load(&options).expect("it is known byte for byte").info().clone();
    assert_eq!((info.engine.as_str(), info.languages.as_slice()), ("whisper", &["en".to_owned()][..]));
    assert_eq!(info.windows.max_ms, 9_000);
}

#[test]
fn an_unknown_whole_model_is_tried_in_a_child_and_then_served() {
    let recognizer = load_changed(|bytes| {
        let at = data_of(bytes, "decoder.ln.bias");
        bytes[at] ^= 1;
    });
    assert_eq!(recognizer.expect("a good model").info().model, "model");
}

#[test]
fn an_unknown_model_is_not_touched_when_the_child_cannot_be_started() {
    let mut bytes = std::fs::read(fixture()).expect("the fixture model");
    let at = data_of(&bytes, "decoder.ln.bias");
    bytes[at] ^= 1;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("written");
    let mut options = options(path);
    options.probe = ProbeCommand::new(PathBuf::from("no-such-program"));
    let error = load(&options).expect_err("nobody tried it").to_string();
    assert!(error.contains("the child process did not start"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_found_in_the_file_or_in_the_trial() {
    // In an f32 tensor they can be seen.
    let error = load_changed(|bytes| {
        let at = data_of(bytes, "encoder.positional_embedding");
        bytes[at..at + 64 * 1024].fill(0xff);
    });
    let error = error.expect_err("not a number").to_string();
    assert!(error.contains("\"encoder.positional_embedding\" holds a weight that is not a finite number"), "{error}");
    // In quantised blocks they show when the model speaks: it says no word.
    let error = load_changed(|bytes| {
        let at = data_of(bytes, "decoder.blocks.0.attn.query.weight");
        bytes[at..at + 10_000].fill(0xff);
    });
    let error = error.expect_err("not a number").to_string();
    assert!(error.starts_with("the model failed its trial in a child process"), "{error}");
}

#[test]
fn a_model_that_says_nothing_is_refused() {
    let error = load_changed(|bytes| {
        let at = data_of(bytes, "decoder.ln.weight");
        bytes[at..at + 512].fill(0);
    });
    let error = error.expect_err("a model without words").to_string();
    assert!(error.starts_with("the model failed its trial in a child process"), "{error}");
}

#[test]
fn a_broken_file_is_refused_before_any_child_is_started() {
    let error = load_changed(|bytes| bytes.push(0)).expect_err("too long");
    assert!(matches!(error, ModelError::File(_)), "{error}");
}

#[test]
fn the_error_of_a_broken_model_holds_no_path() {
    let error = load_changed(|bytes| bytes.truncate(100_000)).expect_err("truncated").to_string();
    assert!(!error.contains("model.bin") && !error.contains('/'), "{error}");
}
