//! Owns the embedded case files and their strict reading. A wrong file is a defect of this crate and caught by its tests;
//! the same reader serves case files that somebody writes.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements;
use serde::Deserialize;

use super::{Case, Need, Step, Unexercised, Within};

macro_rules! embedded {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../../cases/", $file)))),*] };
}

/// The case files, in the order in which a report shows their areas.
const FILES: &[(&str, &str)] = embedded! {
    "connection.toml" "config.toml" "order.toml" "audio.toml" "results.toml" "keepalive.toml" "progress.toml"
    "flush.toml" "end.toml" "messages.toml" "closing.toml" "limits.toml" "security.toml"
};

/// The case files of this version: names and texts.
pub(crate) fn sources() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The cases of this version, in order.
#[must_use]
pub fn catalogue() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        FILES
            .iter()
            .flat_map(|(file, text)| {
                parse(file, text).unwrap_or_else(|error| unreachable!("embedded case file: {error}"))
            })
            .collect()
    });
    &CASES
}

/// Why a case file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {detail}")]
pub struct CatalogueError {
    /// The file.
    pub file: String,
    /// What is wrong and where.
    pub detail: String,
}

/// Reads a case file. Members that are not known are refused, at every level.
///
/// # Errors
/// The text is not TOML, a member is unknown or wrong, a requirement does not exist, or two cases share a name.
pub fn parse(file: &str, text: &str) -> Result<Vec<Case>, CatalogueError> {
    parse_with::<Entry>(file, text)
}

/// What one kind of case file holds under `[[case]]`.
pub(crate) trait WrittenCase: serde::de::DeserializeOwned {
    /// The name.
    fn id(&self) -> &str;
    /// What the case does, as it stands in the file.
    fn steps(written: &serde_json::Value) -> &serde_json::Value;
    /// The case, or what is wrong with it.
    fn into_case(self, steps_as_written: Vec<String>) -> Result<Case, String>;
}

/// Reads a case file of one kind.
pub(crate) fn parse_with<Entry: WrittenCase>(file: &str, text: &str) -> Result<Vec<Case>, CatalogueError> {
    let wrong = |detail: String| CatalogueError { file: file.to_owned(), detail };
    let read: CaseFile<Entry> = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // Read once more without types, for people who ask what a case does.
    let written: serde_json::Value = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut seen = BTreeSet::new();
    read.case
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            let id = entry.id().to_owned();
            if !seen.insert(id.clone()) {
                return Err(wrong(format!("{id} stands here twice")));
            }
            let steps = Entry::steps(&written["case"][index]).as_array();
            let steps = steps.into_iter().flatten().map(ToString::to_string).collect();
            entry.into_case(steps).map_err(|detail| wrong(format!("{id}: {detail}")))
        })
        .collect()
}

/// The requirements of these names.
pub(crate) fn requirements_of(names: &[String]) -> Result<Vec<RequirementId>, String> {
    let find = |id: &String| {
        requirements::find(id).map(|found| found.id).ok_or_else(|| format!("there is no requirement {id}"))
    };
    names.iter().map(find).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile<Entry> {
    case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    title: String,
    covers: Vec<String>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default = "one")]
    attempts: u32,
    #[serde(default)]
    unexercised: Option<String>,
    #[serde(default)]
    negative: bool,
    #[serde(default)]
    timer: Option<Within>,
    steps: Vec<Step>,
}

fn one() -> u32 {
    1
}

impl WrittenCase for Entry {
    fn id(&self) -> &str {
        &self.id
    }

    fn steps(written: &serde_json::Value) -> &serde_json::Value {
        &written["steps"]
    }

    fn into_case(self, steps_as_written: Vec<String>) -> Result<Case, String> {
        let parts: Vec<&str> = self.id.split('/').collect();
        if parts.len() != 3 || parts[0] != "server" || parts.iter().any(|part| !is_plain(part)) {
            return Err("a name is server/AREA/WHAT, in lower-case letters, digits and dashes".into());
        }
        let covers = requirements_of(&self.covers)?;
        if covers.is_empty() || self.steps.is_empty() || self.attempts == 0 {
            return Err("a case covers something, does something, and does it at least once".into());
        }
        if let Some(step) = self.steps.iter().find_map(Step::misplaced) {
            return Err(format!("a burst, a repetition and a tick hold only what sends, not {step:?}"));
        }
        Ok(Case {
            id: self.id,
            title: self.title,
            covers,
            needs: self.needs,
            attempts: self.attempts,
            unexercised: self.unexercised.map_or(Unexercised::NotTested, Unexercised::Inconclusive),
            negative: self.negative,
            timer: self.timer,
            steps: self.steps,
            steps_as_written,
            script: None,
        })
    }
}

fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_file_of_the_folder_is_embedded_and_readable() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder of the cases")
            .map(|entry| entry.expect("an entry"))
            // The cases about clients have a folder and a reader of their own.
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(on_disk, FILES.iter().map(|(file, _)| (*file).to_owned()).collect());
        for (file, text) in FILES {
            let cases = parse(file, text).unwrap_or_else(|error| panic!("{error}"));
            assert!(!cases.is_empty());
        }
    }

    #[test]
    fn names_are_unique_across_files_and_carry_the_area_of_their_file() {
        let mut seen = BTreeSet::new();
        for (file, text) in FILES {
            for case in parse(file, text).expect("a case file") {
                assert_eq!(format!("{}.toml", case.area()), *file, "{}", case.id);
                assert!(seen.insert(case.id.clone()), "{} twice", case.id);
            }
        }
    }

    #[test]
    fn an_unknown_member_an_unknown_requirement_and_a_second_name_are_refused() {
        let good = r#"
            [[case]]
            id = "server/end/x"
            title = "t"
            covers = ["END-S2"]
            steps = [{ start = {} }, { finish = {} }]
        "#;
        assert_eq!(parse("x.toml", good).expect("good").len(), 1);
        for (from, to) in [
            ("title", "tittle"),
            ("END-S2", "END-S99"),
            ("start = {}", "start = { confg = {} }"),
            ("finish = {}", "finnish = {}"),
            ("server/end/x", "end/x"),
            ("[\"END-S2\"]", "[]"),
            ("{ start = {} }", "{ burst = [\"barrier\"] }"),
        ] {
            let bad = good.replace(from, to);
            assert!(parse("x.toml", &bad).is_err(), "{to}");
        }
        assert!(parse("x.toml", &format!("{good}{good}")).is_err());
    }
}
