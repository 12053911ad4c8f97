//! Owns the tests of what the harness makes of a subject that does not give back what a session held: it has room for a few, and
//! never frees the slot of one that was lost or cancelled.

use std::sync::Arc;

use lastword::memory::{self, Certified};
use lastword_mutants::{Options, Server};
use lastword_spec::finding::Verdict;
use tokio::io::DuplexStream;

const VIOLATION: u8 = 1;
const PASS: u8 = 0;

fn certified(keeps_slots: bool, max_sessions: usize) -> Certified {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let server = Server::new(Options { keeps_slots, max_sessions, ..Options::default() });
        let accept = move |pipe: DuplexStream| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.serve(pipe).await });
        };
        memory::certify(memory::plan(accept)).await
    })
}

#[test]
fn a_subject_that_keeps_the_slots_of_lost_sessions_is_named_as_soon_as_it_has_none_left() {
    for max_sessions in [1, 6] {
        let certified = certified(true, max_sessions);
        let told: Vec<String> = certified
            .run
            .results
            .iter()
            .filter(|result| result.verdict.is_failure())
            .flat_map(|result| result.findings().map(lastword_judge::render).collect::<Vec<_>>())
            .collect();
        assert!(!told.is_empty() && told.iter().all(|one| one.contains("[REC-S2]")), "{max_sessions}: {told:?}");
        assert!(told[0].contains("has no room although nobody had had a session with it"), "{told:?}");
        assert_eq!(certified.report.exit_code, VIOLATION);
        let turned_away = certified.run.results.iter().filter(|result| result.verdict == Verdict::Inconclusive).count();
        assert!(turned_away > 10, "nothing is said of what was not served: {turned_away}");
    }
}

#[test]
fn a_subject_with_few_slots_that_frees_them_is_certified() {
    let certified = certified(false, 1);
    assert_eq!(certified.report.exit_code, PASS);
}
