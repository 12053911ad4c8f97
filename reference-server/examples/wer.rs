//! Word error rate of a model over the fixtures, by the batch transcription and by streams; for people, not for tests.
//!
//! `cargo run --release -p lastword-server --example wer -- --help`; build `lastword-server` with the same profile before:
//! it is the child process in which a model that is not known byte for byte is tried.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use lastword_server::audio::{read_wav, samples_to_ms};
use lastword_server::recognizer::wer::word_errors;
use lastword_server::recognizer::whisper::{ProbeCommand, WhisperOptions, load};
use lastword_server::recognizer::{BatchOptions, EndpointConfig, EngineEvent, Recognizer, StreamOptions, WindowConfig};

/// Transcribes the fixtures and prints the word error rate.
#[derive(Parser)]
struct Cli {
    /// A whisper.cpp model file; the fixture model if left out.
    model: Option<PathBuf>,
    /// The folders of `fixtures/` to transcribe.
    #[arg(long, default_values = ["wavs", "long"])]
    set: Vec<String>,
    /// The pauses that end a segment of a stream, in milliseconds, each tried in turn; none means no streams.
    #[arg(long, value_delimiter = ',', default_value = "160,200,240,400,500")]
    silence_ms: Vec<u64>,
    /// The longest window, in milliseconds; what suits the model if left out.
    #[arg(long)]
    window_ms: Option<u64>,
    /// A window whose speech is this long ends at a short pause, in milliseconds.
    #[arg(long, requires = "window_ms", default_value_if("window_ms", clap::builder::ArgPredicate::IsPresent, "1500"))]
    long_ms: Option<u64>,
    /// The pause that ends a long window, in milliseconds.
    #[arg(long, requires = "window_ms", default_value_if("window_ms", clap::builder::ArgPredicate::IsPresent, "200"))]
    pause_ms: Option<u64>,
    /// No partials.
    #[arg(long)]
    no_interims: bool,
    /// Streams at the pace of speech. The CPU time of the process is then the cost of a live stream.
    #[arg(long)]
    real_time: bool,
    /// Leaves out the transcription of whole files.
    #[arg(long)]
    no_batch: bool,
}

/// One line of a `refs.tsv`: file, true text, voice, what the fixture model says.
struct Clip {
    samples: Vec<i16>,
    name: String,
    truth: String,
    model_text: Option<String>,
}

#[derive(Default)]
struct Tally {
    errors: usize,
    words: usize,
    differing: usize,
    audio: Duration,
    work: Duration,
}

impl Tally {
    fn add(&mut self, clip: &Clip, heard: &str, work: Duration) {
        let (errors, words) = word_errors(&clip.truth, heard);
        self.errors += errors;
        self.words += words;
        self.audio += Duration::from_millis(samples_to_ms(clip.samples.len() as u64));
        self.work += work;
        let expected = clip.model_text.as_deref();
        if expected.is_some_and(|expected| expected != heard) {
            self.differing += 1;
        }
        let mark = if errors > 0 { format!("{errors} of {words} wrong, said {:?}", clip.truth) } else { String::new() };
        println!("  {:<26} {heard:?} {mark}", clip.name);
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: WER {:.2} % ({} of {} words), {} texts differ from refs.tsv, {:.1} s of audio, real-time factor {:.4}",
            100.0 * self.errors as f64 / self.words.max(1) as f64,
            self.errors,
            self.words,
            self.differing,
            self.audio.as_secs_f64(),
            self.work.as_secs_f64() / self.audio.as_secs_f64().max(f64::EPSILON),
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let model = cli.model.clone().unwrap_or_else(|| fixtures.join("model/tiny118-en-q5_0.bin"));
    let server = std::env::current_exe()?.with_file_name("..").join("lastword-server");
    let started = Instant::now();
    let mut options = WhisperOptions::new(model, NonZeroUsize::MIN, ProbeCommand::new(server));
    if let (Some(max_ms), Some(long_ms), Some(pause_ms)) = (cli.window_ms, cli.long_ms, cli.pause_ms) {
        options.windows = Some(WindowConfig { max_ms, long_ms, pause_ms });
    }
    let recognizer = load(&options)?;
    println!("loaded in {:?}: {:?}", started.elapsed(), recognizer.info());

    for set in &cli.set {
        let clips = read_clips(&fixtures.join(set))?;
        if !cli.no_batch {
            let mut batch = Tally::default();
            for clip in &clips {
                let started = Instant::now();
                let heard = recognizer.transcribe(&clip.samples, &BatchOptions::default()).await?;
                batch.add(clip, &heard.text, started.elapsed());
            }
            batch.print(&format!("{set}, batch"));
        }
        for &silence_ms in &cli.silence_ms {
            let mut stream = Tally::default();
            for clip in &clips {
                let options = StreamOptions {
                    interim_results: !cli.no_interims,
                    endpointing: EndpointConfig { silence_ms, ..EndpointConfig::default() },
                    ..StreamOptions::default()
                };
                let started = Instant::now();
                let heard = stream_text(&recognizer, &clip.samples, options, cli.real_time).await?;
                stream.add(clip, &heard, started.elapsed());
            }
            stream.print(&format!("{set}, stream, silence_ms {silence_ms}"));
        }
    }
    Ok(())
}

/// The finals of one stream, joined. Frames of 20 ms, each handed over at its time, or when the ones before it are decoded.
async fn stream_text(
    recognizer: &Recognizer,
    samples: &[i16],
    options: StreamOptions,
    real_time: bool,
) -> Result<String, Box<dyn Error>> {
    let (input, mut events) = recognizer.open(options)?;
    let backlog = input.backlog();
    let feed = async move {
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        for frame in samples.chunks(320) {
            input.push(frame.to_vec());
            if real_time {
                clock.tick().await;
            } else {
                backlog.at_most(0).await;
            }
        }
        input.finish();
    };
    let mut finals = Vec::new();
    let hear = async {
        while let Some(event) = events.recv().await {
            match event {
                EngineEvent::Final(heard) if !heard.text.is_empty() => finals.push(heard.text),
                EngineEvent::Failed { message } => return Err(message),
                _ => {}
            }
        }
        Ok(())
    };
    let ((), heard) = tokio::join!(feed, hear);
    heard?;
    Ok(finals.join(" "))
}

fn read_clips(folder: &Path) -> Result<Vec<Clip>, Box<dyn Error>> {
    let mut clips = Vec::new();
    for line in std::fs::read_to_string(folder.join("refs.tsv"))?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let samples = read_wav(&std::fs::read(folder.join(fields[0]))?)?;
        let (name, truth) = (fields[0].to_owned(), fields[1].to_owned());
        clips.push(Clip { samples, name, truth, model_text: fields.get(3).map(|text| (*text).to_owned()) });
    }
    Ok(clips)
}
