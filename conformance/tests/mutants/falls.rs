//! Owns the tests of what the harness makes of a subject whose process falls and takes every session with it, where it is reached by
//! its address alone: gone for good, started anew each time, and cut off once by something that need not be the subject.

use std::sync::Arc;

use lastword::memory::{self, Certified};
use lastword::subject::Target;
use lastword::wire::{Dialler, Roots};
use lastword_mutants::{Falls, Options, Server};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;

const VIOLATION: u8 = 1;
const UNDECIDED: u8 = 3;
/// Far into the cases, and at a time when many sessions are open.
const AT_SESSION: u64 = 40;

/// In memory: a fallen server drops what it has and what comes, for a moment.
fn certified(falls: Falls) -> Certified {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let server = Server::new(Options { falls: Some(falls), ..Options::default() });
        let accept = move |pipe: DuplexStream| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.serve(pipe).await });
        };
        let plan = memory::plan(accept);
        memory::certify(plan).await
    })
}

#[test]
fn a_subject_that_loses_all_its_sessions_again_and_again_fails_though_each_case_passes_when_it_runs_alone() {
    let certified = certified(Falls { at_session: AT_SESSION, back_after_ms: Some(300), times: 3 });
    let fell = certified.report.subject.fell.as_deref();
    assert!(fell.is_some_and(|how| how.contains("and so were all that were open at")), "{fell:?}");
    assert_eq!(certified.report.exit_code, VIOLATION);
}

#[test]
fn sessions_that_are_all_cut_once_convict_nobody() {
    let certified = certified(Falls { at_session: AT_SESSION, back_after_ms: Some(300), times: 1 });
    assert_eq!(certified.report.subject.fell, None);
    assert_eq!(certified.report.exit_code, UNDECIDED);
}

/// Over a socket: where the process was nobody listens, and the host says so.
#[tokio::test]
async fn a_subject_that_is_gone_for_good_with_every_session_fails() {
    let server = Server::new(Options {
        falls: Some(Falls { at_session: AT_SESSION, back_after_ms: None, times: 1 }),
        ..Options::default()
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = server.crashed() => return,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let server = Arc::clone(&server);
                    tokio::spawn(async move { server.serve(stream).await });
                },
            }
        }
    });
    let dialler = Dialler::new(Target::local(port, "/v1/listen"), &Roots::Public).expect("no roots are needed");
    let plan = memory::plan_with(dialler, lastword::case::catalogue().iter().collect());
    let certified = memory::certify(plan).await;
    let fell = certified.report.subject.fell.as_deref();
    assert!(fell.is_some_and(|how| how.contains("every connection since is refused")), "{fell:?}");
    assert_eq!(certified.report.exit_code, VIOLATION);
    let reasons: Vec<&str> = certified.run.results.iter().filter_map(|result| result.reason.as_deref()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("took this session with it")), "{reasons:?}");
    assert!(
        !reasons.iter().any(|reason| reason.contains("not again")),
        "nobody was there to show it again: {reasons:?}"
    );
    assert!(certified.report.level.hindrances.iter().any(|one| one.what.contains("all its sessions")));
}
