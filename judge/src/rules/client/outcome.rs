//! How a client's session ended, how it should have, and what the client made of it.

use lastword_spec::close::CloseCode;
use lastword_spec::finding::FindingKind;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::trace::{Call, ClientOutcome};

use super::wire::{Wire, Written};
use super::{Run, crash, held, redials, seconds};
use crate::bounds::{Scale, total, us};
use crate::conn::At;
use crate::report::Finding;
use crate::rules::aud;

/// Beyond its bound an end is late by at least so much before it is called late: a process needs time to go.
const GRACE_MS: u64 = 1_000;

/// What a right client would have told its application, and by which clause anything else is wrong.
pub(super) fn expected(run: &Run, scale: Scale) -> Option<(ClientOutcome, RequirementId)> {
    let wire = run.last()?;
    let facts = &wire.facts;
    if let Some(close) = run.cancelled()
        && facts.ended.as_ref().is_none_or(|(ended, _)| close.event < ended.event)
        && run.told_end().is_none_or(|(told, _)| close.event < told.event)
    {
        return Some((ClientOutcome::Cancelled, req::END_C7));
    }
    if facts.opened.is_none() {
        return Some((ClientOutcome::Error, req::CON_C1));
    }
    if facts.fatal_and_read(scale).is_some() {
        return Some((ClientOutcome::Error, req::ERR_C1));
    }
    if facts.ready.is_none() {
        let requirement = if facts.server_left().is_some() { req::CON_C3 } else { req::CON_C2 };
        return Some((ClientOutcome::Error, requirement));
    }
    // Whoever was told before it came was told without it.
    let had_come = |ended: &At| run.told_end().is_none_or(|(told, _)| ended.event < told.event);
    let Some((ended, said)) = facts.ended.as_ref().filter(|(ended, _)| had_come(ended)) else {
        return Some((ClientOutcome::Incomplete, req::END_C5));
    };
    let early = facts.sentinel.is_none_or(|sentinel| ended.event < sentinel.event);
    // A sentinel that crossed it is not what it answers: then its counters contradict what the client sent.
    let sent_ms = facts.audio_format.as_ref().and_then(|format| aud::to_ms(facts.audio_bytes(), format));
    let contradicts = sent_ms.is_some_and(|sent_ms| said.audio_received_ms < sent_ms);
    if early || contradicts {
        return Some((ClientOutcome::Incomplete, req::END_C8));
    }
    // What a connection took before it was lost is missing, also where nothing was left for the next one.
    let gap = run.wires.values().rev().skip(1).any(|wire| !wire.facts.audio.is_empty());
    if gap {
        return Some((ClientOutcome::Incomplete, req::REC_C4));
    }
    let outcome = if said.complete { ClientOutcome::Complete } else { ClientOutcome::Incomplete };
    Some((outcome, req::END_C7))
}

/// What the client made of it: told, or at level 0 by its exit code. The event that says so.
pub(super) fn observed(run: &Run) -> Option<(At, Observed)> {
    let ended = run.ended_itself()?;
    match run.told_end() {
        Some((at, told)) if told.raised == Some(true) && told.outcome == Some(ClientOutcome::Error) => {
            Some((*at, Observed::Raised))
        }
        Some((at, told)) => told.outcome.map(|outcome| (*at, Observed::Told(outcome))),
        None if run.is_driven() => None,
        None => {
            let (_, exited) = run.exited.as_ref()?;
            exited.signal.is_none().then_some((ended, Observed::Exit(exited.code == Some(0))))
        }
    }
}

/// What a client may hold back of its input at most, in milliseconds. [AUD-C1]
const LONGEST_FRAME_MS: u64 = 1_000;

/// What may be missing of an input at its end: what a resampler holds back.
pub(super) const INPUT_TAIL_MS: u64 = 60;

/// How a client says how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// By its public interface.
    Told(ClientOutcome),
    /// By raising, which says that it is not complete and leaves open which of the others it is.
    Raised,
    /// By its exit code: whether it was 0.
    Exit(bool),
}

impl Observed {
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Told(ClientOutcome::Complete) | Self::Exit(true))
    }

    pub(super) fn fits(self, expected: ClientOutcome) -> bool {
        match self {
            Self::Told(outcome) => outcome == expected,
            Self::Raised => expected != ClientOutcome::Complete,
            Self::Exit(zero) => zero == (expected == ClientOutcome::Complete),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Told(outcome) => format!("told its application `{}`", outcome.as_str()),
            Self::Raised => "raised out of its iterator".to_owned(),
            Self::Exit(true) => "exited with 0, which says complete".to_owned(),
            Self::Exit(false) => "exited with a code other than 0".to_owned(),
        }
    }
}

pub(super) fn settle(run: &Run, scale: Scale) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(crash::crashed(run));
    found.extend(wrong_outcome(run, scale));
    found.extend(left_early(run, scale));
    found.extend(redialled(run, scale));
    found.extend(no_config(run));
    found.extend(redials::settle(run));
    found.extend(late_sentinel(run, scale));
    found.extend(cut_input(run));
    found.extend(missing_sentinel(run));
    for wire in run.wires.values() {
        found.extend(wrong_code(run, wire));
        found.extend(late_end(run, wire, scale));
        found.extend(late_cancel(run, wire, scale));
        found.extend(frames(run, wire));
        found.extend(held::keepalives(run, wire, scale));
    }
    found
}

/// [END-C5] [END-C7] [END-C8] [ERR-C1] [CON-C1] [CON-C2] [CON-C3] [REC-C4]
fn wrong_outcome(run: &Run, scale: Scale) -> Option<Finding> {
    let (expected, requirement) = expected(run, scale)?;
    let (at, observed) = observed(run)?;
    if observed.fits(expected) {
        return None;
    }
    let wire = run.last()?;
    // It may have read a fatal error that it need not have read.
    if wire.facts.fatal.is_some() && observed.fits(ClientOutcome::Error) {
        return None;
    }
    if expected == ClientOutcome::Complete && held::has_waited(wire, at) {
        return None;
    }
    let requirement = clause_of_ending(wire, at, requirement);
    let truncated = observed.is_complete()
        && [req::END_C5, req::END_C7, req::END_C8, req::REC_C4, req::CLO_C2, req::ERR_C3].contains(&requirement);
    let kind = match requirement {
        _ if truncated => FindingKind::SilentTruncation,
        id if id == req::ERR_C1 || id == req::CON_C1 || id == req::CON_C2 || id == req::CON_C3 => {
            FindingKind::SwallowedError
        }
        _ => FindingKind::WrongValue,
    };
    let why = match requirement {
        id if id == req::END_C5 && has_left_first(wire) => "it left before session_ended came",
        id if id == req::END_C5 && wire.facts.ended.is_some() => "session_ended had not come",
        id if id == req::END_C5 => "no session_ended came",
        id if id == req::CLO_C2 => "a Close came without session_ended, and 1000 proves nothing",
        id if id == req::ERR_C3 => "its transport failed while it sent",
        id if id == req::END_C8 => "session_ended came before its sentinel",
        id if id == req::ERR_C1 => "a fatal error came",
        id if id == req::REC_C4 => "a reconnection left a gap in its audio",
        id if id == req::CON_C1 => "no connection came about",
        id if id == req::CON_C2 => "`ready` never came",
        id if id == req::CON_C3 => "the server closed before `ready`",
        _ if expected == ClientOutcome::Cancelled => "its application closed it",
        _ if expected == ClientOutcome::Complete => "session_ended says that nothing is missing",
        _ => "session_ended says that something is missing",
    };
    // It said less than it could know: that is its outcome, whatever the way there; unless it may not have understood what it read.
    let requirement = match wire.facts.written {
        _ if observed.is_complete() || requirement == req::ERR_C1 => requirement,
        Written::Oddly if expected == ClientOutcome::Complete => req::MSG_3,
        Written::Extended if expected == ClientOutcome::Complete => req::VER_3,
        _ => req::END_C7,
    };
    let message = format!("{} although {why}: it is {}", observed.words(), expected.as_str());
    Some(run.finding(kind, requirement, wire.conn, at, message))
}

/// Whether the client ended the connection before the server did.
fn has_left_first(wire: &Wire) -> bool {
    let left = wire.facts.client_left();
    left.is_some_and(|left| wire.facts.server_left().is_none_or(|server| left.event < server.event))
}

/// Which clause an ending without session_ended is about, of which the application learned here.
fn clause_of_ending(wire: &Wire, learned: At, requirement: RequirementId) -> RequirementId {
    let facts = &wire.facts;
    let normal =
        facts.server_close.is_some_and(|(close, code)| code == Some(CloseCode::NORMAL) && close.event < learned.event);
    match requirement {
        id if id == req::END_C5 && normal => req::CLO_C2,
        // It learns of it where it sends, if nowhere else.
        id if id == req::END_C5 && facts.is_reset && facts.sentinel.is_none() => req::ERR_C3,
        id => id,
    }
}

/// [END-C4] [PRG-C1] [CLO-C1] [MSG-C1]
fn left_early(run: &Run, scale: Scale) -> Option<Finding> {
    let wire = run.last()?;
    let facts = &wire.facts;
    if run.call(Call::Close).is_some() || facts.ended.is_some() || facts.fatal.is_some() {
        return None;
    }
    let left = facts.client_left().into_iter().chain(run.ended_itself()).min_by_key(|at| at.event)?;
    if facts.server_left().is_some_and(|server| server.event < left.event) {
        return None;
    }
    let Some(sentinel) = facts.sentinel.filter(|sentinel| is_before(run, *sentinel, left, scale)) else {
        return left_in_the_middle(run, wire, left, scale);
    };
    let waited_us = left.t_us.saturating_sub(sentinel.t_us);
    let drain_us = us(wire.limits.drain_ms);
    let waited = seconds(waited_us);
    let may_have_waited = held::has_waited(wire, left);
    // Nobody waits so short by intent.
    if waited_us < scale.us(AT_ONCE_MS) && !may_have_waited {
        let has_closed = facts.client_left().is_some_and(|closed| closed.event == left.event);
        let what = if has_closed { "closed" } else { "ended" };
        let message = format!("{what} {waited} after its sentinel, before session_ended");
        return Some(run.finding(FindingKind::IllegalMessage, req::CLO_C1, wire.conn, left, message));
    }
    if waited_us < drain_us && !may_have_waited {
        let whose = if wire.is_foreign { "that its service documents" } else { "announced" };
        let message = format!("waited {waited} for session_ended, less than the {} {whose}", seconds(drain_us));
        return Some(run.finding(FindingKind::SilentTruncation, req::END_C4, wire.conn, left, message));
    }
    let extended = facts.progress.iter().rev().find(|at| at.event > sentinel.event && at.event < left.event)?;
    let since_us = left.t_us.saturating_sub(extended.t_us);
    (since_us < drain_us).then(|| {
        let message = format!("gave up {waited} after its sentinel, {} after progress", seconds(since_us));
        run.finding(FindingKind::SilentTruncation, req::PRG_C1, wire.conn, left, message)
    })
}

/// [MSG-C1] [END-C1] Left before its sentinel, right behind something that ends nothing.
fn left_in_the_middle(run: &Run, wire: &Wire, left: At, scale: Scale) -> Option<Finding> {
    let facts = &wire.facts;
    // Whose input was over left for that. [END-C1]
    if facts.ready.is_none() || missing_sentinel(run).is_some() {
        return None;
    }
    let odd = facts.odd.iter().map(|odd| (*odd, req::MSG_C1, "a message that is none"));
    // Whether there was more to say only a driver knows, or who gave it a file.
    let has_more = run.is_driven() || run.started.is_some_and(|started| started.audio_ms.is_some());
    let errors = facts.errors.iter().filter(|_| has_more);
    let errors = errors.map(|(error, _)| (*error, req::END_C1, "an error that is not fatal"));
    let (at, requirement, what) =
        odd.chain(errors).filter(|(at, ..)| at.event < left.event).max_by_key(|(at, ..)| at.event)?;
    let took_us = left.t_us.saturating_sub(at.t_us);
    (took_us < scale.us(SOON_MS)).then(|| {
        let message = format!("ended {} after {what}, which ends nothing", seconds(took_us));
        run.finding(FindingKind::WrongAnswer, requirement, wire.conn, left, message)
    })
}

/// What comes so soon behind a message comes of it.
const SOON_MS: u64 = 1_000;

/// Leaves no time for anybody's answer.
const AT_ONCE_MS: u64 = 300;

/// Whether the client wrote its sentinel before it left. What its application is told, and that its process is gone, can be noted
/// before the harness reads what the client had sent until then.
fn is_before(run: &Run, sentinel: At, left: At, scale: Scale) -> bool {
    let was_over = run.input_ended.as_ref().is_some_and(|(input, _)| input.event < left.event);
    let comes_at_once = sentinel.t_us.saturating_sub(left.t_us) < scale.us(AT_ONCE_MS);
    sentinel.event < left.event || was_over && comes_at_once
}

/// [REC-C2] [REC-C3]
fn redialled(run: &Run, scale: Scale) -> Option<Finding> {
    let mut wires = run.wires.values();
    let mut before = wires.next()?;
    for wire in wires {
        let at = wire.facts.upgraded_or_failed()?;
        let is_fatal = before.facts.fatal_and_read(scale).is_some_and(|(_, error)| !error.retryable);
        let is_cancelled = run.call(Call::Close).is_some_and(|(close, _)| close.event < at.event);
        let (requirement, message) = if before.facts.sentinel.is_some() || is_cancelled {
            (req::REC_C3, "dialled again after its sentinel")
        } else if is_fatal {
            (req::REC_C2, "dialled again after an error that is fatal and not retryable")
        } else {
            before = wire;
            continue;
        };
        return Some(run.finding(FindingKind::ReconnectAfterEnd, requirement, wire.conn, at, message));
    }
    None
}

/// [CFG-C1], where the client did end.
fn no_config(run: &Run) -> Option<Finding> {
    let wire = run.last()?;
    let facts = &wire.facts;
    let (opened, _) = facts.opened.as_ref()?;
    if run.started.is_none() || facts.config.is_some() || facts.is_deaf() || run.call(Call::Close).is_some() {
        return None;
    }
    let left = facts.client_left().into_iter().chain(run.ended_itself()).min_by_key(|at| at.event)?;
    if facts.server_left().is_some_and(|server| server.event < left.event) {
        return None;
    }
    let message =
        format!("left {} after its upgrade and sent no config", seconds(left.t_us.saturating_sub(opened.t_us)));
    Some(run.finding(FindingKind::Unanswered, req::CFG_C1, wire.conn, left, message))
}

/// [END-C1] [STA-C1], where the sentinel did come.
fn late_sentinel(run: &Run, scale: Scale) -> Option<Finding> {
    let (input, _) = run.input_ended.as_ref()?;
    let wire = run.last().filter(|wire| wire.facts.deaf.is_empty())?;
    let (ready, sentinel) = (wire.facts.ready?, wire.facts.sentinel?);
    let (since, requirement) = if input.event < ready.event { (ready, req::STA_C1) } else { (*input, req::END_C1) };
    let took_us = sentinel.t_us.saturating_sub(since.t_us);
    // Audio that is still on its way comes first.
    let streaming = wire.facts.audio.last().is_some_and(|(last, _)| last.event > since.event);
    (took_us > scale.patience_us(1_000) && !streaming).then(|| {
        let message = format!("sent end_of_stream {} after its input ended", seconds(took_us));
        run.finding(FindingKind::Late, requirement, wire.conn, sentinel, message)
    })
}

/// [AUD-C3] [BP-C1]
fn cut_input(run: &Run) -> Option<Finding> {
    let (_, ended) = run.input_ended.as_ref()?;
    let wire = run.last().filter(|_| run.wires.len() == 1)?;
    let sentinel = wire.facts.sentinel?;
    let format = wire.facts.audio_format.as_ref()?;
    let received_ms = aud::to_ms(wire.facts.audio_bytes(), format)?;
    // A resampler may end a little earlier; who sends what it was given has no such excuse.
    let tolerance_ms = if format.sample_rate_hz == 16_000 { 5 } else { 60 };
    let missing_ms = ended.audio_ms?.saturating_sub(received_ms);
    // A tail is short; what a full buffer drops is not.
    let waited_us =
        wire.facts.ready.zip(wire.facts.config).map_or(0, |(ready, config)| ready.t_us.saturating_sub(config.t_us));
    let dropped = missing_ms > LONGEST_FRAME_MS && waited_us > LONGEST_FRAME_MS * 1_000;
    let requirement = if dropped { req::BP_C1 } else { req::AUD_C3 };
    (missing_ms > tolerance_ms).then(|| {
        let message = format!("sent its sentinel {missing_ms} ms short of its input");
        run.finding(FindingKind::SilentTruncation, requirement, wire.conn, sentinel, message)
    })
}

/// [END-C1] [STA-C1], where the client did end.
fn missing_sentinel(run: &Run) -> Option<Finding> {
    let (input, _) = run.input_ended.as_ref()?;
    let wire = run.last()?;
    let facts = &wire.facts;
    let ready = facts.ready?;
    if facts.sentinel.is_some() || facts.ended.is_some() || facts.fatal.is_some() || run.call(Call::Close).is_some() {
        return None;
    }
    let left = facts.client_left().into_iter().chain(run.ended_itself()).min_by_key(|at| at.event)?;
    // Nothing is owed for an input that ended after it had left, nor after the server had. That a file was over is noted late.
    let (_, ended) = run.input_ended.as_ref()?;
    let was_all = || {
        let format = facts.audio_format.as_ref()?;
        let bytes = total(facts.audio.iter().filter(|(at, _)| at.event < left.event).map(|(_, bytes)| *bytes));
        Some(!run.is_driven() && aud::to_ms(bytes, format)?.saturating_add(INPUT_TAIL_MS) >= ended.audio_ms?)
    };
    if left.event < input.event && !was_all().unwrap_or(false) {
        return None;
    }
    if facts.server_left().is_some_and(|server| server.event < left.event) {
        return None;
    }
    let requirement = if input.event < ready.event { req::STA_C1 } else { req::END_C1 };
    let message = "ended without an end_of_stream although its input was over: what was not final is lost";
    Some(run.finding(FindingKind::MissingSentinel, requirement, wire.conn, left, message))
}

/// [CLO-C5]
fn wrong_code(run: &Run, wire: &Wire) -> Option<Finding> {
    let (at, code) = wire.facts.client_close.as_ref()?;
    // An answer repeats the code of the server's Close.
    if wire.facts.server_close.as_ref().is_some_and(|(server, _)| server.event < at.event) {
        return None;
    }
    let code = (*code)?;
    (code.0 != 1_000 && code.0 != 1_002).then(|| {
        let message = format!("closed with {}", code.0);
        run.finding(FindingKind::WrongClose, req::CLO_C5, wire.conn, *at, message)
    })
}

/// [END-C3], where it did end.
fn late_end(run: &Run, wire: &Wire, scale: Scale) -> Option<Finding> {
    let (ended, _) = wire.facts.ended.as_ref()?;
    // After an error that may be retried it may go on with another connection. [ERR-C1]
    if wire.facts.fatal.as_ref().is_some_and(|(_, error)| error.retryable) {
        return None;
    }
    // Its Close cannot be read, and it may wait for the answer before it exits. [CLO-C4]
    if wire.facts.is_deaf() && !run.is_driven() {
        return None;
    }
    let end = if run.is_driven() { run.ended_itself()? } else { wire.facts.client_left().or(run.ended_itself())? };
    let took_us = end.t_us.saturating_sub(ended.t_us);
    (took_us > scale.us(1_000 + GRACE_MS)).then(|| {
        let message = format!("ended {} after session_ended", seconds(took_us));
        run.finding(FindingKind::Late, req::END_C3, wire.conn, end, message)
    })
}

/// [CLO-C4], where a client that was cancelled did end.
fn late_cancel(run: &Run, wire: &Wire, scale: Scale) -> Option<Finding> {
    let close = run.cancelled().filter(|_| run.last().is_some_and(|last| last.conn == wire.conn))?;
    let end = run.ended_itself().filter(|end| end.event > close.event)?;
    let took_us = end.t_us.saturating_sub(close.t_us);
    (took_us > scale.us(wire.close_ms().saturating_add(1_000 + GRACE_MS))).then(|| {
        let message = format!("ended {} after its application cancelled", seconds(took_us));
        run.finding(FindingKind::Late, req::CLO_C4, wire.conn, end, message)
    })
}

/// [AUD-1] [AUD-C1] [AUD-C2] [LIM-C1]
fn frames(run: &Run, wire: &Wire) -> Vec<Finding> {
    let Some(format) = &wire.facts.audio_format else { return Vec::new() };
    let Some(group) = format.bytes_per_sample_group().filter(|group| *group > 0) else { return Vec::new() };
    let mut found = Vec::new();
    let frames = &wire.facts.audio;
    for (index, (at, bytes)) in frames.iter().enumerate() {
        let mut say = |kind, requirement, message: String| {
            found.push(run.finding(kind, requirement, wire.conn, *at, message));
        };
        if !bytes.is_multiple_of(group) {
            say(FindingKind::MalformedMessage, req::AUD_1, format!("sent {bytes} bytes, which are no whole samples"));
        }
        if *bytes > wire.limits.max_frame_bytes {
            say(FindingKind::WrongValue, req::LIM_C1, format!("sent a frame of {bytes} bytes"));
            continue;
        }
        let next = frames.get(index + 1).map(|(at, _)| *at);
        // The last frame before a flush or the end may be short.
        let is_last = next.is_none_or(|next| {
            wire.facts.flushes.iter().any(|flush| flush.event > at.event && flush.event < next.event)
        });
        let Some(ms) = aud::to_ms(*bytes, format) else { continue };
        if ms > 1_000 || (ms < 10 && !is_last) {
            say(FindingKind::WrongValue, req::AUD_C1, format!("sent a frame of {ms} ms"));
        } else if ms > 100 || (ms < 20 && !is_last) {
            say(FindingKind::WrongValue, req::AUD_C2, format!("sent a frame of {ms} ms"));
        }
    }
    found
}

/// [END-C9] Two runs that differ in when the server's last word came: if both ended at the same time after the sentinel, the end
/// followed a timer and not the word. `None` where there are no two such runs.
pub(super) fn two_times(runs: &[Run]) -> Option<(RequirementId, Option<Finding>)> {
    let timed = |run: &Run| -> Option<(u64, u64, At)> {
        let facts = &run.last()?.facts;
        let sentinel = facts.sentinel?;
        let (word, _) = facts.ended.as_ref()?;
        let end = run.ended_itself()?;
        Some((word.t_us.saturating_sub(sentinel.t_us), end.t_us.saturating_sub(sentinel.t_us), end))
    };
    let [first, .., second] = runs else { return None };
    let ((first_word, first_end, _), (second_word, second_end, end)) = (timed(first)?, timed(second)?);
    let moved_us = first_word.abs_diff(second_word);
    if moved_us < 1_000_000 {
        return None;
    }
    let same = first_end.abs_diff(second_end) < moved_us / 4;
    let finding = same.then(|| {
        let message = format!(
            "ended {} after its sentinel both times, although session_ended came after {} and {}: a timer ends it",
            seconds(second_end),
            seconds(first_word),
            seconds(second_word)
        );
        second.finding(FindingKind::MaskedByTimer, req::END_C9, second.conn(), end, message)
    });
    Some((req::END_C9, finding))
}
