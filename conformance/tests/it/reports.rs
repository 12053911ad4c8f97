//! What people and machines read: the report as text, JSON and JUnit, traces, and the pages of `explain`. Nothing with a
//! time in it is compared.

use std::process::Command;

use lastword::certificate::{Aside, Hindrance, LevelReport};
use lastword::coverage::{Coverage, Transition};
use lastword::report::{
    CaseReport, Counts, FindingReport, KnownReport, Measured, Report, RequirementReport, SubjectReport,
    TranscriptReport, TranscriptsReport, WireLine, render, to_junit,
};
use quick_junit::{NonSuccessKind, TestCaseStatus};
use serde_json::json;

use crate::peer::{self, Setup};

/// What a hostile peer may put into a report.
const HOSTILE: &str = "NUL \u{0} bell \u{7} emoji \u{1f600} end ]]> tag <a b=\"c\"> and & \u{ffff} lone";

fn case(id: &str, verdict: &str) -> CaseReport {
    let failed = matches!(verdict, "FAIL" | "DEADLOCK" | "LIVELOCK" | "HUNG");
    CaseReport {
        id: id.into(),
        area: id.split('/').nth(1).unwrap_or_default().into(),
        title: format!("what {id} looks for"),
        covers: vec!["END-S5".into()],
        verdict: verdict.into(),
        failed,
        reason: None,
        closing: None,
        findings: Vec::new(),
        suspicions: Vec::new(),
        known: None,
        latency: None,
        late_once: Vec::new(),
        confirmed: None,
        attempts: 1,
        took_ms: 12,
        wire_log: Vec::new(),
        second_wire_log: Vec::new(),
        trace_file: None,
        again: format!("lastword certify server ws://subject/ --only {id}"),
    }
}

fn finding(kind: &str, verdict: &str, requirement: &str, message: &str) -> FindingReport {
    FindingReport {
        kind: kind.into(),
        verdict: verdict.into(),
        culprit: "server".into(),
        requirement: requirement.into(),
        level: "MUST".into(),
        clause: "The clause.".into(),
        state: "Draining".into(),
        message: message.into(),
        conn: 0,
        frames: vec![3],
        t_us: 1_500_000,
    }
}

/// A report with every verdict in it.
fn report() -> Report {
    let failing = CaseReport {
        findings: vec![finding("DUPLICATE_ANSWER", "FAIL", "END-S5", HOSTILE)],
        closing: Some("server closed with 1000".into()),
        confirmed: Some("alone".into()),
        wire_log: vec![WireLine {
            t_us: 1_400_000,
            event: 3,
            conn: 0,
            text: "client -> {\"type\":\"end_of_stream\"}".into(),
        }],
        trace_file: Some("server.end.second-sentinel.jsonl".into()),
        ..case("server/end/second-sentinel", "FAIL")
    };
    let also = CaseReport {
        findings: vec![finding("DUPLICATE_ANSWER", "FAIL", "END-S5", "the same again")],
        confirmed: Some("server/end/second-sentinel".into()),
        ..case("server/end/audio-after-end", "FAIL")
    };
    let known = CaseReport {
        findings: vec![finding("STALLED", "FAIL", "FLU-S2", "owes flushed")],
        known: Some(KnownReport {
            id: "server/flush/*".into(),
            reason: "being mended".into(),
            issue: Some("#12".into()),
            expires: Some("2031-01-01".into()),
        }),
        ..case("server/flush/nothing", "FAIL")
    };
    let undecided = CaseReport {
        reason: Some("not repeatable: LATE [KA-S6]".into()),
        confirmed: Some("not repeated".into()),
        second_wire_log: vec![WireLine { t_us: 1_000, event: 0, conn: 0, text: "open".into() }],
        ..case("server/keepalive/acknowledged", "INCONCLUSIVE")
    };
    let skipped = CaseReport {
        reason: Some("the condition never arose for PRG-S1".into()),
        ..case("server/progress/while-draining", "NOT_TESTED")
    };
    let ours =
        CaseReport { reason: Some("the harness broke off".into()), ..case("server/security/no-echo", "HARNESS_ERROR") };
    Report {
        role: "server".into(),
        lastword_report: 1,
        harness: "0.0.0".into(),
        subject: SubjectReport { url: "ws://subject/".into(), command: None, died: None, fell: None },
        seed: 1,
        exit_code: 70,
        counts: Counts {
            pass: 1,
            failed: 2,
            known: 1,
            inconclusive: 1,
            harness_error: 1,
            not_tested: 1,
            ..Counts::default()
        },
        announced: None,
        measured: Measured {
            ready_us: Some(900),
            last_final_us: None,
            ended_us: Some(25_000),
            session_ms: Some(30),
            broken: None,
        },
        cases: vec![case("server/end/plain", "PASS"), failing, also, known, undecided, skipped, ours],
        suite: None,
        requirements: vec![RequirementReport {
            id: "END-S5".into(),
            level: "MUST".into(),
            verdict: "FAIL".into(),
            cases: vec!["server/end/second-sentinel".into()],
        }],
        level: LevelReport {
            at_most: None,
            level: None,
            hindrances: vec![
                Hindrance { what: "1 MUST broken".into(), requirements: vec!["END-S5".into()], remedy: None },
                Hindrance {
                    what: "1 MUST undecided: the subject's timer of 60000 ms is longer than --max-wait 45 s".into(),
                    requirements: vec!["KA-S2".into()],
                    remedy: Some("give --max-wait 60".into()),
                },
            ],
            suite: None,
            never_arose: vec![Aside {
                requirement: "PRG-S1".into(),
                why: "the condition never arose for PRG-S1".into(),
            }],
            not_applicable: Vec::new(),
        },
        coverage: Coverage {
            transitions: 107,
            visited: 106,
            unvisited: vec![Transition {
                state: "Draining".into(),
                input: "loss".into(),
                next: "Closed".into(),
                requirements: Vec::new(),
            }],
        },
        unmatched: Vec::new(),
        list_faults: vec!["`server/end/plain` is listed as a known failure and passes: take it off the list".into()],
        transcripts: Some(TranscriptsReport {
            errors: 1,
            words: 4,
            word_error_rate_percent: Some(25.0),
            each: vec![TranscriptReport {
                name: "lamp.wav".into(),
                said: Some("turn on the lamp".into()),
                heard: Some("turn off the lamp".into()),
                errors: Some(1),
                audio_ms: 1_000,
                first_partial_us: Some(200_000),
                last_final_us: Some(30_000),
                ended_us: Some(30_500),
            }],
        }),
        jobs_at_end: 16,
        connections: 12,
        audio_ms: 9_000,
        took_ms: 2_345,
    }
}

#[test]
fn the_report_for_people_tells_each_breach_once_and_in_full() {
    insta::assert_snapshot!(render(&report()));
}

#[test]
fn the_json_report_comes_back_as_it_was() {
    let text = serde_json::to_string(&report()).expect("JSON");
    let back: Report = serde_json::from_str(&text).expect("its own form");
    assert_eq!(serde_json::to_value(&back).expect("JSON"), serde_json::to_value(report()).expect("JSON"));
}

#[test]
fn the_junit_report_is_well_formed_whatever_a_peer_says_and_maps_every_verdict() {
    let text = to_junit(&report()).expect("XML");
    let back = quick_junit::Report::deserialize_from_str(&text).expect("well-formed XML");
    let status = |id: &str| {
        let cases = back.test_suites.iter().flat_map(|suite| &suite.test_cases);
        cases
            .into_iter()
            .find(|case| case.name.as_str() == id)
            .unwrap_or_else(|| panic!("{id} is missing"))
            .status
            .clone()
    };
    let kind = |id: &str| match status(id) {
        TestCaseStatus::Success { .. } => "success",
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => "failure",
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => "error",
        TestCaseStatus::Skipped { .. } => "skipped",
    };
    assert_eq!(kind("server/end/plain"), "success");
    assert_eq!(kind("server/end/second-sentinel"), "failure");
    assert_eq!(kind("server/flush/nothing"), "skipped");
    assert_eq!(kind("server/keepalive/acknowledged"), "error");
    assert_eq!(kind("server/security/no-echo"), "error");
    assert_eq!(kind("server/progress/while-draining"), "skipped");
    let TestCaseStatus::NonSuccess { message: Some(message), .. } = status("server/end/second-sentinel") else {
        panic!("a failure has a message")
    };
    assert!(message.as_str().contains("\u{1f600} end ]]> tag <a b=\"c\"> and &"), "{message:?}");
}

#[test]
fn the_pages_of_explain_and_help_say_what_they_said() {
    let page = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lastword")).args(arguments).output().expect("the command runs");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    insta::assert_snapshot!("explain_case", page(&["explain", "server/end/second-sentinel"]));
    insta::assert_snapshot!("explain_kind", page(&["explain", "LOST_FINAL"]));
    insta::assert_snapshot!("help_certify_server", page(&["certify", "server", "--help"]));
}

/// The trace of a session without audio: whole, with times and ports hidden.
#[test]
fn a_trace_says_what_went_over_the_wire() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let port = runtime.block_on(peer::spawn_on(0, Setup::default()));
    let output = Command::new(env!("CARGO_BIN_EXE_lastword"))
        .args([
            "certify",
            "server",
            &format!("ws://127.0.0.1:{port}/v1/listen"),
            "--only",
            "server/end/no-audio",
            "--log-dir",
        ])
        .arg(folder.path())
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(folder.path().join("server.end.no-audio.jsonl")).expect("the trace");
    lastword_spec::trace::read(&text).expect("it is a trace");
    let lines: Vec<String> = text.lines().map(|line| without_times(line, port)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

fn without_times(line: &str, port: u16) -> String {
    let mut line: serde_json::Value = serde_json::from_str(&line.replace(&port.to_string(), "PORT")).expect("JSON");
    for (object, member) in [("/t_us", "t_us"), ("/control/took_ms", "took_ms"), ("/time_scale_percent", "scale")] {
        if let Some(value) = line.pointer_mut(object) {
            *value = json!(format!("[{member}]"));
        }
    }
    // The scale stands in the header only where the machine was busy.
    if let Some(header) = line.as_object_mut() {
        header.remove("time_scale_percent");
    }
    line.to_string()
}
