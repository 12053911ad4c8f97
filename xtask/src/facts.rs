//! Owns the list of what is generated from what: prose and state table to constants, registry, tables in the prose, schemas.
//! Knows nothing of writing or comparing (that is `gen`), nor of how a text is made (that is `lastword-spec`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use lastword_spec::frozen;
use lastword_spec::generate;
use lastword_spec::prose::{self, ProseRequirement};
use sha2::{Digest as _, Sha256};

use crate::r#gen::Files;

const PROSE: &str = "spec/v1";
const SETS: &str = "spec/v1/sets.txt";
const SETS_HEAD: &str = "\
# Which requirements each version of the specification means: version, SHA-256 of the requirements, how many they are.
# `cargo xtask gen` adds a draft where their text changed; nothing here is ever changed or taken away. A release is added by hand.
";
const CASES: &str = "conformance/cases";
const CLIENT_CASES: &str = "conformance/cases/client";
const MANUAL: &str = "docs/dialects.md";
const TRACES: &str = "judge/traces";
const CLIENT_TRACES: &str = "judge/traces/client";

/// The typed constants of the requirements.
pub(crate) fn requirement_constants(root: &Path) -> Result<Files> {
    Ok(vec![(PathBuf::from("spec/src/requirements.rs"), generate::requirements_rs(&requirements(root)?))])
}

/// The registry for readers who have no Rust.
pub(crate) fn requirement_registry(root: &Path) -> Result<Files> {
    let cases = counted_cases(root)?;
    let registry = generate::requirements_json(&requirements(root)?, &cases);
    Ok(vec![(PathBuf::from("spec/v1/requirements.json"), registry)])
}

/// The list of frozen requirement sets: as it is, with one more at its end where the requirements are not those of the last.
pub(crate) fn requirement_sets(root: &Path) -> Result<Files> {
    let path = root.join(SETS);
    let mut list = match fs::read_to_string(&path) {
        Ok(list) => list.replace("\r\n", "\n"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => SETS_HEAD.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {SETS}")),
    };
    let all = requirements(root)?;
    let canonical: String = all
        .iter()
        .map(|one| frozen::canonical_line(&one.id, one.role, one.level, one.untestable.as_deref(), &one.text))
        .collect();
    let digest: String = Sha256::digest(canonical.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let last =
        list.lines().rfind(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect::<Vec<_>>());
    if last.as_ref().and_then(|words| words.get(1)) != Some(&digest.as_str()) {
        let version = last.and_then(|words| words.first().map(|version| frozen::next_draft(version)));
        let version = version.unwrap_or_else(|| "1.0.0-draft.1".to_owned());
        list.push_str(&format!("{version} {digest} {}\n", all.len()));
    }
    Ok(vec![(PathBuf::from(SETS), list)])
}

/// The generated tables and diagrams inside the prose.
pub(crate) fn prose_tables(root: &Path) -> Result<Files> {
    let messages = lastword_spec::schema::message_tables();
    let mut files = Vec::new();
    for (name, page) in pages(root)? {
        let path = Path::new(PROSE).join(&name);
        files.push((path, generate::fill_prose(&page, &messages).map_err(|why| anyhow!("{PROSE}/{name}: {why}"))?));
    }
    Ok(files)
}

/// JSON Schemas and the AsyncAPI document.
pub(crate) fn schemas(_root: &Path) -> Result<Files> {
    let files = lastword_spec::schema::generate();
    Ok(files.into_iter().map(|(path, content)| (PathBuf::from(path), content)).collect())
}

/// The table of capabilities in the manual of dialects.
pub(crate) fn dialect_manual(root: &Path) -> Result<Files> {
    let manual = fs::read_to_string(root.join(MANUAL)).with_context(|| format!("cannot read {MANUAL}"))?;
    let filled = lastword_dialects::schema::fill_manual(&manual.replace("\r\n", "\n"));
    Ok(vec![(PathBuf::from(MANUAL), filled.map_err(|why| anyhow!("{MANUAL}: {why}"))?)])
}

/// The JSON Schema of a dialect file.
pub(crate) fn dialect_schema(_root: &Path) -> Result<Files> {
    let files = lastword_dialects::schema::generate();
    Ok(files.into_iter().map(|(path, content)| (PathBuf::from(path), content)).collect())
}

fn requirements(root: &Path) -> Result<Vec<ProseRequirement>> {
    let mut all: Vec<ProseRequirement> = Vec::new();
    for (name, page) in pages(root)? {
        let found = prose::read(&name, &page).map_err(|why| anyhow!("{PROSE}/{why}"))?;
        for one in found {
            let twice = all.iter().find(|known| known.id == one.id);
            ensure!(
                twice.is_none(),
                "{} stands twice: {} and {}",
                one.id,
                twice.map_or("", |known| &known.section),
                one.section
            );
            all.push(one);
        }
    }
    Ok(all)
}

fn pages(root: &Path) -> Result<Vec<(String, String)>> {
    let names = names_in(&root.join(PROSE), ".md")?;
    let read = |name: String| {
        let page =
            fs::read_to_string(root.join(PROSE).join(&name)).with_context(|| format!("cannot read {PROSE}/{name}"))?;
        Ok((name, page.replace("\r\n", "\n")))
    };
    names.into_iter().map(read).collect()
}

/// For each requirement the cases that count for it: a case counts only where a trace that breaks the requirement is kept,
/// which the judge's tests hold to be answered with exactly that requirement.
fn counted_cases(root: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut counted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (cases, traces) in [(CASES, TRACES), (CLIENT_CASES, CLIENT_TRACES)] {
        let traces = names_in(&root.join(traces), ".jsonl")?;
        let has_trace =
            |id: &str| traces.iter().any(|name| name.strip_prefix(id).is_some_and(|rest| rest.starts_with("--")));
        for case in cases_in(root, cases)? {
            for id in case.covers.into_iter().filter(|id| has_trace(id)) {
                counted.entry(id).or_default().push(case.id.clone());
            }
        }
    }
    for cases in counted.values_mut() {
        cases.sort();
        cases.dedup();
    }
    Ok(counted)
}

/// What the files of a folder of cases say, file by file.
fn cases_in(root: &Path, folder: &str) -> Result<Vec<CaseHead>> {
    let mut cases = Vec::new();
    for name in names_in(&root.join(folder), ".toml")? {
        let text = fs::read_to_string(root.join(folder).join(&name))
            .with_context(|| format!("cannot read {folder}/{name}"))?;
        let file: CaseFile = toml::from_str(&text).with_context(|| format!("{folder}/{name}"))?;
        cases.extend(file.case);
    }
    Ok(cases)
}

/// How many cases about clients there are, as the programs of the tests take a number; 0 where they cannot be read.
pub(crate) fn client_cases(root: &Path) -> String {
    cases_in(root, CLIENT_CASES).map_or(0, |cases| cases.len()).to_string()
}

/// What the registry needs of a case file; the rest is the runner's.
#[derive(serde::Deserialize)]
struct CaseFile {
    #[serde(default)]
    case: Vec<CaseHead>,
}

#[derive(serde::Deserialize)]
struct CaseHead {
    id: String,
    #[serde(default)]
    covers: Vec<String>,
}

fn names_in(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
