//! A process that ends although nobody asked it to: by a signal, or, where a driver stands in it for the application, at all. Owns how
//! that is told, by what it met last; what follows from it for a session is not told beside it.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::trace::{Call, Exited, ToldWhat};

use super::wire::Facts;
use super::{Run, seconds};
use crate::conn::At;
use crate::report::Finding;

/// The transport of a process that dies ends so soon before its end is seen, at the latest.
const SEEN_US: u64 = 2_000_000;

/// [SEC-C2]
pub(super) fn crashed(run: &Run) -> Option<Finding> {
    let (at, exited) = run.exited.as_ref()?;
    if run.gave_up.is_some_and(|(gave_up, _)| gave_up.event < at.event) {
        return None;
    }
    let mut message = match (exited.signal, exited.code) {
        (Some(signal), _) => format!("died of signal {signal}"),
        (None, code) => {
            let how = code.map_or_else(|| "ended".to_owned(), |code| format!("exited with {code}"));
            format!("{how}, and {}", ended_its_application(run, *exited)?)
        }
    };
    let met = last_unusual(run, *at);
    if let Some((unusual, what)) = &met {
        let after = seconds(at.t_us.saturating_sub(unusual.t_us));
        message += &format!("; the last unusual thing that it met, {after} before, was {what}");
    }
    let mut finding = run.finding(FindingKind::Crash, req::SEC_C2, run.conn(), *at, message);
    finding.frames.splice(0..0, met.map(|(unusual, _)| unusual.event));
    Some(finding)
}

/// What a driver that ends has not done, where it was to begin a session and nobody had asked it to go: it goes when it has told the
/// end of the session and what is left. One that is told so and exits with 0 may have been slow to say what is left.
fn ended_its_application(run: &Run, exited: Exited) -> Option<&'static str> {
    let has_begun = run.is_driven() && run.call(Call::Start).is_some();
    let said = |what| run.told.iter().any(|(_, told)| told.what == what);
    match has_begun {
        true if !said(ToldWhat::Ended) => Some("its application was never told the end of the session"),
        true if !said(ToldWhat::Left) && exited.code != Some(0) => Some("its application with it, after the session"),
        _ => None,
    }
}

/// The last thing before this that no ideal session has: of what the server did, or a call that had not come back.
fn last_unusual(run: &Run, before: At) -> Option<(At, String)> {
    let facts = run.last().map(|wire| &wire.facts);
    let from_server = facts.into_iter().flat_map(unusual);
    let has_begun = facts.is_some_and(|facts| facts.ready.is_some());
    let is_back = |number: u32| run.returns.iter().any(|(_, one)| one.number == number);
    let pending = run.calls.iter().filter(|(_, called)| !is_back(called.number));
    let pending = pending.filter(|(_, called)| !has_begun || called.what != Call::Start);
    let pending = pending.map(|(at, called)| (*at, format!("call {}, {}", called.number, called.what.as_str())));
    from_server.chain(pending).filter(|(at, _)| at.event < before.event).max_by_key(|(at, _)| at.event)
}

fn unusual(facts: &Facts) -> Vec<(At, String)> {
    let odd = facts.odd.iter().map(|at| (*at, "a message that is none".to_owned()));
    let errors = facts.errors.iter().map(|(at, error)| (*at, format!("the error `{}`", error.code.as_str())));
    let fatal = facts.fatal.iter().map(|(at, error)| (*at, format!("the fatal error `{}`", error.code.as_str())));
    let close = facts.server_close.iter().map(|(at, code)| match code {
        Some(code) => (*at, format!("a Close with {}", code.0)),
        None => (*at, "a Close without a code".to_owned()),
    });
    let end = if facts.is_reset { "a reset" } else { "the end of the transport" };
    // What follows the client's end answers it.
    let by_server = facts.server_eof.filter(|eof| facts.client_eof.is_none_or(|client| eof.event < client.event));
    let eof = by_server.map(|at| (at, end.to_owned()));
    odd.chain(errors).chain(fatal).chain(close).chain(eof).collect()
}

/// The findings of a run without those that only say once more that its process died.
pub(super) fn alone(run: &Run, mut found: Vec<Finding>) -> Vec<Finding> {
    let Some((exit, _)) = run.exited.as_ref().filter(|_| found.iter().any(|one| one.requirement == req::SEC_C2)) else {
        return found;
    };
    let ends = run.wires.values().filter_map(|wire| wire.facts.client_eof);
    let ends = ends.filter(|eof| exit.t_us.saturating_sub(eof.t_us) <= SEEN_US).map(|eof| eof.event);
    let died = ends.min().unwrap_or(exit.event).min(exit.event);
    // That it was a message that is none is told beside it. [MSG-C1]
    found.retain(|one| {
        [req::SEC_C2, req::MSG_C1].contains(&one.requirement) || one.frames.last().is_none_or(|at| *at < died)
    });
    found
}
