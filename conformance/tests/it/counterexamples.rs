//! The counterexamples that the checker found, read by the judge, which has never seen the machines that they were found with.

use std::collections::BTreeSet;
use std::path::Path;

use lastword_judge::{Monitor, Options, judge, render};
use lastword_spec::trace::{self, Side};

#[test]
fn the_judge_finds_in_each_counterexample_what_its_header_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../check/traces");
    let mut wrong = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of counterexamples") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a trace is text");
        let trace = trace::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: BTreeSet<String> = trace.header.expect.iter().flatten().cloned().collect();
        let judgement = judge(&trace, &Options::default());
        let findings = &judgement.findings;
        let found = findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect();
        let guilty = findings.iter().all(|finding| finding.culprit.as_str() == trace.header.subject.as_str());
        if expected != found || !guilty {
            let told: String = findings.iter().map(|finding| format!("\n    {}", render(finding))).collect();
            wrong.push_str(&format!("\n  {name}: expected {expected:?}{told}"));
        }
        count += usize::from(!expected.is_empty());
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 25, "only {count} counterexamples that show something");
}

#[test]
fn the_ledger_names_the_debtor_and_the_debt_of_a_silence() {
    for (name, debtor, what) in [
        ("no-sentinel", Side::Client, "audio, keepalive or end_of_stream"),
        ("no-sentinel-keepalive", Side::Client, "audio, keepalive or end_of_stream"),
        ("receiver-gone", Side::Client, "Close"),
        ("waits-for-audio", Side::Server, "session_ended"),
        ("both-wait-for-close", Side::Server, "Close"),
        ("flushed-never-awaited", Side::Server, "flushed"),
        ("ready-never", Side::Server, "ready or a fatal error"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../check/traces/{name}.jsonl"));
        let trace = trace::read(&std::fs::read_to_string(path).expect("a trace is text")).expect("a trace");
        let mut monitor = Monitor::new(&trace.header, &Options::default());
        for event in &trace.events {
            monitor.observe(event);
        }
        let owed = monitor.owed(0);
        assert!(owed.iter().any(|debt| debt.debtor == debtor && debt.what == what), "{name}: {owed:?}");
    }
}
