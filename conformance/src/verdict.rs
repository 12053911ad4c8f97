//! Owns the step from what the judge says of one case to the case's verdict, and from all cases to a requirement's. Pure.

use std::collections::BTreeMap;

use lastword_judge::{Finding, Judgement};
use lastword_spec::finding::{Culprit, Verdict};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements;
use lastword_spec::trace::Side;

use crate::case::{Case, Unexercised};
use crate::run::CONTROL_FAILED;

/// What stands beside the trace of a case.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// What the case waited for in vain.
    pub unmet: Vec<String>,
    /// Why a control session of the case did not complete, if one did not.
    pub control_failed: Option<String>,
    /// When the case began, in microseconds since the run did; `None` where that is not known. No verdict of the case alone depends on it.
    pub begun_us: Option<u64>,
}

/// The verdict of one case, and the reason where there is one to give.
#[must_use]
pub fn of_case(case: &Case, judgement: &Judgement, circumstances: &Circumstances) -> (Verdict, Option<String>) {
    let subject = culprit(case.subject());
    let ours = judgement.findings.iter().find(|finding| finding.culprit != subject);
    if let Some(finding) = ours {
        return (
            Verdict::HarnessError,
            Some(format!("the harness broke {}: {}", finding.requirement, finding.message)),
        );
    }
    if let Some(worst) = worst(&judgement.findings) {
        return (worst, None);
    }
    let undecided = case.covers.iter().find_map(|id| judgement.undecided.get(id).map(|why| format!("{why} [{id}]")));
    if let Some(why) = undecided.or_else(|| circumstances.unmet.first().cloned()) {
        return (Verdict::Inconclusive, Some(why));
    }
    if let Some(why) = &circumstances.control_failed {
        return (Verdict::Inconclusive, Some(format!("{CONTROL_FAILED}{why}")));
    }
    // A SHOULD that was broken is decided as well.
    let decided = |id: &RequirementId| {
        judgement.exercised.contains(id) || judgement.findings.iter().any(|finding| finding.requirement == *id)
    };
    let binding = case.covers.iter().filter(|id| !judgement.not_binding.contains(id));
    let missing: Vec<RequirementId> = binding.filter(|id| !decided(id)).copied().collect();
    if missing.is_empty() {
        let broken_should = !judgement.findings.is_empty();
        return (if broken_should { Verdict::NonStrict } else { Verdict::Pass }, None);
    }
    match &case.unexercised {
        Unexercised::NotTested => (Verdict::NotTested, Some(never_arose(&missing, judgement))),
        Unexercised::Inconclusive(why) => (Verdict::Inconclusive, Some(format!("{why} ({})", listed(&missing)))),
    }
}

/// What is said of requirements that were not exercised. Where one was broken within what is tolerated, its condition did arise.
fn never_arose(missing: &[RequirementId], judgement: &Judgement) -> String {
    let (arose, never): (Vec<RequirementId>, Vec<RequirementId>) =
        missing.iter().partition(|id| judgement.tolerated.contains_key(id));
    let never = (!never.is_empty()).then(|| format!("the condition never arose for {}", listed(&never)));
    let arose = arose.iter().map(|id| format!("it {} [{id}]", judgement.tolerated[id]));
    never.into_iter().chain(arose).collect::<Vec<_>>().join("; ")
}

fn listed(ids: &[RequirementId]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
}

/// A side as a party that can be at fault.
pub(crate) fn culprit(side: Side) -> Culprit {
    match side {
        Side::Client => Culprit::Client,
        Side::Server => Culprit::Server,
    }
}

/// The gravest verdict that findings against a MUST give; `None` where there are none.
pub(crate) fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Option<Verdict> {
    let breaches = findings.into_iter().filter(|finding| breaks_a_must(finding));
    breaches.map(|finding| finding.kind.verdict()).max_by_key(gravity)
}

/// Whether the finding is against a MUST or a MUST NOT.
#[must_use]
pub fn breaks_a_must(finding: &Finding) -> bool {
    requirements::find(finding.requirement.as_str()).is_none_or(|requirement| requirement.level.is_absolute())
}

fn gravity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Pass | Verdict::NotApplicable | Verdict::NotTested => 0,
        Verdict::NonStrict => 1,
        Verdict::Inconclusive => 2,
        Verdict::Fail => 3,
        Verdict::Livelock => 4,
        Verdict::Deadlock => 5,
        Verdict::Hung => 6,
        Verdict::HarnessError => 7,
    }
}

/// What one case contributes to the requirements.
pub struct Contribution<'a> {
    /// The case.
    pub case: &'a Case,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its judgement, if it was run.
    pub judgement: Option<&'a Judgement>,
    /// Those of its findings that stand.
    pub findings: Vec<&'a Finding>,
}

/// The verdict of a requirement over all cases: the best evidence, and no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfRequirement {
    /// The verdict.
    pub verdict: Verdict,
    /// The cases that cover it.
    pub cases: Vec<String>,
}

/// Every requirement that a case covers or a finding names, with its verdict.
#[must_use]
pub fn of_requirements(contributions: &[Contribution<'_>]) -> BTreeMap<RequirementId, OfRequirement> {
    let mut all: BTreeMap<RequirementId, OfRequirement> = BTreeMap::new();
    for one in contributions {
        for id in &one.case.covers {
            let entry = all.entry(*id).or_insert_with(untested);
            entry.cases.push(one.case.id.clone());
            entry.verdict = better(entry.verdict, evidence(one, *id));
        }
    }
    for one in contributions {
        // A case whose failure could not be repeated decides nothing, neither way.
        if !(one.verdict.is_failure() || one.verdict == Verdict::NonStrict) {
            continue;
        }
        for finding in &one.findings {
            let entry = all.entry(finding.requirement).or_insert_with(untested);
            let found = if breaks_a_must(finding) { finding.kind.verdict() } else { Verdict::NonStrict };
            if gravity(&found) > gravity(&entry.verdict) || !is_grave(entry.verdict) {
                entry.verdict = found;
            }
        }
    }
    all
}

fn untested() -> OfRequirement {
    OfRequirement { verdict: Verdict::NotTested, cases: Vec::new() }
}

/// What a case says about a requirement that it covers, findings aside.
fn evidence(one: &Contribution<'_>, id: RequirementId) -> Verdict {
    if one.judgement.is_some_and(|judgement| judgement.not_binding.contains(&id)) {
        return Verdict::NotApplicable;
    }
    let exercised = one.judgement.is_some_and(|judgement| judgement.exercised.contains(&id));
    match one.verdict {
        Verdict::Pass | Verdict::NonStrict => Verdict::Pass,
        // Another requirement of the same case was not exercised; this one was, and kept.
        Verdict::NotTested if exercised => Verdict::Pass,
        // The case failed by another requirement: what it saw of this one proves nothing.
        verdict if verdict.is_failure() => Verdict::Inconclusive,
        verdict => verdict,
    }
}

fn better(left: Verdict, right: Verdict) -> Verdict {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Pass => 5,
        Verdict::HarnessError => 4,
        Verdict::Inconclusive => 3,
        Verdict::NotApplicable => 2,
        _ => 1,
    };
    if rank(right) > rank(left) { right } else { left }
}

fn is_grave(verdict: Verdict) -> bool {
    verdict.is_failure() || verdict == Verdict::NonStrict
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lastword_spec::finding::FindingKind;
    use lastword_spec::requirements::{AUD_S6, END_S2, END_S5, END_S9};
    use lastword_spec::table::State;

    use super::*;

    fn case(unexercised: Unexercised) -> Case {
        Case {
            id: "server/end/x".into(),
            title: String::new(),
            covers: vec![END_S5],
            needs: Vec::new(),
            attempts: 1,
            unexercised,
            negative: true,
            timer: None,
            steps: Vec::new(),
            steps_as_written: Vec::new(),
            script: None,
        }
    }

    fn finding(kind: FindingKind, requirement: RequirementId, culprit: Culprit) -> Finding {
        Finding {
            kind,
            culprit,
            requirement,
            message: "said so".into(),
            conn: 0,
            state: State::Draining,
            frames: vec![0],
            t_us: 0,
        }
    }

    fn judgement(findings: Vec<Finding>, exercised: &[RequirementId]) -> Judgement {
        Judgement { findings, exercised: BTreeSet::from_iter(exercised.iter().copied()), ..Judgement::default() }
    }

    fn contribution<'a>(case: &'a Case, verdict: Verdict, judgement: &'a Judgement) -> Contribution<'a> {
        Contribution { case, verdict, judgement: Some(judgement), findings: judgement.findings.iter().collect() }
    }

    fn verdict(judgement: &Judgement, circumstances: &Circumstances) -> Verdict {
        of_case(&case(Unexercised::NotTested), judgement, circumstances).0
    }

    #[test]
    fn a_case_passes_only_if_nothing_was_found_and_everything_it_covers_was_exercised() {
        let calm = Circumstances::default();
        assert_eq!(verdict(&judgement(vec![], &[END_S5]), &calm), Verdict::Pass);
        assert_eq!(verdict(&judgement(vec![], &[]), &calm), Verdict::NotTested);
        let broken = vec![finding(FindingKind::WrongValue, END_S9, Culprit::Server)];
        assert_eq!(verdict(&judgement(broken, &[END_S5]), &calm), Verdict::Fail);
        let stubborn = case(Unexercised::Inconclusive("drain too fast".into()));
        let (verdict, reason) = of_case(&stubborn, &judgement(vec![], &[]), &calm);
        assert_eq!((verdict, reason.as_deref()), (Verdict::Inconclusive, Some("drain too fast (END-S5)")));
    }

    #[test]
    fn what_is_tolerated_is_said_and_not_that_its_condition_never_arose() {
        let case = Case { covers: vec![AUD_S6, END_S5], ..case(Unexercised::NotTested) };
        let silent = Judgement {
            tolerated: BTreeMap::from([(END_S5, "was silent for 3000 ms".to_owned())]),
            ..judgement(vec![], &[])
        };
        let (verdict, reason) = of_case(&case, &silent, &Circumstances::default());
        let said = "the condition never arose for AUD-S6; it was silent for 3000 ms [END-S5]";
        assert_eq!((verdict, reason.as_deref()), (Verdict::NotTested, Some(said)));
    }

    #[test]
    fn a_failed_control_or_an_unmet_wait_takes_the_pass_but_not_the_finding() {
        let failed = Circumstances { control_failed: Some("no ready".into()), ..Circumstances::default() };
        let unmet = Circumstances { unmet: vec!["waited in vain".into()], ..Circumstances::default() };
        for circumstances in [failed, unmet] {
            assert_eq!(verdict(&judgement(vec![], &[END_S5]), &circumstances), Verdict::Inconclusive);
            let found = vec![finding(FindingKind::Stalled, END_S2, Culprit::Server)];
            assert_eq!(verdict(&judgement(found, &[END_S5]), &circumstances), Verdict::Fail);
        }
    }

    #[test]
    fn the_gravest_finding_gives_the_verdict_and_a_should_alone_is_not_strict() {
        let calm = Circumstances::default();
        let both = vec![
            finding(FindingKind::WrongValue, END_S9, Culprit::Server),
            finding(FindingKind::Unresponsive, END_S2, Culprit::Server),
        ];
        assert_eq!(verdict(&judgement(both, &[END_S5]), &calm), Verdict::Hung);
        let should = vec![finding(FindingKind::WrongAnswer, AUD_S6, Culprit::Server)];
        assert_eq!(verdict(&judgement(should.clone(), &[END_S5]), &calm), Verdict::NonStrict);
        let about_it = Case { covers: vec![AUD_S6], ..case(Unexercised::NotTested) };
        assert_eq!(of_case(&about_it, &judgement(should, &[]), &calm).0, Verdict::NonStrict);
        let ours = vec![finding(FindingKind::AudioAfterEnd, END_S5, Culprit::Client)];
        assert_eq!(verdict(&judgement(ours, &[END_S5]), &calm), Verdict::HarnessError);
    }

    #[test]
    fn a_requirement_takes_its_best_evidence_and_any_failure() {
        let case = case(Unexercised::NotTested);
        let good = judgement(vec![], &[END_S5]);
        let bad = judgement(vec![finding(FindingKind::WrongValue, END_S9, Culprit::Server)], &[END_S5]);
        let all = of_requirements(&[
            contribution(&case, Verdict::Inconclusive, &good),
            contribution(&case, Verdict::Pass, &good),
        ]);
        assert_eq!(all[&END_S5].verdict, Verdict::Pass);
        let all =
            of_requirements(&[contribution(&case, Verdict::Pass, &good), contribution(&case, Verdict::Fail, &bad)]);
        assert_eq!((all[&END_S5].verdict, all[&END_S9].verdict), (Verdict::Pass, Verdict::Fail));
        let unrepeated = of_requirements(&[contribution(&case, Verdict::Inconclusive, &bad)]);
        assert!(!unrepeated.contains_key(&END_S9), "what could not be repeated convicts nobody");
    }
}
