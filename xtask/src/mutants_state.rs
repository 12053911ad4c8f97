//! What is known of each mutant of the judge: found by cargo-mutants, kept between runs, summed up into a score.
//!
//! Owns when knowledge is stale: a kill holds while the mutated file is as it was, a survivor only while nothing of the
//! judge or of its tests has changed. It must not start anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// One change that cargo-mutants can make.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// `judge/src/ledger.rs:65:9: replace || with && in owed`.
    pub(crate) name: String,
    pub(crate) file: String,
    /// The line that is changed, without white space around it. Unlike its number it outlives changes elsewhere.
    line: String,
}

impl Mutant {
    /// The name without file and place.
    fn what(&self) -> &str {
        self.name.split_once(": ").map_or(self.name.as_str(), |(_, what)| what)
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// A test failed.
    Killed,
    /// All tests passed.
    Survived,
    /// The tests did not end.
    TimedOut,
    /// It does not compile.
    Unviable,
}

/// Fingerprints of what was tested.
pub(crate) struct Sources {
    whole: u64,
    files: BTreeMap<String, u64>,
}

impl Sources {
    /// Reads the judge with its tests and traces, and the specification's code.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for folder in ["judge", "spec/src"] {
            fingerprint(root, &root.join(folder), &mut files)?;
        }
        // The reasons for survivors and what is known test nothing.
        files.retain(|name, _| !name.starts_with("judge/mutants."));
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        Ok(Self { whole: hasher.finish(), files })
    }

    /// Of everything.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// Of one file; 0 where there is none.
    pub(crate) fn of(&self, file: &str) -> u64 {
        self.files.get(file).copied().unwrap_or_default()
    }
}

fn fingerprint(root: &Path, folder: &Path, files: &mut BTreeMap<String, u64>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            fingerprint(root, &path, files)?;
        } else {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.insert(name, hasher.finish());
        }
    }
    Ok(())
}

/// What cargo-mutants lists, with the changed lines.
///
/// # Errors
/// It is not what cargo-mutants writes, or names a file that is not there.
pub(crate) fn read_list(json: &[u8], tree: &Path) -> Result<Vec<Mutant>> {
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        file: String,
        span: Span,
    }
    #[derive(Deserialize)]
    struct Span {
        start: Place,
    }
    #[derive(Deserialize)]
    struct Place {
        line: usize,
    }
    let listed: Vec<Listed> = serde_json::from_slice(json).context("cannot read the list of mutants")?;
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut mutants = Vec::with_capacity(listed.len());
    for Listed { name, file, span } in listed {
        if !texts.contains_key(&file) {
            texts.insert(
                file.clone(),
                fs::read_to_string(tree.join(&file)).with_context(|| format!("cannot read {file}"))?,
            );
        }
        let line = texts[&file].lines().nth(span.start.line.saturating_sub(1)).unwrap_or_default().trim().to_owned();
        mutants.push(Mutant { name, file, line });
    }
    if mutants.is_empty() {
        bail!("cargo-mutants lists no mutants");
    }
    Ok(mutants)
}

/// What a run of cargo-mutants wrote down, also one that was cut short.
///
/// # Errors
/// There is no such file, or it is not what cargo-mutants writes.
pub(crate) fn read_outcomes(file: &Path) -> Result<BTreeMap<String, Outcome>> {
    #[derive(Deserialize)]
    struct Run {
        outcomes: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        scenario: serde_json::Value,
        summary: String,
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let run: Run = serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))?;
    let outcome = |one: &One| {
        let name = one.scenario.get("Mutant")?.get("name")?.as_str()?.to_owned();
        let outcome = match one.summary.as_str() {
            "CaughtMutant" => Outcome::Killed,
            "MissedMutant" => Outcome::Survived,
            "Timeout" => Outcome::TimedOut,
            "Unviable" => Outcome::Unviable,
            _ => return None,
        };
        Some((name, outcome))
    };
    Ok(run.outcomes.iter().filter_map(outcome).collect())
}

/// What earlier runs found.
pub(crate) struct State {
    file: PathBuf,
    known: BTreeMap<String, Known>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Known {
    outcome: Outcome,
    file: u64,
    whole: u64,
}

impl State {
    /// Nothing is known.
    pub(crate) fn empty(home: &Path) -> Self {
        Self { file: home.join("known.json"), known: BTreeMap::new() }
    }

    /// What the folder holds; nothing, if there is no such file.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn load(home: &Path) -> Result<Self> {
        let mut state = Self::empty(home);
        if state.file.is_file() {
            let text = fs::read_to_string(&state.file).context("cannot read what earlier runs found")?;
            state.known = serde_json::from_str(&text).context("cannot read what earlier runs found; use --fresh")?;
        }
        Ok(state)
    }

    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self) -> Result<()> {
        let text = serde_json::to_string(&self.known)?;
        fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn outcome(&self, mutant: &Mutant) -> Option<Outcome> {
        self.known.get(&mutant.name).map(|known| known.outcome)
    }

    /// Adds what this one does not know.
    pub(crate) fn recall(&mut self, other: Self) {
        for (name, known) in other.known {
            self.known.entry(name).or_insert(known);
        }
    }

    /// Drops what no longer holds.
    pub(crate) fn forget_stale(&mut self, mutants: &[Mutant], sources: &Sources) {
        let files: BTreeMap<&str, &str> =
            mutants.iter().map(|mutant| (mutant.name.as_str(), mutant.file.as_str())).collect();
        self.known.retain(|name, known| {
            let Some(file) = files.get(name.as_str()) else { return false };
            known.file == sources.of(file) && (known.outcome != Outcome::Survived || known.whole == sources.whole)
        });
    }

    /// Takes over what a run found.
    pub(crate) fn learn(&mut self, outcomes: &BTreeMap<String, Outcome>, sources: &Sources) {
        for (name, outcome) in outcomes {
            let file = sources.of(name.split(':').next().unwrap_or_default());
            self.known.insert(name.clone(), Known { outcome: *outcome, file, whole: sources.whole });
        }
    }

    /// The sum over these mutants.
    pub(crate) fn report<'a>(&self, mutants: &'a [Mutant], accepted: &'a Accepted) -> Report<'a> {
        let mut report = Report { total: mutants.len(), ..Report::default() };
        let mut used = BTreeSet::new();
        let mut settled = BTreeSet::new();
        for mutant in mutants {
            let entry = accepted.survivors.iter().position(|one| one.matches(mutant));
            match self.outcome(mutant) {
                None => {
                    report.untested += 1;
                    used.extend(entry);
                }
                Some(Outcome::Unviable) => report.unviable += 1,
                Some(Outcome::Killed) => report.killed += 1,
                Some(Outcome::TimedOut) => {
                    // It survives where the machine is less busy.
                    used.extend(entry);
                    report.timed_out.push(mutant);
                }
                Some(Outcome::Survived) => {
                    used.extend(entry);
                    let reason = entry.map(|entry| accepted.survivors[entry].reason.as_str());
                    report.survivors.push((mutant, reason));
                }
            }
            settled.extend(entry);
        }
        let stale = |(index, _): &(usize, &Survivor)| !used.contains(index);
        let seen: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
        report.stale = (accepted.survivors.iter().enumerate().filter(stale))
            .filter(|(index, one)| settled.contains(index) || report.untested == 0 || !seen.contains(one.file.as_str()))
            .map(|(_, one)| one)
            .collect();
        report
    }
}

/// The survivors that somebody looked at and found right: `judge/mutants.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Accepted {
    survivors: Vec<Survivor>,
}

/// The list as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "survivor")]
    survivors: Vec<Survivor>,
    #[serde(default, rename = "class")]
    classes: Vec<Class>,
}

/// Survivors that have one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    reason: String,
    /// Of each the file, the mutant and the changed line.
    survivors: Vec<[String; 3]>,
}

impl From<Written> for Accepted {
    fn from(written: Written) -> Self {
        let mut survivors = written.survivors;
        for Class { reason, survivors: class } in written.classes {
            survivors.extend(class.into_iter().map(|[file, mutant, line]| {
                let reason = reason.clone();
                Survivor { file, mutant, line: Some(line), reason }
            }));
        }
        Self { survivors }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Survivor {
    /// `judge/src/ledger.rs`.
    file: String,
    /// `replace || with && in owed`.
    mutant: String,
    /// The changed line without white space around it; absent: any.
    line: Option<String>,
    /// Why no test can or need notice.
    reason: String,
}

impl Survivor {
    fn matches(&self, mutant: &Mutant) -> bool {
        self.file == mutant.file
            && self.mutant == mutant.what()
            && self.line.as_ref().is_none_or(|line| *line == mutant.line)
    }
}

impl Accepted {
    /// # Errors
    /// The file is there and is not such a list, or an entry has no reason.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        if !file.is_file() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let accepted: Self = toml::from_str(&text).with_context(|| format!("cannot read {}", file.display()))?;
        if let Some(bare) = accepted.survivors.iter().find(|one| one.reason.trim().is_empty()) {
            bail!("{}: `{}` of {} has no reason", file.display(), bare.mutant, bare.file);
        }
        Ok(accepted)
    }

    /// Forgets the entries about other mutants: where not all are looked at, nothing shows that they are stale.
    pub(crate) fn keep_those_about(&mut self, mutants: &[Mutant]) {
        self.survivors.retain(|one| mutants.iter().any(|mutant| one.matches(mutant)));
    }
}

/// What all is worth.
#[derive(Default)]
pub(crate) struct Report<'a> {
    total: usize,
    untested: usize,
    unviable: usize,
    killed: usize,
    timed_out: Vec<&'a Mutant>,
    survivors: Vec<(&'a Mutant, Option<&'a str>)>,
    stale: Vec<&'a Survivor>,
}

impl Report<'_> {
    pub(crate) fn is_complete(&self) -> bool {
        self.untested == 0
    }

    /// Enough killed, and no entry of the list of survivors that is not one. A timeout counts as not killed.
    pub(crate) fn is_good(&self) -> bool {
        self.stale.is_empty() && self.viable() > 0 && self.killed * 100 >= self.viable() * LEAST_PERCENT
    }

    fn viable(&self) -> usize {
        self.killed + self.timed_out.len() + self.survivors.len()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let (reasoned, bare): (Vec<_>, Vec<_>) = self.survivors.iter().partition(|(_, reason)| reason.is_some());
        for (mutant, reason) in &reasoned {
            let _ = writeln!(text, "accepted  {}\n          {}", mutant.name, reason.unwrap_or_default());
        }
        for mutant in &self.timed_out {
            let _ = writeln!(text, "timeout   {}", mutant.name);
        }
        for (mutant, _) in &bare {
            let _ = writeln!(text, "survived  {}", mutant.name);
        }
        for one in &self.stale {
            let _ = writeln!(
                text,
                "error: judge/mutants.toml: no survivor is `{}` of {}; remove the entry",
                one.mutant, one.file
            );
        }
        let percent = |part: usize| part as f64 * 100.0 / self.viable().max(1) as f64;
        let _ = writeln!(
            text,
            "{} mutants: {} unviable, {} viable: {} killed, {} timeouts, {} survived ({} with a reason); {} not tested yet",
            self.total,
            self.unviable,
            self.viable(),
            self.killed,
            self.timed_out.len(),
            self.survivors.len(),
            reasoned.len(),
            self.untested
        );
        let _ = writeln!(
            text,
            "score: {:.1} % of viable mutants killed (at least {LEAST_PERCENT} %), {:.1} % with timeouts{}",
            percent(self.killed),
            percent(self.killed + self.timed_out.len()),
            if self.is_complete() { "" } else { "; unfinished: run it again" }
        );
        text
    }
}

const LEAST_PERCENT: usize = 90;

#[cfg(test)]
#[path = "mutants_tests.rs"]
mod tests;
