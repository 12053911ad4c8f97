//! Speech events (VAD): they alternate, a flush and the end close an open pair, and the end of a speech precedes its final.

use std::collections::BTreeMap;

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{Final, SpeechEnded, SpeechStarted};
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};

/// The memory of this area: the open pair of each channel.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    open: BTreeMap<u32, Open>,
    /// Any speech event came.
    pub(crate) seen: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    at: At,
    start_ms: u64,
    /// A final that came while the pair was open: where, and where its segment ends.
    passed: Option<(At, u64)>,
}

/// `speech_started`.
pub(crate) fn on_started(conn: &mut Conn, at: At, event: &SpeechStarted) {
    if !allowed(conn, at) {
        return;
    }
    let open = Open { at, start_ms: event.start_ms, passed: None };
    if let Some(before) = conn.vad.open.insert(event.channel, open) {
        let text = format!("sent `speech_started` twice on channel {} without `speech_ended`", event.channel);
        conn.convict_with(FindingKind::IllegalMessage, req::VAD_S1, at, &[before.at.event], text);
    }
}

/// `speech_ended`.
pub(crate) fn on_ended(conn: &mut Conn, at: At, event: &SpeechEnded) {
    if !allowed(conn, at) {
        return;
    }
    match conn.vad.open.remove(&event.channel) {
        None if conn.tainted => {}
        None => {
            let text = format!("sent `speech_ended` on channel {} without `speech_started`", event.channel);
            conn.convict(FindingKind::IllegalMessage, req::VAD_S1, at, text);
        }
        Some(Open { passed: Some((final_at, end_ms)), .. }) if event.end_ms <= end_ms => {
            let text = "sent the final of a speech before its `speech_ended`";
            conn.convict_with(FindingKind::IllegalMessage, req::VAD_S1, at, &[final_at.event], text);
        }
        Some(_) => {
            conn.credit(req::VAD_S1);
        }
    }
}

fn allowed(conn: &mut Conn, at: At) -> bool {
    let wanted = conn.ready.as_ref().is_some_and(|(_, ready)| ready.config.vad_events);
    conn.vad.seen = true;
    let asked = conn.config.second.filter(|second| second.vad_events == Some(true)).map(|second| second.at);
    if let Some(asked) = asked.filter(|_| !wanted) {
        let text = "sent a speech event, which only a second `config` asked for";
        conn.convict_with(FindingKind::WronglyAccepted, req::STA_S1, at, &[asked.event], text);
    } else if !wanted {
        let text = "sent a speech event though `vad_events` is false";
        conn.convict(FindingKind::IllegalMessage, req::VAD_S2, at, text);
    }
    wanted
}

/// A final: if the pair is still open, it may turn out to have come too soon.
pub(crate) fn on_final(conn: &mut Conn, at: At, result: &Final) {
    if let Some(open) = conn.vad.open.get_mut(&result.channel).filter(|open| result.end_ms > open.start_ms) {
        open.passed = Some((at, result.end_ms));
    }
}

/// `flushed` for audio up to `upto_ms`.
pub(crate) fn on_flushed(conn: &mut Conn, at: At, upto_ms: u64) {
    let open = conn.vad.open.iter().find(|(_, open)| open.start_ms < upto_ms).map(|(channel, open)| (*channel, *open));
    if let Some((channel, open)) = open {
        conn.vad.open.remove(&channel);
        let text = format!("sent `flushed` while the speech on channel {channel} was open");
        conn.convict_with(FindingKind::IllegalMessage, req::VAD_S1, at, &[open.at.event], text);
    }
}

/// The session is over.
pub(crate) fn settle(conn: &mut Conn) {
    let Some((ended_at, _)) = conn.session_ended.as_ref().filter(|_| conn.completed() && !conn.tainted) else { return };
    let ended_at = *ended_at;
    let Some((channel, open)) = conn.vad.open.iter().map(|(channel, open)| (*channel, *open)).next() else { return };
    if !conn.end.late {
        let text = format!("ended the session while the speech on channel {channel} was open");
        conn.convict_with(FindingKind::Unanswered, req::VAD_S1, ended_at, &[open.at.event], text);
    }
}
