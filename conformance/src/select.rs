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
}
