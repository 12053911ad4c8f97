//! Owns the known-failure file: its form, its errors, and which results it covers. Knows nothing of how a case fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;
use serde::Deserialize;

use crate::case::Case;

/// One failure that its owner knows of.
#[derive(Clone, Debug)]
pub struct Known {
    /// The case, or a glob over the cases of one area.
    pub id: String,
    /// Why it is tolerated.
    pub reason: String,
    /// Where it is followed up.
    pub issue: Option<String>,
    /// The day from which it is tolerated no longer.
    pub expires: Option<Date>,
    cases: Vec<String>,
}

/// The known failures of a run, and what is wrong with their list.
#[derive(Clone, Debug, Default)]
pub struct KnownFailures {
    entries: Vec<Known>,
    faults: Vec<String>,
}

/// Why a known-failure file cannot be used at all. The caller's fault.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", path.display())]
pub struct KnownError {
    path: PathBuf,
    detail: String,
}

/// A glob that covers more cases than this says nothing about any of them.
const MAX_CASES: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    reason: String,
    #[serde(default)]
    issue: Option<String>,
    #[serde(default)]
    expires: Option<String>,
}

impl KnownFailures {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not the TOML it should be. What is merely wrong in it becomes a fault of the list.
    pub fn read(path: &Path, cases: &[&Case], today: Date) -> Result<Self, KnownError> {
        let wrong = |detail: String| KnownError { path: path.to_owned(), detail };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, cases, today).map_err(wrong)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// It is not the TOML it should be.
    pub fn parse(text: &str, cases: &[&Case], today: Date) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut list = Self::default();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for entry in file.known {
            list.add(entry, cases, today, &mut taken)?;
        }
        Ok(list)
    }

    /// The entry that covers a case.
    #[must_use]
    pub fn entry_of(&self, case: &str) -> Option<&Known> {
        self.entries.iter().find(|known| known.cases.iter().any(|covered| covered == case))
    }

    /// What is wrong with the list, given which cases passed: each line is a reason for exit code 4.
    #[must_use]
    pub fn faults(&self, passed: impl Fn(&str) -> bool, ran: impl Fn(&str) -> bool) -> Vec<String> {
        let mut faults = self.faults.clone();
        for known in &self.entries {
            let ran: Vec<&String> = known.cases.iter().filter(|case| ran(case)).collect();
            if !ran.is_empty() && ran.iter().all(|case| passed(case)) {
                faults.push(format!("`{}` is listed as a known failure and passes: take it off the list", known.id));
            }
        }
        faults
    }

    fn add(&mut self, entry: Entry, cases: &[&Case], today: Date, taken: &mut BTreeSet<String>) -> Result<(), String> {
        let expires =
            entry.expires.as_deref().map(parse_date).transpose().map_err(|why| format!("{}: {why}", entry.id))?;
        let matcher = matcher(&entry.id)?;
        let covered: Vec<&&Case> = cases.iter().filter(|case| matcher.is_match(&case.id)).collect();
        let areas: BTreeSet<&str> = covered.iter().map(|case| case.area()).collect();
        let id = &entry.id;
        let mut fault = None;
        if covered.is_empty() {
            fault = Some(format!("`{id}` is the name of no case; `lastword list` shows them"));
        } else if areas.len() > 1 || covered.len() > MAX_CASES {
            fault = Some(format!(
                "`{id}` covers {} cases in {} areas: at most {MAX_CASES} cases of one area may stand in one entry",
                covered.len(),
                areas.len()
            ));
        } else if entry.reason.trim().is_empty() {
            fault = Some(format!("`{id}` has no reason"));
        } else if let Some(twice) = covered.iter().find(|case| taken.contains(&case.id)) {
            fault = Some(format!("`{}` is listed twice (the second time by `{id}`)", twice.id));
        } else if let Some(expired) = expires.filter(|expires| *expires <= today) {
            fault = Some(format!("`{id}` has expired on {expired}: mend it, or give it another date and say why"));
        }
        if let Some(fault) = fault {
            self.faults.push(fault);
            return Ok(());
        }
        let covered: Vec<String> = covered.iter().map(|case| case.id.clone()).collect();
        taken.extend(covered.iter().cloned());
        self.entries.push(Known { id: entry.id, reason: entry.reason, issue: entry.issue, expires, cases: covered });
        Ok(())
    }
}

/// Today, in UTC.
#[must_use]
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`expires` is a day such as 2031-12-31, not `{text}`"))
}

fn matcher(id: &str) -> Result<GlobMatcher, String> {
    Glob::new(id).map(|glob| glob.compile_matcher()).map_err(|error| format!("`{id}` is no name and no glob: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::catalogue;

    const TODAY: Date = jiff::civil::date(2030, 6, 15);

    fn parse(text: &str) -> KnownFailures {
        let cases: Vec<&Case> = catalogue().iter().collect();
        KnownFailures::parse(text, &cases, TODAY).expect("TOML of the right form")
    }

    fn entry(id: &str, more: &str) -> String {
        format!("[[known]]\nid = \"{id}\"\nreason = \"r\"\n{more}\n")
    }

    fn only_fault(text: &str) -> String {
        let faults = parse(text).faults(|_| false, |_| true);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].clone()
    }

    #[test]
    fn a_listed_failure_is_covered_with_its_reason() {
        let list = parse(&entry("server/end/second-sentinel", "issue = \"#7\"\nexpires = \"2031-01-01\""));
        let known = list.entry_of("server/end/second-sentinel").expect("covered");
        assert_eq!((known.reason.as_str(), known.issue.as_deref()), ("r", Some("#7")));
        assert!(list.entry_of("server/end/plain").is_none());
        assert!(list.faults(|_| false, |_| true).is_empty());
    }

    #[test]
    fn a_listed_case_that_passes_is_stale_and_one_that_did_not_run_is_not() {
        let list = parse(&entry("server/end/second-sentinel", ""));
        assert!(list.faults(|_| true, |_| true)[0].contains("passes"));
        assert!(list.faults(|_| true, |_| false).is_empty());
    }

    #[test]
    fn unknown_duplicate_expired_and_over_wide_entries_are_faults() {
        assert!(only_fault(&entry("server/end/no-such-case", "")).contains("no case"));
        let twice = entry("server/end/second-sentinel", "").repeat(2);
        assert!(only_fault(&twice).contains("listed twice"));
        assert!(only_fault(&entry("server/end/second-sentinel", "expires = \"2030-06-15\"")).contains("expired"));
        assert!(only_fault(&entry("server/*", "")).contains("areas"));
        assert!(only_fault(&entry("server/end/second-sentinel", "").replace("\"r\"", "\" \"")).contains("no reason"));
    }

    #[test]
    fn what_is_not_the_right_toml_is_refused_as_a_whole() {
        let cases: Vec<&Case> = catalogue().iter().collect();
        for text in ["known = 1", "[[known]]\nid = \"x\"", "[[known]]\nid=\"x\"\nreason=\"r\"\nwhy=\"w\"", "[[known"] {
            assert!(KnownFailures::parse(text, &cases, TODAY).is_err(), "{text}");
        }
        assert!(
            KnownFailures::parse(&entry("server/end/second-sentinel", "expires = \"soon\""), &cases, TODAY).is_err()
        );
    }
}
