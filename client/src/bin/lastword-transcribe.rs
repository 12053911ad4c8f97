//! `lastword-transcribe FILE.wav [URL]`: streams a recording to a Lastword server and prints what it hears, as it hears it. Owns the
//! command line, the file and the terminal; everything else is the library's.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use console::Term;
use lastword_client::{AudioSender, ConnectOptions, Event, Outcome, connect};
use lastword_spec::codec;
use lastword_spec::message::{Final, Partial, ServerMessage};
use tokio::time::{Instant, sleep_until};

/// Streams a WAV file to a Lastword server and prints the transcript while it comes.
///
/// Exits with 0 if and only if the server confirmed that nothing was lost, 1 if something was, 2 for wrong usage.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The recording: 16-bit, 16 kHz, one channel.
    file: PathBuf,
    /// The server.
    #[arg(default_value = "ws://127.0.0.1:9090/v1/listen")]
    url: String,
    /// The credential for servers that ask for one.
    #[arg(long, env = "LASTWORD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A PEM file with further roots for `wss`, besides the public ones.
    #[arg(long, value_name = "FILE", env = "LASTWORD_CA")]
    ca: Option<PathBuf>,
    /// Send as fast as the server takes it, instead of at the pace of speech.
    #[arg(long)]
    fast: bool,
    /// Print every event as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// What goes out at once.
const CHUNK_MS: u64 = 100;
const SAMPLE_RATE_HZ: u32 = 16_000;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(outcome) if outcome.is_complete() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lastword-transcribe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    let samples = read_wav(&cli.file)?;
    let mut options = ConnectOptions::default();
    if let Some(token) = &cli.token {
        options = options.token(token)?;
    }
    if let Some(file) = &cli.ca {
        let name = file.display();
        options =
            options.extra_roots_pem(std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?);
    }
    let (audio, mut events) = connect(&cli.url, options)
        .await
        .with_context(|| format!("no session with the server at {}", without_query(&cli.url)))?;
    let sending = tokio::spawn(send(audio, samples, cli.fast));
    let mut printer = Printer::new(cli.json);
    let outcome = loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Ended(outcome)) => break outcome,
                Some(event) => printer.print(&event)?,
                None => bail!("the events ended without an outcome"),
            },
            // The sender goes with its task, and with it the session: the outcome is still told.
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                sending.abort();
            }
        }
    };
    printer.print_outcome(&outcome)?;
    Ok(outcome)
}

/// Sends everything; where the session ends first, its outcome says why.
async fn send(mut audio: AudioSender, samples: Vec<i16>, fast: bool) {
    let started = Instant::now();
    let chunk = (u64::from(SAMPLE_RATE_HZ) * CHUNK_MS / 1_000) as usize;
    for (number, piece) in (1_u32..).zip(samples.chunks(chunk)) {
        if audio.push(piece).await.is_err() {
            return;
        }
        if !fast {
            sleep_until(started + Duration::from_millis(CHUNK_MS) * number).await;
        }
    }
    audio.finish();
}

fn read_wav(path: &Path) -> anyhow::Result<Vec<i16>> {
    let name = path.display();
    let reader = hound::WavReader::open(path).with_context(|| format!("cannot read {name} as a WAV file"))?;
    let spec = reader.spec();
    let is_pcm16 = spec.bits_per_sample == 16 && spec.sample_format == hound::SampleFormat::Int;
    if !is_pcm16 || spec.sample_rate != SAMPLE_RATE_HZ || spec.channels != 1 {
        bail!(
            "{name} is {} Hz, {} channel(s), {} bits; what is sent must be 16-bit, 16000 Hz, one channel.\n\
             Convert it, for instance: ffmpeg -i {name} -ar 16000 -ac 1 -c:a pcm_s16le converted.wav",
            spec.sample_rate,
            spec.channels,
            spec.bits_per_sample,
        );
    }
    let samples: Result<Vec<i16>, _> = reader.into_samples::<i16>().collect();
    samples.with_context(|| format!("{name} is damaged: its audio ends before its header says"))
}

/// A query may hold what should not be printed.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Prints events: on a terminal the open segment is one line that is rewritten; elsewhere each is a line of its own.
struct Printer {
    term: Term,
    json: bool,
    partial_shown: bool,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self { term: Term::stdout(), json, partial_shown: false }
    }

    fn print(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.json {
            return self.print_json(event);
        }
        match event {
            Event::Partial(partial) => self.partial(partial),
            Event::Final(result) => self.result(result),
            Event::Warning(warning) => self.note(&format!("warning ({}): {}", warning.code, warning.message)),
            Event::Error(error) => self.note(&format!("error ({}): {}", error.code, error.message)),
            Event::Violation(violation) => self.note(&format!("protocol violation: {violation}")),
            Event::Ready(_) | Event::SpeechStarted(_) | Event::SpeechEnded(_) | Event::Ended(_) => Ok(()),
        }
    }

    fn partial(&mut self, partial: &Partial) -> anyhow::Result<()> {
        if !self.term.is_term() {
            return self.line(&format!("partial {}", stamped(partial.start_ms, partial.end_ms, &partial.text)));
        }
        self.term.clear_line()?;
        let width = usize::from(self.term.size().1).saturating_sub(1);
        // The end of the text is what is new.
        let text = partial.text.as_str();
        let skipped = text.chars().count().saturating_sub(width.saturating_sub(2));
        let shown: String = text.chars().skip(skipped).collect();
        self.term.write_str(&console::truncate_str(&format!("… {shown}"), width, ""))?;
        self.term.flush()?;
        self.partial_shown = true;
        Ok(())
    }

    fn result(&mut self, result: &Final) -> anyhow::Result<()> {
        self.clear_partial()?;
        let text = stamped(result.start_ms, result.end_ms, &result.text);
        if self.term.is_term() { self.line(&text) } else { self.line(&format!("final   {text}")) }
    }

    /// Talk, as opposed to data: on standard error.
    fn note(&mut self, text: &str) -> anyhow::Result<()> {
        self.clear_partial()?;
        eprintln!("lastword-transcribe: {text}");
        Ok(())
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.term.write_line(text)?;
        Ok(())
    }

    fn clear_partial(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.partial_shown) {
            self.term.clear_line()?;
        }
        Ok(())
    }

    fn print_outcome(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        self.clear_partial()?;
        if self.json {
            self.line(&outcome_json(outcome).to_string())?;
        }
        match outcome {
            Outcome::Complete(ended) => {
                if !self.json {
                    eprintln!("complete: {:.1} s of audio, {} finals", seconds(ended.audio_received_ms), ended.finals);
                }
            }
            Outcome::Error { code, message, .. } => eprintln!("lastword-transcribe: error ({code}): {message}"),
            Outcome::Cancelled => eprintln!("lastword-transcribe: cancelled"),
            Outcome::Incomplete { reason, .. } => {
                eprintln!("lastword-transcribe: INCOMPLETE, the end may be missing: {reason}");
            }
        }
        Ok(())
    }

    /// The messages as they stand on the wire; what is no message is of type `x_..`.
    fn print_json(&mut self, event: &Event) -> anyhow::Result<()> {
        let message = match event.clone() {
            Event::Ready(body) => ServerMessage::Ready(body),
            Event::Partial(body) => ServerMessage::Partial(body),
            Event::Final(body) => ServerMessage::Final(body),
            Event::SpeechStarted(body) => ServerMessage::SpeechStarted(body),
            Event::SpeechEnded(body) => ServerMessage::SpeechEnded(body),
            Event::Warning(body) => ServerMessage::Warning(body),
            Event::Error(body) => ServerMessage::Error(body),
            Event::Violation(violation) => {
                let requirement = violation.requirement().as_str();
                let message = violation.to_string();
                return self.line(
                    &serde_json::json!({ "type": "x_violation", "requirement": requirement, "message": message })
                        .to_string(),
                );
            }
            Event::Ended(_) => return Ok(()),
        };
        self.line(&codec::encode(&message))?;
        std::io::stdout().flush()?;
        Ok(())
    }
}

fn outcome_json(outcome: &Outcome) -> serde_json::Value {
    let (name, why, ended) = match outcome {
        Outcome::Complete(ended) => ("complete", None, Some(ended)),
        Outcome::Error { message, ended, .. } => ("error", Some(message.clone()), ended.as_ref()),
        Outcome::Cancelled => ("cancelled", None, None),
        Outcome::Incomplete { reason, ended } => ("incomplete", Some(reason.to_string()), ended.as_ref()),
    };
    serde_json::json!({ "type": "x_outcome", "outcome": name, "message": why, "session_ended": ended })
}

fn stamped(start_ms: u64, end_ms: u64, text: &str) -> String {
    format!("[{:6.2} {:6.2}] {text}", seconds(start_ms), seconds(end_ms))
}

#[expect(clippy::cast_precision_loss, reason = "for people; a recording is shorter than 2^53 ms")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
