//! The command line of `lastword-server`. Owns: arguments, finding the bundled model, what is printed, signals and exit codes.
//! Must not know: how anything is done.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lastword_dialects::Dialect;
use lastword_session::Token;
use lastword_spec::limits::Limits;

use crate::recognizer::Recognizer;
use crate::recognizer::scripted::{ScriptedCost, scripted};
use crate::server::Server;
use crate::settings::Settings;

/// The reference server of the Lastword protocol.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Loads a model and has it transcribe the bundled recording; the server runs this for a model that it does not know.
    #[command(hide = true)]
    ProbeModel {
        /// The model file.
        model: PathBuf,
    },
}

/// What turns audio into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecognizerKind {
    /// A whisper.cpp model.
    Whisper,
    /// Words made from audio by rule, without meaning: for certification.
    Scripted,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// Where to listen: HOST:PORT; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "HOST:PORT")]
    listen: String,
    /// What turns audio into text.
    #[arg(long, value_enum, default_value = "whisper")]
    recognizer: RecognizerKind,
    /// A model in whisper.cpp's format [default: the bundled fixture model, which knows 118 words].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Windows of audio decoded at once [default: the number of cores].
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Threads inside one decode: 1 for throughput, more for the latency of a large model.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads_per_decode: u16,
    /// The credential that clients must show. Other users of this machine can read it here: prefer --token-file.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file whose first line is the credential that clients must show.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_sessions: usize,
    /// How long a shutdown waits for sessions to end.
    #[arg(long, default_value_t = 20_000, value_name = "MS")]
    shutdown_ms: u64,
    /// The largest recording that can be posted for transcription.
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    max_upload_mib: usize,
    /// Serve the wire of another service, too, at its own path: the name of a dialect or a file that describes one. May be given more
    /// than once; `lastword` serves none.
    #[arg(long, value_name = "NAME|FILE", default_value = "whisper-fastapi")]
    dialect: Vec<String>,
    /// What to write to stderr: error, warn, info, debug, trace.
    #[arg(long, default_value = "warn", value_name = "LEVEL")]
    log: tracing::level_filters::LevelFilter,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cost: CostArgs,
}

/// The limits that `ready` announces; see section 10 of the specification.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits, in milliseconds or bytes")]
struct LimitArgs {
    /// A session in which nothing came for so long is ended.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.idle_timeout_ms)]
    idle_timeout_ms: u64,
    /// A client without audio sends a keepalive so often; at most a third of the idle timeout.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.keepalive_interval_ms)]
    keepalive_interval_ms: u64,
    /// How long a client may take for its config: 1000 to 10000.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    config_timeout_ms: u64,
    /// From config to ready.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.ready_ms)]
    ready_ms: u64,
    /// From flush to flushed.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.flush_ms)]
    flush_ms: u64,
    /// From `end_of_stream` to `session_ended`.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.drain_ms)]
    drain_ms: u64,
    /// From `session_ended` to Close.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.close_ms)]
    close_ms: u64,
    /// The longest silence while something is owed and worked on.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.progress_interval_ms)]
    progress_interval_ms: u64,
    /// The longest step of the recognizer [default: 30000, or what the model needs with all sessions speaking].
    #[arg(long, value_name = "MS")]
    max_step_ms: Option<u64>,
    /// The longest session.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.max_session_ms)]
    max_session_ms: u64,
    /// The most accepted audio that waits for the recognizer.
    #[arg(long, value_name = "MS", default_value_t = Limits::DEFAULT.max_buffered_audio_ms)]
    max_buffered_audio_ms: u64,
    /// The largest binary message.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::DEFAULT.max_frame_bytes)]
    max_frame_bytes: u64,
    /// The largest text message.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::DEFAULT.max_text_bytes)]
    max_text_bytes: u64,
    /// The most output that waits for a client that does not read.
    #[arg(long, value_name = "BYTES", default_value_t = 1_048_576)]
    max_buffered_output_bytes: u64,
}

/// How long the scripted recognizer is made to work.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The scripted recognizer")]
struct CostArgs {
    /// Work for each second of audio.
    #[arg(long, value_name = "MS")]
    cost_ms_per_second: Option<u64>,
    /// Work for each window of audio; a segment has one, or more where it has pauses.
    #[arg(long, value_name = "MS")]
    cost_ms_per_segment: Option<u64>,
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            idle_timeout_ms: self.idle_timeout_ms,
            keepalive_interval_ms: self.keepalive_interval_ms,
            ready_ms: self.ready_ms,
            flush_ms: self.flush_ms,
            drain_ms: self.drain_ms,
            close_ms: self.close_ms,
            progress_interval_ms: self.progress_interval_ms,
            max_step_ms: Limits::DEFAULT.max_step_ms,
            max_frame_bytes: self.max_frame_bytes,
            max_text_bytes: self.max_text_bytes,
            max_session_ms: self.max_session_ms,
            max_buffered_audio_ms: self.max_buffered_audio_ms,
            max_buffered_output_bytes: Some(self.max_buffered_output_bytes),
        }
    }
}

/// Does what the command line says. The exit code is 0 after a shutdown that was asked for, 1 after a failure to start.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    if let Some(Command::ProbeModel { model }) = cli.command {
        return probe_model(&model);
    }
    match serve(&cli.serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lastword-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "whisper")]
fn probe_model(model: &std::path::Path) -> ExitCode {
    crate::recognizer::whisper::probe_child_main(model)
}

#[cfg(not(feature = "whisper"))]
fn probe_model(_model: &std::path::Path) -> ExitCode {
    eprintln!("{WITHOUT_WHISPER}");
    ExitCode::FAILURE
}

#[cfg(not(feature = "whisper"))]
const WITHOUT_WHISPER: &str = "this lastword-server was built without whisper.cpp: build it with the feature `whisper`, or use \
                               --recognizer scripted";

fn serve(args: &ServeArgs) -> Result<()> {
    tracing_subscriber::fmt().with_max_level(args.log).with_writer(std::io::stderr).init();
    let settings = args.settings()?;
    let recognizer = args.recognizer()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let info = recognizer.info().clone();
        let signals = Signals::new().context("cannot listen to signals")?;
        let server = Server::bind(settings, recognizer).await?;
        println!("listening on ws://{}/v1/listen (recognizer {}, model {})", server.address(), info.engine, info.model);
        server.run(signals.first()).await.context("the listening socket failed")
    })?;
    // Decodes of sessions that are gone may still run; nobody waits for them.
    runtime.shutdown_background();
    Ok(())
}

impl ServeArgs {
    fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            listen: self.listen.clone(),
            limits: self.limits.limits(),
            max_step_ms: self.limits.max_step_ms,
            config_timeout_ms: self.limits.config_timeout_ms,
            token: self.token()?,
            max_sessions: self.max_sessions,
            shutdown_ms: self.shutdown_ms,
            max_upload_bytes: self.max_upload_mib.saturating_mul(1_048_576),
            dialects: self.dialect.iter().map(|given| dialect(given)).collect::<Result<_>>()?,
        })
    }

    fn token(&self) -> Result<Option<Token>> {
        let text = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the token file {}", path.display()))?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            (None, None) => return Ok(None),
        };
        let text = text.trim();
        if text.is_empty() {
            bail!("the token is empty: leave --token and --token-file out to serve everybody");
        }
        Ok(Some(Token::new(text)))
    }

    fn recognizer(&self) -> Result<Recognizer> {
        match self.recognizer {
            RecognizerKind::Scripted => {
                if self.model.is_some() || self.workers.is_some() {
                    bail!("--model and --workers are for --recognizer whisper");
                }
                Ok(scripted(ScriptedCost {
                    per_segment_ms: self.cost.cost_ms_per_segment.unwrap_or(0),
                    per_audio_second_ms: self.cost.cost_ms_per_second.unwrap_or(0),
                }))
            }
            RecognizerKind::Whisper => {
                if self.cost.cost_ms_per_second.is_some() || self.cost.cost_ms_per_segment.is_some() {
                    bail!("--cost-ms-per-second and --cost-ms-per-segment are for --recognizer scripted");
                }
                self.whisper()
            }
        }
    }

    #[cfg(not(feature = "whisper"))]
    fn whisper(&self) -> Result<Recognizer> {
        bail!("{WITHOUT_WHISPER}")
    }

    #[cfg(feature = "whisper")]
    fn whisper(&self) -> Result<Recognizer> {
        use crate::recognizer::whisper::{ProbeCommand, WhisperOptions, load};

        let model = match &self.model {
            Some(model) => model.clone(),
            None => bundled_model()?,
        };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.workers.unwrap_or(cores);
        let probe = ProbeCommand::this_program().context("cannot find this program, to try models in")?;
        let mut options = WhisperOptions::new(model.clone(), workers, probe);
        options.threads_per_decode = self.threads_per_decode;
        load(&options).with_context(|| format!("cannot use the model {}", model.display()))
    }
}

/// A dialect by its name or from its file. It is there as long as the program runs.
fn dialect(given: &str) -> Result<&'static Dialect> {
    if let Some(known) = Dialect::builtin(given) {
        return Ok(known);
    }
    let names = || Dialect::builtins().map(Dialect::name).collect::<Vec<_>>().join(", ");
    let text = std::fs::read_to_string(given).with_context(|| {
        format!("{given} is no dialect that comes with this server ({}) and no file that can be read", names())
    })?;
    Ok(Box::leak(Box::new(Dialect::from_toml(given, &text)?)))
}

/// The fixture model: beside the program, or in a clone of the repository.
#[cfg(feature = "whisper")]
fn bundled_model() -> Result<PathBuf> {
    const NAME: &str = "tiny118-en-q5_0.bin";
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(NAME)));
    let in_clone = ["fixtures/model", concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/model")];
    let places = beside.into_iter().chain(in_clone.into_iter().map(|folder| PathBuf::from(folder).join(NAME)));
    let Some(model) = places.into_iter().find(|path| path.is_file()) else {
        bail!(
            "the bundled model {NAME} is neither beside this program nor in ./fixtures/model: give a model in whisper.cpp's \
             format with --model, such as ggml-base.en.bin"
        );
    };
    eprintln!(
        "no --model given: using the bundled test fixture {}, which knows 118 words and synthetic voices only; for real \
         speech give a model in whisper.cpp's format",
        model.display()
    );
    Ok(model)
}

/// The signals that ask for a shutdown, heard from the moment this is made.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on the other systems")]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Completes with the first of them.
    async fn first(self) {
        #[cfg(unix)]
        {
            let Self { mut terminate, mut interrupt } = self;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
