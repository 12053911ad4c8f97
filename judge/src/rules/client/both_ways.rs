//! Whether a client reads while it writes. That a read waits for a send shows where the server reads nothing until its results are
//! read; that a send waits for a result, where it says nothing. A silence alone says neither: what ends it does, each time.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::trace::Call;

use super::wire::{Facts, Wire};
use super::{Run, seconds};
use crate::bounds::Scale;
use crate::conn::At;
use crate::report::Finding;
use crate::rules::aud;

/// How much of a connection is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Bytes of the server that the client has not read, as far as that is known.
    pub(super) outstanding: u64,
    /// Whether it is known what the client has read.
    pub(super) is_certain: bool,
    /// Bytes of the client that the server has not read, where that is known.
    pub(super) waiting: Option<u64>,
}

/// What stands for so long stands still: a client may send its audio once a second. [AUD-C1]
const STILL_MS: u64 = 1_200;
/// Results that stand unread for so long are not being read.
const UNREAD_MS: u64 = 2_000;
/// What follows within so long follows from it.
const AT_ONCE_MS: u64 = 500;
/// What the harness may have received and not read when it stopped to read.
const HELD_BYTES: u64 = 32 << 10;
/// Results that fill more than what a client reads without noticing.
const RESULTS_BYTES: u64 = 64 << 10;
/// How often reads went on with the server's reading before they are said to wait for it.
const READS: usize = 2;
/// How often audio stopped and went on with a result before it is said to wait for it, and for how long each time.
const SENDS: usize = 3;
const SILENT_MS: u64 = 2_000;
/// Audio to which nothing is said, from which on it shows that nothing has to be.
const UNANSWERED_MS: u64 = 2_000;

/// [BP-C2]
pub(super) fn settle(runs: &[Run], scale: Scale) -> Vec<Finding> {
    let sends = runs.iter().flat_map(|run| run.wires.values().filter_map(|wire| sends_wait(run, wire, scale)));
    reads_wait(runs, scale).into_iter().chain(sends.take(1)).collect()
}

/// Whether the client did both, in sessions that came to their end: it sent audio to which nothing was said, and read results while
/// its send was blocked.
pub(super) fn are_free(runs: &[Run], scale: Scale) -> bool {
    let ended = runs.iter().filter(|run| run.input_ended.is_some()).filter_map(Run::last).map(|wire| &wire.facts);
    let ended: Vec<&Facts> = ended.filter(|facts| facts.sentinel.is_some() && facts.ended.is_some()).collect();
    ended.iter().any(|facts| unanswered_ms(facts) >= UNANSWERED_MS)
        && ended.iter().any(|facts| stretches(facts).iter().any(|one| one.is_read(facts, scale)))
}

/// How much audio came before the first result.
fn unanswered_ms(facts: &Facts) -> u64 {
    let first = facts.said.first().map_or(usize::MAX, |(at, _)| at.event);
    let bytes = total(facts.audio.iter().filter(|(at, _)| at.event < first));
    facts.audio_format.as_ref().and_then(|format| aud::to_ms(bytes, format)).unwrap_or(0)
}

/// A trace is hostile: its numbers need not add up.
fn total<'a>(all: impl Iterator<Item = &'a (At, u64)>) -> u64 {
    all.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

/// A time in which the harness read nothing.
struct Stretch {
    from: At,
    until: At,
    flows: Vec<(At, Flow)>,
}

fn stretches(facts: &Facts) -> Vec<Stretch> {
    let over = facts.deaf.iter().filter_map(|(from, until)| Some((*from, (*until)?)));
    let flows = |from: At, until: At| {
        facts.flows.iter().filter(|(at, _)| at.event > from.event && at.event < until.event).copied().collect()
    };
    over.map(|(from, until)| Stretch { from, until, flows: flows(from, until) }).collect()
}

/// The last of these values, and for how long it stood.
fn standing<T: PartialEq>(all: impl DoubleEndedIterator<Item = (At, T)>) -> Option<(T, u64)> {
    let mut all = all.rev();
    let (last, value) = all.next()?;
    let since = all.take_while(|(_, other)| *other == value).last().map_or(last, |(at, _)| at);
    Some((value, last.t_us.saturating_sub(since.t_us)))
}

impl Stretch {
    /// Whether the client had more to send than it could: what it had sent stood, and more came than that once it was read.
    /// `None`: nobody knows how much it had sent.
    fn was_send_blocked(&self, facts: &Facts, scale: Scale) -> Option<bool> {
        let (waiting, stood_us) = standing(self.flows.iter().map(|(at, flow)| (*at, flow.waiting)))?;
        let waiting = waiting?;
        let came = total(facts.audio.iter().filter(|(at, _)| at.event > self.until.event));
        Some(waiting > 0 && stood_us >= scale.us(STILL_MS) && came > waiting.saturating_add(HELD_BYTES))
    }

    /// Whether the client read all that was said while its send was blocked.
    fn is_read(&self, facts: &Facts, scale: Scale) -> bool {
        let said: Vec<_> =
            facts.said.iter().filter(|(at, _)| at.event > self.from.event && at.event < self.until.event).collect();
        let Some((last, _)) = said.last() else { return false };
        let bytes = total(said.iter().copied());
        let is_read = |(at, flow): &(At, Flow)| at.event > last.event && flow.is_certain && flow.outstanding == 0;
        bytes >= RESULTS_BYTES
            && self.was_send_blocked(facts, scale) == Some(true)
            && self.flows.last().is_some_and(is_read)
    }

    /// Results of which not one byte was read until the server read on, and some at once then: how many bytes stood, for how long,
    /// and how soon it went on.
    fn unread(&self, facts: &Facts, scale: Scale) -> Option<(u64, u64, u64)> {
        let (outstanding, stood_us) = standing(self.flows.iter().map(|(at, flow)| (*at, flow.outstanding)))?;
        let stood = outstanding > 0 && stood_us >= scale.us(UNREAD_MS);
        let is_less = |(at, flow): &&(At, Flow)| at.event > self.until.event && flow.outstanding < outstanding;
        let (moved, _) = facts.flows.iter().find(is_less)?;
        let after_us = moved.t_us.saturating_sub(self.until.t_us);
        let counts = stood && after_us <= scale.us(AT_ONCE_MS) && self.was_send_blocked(facts, scale) != Some(false);
        counts.then_some((outstanding, stood_us, after_us))
    }
}

/// No read waits for a send. The client and the server wait for each other until the server gives way; a read that goes on then,
/// each time, and not before, waited for that.
fn reads_wait(runs: &[Run], scale: Scale) -> Option<Finding> {
    let wires = || runs.iter().flat_map(|run| run.wires.values().map(move |wire| (run, wire)));
    let all: Vec<_> =
        wires().flat_map(|(run, wire)| stretches(&wire.facts).into_iter().map(move |one| (run, wire, one))).collect();
    if all.iter().any(|(_, wire, one)| one.is_read(&wire.facts, scale)) {
        return None;
    }
    let unread: Vec<_> =
        all.iter().filter_map(|(run, wire, one)| Some((run, wire, one, one.unread(&wire.facts, scale)?))).collect();
    let (run, wire, last, (bytes, stood_us, after_us)) = unread.last().filter(|_| unread.len() >= READS)?;
    let message = format!(
        "read nothing while its own send was blocked: {} times results stood unread, the last time {bytes} bytes for {}, and were read within {} when \
         the server read on: it waits for the server to read, and the server for it",
        unread.len(),
        seconds(*stood_us),
        seconds(*after_us)
    );
    let mut finding = run.finding(FindingKind::UnboundedWait, req::BP_C2, wire.conn, last.until, message);
    finding.frames.insert(0, last.from.event);
    Some(finding)
}

/// No send waits for results: audio that stops until a result comes, and goes on with it, each time.
fn sends_wait(run: &Run, wire: &Wire, scale: Scale) -> Option<Finding> {
    let facts = &wire.facts;
    let format = facts.audio_format.as_ref()?;
    let mut received = 0_u64;
    let mut waits = Vec::new();
    for pair in facts.audio.windows(2) {
        let ((before, bytes), (after, _)) = (pair[0], pair[1]);
        received = received.saturating_add(bytes);
        let silent_us = after.t_us.saturating_sub(before.t_us);
        if silent_us < scale.us(SILENT_MS) || facts.was_deaf(before, after) {
            continue;
        }
        let mut said = facts.said.iter().rev().map(|(at, _)| *at).skip_while(|at| at.event > after.event);
        // It went on by itself once: it does not wait for results then.
        let result = said.next().filter(|at| at.event > before.event)?;
        let since_us = said.next().map_or(before.t_us, |at| at.t_us.max(before.t_us));
        let waited_us = result.t_us.saturating_sub(since_us);
        if waited_us < scale.us(SILENT_MS) || after.t_us.saturating_sub(result.t_us) > scale.us(AT_ONCE_MS) {
            return None;
        }
        if has_more(run, result, aud::to_ms(received, format)?) {
            waits.push((before, result, waited_us));
        }
    }
    let (before, result, waited_us) = waits.last().filter(|_| waits.len() >= SENDS)?;
    let message = format!(
        "sent no audio until a result came, {} times, the last time for {}, although it had more: its sends wait for results",
        waits.len(),
        seconds(*waited_us)
    );
    let mut finding = run.finding(FindingKind::UnboundedWait, req::BP_C2, wire.conn, *result, message);
    finding.frames.insert(0, before.event);
    Some(finding)
}

/// Whether the client held audio at that time, as far as its application can know: that of a program came to it by itself.
fn has_more(run: &Run, when: At, received_ms: u64) -> bool {
    let pushes = || run.calls.iter().filter(|(at, called)| called.what == Call::Push && at.event < when.event);
    let has_returned = |number: u32| run.returns.iter().any(|(at, one)| one.number == number && at.event < when.event);
    let pushed_ms = pushes().filter_map(|(_, called)| called.audio_ms).fold(0_u64, u64::saturating_add);
    // What a client gathers for one frame it may hold. [AUD-C1]
    !run.is_driven()
        || pushed_ms >= received_ms.saturating_add(1_000)
        || pushes().any(|(_, called)| !has_returned(called.number))
}
