//! Stuck and slow, told apart over real sockets: the verdicts on servers that wait for something, on slow ones that get on, and on
//! one that has room for a single session, while nothing else runs and while every core is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use lastword::report;
use lastword::run::{self, CaseResult, Plan, Run};
use lastword::subject::Target;
use lastword_judge::{Conclusion, Suspicion};
use lastword_mutants::{Engine, Options, Server, find};
use lastword_spec::finding::Verdict;
use lastword_spec::trace::Stimulus;
use tokio::net::TcpListener;

use crate::certify::{Quiet, plan, to_report};

/// A server on a port of its own.
async fn spawn(options: Options) -> Target {
    let server = Server::new(options);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let server: Arc<Server> = Arc::clone(&server);
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    Target::local(port, "/v1/listen")
}

async fn certify(options: Options, only: &[&str]) -> Run {
    run::run(Plan { max_wait_ms: 120_000, ..plan(spawn(options).await, only) }, &Quiet).await
}

fn mutant(name: &str) -> Options {
    find(name).expect("a mutant of this name").options()
}

/// Keeps every core busy while it lives.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut x = 1_u64;
                while !stop.load(Ordering::Relaxed) {
                    x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn suspicions(run: &Run) -> impl Iterator<Item = &Suspicion> {
    let evidence = run.results.iter().filter_map(|result| result.evidence.as_ref());
    evidence.flat_map(|evidence| &evidence.judgement.suspicions)
}

fn page(run: &Run) -> String {
    report::render(&to_report(run))
}

fn case<'a>(run: &'a Run, id: &str) -> &'a CaseResult {
    run.results.iter().find(|result| result.case.id == id).expect("the case was run")
}

/// What each is, and whether it is so slow that the report notes its latency.
const SLOW: &[(&str, Engine, bool)] = &[
    ("a fixed cost of 3 s", Engine { cost_ms_per_segment: 3_000, ..Engine::USUAL }, true),
    ("a hangover of 800 ms", Engine { hangover_ms: 800, ..Engine::USUAL }, false),
    ("a constant window", Engine { window_ms: 400, ..Engine::USUAL }, true),
    ("8 s for a final", Engine { cost_ms_per_segment: 8_000, ..Engine::USUAL }, true),
];

const ABOUT_SLOWNESS: &[&str] = &[
    "server/end/plain",
    "server/end/no-audio",
    "server/end/at-pace",
    "server/flush/nothing",
    "server/order/early-end",
];

/// Certifies the slow servers side by side; each passes, and none is called stuck or masked.
async fn slow_ones_pass() {
    let runs = SLOW.iter().map(|(name, engine, noted)| async move {
        let run = certify(Options { engine: *engine, ..Options::default() }, ABOUT_SLOWNESS).await;
        (name, noted, run)
    });
    for (name, noted, run) in join_all(runs).await {
        let passed = run.results.iter().all(|result| result.verdict == Verdict::Pass);
        assert!(passed, "{name}\n{}", page(&run));
        assert!(suspicions(&run).all(|one| !one.conclusion.is_proved()), "{name}\n{}", page(&run));
        assert_eq!(page(&run).contains("slow, and conforming"), *noted, "{name}\n{}", page(&run));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_that_gets_on_passes_with_a_note_of_its_latency() {
    slow_ones_pass().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_as_well_while_every_core_is_busy() {
    let _busy = Busy::new();
    slow_ones_pass().await;
}

/// Servers that wait, the verdict on each, and what the first line of the breach says of it.
const STUCK: &[(&str, Verdict, &str)] = &[
    ("waits-for-audio", Verdict::Deadlock, "DEADLOCK (waits for more audio after end_of_stream) END-S2"),
    ("held-by-read-timer", Verdict::Deadlock, "DEADLOCK (masked by a timer of "),
    ("held-by-idle-timer", Verdict::Deadlock, "DEADLOCK (masked by a timer of "),
    ("acknowledges-for-ever", Verdict::Livelock, "LIVELOCK END-S2"),
    ("never-ends", Verdict::Deadlock, "DEADLOCK (nothing releases it) END-S2"),
];

async fn stuck_ones_are_named() {
    let runs = STUCK.iter().map(|&(name, verdict, says)| async move {
        (name, verdict, says, certify(mutant(name), &["server/end/plain"]).await)
    });
    for (name, verdict, says, run) in join_all(runs).await {
        let page = page(&run);
        assert_eq!(case(&run, "server/end/plain").verdict, verdict, "{name}\n{page}");
        assert!(page.contains(says), "{name}: {says}\n{page}");
        assert!(page.contains("client.recv -> server.send"), "{name}\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_is_told_from_a_slow_one_by_what_it_waits_for() {
    stuck_ones_are_named().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_as_well_while_every_core_is_busy() {
    let _busy = Busy::new();
    stuck_ones_are_named().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stuck_server_with_one_slot_the_evidence_that_needs_a_second_one_is_said_to_be_missing() {
    let run = certify(Options { max_sessions: 1, ..mutant("waits-for-audio") }, &["server/end/plain"]).await;
    let Some(suspicion) = suspicions(&run).next() else { panic!("no suspicion\n{}", page(&run)) };
    assert_eq!(suspicion.during.spoke(), 0, "{suspicion:?}");
    assert!(suspicion.afterwards.spoke() > 0, "{suspicion:?}");
    assert_eq!(suspicion.conclusion, Conclusion::WaitsFor(vec![Stimulus::Audio]), "{}", page(&run));
    assert!(page(&run).contains("control sessions beside it: missing"), "{}", page(&run));
    assert_eq!(case(&run, "server/end/plain").verdict, Verdict::Deadlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_with_one_slot_is_judged_one_session_at_a_time_and_passes() {
    let engine = Engine { cost_ms_per_segment: 1_500, ..Engine::USUAL };
    let run = certify(
        Options { engine, max_sessions: 1, ..Options::default() },
        &["server/end/plain", "server/end/no-audio"],
    )
    .await;
    // Halved until they found room; the last of two cases may find it before the limit has come down to one.
    assert!(run.jobs_at_end <= 2, "{} side by side", run.jobs_at_end);
    assert!(run.results.iter().all(|result| result.verdict == Verdict::Pass), "{}", page(&run));
}
