//! Tests of the part runner: budgets, accounting, the closing line.

use super::*;
use crate::bounds::Bound;
use crate::workspace::Workspace;

static NEVER: AtomicBool = AtomicBool::new(false);

const fn part(name: &'static str, tier: Tier, plan: fn(&Context<'_>) -> Plan) -> Part {
    Part { name, about: "", budget_s: 60, tier, needs_build_tools: false, shows: |_| false, bounds: &[], plan }
}

fn sh(context: &Context<'_>, script: &str) -> Step {
    let mut command = context.workspace.program("sh");
    command.args(["-c", script]);
    Step::from(command)
}

fn ok(context: &Context<'_>) -> Plan {
    Plan::Run(vec![sh(context, "true")])
}

fn bad(context: &Context<'_>) -> Plan {
    Plan::Run(vec![sh(context, "for i in $(seq 1 100); do echo line-$i; done; exit 3")])
}

fn unavailable(_: &Context<'_>) -> Plan {
    Plan::NotRun("no such tool".to_owned())
}

/// Runs `parts` with logs in a folder of their own; gives the report and what the console showed.
fn run_here(parts: &[Part], interrupted: &AtomicBool) -> (Report, String) {
    let logs = tempfile::tempdir().unwrap();
    let workspace = Workspace::find().unwrap();
    let context =
        Context { workspace: &workspace, fuzz_seconds: 1, install_system: false, cargo_tools: logs.path().into() };
    let mut console = Vec::new();
    let report = run(&context, parts, logs.path(), &mut console, interrupted).unwrap();
    (report, String::from_utf8(console).unwrap())
}

fn closing_line(report: &Report) -> String {
    report.summary().lines().last().unwrap().to_owned()
}

#[test]
fn all_parts_passing_is_green_and_the_closing_line_stands_alone() {
    let (report, console) = run_here(&[part("a", Tier::Plain, ok), part("b", Tier::Plain, ok)], &NEVER);
    assert_eq!(closing_line(&report), "2 passed, 0 failed");
    assert!(report.is_green(true));
    assert!(console.contains("=== a: ok"), "{console}");
}

#[test]
fn a_failed_part_shows_the_end_of_its_log_and_the_next_part_still_runs() {
    let (report, console) = run_here(&[part("a", Tier::Plain, bad), part("b", Tier::Plain, ok)], &NEVER);
    assert_eq!(closing_line(&report), "1 passed, 1 failed");
    assert!(!report.is_green(false));
    assert!(console.contains("line-41\n") && console.contains("line-100\n"), "{console}");
    assert!(!console.contains("line-40\n"), "more than the last 60 lines: {console}");
    assert!(console.contains("=== b: ok"), "{console}");
}

#[test]
fn a_part_over_its_budget_is_killed_and_failed() {
    let plan: fn(&Context<'_>) -> Plan =
        |context| Plan::Run(vec![sh(context, "sleep 300 & wait"), sh(context, "true")]);
    let slow = Part { budget_s: 1, ..part("slow", Tier::All, plan) };
    let (report, _) = run_here(&[slow], &NEVER);
    assert_eq!(closing_line(&report), "0 passed, 1 failed");
    assert!(report.summary().contains("over its budget of 1 s"), "{}", report.summary());
    assert!(report.rows[0].seconds < 200);
}

#[test]
fn a_plain_part_that_did_not_run_counts_as_failed() {
    let (report, _) = run_here(&[part("a", Tier::Plain, ok), part("b", Tier::Plain, unavailable)], &NEVER);
    assert_eq!(closing_line(&report), "1 passed, 1 failed");
    assert!(!report.is_green(false));
}

#[test]
fn an_all_part_that_did_not_run_is_told_and_fails_only_when_strict() {
    let (report, console) = run_here(&[part("a", Tier::Plain, ok), part("b", Tier::All, unavailable)], &NEVER);
    assert_eq!(closing_line(&report), "1 passed, 0 failed");
    assert!(report.is_green(false) && !report.is_green(true));
    assert!(console.contains("=== b: NOT RUN (no such tool)"), "{console}");
    assert!(report.summary().contains("1 part(s) NOT RUN"), "{}", report.summary());
}

#[test]
fn nothing_decided_is_never_green() {
    assert!(!Report::default().is_green(false));
    let (report, _) = run_here(&[part("b", Tier::All, unavailable)], &NEVER);
    assert!(!report.is_green(false));
    let (report, _) = run_here(&[part("empty", Tier::All, |_| Plan::Run(Vec::new()))], &NEVER);
    assert_eq!(closing_line(&report), "0 passed, 1 failed");
}

#[test]
fn a_missing_prerequisite_is_not_run_and_a_missing_program_is_failed() {
    let plan: fn(&Context<'_>) -> Plan =
        |context| Plan::Run(vec![sh(context, "exit 1").bringing("a package"), sh(context, "true")]);
    let gone: fn(&Context<'_>) -> Plan =
        |context| Plan::Run(vec![Step::from(context.workspace.program("no-such-program-anywhere"))]);
    let (report, _) = run_here(&[part("a", Tier::All, plan), part("b", Tier::All, gone)], &NEVER);
    assert!(matches!(&report.rows[0].outcome, Outcome::NotRun(why) if why.contains("a package could not be had")));
    assert!(matches!(&report.rows[1].outcome, Outcome::Failed(why) if why.contains("cannot start")));
}

#[test]
fn without_build_tools_the_parts_that_need_them_do_not_run() {
    let needy = Part { needs_build_tools: true, ..part("needy", Tier::Plain, ok) };
    let (report, _) = run_here(&[part(tools::PART, Tier::Plain, bad), needy, part("c", Tier::Plain, ok)], &NEVER);
    assert!(matches!(report.rows[1].outcome, Outcome::NotRun(_)));
    assert_eq!(closing_line(&report), "1 passed, 2 failed");
}

#[test]
fn an_interrupt_fails_the_running_part_and_leaves_the_rest_unrun() {
    let plan: fn(&Context<'_>) -> Plan = |context| Plan::Run(vec![sh(context, "exec sleep 300")]);
    let (report, _) = run_here(&[part("a", Tier::Plain, plan), part("b", Tier::All, ok)], &AtomicBool::new(true));
    assert!(matches!(report.rows[1].outcome, Outcome::NotRun(_)));
    assert!(!report.is_green(false));
}

#[test]
fn closing_lines_of_a_part_reach_the_console() {
    let talk: fn(&Context<'_>) -> Plan = |context| Plan::Run(vec![sh(context, "seq 3; echo '  Summary [ 1s ]'")]);
    let shown = Part { shows: |line| line.contains("Summary ["), ..part("a", Tier::Plain, talk) };
    let (_, console) = run_here(&[shown], &NEVER);
    assert!(console.contains("\nSummary [ 1s ]\n") && !console.contains("\n3\n"), "{console}");
}

#[test]
fn a_bound_that_is_held_fails_the_part_and_is_told_either_way() {
    const HELD: &[Bound] = &[Bound { what: "some", program: "tests/some/main.rs", most_s: 1, is_held: true }];
    const TOLD: &[Bound] = &[Bound { what: "some", program: "tests/some/main.rs", most_s: 1, is_held: false }];
    let slow: fn(&Context<'_>) -> Plan = |context| {
        let log =
            "echo 'Running tests/some/main.rs (t)'; echo 'test result: ok. 1 passed; 0 failed; finished in 2.00s'";
        Plan::Run(vec![sh(context, log)])
    };
    let parts = [
        Part { bounds: HELD, ..part("held", Tier::All, slow) },
        Part { bounds: TOLD, ..part("told", Tier::All, slow) },
    ];
    let (report, console) = run_here(&parts, &NEVER);
    assert_eq!(closing_line(&report), "1 passed, 1 failed");
    assert_eq!(console.matches("\nsome: 2.0 s, at most 1 s").count(), 2, "{console}");
}
