//! Release probes: what brings an owed message shows what the server waits for. Owns the record of one probe and the conclusion
//! from all probes of a suspicion; it looks at raw frames only. A message that follows one stimulus every time and never comes
//! without it needs no clock to be explained.

use lastword_spec::close::EndReason;
use lastword_spec::codec::{Decoded, decode_server};
use lastword_spec::limits::Limits;
use lastword_spec::message::ServerMessage;
use lastword_spec::table::State;
use lastword_spec::trace::{EventKind, Probe, Side, Stimulus};

use crate::bounds::Scale;
use crate::conn::{At, Conn};
use crate::ledger::{self, Obligation};
use crate::rules::progress;
use crate::suspicion::{Conclusion, Outcome, ProbeRow};

/// How often a stimulus must have done it, and the control not.
pub(crate) const ROUNDS: usize = 5;
/// How soon after a stimulus what it releases comes, in milliseconds of an unhurried machine, where no work is left; most take one.
/// Where work is left, that comes first: see [`promote`].
const PROMPT_MS: u64 = 500;
/// Delays this close together are one timer, or the same work.
const SPREAD_MS: u64 = 250;
/// Repetitions of the control must begin as far apart to show anything about a delay that all of them have.
const APART_MS: u64 = 250;
/// Two repetitions that began closer together than this began at one moment.
const MOMENT_MS: u64 = 50;
/// A silence shorter than this is nobody's timer.
const LEAST_TIMER_MS: u64 = 300;
/// How close a silence must come to an announced limit to follow it.
const FOLLOWS_MS: u64 = 120;
/// Of what a server says on a probe so much is kept; nobody owes more.
const MOST_ACTS: usize = 2_000;

/// What happened on a probe.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) probe: Probe,
    /// When the stimulus was given, and what the server had said by then.
    stimulated: Option<(At, usize)>,
    /// What the server owed then.
    owed: Vec<Obligation>,
    acts: Vec<Act>,
    /// The last thing that was repeated before the stimulus.
    sent_us: u64,
    last_us: u64,
    /// The harness watches no longer; what comes from then on is the end of the probe.
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Act {
    at: At,
    what: Said,
}

#[derive(Clone, Debug)]
enum Said {
    Message(String),
    /// `progress`, with the audio that it says is processed.
    Progress(u64),
    /// The end, by a message that is not what was owed, or by the transport.
    Over {
        by_close: bool,
    },
}

impl Record {
    pub(crate) fn new(probe: Probe, at: At) -> Self {
        Self {
            probe,
            stimulated: None,
            owed: Vec::new(),
            acts: Vec::new(),
            sent_us: at.t_us,
            last_us: at.t_us,
            is_over: false,
        }
    }

    /// Whether what was owed is said by this act.
    fn pays(&self, act: &Act, what: &str) -> bool {
        match &act.what {
            Said::Message(kind) => what.split(' ').next() == Some(kind),
            Said::Progress(_) => false,
            Said::Over { by_close } => *by_close && what == "Close",
        }
    }
}

/// An event on a probe, before the session is moved on by it.
pub(crate) fn observe(conn: &mut Conn, at: At, kind: &EventKind) {
    let owed = matches!(kind, EventKind::Stimulus(_)).then(|| ledger::owed(conn));
    let Some(record) = conn.probe.as_mut().filter(|record| !record.is_over) else { return };
    record.last_us = at.t_us;
    record.is_over = matches!(kind, EventKind::GaveUp { .. });
    if let Some(mut owed) = owed {
        owed.retain(|debt| debt.debtor == Side::Server);
        record.owed = owed;
        record.stimulated.get_or_insert((at, record.acts.len()));
        return;
    }
    let what = match kind {
        EventKind::Text { from: Side::Server, text } => said(text),
        EventKind::Close { from: Side::Server, .. } | EventKind::Eof { from: Side::Server, .. } => {
            Said::Over { by_close: true }
        }
        EventKind::Text { .. } | EventKind::Audio { from: Side::Client, .. } if record.stimulated.is_none() => {
            record.sent_us = at.t_us;
            return;
        }
        _ => return,
    };
    if record.acts.len() < MOST_ACTS {
        record.acts.push(Act { at, what });
    }
}

/// A message as far as it matters here. An end that is not the one that was owed is an end and pays nothing.
fn said(text: &str) -> Said {
    match decode_server(text, u64::MAX) {
        Ok(Decoded::Message(ServerMessage::Error(error))) if error.fatal => Said::Over { by_close: false },
        Ok(Decoded::Message(ServerMessage::SessionEnded(ended))) if ended.reason != EndReason::COMPLETED => {
            Said::Over { by_close: false }
        }
        Ok(Decoded::Message(ServerMessage::Progress(progress))) => Said::Progress(progress.audio_processed_ms),
        Ok(Decoded::Message(message)) => Said::Message(message.message_type().to_owned()),
        Ok(Decoded::Unknown { .. }) => Said::Message(String::new()),
        Err(fault) => Said::Message(fault.message_type.unwrap_or_default()),
    }
}

/// What the probe showed about a debt, and how long after the stimulus it came where it came after one.
fn outcome(record: &Record, what: &str, scale: Scale) -> (Outcome, Option<u64>) {
    let paid_before = |upto: usize| record.acts[..upto].iter().rev().find(|act| record.pays(act, what));
    let unasked =
        |paid: Option<&Act>| (paid.map_or(Outcome::Missing, |act| by_itself(record, record.sent_us, act)), None);
    let Some((stimulus, heard)) = record.stimulated else {
        return unasked(paid_before(record.acts.len()));
    };
    let Some(debt) = record.owed.iter().find(|debt| debt.what == what) else {
        return unasked(paid_before(heard));
    };
    let later = &record.acts[heard..];
    let paid = later.iter().position(|act| record.pays(act, what));
    let over = later.iter().position(|act| matches!(act.what, Said::Over { .. }));
    let since_stimulus = |act: &Act| act.at.t_us.saturating_sub(stimulus.t_us);
    match (paid, over) {
        (Some(paid), over) if over.is_none_or(|over| paid <= over) => {
            let act = &later[paid];
            let after_us = since_stimulus(act);
            if record.probe.stimulus == Stimulus::Nothing {
                (by_itself(record, debt.since_us, act), None)
            } else if after_us <= scale.us(PROMPT_MS) {
                let total_us = act.at.t_us.saturating_sub(debt.since_us);
                (Outcome::Released { after_us, total_us }, Some(after_us))
            } else {
                (by_itself(record, debt.since_us, act), Some(after_us))
            }
        }
        (_, Some(over)) => (Outcome::Ended { after_us: since_stimulus(&later[over]) }, None),
        (_, None) => (Outcome::Nothing { watched_us: record.last_us.saturating_sub(debt.since_us) }, None),
    }
}

/// It came by itself: after how long, with how long a silence, and with how long a time in which nothing moved.
fn by_itself(record: &Record, since_us: u64, paying: &Act) -> Outcome {
    let upto_us = paying.at.t_us;
    let until_now = || record.acts.iter().filter(|act| act.at.t_us <= upto_us);
    let longest_us = |times: &mut dyn Iterator<Item = u64>| {
        let times = times.filter(|t_us| *t_us > since_us).chain([upto_us]);
        times.fold((0, since_us), |(longest, from), t_us| (longest.max(t_us.saturating_sub(from)), t_us)).0
    };
    let gap_us = longest_us(&mut until_now().map(|act| act.at.t_us));
    let mut processed_ms = None;
    let still_us = longest_us(&mut until_now().filter_map(|act| {
        let moves = match act.what {
            Said::Progress(ms) => processed_ms.replace(ms).is_some_and(|before| before < ms),
            Said::Message(_) | Said::Over { .. } => true,
        };
        moves.then_some(act.at.t_us)
    }));
    Outcome::ByItself { total_us: upto_us.saturating_sub(since_us), gap_us, still_us, at_us: upto_us }
}

/// The debt that the probes of a connection are about: what most of them were owed at their stimulus.
pub(crate) fn probed_debt(probes: &[&Conn]) -> Option<Obligation> {
    let records = probes.iter().filter_map(|conn| conn.probe.as_ref());
    let mut debts: Vec<&Obligation> =
        records.filter_map(|record| crate::stall::principal(&record.owed, record_state(record))).collect();
    debts.sort_by(|a, b| a.what.cmp(&b.what));
    let count = |what: &str| debts.iter().filter(|debt| debt.what == what).count();
    debts.iter().max_by_key(|debt| count(&debt.what)).map(|debt| (*debt).clone())
}

fn record_state(record: &Record) -> State {
    record.owed.first().map_or(State::Closed, |debt| debt.state)
}

/// The table of the probes: one row for each stimulus that was tried, the control first.
pub(crate) fn rows(probes: &[&Conn], what: &str) -> Vec<ProbeRow> {
    let row = |stimulus: Stimulus| {
        let mut records: Vec<(&Conn, &Record)> = probes
            .iter()
            .filter_map(|conn| conn.probe.as_ref().map(|record| (*conn, record)))
            .filter(|(_, record)| record.probe.stimulus == stimulus)
            .collect();
        records.sort_by_key(|(_, record)| record.probe.round);
        let slowest = records.iter().map(|(conn, _)| conn.scale).max_by_key(|scale| scale.us(1));
        let shown = records.iter().map(|(conn, record)| outcome(record, what, conn.scale));
        let (outcomes, delays): (Vec<Outcome>, Vec<Option<u64>>) = shown.unzip();
        (ProbeRow { stimulus, outcomes }, delays, slowest)
    };
    let (control, ..) = row(Stimulus::Nothing);
    let mut rows = Vec::new();
    for stimulus in Stimulus::ALL {
        let (mut row, delays, scale) = row(*stimulus);
        let Some(scale) = scale else { continue };
        if *stimulus != Stimulus::Nothing {
            promote(&mut row, &delays, &control, scale);
        }
        rows.push(row);
    }
    rows
}

/// What is released may be work: a last segment is decoded before its final comes, and that takes as long as it takes. A stimulus
/// released what followed it not at once if it followed in every repetition, and without the stimulus it came in none, or later
/// than in all of these; then the delay since the stimulus must be the same too, whenever the stimulus was given. Where it
/// followed at once no work was left.
fn promote(row: &mut ProbeRow, delays: &[Option<u64>], control: &ProbeRow, scale: Scale) {
    let total_of = |outcome: &Outcome| match outcome {
        Outcome::Released { total_us, .. } | Outcome::ByItself { total_us, .. } => Some(*total_us),
        _ => None,
    };
    let tried = || row.outcomes.iter().zip(delays).filter(|(outcome, _)| **outcome != Outcome::Missing);
    let slow = || row.outcomes.iter().any(|outcome| matches!(outcome, Outcome::ByItself { .. }));
    let Some(followed) = tried().map(|(_, delay)| *delay).collect::<Option<Vec<u64>>>() else { return };
    if !slow() || control.tried() == 0 {
        return;
    }
    if let Some(shortest_us) = control.outcomes.iter().filter_map(total_of).min() {
        let earlier = tried().filter_map(|(outcome, _)| total_of(outcome)).all(|us| us < shortest_us / 5 * 4);
        let at_work = || followed.iter().copied().filter(|delay_us| *delay_us > scale.us(PROMPT_MS));
        let (least, most) = (at_work().min().unwrap_or(0), at_work().max().unwrap_or(0));
        if !earlier || most - least > scale.us(SPREAD_MS).max(most / 4) {
            return;
        }
    }
    for (outcome, delay) in row.outcomes.iter_mut().zip(delays) {
        if let (Outcome::ByItself { total_us, .. }, Some(after_us)) = (&*outcome, delay) {
            *outcome = Outcome::Released { after_us: *after_us, total_us: *total_us };
        }
    }
}

/// The events of the probes that show a conclusion: of each stimulus named the first, with what came of it.
pub(crate) fn frames(probes: &[&Conn], what: &str, stimuli: &[Stimulus]) -> Vec<usize> {
    let shown = stimuli.iter().filter_map(|stimulus| {
        let mut records = probes.iter().filter_map(|conn| conn.probe.as_ref());
        let record = records.find(|record| record.probe.stimulus == *stimulus)?;
        let (at, heard) = record.stimulated?;
        let paid = record.acts[heard..].iter().find(|act| record.pays(act, what))?;
        Some([at.event, paid.at.event])
    });
    shown.flatten().collect()
}

/// How far the times are apart that the controls took to become ready: so far a line, or a busy server, moves whatever it brings. A
/// server that loads its model takes as long in each. With any other stimulus `ready` may be what is released.
fn unsteady_us(probes: &[&Conn]) -> u64 {
    let mut took_us: Vec<u64> = probes
        .iter()
        .filter(|conn| conn.probe.as_ref().is_some_and(|record| record.probe.stimulus == Stimulus::Nothing))
        .filter_map(|conn| Some(conn.ready.as_ref()?.0.t_us.saturating_sub(conn.config.at?.t_us)))
        .collect();
    if took_us.is_empty() { 0 } else { spread(&mut took_us).1 }
}

/// What beside their table is seen of the probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// What comes is by so much unsteady.
    unsteady_us: u64,
    /// While each control waited another session was paid at once: neither the machine nor the server stood still.
    served_meanwhile: bool,
}

impl Context {
    pub(crate) fn of(probes: &[&Conn], what: &str) -> Self {
        Self { unsteady_us: unsteady_us(probes), served_meanwhile: served_meanwhile(probes, what) }
    }
}

/// Whether in the middle of each control's wait what it waited for came on another connection, just behind a stimulus.
fn served_meanwhile(probes: &[&Conn], what: &str) -> bool {
    let records = || probes.iter().filter_map(|conn| conn.probe.as_ref());
    let is_control = |record: &&Record| record.probe.stimulus == Stimulus::Nothing;
    let released_us: Vec<u64> =
        records().filter(|record| !is_control(record)).filter_map(|record| released_us(record, what)).collect();
    let waited = |control: &Record| match outcome(control, what, Scale::UNHURRIED).0 {
        Outcome::ByItself { total_us, at_us, .. } => Some((at_us.saturating_sub(total_us), at_us)),
        Outcome::Released { .. } | Outcome::Ended { .. } | Outcome::Nothing { .. } | Outcome::Missing => None,
    };
    let margin_us = LEAST_TIMER_MS * 1_000;
    let mut waits = records().filter(is_control).filter_map(waited).peekable();
    waits.peek().is_some()
        && waits
            .all(|(from_us, to_us)| released_us.iter().any(|us| *us > from_us && us.saturating_add(margin_us) < to_us))
}

/// When it came just behind the stimulus, by an unhurried clock.
fn released_us(record: &Record, what: &str) -> Option<u64> {
    let Outcome::Released { after_us, .. } = outcome(record, what, Scale::UNHURRIED).0 else { return None };
    record.stimulated.map(|(at, _)| at.t_us.saturating_add(after_us))
}

/// Whether two stimuli and more brought it in every repetition, each time at once by an unhurried clock, and once in less than half
/// of the shortest time that it took without one: so much less work there is to it.
fn released_at_once(rows: &[ProbeRow], shortest_us: u64) -> bool {
    let at_once = |outcome: &Outcome| match outcome {
        Outcome::Released { after_us, total_us } if *after_us <= PROMPT_MS * 1_000 => Some(*total_us),
        _ => None,
    };
    let totals = |row: &ProbeRow| row.outcomes.iter().map(at_once).collect::<Option<Vec<u64>>>();
    let all = |row: &&ProbeRow| {
        let totals = totals(row).filter(|totals| totals.len() >= ROUNDS);
        totals.and_then(|totals| totals.into_iter().min()).is_some_and(|us| us < shortest_us / 2)
    };
    rows.iter().filter(all).count() >= 2
}

/// What the probes alone say; `None` where they leave the matter to other evidence.
pub(crate) fn conclude(
    rows: &[ProbeRow],
    debt: &Obligation,
    limits: &Limits,
    scale: Scale,
    context: Context,
) -> Option<Conclusion> {
    let control = rows.iter().find(|row| row.stimulus == Stimulus::Nothing)?;
    let others = || rows.iter().filter(|row| row.stimulus != Stimulus::Nothing);
    let full = |row: &ProbeRow| row.tried() >= ROUNDS && row.released() == row.tried();
    let longest_us = |row: &ProbeRow| {
        let totals = row.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Released { total_us, .. } => Some(*total_us),
            _ => None,
        });
        totals.max().unwrap_or(0)
    };
    let watched_us = control.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Nothing { watched_us } => Some(*watched_us),
        _ => None,
    });
    let watched_us = watched_us.min().unwrap_or(0);
    if control.by_itself() == 0 {
        if control.tried() < ROUNDS {
            return None;
        }
        let released: Vec<Stimulus> =
            others().filter(|row| full(row) && longest_us(row) <= watched_us).map(|row| row.stimulus).collect();
        return (!released.is_empty()).then_some(Conclusion::WaitsFor(released));
    }
    let (mut totals, mut gaps, mut stills, mut since) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for outcome in &control.outcomes {
        if let Outcome::ByItself { total_us, gap_us, still_us, at_us } = outcome {
            totals.push(*total_us);
            gaps.push(*gap_us);
            stills.push(*still_us);
            since.push(at_us.saturating_sub(*total_us));
        }
    }
    // A busy machine blurs what is seen in the course of seconds, unless it is seen that it did not stand still.
    let shortest_us = totals.iter().copied().min().unwrap_or(0);
    let blur = if context.served_meanwhile && released_at_once(rows, shortest_us) { Scale::UNHURRIED } else { scale };
    let (middle_us, steady) = as_a_timer(&mut totals, &mut since, blur);
    let (gap_us, constant) = as_a_timer(&mut gaps, &mut since, blur);
    let (still_us, stands) = as_a_timer(&mut stills, &mut since, blur);
    // For almost the whole of the time nothing comes, or nothing moves.
    let long = |us: u64| us >= middle_us / 4 * 3 && us >= blur.us(LEAST_TIMER_MS);
    let may = control.by_itself() >= ROUNDS && debt.what != "Close";
    if may && stands && long(still_us) {
        // A fifth earlier than the earliest without it: more than chance and the jitter of a machine give five times. Who tells
        // progress meanwhile that stands still is no less held by a timer: no work of his depends on what a client says.
        let forward: Vec<Stimulus> =
            others().filter(|row| full(row) && longest_us(row) < totals[0] / 5 * 4).map(|row| row.stimulus).collect();
        let silent = constant && long(gap_us);
        let followed = |us: u64| followed(us, debt, limits);
        let whole = || steady.then(|| followed(middle_us)).flatten();
        let limit = if silent { followed(gap_us).or_else(whole) } else { followed(still_us) };
        // Whoever works says so within the interval; who is silent for longer, and for just as long as a timer, waits for it.
        let interval_ms = interval_ms(debt.state, limits);
        let most_us = |ms: u64| (scale.us(ms) / 4).saturating_mul(5).saturating_add(context.unsteady_us);
        let too_silent = silent && interval_ms.is_some_and(|ms| gap_us > most_us(ms));
        if !forward.is_empty() || (too_silent && limit.is_some()) {
            let timer_us = if silent { gap_us } else { still_us };
            return Some(Conclusion::Masked { timer_us, limit, forward });
        }
    }
    let too_silent = may && constant && gaps[0] > most_silent_us(debt.state, limits, scale);
    Some(Conclusion::Slow { middle_us, too_silent })
}

/// Sorts the times; the middle of them, and whether all are as long as a timer makes them. A machine that stands still makes all
/// equally late that began at one moment: it must not explain them as well.
fn as_a_timer(times_us: &mut [u64], since_us: &mut [u64], scale: Scale) -> (u64, bool) {
    let (middle_us, spread_us) = spread(times_us);
    let (_, apart_us) = spread(since_us);
    let is_constant = spread_us <= scale.us(SPREAD_MS).max(middle_us / 10);
    let is_constant = is_constant && moments(since_us, scale) + 1 >= since_us.len();
    (middle_us, is_constant && apart_us >= scale.us(APART_MS).max(spread_us.saturating_mul(2)))
}

/// How many moments these sorted times are: what a machine held up together goes on together, and is one.
fn moments(times_us: &[u64], scale: Scale) -> usize {
    1 + times_us.windows(2).filter(|pair| pair[1] - pair[0] >= scale.us(MOMENT_MS)).count()
}

/// Sorts the times; the middle of them, and how far they are apart.
fn spread(times_us: &mut [u64]) -> (u64, u64) {
    times_us.sort_unstable();
    let (least, most) = (times_us[0], times_us[times_us.len() - 1]);
    (times_us[times_us.len() / 2], most - least)
}

/// Longer than this no server may be silent while it owes something and works, however it is on its way.
fn most_silent_us(state: State, limits: &Limits, scale: Scale) -> u64 {
    interval_ms(state, limits).map_or(u64::MAX, |ms| scale.patience_us(2 * ms))
}

/// How often whoever works says so.
fn interval_ms(state: State, limits: &Limits) -> Option<u64> {
    match state {
        // [PRG-S1]
        State::Configuring => Some(progress::INTERVAL_BEFORE_READY_MS),
        State::Streaming | State::Draining => Some(limits.progress_interval_ms),
        State::AwaitConfig | State::Failing | State::Ended | State::Closed => None,
    }
}

/// The announced limit whose length this is, of those that can have to do with the debt: a line that stalls for as long as some other
/// limit is nobody's timer.
fn followed(us: u64, debt: &Obligation, limits: &Limits) -> Option<&'static str> {
    let own = match debt.state {
        State::Configuring => ("ready_ms", limits.ready_ms),
        State::Streaming => ("flush_ms", limits.flush_ms),
        _ => ("drain_ms", limits.drain_ms),
    };
    let known =
        [("idle_timeout_ms", limits.idle_timeout_ms), ("keepalive_interval_ms", limits.keepalive_interval_ms), own];
    let near = |limit_ms: u64| us.abs_diff(limit_ms.saturating_mul(1_000)) <= FOLLOWS_MS * 1_000 + us / 50;
    known.into_iter().find(|(_, limit_ms)| near(*limit_ms)).map(|(name, _)| name)
}
