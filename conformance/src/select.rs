//! Owns the choice of cases by `--only` and `--skip`: names, globs over names, and requirement identifiers.

use globset::{Glob, GlobMatcher};

use crate::case::Case;

/// A choice that cannot be meant. The caller's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It is no glob.
    #[error("`{pattern}` is no name and no glob: {detail}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Nothing has this name.
    #[error("`{pattern}` is neither a case nor a requirement with a case; `lastword list` shows what there is")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// The choice leaves nothing.
    #[error("--only and --skip together leave no case")]
    Nothing,
}

/// The cases that some `only` names (all, if there is none) and no `skip` does, in their order.
///
/// # Errors
/// A pattern is malformed or matches nothing at all, or nothing is left: a choice that silently runs nothing is no choice.
pub fn select(cases: &'static [Case], only: &[String], skip: &[String]) -> Result<Vec<&'static Case>, SelectError> {
    let only = patterns(cases, only)?;
    let skip = patterns(cases, skip)?;
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|case| only.is_empty() || only.iter().any(|pattern| pattern.fits(case)))
        .filter(|case| !skip.iter().any(|pattern| pattern.fits(case)))
        .collect();
    if chosen.is_empty() { Err(SelectError::Nothing) } else { Ok(chosen) }
}

/// What is to be run.
#[derive(Debug)]
pub struct Choice {
    /// The cases, in their order.
    pub cases: Vec<&'static Case>,
    /// Whether the case beside the catalogue is to be run too.
    pub extra: bool,
}

/// As [`select`], with one case beside the catalogue; that one alone is a choice too.
///
/// # Errors
/// As [`select`].
pub fn choose(
    cases: &'static [Case],
    extra: &'static Case,
    only: &[String],
    skip: &[String],
) -> Result<Choice, SelectError> {
    let names_extra = |text: &&String| Glob::new(text).is_ok_and(|glob| glob.compile_matcher().is_match(&extra.id));
    let others = |texts: &[String]| -> Vec<String> {
        let among_cases = |text: &&String| !names_extra(text) || patterns(cases, std::slice::from_ref(*text)).is_ok();
        texts.iter().filter(among_cases).cloned().collect()
    };
    let wanted = only.is_empty() || only.iter().any(|text| names_extra(&text));
    let extra = wanted && !skip.iter().any(|text| names_extra(&text));
    let (only_cases, skip_cases) = (others(only), others(skip));
    if extra && only_cases.is_empty() && !only.is_empty() {
        return Ok(Choice { cases: Vec::new(), extra });
    }
    match select(cases, &only_cases, &skip_cases) {
        Err(SelectError::Nothing) if extra => Ok(Choice { cases: Vec::new(), extra }),
        chosen => chosen.map(|cases| Choice { cases, extra }),
    }
}

struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    fn fits(&self, case: &Case) -> bool {
        self.matcher.is_match(&case.id) || case.covers.iter().any(|id| id.as_str() == self.text)
    }
}

fn patterns(cases: &[Case], texts: &[String]) -> Result<Vec<Pattern>, SelectError> {
    texts
        .iter()
        .map(|text| {
            let glob = Glob::new(text)
                .map_err(|error| SelectError::Glob { pattern: text.clone(), detail: error.kind().to_string() })?;
            let pattern = Pattern { text: text.clone(), matcher: glob.compile_matcher() };
            if cases.iter().any(|case| pattern.fits(case)) {
                Ok(pattern)
            } else {
                Err(SelectError::NoMatch { pattern: text.clone() })
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::catalogue;

    fn choose(only: &[&str], skip: &[&str]) -> Result<usize, SelectError> {
        let texts = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        select(catalogue(), &texts(only), &texts(skip)).map(|cases| cases.len())
    }

    #[test]
    fn names_globs_and_requirements_choose() {
        assert_eq!(choose(&[], &[]), Ok(catalogue().len()));
        assert_eq!(choose(&["server/end/second-sentinel"], &[]), Ok(1));
        let area = choose(&["server/end/*"], &[]).expect("an area");
        assert_eq!(choose(&["server/end/*"], &["server/end/second-sentinel"]), Ok(area - 1));
        assert!(choose(&["END-S5"], &[]).expect("a requirement") >= 1);
    }

    #[test]
    fn a_pattern_that_matches_nothing_and_a_choice_of_nothing_are_errors() {
        assert!(matches!(choose(&["server/end/nonsense"], &[]), Err(SelectError::NoMatch { .. })));
        assert!(matches!(choose(&[], &["END-S99"]), Err(SelectError::NoMatch { .. })));
        assert!(matches!(choose(&["server/["], &[]), Err(SelectError::Glob { .. })));
        assert_eq!(choose(&["server/end/second-sentinel"], &["server/*"]), Err(SelectError::Nothing));
    }

    #[test]
    fn the_case_beside_the_catalogue_is_chosen_like_any_other() {
        let chosen = |only: &[&str], skip: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let choice = super::choose(catalogue(), crate::suite::case(), &own(only), &own(skip)).expect("a choice");
            (choice.cases.len(), choice.extra)
        };
        let all = catalogue().len();
        assert_eq!(chosen(&[], &[]), (all, true));
        assert_eq!(chosen(&["server/suite/*"], &[]), (0, true));
        assert_eq!(chosen(&["server/end/plain"], &[]), (1, false));
        assert_eq!(chosen(&["server/end/plain", "server/suite/w-method"], &[]), (1, true));
        assert_eq!(chosen(&[], &["server/suite/w-method"]), (all, false));
        assert_eq!(chosen(&["server/*"], &[]), (all, true));
        assert!(chosen(&["*"], &["server/e*/*"]).1);
    }
}
