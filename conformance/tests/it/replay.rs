//! `lastword replay` as a process: what it says of a broken trace and of a good one, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use lastword::exit;
use serde_json::Value;

/// The judge's own traces, by their paths from this crate, so that no path of a machine stands in a snapshot.
const TRACES: &str = "../judge/traces";

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lastword"))
        .arg("replay")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("LASTWORD_TOKEN")
        .output()
        .expect("the command runs")
}

fn code(output: &Output) -> u8 {
    u8::try_from(output.status.code().expect("no signal")).expect("an exit code")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn a_broken_trace_is_told_with_its_frames_and_its_debts() {
    let output = replay(&[&format!("{TRACES}/END-S2--never-ends.jsonl")]);
    assert_eq!(code(&output), exit::VIOLATION);
    insta::assert_snapshot!("replay_broken", text(&output));
}

#[test]
fn a_good_trace_is_told_in_a_few_lines() {
    let output = replay(&[&format!("{TRACES}/good/plain.jsonl")]);
    assert_eq!(code(&output), exit::PASS);
    insta::assert_snapshot!("replay_good", text(&output));
}

#[test]
fn every_trace_of_the_judge_is_as_its_header_expects_also_as_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRACES);
    let mut files = Vec::new();
    for folder in [folder.clone(), folder.join("good")] {
        let entries = std::fs::read_dir(folder).expect("the folder of traces").map(|entry| entry.expect("an entry"));
        files.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")),
        );
    }
    let files: Vec<&str> = files.iter().map(|path| path.to_str().expect("a plain path")).collect();
    let output = replay(&[&["--json", "--token", "right-token"], files.as_slice()].concat());
    assert_eq!(code(&output), exit::VIOLATION);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let traces = document["traces"].as_array().expect("traces");
    assert_eq!(traces.len(), files.len());
    for one in traces {
        assert_eq!(one["expectation"]["met"], true, "{one:#}");
        let findings = one["findings"].as_array().expect("findings");
        let breaks_a_must = findings.iter().any(|finding| finding["verdict"] != "NON_STRICT");
        assert_eq!(one["exit_code"] == exit::VIOLATION, breaks_a_must, "{one:#}");
    }
}

#[test]
fn what_is_no_trace_is_a_usage_error_with_line_and_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broken.jsonl");
    std::fs::write(&path, "{\"lastword_trace\":1,\"subject\":\"server\"}\n{\"t_us\":1}\n").expect("it can be written");
    let output = replay(&[path.to_str().expect("a plain path")]);
    assert_eq!(code(&output), exit::USAGE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("broken.jsonl") && said.contains("line 2"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_credential_in_a_trace_is_not_printed() {
    let output = replay(&["--token", "right-token", &format!("{TRACES}/SEC-S2--token-repeated.jsonl")]);
    assert_eq!(code(&output), exit::VIOLATION);
    assert!(!text(&output).contains("right-token"), "{}", text(&output));
}
