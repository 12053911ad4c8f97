//! Whether a client reads while it writes. That a read waits for a send shows where the server reads nothing until its results are
//! read; that a send waits for a result, where it says nothing. A silence alone says neither: what ends it does, each time.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::trace::Call;

use super::wire::{Facts, Wire};
use super::{Run, seconds};
use crate::bounds::{Scale, total};
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
/// Results that stand unread for longer were not read at once: a timer may have ended the wait.
const READ_SOON_MS: u64 = 1_000;
/// What follows within so long follows from it.
const AT_ONCE_MS: u64 = 500;
/// A kernel takes more than this before a send waits.
const FULL_BYTES: u64 = 32 << 10;
/// What the harness may have received and not read when it stopped to read.
const HELD_BYTES: u64 = 32 << 10;
/// Results that fill more than what a client reads without noticing, and are more than a queue of messages takes for it.
const RESULTS_BYTES: u64 = 64 << 10;
const RESULTS: usize = 256;
/// How often reads went on with the server's reading, or with the end of the input, before they are said to wait for it.
const READS: usize = 2;
/// So much audio, written while results stood unread that nothing held up any more, shows that nobody reads meanwhile.
const WRITTEN_MS: u64 = 2_000;
/// How often audio stopped and went on with a result before it is said to wait for it, and for how long each time.
const SENDS: usize = 3;
const SILENT_MS: u64 = 2_000;
/// An input to which nothing is said shows from this length on that nothing has to be.
const UNANSWERED_MS: u64 = 2_000;

/// [BP-C2]
pub(super) fn settle(runs: &[Run], scale: Scale) -> Vec<Finding> {
    reads_wait(runs, scale).into_iter().chain(sends_wait(runs, scale)).collect()
}

/// Whether the client did both, in sessions that came to their end: it sent a whole input to which nothing was said, without a pause,
/// and read results at once while its send was blocked, and never left any unread.
pub(super) fn are_free(runs: &[Run], scale: Scale) -> bool {
    let ended = runs.iter().filter(|run| run.input_ended.is_some()).filter_map(Run::last).map(|wire| &wire.facts);
    let ended: Vec<&Facts> = ended.filter(|facts| facts.sentinel.is_some() && facts.ended.is_some()).collect();
    ended.iter().any(|facts| is_sent_unanswered(facts, scale))
        && ended.iter().any(|facts| stretches(facts).iter().any(|one| one.is_read(facts, scale)))
        && !all_stretches(runs).any(|(_, wire, one)| one.is_left(&wire.facts, scale))
}

/// Why nothing follows from what the client did though it was put to the test: it paused, and too seldom to say what for.
pub(super) fn open_question(runs: &[Run], scale: Scale) -> Option<String> {
    let all: Vec<bool> = all_stretches(runs).map(|(_, wire, one)| one.is_left(&wire.facts, scale)).collect();
    let left = all.iter().filter(|is_left| **is_left).count();
    if left > 0 {
        let often = format!("results stood unread for longer than {READ_SOON_MS} ms in {left} of {} times", all.len());
        return Some(format!("{often} that the server read nothing, which does not say that its reads wait"));
    }
    let unanswered = runs.iter().flat_map(|run| run.wires.values()).filter(|wire| wire.facts.deaf.is_empty());
    let paused_us = unanswered.map(|wire| paused_us(&wire.facts)).max()?;
    (!all.is_empty() && paused_us >= scale.us(STILL_MS))
        .then(|| format!("its audio paused for {} while nothing was said, and why is not known", seconds(paused_us)))
}

/// Whether all of the audio came before the first result, and none of it waited for one.
fn is_sent_unanswered(facts: &Facts, scale: Scale) -> bool {
    let is_answered = facts.said.first().zip(facts.sentinel).is_some_and(|((said, _), end)| said.event < end.event);
    let is_unbroken = paused_us(facts) < scale.us(STILL_MS) || is_broken_once(facts, scale);
    !is_answered && sent_ms(facts, &facts.audio) >= UNANSWERED_MS && is_unbroken
}

/// Whether the audio stopped once, as where a line stands still for a moment: what came before shows that no result has to come, and
/// so does what came behind, which is more: no window for audio ahead of its results was full.
fn is_broken_once(facts: &Facts, scale: Scale) -> bool {
    let stops = |pair: &[(At, u64)]| pair[1].0.t_us.saturating_sub(pair[0].0.t_us) >= scale.us(STILL_MS);
    let mut broken = (1..).zip(facts.audio.windows(2)).filter(|(_, pair)| stops(pair)).map(|(at, _)| at);
    let (Some(at), None) = (broken.next(), broken.next()) else { return false };
    let (before, behind) = facts.audio.split_at(at);
    let before_ms = sent_ms(facts, before);
    before_ms >= UNANSWERED_MS && sent_ms(facts, behind) > before_ms
}

/// How long this audio lasts, in milliseconds; 0 where its format is not known.
fn sent_ms(facts: &Facts, audio: &[(At, u64)]) -> u64 {
    facts.audio_format.as_ref().and_then(|format| aud::to_ms(bytes_of(audio), format)).unwrap_or(0)
}

/// The longest time between two pieces of audio in which the harness read.
fn paused_us(facts: &Facts) -> u64 {
    let pairs = facts.audio.windows(2).map(|pair| (pair[0].0, pair[1].0));
    let paused = pairs.filter(|(before, after)| !facts.was_deaf(*before, *after));
    paused.map(|(before, after)| after.t_us.saturating_sub(before.t_us)).max().unwrap_or(0)
}

/// How many bytes these are.
fn bytes_of<'a>(all: impl IntoIterator<Item = &'a (At, u64)>) -> u64 {
    total(all.into_iter().map(|(_, bytes)| *bytes))
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

fn all_stretches(runs: &[Run]) -> impl Iterator<Item = (&Run, &Wire, Stretch)> {
    let wires = runs.iter().flat_map(|run| run.wires.values().map(move |wire| (run, wire)));
    wires.flat_map(|(run, wire)| stretches(&wire.facts).into_iter().map(move |one| (run, wire, one)))
}

/// The last of these values, and for how long it stood.
fn standing<T: PartialEq>(all: impl DoubleEndedIterator<Item = (At, T)>) -> Option<(T, u64)> {
    let mut all = all.rev();
    let (last, value) = all.next()?;
    let since = all.take_while(|(_, other)| *other == value).last().map_or(last, |(at, _)| at);
    Some((value, last.t_us.saturating_sub(since.t_us)))
}

/// Results of which not one byte was read while they stood.
struct Unread {
    bytes: u64,
    stood_us: u64,
    freed: Freed,
}

/// What came just before the first of them was read.
enum Freed {
    /// The server read on, so long before.
    Reading { after_us: u64 },
    /// The input was over, and so much of it was sent since the server read on.
    End { sent_ms: u64 },
}

impl Stretch {
    /// Whether the client had more to send than it could: what it had sent filled what lies between, stood, and more came than that
    /// once it was read. `None`: nobody knows how much it had sent.
    fn was_send_blocked(&self, facts: &Facts, scale: Scale) -> Option<bool> {
        let (waiting, stood_us) = standing(self.flows.iter().map(|(at, flow)| (*at, flow.waiting)))?;
        let waiting = waiting?;
        let came = bytes_of(facts.audio.iter().filter(|(at, _)| at.event > self.until.event));
        let is_full = waiting >= FULL_BYTES && stood_us >= scale.us(STILL_MS);
        Some(is_full && came > waiting.saturating_add(HELD_BYTES))
    }

    /// The results of this time.
    fn said<'a>(&self, facts: &'a Facts) -> impl Iterator<Item = &'a (At, u64)> + Clone {
        let (from, until) = (self.from.event, self.until.event);
        facts.said.iter().filter(move |(at, _)| at.event > from && at.event < until)
    }

    /// For how long results stood unread at most, from the last of them on, before some more of them were read.
    fn unread_us(&self, facts: &Facts) -> u64 {
        let Some((last, _)) = self.said(facts).last() else { return 0 };
        let (mut least, mut since, mut longest_us) = (u64::MAX, *last, 0);
        for (at, flow) in self.flows.iter().filter(|(at, _)| at.event > last.event) {
            longest_us = longest_us.max(at.t_us.saturating_sub(since.t_us));
            if flow.outstanding == 0 {
                return longest_us;
            }
            if flow.outstanding < least {
                (least, since) = (flow.outstanding, *at);
            }
        }
        longest_us.max(self.until.t_us.saturating_sub(since.t_us))
    }

    /// Whether the client read all that was said while its send was blocked, from the start and in one go.
    fn is_read(&self, facts: &Facts, scale: Scale) -> bool {
        let Some((last, _)) = self.said(facts).last() else { return false };
        let is_read = |(at, flow): &(At, Flow)| at.event > last.event && flow.is_certain && flow.outstanding == 0;
        bytes_of(self.said(facts)) >= RESULTS_BYTES
            && self.said(facts).count() >= RESULTS
            && self.was_send_blocked(facts, scale) == Some(true)
            && self.flows.last().is_some_and(is_read)
            && self.unread_us(facts) <= scale.us(READ_SOON_MS)
    }

    /// Whether the client left results unread while its send was blocked, as far as that is known: for a while, or until the end.
    fn is_left(&self, facts: &Facts, scale: Scale) -> bool {
        self.unread_us(facts) > scale.us(READ_SOON_MS) && self.was_send_blocked(facts, scale) != Some(false)
    }

    /// Results of which not one byte was read until the server read on, and some at once then; or some only when the client had sent
    /// everything.
    fn unread(&self, facts: &Facts, scale: Scale) -> Option<Unread> {
        let (bytes, stood_us) = standing(self.flows.iter().map(|(at, flow)| (*at, flow.outstanding)))?;
        let stood = bytes > 0 && stood_us >= scale.us(UNREAD_MS);
        if !stood || self.was_send_blocked(facts, scale) == Some(false) {
            return None;
        }
        let is_less = |(at, flow): &&(At, Flow)| at.event > self.until.event && flow.outstanding < bytes;
        let (moved, flow) = facts.flows.iter().find(is_less)?;
        let after_us = moved.t_us.saturating_sub(self.until.t_us);
        if after_us <= scale.us(AT_ONCE_MS) {
            return Some(Unread { bytes, stood_us, freed: Freed::Reading { after_us } });
        }
        let is_certain = flow.is_certain && self.flows.last().is_some_and(|(_, flow)| flow.is_certain);
        let is_over = facts.sentinel?.t_us.abs_diff(moved.t_us) <= scale.us(AT_ONCE_MS);
        let sent_ms = self.sent_ms(facts, *moved)?;
        let counts = is_certain && is_over && sent_ms >= WRITTEN_MS;
        counts.then_some(Unread { bytes, stood_us, freed: Freed::End { sent_ms } })
    }

    /// How much audio the client sent between the end of this time and then; what it had sent before is none of it.
    fn sent_ms(&self, facts: &Facts, upto: At) -> Option<u64> {
        let waiting = self.flows.last().and_then(|(_, flow)| flow.waiting)?;
        let came = facts.audio.iter().filter(|(at, _)| at.event > self.until.event && at.event < upto.event);
        let sent = bytes_of(came).saturating_sub(waiting.saturating_add(HELD_BYTES));
        aud::to_ms(sent, facts.audio_format.as_ref()?)
    }
}

/// No read waits for a send. The client and the server wait for each other until the server gives way; a read that goes on then, or
/// when nothing is left to be sent, each time, and not before, waited for that.
fn reads_wait(runs: &[Run], scale: Scale) -> Option<Finding> {
    let all: Vec<_> = all_stretches(runs).collect();
    if all.iter().any(|(_, wire, one)| one.is_read(&wire.facts, scale)) {
        return None;
    }
    let unread: Vec<_> =
        all.iter().filter_map(|(run, wire, one)| Some((run, wire, one, one.unread(&wire.facts, scale)?))).collect();
    let (run, wire, last, Unread { bytes, stood_us, freed }) = unread.last().filter(|_| unread.len() >= READS)?;
    let what = format!(
        "read nothing while its own send was blocked: {} times results stood unread, the last time {bytes} bytes for {}, and were read",
        unread.len(),
        seconds(*stood_us)
    );
    let message = match freed {
        Freed::Reading { after_us } => {
            let when = format!("within {} when the server read on", seconds(*after_us));
            format!("{what} {when}: it waits for the server to read, and the server for it")
        }
        Freed::End { sent_ms } => {
            let when = format!("only behind its last audio, {} of it later", seconds(sent_ms.saturating_mul(1_000)));
            format!("{what} {when}: it reads when it has sent everything")
        }
    };
    let mut finding = run.finding(FindingKind::UnboundedWait, req::BP_C2, wire.conn, last.until, message);
    finding.frames.insert(0, last.from.event);
    Some(finding)
}

/// Audio that stopped, and went on with a result.
struct Wait {
    before: At,
    result: At,
    waited_us: u64,
}

/// No send waits for results: audio that stops until a result comes, and goes on with it, each time, in whichever session.
fn sends_wait(runs: &[Run], scale: Scale) -> Option<Finding> {
    let mut all = Vec::new();
    for run in runs {
        for wire in run.wires.values() {
            all.extend(waits(run, wire, scale)?.into_iter().map(|wait| (run, wire, wait)));
        }
    }
    let (run, wire, Wait { before, result, waited_us }) = all.last().filter(|_| all.len() >= SENDS)?;
    let message = format!(
        "sent no audio until a result came, {} times, the last time for {}, although it had more: its sends wait for results",
        all.len(),
        seconds(*waited_us)
    );
    let mut finding = run.finding(FindingKind::UnboundedWait, req::BP_C2, wire.conn, *result, message);
    finding.frames.insert(0, before.event);
    Some(finding)
}

/// The waits of one connection. `None`: its audio went on by itself once, so that it does not wait for results.
fn waits(run: &Run, wire: &Wire, scale: Scale) -> Option<Vec<Wait>> {
    let facts = &wire.facts;
    let Some(format) = facts.audio_format.as_ref() else { return Some(Vec::new()) };
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
        let result = said.next().filter(|at| at.event > before.event)?;
        // Several results may come in one go.
        let earlier = said.find(|at| result.t_us.saturating_sub(at.t_us) > scale.us(AT_ONCE_MS));
        let since_us = earlier.map_or(before.t_us, |at| at.t_us.max(before.t_us));
        let waited_us = result.t_us.saturating_sub(since_us);
        if waited_us < scale.us(SILENT_MS) || after.t_us.saturating_sub(result.t_us) > scale.us(AT_ONCE_MS) {
            return None;
        }
        if has_more(run, result, aud::to_ms(received, format)?) {
            waits.push(Wait { before, result, waited_us });
        }
    }
    Some(waits)
}

/// Whether the client held audio at that time, as far as its application can know: that of a program came to it by itself.
fn has_more(run: &Run, when: At, received_ms: u64) -> bool {
    let pushes = || run.calls.iter().filter(|(at, called)| called.what == Call::Push && at.event < when.event);
    let has_returned = |number: u32| run.returns.iter().any(|(at, one)| one.number == number && at.event < when.event);
    let pushed_ms = total(pushes().filter_map(|(_, called)| called.audio_ms));
    // What a client gathers for one frame it may hold. [AUD-C1]
    !run.is_driven()
        || pushed_ms >= received_ms.saturating_add(1_000)
        || pushes().any(|(_, called)| !has_returned(called.number))
}
