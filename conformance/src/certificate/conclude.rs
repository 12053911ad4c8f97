//! Owns what a run comes to as a whole: the requirements, the share of the state table, the level. Pure: the report of a run and
//! the verification of its certificate compute it by the same function.

use std::collections::BTreeMap;

use lastword_spec::registry::RequirementId;
use lastword_spec::trace::Side;

use super::level::{Facts, LevelReport, SuiteFacts, level};
use crate::coverage::{Coverage, coverage};
use crate::run::{CaseResult, Knowledge};
use crate::suite::SuiteRun;
use crate::verdict::{self, Contribution, OfRequirement};

/// What a run comes to as a whole.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// Every requirement that a case covers or a finding names.
    pub requirements: BTreeMap<RequirementId, OfRequirement>,
    /// The share of the server's state table that the subject was seen to go through.
    pub coverage: Coverage,
    /// The level, and what stands in its way.
    pub level: LevelReport,
}

/// How the subject as a whole came to its end before the run did, if it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// Its process ended.
    pub died: bool,
    /// All its sessions were cut in one moment, in a way that shows the same from outside.
    pub fell: bool,
}

/// What these results come to. `planned` is how many there were to be. Levels and the share of the server's state table are not
/// for clients: theirs are empty.
#[must_use]
pub fn conclude(
    results: &[CaseResult],
    planned: usize,
    knowledge: &Knowledge,
    suite: Option<&SuiteRun>,
    end: End,
) -> Conclusion {
    let contributions: Vec<Contribution<'_>> = results
        .iter()
        .map(|result| Contribution {
            case: result.case,
            verdict: result.verdict,
            judgement: result.evidence.as_ref().map(|evidence| &*evidence.judgement),
            findings: result.findings().collect(),
        })
        .collect();
    let requirements = verdict::of_requirements(&contributions);
    let role = results.first().map_or(Side::Server, |result| result.case.subject());
    if role == Side::Client {
        return Conclusion { requirements, coverage: Coverage::default(), level: LevelReport::default() };
    }
    let evidence = results.iter().flat_map(|result| result.evidence.iter().chain(&result.second));
    let sequences = suite.into_iter().flat_map(|suite| &suite.sequences);
    let evidence = evidence.chain(sequences.flat_map(|one| one.evidence.iter().chain(&one.second)));
    let coverage = coverage(evidence.map(|evidence| &evidence.judgement.visited));
    let suite = suite.map(|suite| SuiteFacts::of(&suite.summary));
    let facts = Facts { results, planned, knowledge, requirements: &requirements, suite, end };
    let level = level(&facts);
    Conclusion { requirements, coverage, level }
}
