//! Owns what the trace of one sequence proves: that the subject answered as the table says, that it did not, or neither. Pure, so
//! that a stored trace can be examined again to the same result.

use lastword_judge::{Finding, Judgement, Monitor, Options, judge};
use lastword_spec::finding::{Culprit, FindingKind};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{CLO_S3, CON_S3, END_S2, KA_S2, KA_S3, KA_S4, KA_S7, STA_S3};
use lastword_spec::table::{ServerInput, State};
use lastword_spec::trace::Trace;

use super::align::{Alignment, Due};
use super::machine::{Completion, Machine};
use super::observe::{self, CONN, Seen, Sent};
use super::response::{Output, Response};
use crate::record::no_connection;
use crate::verdict::breaks_a_must;

/// What came of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every input was answered as the table says, and the judge found nothing else.
    Conforming,
    /// The session ended, as it may, before the subject had read all that was meant for its draining state.
    NotReached,
    /// An answer differs, or the judge found a breach.
    Mismatch(Mismatch),
    /// The line, or the machine, was so slow that a timer of the subject ended the session, and the judge has nothing against that.
    OutOfTime(String),
    /// The sequence could not be carried through.
    Undecided(String),
}

impl Outcome {
    /// Whether nothing follows from it, neither way.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Self::OutOfTime(_) | Self::Undecided(_))
    }

    /// Whether only the clock speaks against the subject: a timer of its own ended the session, or what came was right and late.
    pub(super) fn is_a_matter_of_time(&self) -> bool {
        match self {
            Self::OutOfTime(_) => true,
            Self::Mismatch(mismatch) => mismatch.findings.iter().all(|finding| finding.kind == FindingKind::Late),
            Self::Conforming | Self::NotReached | Self::Undecided(_) => false,
        }
    }
}

/// Whether a finding turns on when something arrived.
fn is_about_time(finding: &Finding) -> bool {
    const TIMERS: [RequirementId; 5] = [CON_S3, KA_S2, KA_S3, KA_S4, KA_S7];
    finding.kind == FindingKind::Late || TIMERS.contains(&finding.requirement)
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The place in the sequence, from 0, of the input that was not answered as it should; the number of inputs for its end.
    pub step: usize,
    /// What differs, in a sentence.
    pub text: String,
    /// What the judge says of the trace; where it says nothing, what the table says.
    pub findings: Vec<Finding>,
}

/// Examines the trace of a sequence. `options` are the judge's.
#[must_use]
pub fn examine(machine: &Machine, sequence: &[ServerInput], trace: &Trace, options: &Options) -> (Outcome, Judgement) {
    let mut judgement = judge(trace, options);
    let by_subject = |finding: &&Finding| finding.culprit == Culprit::Server && breaks_a_must(finding);
    let broken: Vec<Finding> = judgement.findings.iter().filter(by_subject).cloned().collect();
    let compared = compare(machine, sequence, trace);
    let gave_up = observe::given_up(trace).is_some();
    let outcome = match compared {
        // Whatever was compared: a sequence that ends by the end of patience conforms to nothing.
        Compared::Same | Compared::Early if broken.is_empty() && gave_up => {
            Outcome::Undecided("a wait was given up".to_owned())
        }
        Compared::Same | Compared::Early if broken.is_empty() => {
            if matches!(compared, Compared::Same) {
                Outcome::Conforming
            } else {
                Outcome::NotReached
            }
        }
        Compared::NoSession(why) if broken.is_empty() => Outcome::Undecided(why),
        // A wait that was given up is a stall only where the judge says so.
        Compared::Different(difference) if broken.is_empty() && gave_up && difference.output.is_none() => {
            Outcome::Undecided(format!("waited in vain: {}", difference.text))
        }
        // A line so slow that the subject's own timer fired. Timers are the business of the cases that wait for them.
        Compared::Different(difference)
            if difference.output.as_ref().is_some_and(|seen| is_by_timer(trace, difference.asked, seen, options))
                && broken.iter().all(is_about_time) =>
        {
            Outcome::OutOfTime(format!("the subject's timer ended the session: {}", difference.text))
        }
        Compared::Different(difference) => {
            let findings = if broken.is_empty() { vec![difference.finding(trace)] } else { broken };
            Outcome::Mismatch(Mismatch { step: difference.step, text: difference.text, findings })
        }
        Compared::Same | Compared::Early | Compared::NoSession(_) => {
            let text = "answered as the table says, and broke a rule nevertheless".to_owned();
            Outcome::Mismatch(Mismatch { step: sequence.len(), text, findings: broken })
        }
    };
    if let Outcome::Mismatch(mismatch) = &outcome
        && !mismatch.findings.iter().any(|finding| judgement.findings.contains(finding))
    {
        judgement.findings.extend(mismatch.findings.iter().cloned());
    }
    (outcome, judgement)
}

/// The shortest time that the specification allows the timer before `config`, in milliseconds.
const SHORTEST_CONFIG_TIMEOUT_MS: u64 = 1_000;

/// The longest time that a line may hold an input and what crosses it: so much later it was surely read, and not answered.
const LONGEST_CROSSING_MS: u64 = 2_500;

/// Whether this is the ending by a timer that the client's silence starts, and one that the line explains: it did not come before half
/// of the timer's time had gone since the connection was dialled, where the record begins (the answer to the upgrade may be what the
/// line held up), and it crossed the input that it leaves unanswered.
fn is_by_timer(trace: &Trace, asked: Option<usize>, seen: &Seen, options: &Options) -> bool {
    let timer_ms = match &seen.output {
        Output::Fatal(code) if code == "config_timeout" => SHORTEST_CONFIG_TIMEOUT_MS,
        Output::Fatal(code) if code == "idle_timeout" => {
            let mut monitor = Monitor::new(&trace.header, options);
            trace.events[..seen.event].iter().for_each(|event| monitor.observe(event));
            monitor.limits(CONN).idle_timeout_ms
        }
        _ => return false,
    };
    let ended_us = trace.events[seen.event].t_us;
    // The client was silent for want of an answer: it left nothing unanswered.
    let asked_us = asked.and_then(|asked| trace.events.get(asked)).map_or(ended_us, |event| event.t_us);
    let crossed_us = LONGEST_CROSSING_MS.max(timer_ms / 2) * 1_000;
    ended_us >= timer_ms * 1_000 / 2 && ended_us.saturating_sub(asked_us) < crossed_us
}

enum Compared {
    Same,
    /// The session ended by itself before all was read.
    Early,
    Different(Difference),
    NoSession(String),
}

struct Difference {
    step: usize,
    state: State,
    text: String,
    kind: FindingKind,
    requirement: RequirementId,
    /// The event of the output that fits nowhere, or of the input that was not answered.
    event: usize,
    /// The event of the input that was left unanswered, if one was.
    asked: Option<usize>,
    /// The output that fits nowhere; `None` where something did not come.
    output: Option<Seen>,
}

impl Difference {
    fn finding(&self, trace: &Trace) -> Finding {
        Finding {
            kind: self.kind,
            culprit: Culprit::Server,
            requirement: self.requirement,
            message: self.text.clone(),
            conn: CONN,
            state: self.state,
            frames: vec![self.event],
            t_us: trace.events.get(self.event).map_or(0, |event| event.t_us),
        }
    }
}

fn compare(machine: &Machine, sequence: &[ServerInput], trace: &Trace) -> Compared {
    if let Some(why) = no_session(trace) {
        return Compared::NoSession(why);
    }
    let seen = observe::outputs(trace);
    let (sent, end_event) = observe::inputs(machine, sequence, trace);
    let last = sent.last().map_or(Some(0), |sent| sent.transition.next);
    let completion = last.map(|state| machine.completion(state));
    let end_event = match &completion {
        Some((Completion::Drain, _)) => sent.iter().rev().find_map(|sent| sent.event),
        _ => end_event,
    };
    let cancelled: Vec<Response> = sent.iter().map(|sent| sent.transition.response.or_silence()).collect();
    let mut dues: Vec<Due<'_>> = sent.iter().map(Due::from).collect();
    if let Some(sentinel) = sentinel(&sent).filter(|_| sequence.last() == Some(&ServerInput::Close)) {
        // A Close cancels what stands before it and is not yet handled; some WebSocket libraries answer it at once.
        let last = dues.len() - 1;
        for (due, response) in dues.iter_mut().zip(&cancelled).take(last).skip(sentinel + 1) {
            due.response = response;
        }
    }
    dues.extend(completion.iter().map(|(_, response)| Due { response, event: end_event }));
    let alignment = Alignment::of(&dues, &seen);
    if alignment.explains(dues.len()) {
        return Compared::Same;
    }
    if ended_early(&sent, &seen, &alignment) {
        return Compared::Early;
    }
    Compared::Different(difference(&sent, &dues, &seen, &alignment))
}

/// The place of the first sentinel in the sequence.
fn sentinel(sent: &[Sent<'_>]) -> Option<usize> {
    sent.iter().position(|one| one.input == ServerInput::EndOfStream && one.transition.row.state == State::Streaming)
}

/// Why there was no session to speak of.
fn no_session(trace: &Trace) -> Option<String> {
    trace.events.iter().filter(|event| event.conn == CONN).find_map(|event| no_connection(&event.kind))
}

/// Whether the session ended by itself behind the sentinel, with all answered up to some input and nothing after it.
fn ended_early(sent: &[Sent<'_>], seen: &[Seen], alignment: &Alignment) -> bool {
    let Some(sentinel) = sentinel(sent) else { return false };
    let ending = [Output::Ended("completed".into()), Output::Close(Some(1_000))];
    let ends_so = seen.len() >= 2 && seen[seen.len() - 2..].iter().map(|seen| &seen.output).eq(&ending);
    ends_so && alignment.stops_before(sentinel + 1, ending.len()).is_some()
}

fn difference(sent: &[Sent<'_>], dues: &[Due<'_>], seen: &[Seen], alignment: &Alignment) -> Difference {
    let (explained, fewest, most) = alignment.furthest();
    let output = seen.get(explained);
    let (step, kind) = match output {
        None => (most, FindingKind::Unanswered),
        Some(extra) => {
            let was_sent = |step: usize| dues.get(step).and_then(|due| due.event).is_some_and(|at| at < extra.event);
            let twice = explained > 0 && seen[explained - 1].output == extra.output && fewest > 0;
            let is_answered_next = dues.get(most).is_some_and(|due| {
                let next = seen.get(explained + 1).map(|seen| &seen.output);
                next.is_some() && next == due.response.outputs().first()
            });
            if twice {
                (fewest - 1, FindingKind::DuplicateAnswer)
            } else if (fewest < most && is_answered_next && was_sent(fewest)) || !was_sent(most) {
                (if was_sent(fewest) { fewest } else { fewest.saturating_sub(1) }, FindingKind::IllegalMessage)
            } else if extra.output.ends_the_session() && dues[most].response.is_due() {
                (most, FindingKind::Unanswered)
            } else {
                (most, FindingKind::WrongAnswer)
            }
        }
    };
    let came = output.map_or_else(|| "nothing".to_owned(), |seen| seen.output.to_string());
    let (what, state, requirement) = match sent.get(step) {
        Some(sent) => {
            let row = sent.transition.row;
            let id = row.ids.first().copied().unwrap_or(STA_S3);
            (format!("{} in {}", sent.input.as_str(), row.state.as_str()), row.state, id)
        }
        None => {
            let state = sent.last().map_or(State::AwaitConfig, |sent| sent.transition.row.next);
            let clause = if state == State::Draining { END_S2 } else { CLO_S3 };
            (format!("the end of the sequence in {}", state.as_str()), state, clause)
        }
    };
    let wanted = dues.get(step).map_or_else(|| "silence".to_owned(), |due| due.response.to_string());
    // What came before the next input was sent left none unanswered.
    let is_open =
        output.is_none_or(|extra| dues.get(most).and_then(|due| due.event).is_some_and(|at| at < extra.event));
    let asked = dues.get(step).and_then(|due| due.event).filter(|_| is_open);
    Difference {
        step,
        state,
        text: format!("answered {what} with {came}, where the table wants {wanted}"),
        kind,
        requirement,
        event: output.map_or_else(|| asked.unwrap_or(0), |seen| seen.event),
        asked,
        output: output.cloned(),
    }
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
