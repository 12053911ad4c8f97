//! The m-complete suite against subjects in memory under paused time: one that keeps the specification, ones that break it, and
//! one that is too quick for its drain to be seen.

use std::sync::Arc;

use lastword::memory::{self, Line};
use lastword::run::Run;
use lastword::suite::{MismatchSummary, Outcome, SuitePlan, SuiteSummary};
use lastword::wire::Dialler;
use lastword_mutants::{Engine, Options, Server, find};
use tokio::io::DuplexStream;

fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// The suite alone.
fn run(accept: impl Fn(DuplexStream) + Send + Sync + 'static, extra_states: usize) -> Run {
    let dialler = Dialler::in_memory(memory::target(), accept);
    let mut plan = memory::plan_with(dialler, Vec::new());
    plan.suite = Some(SuitePlan { extra_states });
    paused(memory::certify(plan)).run
}

fn suite(options: Options, extra_states: usize) -> Run {
    let server = Arc::new(Server::new(options));
    let accept = move |pipe| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.serve(pipe).await });
    };
    run(accept, extra_states)
}

fn summary(run: &Run) -> &SuiteSummary {
    &run.suite.as_ref().expect("the suite was run").summary
}

fn mutant(name: &str) -> SuiteSummary {
    let options = find(name).unwrap_or_else(|| panic!("no mutant {name}")).options();
    summary(&suite(options, 0)).clone()
}

#[test]
fn a_server_that_keeps_the_specification_answers_every_sequence_and_is_seen_in_its_drain() {
    let run = suite(Options::default(), 1);
    let summary = summary(&run);
    assert_eq!(summary.verdict, "PASS", "{summary:#?}");
    assert_eq!((summary.ran, summary.conforming), (summary.planned, summary.planned));
    assert!(summary.draining > 300 && summary.not_reached == 0);
    assert_eq!(run.results.len(), 1);
    assert_eq!(run.planned, 1);
}

#[test]
fn a_fault_in_one_state_is_found_there_with_its_requirement() {
    for (name, requirement) in [
        ("late-audio-answered-each", "END-S4"),
        ("second-sentinel-illegal", "END-S5"),
        ("late-keepalive-acknowledged", "KA-S5"),
        ("late-flush-served", "STA-S1"),
        ("broken-frame-answered-each", "AUD-S2"),
        ("acknowledgement-unsaid", "KA-S6"),
        ("broken-frame-unanswered", "AUD-S2"),
        ("client-close-drops", "CLO-S3"),
    ] {
        let summary = mutant(name);
        let about = |one: &MismatchSummary| one.findings.iter().any(|said| said.contains(requirement));
        assert_eq!(summary.verdict, "FAIL", "{name}: {summary:#?}");
        assert!(summary.mismatches.iter().any(about), "{name}: {summary:#?}");
    }
}

#[test]
fn a_subject_that_completes_no_control_session_is_not_put_to_the_suite() {
    let summary = mutant("never-ends");
    assert_eq!((summary.verdict.as_str(), summary.ran), ("INCONCLUSIVE", 0), "{summary:#?}");
}

#[test]
fn no_line_however_slow_makes_a_correct_server_fail() {
    for line in [Line::Jitter { max_ms: 500 }, Line::Stalls { every_ms: 9_000, for_ms: 2_000 }, Line::OneByte] {
        let server = Arc::new(Server::new(Options::default()));
        let accept = move |pipe| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.serve(pipe).await });
        };
        let run = run(memory::over(line, 1, accept), 0);
        let summary = summary(&run);
        assert_eq!((summary.mismatching, summary.ran), (0, summary.planned), "{line:?}: {summary:#?}");
        assert!(summary.conforming * 10 >= summary.planned * 9, "{line:?}: {summary:#?}");
    }
}

#[test]
fn a_drain_that_is_over_at_once_leaves_the_suite_undecided_and_says_so() {
    let engine = Engine { cost_ms_per_audio_s: 0, ..Engine::default() };
    let run = suite(Options { engine, ..Options::default() }, 0);
    let summary = summary(&run);
    assert_eq!((summary.verdict.as_str(), summary.not_reached), ("INCONCLUSIVE", summary.draining), "{summary:#?}");
    assert!(summary.reason.as_deref().is_some_and(|why| why.contains("drain too fast")), "{summary:#?}");
    assert_eq!(summary.conforming, summary.planned - summary.draining);
}

#[test]
fn every_sequence_can_be_examined_again_from_its_trace_alone() {
    let run = suite(Options::default(), 0);
    let machine = lastword::suite::Machine::of_the_table();
    let suite = run.suite.as_ref().expect("the suite was run");
    for one in &suite.sequences {
        let trace = &one.evidence.as_ref().expect("a trace").trace;
        let written = lastword_spec::trace::write(trace);
        let read = lastword_spec::trace::read(&written).expect("what was written");
        let (outcome, _) = lastword::suite::examine(&machine, &one.inputs, &read, &lastword_judge::Options::default());
        assert_eq!(outcome, one.outcome);
        assert_eq!(outcome, Outcome::Conforming);
    }
}
