//! Owns the certification of a subject in this process, over pipes in memory: the way a Rust server becomes a subject of its
//! own `cargo test`. The run, the judge and the report are the ones of the command; it must not know any subject.
//!
//! Under paused time (`tokio::time::pause`, or `start_paused` of a current-thread runtime) a run costs what it computes and
//! nothing of what it waits: the clock jumps to the next timer whenever every task waits. The subject must then tell time by
//! `tokio::time` alone, and have no thread of its own that works while its tasks wait. The same plan and the same subject
//! bring the same traces, as long as the subject itself draws nothing at random.

mod line;
mod pipe;
mod quiescence;

pub use line::{Line, over};
pub(crate) use pipe::Levels;
pub use pipe::{Pipe, pipe};
pub use quiescence::{Seen, Watch};

use crate::case::{Case, catalogue};
use crate::client::{self, ClientPlan};
use crate::exit;
use crate::known::KnownFailures;
use crate::redact::Redactor;
use crate::report::{self, Context, Report};
use crate::run::{self, Calibration, CaseResult, Observer, Plan, Run};
use crate::speech::Speech;
use crate::subject::Target;
use crate::suite::SuitePlan;
use crate::wire::Dialler;

/// The largest number of cases side by side that a plan for a subject in memory starts with.
const JOBS: usize = 16;
/// Longer than over a socket: under paused time waiting costs nothing, and there are recognisers that take their time.
const MAX_WAIT_MS: u64 = 600_000;

/// A run and what it came to.
pub struct Certified {
    /// Everything that happened.
    pub run: Run,
    /// The report that the command would print and write.
    pub report: Report,
}

impl Certified {
    /// Whether the command would exit with 0: everything was decided, and nothing broke a MUST.
    #[must_use]
    pub fn is_conforming(&self) -> bool {
        self.report.exit_code == exit::PASS
    }
}

/// The whole catalogue and the m-complete suite against a subject in this process; see [`Dialler::in_memory`] for what `accept` must do.
///
/// The fields of the plan are there to be changed. A credential goes into [`target`] and [`Dialler::in_memory`].
#[must_use]
pub fn plan(accept: impl Fn(tokio::io::DuplexStream) + Send + Sync + 'static) -> Plan {
    let plan = plan_with(Dialler::in_memory(target(), accept), catalogue().iter().collect());
    Plan { suite: Some(SuitePlan::default()), ..plan }
}

/// The same for a dialler and cases of one's own, without the suite.
#[must_use]
pub fn plan_with(dialler: Dialler, cases: Vec<&'static Case>) -> Plan {
    Plan {
        dialler,
        speech: Speech::built_in(),
        cases,
        jobs: JOBS,
        max_sessions: None,
        rate: None,
        audio_budget_s: None,
        seed: 1,
        max_wait_ms: MAX_WAIT_MS,
        transcribe: false,
        suite: None,
        expect: Vec::new(),
    }
}

/// The address that a subject in memory goes by.
#[must_use]
pub fn target() -> Target {
    Target { host: "in-memory".into(), ..Target::local(80, "/v1/listen") }
}

/// Carries out a plan and makes the report, with calibration, control sessions and second looks as the command does.
pub async fn certify(plan: Plan) -> Certified {
    let target = plan.dialler.target().clone();
    let context = Context {
        url: target.shown(),
        command: None,
        died: None,
        seed: plan.seed,
        again: "the same plan with only {case}".into(),
        known: KnownFailures::default(),
        redactor: Redactor::new(&target.secrets()),
        has_logs: false,
    };
    let run = run::run(plan, &Quiet).await;
    let report = report::build(&run, &context);
    Certified { run, report }
}

/// The plan for a client in this process; see [`client::Program::InMemory`] for what it must be. `stdin` is the driver protocol at
/// level 1, and nothing at level 0. The fields are there to be changed.
#[must_use]
pub fn client_plan(program: client::Program, stdin: client::Stdin) -> ClientPlan {
    ClientPlan {
        dialect: None,
        launch: client::Launch { program, stdin },
        cases: client::catalogue().iter().collect(),
        jobs: client::catalogue().len(),
        path: "/v1/listen".into(),
        tls: false,
        token: Some(client::MADE_UP_TOKEN.to_owned()),
        stream_ms: None,
        seed: 1,
        max_wait_ms: CLIENT_MAX_WAIT_MS,
        looks_again: false,
    }
}

/// As the command: nothing that a right client does takes so long.
const CLIENT_MAX_WAIT_MS: u64 = 60_000;

/// Carries out a plan for a client and makes the report.
///
/// # Errors
/// There is no place for the audio.
pub async fn certify_client(plan: ClientPlan) -> Result<Certified, client::LaunchError> {
    let context = Context {
        url: "a client in memory".into(),
        command: None,
        died: None,
        seed: plan.seed,
        again: "the same plan with only {case}".into(),
        known: KnownFailures::default(),
        redactor: Redactor::new(&Vec::from_iter(plan.token.clone())),
        has_logs: false,
    };
    let run = client::run(plan, &Quiet).await?;
    let report = report::build(&run, &context);
    Ok(Certified { run, report })
}

/// Watches nothing.
struct Quiet;

impl Observer for Quiet {
    fn calibrated(&self, _: &Calibration) {}
    fn finished(&self, _: &CaseResult, _: usize, _: usize) {}
    fn note(&self, _: &str) {}
}
