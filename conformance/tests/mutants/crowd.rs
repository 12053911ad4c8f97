//! Certifies many subjects in memory, each on a runtime of its own whose clock jumps, as many at a time as there are cores.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lastword::memory::{self, Certified};
use lastword::run::CaseResult;
use lastword::subject::Target;
use lastword::wire::Dialler;
use lastword_mutants::{Degenerate, Mutant, Options, Server};
use tokio::io::DuplexStream;

/// What a certification came to.
pub(crate) struct Outcome {
    /// By case: the verdict, and the requirements that findings name where it is a failure.
    pub(crate) cases: BTreeMap<String, (String, Vec<String>)>,
    /// By requirement: the verdict of the report over all cases.
    pub(crate) requirements: BTreeMap<String, String>,
    pub(crate) exit_code: u8,
    pub(crate) took: Took,
}

/// How long a certification took, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) wall_time: Duration,
    /// By the clock that jumps. What waits for stillness to be proved watches it for days.
    pub(crate) virtual_time: Duration,
}

impl Outcome {
    fn of(certified: &Certified, took: Took) -> Self {
        let of_case = |result: &CaseResult| {
            let mut ids: Vec<String> = Vec::new();
            if result.verdict.is_failure() {
                ids.extend(result.findings().map(|finding| finding.requirement.as_str().to_owned()));
                ids.sort();
                ids.dedup();
            }
            (result.case.id.clone(), (result.verdict.as_str().to_owned(), ids))
        };
        let requirements = certified.report.requirements.iter();
        Self {
            cases: certified.run.results.iter().map(of_case).collect(),
            requirements: requirements.map(|one| (one.id.clone(), one.verdict.clone())).collect(),
            exit_code: certified.report.exit_code,
            took,
        }
    }

    /// The cases with one of these verdicts.
    pub(crate) fn with_verdict(&self, wanted: &[&str]) -> Vec<&str> {
        let cases = self.cases.iter().filter(|(_, (verdict, _))| wanted.contains(&verdict.as_str()));
        cases.map(|(case, _)| case.as_str()).collect()
    }

    /// The cases that passed.
    pub(crate) fn passed(&self) -> Vec<&str> {
        self.with_verdict(&["PASS", "NON_STRICT"])
    }

    /// The verdict of a case; empty where it was not planned.
    pub(crate) fn verdict(&self, case: &str) -> &str {
        self.cases.get(case).map_or("", |(verdict, _)| verdict.as_str())
    }

    /// The cases that failed, with the requirements they name.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&str, &[String])> {
        let failed = self.cases.iter().filter(|(_, (_, ids))| !ids.is_empty());
        failed.map(|(case, (_, ids))| (case.as_str(), ids.as_slice()))
    }
}

/// A mutant, set up so that its fault shows.
pub(crate) fn mutant(mutant: &'static Mutant) -> Outcome {
    server(mutant.options())
}

pub(crate) fn server(options: Options) -> Outcome {
    let target = Target { token: options.token.clone(), ..memory::target() };
    certify(target, || {
        let server = Server::new(options);
        move |pipe: DuplexStream| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { server.serve(pipe).await });
        }
    })
}

pub(crate) fn degenerate(kind: &'static Degenerate) -> Outcome {
    certify(memory::target(), || {
        let peer = kind.peer();
        move |pipe: DuplexStream| {
            let peer = std::sync::Arc::clone(&peer);
            tokio::spawn(async move { peer.serve(pipe).await });
        }
    })
}

fn certify<A: Fn(DuplexStream) + Send + Sync + 'static>(target: Target, start: impl FnOnce() -> A) -> Outcome {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (certified, virtual_time) = runtime.expect("a runtime").block_on(async {
        let began = tokio::time::Instant::now();
        let dialler = Dialler::in_memory(target, start());
        let cases = lastword::case::catalogue().iter().collect();
        let certified = memory::certify(memory::plan_with(dialler, cases)).await;
        (certified, began.elapsed())
    });
    Outcome::of(&certified, Took { wall_time: began.elapsed(), virtual_time })
}

/// What `work` makes of each, in their order.
pub(crate) fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(one) = all.get(index) else { break };
                    let result = work(one);
                    done.lock().expect("no thread panicked").insert(index, result);
                }
            });
        }
    });
    done.into_inner().expect("no thread panicked").into_values().collect()
}
