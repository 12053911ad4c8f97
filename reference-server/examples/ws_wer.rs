//! Speech through a running server over WebSocket: word error rate and latency, beside whisper-rs called directly on the same
//! files. For people, not for tests.
//!
//! `lastword-server & cargo run --release -p lastword-server --example ws_wer -- ws://127.0.0.1:9090/v1/listen`
//!
//! It ends with a failure if a session is incomplete, a recording longer than 4 s has no partial while its audio flows, or (at
//! the pace of speech) more than its last segment is final only after the end of the stream.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use lastword_server::audio::{read_wav, samples_to_ms};
use lastword_server::recognizer::wer::word_errors;
use lastword_spec::codec::{self, Decoded};
use lastword_spec::message::ServerMessage;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

const FRAME_MS: u64 = 20;
const FRAME_SAMPLES: usize = 320;
/// What the fixture model holds at once.
const WINDOW_MS: u64 = 10_000;
/// A recording longer than this must have a partial while its audio flows.
const LONG_MS: u64 = 4_000;

/// Streams the fixtures through a server and prints what came back.
#[derive(Parser)]
struct Cli {
    /// The server.
    url: String,
    /// The folders of `fixtures/` to stream.
    #[arg(long, default_values = ["wavs", "long"])]
    set: Vec<String>,
    /// As fast as the server takes it, instead of at the pace of speech.
    #[arg(long)]
    fast: bool,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// The pause that ends a segment, in milliseconds; the default of the protocol if left out.
    #[arg(long)]
    silence_ms: Option<u64>,
    /// The model that whisper-rs is called with directly; the fixture model if left out.
    #[arg(long)]
    model: Option<PathBuf>,
}

struct Clip {
    name: String,
    truth: String,
    samples: Vec<i16>,
}

impl Clip {
    fn length_ms(&self) -> u64 {
        samples_to_ms(self.samples.len() as u64)
    }
}

/// What one session gave. Times are milliseconds from its first audio.
#[derive(Default)]
struct Session {
    text: String,
    partials_in_flow: usize,
    first_partial_ms: Option<f64>,
    /// From the time the last word was sent to that of its final.
    last_word_to_final_ms: Option<f64>,
    end_to_session_ended_ms: f64,
    finals: usize,
    finals_after_end: usize,
    complete: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut failures = Vec::new();
    for set in &cli.set {
        let clips = read_clips(&fixtures.join(set))?;
        let sessions: Vec<(&Clip, Result<Session>)> = stream::iter(&clips)
            .map(async |clip| (clip, session(&cli, clip).await))
            .buffered(cli.jobs.max(1))
            .collect()
            .await;
        let (mut errors, mut words) = (0, 0);
        let mut heard = Vec::new();
        for (clip, session) in sessions {
            let session = session.with_context(|| clip.name.clone())?;
            let (wrong, of) = word_errors(&clip.truth, &session.text);
            errors += wrong;
            words += of;
            let mark =
                if wrong > 0 { format!("  {wrong} of {of} wrong, said {:?}", clip.truth) } else { String::new() };
            println!("  {:<26} {:?}{mark}", clip.name, session.text);
            failures.extend(complaints(&cli, clip, &session));
            heard.push(session);
        }
        println!("{set}: WebSocket {:.2} % wrong ({errors} of {words} words)", percent(errors, words));
        print_times(&heard);
        print_direct(&cli, &fixtures, &clips)?;
    }
    for failure in &failures {
        println!("FAILED {failure}");
    }
    if failures.is_empty() { Ok(()) } else { bail!("{} recordings were not served as they must be", failures.len()) }
}

fn complaints(cli: &Cli, clip: &Clip, session: &Session) -> Vec<String> {
    let mut complaints = Vec::new();
    if !session.complete {
        complaints.push(format!("{}: the session is not complete", clip.name));
    }
    let is_speech = !clip.truth.is_empty();
    if !cli.fast && is_speech && clip.length_ms() > LONG_MS && session.partials_in_flow == 0 {
        complaints.push(format!("{}: no partial while the audio flowed", clip.name));
    }
    if !cli.fast && session.finals_after_end > 1 {
        complaints.push(format!("{}: {} finals after the end", clip.name, session.finals_after_end));
    }
    complaints
}

fn print_times(sessions: &[Session]) {
    let line = |what: &str, values: Vec<f64>| {
        let mut values = values;
        values.sort_unstable_by(f64::total_cmp);
        if let (Some(middle), Some(longest)) = (values.get(values.len() / 2), values.last()) {
            println!("  {what}: {middle:.1} ms (middle), {longest:.1} ms (longest) of {}", values.len());
        }
    };
    line("first audio to first partial", sessions.iter().filter_map(|session| session.first_partial_ms).collect());
    line("last word to last final", sessions.iter().filter_map(|session| session.last_word_to_final_ms).collect());
    line("end_of_stream to session_ended", sessions.iter().map(|session| session.end_to_session_ended_ms).collect());
    let finals: usize = sessions.iter().map(|session| session.finals).sum();
    let after_end: usize = sessions.iter().map(|session| session.finals_after_end).sum();
    println!("  finals: {finals}, of which after the end of the stream: {after_end}");
}

async fn session(cli: &Cli, clip: &Clip) -> Result<Session> {
    let request = cli.url.as_str().into_client_request()?;
    let authority = request.uri().authority().context("the URL has no host")?.to_string();
    let stream = TcpStream::connect(&authority).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(request, stream).await?;
    let (mut sink, mut messages) = socket.split();
    sink.send(Message::text(config(cli))).await?;
    let ready = loop {
        if let Message::Text(text) = messages.next().await.context("closed before ready")?? {
            break text;
        }
    };
    if !matches!(decode(&ready)?, ServerMessage::Ready(_)) {
        bail!("instead of ready: {ready}");
    }
    let started = Instant::now();
    let (ended, mut end) = tokio::sync::watch::channel(None);
    let feed = async {
        for (number, frame) in clip.samples.chunks(FRAME_SAMPLES).enumerate() {
            if !cli.fast {
                tokio::time::sleep_until(started + Duration::from_millis(FRAME_MS * (number as u64 + 1))).await;
            }
            let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            sink.send(Message::Binary(Bytes::from(bytes))).await?;
        }
        sink.send(Message::text(r#"{"type":"end_of_stream"}"#)).await?;
        ended.send_replace(Some(Instant::now()));
        Ok::<_, anyhow::Error>(())
    };
    let hear = async {
        let mut session = Session::default();
        let mut texts = Vec::new();
        while let Some(message) = messages.next().await {
            let Message::Text(text) = message? else { continue };
            let now = Instant::now();
            let now_ms = (now - started).as_secs_f64() * 1_000.0;
            let ended_at = *end.borrow_and_update();
            match decode(&text)? {
                ServerMessage::Partial(_) => {
                    session.first_partial_ms.get_or_insert(now_ms);
                    session.partials_in_flow += usize::from(ended_at.is_none());
                }
                ServerMessage::Final(result) => {
                    session.finals += 1;
                    session.finals_after_end += usize::from(ended_at.is_some());
                    session.last_word_to_final_ms = (!cli.fast).then_some(now_ms - result.end_ms as f64);
                    texts.push(result.text);
                }
                ServerMessage::SessionEnded(message) => {
                    session.complete = message.complete;
                    session.end_to_session_ended_ms =
                        ended_at.map_or(0.0, |at: Instant| (now - at).as_secs_f64() * 1_000.0);
                }
                ServerMessage::Error(error) => bail!("{}: {}", error.code, error.message),
                _ => {}
            }
        }
        session.text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        Ok(session)
    };
    let (fed, heard) = tokio::join!(feed, hear);
    fed?;
    heard
}

fn config(cli: &Cli) -> String {
    match cli.silence_ms {
        Some(silence_ms) => format!(r#"{{"type":"config","endpointing":{{"silence_ms":{silence_ms}}}}}"#),
        None => r#"{"type":"config"}"#.to_owned(),
    }
}

fn decode(text: &str) -> Result<ServerMessage> {
    match codec::decode_server(text, 1 << 20) {
        Ok(Decoded::Message(message)) => Ok(message),
        Ok(Decoded::Unknown { .. }) => bail!("unknown message {text}"),
        Err(error) => bail!("{text}: {error}"),
    }
}

/// whisper-rs on the same files, one call a file, for those that fit the window of the fixture model.
fn print_direct(cli: &Cli, fixtures: &Path, clips: &[Clip]) -> Result<()> {
    whisper_rs::install_logging_hooks();
    let model = cli.model.clone().unwrap_or_else(|| fixtures.join("model/tiny118-en-q5_0.bin"));
    let mut state = WhisperContext::new_with_params(&model, WhisperContextParameters::default())?.create_state()?;
    let (mut errors, mut words, mut files) = (0, 0, 0);
    for clip in clips.iter().filter(|clip| clip.length_ms() <= WINDOW_MS) {
        let (wrong, of) = word_errors(&clip.truth, &direct(&mut state, &clip.samples)?);
        errors += wrong;
        words += of;
        files += 1;
    }
    if files > 0 {
        println!("  whisper-rs called directly: {:.2} % wrong ({errors} of {words} words)", percent(errors, words));
    } else {
        println!("  whisper-rs called directly: none of these fits the window of the model; see the example `wer`");
    }
    Ok(())
}

fn direct(state: &mut WhisperState, samples: &[i16]) -> Result<String> {
    let mut audio: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    // whisper.cpp reads beyond the end of less.
    audio.resize(audio.len().max(3_200), 0.0);
    let positions = audio.len() / FRAME_SAMPLES + 1;
    let context = [128, 192, 256, 512].into_iter().find(|size| *size >= positions).unwrap_or(512);
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(1);
    parameters.set_language(Some("en"));
    parameters.set_no_context(true);
    parameters.set_no_timestamps(true);
    parameters.set_single_segment(true);
    parameters.set_suppress_blank(false);
    parameters.set_temperature_inc(0.0);
    parameters.set_max_initial_ts(0.0);
    parameters.set_audio_ctx(context as i32);
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_special(false);
    parameters.set_print_timestamps(false);
    state.full(parameters, &audio)?;
    let texts: Vec<String> = state
        .as_iter()
        .map(|segment| segment.to_str_lossy().map(|text| text.trim().to_owned()))
        .collect::<Result<_, _>>()?;
    Ok(texts.join(" ").trim().to_owned())
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

fn read_clips(folder: &Path) -> Result<Vec<Clip>> {
    let mut clips = Vec::new();
    for line in std::fs::read_to_string(folder.join("refs.tsv"))?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, truth, ..] = fields[..] else { bail!("{}: {line:?}", folder.display()) };
        let samples = read_wav(&std::fs::read(folder.join(name))?)?;
        clips.push(Clip { name: name.to_owned(), truth: truth.to_owned(), samples });
    }
    Ok(clips)
}
