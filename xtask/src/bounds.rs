//! How long a test program may take, told in the log of the part that ran it.
//!
//! Owns the reading of the log and the words. It must not know what is tested, nor run anything: see `runner`.

/// The longest that one test program takes on a quiet machine.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) what: &'static str,
    /// Its source, as cargo names it in its line `Running`.
    pub(crate) program: &'static str,
    pub(crate) most_s: u32,
    /// Whether the part fails without it. Only a part that runs alone on its machine may hold one.
    pub(crate) is_held: bool,
}

/// What became of a bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) line: String,
    /// Whether the part may pass.
    pub(crate) is_fine: bool,
}

impl Bound {
    /// Nothing where the program did not come to its end and need not have.
    pub(crate) fn tell(&self, log: &str) -> Option<Told> {
        let Self { what, most_s, is_held, .. } = self;
        let Some(took_s) = self.took_s(log) else {
            return is_held.then(|| Told { line: format!("{what}: NOT MEASURED, at most {most_s} s"), is_fine: false });
        };
        let in_time = took_s <= f64::from(*most_s);
        let remark = if in_time || *is_held { "" } else { "; more than that, and not held here" };
        Some(Told { line: format!("{what}: {took_s:.1} s, at most {most_s} s{remark}"), is_fine: in_time || !is_held })
    }

    /// As libtest says it, without the build; nothing where no test ran. Where it ran more than once the shortest counts: what else a
    /// machine does only lengthens it.
    fn took_s(&self, log: &str) -> Option<f64> {
        let running = format!("Running {} (", self.program);
        let lines: Vec<&str> = log.lines().map(str::trim_start).collect();
        let starts = (0..lines.len()).filter(|at| lines[*at].starts_with(&running));
        let results = starts.filter_map(|at| lines[at..].iter().find(|line| line.starts_with("test result:")));
        let ran = results.filter(|result| !result.contains(". 0 passed;"));
        let took = |result: &&str| result.rsplit_once("finished in ")?.1.trim_end().strip_suffix('s')?.parse().ok();
        ran.filter_map(took).min_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "     Running tests/other/main.rs (/t/other-1)\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 99.00s\n     \
        Running tests/some/main.rs (/t/some-1)\n\nrunning 10 tests\n\
        test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 26.04s\n";

    fn bound(most_s: u32, is_held: bool) -> Bound {
        Bound { what: "some", program: "tests/some/main.rs", most_s, is_held }
    }

    #[test]
    fn the_time_is_the_one_of_the_program_that_is_named() {
        let told = bound(30, true).tell(LOG).unwrap();
        assert_eq!(told, Told { line: "some: 26.0 s, at most 30 s".to_owned(), is_fine: true });
    }

    #[test]
    fn of_two_runs_the_shorter_counts() {
        for (one, other) in [("26.04", "41.00"), ("41.00", "26.04")] {
            let log = [one, other].map(|took| LOG.replace("26.04", took)).concat();
            assert_eq!(bound(30, true).tell(&log).unwrap().line, "some: 26.0 s, at most 30 s");
        }
        let log = LOG.replace("26.04", "41.00");
        assert!(!bound(30, true).tell(&[log.as_str(), &log].concat()).unwrap().is_fine);
    }

    #[test]
    fn only_a_bound_that_is_held_fails_a_part() {
        assert!(!bound(26, true).tell(LOG).unwrap().is_fine);
        let told = bound(26, false).tell(LOG).unwrap();
        assert!(told.is_fine && told.line.contains("not held"), "{told:?}");
    }

    #[test]
    fn a_bound_that_is_held_is_not_kept_by_a_program_that_ran_no_test() {
        for log in ["", &LOG.replace(". 10 passed", ". 0 passed")] {
            assert!(!bound(30, true).tell(log).unwrap().is_fine);
            assert_eq!(bound(30, false).tell(log), None);
        }
    }
}
