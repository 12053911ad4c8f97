//! Certifies many clients in memory, each on a runtime of its own whose clock jumps, as many at a time as there are cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lastword::client::{ClientPlan, EndsAs, MADE_UP_TOKEN, Program, Stdin, Surroundings};
use lastword::memory::{self, Certified};
use lastword_client_mutants::{Degenerate, Dial, Duplex, Ending, Mutant, Options, drive, stream};
use lastword_spec::trace::Exited;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

/// What a certification came to.
pub(crate) struct Outcome {
    /// By case: the verdict, and the requirements that findings name where it is a failure.
    pub(crate) cases: BTreeMap<String, (String, Vec<String>)>,
    /// The sentences of all findings.
    pub(crate) told: Vec<String>,
    /// Why cases were not decided.
    pub(crate) reasons: BTreeMap<String, String>,
    /// The requirements that are said to be kept.
    pub(crate) kept: Vec<String>,
    pub(crate) exit_code: u8,
}

impl Outcome {
    fn of(certified: &Certified) -> Self {
        let mut outcome = Self {
            cases: BTreeMap::new(),
            told: Vec::new(),
            reasons: BTreeMap::new(),
            kept: Vec::new(),
            exit_code: certified.report.exit_code,
        };
        let kept = certified.report.requirements.iter().filter(|one| one.verdict == "PASS");
        outcome.kept.extend(kept.map(|one| one.id.clone()));
        for result in &certified.run.results {
            let mut ids: Vec<String> = Vec::new();
            for finding in result.findings() {
                outcome.told.push(format!("{}: {}", result.case.id, lastword_judge::render(finding)));
                if result.verdict.is_failure() {
                    ids.push(finding.requirement.as_str().to_owned());
                }
            }
            ids.sort();
            ids.dedup();
            outcome.cases.insert(result.case.id.clone(), (result.verdict.as_str().to_owned(), ids));
            if let Some(reason) = &result.reason {
                outcome.reasons.insert(result.case.id.clone(), reason.clone());
            }
        }
        outcome
    }

    /// The cases that passed.
    pub(crate) fn passed(&self) -> Vec<&str> {
        let passed = |verdict: &str| matches!(verdict, "PASS" | "NON_STRICT");
        self.cases.iter().filter(|(_, (verdict, _))| passed(verdict)).map(|(case, _)| case.as_str()).collect()
    }

    /// The cases that failed, with the requirements they name.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&str, &[String])> {
        let failed = self.cases.iter().filter(|(_, (_, ids))| !ids.is_empty());
        failed.map(|(case, (_, ids))| (case.as_str(), ids.as_slice()))
    }
}

/// How much a connection in memory holds.
pub(crate) const PIPE_BYTES: usize = 64 << 10;

/// The client with these options at this level.
pub(crate) fn client(options: &Options, level: u8) -> Outcome {
    let (program, stdin) = program(options, level);
    certify(program, stdin)
}

/// How the client with these options is started at this level.
pub(crate) fn program(options: &Options, level: u8) -> (Program, Stdin) {
    let options = Options { token: Some(MADE_UP_TOKEN.to_owned()), ..options.clone() };
    let program = move |around: Surroundings| -> EndsAs {
        let options = options.clone();
        Box::pin(async move {
            let Surroundings { url, audio, dial, stdin, stdout, stderr } = around;
            let dial = dialler(dial);
            let options = Options { log: Some(log(stderr)), ..options };
            as_process(match level {
                0 => stream(dial, url, &audio, options).await,
                _ => drive(stdin, stdout, move |_| Arc::clone(&dial), options).await,
            })
        })
    };
    (Program::InMemory(Arc::new(program)), if level == 0 { Stdin::Null } else { Stdin::Driver })
}

pub(crate) fn mutant(mutant: &'static Mutant, level: u8) -> Outcome {
    client(&mutant.options(), level)
}

pub(crate) fn degenerate(kind: &'static Degenerate, level: u8) -> Outcome {
    let program = move |around: Surroundings| -> EndsAs {
        Box::pin(async move { as_process(kind.run(dialler(around.dial)).await) })
    };
    certify(Program::InMemory(Arc::new(program)), if level == 0 { Stdin::Null } else { Stdin::Driver })
}

fn dialler(dial: mpsc::UnboundedSender<memory::Pipe>) -> Dial {
    Arc::new(move || {
        let dial = dial.clone();
        Box::pin(async move {
            let (near, far) = memory::pipe(PIPE_BYTES);
            dial.send(far).map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(near) as Box<dyn Duplex>)
        })
    })
}

/// Something that writes lines there.
fn log(mut stderr: DuplexStream) -> mpsc::UnboundedSender<String> {
    let (log, mut lines) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            if stderr.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    log
}

fn as_process(ending: Ending) -> Exited {
    const SIGABRT: i32 = 6;
    match ending {
        Ending::Code(code) => Exited { code: Some(i32::from(code)), signal: None },
        Ending::Abort => Exited { code: None, signal: Some(SIGABRT) },
    }
}

/// A client in memory, and what came of it.
pub(crate) fn certify(program: Program, stdin: Stdin) -> Outcome {
    Outcome::of(&carried_out(memory::client_plan(program, stdin)))
}

/// A plan against a client in memory, carried out on a runtime of its own.
pub(crate) fn carried_out(plan: ClientPlan) -> Certified {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let certified = runtime.expect("a runtime").block_on(memory::certify_client(plan));
    certified.expect("a place for the audio")
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
