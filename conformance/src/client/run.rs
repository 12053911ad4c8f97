//! Owns the course of a run against a client: ideal sessions first, then the cases side by side, and a second look at what failed.
//! It hands back results; printing them and mapping them to an exit code is not its business.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lastword_dialects::Dialect;
use lastword_judge::{Options, judge};
use lastword_spec::finding::{FindingKind, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{REC_C4, REC_C5, SEC_C1, TIM_C1};
use lastword_spec::trace::{EventKind, InputEnd, Trace};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::attempt::{Attempted, attempt};
use super::completed;
use super::confirm;
use super::launch::{Launch, LaunchError, Program, Stdin};
use super::reception;
use super::script::Script;
use super::tls;
use crate::case::Case;
use crate::dialect;
use crate::run::{Calibration, CaseResult, Confirmation, Evidence, Knowledge, Observer, Run, skip, skipped};
use crate::speech::{SAMPLE_RATE_HZ, Speech};
use crate::verdict::{self, Circumstances};

/// What is to be done to a client, and within which limits.
pub struct ClientPlan {
    /// How the client is started.
    pub launch: Launch,
    /// The cases, in the order of the report.
    pub cases: Vec<&'static Case>,
    /// How many clients run side by side at most.
    pub jobs: usize,
    /// The path of the URL that the client is given.
    pub path: String,
    /// What the client speaks, where it is not version 1.
    pub dialect: Option<&'static Dialect>,
    /// Whether the client dials `wss`, with certificates that are made for this run. A client in memory does not.
    pub tls: bool,
    /// The credential that the client is given, if it is given one.
    pub token: Option<String>,
    /// How much audio the command streams by itself, where the harness does not hand it over.
    pub stream_ms: Option<u64>,
    /// From which the order of the cases is made.
    pub seed: u64,
    /// The longest wait for one run of the client, in milliseconds.
    pub max_wait_ms: u64,
    /// Whether what failed is run again alone before it convicts. Under paused time it would bring the same.
    pub looks_again: bool,
}

/// What the parts of a run share.
pub(super) struct Env {
    pub(super) launch: Launch,
    pub(super) path: String,
    pub(super) dialect: Option<&'static Dialect>,
    /// What takes the connections of a client that dials `wss`.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) token: Option<String>,
    pub(super) seed: u64,
    pub(super) max_wait_ms: u64,
    stream_ms: Option<u64>,
    speech: Speech,
    folder: tempfile::TempDir,
}

/// The audio that a client is given.
pub(super) struct Audio {
    pub(super) pcm: Vec<u8>,
    pub(super) wav: Vec<u8>,
    pub(super) path: PathBuf,
}

impl Env {
    pub(super) fn options(&self) -> Options {
        Options { time_scale_percent: 100, secrets: self.token.iter().cloned().collect() }
    }

    /// Where the root of a client that dials `wss` lies.
    pub(super) fn root_file(&self) -> PathBuf {
        root_file(self.folder.path())
    }

    /// What verdicts depend on besides the traces.
    fn knowledge(&self) -> Knowledge {
        Knowledge {
            secrets: self.options().secrets,
            has_credential: self.token.is_some(),
            max_wait_ms: self.max_wait_ms,
            dialect: self.dialect.and_then(dialect::spoken),
            ..Knowledge::default()
        }
    }

    /// Speech of this length, over and over; as samples, as a WAV file in memory and on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn audio(&self, audio_ms: u64) -> Result<Audio, LaunchError> {
        let length = usize::try_from(audio_ms * 32).unwrap_or(0);
        let clip = &self.speech.clip("long").pcm;
        let mut pcm = clip.repeat(length.div_ceil(clip.len().max(1)));
        pcm.truncate(length);
        let path = self.folder.path().join(format!("speech-{audio_ms}-ms.wav"));
        let wav = wav(&pcm);
        let cannot = |error| LaunchError::new(&format!("the audio of {audio_ms} ms in {}", path.display()), &error);
        // Written once, and moved to its place: another case may read it at this moment.
        if !path.exists() {
            let mut file = tempfile::NamedTempFile::new_in(self.folder.path()).map_err(cannot)?;
            file.write_all(&wav).map_err(cannot)?;
            file.persist(&path).map_err(|error| cannot(error.error))?;
        }
        Ok(Audio { pcm, wav, path })
    }

    /// The length of the client's input, and by what its end is known; `None` where neither is.
    pub(super) fn input(&self, audio_ms: u64) -> Option<(u64, InputEnd)> {
        match self.launch.stdin {
            Stdin::Driver => Some((audio_ms, InputEnd::Driver)),
            Stdin::Wav | Stdin::Pcm => Some((audio_ms, InputEnd::Stdin)),
            Stdin::Null => match self.stream_ms {
                Some(stated) => Some((stated, InputEnd::Stated)),
                None => self.launch.names("audio").then_some((audio_ms, InputEnd::File)),
            },
        }
    }
}

/// The note of the first connection that came to nothing below WebSocket, with what to do.
fn never_a_socket(trace: &Trace) -> Option<String> {
    trace.events.iter().find_map(|event| match &event.kind {
        EventKind::Note(what) if what.starts_with(tls::FAILED) => {
            Some(format!("{what} (it must trust the root that {{ca}} names)"))
        }
        EventKind::Note(what) if what.starts_with(reception::ASKED) => Some(what.clone()),
        _ => None,
    })
}

fn root_file(folder: &Path) -> PathBuf {
    folder.join("root.pem")
}

fn wav(pcm: &[u8]) -> Vec<u8> {
    let rate = u32::try_from(SAMPLE_RATE_HZ).unwrap_or(16_000);
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    if let Ok(mut writer) = hound::WavWriter::new(&mut bytes, spec) {
        let samples = u32::try_from(pcm.len() / 2).unwrap_or(u32::MAX);
        // Many at once: minutes of audio are written sample by sample for a second and longer.
        let mut many = writer.get_i16_writer(samples);
        for pair in pcm.chunks_exact(2) {
            many.write_sample(i16::from_le_bytes([pair[0], pair[1]]));
        }
        // Written to memory: nothing can fail.
        let _ = many.flush();
        let _ = writer.finalize();
    }
    bytes.into_inner()
}

/// Carries out a plan.
///
/// # Errors
/// The client cannot be started at all.
pub async fn run(plan: ClientPlan, observer: &dyn Observer) -> Result<Run, LaunchError> {
    let started = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| LaunchError::new("a folder for the audio", &error))?;
    let is_process = matches!(plan.launch.program, Program::Command(_));
    let tls = (plan.tls && is_process).then(|| tls::acceptor(&root_file(folder.path()))).transpose()?;
    let env = Arc::new(Env {
        launch: plan.launch,
        tls,
        path: plan.path,
        dialect: plan.dialect,
        token: plan.token,
        seed: plan.seed,
        max_wait_ms: plan.max_wait_ms,
        stream_ms: plan.stream_ms,
        speech: Speech::built_in(),
        folder,
    });
    let calibration = calibrate(&env).await?;
    observer.calibrated(&calibration);
    let total = plan.cases.len();
    let results = side_by_side(&env, &plan.cases, plan.jobs, observer).await;
    let mut results = if plan.looks_again {
        let results = undecided_again(&env, results, observer).await;
        second_look(&env, results, observer).await
    } else {
        results
    };
    completed::doubt(&mut results, calibration.sessions.iter().map(|session| &*session.trace));
    let connections = results.iter().filter_map(|result| result.evidence.as_ref());
    let connections: usize = connections.map(|evidence| evidence.judgement.connections.len()).sum();
    Ok(Run {
        planned: total,
        calibration,
        knowledge: env.knowledge(),
        alone: None,
        suite: None,
        transcripts: None,
        jobs_at_end: plan.jobs,
        connections: connections as u64,
        audio_ms: 0,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        results,
    })
}

/// The case that shows whether the client can run a session with a good server at all.
pub(crate) const IDEAL_CLIENT_CASE: &str = "client/end/ideal";

async fn calibrate(env: &Arc<Env>) -> Result<Calibration, LaunchError> {
    let mut calibration = Calibration {
        reachable: false,
        broken: None,
        limits: None,
        ready_us: None,
        last_final_us: None,
        ended_us: None,
        session_ms: None,
        sessions: Vec::new(),
    };
    let Some((case, script)) = super::catalogue()
        .iter()
        .find_map(|case| Some((case, case.script.as_ref()?)).filter(|(case, _)| case.id == IDEAL_CLIENT_CASE))
    else {
        return Ok(calibration);
    };
    let began = Instant::now();
    let attempted = attempt(env, case, script).await?;
    let tail = attempted.tail.join("\n  ");
    let (result, evidence) = decide(env, case, attempted, began);
    calibration.session_ms = Some(result.took_ms);
    if let Some(evidence) = evidence {
        let is_open = |event: &lastword_spec::trace::Event| matches!(event.kind, EventKind::Open(_));
        calibration.reachable = evidence.trace.events.iter().any(is_open);
        if !matches!(result.verdict, Verdict::Pass | Verdict::NonStrict) {
            let why = result.findings().next().map(lastword_judge::render).or_else(|| result.reason.clone());
            let connected = match never_a_socket(&evidence.trace) {
                _ if calibration.reachable => String::new(),
                Some(failed) => format!("it never connected: {failed}; "),
                None => "it never connected; ".to_owned(),
            };
            let wrote = if tail.is_empty() { "it wrote nothing".to_owned() } else { format!("it wrote\n  {tail}") };
            calibration.broken = Some(format!("{connected}{}; {wrote}", why.unwrap_or_default()));
        }
        calibration.sessions.push(evidence);
    }
    Ok(calibration)
}

/// The cases, so many at once, in their order in the end.
async fn side_by_side(
    env: &Arc<Env>,
    cases: &[&'static Case],
    jobs: usize,
    observer: &dyn Observer,
) -> Vec<CaseResult> {
    let slots = Arc::new(Semaphore::new(jobs.max(1)));
    let mut tasks = JoinSet::new();
    for (index, case) in cases.iter().copied().enumerate() {
        let (env, slots) = (Arc::clone(env), Arc::clone(&slots));
        tasks.spawn(async move {
            let _slot = slots.acquire().await;
            (index, one(&env, case, 1).await)
        });
    }
    let mut results: Vec<(usize, CaseResult)> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let Ok((index, result)) = done else { continue };
        observer.finished(&result, results.len() + 1, cases.len());
        results.push((index, result));
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// One case, with so many times the audio that it says.
async fn one(env: &Arc<Env>, case: &'static Case, audio_times: u64) -> CaseResult {
    let Some(script) = &case.script else {
        return skipped(case, Verdict::HarnessError, "this is no case about a client");
    };
    if let Some((verdict, why)) = skip(&env.knowledge(), case) {
        return skipped(case, verdict, &why);
    }
    let script = &Script { audio_ms: script.audio_ms.saturating_mul(audio_times), ..script.clone() };
    if script.level > 0 && env.launch.stdin != Stdin::Driver {
        return skipped(case, Verdict::NotTested, "only a driver can show it: --driver");
    }
    let began = Instant::now();
    match attempt(env, case, script).await {
        Ok(attempted) => match script.lacking(&attempted.lacks) {
            Some(call) => {
                skipped(case, Verdict::NotTested, &format!("the driver says that its client has no `{call}`"))
            }
            None => decide(env, case, attempted, began).0,
        },
        Err(error) => skipped(case, Verdict::HarnessError, &error.to_string()),
    }
}

fn decide(env: &Env, case: &'static Case, attempted: Attempted, began: Instant) -> (CaseResult, Option<Evidence>) {
    let options = env.options();
    let judgement = judge(&attempted.trace, &options);
    let circumstances = Circumstances { unmet: attempted.unmet, ..Circumstances::default() };
    let (verdict, mut reason) = verdict::of_case(case, &judgement, &circumstances);
    if let Some(why) = &mut reason
        && options.secrets.is_empty()
        && verdict == Verdict::NotTested
        && case.covers.contains(&SEC_C1)
    {
        why.push_str(": give the client its credential, and say with --token which it is");
    }
    if let Some(why) = &mut reason
        && verdict == Verdict::NotTested
        && case.covers.iter().any(|id| [REC_C4, REC_C5, TIM_C1].contains(id))
        && !has_dialled_again(&attempted.trace)
    {
        why.push_str(": it did not go on with a lost session on a new connection, which it need not");
    }
    let evidence = Evidence { trace: Arc::new(attempted.trace), judgement: Arc::new(judgement) };
    let result = CaseResult {
        case,
        verdict,
        reason,
        evidence: Some(evidence.clone()),
        circumstances,
        second: None,
        third: None,
        confirmation: Confirmation::None,
        unrepeated: BTreeSet::new(),
        attempts: 1,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    (result, Some(evidence))
}

/// Whether any run of the client opened a second connection.
fn has_dialled_again(trace: &Trace) -> bool {
    let mut opened = 0;
    trace.events.iter().any(|event| {
        match &event.kind {
            EventKind::Started(_) => opened = 0,
            EventKind::Open(_) | EventKind::ConnectFailed { .. } | EventKind::Refused { .. } => opened += 1,
            _ => {}
        }
        opened > 1
    })
}

/// Where more cases than this stayed open it is the client's doing, and no race that it lost on a busy machine.
const MOST_UNDECIDED: usize = 6;
/// So often a case that ended undecided is tried again: on a line that stands still every few seconds a play meets that in two runs in
/// a row.
const TRIES_OF_UNDECIDED: u32 = 3;

/// Runs cases again, alone, in which a client beside others was not as far as the play had it be, so that nothing was decided. What
/// came of the first time is kept where no other decides more.
async fn undecided_again(env: &Arc<Env>, mut results: Vec<CaseResult>, observer: &dyn Observer) -> Vec<CaseResult> {
    let is_open = |result: &&mut CaseResult| {
        result.evidence.is_some() && matches!(result.verdict, Verdict::NotTested | Verdict::Inconclusive)
    };
    let open: Vec<&mut CaseResult> = results.iter_mut().filter(is_open).collect();
    if open.len() <= MOST_UNDECIDED {
        for result in open {
            observer.note(&format!("running {} again, alone: nothing was decided", result.case.id));
            // What a client need not do it does not do the third time either.
            let tries = if result.verdict == Verdict::Inconclusive { TRIES_OF_UNDECIDED } else { 1 };
            for attempt in 2..=tries + 1 {
                let again = one(env, result.case, 1).await;
                let decides = matches!(again.verdict, Verdict::Pass | Verdict::NonStrict) || again.verdict.is_failure();
                if decides {
                    *result = again;
                }
                result.attempts = attempt;
                if decides {
                    break;
                }
            }
        }
    }
    results
}

/// A client that is late is late in so many looks in a row.
const LOOKS_AT_LATE: usize = 6;
/// So often it is looked at where it was not: on a line that stands still every few seconds a case meets that more often than not.
const LOOKS_AT_MOST: usize = 12;
/// So many looks at least must be clean to clear it, and half as many as were not.
const CLEAN_LOOKS: usize = 2;

/// Runs every failing case again, alone.
async fn second_look(env: &Arc<Env>, mut results: Vec<CaseResult>, observer: &dyn Observer) -> Vec<CaseResult> {
    for result in results.iter_mut().filter(|result| result.verdict.is_failure()) {
        observer.note(&format!("running {} again, alone", result.case.id));
        let found = keys(result);
        // Who gives up because it has no audio left gives up later where it has more.
        let audio_times = if found.iter().any(|(id, _)| *id == REC_C5) { confirm::TIMES_THE_AUDIO } else { 1 };
        let (second, third) = if confirm::is_a_matter_of_time(found.iter().copied()) {
            look_often(&found, || one(env, result.case, audio_times)).await
        } else {
            (one(env, result.case, audio_times).await, None)
        };
        result.second = second.evidence;
        result.third = third.and_then(|third| third.evidence);
    }
    confirm::settle_all(&mut results);
    results
}

/// Looks at what was late until enough looks were clean, or there were enough. Gives back two clean ones where they clear the client,
/// and otherwise one that did not find the same again, if there was one.
async fn look_often<F>(
    found: &BTreeSet<(RequirementId, FindingKind)>,
    mut look: impl FnMut() -> F,
) -> (CaseResult, Option<CaseResult>)
where
    F: Future<Output = CaseResult>,
{
    let is_the_same = |look: &CaseResult| !found.is_disjoint(&keys(look));
    let (mut clean, mut others): (Vec<CaseResult>, Vec<CaseResult>) = (Vec::new(), Vec::new());
    for count in 1..=LOOKS_AT_MOST {
        let next = look().await;
        if is_clean(&next) {
            clean.push(next)
        } else {
            others.push(next)
        }
        // What was found at first counts with those that were not clean.
        if clean.len() >= CLEAN_LOOKS.max((others.len() + 1).div_ceil(2)) {
            let third = clean.pop();
            return (clean.swap_remove(0), third);
        }
        if count == LOOKS_AT_LATE && clean.is_empty() && others.iter().all(is_the_same) {
            break;
        }
    }
    let other = others.iter().position(|look| !is_the_same(look)).map(|at| others.swap_remove(at));
    (clean.pop().or(other).unwrap_or_else(|| others.swap_remove(0)), None)
}

/// Whether nothing was found, and the play came to its end.
fn is_clean(look: &CaseResult) -> bool {
    confirm::is_clean(look.verdict) && look.evidence.is_some() && look.circumstances.unmet.is_empty()
}

fn keys(result: &CaseResult) -> BTreeSet<(RequirementId, FindingKind)> {
    result.findings().map(|finding| (finding.requirement, finding.kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audio_of_a_client_is_a_wav_file_that_others_can_read() {
        let pcm: Vec<u8> = (0..=255).cycle().take(6_400).collect();
        let mut reader = hound::WavReader::new(Cursor::new(wav(&pcm))).expect("a WAV file");
        assert_eq!((reader.spec().sample_rate, reader.spec().channels, reader.spec().bits_per_sample), (16_000, 1, 16));
        let samples: Vec<u8> = reader.samples::<i16>().flat_map(|one| one.expect("a sample").to_le_bytes()).collect();
        assert_eq!(samples, pcm);
    }
}
