//! The records of a soak: what counts as what, and what the numbers allow to say.

use super::*;

fn report(dir: &Path, verdicts: &[&str], died: Option<&str>) -> PathBuf {
    let cases: Vec<serde_json::Value> = verdicts
        .iter()
        .enumerate()
        .map(|(index, verdict)| serde_json::json!({"id": format!("case-{index}"), "verdict": verdict, "findings": [{"requirement": "END-S2"}]}))
        .collect();
    let file = dir.join("report.json");
    fs::write(&file, serde_json::json!({"subject": {"died": died}, "cases": cases}).to_string()).unwrap();
    file
}

fn verdict(verdicts: &[&str], died: Option<&str>, code: i32) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let mut record = Record::new("python", "plain", 1);
    record.read(&report(dir.path(), verdicts, died), Some(code));
    record.verdict
}

#[test]
fn a_run_passes_only_if_something_passed_and_nothing_else_happened() {
    assert_eq!(verdict(&["PASS", "NOT_TESTED", "NOT_APPLICABLE"], None, 0), Verdict::Passed);
    assert_eq!(verdict(&["PASS", "DEADLOCK"], None, 1), Verdict::Failed);
    assert_eq!(verdict(&["PASS"], Some("signal 11"), 1), Verdict::Failed);
    assert_eq!(verdict(&["PASS", "INCONCLUSIVE"], None, 3), Verdict::Undecided);
    assert_eq!(verdict(&["NOT_TESTED"], None, 3), Verdict::Undecided);
    assert_eq!(verdict(&["PASS", "HARNESS_ERROR"], None, 70), Verdict::Failed);
    assert_eq!(verdict(&["PASS"], None, 2), Verdict::Broken);
}

#[test]
fn a_run_without_a_report_is_broken_and_counts_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = Record::new("python", "plain", 1);
    record.read(&dir.path().join("none.json"), Some(0));
    assert_eq!(record.verdict, Verdict::Broken);
    assert_eq!(Sum::of([&record].into_iter()).runs, 0);
}

#[test]
fn the_bound_is_that_of_clopper_and_pearson() {
    let near = |bound: f64, known: f64| assert!((bound - known).abs() < 1e-4, "{bound} is not {known}");
    near(upper_bound(0, 1_000), 0.002_991);
    near(upper_bound(0, 10), 0.258_866);
    near(upper_bound(1, 10), 0.394_163);
    near(upper_bound(3, 100), 0.075_716);
    near(upper_bound(10, 10), 1.0);
}

#[test]
fn results_are_read_back_and_the_next_seed_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = Results::load(dir.path(), None).unwrap();
    let mut record = Record::new("node", "bytes", 1);
    record.verdict = Verdict::Passed;
    results.add(record).unwrap();
    fs::write(&results.file, fs::read_to_string(&results.file).unwrap() + "{\"half\": ").unwrap();
    let again = Results::load(dir.path(), None).unwrap();
    assert_eq!((again.recorded("node", "bytes"), again.recorded("node", "plain")), (1, 0));
    let table = again.table("server", &[("node", "bytes", true), ("node", "slow", true), ("model", "slow", false)]);
    assert!(table.lines().any(|line| line.starts_with("node           bytes           1       0")), "{table}");
    assert!(table.contains("nothing known") && table.contains("n/a"), "{table}");
}

fn by_stack(record: &Record) -> Option<String> {
    Some(record.stack.clone())
}

#[test]
fn where_one_need_not_pass_it_must_not_fail_either() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = Results::load(dir.path(), None).unwrap();
    let sort = |record: &Record| (record.profile != "stalls").then(|| format!("{} {}", record.stack, record.profile));
    let mut add = |profile, verdict| {
        let mut record = Record::new("node", profile, 1);
        record.verdict = verdict;
        results.add(record).unwrap();
        results.verdict_of_this_run(sort)
    };
    assert_eq!(add("stalls", Verdict::Undecided), Verdict::Undecided, "nothing passed");
    assert_eq!(add("plain", Verdict::Passed), Verdict::Passed);
    assert_eq!(add("bytes", Verdict::Undecided), Verdict::Undecided);
    assert_eq!(add("bytes", Verdict::Passed), Verdict::Passed);
    assert_eq!(add("stalls", Verdict::Failed), Verdict::Failed);
}

#[test]
fn a_run_is_good_only_if_each_server_passed_and_none_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = Results::load(dir.path(), None).unwrap();
    assert_eq!(results.verdict_of_this_run(by_stack), Verdict::Undecided);
    let mut add = |stack, verdict| {
        let mut record = Record::new(stack, "plain", 1);
        record.verdict = verdict;
        results.add(record).unwrap();
        results.verdict_of_this_run(by_stack)
    };
    assert_eq!(add("node", Verdict::Passed), Verdict::Passed);
    assert_eq!(add("python", Verdict::Undecided), Verdict::Undecided);
    assert_eq!(add("python", Verdict::Passed), Verdict::Passed);
    assert_eq!(add("node", Verdict::Failed), Verdict::Failed);
}
