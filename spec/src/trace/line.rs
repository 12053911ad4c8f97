//! One line of a trace file: reading, strictly, and writing. The shapes are in `shape.rs`, the meaning of
//! an event is in the module. Input is hostile: lengths are bounded, and every line must be I-JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shape::{
    AudioMember, CloseMember, ConnectFailedMember, ControlMember, CpuMember, EventLine, GaveUpMember, HeaderLine,
    OpenMember, RefusedMember, TransportMember, Yes,
};
use super::{Event, EventKind, Header, MAX_EVENTS, MAX_LINE_BYTES, Open, Side, TRACE_VERSION, Trace, TraceError};
use crate::close::CloseCode;
use crate::codec::{self, DecodeError};
use crate::ijson;

/// Reads a trace file.
///
/// # Errors
/// The first line that is no line of a trace, or whose time is before that of the line above it. Nothing is returned then.
pub fn read(text: &str) -> Result<Trace, TraceError> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let (number, first) =
        lines.next().ok_or_else(|| fault(1, "", "the file is empty: a trace starts with a header"))?;
    let header = read_line::<HeaderLine>(number, first)?.into_header();
    let mut events: Vec<Event> = Vec::new();
    for (number, line) in lines {
        if events.len() == MAX_EVENTS {
            return Err(fault(number, "", &format!("more than {MAX_EVENTS} events")));
        }
        let event = read_line::<EventLine>(number, line)?.into_event().map_err(|detail| fault(number, "", &detail))?;
        if let Some(last) = events.last().filter(|last| event.t_us < last.t_us) {
            let detail = format!("{} is before the line above it, {}: times never fall", event.t_us, last.t_us);
            return Err(fault(number, "t_us", &detail));
        }
        events.push(event);
    }
    Ok(Trace { header, events })
}

/// The trace as a file. [`read`] gives it back, provided that its times do not fall and its numbers are at most 2^53-1.
#[must_use]
pub fn write(trace: &Trace) -> String {
    let mut text = write_header(&trace.header);
    for event in &trace.events {
        text.push_str(&write_event(event));
    }
    text
}

/// The first line of a trace file, line end included.
#[must_use]
pub fn write_header(header: &Header) -> String {
    line_of(&HeaderLine {
        lastword_trace: TRACE_VERSION,
        subject: header.subject,
        case: header.case.clone(),
        seed: header.seed,
        note: header.note.clone(),
        time_scale_percent: Some(header.time_scale_percent).filter(|percent| *percent != 100),
        dialect: header.dialect.clone(),
        expect: header.expect.clone(),
    })
}

/// One event as a line of a trace file, line end included.
#[must_use]
pub fn write_event(event: &Event) -> String {
    line_of(&EventLine::from_event(event))
}

impl HeaderLine {
    fn into_header(self) -> Header {
        Header {
            subject: self.subject,
            case: self.case,
            seed: self.seed,
            note: self.note,
            time_scale_percent: self.time_scale_percent.unwrap_or(100),
            dialect: self.dialect,
            expect: self.expect,
        }
    }
}

impl EventLine {
    fn from_event(event: &Event) -> Self {
        let made_up = Some(event.made_up.clone()).filter(|members| !members.is_empty());
        let line = Self { t_us: event.t_us, conn: event.conn, from: event.kind.from(), made_up, ..Self::default() };
        match event.kind.clone() {
            EventKind::Open(open) => {
                let Open { offered, selected, label, speech, url, authorization, probe } = open;
                let probe = probe.map(Into::into);
                Self { open: Some(OpenMember { offered, selected, label, speech, url, authorization, probe }), ..line }
            }
            EventKind::Refused { status, retry_after, offered, authorization } => {
                Self { refused: Some(RefusedMember { status, retry_after, offered, authorization }), ..line }
            }
            EventKind::ConnectFailed { error } => Self { connect_failed: Some(ConnectFailedMember { error }), ..line },
            EventKind::Text { text, .. } => Self { text: Some(text), ..line },
            EventKind::Audio { bytes, head, .. } => Self { audio: Some(AudioMember { bytes, head }), ..line },
            EventKind::Close { code, reason, .. } => {
                Self { close: Some(CloseMember { code: code.map(|code| code.0), reason }), ..line }
            }
            EventKind::Eof { how, .. } => Self { eof: Some(how), ..line },
            EventKind::Ping { .. } => Self { ping: Some(Yes), ..line },
            EventKind::Pong { .. } => Self { pong: Some(Yes), ..line },
            EventKind::Control { outcome, took_ms } => {
                Self { control: Some(ControlMember::new(outcome, took_ms)), ..line }
            }
            EventKind::Stimulus(stimulus) => Self { stimulus: Some(stimulus), ..line },
            EventKind::Transport { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, retransmits } => {
                let member =
                    TransportMember { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, retransmits };
                Self { transport: Some(member), ..line }
            }
            EventKind::Cpu { busy_ms, over_ms, alone } => {
                Self { cpu: Some(CpuMember { busy_ms, over_ms, alone }), ..line }
            }
            EventKind::GaveUp { after_ms, quiescent } => {
                Self { gave_up: Some(GaveUpMember { after_ms, quiescent }), ..line }
            }
            EventKind::LeftAlone { for_ms } => Self { left_alone_ms: Some(for_ms), ..line },
            EventKind::Reads { reads } => Self { reads: Some(reads), ..line },
            EventKind::Started(started) => Self { started: Some(started), ..line },
            EventKind::InputEnded(ended) => Self { input_ended: Some(ended), ..line },
            EventKind::Called(called) => Self { called: Some(called), ..line },
            EventKind::Returned(returned) => Self { returned: Some(returned), ..line },
            EventKind::Told(told) => Self { told: Some(told), ..line },
            EventKind::Logged(text) => Self { logged: Some(text), ..line },
            EventKind::Exited(exited) => Self { exited: Some(exited), ..line },
            EventKind::Note(note) => Self { note: Some(note), ..line },
        }
    }

    fn into_event(mut self) -> Result<Event, String> {
        let (t_us, conn) = (self.t_us, self.conn);
        let made_up = self.made_up.take();
        if made_up.as_ref().is_some_and(|members| members.is_empty() || self.text.is_none()) {
            return Err("`made_up` stands with a `text` and names at least one member of it".to_owned());
        }
        let kind = self.into_kind()?;
        Ok(Event { t_us, conn, kind, made_up: made_up.unwrap_or_default() })
    }

    fn into_kind(self) -> Result<EventKind, String> {
        // Each member that is there, as the kind it makes; the sides' own acts need to know whose.
        let (sides, others) = (self.from, self.from.is_none());
        let by_side = |make: &dyn Fn(Side) -> EventKind| sides.map(make);
        let mut kinds: Vec<Option<EventKind>> = Vec::new();
        if let Some(OpenMember { offered, selected, label, speech, url, authorization, probe }) = self.open {
            kinds.push(others.then_some(EventKind::Open(Open {
                offered,
                selected,
                label,
                speech,
                url,
                authorization,
                probe: probe.map(Into::into),
            })));
        }
        if let Some(RefusedMember { status, retry_after, offered, authorization }) = self.refused {
            kinds.push(others.then_some(EventKind::Refused { status, retry_after, offered, authorization }));
        }
        if let Some(ConnectFailedMember { error }) = self.connect_failed {
            kinds.push(others.then_some(EventKind::ConnectFailed { error }));
        }
        if let Some(text) = self.text {
            kinds.push(sides.map(|from| EventKind::Text { from, text }));
        }
        if let Some(AudioMember { bytes, head }) = self.audio {
            kinds.push(sides.map(|from| EventKind::Audio { from, bytes, head }));
        }
        if let Some(CloseMember { code, reason }) = self.close {
            kinds.push(sides.map(|from| EventKind::Close { from, code: code.map(CloseCode), reason }));
        }
        if let Some(how) = self.eof {
            kinds.push(by_side(&|from| EventKind::Eof { from, how }));
        }
        if self.ping.is_some() {
            kinds.push(by_side(&|from| EventKind::Ping { from }));
        }
        if self.pong.is_some() {
            kinds.push(by_side(&|from| EventKind::Pong { from }));
        }
        if let Some(control) = self.control {
            let outcome = control.outcome();
            kinds.push(others.then_some(EventKind::Control { outcome, took_ms: control.took_ms }));
        }
        if let Some(stimulus) = self.stimulus {
            kinds.push(others.then_some(EventKind::Stimulus(stimulus)));
        }
        if let Some(TransportMember { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, retransmits }) =
            self.transport
        {
            kinds.push(others.then_some(EventKind::Transport {
                unacknowledged_bytes,
                unread_bytes,
                unsent_bytes,
                waiting_bytes,
                retransmits,
            }));
        }
        if let Some(CpuMember { busy_ms, over_ms, alone }) = self.cpu {
            kinds.push(others.then_some(EventKind::Cpu { busy_ms, over_ms, alone }));
        }
        if let Some(GaveUpMember { after_ms, quiescent }) = self.gave_up {
            kinds.push(others.then_some(EventKind::GaveUp { after_ms, quiescent }));
        }
        if let Some(for_ms) = self.left_alone_ms {
            kinds.push(others.then_some(EventKind::LeftAlone { for_ms }));
        }
        if let Some(reads) = self.reads {
            kinds.push(others.then_some(EventKind::Reads { reads }));
        }
        let of_a_client = [
            self.started.map(EventKind::Started),
            self.input_ended.map(EventKind::InputEnded),
            self.called.map(EventKind::Called),
            self.returned.map(EventKind::Returned),
            self.told.map(EventKind::Told),
            self.logged.map(EventKind::Logged),
            self.exited.map(EventKind::Exited),
        ];
        kinds.extend(of_a_client.into_iter().flatten().map(|kind| others.then_some(kind)));
        if let Some(note) = self.note {
            kinds.push(others.then_some(EventKind::Note(note)));
        }
        match (kinds.len(), kinds.pop().flatten()) {
            (1, Some(kind)) => Ok(kind),
            (1, None) => Err(FROM_RULE.to_owned()),
            (count, _) => Err(format!("a line tells exactly one thing, this one {count}")),
        }
    }
}

const FROM_RULE: &str = "`from` stands with `text`, `audio`, `close`, `eof`, `ping` and `pong`, and with nothing else";

fn read_line<T: DeserializeOwned>(number: usize, line: &str) -> Result<T, TraceError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(fault(number, "", &format!("longer than {MAX_LINE_BYTES} bytes")));
    }
    let at = |error: DecodeError| fault(number, &error.path, &error.detail);
    ijson::scan(line).map_err(|error| at(DecodeError::not_ijson(error)))?;
    serde_json::from_str(line).map_err(|_| at(codec::explain::<T>("", line)))
}

fn fault(line: usize, path: &str, detail: &str) -> TraceError {
    TraceError { line, path: path.to_owned(), detail: detail.to_owned() }
}

fn line_of<T: Serialize>(line: &T) -> String {
    let mut text = serde_json::to_string(line).expect("a line has string keys and is written to memory");
    text.push('\n');
    text
}
