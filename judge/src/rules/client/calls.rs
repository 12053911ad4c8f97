//! What only a driver can see: calls that come back or fail, and what the application is told.

use std::collections::BTreeMap;

use lastword_spec::finding::FindingKind;
use lastword_spec::message::ErrorMessage;
use lastword_spec::requirements as req;
use lastword_spec::trace::{Call, ClientOutcome, Told, ToldWhat};

use super::wire::{READ_MS, Wire};
use super::{Run, held, outcome, seconds};
use crate::bounds::Scale;
use crate::conn::At;
use crate::report::Finding;

/// How long after the end of the session a call may take to come back.
const RETURN_MS: u64 = 1_000;

pub(super) fn settle(run: &Run, scale: Scale) -> Vec<Finding> {
    if !run.is_driven() {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(push_after_end(run));
    found.extend(second_end(run));
    found.extend(never_returned(run, scale));
    found.extend(flush_not_sent(run, scale));
    found.extend(flush_as_end(run));
    found.extend(answered_by_itself(run));
    found.extend(flush_failure(run, scale));
    found.extend(finals(run));
    found.extend(times(run));
    found.extend(swallowed(run, scale));
    found.extend(left_behind(run));
    found
}

/// The first end of the input that was called for.
fn end(run: &Run) -> Option<At> {
    run.call(Call::End).map(|(at, _)| *at)
}

/// Whether a call failed.
fn failure(run: &Run, number: u32) -> Option<At> {
    run.returns.iter().find(|(_, one)| one.number == number && one.failed.is_some()).map(|(at, _)| *at)
}

/// [END-C6] What is handed over after the end is refused aloud.
fn push_after_end(run: &Run) -> Option<Finding> {
    let end = end(run)?;
    let late = run.calls.iter().filter(|(at, called)| called.what == Call::Push && at.event > end.event);
    let silent = late.filter_map(|(_, called)| {
        run.returns.iter().find(|(_, one)| one.number == called.number && one.failed.is_none())
    });
    silent.map(|(at, _)| *at).next().map(|at| {
        let message = "took audio after the end as if nothing were wrong: it was dropped without a word";
        run.finding(FindingKind::WronglyAccepted, req::END_C6, run.conn(), at, message)
    })
}

/// [CLO-C3] A second end or close raises nothing, nor does a close of what is over, and nobody is told twice.
fn second_end(run: &Run) -> Option<Finding> {
    let mut seen = BTreeMap::new();
    for (called_at, called) in run.calls.iter().filter(|(_, called)| matches!(called.what, Call::End | Call::Close)) {
        let count: &mut u32 = seen.entry(called.what).or_default();
        *count += 1;
        let is_over = run.told_end().is_some_and(|(over, _)| over.event < called_at.event);
        let closes_again = called.what == Call::Close && is_over;
        if (*count > 1 || closes_again)
            && let Some(at) = failure(run, called.number)
        {
            let message = match *count {
                1 => "a close after the end of the session failed".to_owned(),
                _ => format!("a second {} failed", called.what.as_str()),
            };
            return Some(run.finding(FindingKind::WronglyRefused, req::CLO_C3, run.conn(), at, message));
        }
    }
    let mut ends = run.told.iter().filter(|(_, told)| told.what == ToldWhat::Ended);
    let (at, _) = ends.nth(1)?;
    let message = "told its application twice that the session ended";
    Some(run.finding(FindingKind::DuplicateAnswer, req::CLO_C3, run.conn(), *at, message))
}

/// [END-C3] A call that comes back neither with the session nor after it waits for ever, and so does its caller.
fn never_returned(run: &Run, scale: Scale) -> Option<Finding> {
    let (over, _) = run.told_end()?;
    // What is left is asked when the rest has had its time.
    let left = run.told.iter().find(|(_, told)| told.what == ToldWhat::Left).map(|(at, _)| *at);
    let watched = left.or(run.gave_up.map(|(at, _)| at)).or(run.exited.as_ref().map(|(at, _)| *at))?;
    // Of a session whose start has not come back no end is told.
    run.calls.iter().filter(|(_, called)| called.what != Call::Start).find_map(|(at, called)| {
        let since = if at.event > over.event { at } else { over };
        let waits_us = watched.t_us.saturating_sub(since.t_us);
        let came_back = run.returns.iter().any(|(_, one)| one.number == called.number);
        (!came_back && waits_us > scale.patience_us(RETURN_MS)).then(|| {
            let (what, waits) = (called.what.as_str(), seconds(waits_us));
            let message =
                format!("its application still waits for {what}, call {}, {waits} after the end", called.number);
            let mut finding = run.finding(FindingKind::UnboundedWait, req::END_C3, run.conn(), watched, message);
            finding.frames.insert(0, at.event);
            finding
        })
    })
}

/// The flushes that had to reach the wire: those before the end, of a session that became ready and stood.
fn flush_calls(run: &Run) -> Vec<(At, u32)> {
    let end = end(run);
    let calls = run.calls.iter().filter(|(at, called)| {
        called.what == Call::Flush
            && end.is_none_or(|end| at.event < end.event)
            && failure(run, called.number).is_none()
    });
    calls.map(|(at, called)| (*at, called.number)).collect()
}

/// [FLU-C1]
fn flush_not_sent(run: &Run, scale: Scale) -> Option<Finding> {
    let wire = run.last()?;
    let calls = flush_calls(run);
    let sent = run.wires.values().map(|wire| wire.facts.flushes.len()).sum::<usize>();
    let (call, _) = *calls.get(sent)?;
    let mut message = format!("sent {sent} of {} flushes", calls.len());
    let at = match wire.facts.sentinel {
        Some(sentinel) => sentinel,
        None => {
            message += ", and no more came: whoever waits for an answer waits for ever";
            swallowed_until(run, wire, call, scale)?
        }
    };
    let mut finding = run.finding(FindingKind::Unanswered, req::FLU_C1, wire.conn, at, message);
    finding.frames.insert(0, call.event);
    Some(finding)
}

/// The event from which a flush that was called for cannot come any more, although the session stood for it: the client has ended by
/// itself, or it was waited for until its caller should have been told that the flush failed. [FLU-C3]
fn swallowed_until(run: &Run, wire: &Wire, call: At, scale: Scale) -> Option<At> {
    let facts = &wire.facts;
    let ready = facts.ready?;
    let last = facts.audio.last().map(|(at, _)| *at);
    let since = [ready, call].into_iter().chain(last).max_by_key(|at| at.event)?;
    let events = [
        facts.server_left(),
        facts.ended.as_ref().map(|(at, _)| *at),
        facts.fatal.as_ref().map(|(at, _)| *at),
        // What nobody reads may have been sent.
        facts.deaf.first().map(|(from, _)| *from),
        run.call(Call::Close).map(|(at, _)| *at),
        run.gave_up.map(|(at, _)| at),
    ];
    let stopped = events.into_iter().flatten().min_by_key(|at| at.event);
    if let Some(end) = run.ended_itself().or(facts.client_left())
        && end.event > since.event
        && stopped.is_none_or(|stopped| end.event < stopped.event)
    {
        return Some(end);
    }
    let due_us = since.t_us.saturating_add(scale.patience_us(wire.limits.flush_ms.saturating_add(1_000)));
    stopped.filter(|stopped| stopped.t_us > due_us)
}

/// [FLU-C2]
fn flush_as_end(run: &Run) -> Option<Finding> {
    let (flush, _) = *flush_calls(run).first()?;
    let wire = run.last()?;
    let sentinel = wire.facts.sentinel.filter(|sentinel| sentinel.event > flush.event)?;
    end(run).is_none_or(|end| sentinel.event < end.event).then(|| {
        let message = "sent end_of_stream where its application asked for a flush";
        run.finding(FindingKind::IllegalMessage, req::FLU_C2, wire.conn, sentinel, message)
    })
}

/// [FLU-C3] Whoever is told that a flush was answered was told so by the server. One that was never sent is another matter. [FLU-C1]
fn answered_by_itself(run: &Run) -> Option<Finding> {
    let answers = || run.wires.values().flat_map(|wire| &wire.facts.flushed);
    let answered_by = |at: &At| answers().filter(|one| one.event < at.event).count();
    let told = run.told.iter().filter(|(_, told)| told.what == ToldWhat::Flushed);
    (1..).zip(told).find_map(|(count, (at, _))| {
        let was_sent = run.wires.values().map(|wire| wire.facts.flushes.len()).sum::<usize>() >= count;
        (was_sent && answered_by(at) < count).then(|| {
            let message = "told its caller that a flush was answered before the answer came";
            run.finding(FindingKind::WrongValue, req::FLU_C3, run.conn(), *at, message)
        })
    })
}

/// [FLU-C3]
fn flush_failure(run: &Run, scale: Scale) -> Option<Finding> {
    let wire = run.last()?;
    for (index, flush) in wire.facts.flushes.iter().enumerate() {
        if wire.facts.flushed.len() > index {
            continue;
        }
        let extended = wire.facts.progress.iter().rev().find(|at| at.event > flush.event).unwrap_or(flush);
        let due_us = extended.t_us.saturating_add(scale.patience_us(wire.limits.flush_ms.saturating_add(1_000)));
        let failed = run.told.iter().find(|(at, told)| told.what == ToldWhat::FlushFailed && at.event > flush.event);
        let over = run.ended_itself().or(wire.facts.server_left());
        let stood = over.is_none_or(|over| over.t_us > due_us);
        match failed {
            Some(_) => {}
            None if stood => {
                let at = over.or(run.gave_up.map(|(at, _)| at))?;
                let message = format!("never told its caller that the flush of {} failed", seconds(flush.t_us));
                return Some(run.finding(FindingKind::SwallowedError, req::FLU_C3, wire.conn, at, message));
            }
            None => {}
        }
    }
    None
}

/// [FIN-C1] Every final once, and no partial of a segment after it.
fn finals(run: &Run) -> Option<Finding> {
    let wire = run.last().filter(|_| run.wires.len() == 1)?;
    let ended = run.ended_itself()?;
    let told: Vec<_> = run.told.iter().filter(|(_, told)| told.what == ToldWhat::Final).collect();
    let mut due: Vec<(At, u64, &str)> = Vec::new();
    let over = wire.facts.ended.as_ref().map(|(at, _)| *at);
    for (at, segment, text) in &wire.facts.finals {
        let counts =
            over.is_some_and(|over| at.event < over.event) && !due.iter().any(|(_, other, _)| other == segment);
        if counts {
            due.push((*at, *segment, text));
        }
    }
    let mut seen: Vec<(Option<u64>, &str)> = Vec::new();
    for (at, one) in &told {
        let text = one.text.as_deref().unwrap_or_default();
        let twice = match one.segment_id {
            Some(id) => seen.iter().any(|(other, _)| *other == Some(id)),
            // Segments of a play have texts of their own.
            None => seen.iter().any(|(_, other)| *other == text),
        };
        if twice {
            let message = format!("delivered a final twice: \"{text}\"");
            return Some(run.finding(FindingKind::DuplicateAnswer, req::FIN_C1, wire.conn, *at, message));
        }
        seen.push((one.segment_id, text));
    }
    let lost = due.iter().filter(|(_, id, text)| {
        !seen.iter().any(|(seen_id, seen_text)| seen_id.map_or(seen_text == text, |seen_id| seen_id == *id))
    });
    let lost: Vec<u64> = lost.map(|(_, id, _)| *id).collect();
    let may_be_under_way =
        outcome::observed(run).is_some_and(|(at, observed)| !observed.is_complete() && held::has_waited(wire, at));
    if let Some(first) = lost.first().filter(|_| !may_be_under_way) {
        let message = format!("never delivered {} of {} finals, segment {first} first", lost.len(), due.len());
        return Some(run.finding(FindingKind::LostFinal, req::FIN_C1, wire.conn, ended, message));
    }
    let late = run.told.iter().filter(|(_, one)| one.what == ToldWhat::Partial).find(|(at, one)| {
        one.segment_id.is_some()
            && told.iter().any(|(earlier, other)| other.segment_id == one.segment_id && earlier.event < at.event)
    });
    late.map(|(at, _)| {
        let message = "delivered a partial of a segment after its final";
        run.finding(FindingKind::IllegalMessage, req::FIN_C1, wire.conn, *at, message)
    })
}

/// [TIM-C1] After a reconnection times go on where they were.
fn times(run: &Run) -> Option<Finding> {
    if run.wires.values().filter(|wire| !wire.facts.audio.is_empty()).count() < 2 {
        return None;
    }
    let finals = run.told.iter().filter(|(_, told)| told.what == ToldWhat::Final);
    let mut reached_ms = 0;
    for (at, told) in finals {
        let start_ms = told.start_ms?;
        if start_ms < reached_ms {
            let message = format!("told a final at {start_ms} ms behind one that ended at {reached_ms} ms");
            return Some(run.finding(FindingKind::WrongValue, req::TIM_C1, run.conn(), *at, message));
        }
        reached_ms = told.end_ms.unwrap_or(start_ms);
    }
    None
}

/// [ERR-C1] [ERR-C2] Errors reach the application.
fn swallowed(run: &Run, scale: Scale) -> Option<Finding> {
    let ended = run.ended_itself()?;
    swallowed_fatal(run, ended, scale).or_else(|| swallowed_error(run, ended, scale))
}

/// The events by which an application can learn of an error.
fn tellings(run: &Run) -> impl Iterator<Item = &(At, Told)> {
    run.told.iter().filter(|(_, told)| matches!(told.what, ToldWhat::Error | ToldWhat::Ended))
}

/// Whether a client tells this error by raising: in what it raises stands the message of the error or its code. That libraries call
/// the close code 1011 an internal error is no code of an error.
fn raises(told: &Told, error: &ErrorMessage) -> bool {
    let is_raised = told.what == ToldWhat::Ended && told.raised == Some(true);
    let Some(text) = told.text.as_deref().filter(|_| is_raised) else { return false };
    let code = error.code.as_str();
    let names = text.match_indices(code).any(|(at, _)| !text[at + code.len()..].starts_with(" error)"));
    names || (!error.message.is_empty() && text.contains(&error.message))
}

/// Whether the client owes its application nothing of what the server sent here: it may not have read it, or its application cancels.
fn need_not_be_told(run: &Run, wire: &Wire, at: At, scale: Scale) -> bool {
    let due_us = at.t_us.saturating_add(scale.patience_us(READ_MS));
    let is_cancelled = run.call(Call::Close).is_some_and(|(close, _)| close.event < at.event || close.t_us <= due_us);
    is_cancelled || wire.facts.may_be_unread(at, scale)
}

/// [ERR-C1] On whichever connection it came. A telling is of the oldest error of its code that was not told yet: a client that dials
/// again and tells the last one has not told them all.
fn swallowed_fatal(run: &Run, ended: At, scale: Scale) -> Option<Finding> {
    let mut told: Vec<_> = tellings(run).collect();
    let fatal = run.wires.values().filter_map(|wire| Some((wire, wire.facts.fatal.as_ref()?)));
    let owed = fatal.filter(|(wire, (at, _))| !need_not_be_told(run, wire, *at, scale));
    let mut owed: Vec<_> = owed.map(|(wire, (at, error))| (wire.conn, wire.is_foreign, *at, error)).collect();
    owed.sort_by_key(|(_, _, at, _)| at.event);
    owed.into_iter().find_map(|(conn, is_foreign, at, error)| {
        let code = error.code.as_str();
        let names = |(told, one): &&(At, Told)| {
            told.event > at.event && (one.code.as_deref() == Some(code) || raises(one, error))
        };
        let Some(index) = told.iter().position(names) else {
            let message = format!("never told its application the fatal error `{code}`");
            return Some(run.finding(FindingKind::SwallowedError, req::ERR_C1, conn, ended, message));
        };
        let (told, one) = told.remove(index);
        let took_us = told.t_us.saturating_sub(at.t_us);
        // Where the wire does not say it, the harness has made it up.
        let says_other = |said: Option<bool>, is: bool| !is_foreign && said.is_some_and(|said| said != is);
        let wrong = if says_other(one.fatal, error.fatal) {
            Some("ends nothing, and it ends the session")
        } else if says_other(one.retryable, error.retryable) {
            Some(if error.retryable { "may not be retried, which it may" } else { "may be retried, which it may not" })
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let message = format!("told the fatal error `{code}` as one that {wrong}");
            return Some(run.finding(FindingKind::WrongValue, req::ERR_C1, conn, *told, message));
        }
        (took_us > scale.patience_us(READ_MS)).then(|| {
            let message = format!("told the fatal error {} after it came", seconds(took_us));
            run.finding(FindingKind::Late, req::ERR_C1, conn, *told, message)
        })
    })
}

/// [ERR-C2] Errors that end nothing, on the last connection; a fatal one there is what has to be told.
fn swallowed_error(run: &Run, ended: At, scale: Scale) -> Option<Finding> {
    let wire = run.last().filter(|wire| wire.facts.fatal.is_none())?;
    let names = |one: &Told, error: &ErrorMessage| one.code.as_deref() == Some(error.code.as_str());
    // Where a wire has no codes, its text is what an application can be told.
    let repeats = |one: &Told, error: &ErrorMessage| {
        let text = one.text.as_deref().filter(|text| !text.is_empty());
        let is_told = one.what == ToldWhat::Error && one.code.is_none() && text == Some(error.message.as_str());
        is_told || raises(one, error)
    };
    let is_told = |at: At, error: &ErrorMessage| {
        tellings(run).any(|(told, one)| told.event > at.event && (names(one, error) || repeats(one, error)))
    };
    let owed = |at: At| !need_not_be_told(run, wire, at, scale);
    let (_, error) = wire.facts.errors.iter().find(|(at, error)| owed(*at) && !is_told(*at, error))?;
    let message = format!("never told its application the error `{}`", error.code.as_str());
    Some(run.finding(FindingKind::SwallowedError, req::ERR_C2, wire.conn, ended, message))
}

/// [KA-C3] [END-C3] Nothing of a session outlives it.
fn left_behind(run: &Run) -> Option<Finding> {
    let (at, told) = run.told.iter().find(|(_, told)| told.what == ToldWhat::Left)?;
    let count = told.count.filter(|count| *count > 0)?;
    let outcome = run.told_end().and_then(|(_, told)| told.outcome);
    let message = format!("left {count} tasks or sockets behind after the session ended");
    // Whoever was given up had no chance to clean up.
    (outcome != Some(ClientOutcome::Cancelled) || run.gave_up.is_none())
        .then(|| run.finding(FindingKind::WrongValue, req::END_C3, run.conn(), *at, message))
}
