//! Whole certifications over pipes in memory under paused time: the same verdicts as over sockets, the same traces each time,
//! and no second of a wait spent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use lastword::memory::{self, Certified, Line};
use lastword::report::{self, CaseReport, Report};
use lastword::run::Plan;
use lastword_spec::trace::Trace;
use tokio::io::DuplexStream;

use crate::certify;
use crate::peer::{self, Fault, Setup};

/// Runs on a clock that jumps whenever every task waits.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn in_memory(setup: Setup) -> Certified {
    paused(memory::certify(cases_only(memory::plan(accept(setup)))))
}

/// Serves within this process.
fn accept(setup: Setup) -> impl Fn(DuplexStream) + Send + Sync + 'static {
    let (setup, open) = (Arc::new(setup), Arc::new(AtomicUsize::new(0)));
    move |pipe| {
        tokio::spawn(peer::connection(pipe, Arc::clone(&setup), Arc::clone(&open)));
    }
}

/// The suite has tests of its own.
fn cases_only(plan: Plan) -> Plan {
    Plan { suite: None, ..plan }
}

fn verdicts(certified: &Certified) -> BTreeMap<String, String> {
    certified.report.cases.iter().map(|case| (case.id.clone(), case.verdict.clone())).collect()
}

fn traces(certified: &Certified) -> Vec<&Trace> {
    let evidence = certified.run.results.iter().filter_map(|result| result.evidence.as_ref());
    evidence.map(|evidence| evidence.trace.as_ref()).collect()
}

#[test]
fn a_server_that_keeps_the_specification_gets_the_same_verdicts_in_memory_as_over_a_socket() {
    let setup = Setup { speed: 10, ..Setup::default() };
    let virtually = in_memory(setup.clone());
    assert!(virtually.is_conforming(), "{}", report::render(&virtually.report));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let really = runtime.block_on(certify::certify(setup, &[]));
    let really: BTreeMap<String, String> =
        certify::to_report(&really).cases.into_iter().map(|case| (case.id, case.verdict)).collect();
    let virtually = verdicts(&virtually);
    assert_eq!(virtually.len(), really.len());
    // A busy machine may leave something open over sockets; it never says anything else.
    let other = |(case, verdict): &(&String, &String)| virtually.get(*case) != Some(*verdict);
    let others: Vec<_> = really.iter().filter(other).collect();
    assert!(others.iter().all(|(_, verdict)| *verdict == "INCONCLUSIVE") && others.len() <= 3, "{others:?}");
}

#[test]
fn the_same_plan_brings_the_same_traces() {
    let first = in_memory(Setup { speed: 10, ..Setup::default() });
    let second = in_memory(Setup { speed: 10, ..Setup::default() });
    for (one, other) in traces(&first).iter().zip(traces(&second)) {
        assert_eq!(*one, other);
    }
    assert_eq!(first.run.took_ms, second.run.took_ms);
}

#[test]
fn waits_cost_no_time() {
    let began = Instant::now();
    let patient = Setup { idle_timeout_ms: 500_000, ..Setup::default() };
    let case = lastword::case::catalogue().iter().filter(|case| case.id == "server/keepalive/idle-timeout");
    let plan = Plan { cases: case.collect(), ..cases_only(memory::plan(accept(patient))) };
    let certified = paused(memory::certify(plan));
    let virtually = Duration::from_millis(certified.run.took_ms);
    assert!(certified.is_conforming() && virtually > Duration::from_secs(500), "{}", report::render(&certified.report));
    assert!(virtually > 5 * began.elapsed(), "{virtually:?} in {:?}", began.elapsed());
}

/// Asserts that the cases in which the subject stops are failures, at least 20 of them, and that all others came out as usual.
fn isolates(hung: &Report, usual: &Report) {
    let stopped = |case: &&CaseReport| matches!(case.verdict.as_str(), "FAIL" | "DEADLOCK" | "HUNG" | "LIVELOCK");
    let (stopped, others): (Vec<&CaseReport>, Vec<&CaseReport>) = hung.cases.iter().partition(stopped);
    assert!(stopped.len() >= 20, "{}", report::render(hung));
    let verdict = |id: &str| usual.cases.iter().find(|case| case.id == id).map(|case| case.verdict.as_str());
    for case in others {
        assert_eq!(Some(case.verdict.as_str()), verdict(&case.id), "{}: {:?}", case.id, case.reason);
    }
}

#[test]
fn cases_that_hang_cost_themselves_only() {
    let setup = Setup { speed: 10, ..Setup::default() };
    let usual = in_memory(setup.clone()).report;
    let hangs = Setup { fault: Fault::StopsWhereAsked, ..setup };
    isolates(&in_memory(hangs).report, &usual);
}

/// In the same run as many sessions as there are such cases, and their probes, hang until the end: the subject lets none of them go.
#[test]
fn cases_that_hang_cost_themselves_only_over_sockets_too_and_hold_nobody() {
    let setup = Setup { speed: 10, ..Setup::default() };
    let hangs = Setup { fault: Fault::StopsWhereAsked, ..setup };
    let expected = in_memory(hangs.clone()).report;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let run = runtime.block_on(certify::certify(hangs, &[]));
    let really = certify::to_report(&run);
    assert!(expected.cases.iter().filter(|case| case.failed).count() >= 20, "{}", report::render(&expected));
    let named = |case: &CaseReport| -> BTreeSet<String> {
        case.findings.iter().map(|finding| finding.requirement.clone()).collect()
    };
    let mut open = Vec::new();
    for (case, expected) in really.cases.iter().zip(&expected.cases) {
        assert_eq!(case.id, expected.id);
        if case.failed {
            // Which of several debts is the one that is blamed depends on what had been read when it stopped.
            assert!(!named(case).is_empty(), "{}", case.id);
            assert!(expected.failed && case.findings.iter().all(|finding| finding.culprit == "server"), "{}", case.id);
        } else if case.verdict != expected.verdict {
            open.push((&case.id, &case.verdict, &case.reason));
        }
    }
    // A busy machine may leave something open over sockets; it never says anything else.
    assert!(open.iter().all(|(_, verdict, _)| *verdict == "INCONCLUSIVE") && open.len() <= 3, "{open:?}");
    assert!(run.took_ms < 60_000, "took {} ms", run.took_ms);
}

#[test]
fn what_the_line_does_changes_no_verdict() {
    let lines = [Line::Jitter { max_ms: 500 }, Line::OneByte, Line::Coalesced { quiet_ms: 40 }];
    for line in lines {
        let setup = Setup { speed: 10, ..Setup::default() };
        let certified = paused(memory::certify(cases_only(memory::plan(memory::over(line, 1, accept(setup))))));
        assert!(certified.is_conforming(), "{line:?}\n{}", report::render(&certified.report));
    }
}
