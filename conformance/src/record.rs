//! Owns the record of one case: every frame of every connection with its time, in one order, and the monitor that is fed
//! with it. Who waits, waits here. Knows nothing of what is to be decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lastword_judge::{Monitor, Motion, Obligation, Options};
use lastword_spec::close::CloseCode;
use lastword_spec::limits::Limits;
use lastword_spec::message::Ready;
use lastword_spec::trace::{Eof, Event, EventKind, Header, MAX_HEAD_BYTES, Side, Trace};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

/// The record of one case.
pub struct Recorder {
    started: Instant,
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
}

struct Inner {
    trace: Trace,
    monitor: Monitor,
    /// What the server said, parsed where it is JSON, by its type: who waits must not look through a flood of other messages.
    said: BTreeMap<String, Vec<Said>>,
    over: BTreeSet<u32>,
    closed_by: BTreeSet<(u32, Side)>,
    last_us: BTreeMap<u32, u64>,
    /// Connections of which the harness has ended its half only.
    half_closed: BTreeSet<u32>,
    /// Connections that the harness has cut, because the server flooded them.
    flooded: BTreeSet<u32>,
    /// How many messages came that something can wait for, in their order.
    milestones: BTreeMap<u32, usize>,
}

struct Said {
    conn: u32,
    message: Map<String, Value>,
    /// A wait has already been answered with it.
    taken: bool,
}

impl Recorder {
    /// An empty record that starts now.
    #[must_use]
    pub fn new(header: Header, options: &Options) -> Self {
        let monitor = Monitor::new(&header, options);
        let inner = Inner {
            trace: Trace { header, events: Vec::new() },
            monitor,
            said: BTreeMap::new(),
            over: BTreeSet::new(),
            closed_by: BTreeSet::new(),
            last_us: BTreeMap::new(),
            half_closed: BTreeSet::new(),
            flooded: BTreeSet::new(),
            milestones: BTreeMap::new(),
        };
        Self { started: Instant::now(), inner: Mutex::new(inner), version: watch::Sender::new(0) }
    }

    /// How much slower than usual the clock of the record was set to go when it began, in percent.
    #[must_use]
    pub fn scale_percent(&self) -> u64 {
        self.lock().trace.header.time_scale_percent.max(1)
    }

    /// Writes down what just happened.
    pub fn note(&self, conn: u32, kind: EventKind) {
        self.note_made_up(conn, kind, Vec::new());
    }

    /// Writes down what just happened, and which members of it the harness made up.
    pub fn note_made_up(&self, conn: u32, kind: EventKind, made_up: Vec<String>) {
        let mut inner = self.lock();
        // The clock is read under the lock, so that times never fall.
        let t_us = self.now_us();
        let mut moves = is_act(&kind);
        if let EventKind::Text { from: Side::Server, text } = &kind
            && let Ok(Value::Object(message)) = serde_json::from_str(text)
        {
            let kind = type_of(&message);
            moves = !IDLE_TALK.contains(&kind);
            if MILESTONES.contains(&kind) {
                *inner.milestones.entry(conn).or_default() += 1;
            }
            let group = inner.said.entry(kind.to_owned()).or_default();
            group.push(Said { conn, message, taken: false });
        }
        let ends = match &kind {
            EventKind::Eof { from: Side::Client, .. } => !inner.half_closed.contains(&conn),
            EventKind::Eof { .. } | EventKind::Refused { .. } | EventKind::ConnectFailed { .. } => true,
            _ => false,
        };
        if ends {
            inner.over.insert(conn);
        }
        if let EventKind::Close { from, .. } = &kind {
            inner.closed_by.insert((conn, *from));
        }
        if moves {
            inner.last_us.insert(conn, t_us);
        }
        let event = Event { t_us, conn, kind, made_up };
        inner.monitor.observe(&event);
        inner.trace.events.push(event);
        drop(inner);
        self.version.send_modify(|version| *version += 1);
    }

    /// Writes down that the harness ends its half of the transport; the connection goes on.
    pub fn note_half_close(&self, conn: u32) {
        self.lock().half_closed.insert(conn);
        self.note(conn, EventKind::Eof { from: Side::Client, how: Eof::Fin });
    }

    /// Writes down that the harness reads no further, and cuts the connection.
    pub fn note_flood(&self, conn: u32, what: String) {
        self.lock().flooded.insert(conn);
        self.note(conn, EventKind::Note(what));
        self.note(conn, EventKind::Eof { from: Side::Client, how: Eof::Fin });
    }

    /// Whether the harness has cut the connection because of a flood.
    #[must_use]
    pub fn is_flooded(&self, conn: u32) -> bool {
        self.lock().flooded.contains(&conn)
    }

    /// How many messages have come on this connection that something can wait for: answers and ends, not results.
    #[must_use]
    pub fn milestones(&self, conn: u32) -> usize {
        self.lock().milestones.get(&conn).copied().unwrap_or(0)
    }

    /// How many messages of this type the server has sent on this connection.
    #[must_use]
    pub fn count_said(&self, conn: u32, kind: &str) -> usize {
        let inner = self.lock();
        inner.said.get(kind).map_or(0, |group| group.iter().filter(|said| said.conn == conn).count())
    }

    /// How many events of a kind there are on this connection.
    #[must_use]
    pub fn count(&self, conn: u32, is: impl Fn(&EventKind) -> bool) -> usize {
        self.lock().trace.events.iter().filter(|event| event.conn == conn && is(&event.kind)).count()
    }

    /// The lowest number from this one on above every connection so far.
    #[must_use]
    pub fn free_conn(&self, from: u32) -> u32 {
        let highest = self.lock().trace.events.iter().map(|event| event.conn).max();
        highest.map_or(from, |highest| from.max(highest.saturating_add(1)))
    }

    /// What happened on one connection so far.
    #[must_use]
    pub fn events_of(&self, conn: u32) -> Vec<Event> {
        self.lock().trace.events.iter().filter(|event| event.conn == conn).cloned().collect()
    }

    /// The event that the harness gives up on a connection now, without its being written down.
    pub(crate) fn as_given_up(&self, conn: u32) -> Event {
        Event::new(self.now_us(), conn, EventKind::GaveUp { after_ms: 0, quiescent: None })
    }

    /// Writes down a binary message without its samples.
    pub fn note_audio(&self, conn: u32, from: Side, bytes: &[u8]) {
        let head = bytes[..bytes.len().min(MAX_HEAD_BYTES)].to_vec();
        self.note(conn, EventKind::Audio { from, bytes: bytes.len() as u64, head });
    }

    /// Takes the first message of the server on this connection that has this `type` and these members and was not taken before.
    #[must_use]
    pub fn take(&self, conn: u32, wanted: &Map<String, Value>) -> bool {
        let mut inner = self.lock();
        let found = inner.said.get_mut(type_of(wanted)).and_then(|group| {
            group.iter_mut().find(|said| said.conn == conn && !said.taken && has(&said.message, wanted))
        });
        found.map(|said| said.taken = true).is_some()
    }

    /// Whether the server has sent, on any connection, a message with this `type` and these members.
    #[must_use]
    pub fn has_said(&self, wanted: &Map<String, Value>) -> bool {
        let inner = self.lock();
        inner.said.get(type_of(wanted)).is_some_and(|group| group.iter().any(|said| has(&said.message, wanted)))
    }

    /// Whether the connection is over for good.
    #[must_use]
    pub fn is_over(&self, conn: u32) -> bool {
        self.lock().over.contains(&conn)
    }

    /// Whether the upgrade was refused with a status.
    #[must_use]
    pub fn is_refused(&self, conn: u32) -> bool {
        let inner = self.lock();
        inner.trace.events.iter().any(|event| event.conn == conn && matches!(event.kind, EventKind::Refused { .. }))
    }

    /// Whether the server has sent its Close, or is gone.
    #[must_use]
    pub fn is_closed(&self, conn: u32) -> bool {
        let inner = self.lock();
        inner.over.contains(&conn) || inner.closed_by.contains(&(conn, Side::Server))
    }

    /// Whether the harness has sent a Close.
    #[must_use]
    pub fn client_has_closed(&self, conn: u32) -> bool {
        self.lock().closed_by.contains(&(conn, Side::Client))
    }

    /// What the server owes on this connection, oldest first.
    #[must_use]
    pub fn owed_by_server(&self, conn: u32) -> Vec<Obligation> {
        let mut owed = self.lock().monitor.owed(conn);
        owed.retain(|obligation| obligation.debtor == Side::Server);
        owed
    }

    /// What the client owes on this connection, oldest first.
    #[must_use]
    pub fn owed_by_client(&self, conn: u32) -> Vec<Obligation> {
        let mut owed = self.lock().monitor.owed(conn);
        owed.retain(|obligation| obligation.debtor == Side::Client);
        owed
    }

    /// The ending that the server will owe if the client stays silent: by the config timer or the idle timer.
    #[must_use]
    pub fn timer(&self, conn: u32) -> Option<Obligation> {
        self.lock().monitor.timers(conn).into_iter().next()
    }

    /// How the server gets on with the work that it owes on this connection.
    #[must_use]
    pub fn motion(&self, conn: u32) -> Option<Motion> {
        self.lock().monitor.motion(conn)
    }

    /// The bounds that hold on this connection.
    #[must_use]
    pub fn limits(&self, conn: u32) -> Limits {
        self.lock().monitor.limits(conn)
    }

    /// `ready`, once it has come.
    #[must_use]
    pub fn ready(&self, conn: u32) -> Option<Ready> {
        self.lock().monitor.ready(conn).cloned()
    }

    /// Microseconds since the record began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// When one of the two sides last did something on this connection that is no idle talk, in microseconds of the record.
    #[must_use]
    pub fn last_us(&self, conn: u32) -> u64 {
        self.lock().last_us.get(&conn).copied().unwrap_or(0)
    }

    /// The moment of the record as a moment of the clock.
    #[must_use]
    pub fn instant(&self, t_us: u64) -> Instant {
        self.started + Duration::from_micros(t_us)
    }

    /// Something to wait on: it changes with every event.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The trace so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Looks at the trace so far without a copy. Nothing can be noted meanwhile, so this must be short.
    pub fn read<T>(&self, look: impl FnOnce(&Trace) -> T) -> T {
        look(&self.lock().trace)
    }

    /// The code of the Close, or the end, as one word for a person.
    #[must_use]
    pub fn ending(&self, conn: u32) -> Option<String> {
        let inner = self.lock();
        let events = inner.trace.events.iter().rev().filter(|event| event.conn == conn);
        // What the harness answered to the server's Close is not how it ended.
        let by_server = |event: &&Event| {
            event.kind.from() != Some(Side::Client) || !inner.closed_by.contains(&(conn, Side::Server))
        };
        let mut events = events.filter(by_server);
        while let Some(event) = events.next() {
            let ending = match &event.kind {
                EventKind::Close { from, code: Some(CloseCode(code)), .. } => {
                    format!("Close {code} from the {}", from.as_str())
                }
                EventKind::Close { from, .. } => format!("a Close without a code from the {}", from.as_str()),
                EventKind::Eof { how: Eof::Reset, .. } => "a reset".to_owned(),
                EventKind::Refused { status, .. } => match events.next().map(|before| &before.kind) {
                    // What was refused, where it was not the upgrade.
                    Some(EventKind::Note(told)) => told.clone(),
                    _ => format!("HTTP {status}"),
                },
                EventKind::ConnectFailed { error } => error.clone(),
                _ => continue,
            };
            return Some(ending);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The type of a message; empty where it has none.
fn type_of(message: &Map<String, Value>) -> &str {
    message.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// What a server may say for ever without doing anything of what it owes.
const IDLE_TALK: &[&str] = &["keepalive_ack", "warning"];
/// What a client can wait for before it goes on.
const MILESTONES: &[&str] = &["ready", "flushed", "updated", "keepalive_ack", "error", "session_ended"];

/// Whether one of the two sides did something, rather than the harness noted something.
fn is_act(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Control { .. }
            | EventKind::GaveUp { .. }
            | EventKind::Note(_)
            | EventKind::Reads { .. }
            | EventKind::Stimulus(_)
            | EventKind::Transport { .. }
            | EventKind::Cpu { .. }
            | EventKind::LeftAlone { .. }
            | EventKind::Logged(_)
            | EventKind::Ping { .. }
            | EventKind::Pong { .. }
    )
}

/// Whether a message has all these members, at every level.
fn has(message: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| match (message.get(name), value) {
        (Some(Value::Object(inner)), Value::Object(wanted)) => has(inner, wanted),
        (Some(found), value) => found == value,
        (None, _) => false,
    })
}

/// Why an attempt came to no connection, if this event is the end of one, as a part of a sentence.
pub(crate) fn no_connection(event: &EventKind) -> Option<String> {
    match event {
        EventKind::Refused { status: 101, .. } => Some("the answer to the upgrade is no handshake".to_owned()),
        EventKind::Refused { status, .. } => Some(format!("the upgrade was refused with HTTP {status}")),
        EventKind::ConnectFailed { error } => Some(format!("no connection: {error}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn a_message_answers_one_wait_only_and_only_on_its_connection() {
        let recorder = Recorder::new(Header::new(Side::Server), &Options::default());
        let text = r#"{"type":"flushed","id":"a"}"#.to_owned();
        recorder.note(3, EventKind::Text { from: Side::Server, text: text.clone() });
        recorder.note(4, EventKind::Text { from: Side::Client, text });
        let wanted = object(serde_json::json!({"type": "flushed"}));
        assert!(!recorder.take(4, &wanted), "what the harness sent is no answer");
        assert!(recorder.take(3, &wanted));
        assert!(!recorder.take(3, &wanted));
        assert!(recorder.has_said(&wanted));
    }

    #[test]
    fn times_never_fall_although_many_write() {
        let recorder = Recorder::new(Header::new(Side::Server), &Options::default());
        std::thread::scope(|scope| {
            for conn in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || (0..200).for_each(|_| recorder.note(conn, EventKind::Ping { from: Side::Client })));
            }
        });
        let trace = recorder.trace();
        assert_eq!(trace.events.len(), 800);
        assert!(trace.events.windows(2).all(|pair| pair[0].t_us <= pair[1].t_us));
    }
}
