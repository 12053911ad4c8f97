//! Whole certifications over pipes in memory under paused time: the same verdicts as over sockets, the same traces each time,
//! and no second of a wait spent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use lastword::memory::{self, Certified};
use lastword::report;
use lastword_spec::trace::Trace;

use crate::certify;
use crate::peer::{self, Fault, Setup};

/// Runs on a clock that jumps whenever every task waits.
fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn in_memory(setup: Setup) -> Certified {
    let (setup, open) = (Arc::new(setup), Arc::new(AtomicUsize::new(0)));
    let accept = move |pipe| {
        tokio::spawn(peer::connection(pipe, Arc::clone(&setup), Arc::clone(&open)));
    };
    paused(memory::certify(memory::plan(accept)))
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
    assert_eq!(verdicts(&virtually), really);
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
    let certified = in_memory(Setup { fault: Fault::NeverEnds, ..Setup::default() });
    let virtually = Duration::from_millis(certified.run.took_ms);
    println!("{virtually:?} in {:?}", began.elapsed());
    assert!(virtually > 5 * began.elapsed(), "{virtually:?} in {:?}", began.elapsed());
}
