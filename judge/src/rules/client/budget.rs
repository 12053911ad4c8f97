//! The budget of a client that dials again: what restores it, and who gives up although it was restored. It knows what clients
//! count by nothing but what they did after an earlier loss of the same kind.

use lastword_spec::close::CloseCode;
use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::trace::Call;

use super::wire::Wire;
use super::{Run, seconds};
use crate::bounds::{Scale, us};
use crate::conn::At;
use crate::report::Finding;
use crate::rules::aud;

/// A connection has lived for so much longer than `idle_timeout_ms` before it counts: a client may take its time to see `ready`.
const SURE_MS: u64 = 250;
/// After so many losses in a row a budget was restored: few have a greater one.
const LOSSES: usize = 12;
/// How much of its audio a program may drop at each loss. Who has filled a longer queue and drops that is told from one that gives up
/// by twice the audio: it gives up later then.
const DROPPED_MS: u64 = 30_000;
/// How much faster than it sends a program may take its audio.
const FASTER: u64 = 2;

/// The server let go of a connection that restores the budget of its client.
struct Loss<'a> {
    wire: &'a Wire,
    ready: At,
    at: At,
    lived_us: u64,
}

/// By what a client can tell one loss from another.
type Way = (Option<Option<CloseCode>>, bool, bool, bool);

impl<'a> Loss<'a> {
    fn of(wire: &'a Wire, scale: Scale) -> Option<Self> {
        let facts = &wire.facts;
        let (ready, at) = (facts.ready?, facts.server_left()?);
        // Who sends audio has read `ready`: its own clock has run since then at the latest.
        let (spoke, _) = *facts.audio.iter().find(|(audio, _)| audio.event > ready.event)?;
        let is_over = facts.sentinel.is_some() || facts.ended.is_some();
        let may_dial = facts.fatal.as_ref().is_none_or(|(_, error)| error.retryable);
        let by_server = facts.client_left().is_none_or(|left| left.event > at.event);
        let lived_us = at.t_us.saturating_sub(spoke.t_us);
        let lived = lived_us >= scale.us(wire.limits.idle_timeout_ms.saturating_add(SURE_MS));
        let counts = !is_over && may_dial && by_server && lived && facts.deaf.is_empty();
        counts.then_some(Self { wire, ready, at, lived_us })
    }

    fn way(&self) -> Way {
        let facts = &self.wire.facts;
        let close = facts.server_close.as_ref().map(|(_, code)| *code);
        (close, facts.is_reset, facts.fatal.is_some(), facts.finals.is_empty())
    }

    /// The pause before the client dialled again, if it did.
    fn pause_us(&self, run: &Run) -> Option<u64> {
        let mut dialled = run.wires.values().filter_map(|wire| wire.facts.dialled());
        let again = dialled.find(|dialled| dialled.event > self.at.event)?;
        Some(again.t_us.saturating_sub(self.at.t_us))
    }
}

/// Whether the client dialled again after more such losses than a budget that nothing restores lasts for.
pub(super) fn is_restored(run: &Run, scale: Scale) -> bool {
    let losses = run.wires.values().filter_map(|wire| Loss::of(wire, scale));
    losses.filter(|loss| loss.pause_us(run).is_some()).count() >= LOSSES
}

/// [REC-C5]
pub(super) fn settle(run: &Run, scale: Scale) -> Option<Finding> {
    let last = Loss::of(run.last()?, scale)?;
    let end = gave_up(run).filter(|end| end.event > last.at.event)?;
    let is_over = |wire: &Wire| wire.facts.over().is_some_and(|over| over.event < end.event);
    if run.call(Call::Close).is_some() || !has_input_left(run, end) || !run.wires.values().all(is_over) {
        return None;
    }
    let losses = run.wires.values().filter_map(|wire| Loss::of(wire, scale));
    let alike = losses.filter(|loss| loss.way() == last.way());
    let pauses: Vec<u64> = alike.filter_map(|loss| loss.pause_us(run)).collect();
    let longest_us = *pauses.iter().max()?;
    // An outage that is longer than all before may have filled its buffer.
    if has_refused_audio(run, last.at, end) && end.t_us.saturating_sub(last.at.t_us) > longest_us {
        return None;
    }
    let message = format!(
        "gave up when it lost a connection that had been ready and lived for {}, longer than idle_timeout_ms ({}), \
         although it had dialled again after {} such losses before: that connection did not restore its budget",
        seconds(last.lived_us),
        seconds(us(last.wire.limits.idle_timeout_ms)),
        pauses.len(),
    );
    let mut finding = run.finding(FindingKind::Unanswered, req::REC_C5, last.wire.conn, end, message);
    finding.frames.splice(0..0, [last.ready.event, last.at.event]);
    Some(finding)
}

/// When the client said that this is the end: its driver told so, or its process exited in order.
fn gave_up(run: &Run) -> Option<At> {
    let says_so = match &run.exited {
        _ if run.is_driven() => run.told_end().is_some(),
        Some((_, exited)) => exited.signal.is_none(),
        None => false,
    };
    run.ended_itself().filter(|_| says_so)
}

/// Whether the client cannot have been at the end of its input when it ended: nobody told its driver so, or a program was given more
/// than it can have taken by then.
fn has_input_left(run: &Run, end: At) -> bool {
    let is_over = run.input_ended.as_ref().is_some_and(|(at, _)| at.event < end.event)
        || run.call(Call::End).is_some_and(|(at, _)| at.event < end.event);
    if is_over || run.is_driven() {
        return !is_over;
    }
    let Some(given_ms) = run.started.and_then(|started| started.audio_ms) else { return false };
    let Some(began) = run.wires.values().find_map(|wire| wire.facts.dialled()) else { return false };
    let before = std::iter::once(None).chain(run.wires.values().map(Some));
    let paces = before.zip(run.wires.values()).map(|(before, wire)| pace_percent(before, wire));
    let pace_percent = paces.max().unwrap_or_default().max(100);
    let passed_ms = end.t_us.saturating_sub(began.t_us) / 1_000;
    let connections = u64::try_from(run.wires.len()).unwrap_or(u64::MAX);
    let sent_ms = passed_ms.saturating_mul(pace_percent) / 100;
    let taken_ms = sent_ms.saturating_mul(FASTER).saturating_add(connections.saturating_mul(DROPPED_MS));
    taken_ms < given_ms
}

/// How fast a connection took the client's audio, in percent of the pace of speech. What came in one go at its start says little, and
/// what was kept while there was none came to the client meanwhile.
fn pace_percent(before: Option<&Wire>, wire: &Wire) -> u64 {
    let facts = &wire.facts;
    let (Some(format), Some(ready)) = (&facts.audio_format, facts.ready) else { return 0 };
    let Some((last, _)) = facts.audio.last() else { return 0 };
    let sent_ms = aud::to_ms(facts.audio_bytes(), format).unwrap_or(u64::MAX);
    let over = before.and_then(|before| before.facts.over()).filter(|over| over.event < ready.event);
    let took_ms = (last.t_us.saturating_sub(over.unwrap_or(ready).t_us) / 1_000).max(1_000);
    sent_ms.saturating_mul(100) / took_ms
}

/// Whether audio was refused between these two, as by a client whose buffer is full.
fn has_refused_audio(run: &Run, from: At, to: At) -> bool {
    run.returns
        .iter()
        .any(|(at, one)| one.what == Call::Push && one.failed.is_some() && at.event > from.event && at.event < to.event)
}
