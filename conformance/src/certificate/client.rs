//! Owns what the certificate of a client shows: how the requirements of a client stand. Clients have no levels as servers have;
//! what was seen of one, its wire or also its application, is level 0 or 1 of the run. Pure.

use std::fmt::Write as _;

use lastword_spec::finding::Verdict;
use lastword_spec::registry::Role;
use lastword_spec::requirements;

use crate::report::RequirementReport;
use crate::run::Knowledge;

/// How the testable MUSTs of a client stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientStanding {
    /// What was seen of it: 0 its wire and its exit, 1 also what its application was told.
    pub level: u8,
    /// Those that it kept where a case looked for them.
    pub kept: Vec<String>,
    /// Those that it broke.
    pub broken: Vec<String>,
    /// Those that no case decided.
    pub open: Vec<String>,
    /// Those that its dialect has nothing of.
    pub not_binding: Vec<String>,
}

impl ClientStanding {
    /// What the verdicts of the requirements come to.
    pub(super) fn of(level: u8, verdicts: &[RequirementReport], knowledge: &Knowledge) -> Self {
        let mut standing = Self { level, ..Self::default() };
        let musts = requirements::ALL.iter().filter(|one| {
            matches!(one.role, Role::Client | Role::Both) && one.level.is_absolute() && one.untestable.is_none()
        });
        for must in musts {
            let verdict = verdicts.iter().find(|one| one.id == must.id.as_str()).map(|one| one.verdict.as_str());
            let list = match verdict {
                _ if !knowledge.binds(must.id) => &mut standing.not_binding,
                Some(verdict) if is(verdict, &[Verdict::Pass, Verdict::NonStrict]) => &mut standing.kept,
                Some(verdict) if is(verdict, &[Verdict::Fail, Verdict::Deadlock, Verdict::Livelock, Verdict::Hung]) => {
                    &mut standing.broken
                }
                _ => &mut standing.open,
            };
            list.push(must.id.to_string());
        }
        standing
    }

    /// In lines, each after this indent.
    pub(super) fn lines(&self, indent: &str) -> String {
        let mut text = String::new();
        let seen = match self.level {
            0 => "its frames and its exit",
            _ => "its frames, and what a driver told of its application",
        };
        let _ = writeln!(text, "{indent}a client, seen at level {}: {seen}", self.level);
        let all = self.kept.len() + self.broken.len() + self.open.len();
        let _ = writeln!(text, "{indent}  {} of {all} MUSTs kept", self.kept.len());
        for (what, ids) in [
            ("broken", &self.broken),
            ("decided by no case", &self.open),
            ("not binding on this subject", &self.not_binding),
        ] {
            if !ids.is_empty() {
                let _ = writeln!(text, "{indent}  {what}: {}", ids.join(", "));
            }
        }
        text
    }
}

fn is(verdict: &str, some: &[Verdict]) -> bool {
    some.iter().any(|one| one.as_str() == verdict)
}
