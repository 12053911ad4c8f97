//! Owns `lastword certify client`: from the arguments to a plan, and after it the reports.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shell::{print, quote};
use super::{UsageError, positive};
use crate::case::Case;
use crate::client::{self, ClientPlan, Launch, Stdin};
use crate::exit;
use crate::known::{self, KnownFailures};
use crate::redact::Redactor;
use crate::report::{self, Context, Progress, Sinks};
use crate::run::Run;
use crate::select::select;

/// Arguments of `certify client`.
#[derive(Args)]
pub(super) struct ClientArgs {
    /// Run only these cases: a name, a glob, or a requirement. May be given more than once.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave these cases out. May be given more than once.
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
    /// The command speaks the driver protocol on its standard input and output (level 1): it makes the calls that it is told to.
    #[arg(long)]
    driver: bool,
    /// Write the audio to the command's standard input, and close it: then its input is over.
    #[arg(long, value_name = "FORM", conflicts_with = "driver")]
    stdin: Option<Form>,
    /// The command streams this many milliseconds of audio of its own.
    #[arg(long, value_name = "MS", conflicts_with_all = ["driver", "stdin"])]
    stream_ms: Option<u64>,
    /// The credential that the client shows. A driver is told it; a command has it from you.
    #[arg(long, value_name = "TOKEN", env = "LASTWORD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The path of the URL that the client is given.
    #[arg(long, value_name = "PATH", default_value = "/v1/listen")]
    path: String,
    /// Failures that are known: [[known]] id, reason, issue, expires. What is listed and passes is an error.
    #[arg(long, value_name = "FILE")]
    known_failures: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the trace of every case into this folder.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// How many clients run side by side. Without it: as many as there are processors.
    #[arg(long, value_name = "N", value_parser = positive)]
    jobs: Option<usize>,
    /// The longest wait for one run of the client, in seconds.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    max_wait: u64,
    /// From which the order of the cases is made.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the report only, no progress.
    #[arg(long)]
    quiet: bool,
    /// The command that runs the client, with {url}, {http_url}, {host}, {port}, {audio} and {case} in it; the same stands in
    /// LASTWORD_URL and so on. Everything after `--`. It must end by itself.
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
}

/// How audio is written to a command.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// A WAV file.
    Wav,
    /// Samples, 16 kHz mono s16le.
    Pcm,
}

/// Certifies a client and prints the report.
///
/// # Errors
/// The arguments, or a file they name, are wrong, or the client cannot be started. Nothing was certified then.
pub(super) fn run(arguments: &ClientArgs) -> Result<u8, UsageError> {
    let cases = select(client::catalogue(), &arguments.only, &arguments.skip).map_err(UsageError::from)?;
    let every_case: Vec<&Case> = client::catalogue().iter().collect();
    let known = match &arguments.known_failures {
        Some(file) => KnownFailures::read(file, &every_case, known::today()).map_err(UsageError::from)?,
        None => KnownFailures::default(),
    };
    let stdin = match (arguments.driver, arguments.stdin) {
        (true, _) => Stdin::Driver,
        (false, Some(Form::Wav)) => Stdin::Wav,
        (false, Some(Form::Pcm)) => Stdin::Pcm,
        (false, None) => Stdin::Null,
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = ClientPlan {
        launch: Launch { command: arguments.command.clone(), stdin },
        cases,
        jobs: arguments.jobs.unwrap_or(processors),
        path: arguments.path.clone(),
        token: arguments.token.clone(),
        stream_ms: arguments.stream_ms,
        seed: arguments.seed,
        max_wait_ms: arguments.max_wait.saturating_mul(1_000),
    };
    let secrets: Vec<String> = arguments.token.iter().cloned().collect();
    let words: Vec<String> = arguments.command.iter().map(|word| quote(&word.to_string_lossy())).collect();
    let context = Context {
        url: words.join(" "),
        command: None,
        died: None,
        seed: arguments.seed,
        again: again(arguments, &words.join(" ")),
        known,
        redactor: Redactor::new(&secrets),
        has_logs: arguments.log_dir.is_some(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| UsageError(format!("cannot start: {error}")))?;
    let progress = Progress::new(plan.cases.len(), arguments.quiet);
    let run = runtime.block_on(client::run(plan, &progress)).map_err(UsageError::from)?;
    runtime.shutdown_background();
    progress.clear();
    Ok(finish(arguments, &context, &run))
}

/// Prints and writes everything, and only then says what it came to.
fn finish(arguments: &ClientArgs, context: &Context, run: &Run) -> u8 {
    let report = report::build(run, context);
    print(&context.redactor.redact(&report::render(&report)));
    let sinks = Sinks { json: arguments.json.clone(), junit: arguments.junit.clone(), logs: arguments.log_dir.clone() };
    let failed = report::write_all(&sinks, &report, run, &context.redactor);
    for error in &failed {
        eprintln!("error: {error}");
    }
    // A report that is not there must not look like a report that is green.
    let written = if failed.is_empty() { exit::PASS } else { exit::USAGE };
    exit::strongest([report.exit_code, written])
}

/// The command line that runs one case again, without secrets.
fn again(arguments: &ClientArgs, command: &str) -> String {
    let mut words = vec!["lastword certify client".to_owned()];
    if arguments.driver {
        words.push("--driver".to_owned());
    }
    match arguments.stdin {
        Some(Form::Wav) => words.push("--stdin wav".to_owned()),
        Some(Form::Pcm) => words.push("--stdin pcm".to_owned()),
        None => {}
    }
    words.extend(arguments.stream_ms.map(|ms| format!("--stream-ms {ms}")));
    words.push(format!("--only {{case}} -- {command}"));
    words.join(" ")
}
