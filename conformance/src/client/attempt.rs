//! Owns one case against a client: for each play a listening server and a fresh process, until both are done or the client owes
//! something for too long. Judges nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lastword_spec::driver::{DRIVER_VERSION, Lack};
use lastword_spec::trace::{Eof, EventKind, Header, InputEnd, InputEnded, Side, Started, ToldWhat, Trace};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::driver::{Calling, Driver, Said};
use super::host::{Host, Numbers, Shared};
use super::launch::{Input, LaunchError, Places, Program, ROOT_PLACE, Running, Stdin};
use super::run::Env;
use super::script::{Ask, Play, Script};
use super::serve::Heard;
use crate::case::Case;
use crate::dialect;
use crate::record::Recorder;

/// What a case brought.
pub(super) struct Attempted {
    pub(super) trace: Trace,
    /// What was waited for in vain.
    pub(super) unmet: Vec<String>,
    /// The last lines that the processes wrote.
    pub(super) tail: Vec<String>,
    /// What the driver's client has not.
    pub(super) lacks: Vec<Lack>,
}

/// How long a client may live on after its last connection and everything it owed.
const EXIT: Duration = Duration::from_secs(10);
/// How long a client that was given up is watched once its server has gone.
const RELEASE: Duration = Duration::from_secs(3);
/// How long the end of an input is held back for the first audio of the session.
const FIRST_AUDIO: Duration = Duration::from_secs(5);
/// How long a client is watched after what it owes was due: what comes late is not what never comes.
const LATE: Duration = Duration::from_secs(2);
/// The same where it is to be seen when it ends by itself.
const LATE_BY_FAR: Duration = Duration::from_secs(20);
/// More connections than this in one run show nothing new.
const MAX_CONNECTIONS: u32 = 40;
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What may be missing of the input at its end: a resampler's tail, a last incomplete frame.
const TAIL_MS: u64 = 60;
/// So long without audio, with all but the tail received, the input is over.
const QUIET: Duration = Duration::from_millis(300);
/// Whoever has read a file at the pace of speech, and has sent none of it for so long although it could, is through with it: with a
/// part of it that a chunker may hold, or, for twice as long, with any part.
const SURELY_READ: Duration = Duration::from_secs(5);
const HELD_MS: u64 = 1_000;
/// How long a driver has to say hello.
const HELLO: Duration = Duration::from_secs(20);
/// How long a driver has for its last words.
const REPORT: Duration = Duration::from_secs(5);
/// How long what a driver has said may take to be read when its process has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long calls may take to come back when the session is over. What takes a second has not come back in time.
const RETURN: Duration = Duration::from_secs(3);
/// A push that takes so long waits for room.
const FULL: Duration = Duration::from_secs(1);
/// How much audio one push hands over.
const PUSH_MS: usize = 100;

/// Runs a case.
///
/// # Errors
/// The client cannot be started.
pub(super) async fn attempt(env: &Arc<Env>, case: &Case, script: &Script) -> Result<Attempted, LaunchError> {
    let mut header = Header::new(Side::Client);
    header.case = Some(case.id.clone());
    header.seed = Some(env.seed);
    header.dialect = env.dialect.and_then(dialect::spoken);
    let recorder = Arc::new(Recorder::new(header, &env.options()));
    let numbers = Arc::new(Numbers::default());
    let mut attempted = Attempted { trace: recorder.trace(), unmet: Vec::new(), tail: Vec::new(), lacks: Vec::new() };
    for (index, play) in script.plays.iter().enumerate() {
        let shared = Shared {
            label: format!("run {}", index + 1),
            token: env.token.clone(),
            dialect: env.dialect,
            path: env.path.clone(),
            tls: env.tls.clone(),
            numbers: Arc::clone(&numbers),
            heard: Arc::new(Heard::default()),
            recorder: Arc::clone(&recorder),
        };
        one_run(env, case, script, play, shared, &mut attempted).await?;
    }
    attempted.trace = recorder.trace();
    Ok(attempted)
}

/// One process of the client, from its start to its end.
struct Run<'a> {
    env: &'a Env,
    shared: &'a Shared,
    host: Option<Host>,
    running: Running,
    /// The length of the input, and how it will be known that it ended.
    input: Option<(u64, InputEnd)>,
    input_ended: bool,
    before: u32,
    /// How long it is watched after what it owes was due.
    late: Duration,
    /// Since when no connection of it stands.
    over_since: Option<Instant>,
}

async fn one_run(
    env: &Arc<Env>,
    case: &Case,
    script: &Script,
    play: &Play,
    shared: Shared,
    attempted: &mut Attempted,
) -> Result<(), LaunchError> {
    let before = shared.numbers.count();
    let is_in_memory = matches!(env.launch.program, Program::InMemory(_));
    let (host, dial) = match Host::start(play.clone(), shared.clone(), is_in_memory).await {
        Ok(host) => host,
        Err(error) => {
            attempted.unmet.push(format!("no port could be had: {error}"));
            return Ok(());
        }
    };
    let audio = env.audio(script.audio_ms)?;
    let (ws, http) = if env.tls.is_some() { ("wss", "https") } else { ("ws", "http") };
    let url = format!("{ws}://{}{}", host.address, env.path);
    let mut places = Places(vec![
        ("url", url.clone()),
        ("http_url", format!("{http}://{}", host.address)),
        ("host", host.address.ip().to_string()),
        ("port", host.address.port().to_string()),
        ("audio", audio.path.display().to_string()),
        ("case", case.id.clone()),
    ]);
    if env.tls.is_some() {
        places.0.push((ROOT_PLACE, env.root_file().display().to_string()));
    }
    let driven = env.launch.stdin == Stdin::Driver;
    let input = env.input(script.audio_ms);
    let given_ms = input.filter(|_| !driven).map(|(audio_ms, _)| audio_ms);
    shared.recorder.note(shared.numbers.latest(), EventKind::Started(Started { driven, audio_ms: given_ms }));
    let mut running = env.launch.start(&places, env.token.as_deref(), dial)?;
    let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
    let late = if script.patient { LATE_BY_FAR } else { LATE };
    let mut run = Run {
        env,
        shared: &shared,
        host: Some(host),
        running,
        input,
        input_ended: false,
        before,
        late,
        over_since: None,
    };
    match (env.launch.stdin, stdin, stdout) {
        (Stdin::Driver, Some(stdin), Some(stdout)) => {
            let driver = Driver::new(stdin, stdout, Arc::clone(&shared.numbers), Arc::clone(&shared.recorder));
            let said = driver.heard();
            let asking = ask(env, (script, play), &url, &audio.pcm, driver, &shared);
            tokio::pin!(asking);
            let mut asked = None;
            let asking = async {
                asked = Some((&mut asking).await);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = run.watch(Some(said.clone())) => {}
                () = asking => {}
            }
            let hello = said.borrow().hello.clone();
            attempted.lacks = hello.iter().flat_map(|hello| hello.lacks.iter().copied()).collect();
            let unmet = asked.flatten().or_else(|| hello.is_none().then(|| no_hello(&said.borrow())));
            attempted.unmet.extend(unmet);
        }
        (Stdin::Wav | Stdin::Pcm, Some(stdin), _) => {
            let bytes = if env.launch.stdin == Stdin::Wav { audio.wav.clone() } else { audio.pcm.clone() };
            let feeding = tokio::spawn(feed(stdin, bytes, script.audio_ms, shared.clone()));
            run.watch(None).await;
            feeding.abort();
        }
        _ => run.watch(None).await,
    }
    let (tail, leaked) = run.running.reap().await;
    attempted.tail = tail;
    note_leaks(&shared, leaked);
    Ok(())
}

impl Run<'_> {
    /// Watches until the process has ended and its connections are over, or it owes something for too long.
    async fn watch(&mut self, mut said: Option<watch::Receiver<Said>>) {
        let recorder = &self.shared.recorder;
        let mut changes = recorder.changes();
        let deadline = Instant::now() + Duration::from_millis(self.env.max_wait_ms);
        loop {
            changes.borrow_and_update();
            if let Some(said) = &mut said {
                said.borrow_and_update();
            }
            self.note_end_of_input(QUIET);
            note_leaks(self.shared, self.running.leaked());
            if self.exited(said.as_mut()).await {
                return;
            }
            if let Some(conn) = self.overdue(deadline) {
                return self.give_up(conn, said).await;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Whether the process has ended; its end is noted, and the rest of what its transports hold is waited for.
    async fn exited(&mut self, said: Option<&mut watch::Receiver<Said>>) -> bool {
        let Some(exited) = self.running.exited().await else { return false };
        if let Some(said) = said {
            // What it said before its end stands before it.
            let _ = timeout(LAST_WORDS, said.wait_for(|said| said.is_over)).await;
        }
        self.note_end_of_input(Duration::ZERO);
        self.shared.recorder.note(self.shared.numbers.latest(), EventKind::Exited(exited));
        let end = Instant::now() + Duration::from_secs(1);
        while self.host.as_ref().is_some_and(|host| !host.open().is_empty()) && Instant::now() < end {
            sleep(LOOK).await;
        }
        true
    }

    /// The end of the input is noted once it is certain: all of it came, and nothing for so long.
    fn note_end_of_input(&mut self, quiet_for: Duration) {
        let Some((audio_ms, known_by)) = self.input.filter(|_| !self.input_ended) else { return };
        let heard = &self.shared.heard;
        let is_all =
            heard.audio_ms() + TAIL_MS >= audio_ms && heard.quiet_for().is_some_and(|quiet| quiet >= quiet_for);
        if known_by != InputEnd::Stdin
            && known_by != InputEnd::Driver
            && (is_all || heard.sentinel.load(Ordering::Acquire) || self.is_surely_read(audio_ms))
        {
            self.input_ended = true;
            let ended = InputEnded { known_by, audio_ms: Some(audio_ms) };
            self.shared.recorder.note(self.shared.numbers.latest(), EventKind::InputEnded(ended));
        }
    }

    /// Whether the input must be over although a part of it never came.
    fn is_surely_read(&self, audio_ms: u64) -> bool {
        let heard = &self.shared.heard;
        let missing_ms = audio_ms.saturating_sub(heard.audio_ms());
        let quiet = if missing_ms <= HELD_MS { SURELY_READ } else { SURELY_READ * 2 };
        let paced = Duration::from_millis(audio_ms) + SURELY_READ;
        if heard.quiet_for().is_none_or(|for_so_long| for_so_long < quiet)
            || heard.begun_for().is_none_or(|ago| ago < paced)
        {
            return false;
        }
        // On its last connection, which stands, is ready and is read.
        let latest = self.shared.numbers.latest();
        let count = |is: &dyn Fn(&EventKind) -> bool| self.shared.recorder.count(latest, is);
        let stops = count(&|kind| matches!(kind, EventKind::Reads { reads: false }));
        let goes_on = count(&|kind| matches!(kind, EventKind::Reads { reads: true }));
        let had_audio = count(&|kind| matches!(kind, EventKind::Audio { from: Side::Client, .. })) > 0;
        had_audio && stops == goes_on && self.shared.numbers.open().contains(&latest)
    }

    /// The connection on which the client owes something for too long, or on which nothing has happened for too long.
    fn overdue(&mut self, deadline: Instant) -> Option<u32> {
        let recorder = &self.shared.recorder;
        let now_us = recorder.now_us();
        let latest = self.shared.numbers.latest();
        let late_us = u64::try_from(self.late.as_micros()).unwrap_or(u64::MAX);
        let is_late = |conn: &u32| recorder.owed_by_client(*conn).iter().any(|debt| now_us > debt.due_us + late_us);
        if let Some(conn) =
            // Of connections that are over only the last one leaves something to be done.
            (self.before..self.shared.numbers.count())
                .find(|conn| (*conn == latest || !recorder.is_over(*conn)) && is_late(conn))
        {
            return Some(conn);
        }
        let all_over =
            self.shared.numbers.count() > self.before && self.host.as_ref().is_none_or(|host| host.open().is_empty());
        // From the time when its last connection ended.
        let since = all_over.then(|| *self.over_since.get_or_insert_with(Instant::now));
        self.over_since = since;
        let owes = !recorder.owed_by_client(latest).is_empty();
        if !owes && since.is_some_and(|since| since.elapsed() > EXIT) {
            return Some(latest);
        }
        let is_flood = self.shared.numbers.count() - self.before > MAX_CONNECTIONS;
        (is_flood || Instant::now() >= deadline).then_some(latest)
    }

    /// Stops waiting, ends the server's side, and sees whether that is what the client waited for.
    async fn give_up(&mut self, conn: u32, mut said: Option<watch::Receiver<Said>>) {
        let recorder = &self.shared.recorder;
        let silent_us = recorder.now_us().saturating_sub(recorder.last_us(conn));
        recorder.note(conn, EventKind::GaveUp { after_ms: silent_us / 1_000, quiescent: None });
        for open in self.host.as_ref().map(Host::open).unwrap_or_default() {
            recorder.note(open, EventKind::Eof { from: Side::Server, how: Eof::Fin });
        }
        self.host = None;
        let released = Instant::now();
        while released.elapsed() < RELEASE {
            if self.exited(said.as_mut()).await {
                return;
            }
            sleep(LOOK).await;
        }
        recorder.note(conn, EventKind::Note("the process was ended by the harness".to_owned()));
    }
}

/// Notes what of a client's output repeats its credential.
fn note_leaks(shared: &Shared, leaked: Vec<String>) {
    for text in leaked {
        shared.recorder.note(shared.numbers.latest(), EventKind::Logged(text));
    }
}

/// Makes the calls of a script. What was waited for in vain is handed back.
async fn ask(
    env: &Env,
    (script, play): (&Script, &Play),
    url: &str,
    pcm: &[u8],
    mut driver: Driver,
    shared: &Shared,
) -> Option<String> {
    let mut said = driver.heard();
    driver.hello().await;
    let hello = timeout(HELLO, said.wait_for(|said| said.hello.is_some() || said.is_over)).await;
    match hello.ok().and_then(Result::ok).and_then(|said| said.hello.clone()) {
        Some(hello) if hello.version == DRIVER_VERSION => {
            let whom = format!("the driver drives {}", hello.client);
            shared.recorder.note(shared.numbers.latest(), EventKind::Note(whom));
            if script.lacking(&hello.lacks).is_some() {
                driver.quit().await;
                return None;
            }
        }
        Some(hello) => return Some(format!("the driver speaks version {} and not {DRIVER_VERSION}", hello.version)),
        None => return Some(no_hello(&said.borrow())),
    }
    let usual = [Ask::Start, Ask::Push(script.audio_ms), Ask::End];
    let asks = if script.calls.is_empty() { &usual[..] } else { &script.calls };
    let recorder = &shared.recorder;
    let mut at = 0_usize;
    let mut pushed_ms = 0;
    let mut awaited = 0;
    for one in asks {
        let conn = shared.numbers.latest();
        // Whoever is gone is asked for nothing; what it was to begin with it was asked for.
        if said.borrow().is_over && *one != Ask::Start {
            break;
        }
        match one {
            Ask::Start => {
                driver.call(&Calling::Start { url, token: env.token.as_deref() }, conn, recorder).await;
            }
            Ask::Push(ms) | Ask::Speak(ms) | Ask::Fill(ms) => {
                let (at_pace, fills) = (matches!(one, Ask::Speak(_)), matches!(one, Ask::Fill(_)));
                let length = usize::try_from(*ms).unwrap_or(usize::MAX).saturating_mul(32);
                let upto = at.saturating_add(length).min(pcm.len());
                for chunk in pcm[at..upto].chunks(PUSH_MS * 32) {
                    if said.borrow().is_over || (at_pace && said.borrow().is_ended()) {
                        break;
                    }
                    let number = driver.call(&Calling::Push(chunk), shared.numbers.latest(), recorder).await;
                    // One push after the other: a client may make its application wait.
                    let is_back = |said: &Said| said.returned.contains(&number) || said.is_ended();
                    let bound = if fills { FULL } else { Duration::MAX };
                    let waits = timeout(bound, said.wait_for(is_back)).await.is_err();
                    pushed_ms += chunk.len() as u64 / 32;
                    if waits {
                        break;
                    }
                    if at_pace {
                        sleep(Duration::from_millis(PUSH_MS as u64)).await;
                    }
                }
                at = upto;
            }
            Ask::Flush => {
                driver.call(&Calling::Flush, conn, recorder).await;
            }
            Ask::End => {
                if script.calls.is_empty() && play.is_ready_at_once() {
                    first_audio(&said, shared).await;
                }
                driver.call(&Calling::End, conn, recorder).await;
                let ended = InputEnded { known_by: InputEnd::Driver, audio_ms: Some(pushed_ms) };
                recorder.note(conn, EventKind::InputEnded(ended));
            }
            Ask::Close => {
                driver.call(&Calling::Close, conn, recorder).await;
            }
            Ask::Await(what) => {
                let is_there = |said: &Said| said.is_ended() || said.told.iter().skip(awaited).any(|told| told == what);
                let _ = said.wait_for(is_there).await;
                awaited = said.borrow().told.len();
            }
            Ask::Wait(ms) => sleep(Duration::from_millis(*ms)).await,
        }
    }
    let _ = said.wait_for(Said::is_ended).await;
    let calls = driver.calls();
    let is_back = |said: &Said| said.is_over || (1..=calls).all(|number| said.returned.contains(&number));
    let _ = timeout(RETURN, said.wait_for(is_back)).await;
    driver.report().await;
    let is_told = |said: &Said| said.is_over || said.told.contains(&ToldWhat::Left);
    let _ = timeout(REPORT, said.wait_for(is_told)).await;
    driver.quit().await;
    None
}

/// Waits for the first audio of a session. All of a short input can be handed over before a busy machine has connected; that an input
/// ended before `ready` is what other plays are about. [STA-C1]
async fn first_audio(said: &watch::Receiver<Said>, shared: &Shared) {
    let until = Instant::now() + FIRST_AUDIO;
    while shared.heard.audio_ms() == 0 && !said.borrow().is_ended() && Instant::now() < until {
        sleep(LOOK).await;
    }
}

/// Why a driver that cannot be asked for anything cannot be.
fn no_hello(said: &Said) -> String {
    let instead = said.unread.as_ref().map(|why| format!(": what it wrote is no line of the protocol, {why}"));
    format!("the driver did not say hello{}", instead.unwrap_or_default())
}

/// Feeds a client's standard input four times as fast as speech, and closes it.
async fn feed(mut stdin: Input, bytes: Vec<u8>, audio_ms: u64, shared: Shared) {
    use tokio::io::AsyncWriteExt as _;
    for chunk in bytes.chunks(PUSH_MS * 32) {
        if stdin.write_all(chunk).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(PUSH_MS as u64 / 4)).await;
    }
    drop(stdin);
    let ended = InputEnded { known_by: InputEnd::Stdin, audio_ms: Some(audio_ms) };
    shared.recorder.note(shared.numbers.latest(), EventKind::InputEnded(ended));
}
