//! Owns the evidence that a subject fell as a whole, as a process does that dies: every session that was open was cut in one moment.
//! Pure: it lays the first runs of the cases on one clock, and looks at the session that was held alone at the end. It must not know
//! what a report makes of it.
//!
//! One connection that is cut convicts nobody: a line does that. What a line, a machine or the harness cannot do is
//!
//! - to take the listener away. A refusal comes from the host itself, where nobody listens any more; a host that is slow, or a line
//!   that is down, answers late or not at all. Sessions that are all cut before such a refusal were cut by the end of the program
//!   that serves at the address; and
//! - to end sessions of all ages in one moment and to leave none, again and again. Something between may do so once (a line that is
//!   switched over, a relay that is started anew), so without a refusal it counts from the second time on.
//!
//! A server that cuts each session at the same place, or at the same age, is no such case: those began as far apart as they ended.

use std::collections::{BTreeSet, VecDeque};

use lastword_judge::Connection;
use lastword_spec::trace::{Event, EventKind, Side, Trace};

use super::result::{CaseResult, Evidence};

/// Cuts no further apart than this are one moment; a busy machine reads the end of many connections one after the other.
const MOMENT_US: u64 = 250_000;
/// So many cases must have been cut in one moment, unless nobody ever listens again.
const LEAST_CASES: usize = 3;
/// So far apart the sessions must have begun that were cut in one moment, and so many times as far as they were cut.
const LEAST_AGES_US: u64 = 100_000;
const TIMES_AGES: u64 = 4;
/// What is said so long before the moment may have brought it about.
const CAUSE_US: u64 = 250_000;

/// How a subject fell.
#[derive(Clone, Debug)]
pub(crate) struct Fallen {
    moments: Vec<Moment>,
    /// Since the last moment nobody listens.
    for_good: bool,
}

/// One moment in which every open session was cut.
#[derive(Clone, Debug)]
struct Moment {
    /// By the clock of the run.
    at_us: u64,
    last_us: u64,
    sessions: usize,
    /// The results they belong to, by their place.
    cases: BTreeSet<usize>,
    /// The sessions were of different ages.
    of_all_ages: bool,
    /// A connection was refused after it, before any was answered.
    refused: bool,
    /// What the subject was told last, and in which case.
    told: Option<(String, String)>,
}

impl Fallen {
    /// Why the case of the result at this place decided nothing, if a session of it was cut so.
    pub(super) fn why_open(&self, place: usize) -> Option<String> {
        let moment = self.moments.iter().find(|moment| moment.cases.contains(&place))?;
        let at_s = moment.at_us as f64 / 1_000_000.0;
        Some(format!("the subject fell as a whole at {at_s:.2} s of the run and took this session with it"))
    }

    /// The case to look at first: in it the subject was told what it was told last.
    fn suspected(&self) -> Option<&str> {
        self.moments.iter().find_map(|moment| moment.told.as_ref()).map(|(case, _)| case.as_str())
    }

    /// What happened, in a sentence.
    pub(crate) fn tell(&self) -> String {
        let Some(first) = self.moments.first() else { return String::new() };
        let seconds = |us: u64| format!("{:.2} s", us as f64 / 1_000_000.0);
        let (sessions, at) = (first.sessions, seconds(first.at_us));
        let all = match sessions {
            1 => "the only session that was open was".to_owned(),
            _ => format!("all {sessions} sessions that were open were"),
        };
        let mut text = format!("{all} cut at {at} of the run without `session_ended`");
        let more: Vec<String> = self.moments[1..].iter().map(|moment| seconds(moment.at_us)).collect();
        if !more.is_empty() {
            text.push_str(&format!(", and so were all that were open at {}", more.join(", ")));
        }
        text.push_str(match (self.for_good, self.moments.iter().any(|moment| moment.refused)) {
            (true, _) => "; every connection since is refused: what listened there is gone",
            (false, true) => {
                "; connections were refused then, and later served again, as by a process that is started anew"
            }
            (false, false) => "; it went on to serve new ones each time, as a process does that is started anew",
        });
        if let Some((case, what)) = &first.told {
            text.push_str(&format!("\n  the last thing out of the ordinary that it was told before: {what} ({case})"));
        }
        text
    }
}

/// How the subject fell, if that is shown. `alone` is the session that was held alone after all cases.
pub(crate) fn fallen(results: &[CaseResult], alone: Option<&Evidence>) -> Option<Fallen> {
    let sessions: Vec<Session> =
        results.iter().enumerate().flat_map(|(place, result)| sessions(place, result).unwrap_or_default()).collect();
    let dials = dials(results);
    let mut moments = moments(&sessions, &dials);
    for moment in &mut moments {
        moment.told = told_before(results, moment);
    }
    let refused_alone = alone.is_some_and(|alone| alone.trace.events.iter().any(|event| is_refused(&event.kind)));
    let answered_after =
        |moment: &Moment| dials.iter().any(|dial| !dial.refused && dial.at_us > moment.last_us + MOMENT_US);
    if refused_alone && let Some(last) = moments.last().filter(|last| !answered_after(last)) {
        return Some(Fallen { moments: vec![last.clone()], for_good: true });
    }
    moments.retain(|moment| moment.cases.len() >= LEAST_CASES);
    let again = moments.iter().filter(|moment| moment.of_all_ages).count() >= 2;
    moments.retain(|moment| moment.refused || (again && moment.of_all_ages));
    (!moments.is_empty()).then_some(Fallen { moments, for_good: false })
}

/// What the subject was told when it fell is likelier to fell it again than anything else is: that case is looked at first.
pub(super) fn likeliest_first(waiting: &mut VecDeque<usize>, results: &[CaseResult], alone: Option<&Evidence>) {
    let fallen = fallen(results, alone);
    let suspected = fallen.as_ref().and_then(Fallen::suspected);
    waiting.make_contiguous().sort_by_key(|place| suspected != Some(results[*place].case.id.as_str()));
}

/// One connection, by the clock of the run.
struct Session {
    place: usize,
    opened_us: u64,
    /// When the subject was last heard on it, its end included.
    heard_us: u64,
    /// When its transport ended by the subject, without a Close of anybody and without `session_ended`.
    cut_us: Option<u64>,
}

fn sessions(place: usize, result: &CaseResult) -> Option<Vec<Session>> {
    let (begun_us, evidence) = (result.circumstances.begun_us?, result.first()?);
    let session = |one: &Connection| {
        let is_cut = one.session_ended.is_none()
            && one.close.is_some_and(|close| close.by == Side::Server && !close.frame)
            && one.opened_us.is_some();
        Some(Session {
            place,
            opened_us: begun_us + one.opened_us?,
            heard_us: begun_us + last_heard_us(&evidence.trace, one.conn),
            cut_us: one.closed_us.filter(|_| is_cut).map(|at_us| begun_us + at_us),
        })
    };
    Some(evidence.judgement.connections.iter().filter_map(session).collect())
}

fn last_heard_us(trace: &Trace, conn: u32) -> u64 {
    let heard = trace.events.iter().filter(|event| event.conn == conn && event.kind.from() == Some(Side::Server));
    heard.map(|event| event.t_us).max().unwrap_or(0)
}

/// An attempt to connect: when it came to something, and whether to a refusal.
struct Dial {
    at_us: u64,
    refused: bool,
}

fn dials(results: &[CaseResult]) -> Vec<Dial> {
    let mut dials = Vec::new();
    for result in results {
        let (Some(begun_us), Some(first)) = (result.circumstances.begun_us, result.first()) else { continue };
        let dial = |event: &Event| {
            let refused = is_refused(&event.kind);
            let answered = matches!(event.kind, EventKind::Open(_) | EventKind::Refused { .. });
            (refused || answered).then_some(Dial { at_us: begun_us + event.t_us, refused })
        };
        dials.extend(first.trace.events.iter().filter_map(dial));
    }
    dials.sort_by_key(|dial| dial.at_us);
    dials
}

/// Whether the host said that nobody listens there, which no silence does.
fn is_refused(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ConnectFailed { error } if error.to_ascii_lowercase().contains("refused"))
}

/// The moments in which every session that was open was cut, in their order.
fn moments(sessions: &[Session], dials: &[Dial]) -> Vec<Moment> {
    let mut cut: Vec<&Session> = sessions.iter().filter(|session| session.cut_us.is_some()).collect();
    cut.sort_by_key(|session| session.cut_us);
    let mut moments = Vec::new();
    while let Some(at_us) = cut.first().and_then(|session| session.cut_us) {
        let until_us = at_us + MOMENT_US;
        let count = cut.iter().take_while(|session| session.cut_us.is_some_and(|us| us <= until_us)).count();
        let together: Vec<&Session> = cut.drain(..count).collect();
        let survived = |session: &&Session| session.opened_us < at_us && session.heard_us > until_us;
        if sessions.iter().any(|session| survived(&session)) {
            continue;
        }
        let last_us = together.iter().filter_map(|session| session.cut_us).max().unwrap_or(at_us);
        let opened = || together.iter().map(|session| session.opened_us);
        let ages_us = opened().max().unwrap_or(0) - opened().min().unwrap_or(0);
        let next = dials.iter().find(|dial| dial.at_us >= at_us);
        moments.push(Moment {
            at_us,
            last_us,
            sessions: together.len(),
            cases: together.iter().map(|session| session.place).collect(),
            of_all_ages: ages_us >= LEAST_AGES_US.max((last_us - at_us).saturating_mul(TIMES_AGES)),
            refused: next.is_some_and(|dial| dial.refused),
            told: None,
        });
    }
    moments
}

/// What was said last before a moment that no plain session says, in the sessions that were cut.
fn told_before(results: &[CaseResult], moment: &Moment) -> Option<(String, String)> {
    let said = moment.cases.iter().flat_map(|place| {
        let result = &results[*place];
        let begun_us = result.circumstances.begun_us.unwrap_or(0);
        let events = result.first().into_iter().flat_map(|first| first.trace.events.iter());
        events.filter_map(move |event| {
            Some((begun_us + event.t_us, result.case.id.clone(), out_of_the_ordinary(&event.kind)?))
        })
    });
    let near = said.filter(|(at_us, ..)| *at_us <= moment.last_us && at_us + CAUSE_US >= moment.at_us);
    near.max_by_key(|(at_us, ..)| *at_us).map(|(_, case, what)| (case, what))
}

/// What it was, if no plain session has it in it. A frame that says nothing, or half a sample, or a message that a client has no
/// reason to send, is likelier to fell a server than the next piece of speech.
fn out_of_the_ordinary(kind: &EventKind) -> Option<String> {
    const PLAIN: [&str; 5] = ["config", "keepalive", "flush", "end_of_stream", "update"];
    match kind {
        EventKind::Audio { from: Side::Client, bytes: 0, .. } => Some("an empty binary message".to_owned()),
        EventKind::Audio { from: Side::Client, bytes, .. } if bytes % 2 == 1 => {
            Some(format!("a binary message of {bytes} bytes"))
        }
        EventKind::Text { from: Side::Client, text } => {
            let is_plain = PLAIN.iter().any(|kind| text.contains(&format!("\"type\":\"{kind}\"")));
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            (!is_plain).then(|| format!("the message {shown:?}"))
        }
        _ => None,
    }
}

/// So much of a message is told.
const SHOWN_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lastword_judge::{Options, judge};
    use lastword_spec::finding::Verdict;
    use lastword_spec::trace;

    use super::*;
    use crate::case::catalogue;
    use crate::run::skipped;

    const HEADER: &str = r#"{"lastword_trace":1,"subject":"server"}"#;
    const MS: u64 = 1_000;

    fn evidence(lines: &[String]) -> Evidence {
        let text = [HEADER.to_owned()].iter().chain(lines).map(|line| format!("{line}\n")).collect::<String>();
        let trace = trace::read(&text).expect("a trace");
        let judgement = judge(&trace, &Options::default());
        Evidence { trace: Arc::new(trace), judgement: Arc::new(judgement) }
    }

    /// The results of cases that begin at these times, each with these lines.
    fn results(cases: &[(u64, Vec<String>)]) -> Vec<CaseResult> {
        let mut results: Vec<CaseResult> = Vec::new();
        for (case, (begun_ms, lines)) in catalogue().iter().zip(cases) {
            let mut result = skipped(case, Verdict::Fail, "");
            result.evidence = Some(evidence(lines));
            result.circumstances.begun_us = Some(begun_ms * MS);
            results.push(result);
        }
        results
    }

    fn event(t_ms: u64, rest: &str) -> String {
        format!(r#"{{"t_us":{},"conn":0,{rest}}}"#, t_ms * MS)
    }

    fn open() -> Vec<String> {
        vec![event(0, r#""open":{"offered":["lastword.v1"],"selected":"lastword.v1"}"#)]
    }

    /// A session that is cut after so long.
    fn cut_after(ms: u64) -> Vec<String> {
        [open(), vec![event(ms, r#""from":"server","eof":"reset""#)]].concat()
    }

    fn refused() -> Vec<String> {
        vec![event(0, r#""connect_failed":{"error":"Connection refused (os error 111)"}"#)]
    }

    /// Sessions that begin 50 ms apart from here on and are all cut in this moment.
    fn all_cut(from_ms: u64, at_ms: u64) -> Vec<(u64, Vec<String>)> {
        (0..4).map(|place| from_ms + place * 50).map(|begun| (begun, cut_after(at_ms - begun))).collect()
    }

    fn told(cases: &[(u64, Vec<String>)]) -> Option<String> {
        fallen(&results(cases), None).map(|fallen| fallen.tell())
    }

    #[test]
    fn sessions_that_are_all_cut_in_one_moment_before_a_refusal_show_that_the_subject_fell() {
        let cases = [all_cut(0, 700), vec![(750, refused())]].concat();
        let text = told(&cases).expect("it fell");
        assert!(text.starts_with("all 4 sessions that were open were cut at 0.70 s"), "{text}");
        assert!(text.contains("later served again"), "{text}");
    }

    #[test]
    fn sessions_that_are_all_cut_once_may_have_been_cut_by_something_between() {
        assert_eq!(told(&all_cut(0, 700)), None);
        // It serves again at once, and a refusal much later has nothing to do with it.
        let cases = [all_cut(0, 700), vec![(750, open()), (760, refused())]].concat();
        assert_eq!(told(&cases), None);
        let text = told(&[all_cut(0, 700), all_cut(2_000, 2_700)].concat()).expect("again and again");
        assert!(text.contains("and so were all that were open at 2.70 s"), "{text}");
    }

    #[test]
    fn a_session_that_lives_on_or_sessions_that_are_cut_alone_or_at_one_age_show_nothing() {
        let survivor = [open(), vec![event(1_500, r#""from":"server","text":"{}""#)]].concat();
        let lives_on = [all_cut(0, 700), vec![(100, survivor), (750, refused())]].concat();
        assert_eq!(told(&lives_on), None, "one is still served");
        let lone = [vec![(0, cut_after(700)), (750, refused())], vec![(2_000, cut_after(100)), (2_150, refused())]];
        assert_eq!(told(&lone.concat()), None, "lone sessions");
        let aged = |from_ms: u64| (0..4).map(move |place| (from_ms + place * 40, cut_after(300))).collect::<Vec<_>>();
        assert_eq!(told(&[aged(0), aged(2_000)].concat()), None, "each at the same age");
    }

    #[test]
    fn a_session_that_was_cut_before_nobody_listened_any_more_is_enough_and_an_answer_since_is_not() {
        let alone = evidence(&refused());
        let gone = |cases: &[(u64, Vec<String>)]| fallen(&results(cases), Some(&alone)).map(|fallen| fallen.tell());
        let text = gone(&[(0, cut_after(700))]).expect("it is gone");
        assert!(text.contains("every connection since is refused"), "{text}");
        assert_eq!(gone(&[(0, cut_after(700)), (2_000, open())]), None, "it served since");
        assert_eq!(gone(&[(0, open())]), None, "nothing was cut");
        assert!(fallen(&results(&[(0, cut_after(700))]), None).is_none());
    }

    #[test]
    fn what_was_said_last_that_no_plain_session_says_is_named() {
        let empty = vec![event(699, r#""from":"client","audio":{"bytes":0}"#)];
        let mut cases = [all_cut(0, 700), vec![(750, refused())]].concat();
        let cut = cases[0].1.pop().expect("its end");
        cases[0].1.extend(empty);
        cases[0].1.push(cut);
        let text = told(&cases).expect("it fell");
        assert!(text.ends_with(&format!("an empty binary message ({})", catalogue()[0].id)), "{text}");
    }
}
