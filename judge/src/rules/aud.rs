//! Audio as it was sent (AUD): what had to be accepted, what had to be refused, and what was unusual about it. Whether the
//! server's counters agree is the business of `counters`.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::AudioFormat;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::{ServerInput, State};

use crate::conn::{At, Conn};
use crate::oddity;
use crate::rules::end;

/// The audio that a client sent on one connection. Bytes of whole binary messages.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Had to be accepted.
    pub(crate) accepted_bytes: u64,
    pub(crate) accepted_frames: u64,
    /// Of these: sent between `config` and `ready`.
    pub(crate) early_bytes: u64,
    /// Of these: of unusual length, below 10 ms, above 1,000 ms, or either.
    pub(crate) short_bytes: u64,
    pub(crate) long_bytes: u64,
    pub(crate) unusual_frames: u64,
    pub(crate) last_unusual: Option<At>,
    /// Of these: looking like a command.
    pub(crate) command_bytes: u64,
    pub(crate) command_frames: u64,
    pub(crate) last_command: Option<At>,
    /// Of these: sent since the first flush.
    pub(crate) since_flush_bytes: u64,
    pub(crate) longest_frame_bytes: u64,
    /// Of those sent before `ready`, when only the defaults were known.
    pub(crate) longest_early_bytes: u64,
    /// Before `config`.
    pub(crate) before_config: Refused,
    /// Not whole sample groups.
    pub(crate) broken: Refused,
    /// After the sentinel, not empty.
    pub(crate) after_end: Vec<(At, u64)>,
    /// Empty ones, by where they came.
    pub(crate) empty: Vec<At>,
    pub(crate) empty_after_end: u64,
    pub(crate) oversize: Option<At>,
    /// The first frame began with a container's magic number.
    pub(crate) container: Option<At>,
    pub(crate) excess: Vec<Excess>,
    /// The most audio that was ever sent and not known to be worked off, in milliseconds.
    pub(crate) backlog_ms: u64,
}

/// Frames that had to be refused.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) last: Option<At>,
}

impl Refused {
    fn add(&mut self, at: At, bytes: u64) {
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.last = Some(at);
    }
}

impl Sent {
    /// What had to be accepted, in milliseconds of one channel. `None` where the encoding has no fixed size.
    pub(crate) fn accepted_ms(&self, format: &AudioFormat) -> Option<u64> {
        to_ms(self.accepted_bytes, format)
    }
}

/// Bytes of whole sample groups as milliseconds, rounded down.
pub(crate) fn to_ms(bytes: u64, format: &AudioFormat) -> Option<u64> {
    let group = format.bytes_per_sample_group().filter(|group| *group > 0)?;
    let samples = u128::from(bytes / group);
    Some(u64::try_from(samples * 1_000 / u128::from(format.sample_rate_hz.max(1))).unwrap_or(u64::MAX))
}

/// Bytes as milliseconds, rounded up: no result reaches further.
pub(crate) fn to_ms_up(bytes: u64, format: &AudioFormat) -> Option<u64> {
    let group = format.bytes_per_sample_group().filter(|group| *group > 0)?;
    let samples = u128::from(bytes / group);
    Some(u64::try_from((samples * 1_000).div_ceil(u128::from(format.sample_rate_hz.max(1)))).unwrap_or(u64::MAX))
}

/// The input of the server's table that a binary message is.
pub(crate) fn classify(conn: &Conn, phase: State, bytes: u64) -> ServerInput {
    let group = conn.format().bytes_per_sample_group().unwrap_or(1).max(1);
    if bytes == 0 {
        ServerInput::EmptyAudio
    } else if bytes > conn.limits.max_frame_bytes {
        ServerInput::OversizeAudio
    } else if phase != State::AwaitConfig && !bytes.is_multiple_of(group) {
        ServerInput::BrokenAudio
    } else {
        ServerInput::Audio
    }
}

/// Remembers a binary message.
pub(crate) fn note(conn: &mut Conn, at: At, phase: State, input: ServerInput, bytes: u64, head: &[u8]) {
    let format = conn.format();
    let flushed_before = conn.flush.first.is_some();
    let early = conn.is_early();
    let sent = &mut conn.audio;
    match (phase, input) {
        (_, ServerInput::EmptyAudio) => {
            sent.empty.push(at);
            sent.empty_after_end += u64::from(phase == State::Draining);
        }
        (State::Draining, _) => {
            sent.after_end.push((at, bytes));
            if input == ServerInput::OversizeAudio {
                sent.oversize = Some(at);
            }
        }
        (_, ServerInput::OversizeAudio) => sent.oversize = Some(at),
        (State::AwaitConfig, _) => sent.before_config.add(at, bytes),
        (_, ServerInput::BrokenAudio) => sent.broken.add(at, bytes),
        _ => {
            if sent.accepted_frames == 0 && oddity::is_container(head) {
                sent.container = Some(at);
            }
            let (short, long) = is_unusual(bytes, &format);
            let command = oddity::looks_like_command(head);
            let add = |sum: &mut u64, on: bool| *sum = sum.saturating_add(if on { bytes } else { 0 });
            add(&mut sent.accepted_bytes, true);
            add(&mut sent.early_bytes, early);
            add(&mut sent.since_flush_bytes, flushed_before);
            add(&mut sent.short_bytes, short);
            add(&mut sent.long_bytes, long);
            add(&mut sent.command_bytes, command);
            sent.accepted_frames += 1;
            if short || long {
                sent.unusual_frames += 1;
                sent.last_unusual = Some(at);
            }
            if command {
                sent.command_frames += 1;
                sent.last_command = Some(at);
            }
            if early {
                sent.longest_early_bytes = sent.longest_early_bytes.max(bytes);
            }
            sent.longest_frame_bytes = sent.longest_frame_bytes.max(bytes);
            let sent_ms = to_ms(sent.accepted_bytes, &format).unwrap_or(0);
            sent.backlog_ms = sent.backlog_ms.max(sent_ms.saturating_sub(conn.progress.worked_off_ms));
        }
    }
}

/// A result or a count that reaches further than the audio that had been sent.
#[derive(Clone, Debug)]
pub(crate) struct Excess {
    at: At,
    text: String,
    /// What it breaks if it did not come from audio after the sentinel.
    otherwise: RequirementId,
}

/// A server's results or counts reach `ms` milliseconds, further than the audio it had to accept. It breaks the clause about the
/// refused audio that explains it, else `otherwise`.
pub(crate) fn reaches_too_far(conn: &mut Conn, at: At, ms: u64, otherwise: RequirementId, text: String) {
    let clause = excess(conn, ms, otherwise);
    if clause == req::END_S4 {
        conn.audio.excess.push(Excess { at, text, otherwise });
    } else {
        conn.convict(FindingKind::WrongValue, clause, at, text);
    }
}

/// The session is over: audio after the sentinel explains nothing if the counters show that all of it was refused.
pub(crate) fn settle(conn: &mut Conn) {
    let format = conn.format();
    let refused = conn.session_ended.as_ref().is_some_and(|(ended_at, ended)| {
        let before = conn.audio.broken.frames + conn.audio.before_config.frames;
        let (_, possibly) = end::refused_after_end(conn, *ended_at);
        let accepted_ms = to_ms(conn.audio.accepted_bytes, &format).unwrap_or(0);
        ended.rejected_frames >= before.saturating_add(possibly) && ended.audio_received_ms <= accepted_ms
    });
    if !conn.is_over() {
        return;
    }
    for one in std::mem::take(&mut conn.audio.excess) {
        let clause = if refused { one.otherwise } else { req::END_S4 };
        conn.convict(FindingKind::WrongValue, clause, one.at, one.text);
    }
}

fn excess(conn: &Conn, ms: u64, otherwise: RequirementId) -> RequirementId {
    let sent = &conn.audio;
    let after_end = sent.after_end.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    let explains = |bytes: u64| {
        bytes > 0 && to_ms_up(sent.accepted_bytes.saturating_add(bytes), &conn.format()).is_some_and(|most| ms <= most)
    };
    if explains(after_end) {
        req::END_S4
    } else if explains(sent.broken.bytes) {
        req::AUD_S2
    } else if explains(sent.before_config.bytes) {
        req::STA_S2
    } else {
        otherwise
    }
}

/// Whether a frame is shorter than 10 ms, and whether it is longer than 1,000 ms.
fn is_unusual(bytes: u64, format: &AudioFormat) -> (bool, bool) {
    to_ms(bytes, format).map_or((false, false), |ms| (ms < 10, ms > 1_000))
}

/// What a session that ended with true counters proves about audio.
pub(crate) fn credit(conn: &mut Conn, complete: bool) {
    let default_form = conn.format() == AudioFormat::default();
    let sent = &conn.audio;
    let some = sent.accepted_bytes > 0;
    let proofs = [
        (complete && some && default_form, req::AUD_S1),
        (sent.broken.frames > 0, req::AUD_S2),
        (!sent.empty.is_empty(), req::AUD_S3),
        (sent.unusual_frames > 0, req::AUD_S4),
        (sent.command_frames > 0, req::AUD_S5),
        (sent.before_config.frames > 0, req::STA_S2),
        (sent.early_bytes > 0, req::STA_S3),
        (complete && some, req::BP_S2),
        (complete && sent.backlog_ms > conn.limits.max_buffered_audio_ms, req::BP_S1),
        (sent.longest_frame_bytes == conn.limits.max_frame_bytes, req::LIM_S2),
    ];
    for (_, id) in proofs.into_iter().filter(|(proved, _)| *proved) {
        conn.credit(id);
    }
}
