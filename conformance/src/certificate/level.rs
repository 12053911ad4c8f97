//! Owns the level of a subject: what a run proves as a whole, and if it proves nothing, exactly what stands in the way and what
//! to do about it. Pure. Level 3 is for servers that speak version 1 themselves; in a dialect level 1 is awarded, and level 2 never yet.

use std::collections::BTreeMap;

use lastword_spec::finding::Verdict;
use lastword_spec::registry::{Requirement, RequirementId};
use lastword_spec::requirements::{self, SEC_S3};
use serde::{Deserialize, Serialize};

use super::conclude::End;
use crate::case::catalogue;
use crate::run::{CaseResult, Knowledge, obstacle};
use crate::suite::{CASE_ID, SuiteSummary};
use crate::verdict::OfRequirement;

/// What a subject is certified for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Legal traces, as far as a dialect shows them.
    L1,
    /// Legal traces and the suite, as far as a dialect allows it. Never awarded yet.
    L2,
    /// Legal traces, the m-complete suite with release probes, progress and counters.
    L3,
}

impl Level {
    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

/// The level of a subject, and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelReport {
    /// The level; absent where the subject is not certified.
    pub level: Option<Level>,
    /// Why it cannot be higher, where that is not the subject's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<String>,
    /// What stands in the way; empty where nothing does.
    pub hindrances: Vec<Hindrance>,
    /// The m-complete suite that the level rests on; absent where it was not run.
    pub suite: Option<SuiteFacts>,
    /// MUSTs that were watched in every session and whose condition never arose. They stand in no level's way.
    pub never_arose: Vec<Aside>,
    /// MUSTs that do not bind this subject. They stand in no level's way.
    pub not_applicable: Vec<Aside>,
}

/// One thing that stands in the way of a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hindrance {
    /// What it is.
    pub what: String,
    /// The requirements that it concerns, if it concerns some.
    pub requirements: Vec<String>,
    /// What to do about it on the command line or at the subject; absent where the subject itself must be mended.
    pub remedy: Option<String>,
}

/// A MUST that was not decided and need not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aside {
    /// Its identifier.
    pub requirement: String,
    /// Why.
    pub why: String,
}

/// What the m-complete suite of a run was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFacts {
    /// The inputs that the sequences are made of.
    pub alphabet: Vec<String>,
    /// How many states the subject may have beyond those of the table (k).
    pub extra_states: usize,
    /// How many sequences there are.
    pub sequences: usize,
    /// How many of them the subject answered as the table says.
    pub conforming: usize,
    /// PASS, or what else the suite came to.
    pub verdict: String,
}

impl SuiteFacts {
    pub(super) fn of(summary: &SuiteSummary) -> Self {
        Self {
            alphabet: summary.alphabet.clone(),
            extra_states: summary.extra_states,
            sequences: summary.planned,
            conforming: summary.conforming,
            verdict: summary.verdict.clone(),
        }
    }
}

/// What a level is computed from.
pub struct Facts<'a> {
    /// The cases.
    pub results: &'a [CaseResult],
    /// How many there were to be.
    pub planned: usize,
    /// What is known besides their traces.
    pub knowledge: &'a Knowledge,
    /// What each requirement came to.
    pub requirements: &'a BTreeMap<RequirementId, OfRequirement>,
    /// The suite, if it was run.
    pub suite: Option<SuiteFacts>,
    /// How the subject as a whole came to its end.
    pub end: End,
}

/// The level of a server: 3 or none where it speaks version 1 itself, 1 or none in a dialect.
#[must_use]
pub fn level(facts: &Facts<'_>) -> LevelReport {
    let mut report = LevelReport { suite: facts.suite.clone(), ..LevelReport::default() };
    if facts.end.died {
        hinder(&mut report, "the subject's process ended before the run did", &[], None);
    } else if facts.end.fell {
        hinder(&mut report, "the subject lost all its sessions in one moment", &[SEC_S3], None);
    }
    if facts.results.len() != facts.planned {
        let what = format!("{} cases were planned and {} ran", facts.planned, facts.results.len());
        hinder(&mut report, &what, &[], None);
    }
    open_cases(&mut report, facts);
    if !heard_anything(facts) {
        // A subject that recognises nothing keeps every rule about results.
        let remedy = "send speech that it understands: --audio DIR".to_owned();
        hinder(&mut report, "no final with words came in any session", &[], Some(remedy));
    }
    let mut undecided: BTreeMap<(String, Option<String>), Vec<RequirementId>> = BTreeMap::new();
    let mut broken = Vec::new();
    for requirement in requirements::ALL.iter().filter(|one| one.is_testable_server_must()) {
        match standing(facts, requirement) {
            Standing::Kept => {}
            Standing::Broken => broken.push(requirement.id),
            Standing::NeverArose(why) => report.never_arose.push(aside(requirement.id, why)),
            Standing::NotApplicable(why) => report.not_applicable.push(aside(requirement.id, why)),
            Standing::Undecided { why, remedy } => undecided.entry((why, remedy)).or_default().push(requirement.id),
        }
    }
    if !broken.is_empty() {
        let what =
            if broken.len() == 1 { "1 MUST broken".to_owned() } else { format!("{} MUSTs broken", broken.len()) };
        hinder(&mut report, &what, &broken, None);
    }
    for ((why, remedy), ids) in undecided {
        let many = if ids.len() == 1 { "1 MUST".to_owned() } else { format!("{} MUSTs", ids.len()) };
        hinder(&mut report, &format!("{many} undecided: {why}"), &ids, remedy);
    }
    let highest = match &facts.knowledge.dialect {
        None => {
            suite(&mut report, facts);
            Level::L3
        }
        Some(dialect) => {
            let name = &dialect.name;
            report.at_most = Some(format!(
                "the dialect {name} shows whether sessions are legal and lose nothing; it has no answers for the W-method suite, and no \
                 progress and counters for more"
            ));
            Level::L1
        }
    };
    report.level = report.hindrances.is_empty().then_some(highest);
    report
}

fn hinder(report: &mut LevelReport, what: &str, ids: &[RequirementId], remedy: Option<String>) {
    let requirements = ids.iter().map(ToString::to_string).collect();
    report.hindrances.push(Hindrance { what: what.to_owned(), requirements, remedy });
}

fn aside(id: RequirementId, why: String) -> Aside {
    Aside { requirement: id.to_string(), why }
}

fn heard_anything(facts: &Facts<'_>) -> bool {
    let evidence = facts.results.iter().filter_map(|result| result.evidence.as_ref());
    evidence.flat_map(|one| &one.judgement.connections).any(|one| !one.transcript.is_empty())
}

/// A case that decided nothing although it was to decide something leaves a stall, or a breach, open.
fn open_cases(report: &mut LevelReport, facts: &Facts<'_>) {
    // The suite has a line of its own.
    for result in facts.results.iter().filter(|result| result.case.id != CASE_ID) {
        let open = match result.verdict {
            Verdict::Inconclusive => "is open",
            Verdict::HarnessError => "broke off by a fault of the harness",
            _ => continue,
        };
        let why = result.reason.as_deref().unwrap_or("nothing was decided");
        let remedy = (result.verdict == Verdict::Inconclusive).then(|| {
            format!(
                "`lastword explain {}` shows what it does; run it alone with --only and read its trace",
                result.case.id
            )
        });
        hinder(report, &format!("{} {open}: {why}", result.case.id), &result.case.covers, remedy);
    }
}

fn suite(report: &mut LevelReport, facts: &Facts<'_>) {
    match &facts.suite {
        None => {
            let remedy = format!("leave out --no-suite, --only and --skip, or name {CASE_ID} with --only");
            hinder(report, "the W-method suite was not run", &[], Some(remedy));
        }
        Some(suite) if suite.verdict != Verdict::Pass.as_str() => {
            let what = format!(
                "the W-method suite came to {}: {} of {} sequences were answered as the state table says",
                suite.verdict, suite.conforming, suite.sequences
            );
            hinder(report, &what, &[], None);
        }
        Some(_) => {}
    }
}

/// How a requirement stands after a run.
enum Standing {
    Kept,
    Broken,
    NeverArose(String),
    NotApplicable(String),
    Undecided { why: String, remedy: Option<String> },
}

fn standing(facts: &Facts<'_>, requirement: &Requirement) -> Standing {
    let id = requirement.id;
    if let Some(dialect) = facts.knowledge.dialect.as_ref().filter(|_| !facts.knowledge.binds(id)) {
        return Standing::NotApplicable(format!("the dialect {} has nothing of it", dialect.name));
    }
    let verdict = facts.requirements.get(&id).map_or(Verdict::NotTested, |one| one.verdict);
    match verdict {
        Verdict::Pass | Verdict::NonStrict => return Standing::Kept,
        verdict if verdict.is_failure() => return Standing::Broken,
        _ => {}
    }
    let covering: Vec<&CaseResult> = facts.results.iter().filter(|result| result.case.covers.contains(&id)).collect();
    if covering.is_empty() {
        let known = catalogue().iter().any(|case| case.covers.contains(&id));
        let why = if known { "their cases were left out" } else { "no case of this version looks for them" };
        let remedy = known.then(|| "leave out --only and --skip".to_owned());
        return Standing::Undecided { why: why.to_owned(), remedy };
    }
    let reason = |result: &CaseResult| result.reason.clone().unwrap_or_default();
    let unsettled = |verdict| matches!(verdict, Verdict::Inconclusive | Verdict::HarnessError);
    if let Some(open) = covering.iter().find(|result| unsettled(result.verdict) || result.verdict.is_failure()) {
        let why = format!("{} came to {}", open.case.id, open.verdict);
        return Standing::Undecided { why, remedy: None };
    }
    let mut aside = None;
    for result in covering {
        if result.evidence.is_some() {
            aside = Some(Standing::NeverArose(reason(result)));
            continue;
        }
        let Some(found) = obstacle(facts.knowledge, result.case) else {
            return Standing::Undecided { why: reason(result), remedy: None };
        };
        let why = found.text(facts.knowledge);
        match found.remedy(facts.knowledge) {
            Some(remedy) => return Standing::Undecided { why, remedy: Some(remedy) },
            None => aside = Some(aside.unwrap_or(Standing::NotApplicable(why))),
        }
    }
    aside.unwrap_or_else(|| Standing::Undecided { why: "no case decided them".to_owned(), remedy: None })
}
