//! Owns `lastword certify client`: from the arguments to a plan, and after it the reports.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::certify::write_certificate;
use super::report_args::{DEFAULT_SEED, ReportArgs};
use super::shell::{option, quote};
use super::subject::{self, DEFAULT_DIALECT};
use super::{UsageError, positive};
use crate::case::Case;
use crate::certificate::{self, MIN_CREDENTIAL_BYTES, Origin};
use crate::client::{self, ClientPlan, Launch, Program, Stdin};
use crate::dialect;
use crate::exit;
use crate::redact::Redactor;
use crate::report::{Context, Progress, SubjectReport};
use crate::select::select;
use crate::speech::Speech;

/// Arguments of `certify client`.
#[derive(Args)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    report: ReportArgs,
    /// The command speaks the driver protocol on its standard input and output (driver level 1): it makes the calls that it is told to.
    #[arg(long)]
    driver: bool,
    /// Write the audio to the command's standard input, and close it: then its input is over.
    #[arg(long, value_name = "FORM", conflicts_with = "driver")]
    stdin: Option<Form>,
    /// The command streams this many milliseconds of audio of its own.
    #[arg(long, value_name = "MS", conflicts_with_all = ["driver", "stdin"])]
    stream_ms: Option<u64>,
    /// The credential that the client shows. A command has it from you; a driver is told it, and without it one that is made up.
    #[arg(long, value_name = "TOKEN", env = "LASTWORD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The wire that the client speaks: a dialect that comes with the harness, or a file that describes one.
    #[arg(long, value_name = "NAME|FILE", default_value = DEFAULT_DIALECT)]
    dialect: String,
    /// The path of the URL that the client is given [default: /v1/listen, or that of the dialect].
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The client dials `wss://` and `https://`. The certificate is made for this run; {ca} names the file of its root, as do LASTWORD_CA,
    /// SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and REQUESTS_CA_BUNDLE, from which most TLS libraries take it.
    #[arg(long)]
    tls: bool,
    /// Write a certificate: everything that the verdicts follow from, in one file that `lastword verify` judges again.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// How many clients run side by side. Without it: as many as there are processors.
    #[arg(long, value_name = "N", value_parser = positive)]
    jobs: Option<usize>,
    /// The longest wait for one run of the client, in seconds.
    #[arg(long, value_name = "S", default_value_t = DEFAULT_MAX_WAIT_S, value_parser = clap::value_parser!(u64).range(1..))]
    max_wait: u64,
    /// The command that runs the client, with {url}, {http_url}, {host}, {port}, {audio}, {case} and, with --tls, {ca} in it; the
    /// same stands in LASTWORD_URL and so on. Everything after `--`. It must end by itself, with 0 if and only if its session was complete.
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
}

const DEFAULT_PATH: &str = "/v1/listen";
/// A run of a client lasts as long as its audio: longer than what a server is waited for.
const DEFAULT_MAX_WAIT_S: u64 = 60;

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
    let cases =
        select(client::catalogue(), &arguments.report.only, &arguments.report.skip).map_err(UsageError::from)?;
    let every_case: Vec<&Case> = client::catalogue().iter().collect();
    let known = arguments.report.known(&every_case)?;
    let stdin = match (arguments.driver, arguments.stdin) {
        (true, _) => Stdin::Driver,
        (false, Some(Form::Wav)) => Stdin::Wav,
        (false, Some(Form::Pcm)) => Stdin::Pcm,
        (false, None) => Stdin::Null,
    };
    let dialect = dialect::choose(&arguments.dialect).map_err(UsageError::from)?;
    let own_path = Some(dialect.socket_path()).filter(|path| !path.is_empty());
    let path = arguments.path.clone().or(own_path).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let made_up = arguments.driver.then(|| client::MADE_UP_TOKEN.to_owned());
    let token = arguments.token.clone().or(made_up);
    if arguments.certificate.is_some() && token.as_ref().is_some_and(|token| token.len() < MIN_CREDENTIAL_BYTES) {
        return Err(UsageError::from(certificate::WriteError::ShortCredential));
    }
    let plan = ClientPlan {
        launch: Launch { program: Program::Command(arguments.command.clone()), stdin },
        cases,
        jobs: arguments.jobs.unwrap_or(processors),
        path,
        tls: arguments.tls,
        dialect: Some(dialect).filter(|dialect| !dialect.is_native()),
        token: token.clone(),
        stream_ms: arguments.stream_ms,
        seed: arguments.report.seed,
        max_wait_ms: arguments.max_wait.saturating_mul(1_000),
        looks_again: true,
    };
    let words: Vec<String> = arguments.command.iter().map(|word| quote(&word.to_string_lossy())).collect();
    let origin = origin(arguments, &plan, &words.join(" "));
    let secrets: Vec<String> = token.into_iter().collect();
    let context = Context {
        url: words.join(" "),
        command: None,
        died: None,
        seed: arguments.report.seed,
        again: again(arguments, &words.join(" ")),
        known,
        redactor: Redactor::new(&secrets),
        has_logs: arguments.report.log_dir.is_some(),
    };
    let progress = Progress::new(plan.cases.len(), arguments.report.quiet);
    let run = subject::until_interrupted(client::run(plan, &progress), || {
        eprint!("{}", context.redactor.redact(&progress.interrupted()));
    })?;
    progress.clear();
    let Some(run) = run else { return Ok(exit::UNDECIDED) };
    let run = run.map_err(UsageError::from)?;
    let (_, code) = arguments.report.publish(&context, &run);
    let certified = arguments.certificate.as_deref().map_or(exit::PASS, |path| write_certificate(path, &run, &origin));
    Ok(exit::strongest([code, certified]))
}

/// What a certificate says besides the run.
fn origin(arguments: &ClientArgs, plan: &ClientPlan, command: &str) -> Origin {
    let stdin = arguments.stdin.and_then(|form| form.to_possible_value()).map(|value| value.get_name().to_owned());
    Origin {
        subject: SubjectReport { url: command.to_owned(), command: None, died: None, fell: None },
        options: certificate::Options {
            seed: plan.seed,
            only: arguments.report.only.clone(),
            skip: arguments.report.skip.clone(),
            jobs: plan.jobs,
            speech_sha256: certificate::speech_sha256(&Speech::built_in()),
            client: Some(certificate::ClientOptions {
                level: u8::from(arguments.driver),
                stdin,
                stream_ms: plan.stream_ms,
                path: plan.path.clone(),
                tls: plan.tls,
            }),
            ..certificate::Options::default()
        },
        token: plan.token.clone(),
        secrets: plan.token.iter().cloned().collect(),
        made_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// The command line that runs one case again, without secrets: every option that a verdict may depend on, and no other.
pub(super) fn again(arguments: &ClientArgs, command: &str) -> String {
    let mut words = vec!["lastword certify client".to_owned()];
    if arguments.driver {
        words.push("--driver".to_owned());
    }
    words.extend(option("--dialect", Some(&arguments.dialect).filter(|dialect| *dialect != DEFAULT_DIALECT)));
    words.extend(option("--path", arguments.path.as_ref()));
    if arguments.tls {
        words.push("--tls".to_owned());
    }
    if arguments.token.is_some() {
        words.push("--token \"$LASTWORD_TOKEN\"".to_owned());
    }
    match arguments.stdin {
        Some(Form::Wav) => words.push("--stdin wav".to_owned()),
        Some(Form::Pcm) => words.push("--stdin pcm".to_owned()),
        None => {}
    }
    words.extend(option("--stream-ms", arguments.stream_ms));
    words.extend(option("--seed", Some(arguments.report.seed).filter(|seed| *seed != DEFAULT_SEED)));
    words.extend(option("--max-wait", Some(arguments.max_wait).filter(|wait_s| *wait_s != DEFAULT_MAX_WAIT_S)));
    words.push(format!("--only {{case}} -- {command}"));
    words.join(" ")
}
