//! Owns the transcripts: every recording once, at the pace at which it was spoken, on a connection of its own. They stand
//! beside the verdicts and change none.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lastword_judge::{Connection, judge};
use lastword_spec::trace::{EventKind, Side, Trace};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::control::config_message;
use super::env::Env;
use super::wait;
use crate::audio_frames;
use crate::case::Open;
use crate::record::Recorder;
use crate::speech::Clip;
use crate::wer::{self, WordErrors};
use crate::wire::Outgoing;

/// What the subject heard, over all recordings.
#[derive(Clone, Debug, Default)]
pub struct Transcripts {
    /// One for each recording, in their order.
    pub each: Vec<Transcript>,
    /// Word errors over the recordings whose text is known.
    pub total: WordErrors,
}

/// What the subject heard of one recording, and when.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The recording.
    pub name: String,
    /// What is said in it, where that is known.
    pub said: Option<String>,
    /// What the subject heard; `None` where the session did not complete.
    pub heard: Option<String>,
    /// How the two differ.
    pub errors: Option<WordErrors>,
    /// The length of the recording, in milliseconds.
    pub audio_ms: u64,
    /// From the first audio frame to the first partial, in microseconds.
    pub first_partial_us: Option<u64>,
    /// From the last audio frame to the last final, in microseconds.
    pub last_final_us: Option<u64>,
    /// From the sentinel to `session_ended`, in microseconds.
    pub ended_us: Option<u64>,
}

/// More sessions at once would measure the queue and not the subject.
const LANES: usize = 8;
/// A session may take this long beyond its audio.
const SLACK: Duration = Duration::from_secs(30);
const FRAME_MS: u64 = 100;

/// Transcribes every recording; what the subject is said to hear takes the place of the texts that came with the recordings.
pub(super) async fn transcribe(env: &Arc<Env>, jobs: usize) -> Transcripts {
    let lanes = Arc::new(Semaphore::new(jobs.clamp(1, LANES)));
    let mut tasks: FuturesUnordered<_> = env
        .speech
        .recordings()
        .iter()
        .enumerate()
        .map(|(index, clip)| {
            let lanes = Arc::clone(&lanes);
            async move {
                let _lane = lanes.acquire().await;
                (index, one(env, clip).await)
            }
        })
        .collect();
    let mut each: Vec<Option<Transcript>> = vec![None; env.speech.recordings().len()];
    while let Some((index, transcript)) = tasks.next().await {
        each[index] = Some(transcript);
    }
    let each: Vec<Transcript> = each.into_iter().flatten().collect();
    let known = each.iter().filter_map(|one| one.errors);
    let total = known.fold(WordErrors::default(), |sum, one| WordErrors {
        errors: sum.errors + one.errors,
        words: sum.words + one.words,
    });
    Transcripts { each, total }
}

async fn one(env: &Arc<Env>, clip: &Clip) -> Transcript {
    let recorder = Arc::new(Recorder::new(env.header("transcript", 100), &env.options()));
    let bound = Duration::from_millis(clip.duration_ms()) + env.controls.scaled(SLACK);
    let _ = timeout(bound, converse(env, clip, &recorder)).await;
    let trace = recorder.trace();
    let judgement = judge(&trace, &env.options());
    let connection = judgement.connections.first();
    let complete = connection.and_then(|one| one.session_ended.as_ref()).is_some_and(|ended| ended.complete);
    let heard = connection.filter(|_| complete).map(|one| one.transcript.clone());
    let said = env.expect.iter().find(|(name, _)| *name == clip.name).map(|(_, text)| text.clone());
    let said = said.or_else(|| clip.text.clone());
    let errors = said.as_deref().map(|said| wer::compare(said, heard.as_deref().unwrap_or("")));
    let (first_audio_us, last_audio_us) = audio_times(&trace);
    let since =
        |from: Option<u64>, to: fn(&Connection) -> Option<u64>| Some(connection.and_then(to)?.saturating_sub(from?));
    Transcript {
        name: clip.name.clone(),
        said,
        heard,
        errors,
        audio_ms: clip.duration_ms(),
        first_partial_us: since(first_audio_us, |one| one.first_partial_us),
        last_final_us: since(last_audio_us, |one| one.last_final_us),
        ended_us: since(connection.and_then(|one| one.sentinel_us), |one| one.session_ended_us),
    }
}

async fn converse(env: &Arc<Env>, clip: &Clip, recorder: &Arc<Recorder>) -> Option<()> {
    let permit = env.gate.session().await;
    let mut session = env.open(0, &Open::default(), None, recorder, permit).await?;
    let config = config_message(env.dialler.target().token.as_deref(), &Map::new());
    session.link.send(vec![Outgoing::Text(config)]).await.then_some(())?;
    until_said(recorder, "ready").await?;
    let started = Instant::now();
    let frame_bytes = usize::try_from(FRAME_MS * 32).unwrap_or(usize::MAX);
    let mut sent_ms = 0;
    for frame in clip.pcm.chunks(frame_bytes) {
        // A frame can be sent when its last sample has been spoken.
        let frame = Outgoing::Binary(frame.to_vec().into());
        sent_ms += audio_frames::frame_ms(&frame);
        sleep_until(started + Duration::from_millis(sent_ms)).await;
        session.link.send(vec![frame]).await.then_some(())?;
    }
    session.link.send(vec![Outgoing::Text(r#"{"type":"end_of_stream"}"#.to_owned())]).await.then_some(())?;
    until_said(recorder, "session_ended").await?;
    if session.link.client_closes() && !recorder.client_has_closed(0) {
        session.link.send(vec![Outgoing::Close(Some(1000))]).await.then_some(())?;
    }
    wait::quietly(recorder, Instant::now() + Duration::from_secs(2), |recorder| recorder.is_over(0)).await;
    Some(())
}

async fn until_said(recorder: &Arc<Recorder>, kind: &str) -> Option<()> {
    let message: Map<String, Value> = Map::from_iter([("type".to_owned(), json!(kind))]);
    let mut changes = recorder.changes();
    while !recorder.has_said(&message) {
        if recorder.is_over(0) {
            return None;
        }
        changes.changed().await.ok()?;
    }
    Some(())
}

fn audio_times(trace: &Trace) -> (Option<u64>, Option<u64>) {
    let mut audio =
        trace.events.iter().filter(|event| matches!(event.kind, EventKind::Audio { from: Side::Client, .. }));
    let first = audio.next().map(|event| event.t_us);
    (first, audio.next_back().map(|event| event.t_us).or(first))
}
