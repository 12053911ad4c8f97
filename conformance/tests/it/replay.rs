//! `lastword replay` as a process: what it says of a broken trace and of a good one, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use lastword::exit;
use serde_json::Value;

use crate::command::serve;
use crate::peer::{Fault, Setup};

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
fn a_deadlock_in_a_trace_is_told_with_its_evidence_as_in_a_report() {
    let output = replay(&[&format!("{TRACES}/END-S7--masked-by-a-timer.jsonl")]);
    assert_eq!(code(&output), exit::VIOLATION);
    insta::assert_snapshot!("replay_deadlock", text(&output));
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
    for folder in [folder.clone(), folder.join("good"), folder.join("client")] {
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

/// Plays traces of the judge to a server of this setup and gives back what the command said, as JSON.
fn against(setup: Setup, traces: &[&str], more: &[&str]) -> (u8, Value) {
    let url = format!("ws://127.0.0.1:{}/v1/listen", serve(setup));
    let files: Vec<String> = traces.iter().map(|name| format!("{TRACES}/{name}.jsonl")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = replay(&[&["--json", "--against", &url], more, files.as_slice()].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (code(&output), serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")))
}

#[test]
fn a_trace_that_is_played_to_the_server_that_broke_it_is_found_again_every_time_and_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new.jsonl");
    let file = path.to_str().expect("a plain path");
    let faulty = Setup { fault: Fault::FinalAfterEnd, ..Setup::default() };
    let (exit_code, said) = against(faulty, &["END-S3--final-after-end"], &["--times", "3", "--record", file]);
    assert_eq!(exit_code, exit::VIOLATION, "{said:#}");
    assert_eq!(said["against"][0]["repeats"]["always"], serde_json::json!(["END-S3"]), "{said:#}");
    assert_eq!(said["against"][0]["rounds"].as_array().map(Vec::len), Some(3));
    let recorded = replay(&[file]);
    assert_eq!(code(&recorded), exit::VIOLATION);
    assert!(text(&recorded).contains("as expected: END-S3"), "{}", text(&recorded));
}

#[test]
fn traces_that_are_played_to_a_server_that_keeps_the_rules_find_nothing_whatever_they_showed() {
    let traces = [
        "END-S5--second-end",
        "END-S2--never-ends",
        "good/early-end",
        "good/before-config",
        "good/cancel-while-draining",
    ];
    // A second of audio is still to be worked off when the sentinel comes: what follows it is read before the session ends.
    let paced = Setup { speed: 1, ..Setup::default() };
    let (exit_code, said) = against(paced, &traces, &["--max-gap-ms", "50"]);
    assert_eq!(exit_code, exit::PASS, "{said:#}");
    let never = |index: usize| said["against"][index]["repeats"]["never"].clone();
    assert_eq!((never(0), never(1)), (serde_json::json!(["END-S5"]), serde_json::json!(["END-S2"])));
    for one in said["against"].as_array().expect("traces") {
        assert!(one["rounds"][0]["exercised"].as_array().is_some_and(|ids| !ids.is_empty()), "{one:#}");
    }
}

#[test]
fn a_stall_in_a_trace_is_waited_for_and_found_again_with_a_control_session() {
    let faulty = Setup { fault: Fault::WaitsForMore, ..Setup::default() };
    let (exit_code, said) = against(faulty, &["END-S2--never-ends"], &["--max-gap-ms", "20"]);
    assert_eq!(said["against"][0]["repeats"]["always"], serde_json::json!(["END-S2"]), "{said:#}");
    assert_eq!(exit_code, exit::VIOLATION);
}

#[test]
fn the_credential_of_the_command_line_is_shown_and_stands_in_no_output() {
    let secret = "sesame-open-up";
    let setup = Setup { token: Some(secret.into()), ..Setup::default() };
    let (exit_code, said) = against(setup, &["good/plain"], &["--token", secret]);
    assert_eq!(exit_code, exit::PASS, "{said:#}");
    assert!(!said.to_string().contains(secret));
}

#[test]
fn what_belongs_to_playing_is_refused_without_a_server() {
    let good = format!("{TRACES}/good/plain.jsonl");
    for wrong in [vec!["--times", "5"], vec!["--record", "x"], vec!["--against", "http://a/"]] {
        assert_eq!(code(&replay(&[wrong.as_slice(), &[&good]].concat())), exit::USAGE, "{wrong:?}");
    }
}
