//! What the certifications of a soak came to: one line of JSON each, kept between runs, and a table with the bound that the
//! numbers allow.
//!
//! Owns the file and the statistics. It must not start anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What one certification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing failed and nothing remained undecided.
    Passed,
    /// A case failed, or the subject died: a false alarm, or a fault of the subject.
    Failed,
    /// Nothing failed, and something remained undecided.
    Undecided,
    /// No report came: the subject did not start, or the harness failed.
    Broken,
}

/// One certification.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) stack: String,
    pub(crate) profile: String,
    seed: u64,
    /// Which harness.
    #[serde(default)]
    build: String,
    pub(crate) verdict: Verdict,
    exit_code: Option<i32>,
    passed_cases: u64,
    failed_cases: Vec<String>,
    undecided_cases: Vec<String>,
    not_tested_cases: u64,
    pub(crate) took_ms: u64,
    /// Where report and traces lie, below the folder of the soak.
    pub(crate) kept: Option<String>,
}

impl Record {
    pub(crate) fn new(stack: &str, profile: &str, seed: u64) -> Self {
        Self {
            stack: stack.to_owned(),
            profile: profile.to_owned(),
            seed,
            build: String::new(),
            verdict: Verdict::Broken,
            exit_code: None,
            passed_cases: 0,
            failed_cases: Vec::new(),
            undecided_cases: Vec::new(),
            not_tested_cases: 0,
            took_ms: 0,
            kept: None,
        }
    }

    /// Takes over a report and the exit code of the harness.
    pub(crate) fn read(&mut self, report: &Path, exit_code: Option<i32>) {
        self.exit_code = exit_code;
        let parsed = fs::read(report).ok().and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
        let Some(report) = parsed else {
            return self.broke("the harness left no report");
        };
        for case in report.cases {
            let with_id = |findings: &[Finding]| {
                let ids: Vec<&str> = findings.iter().map(|finding| finding.requirement.as_str()).collect();
                format!("{} {}", case.id, ids.join(" ")).trim().to_owned()
            };
            match case.verdict.as_str() {
                "PASS" | "NON_STRICT" => self.passed_cases += 1,
                "NOT_APPLICABLE" => {}
                "NOT_TESTED" => self.not_tested_cases += 1,
                "INCONCLUSIVE" => self.undecided_cases.push(case.id.clone()),
                _ => self.failed_cases.push(with_id(&case.findings)),
            }
        }
        if report.subject.died.is_some() {
            self.failed_cases.push("the subject died".to_owned());
        }
        self.verdict = match (self.failed_cases.is_empty(), self.undecided_cases.is_empty(), exit_code) {
            (false, ..) | (.., Some(1)) => Verdict::Failed,
            (true, true, Some(0)) if self.passed_cases > 0 => Verdict::Passed,
            (true, _, Some(0 | 3)) => Verdict::Undecided,
            _ => Verdict::Broken,
        };
    }

    /// Moves the folder `out` of a certification that did not pass to where such are kept, below `home`; any other goes.
    pub(crate) fn keep(&mut self, home: &Path, out: &Path, name: &str) {
        let kept = match self.verdict {
            Verdict::Passed => None,
            Verdict::Failed | Verdict::Broken => Some("failures"),
            Verdict::Undecided => Some("undecided"),
        };
        if let Some(folder) = kept {
            let to = home.join(folder).join(name);
            let _ = fs::remove_dir_all(&to);
            let _ = fs::create_dir_all(home.join(folder));
            if fs::rename(out, &to).is_ok() {
                self.kept = Some(format!("{folder}/{name}"));
            }
        }
        let _ = fs::remove_dir_all(out);
    }

    /// Notes that nothing came of it.
    pub(crate) fn broke(&mut self, why: &str) {
        self.verdict = Verdict::Broken;
        self.failed_cases.push(why.to_owned());
    }

    /// What is told of it while the soak runs.
    pub(crate) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Undecided => "undecided",
            Verdict::Broken => "BROKEN",
        };
        let Self { stack, profile, seed, passed_cases, .. } = self;
        let mut line = format!(
            "{verdict:<9} {stack:<14} {profile:<9} seed {seed:<4} {passed_cases} PASS, {} NOT_TESTED, {:.1} s",
            self.not_tested_cases,
            self.took_ms as f64 / 1_000.0
        );
        for case in self.failed_cases.iter().chain(&self.undecided_cases).take(MOST_CASES) {
            let _ = write!(line, "; {case}");
        }
        line
    }
}

/// The part of the harness's report that is read here.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    subject: Subject,
    cases: Vec<Case>,
}

#[derive(Default, Deserialize)]
struct Subject {
    died: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    verdict: String,
    #[serde(default)]
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    requirement: String,
}

/// All records of a folder.
pub(crate) struct Results {
    file: PathBuf,
    build: Option<String>,
    records: Vec<Record>,
    /// How many were there before this run.
    earlier: usize,
}

impl Results {
    /// Reads the file of the folder. `harness`: the program whose runs the table is about; without it, all are.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub(crate) fn load(home: &Path, harness: Option<&Path>) -> Result<Self> {
        let file = home.join("results.jsonl");
        let text =
            if file.is_file() { fs::read_to_string(&file).context("cannot read the results")? } else { String::new() };
        // A run that was cut off may have left half a line.
        let records: Vec<Record> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let build = match harness {
            Some(harness) => {
                let mut hasher = DefaultHasher::new();
                fs::read(harness).with_context(|| format!("cannot read {}", harness.display()))?.hash(&mut hasher);
                Some(format!("{:016x}", hasher.finish()))
            }
            None => None,
        };
        Ok(Self { file, build, earlier: records.len(), records })
    }

    /// How many certifications of this server under this profile there are, by whatever harness.
    pub(crate) fn recorded(&self, stack: &str, profile: &str) -> usize {
        self.records.iter().filter(|record| record.stack == stack && record.profile == profile).count()
    }

    /// Notes one more.
    ///
    /// # Errors
    /// The file cannot be written. The record is kept in memory all the same.
    pub(crate) fn add(&mut self, mut record: Record) -> Result<()> {
        record.build = self.build.clone().unwrap_or_default();
        let line = serde_json::to_string(&record)? + "\n";
        self.records.push(record);
        let mut file =
            OpenOptions::new().create(true).append(true).open(&self.file).context("cannot write the results")?;
        file.write_all(line.as_bytes()).context("cannot write the results")
    }

    /// The worst of what this run found; undecided only where none of a sort passed. `sort`: what a certification is one of; `None`
    /// where it need not pass.
    pub(crate) fn verdict_of_this_run(&self, sort: impl Fn(&Record) -> Option<String>) -> Verdict {
        let run = &self.records[self.earlier..];
        let has_passed = |record: &Record| record.verdict == Verdict::Passed;
        let mut passed: BTreeMap<String, bool> = BTreeMap::new();
        for (sort, record) in run.iter().filter_map(|record| Some((sort(record)?, record))) {
            *passed.entry(sort).or_default() |= has_passed(record);
        }
        match run
            .iter()
            .map(|record| record.verdict)
            .find(|verdict| matches!(verdict, Verdict::Failed | Verdict::Broken))
        {
            Some(verdict) => verdict,
            None if run.iter().any(has_passed) && passed.values().all(|passed| *passed) => Verdict::Passed,
            None => Verdict::Undecided,
        }
    }

    /// The table of these rows, each a name and a profile, and whether there is such a certification at all. `whom`: what the
    /// names are names of.
    pub(crate) fn table(&self, whom: &str, rows: &[(&str, &str, bool)]) -> String {
        let is_mine = |record: &&Record| self.build.as_ref().is_none_or(|build| *build == record.build);
        let mut text = format!(
            "\n{:<14} {:<10} {:>6} {:>7} {:>10} {:>8} {:>22}\n",
            whom, "profile", "runs", "failed", "undecided", "seconds", "failure rate below"
        );
        let mut all = Sum::default();
        for (stack, profile, fits) in rows {
            if !fits {
                let _ = writeln!(text, "{stack:<14} {profile:<10} {:>6}", "n/a");
                continue;
            }
            let of_row = |record: &&Record| record.stack == *stack && record.profile == *profile;
            let sum = Sum::of(self.records.iter().filter(is_mine).filter(of_row));
            let _ = writeln!(text, "{stack:<14} {profile:<10} {}", sum.columns());
            all.add(&sum);
        }
        let _ = writeln!(text, "{:<14} {:<10} {}", "all", "", all.columns());
        for record in self.records.iter().filter(is_mine).filter(|record| record.verdict == Verdict::Failed) {
            let kept = record.kept.as_deref().unwrap_or("nothing kept");
            let _ = writeln!(
                text,
                "FAILED {} {} seed {}: {} ({kept})",
                record.stack,
                record.profile,
                record.seed,
                record.failed_cases.join("; ")
            );
        }
        if self.build.is_some() {
            let every = Sum::of(self.records.iter());
            let _ = writeln!(
                text,
                "with every build of the harness so far: {} runs, {} failed, {} undecided",
                every.runs, every.failed, every.undecided
            );
        }
        text
    }
}

#[derive(Default)]
struct Sum {
    runs: usize,
    failed: usize,
    undecided: usize,
    took_ms: u64,
}

impl Sum {
    /// What did not come to a report says nothing about the harness's verdicts and is not counted.
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let mut sum = Self::default();
        for record in records.filter(|record| record.verdict != Verdict::Broken) {
            sum.runs += 1;
            sum.failed += usize::from(record.verdict == Verdict::Failed);
            sum.undecided += usize::from(record.verdict == Verdict::Undecided);
            sum.took_ms += record.took_ms;
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.undecided += other.undecided;
        self.took_ms += other.took_ms;
    }

    fn columns(&self) -> String {
        let seconds = self.took_ms as f64 / 1_000.0 / self.runs.max(1) as f64;
        let bound = if self.runs == 0 {
            "nothing known".to_owned()
        } else {
            format!("{:.2} % (95 %)", 100.0 * upper_bound(self.failed, self.runs))
        };
        format!("{:>6} {:>7} {:>10} {seconds:>8.1} {bound:>22}", self.runs, self.failed, self.undecided)
    }
}

/// The failure rate above which so few failures in so many runs come about in less than 5 % of all soaks (Clopper and
/// Pearson, one side). With no failure it is about 3 / `runs`.
fn upper_bound(failures: usize, runs: usize) -> f64 {
    if failures >= runs {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let rate = f64::midpoint(low, high);
        if at_most(failures, runs, rate) > 0.05 { low = rate } else { high = rate }
    }
    high
}

/// The probability of at most so many failures in so many runs.
fn at_most(failures: usize, runs: usize, rate: f64) -> f64 {
    let mut term = (1.0 - rate).powf(runs as f64);
    let mut sum = term;
    for k in 0..failures {
        term *= (runs - k) as f64 / (k + 1) as f64 * rate / (1.0 - rate);
        sum += term;
    }
    sum
}

const MOST_CASES: usize = 6;

#[cfg(test)]
#[path = "soak_results_tests.rs"]
mod tests;
