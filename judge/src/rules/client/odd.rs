//! What a message that is none did to a client: a client that comes to its end in one session and in the next, where such a
//! message came, does not, fell over that message, wherever it shows. Owns that comparison; what shows is found by the other rules.

use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;

use super::{Run, outcome};
use crate::bounds::Scale;
use crate::conn::At;
use crate::report::Finding;

/// The findings of a run as they are to be told, where an earlier run without such a message came to its end.
pub(super) fn explain(run: &Run, found: Vec<Finding>) -> Vec<Finding> {
    let Some(odd) = met(run) else { return found };
    // [SEC-C2] A crash is told beside it.
    let is_other = |one: &Finding| {
        one.requirement == req::SEC_C2 || !breaks_a_must(one) || one.frames.last().is_none_or(|at| *at < odd.event)
    };
    let (mut told, fell): (Vec<Finding>, Vec<Finding>) = found.into_iter().partition(is_other);
    let Some(first) = fell.iter().min_by_key(|one| one.t_us) else { return told };
    let message = format!("{}: only where a message that is none had come", first.message);
    let at = At { event: first.frames.last().copied().unwrap_or(odd.event), t_us: first.t_us };
    let mut finding = run.finding(FindingKind::WrongAnswer, req::MSG_C1, first.conn, at, message);
    finding.frames.insert(0, odd.event);
    told.push(finding);
    told
}

/// The first message that is none, of a session that had begun.
fn met(run: &Run) -> Option<At> {
    let facts = &run.last()?.facts;
    facts.odd.first().copied().filter(|_| facts.ready.is_some() && facts.fatal.is_none())
}

/// Whether a run without such a message ended as it should have.
pub(super) fn came_to_its_end(run: &Run, found: &[Finding], scale: Scale) -> bool {
    let Some(facts) = run.last().map(|wire| &wire.facts) else { return false };
    let as_expected = outcome::expected(run, scale).zip(outcome::observed(run));
    !found.iter().any(breaks_a_must)
        && facts.odd.is_empty()
        && facts.ended.is_some()
        && as_expected.is_some_and(|((expected, _), (_, observed))| observed.fits(expected))
}

fn breaks_a_must(finding: &Finding) -> bool {
    req::find(finding.requirement.as_str()).is_some_and(|requirement| requirement.level.is_absolute())
}
