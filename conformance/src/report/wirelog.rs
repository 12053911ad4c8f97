//! Owns the lines of a wire log: a trace's events for a person, shortened. Secrets are hidden before a line is cut.

use std::collections::BTreeSet;

use lastword_spec::trace::{Called, ControlOutcome, Event, EventKind, Exited, Returned, Side, Started, Told, Trace};

use super::model::WireLine;
use crate::redact::Redactor;

/// How much of a message is shown.
const MAX_CHARS: usize = 220;
/// How many lines of a failure are shown.
const TAIL: usize = 12;

/// The last frames of a trace, and those that a finding points at.
#[must_use]
pub fn tail(trace: &Trace, pointed: &[usize], redactor: &Redactor) -> Vec<WireLine> {
    let lines = all(trace, redactor);
    let probes = probes(trace);
    // The probes are evidence about the case and have a table of their own; its own last frames are what a person looks for.
    let own: Vec<usize> = (0..lines.len()).filter(|index| !probes.contains(&lines[*index].conn)).collect();
    let from = own.len().checked_sub(TAIL).map_or(0, |skipped| own[skipped]);
    let is_shown = |index: usize, line: &WireLine| {
        let next = lines.get(index + 1).map_or(usize::MAX, |next| next.event);
        let is_last = index >= from && !probes.contains(&line.conn);
        is_last || pointed.iter().any(|event| (line.event..next).contains(event))
    };
    lines.iter().enumerate().filter(|(index, line)| is_shown(*index, line)).map(|(_, line)| line.clone()).collect()
}

/// The connections that are release probes: evidence about another one, and not judged for themselves.
#[must_use]
pub(crate) fn probes(trace: &Trace) -> BTreeSet<u32> {
    let is_probe = |event: &&Event| matches!(&event.kind, EventKind::Open(open) if open.probe.is_some());
    trace.events.iter().filter(is_probe).map(|event| event.conn).collect()
}

/// Every event of a trace; audio that follows audio stands in one line.
#[must_use]
pub fn all(trace: &Trace, redactor: &Redactor) -> Vec<WireLine> {
    let mut lines: Vec<WireLine> = Vec::new();
    let mut run: Option<(u32, Side, u64, u64)> = None;
    for (index, event) in trace.events.iter().enumerate() {
        let sound = match &event.kind {
            EventKind::Audio { from, bytes, .. } => Some((*from, *bytes)),
            _ => None,
        };
        run = match (run, sound) {
            (Some((conn, side, frames, total)), Some((from, bytes))) if conn == event.conn && side == from => {
                let (frames, total) = (frames + 1, total + bytes);
                if let Some(last) = lines.last_mut() {
                    last.text = format!("{} <{frames} frames of audio, {total} bytes>", arrow(from));
                }
                Some((conn, side, frames, total))
            }
            (_, Some((from, bytes))) => Some((event.conn, from, 1, bytes)),
            (_, None) => None,
        };
        if run.is_none_or(|(_, _, frames, _)| frames == 1) {
            lines.push(WireLine { t_us: event.t_us, event: index, conn: event.conn, text: line(event, redactor) });
        }
    }
    lines
}

/// One event as text.
#[must_use]
fn line(event: &Event, redactor: &Redactor) -> String {
    match &event.kind {
        EventKind::Open(open) => {
            let selected = open.selected.as_deref().unwrap_or("none");
            let probe = open.probe.map(|probe| {
                let (of, stimulus, round) = (probe.of, probe.stimulus.as_str(), probe.round);
                format!(", release probe of connection {of}: {stimulus}, round {round}")
            });
            format!("open (offered [{}], selected {selected}{})", open.offered.join(", "), probe.unwrap_or_default())
        }
        EventKind::Refused { status: 101, .. } => "the answer to the upgrade is no handshake, with HTTP 101".to_owned(),
        EventKind::Refused { status, retry_after, .. } => {
            let after = retry_after.as_ref().map(|after| format!(", Retry-After {after}")).unwrap_or_default();
            format!("upgrade refused with HTTP {status}{after}")
        }
        EventKind::ConnectFailed { error } => format!("no connection: {}", redactor.redact(error)),
        EventKind::Text { from, text } => format!("{} {}", arrow(*from), shorten(&redactor.redact(text))),
        EventKind::Audio { from, bytes, .. } => format!("{} <{bytes} bytes of audio>", arrow(*from)),
        EventKind::Close { from, code, reason } => {
            let code = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
            format!("{} Close {code} {}", arrow(*from), shorten(&redactor.redact(reason))).trim_end().to_owned()
        }
        EventKind::Eof { from, how } => format!("{} end of the transport ({how:?})", arrow(*from)),
        EventKind::Ping { from } => format!("{} Ping", arrow(*from)),
        EventKind::Pong { from } => format!("{} Pong", arrow(*from)),
        EventKind::Control { outcome, took_ms } => {
            let word = match outcome {
                ControlOutcome::Completed => "completed",
                ControlOutcome::Answered => "the subject answers it and does not complete it",
                ControlOutcome::Unanswered => "the subject does not answer it",
            };
            format!("control session on another connection: {word} ({took_ms} ms)")
        }
        EventKind::Stimulus(stimulus) => format!("release probe, stimulus: {}", stimulus.as_str()),
        EventKind::Transport { unacknowledged_bytes, unread_bytes, unsent_bytes, waiting_bytes, .. } => {
            let known = |bytes: &Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| bytes.to_string());
            let (sent, unread) = (known(unacknowledged_bytes), known(unread_bytes));
            let unsent = unsent_bytes.map_or_else(String::new, |bytes| format!(", not sent yet {bytes}"));
            let waiting =
                waiting_bytes.map_or_else(String::new, |bytes| format!("; of the subject's not read {bytes}"));
            format!("transport: bytes not acknowledged {sent}, not read by the subject {unread}{unsent}{waiting}")
        }
        EventKind::Cpu { busy_ms, over_ms, .. } => {
            format!("the subject's processes: {busy_ms} ms of CPU in {over_ms} ms")
        }
        EventKind::LeftAlone { for_ms } => {
            format!("nobody had had a session with the subject for {for_ms} ms")
        }
        EventKind::GaveUp { after_ms, .. } => {
            format!("the harness waits no longer (for {after_ms} ms nothing moved the session)")
        }
        EventKind::Reads { reads: true } => "the harness reads again".to_owned(),
        EventKind::Reads { reads: false } => "the harness stops to read".to_owned(),
        EventKind::Started(Started { driven: true, .. }) => "the client was started with its driver".to_owned(),
        EventKind::Started(Started { driven: false, audio_ms }) => {
            let given = audio_ms.map_or_else(String::new, |ms| format!(" with {ms} ms of audio"));
            format!("the client was started{given}")
        }
        EventKind::InputEnded(ended) => {
            let length = ended.audio_ms.map_or_else(String::new, |ms| format!(", {ms} ms of audio"));
            format!("the client's input ended (known by {:?}{length})", ended.known_by)
        }
        EventKind::Called(Called { number, what, audio_ms }) => {
            let audio = audio_ms.map_or_else(String::new, |ms| format!(" ({ms} ms of audio)"));
            format!("call {number}: {}{audio}", what.as_str())
        }
        EventKind::Returned(Returned { number, what, failed: None }) => {
            format!("call {number}: {} returned", what.as_str())
        }
        EventKind::Returned(Returned { number, what, failed: Some(why) }) => {
            format!("call {number}: {} failed: {}", what.as_str(), shorten(&redactor.redact(why)))
        }
        EventKind::Told(told) => format!("the application was told: {}", shorten(&redactor.redact(&told_words(told)))),
        EventKind::Logged(text) => format!("the client's output: {}", shorten(&redactor.redact(text))),
        EventKind::Exited(Exited { code, signal }) => match (code, signal) {
            (Some(code), _) => format!("the client's process exited with {code}"),
            (None, Some(signal)) => format!("signal {signal} ended the client's process"),
            (None, None) => "the client's process ended".to_owned(),
        },
        EventKind::Note(note) => format!("note: {}", shorten(&redactor.redact(note))),
    }
}

/// What a client told its application, in a few words.
fn told_words(told: &Told) -> String {
    let mut words = vec![told.what.as_str().to_owned()];
    words.extend(told.outcome.map(|outcome| outcome.as_str().to_owned()));
    words.extend(told.raised.filter(|raised| *raised).map(|_| "(raised)".to_owned()));
    words.extend(told.code.clone());
    words.extend(told.number.map(|number| format!("call {number}")));
    words.extend(told.segment_id.map(|id| format!("segment {id}")));
    words.extend(told.text.as_ref().map(|text| format!("\"{text}\"")));
    words.extend(told.count.map(|count| format!("{count} left")));
    words.join(" ")
}

fn arrow(from: Side) -> &'static str {
    match from {
        Side::Client => "client ->",
        Side::Server => "server ->",
    }
}

/// Cuts a text and makes control characters visible, so that a hostile message cannot rewrite a terminal.
fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(MAX_CHARS).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push_str(&format!("... ({} bytes)", text.len()));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_even_where_the_line_is_cut_through_it() {
        let secret = "s".repeat(40);
        let text = format!("{}{secret}", "x".repeat(MAX_CHARS - 10));
        let event = Event::new(0, 0, EventKind::Text { from: Side::Server, text });
        let shown = line(&event, &Redactor::new(&[secret]));
        assert!(!shown.contains("sss"), "{shown}");
    }

    #[test]
    fn audio_that_follows_audio_stands_in_one_line_and_what_a_finding_points_at_is_shown() {
        let mut trace = Trace { header: lastword_spec::trace::Header::new(Side::Server), events: Vec::new() };
        let sound = || EventKind::Audio { from: Side::Client, bytes: 100, head: Vec::new() };
        let kinds = [vec![EventKind::Note("first".into())], vec![sound(), sound(), sound()]].concat();
        let rest = (0..20).map(|number| EventKind::Note(number.to_string()));
        for (index, kind) in kinds.into_iter().chain(rest).enumerate() {
            trace.events.push(Event::new(index as u64, 0, kind));
        }
        let shown = tail(&trace, &[2], &Redactor::default());
        assert_eq!(shown.len(), TAIL + 1);
        assert_eq!((shown[0].event, shown[0].text.as_str()), (1, "client -> <3 frames of audio, 300 bytes>"));
        assert_eq!(shown[1].event, 12);
    }

    #[test]
    fn control_characters_of_a_peer_do_not_reach_the_terminal() {
        let text = "\u{1b}[2J\0".to_owned();
        let event = Event::new(0, 0, EventKind::Text { from: Side::Server, text });
        assert_eq!(line(&event, &Redactor::default()), "server -> \u{fffd}[2J\u{fffd}");
    }
}
