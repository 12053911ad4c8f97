//! Every way in which a model file was seen to be broken is one clear error, before whisper.cpp sees the file.

use std::path::{Path, PathBuf};

use lastword_server::recognizer::model_file::{KNOWN_MODELS, ModelFileError, check};

const MEL_AT: usize = 48;
const VOCABULARY_AT: usize = 56 + 80 * 201 * 4;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/model/tiny118-en-q5_0.bin")
}

fn good() -> Vec<u8> {
    std::fs::read(fixture()).expect("the fixture model")
}

fn check_bytes(bytes: &[u8]) -> Result<(), ModelFileError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("written");
    check(&path).map(|_| ())
}

fn message(bytes: &[u8]) -> String {
    check_bytes(bytes).expect_err("a broken file was accepted").to_string()
}

/// The file with one number of its header changed.
fn with_i32(at: usize, value: i32) -> Vec<u8> {
    let mut bytes = good();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Where the vocabulary ends and the first tensor starts.
fn tensors_at(bytes: &[u8]) -> usize {
    let mut at = VOCABULARY_AT + 4;
    for _ in 0..u32_at(bytes, VOCABULARY_AT) {
        at += 4 + u32_at(bytes, at);
    }
    at
}

#[track_caller]
fn assert_says(bytes: &[u8], parts: &[&str]) {
    let message = message(bytes);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn the_fixture_model_is_whole_and_known() {
    let checked = check(&fixture()).expect("the fixture model is good");
    assert_eq!(checked.known, Some(KNOWN_MODELS[0]));
    assert!(!checked.is_multilingual());
    assert_eq!((checked.header.n_audio_ctx, checked.header.n_state, checked.header.ftype), (512, 128, 8));
}

#[test]
fn a_whole_file_with_other_weights_passes_as_unknown() {
    let mut bytes = good();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).expect("written");
    assert_eq!(check(&path).expect("whole").known, None);
}

#[test]
fn a_missing_file_and_a_directory_are_named_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = check(&folder.path().join("none.bin")).expect_err("missing").to_string();
    assert!(missing.starts_with("cannot read the model file"), "{missing}");
    let directory = check(folder.path()).expect_err("a directory").to_string();
    assert!(directory.starts_with("the model path is not a regular file"), "{directory}");
}

#[test]
fn a_file_of_another_kind_is_named_by_what_it_looks_like() {
    assert_says(b"", &["not a whisper.cpp model", "is empty"]);
    assert_says(b"lmg", &["has only 3 byte(s)"]);
    assert_says(b"<!DOCTYPE html><html>", &["begins like an HTML or XML page"]);
    assert_says(b"GGUF\x03\0\0\0", &["GGUF"]);
    assert_says(b"version https://git-lfs.github.com/spec/v1\n", &["Git LFS pointer"]);
    assert_says(b"PK\x03\x04\0\0", &["zip or PyTorch"]);
    assert_says(&[0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4], &["[de, ad, be, ef]"]);
}

#[test]
fn random_bytes_with_or_without_the_magic_number_are_refused() {
    let mut state = 1u64;
    let mut random: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    assert_says(&random, &["not a whisper.cpp model"]);
    random[..4].copy_from_slice(b"lmgg");
    assert_says(&random, &["at byte 4, n_vocab is"]);
}

#[test]
fn a_file_cut_off_anywhere_is_truncated_there() {
    let whole = good();
    let tensors = tensors_at(&whole);
    for (length, within) in [
        (4, "n_vocab"),
        (20, "n_audio_layer"),
        (48, "the number of mel filters"),
        (1_000, "the mel filters"),
        (VOCABULARY_AT, "the number of vocabulary entries"),
        (VOCABULARY_AT + 5, "the length of vocabulary entry 0 of"),
        (200_000, "vocabulary entry"),
        (tensors + 2, "tensor 1 of"),
        (tensors + 1_000, "the data of the tensor"),
        (whole.len() / 2, "the data of the tensor"),
        (whole.len() - 1, "the data of the tensor"),
    ] {
        assert_says(&whole[..length], &["truncated", &format!("ends at byte {length}"), within, "download it again"]);
    }
}

#[test]
fn a_file_without_its_tensors_is_refused_although_whisper_cpp_would_load_it() {
    let whole = good();
    assert_says(&whole[..tensors_at(&whole)], &["lacks", "tensors, the first is \"decoder.blocks.0"]);
}

#[test]
fn one_byte_too_many_or_a_second_file_behind_the_first_is_refused() {
    let whole = good();
    let length = whole.len();
    assert_says(&[whole.as_slice(), &[0]].concat(), &["1 byte(s) too many", &format!("from byte {length}")]);
    assert_says(&[whole.clone(), whole].concat(), &[&format!("{length} byte(s) too many")]);
}

#[test]
fn each_impossible_count_is_named_with_its_place_and_what_was_expected() {
    for (at, value, parts) in [
        (4, 51_863, ["at byte 4, n_vocab is 51863", "expected 51864 to 60000"]),
        (4, -1, ["n_vocab is -1", "expected 51864"]),
        (8, 1_501, ["n_audio_ctx is 1501", "64 to 1500"]),
        (12, 0, ["n_audio_state is 0", "32 to 4096"]),
        (12, 160, ["n_text_state is 128", "expected 160"]),
        (16, 0, ["n_audio_head is 0", "1 to 64"]),
        (16, 3, ["128 is not divisible", "3 encoder heads"]),
        (20, 1_000_000, ["n_audio_layer is 1000000", "1 to 64"]),
        (24, i32::MAX, ["n_text_ctx is 2147483647", "32 to 4096"]),
        (32, 0, ["n_text_head is 0", "1 to 64"]),
        (36, -5, ["n_text_layer is -5", "1 to 64"]),
        (40, 4_096, ["n_mels is 4096", "80 to 128"]),
        (44, 0, ["ftype is 0 (f32", "aborts at the first use"]),
        (44, 77, ["ftype is 77", "served are f16"]),
        (44, -2_008, ["ftype is -2008", "served are f16"]),
        (MEL_AT, 1 << 20, ["the number of mel filters is 1048576", "expected 80"]),
        (MEL_AT + 4, 4_096, ["the width of the mel filters is 4096", "expected 201"]),
        (VOCABULARY_AT, i32::MIN, ["the number of vocabulary entries is -2147483648", "50000 to 51864"]),
        (VOCABULARY_AT + 4, -1, ["the length of vocabulary entry 0 of 50256 is -1", "0 to 1024"]),
    ] {
        assert_says(&with_i32(at, value), &parts);
    }
}

#[test]
fn layers_that_the_header_does_not_promise_or_that_the_file_does_not_hold_are_named() {
    assert_says(&with_i32(20, 4), &["lacks", "encoder.blocks.3"]);
    assert_says(&with_i32(20, 2), &["there is a tensor named \"encoder.blocks.2", "unknown or came before"]);
}

#[test]
fn a_tensor_of_another_type_shape_or_name_is_named() {
    let whole = good();
    let at = tensors_at(&whole);
    assert_says(&with_i32(at, 9), &["number of dimensions in the header of tensor 1", "is 9"]);
    assert_says(&with_i32(at + 4, -3), &["length of the name in the header of tensor 1", "is -3"]);
    assert_says(&with_i32(at + 8, -1), &["is of type -1"]);
    assert_says(&with_i32(at + 12, 64), &["and shape [64,", "expected"]);
    // The same file as if its matrices were f16: the first of them contradicts.
    assert_says(&with_i32(44, 1), &["is of type 6", "expected 1"]);
    let name_at = at + 12 + 4 * u32_at(&whole, at);
    let mut renamed = whole;
    renamed[name_at] = b'X';
    assert_says(&renamed, &["there is a tensor named \"X"]);
}

#[test]
fn mel_filters_that_filter_nothing_are_refused() {
    let mut zero = good();
    zero[MEL_AT + 8..VOCABULARY_AT].fill(0);
    assert_says(&zero, &["the mel filters before it are all zero"]);
    let mut ones = good();
    ones[MEL_AT + 8..MEL_AT + 12].fill(0xff);
    assert_says(&ones, &["a mel filter holds NaN"]);
}

#[test]
fn a_message_never_holds_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret-name.bin");
    std::fs::write(&path, b"GGUF").expect("written");
    for wrong in [path.clone(), folder.path().join("secret-name-2.bin")] {
        let said = check(&wrong).expect_err("wrong").to_string();
        assert!(!said.contains("secret-name"), "{said}");
    }
}
