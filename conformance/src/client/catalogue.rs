//! Owns the embedded case files about clients and their strict reading. A wrong file is a defect of this crate and caught by its
//! tests.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lastword_spec::requirements;
use serde::Deserialize;

use super::script::Script;
use crate::case::{Case, CatalogueError, Unexercised};

macro_rules! embedded {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../../cases/client/", $file)))),*] };
}

/// The case files, in the order in which a report shows their areas.
const FILES: &[(&str, &str)] = embedded! {
    "start.toml" "audio.toml" "end.toml" "results.toml" "errors.toml" "keepalive.toml" "closing.toml" "calls.toml"
};

/// The cases about clients of this version, in order.
#[must_use]
pub fn catalogue() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let read = |(file, text): &(&str, &str)| {
            parse(file, text).unwrap_or_else(|error| unreachable!("embedded case file: {error}"))
        };
        FILES.iter().flat_map(read).collect()
    });
    &CASES
}

/// Reads a case file. Members that are not known are refused, at every level.
///
/// # Errors
/// The text is not TOML, a member is unknown or wrong, a requirement does not exist, or two cases share a name.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Case>, CatalogueError> {
    let wrong = |detail: String| CatalogueError { file: file.to_owned(), detail };
    let read: CaseFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // Read once more without types, for people who ask what a case does.
    let written: serde_json::Value = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut seen = BTreeSet::new();
    let entries = read.case.into_iter().enumerate().map(|(index, entry)| {
        let id = entry.id.clone();
        if !seen.insert(id.clone()) {
            return Err(wrong(format!("{id} stands here twice")));
        }
        let plays = written["case"][index]["script"]["plays"].as_array();
        let as_written = plays.into_iter().flatten().map(ToString::to_string).collect();
        entry.into_case(as_written).map_err(|detail| wrong(format!("{id}: {detail}")))
    });
    entries.collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    title: String,
    covers: Vec<String>,
    #[serde(default)]
    unexercised: Option<String>,
    script: Script,
}

impl Entry {
    fn into_case(self, steps_as_written: Vec<String>) -> Result<Case, String> {
        let parts: Vec<&str> = self.id.split('/').collect();
        if parts.len() != 3 || parts[0] != "client" || parts.iter().any(|part| part.is_empty()) {
            return Err("a name is client/AREA/WHAT".into());
        }
        let find = |id: &String| {
            requirements::find(id).map(|found| found.id).ok_or_else(|| format!("there is no requirement {id}"))
        };
        let covers = self.covers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        if covers.is_empty() || self.script.plays.is_empty() || self.script.level > 1 {
            return Err("a case covers something, has a play, and is of level 0 or 1".into());
        }
        Ok(Case {
            id: self.id,
            title: self.title,
            covers,
            needs: Vec::new(),
            attempts: 1,
            unexercised: self.unexercised.map_or(Unexercised::NotTested, Unexercised::Inconclusive),
            negative: false,
            timer: None,
            steps: Vec::new(),
            steps_as_written,
            script: Some(self.script),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_file_of_the_folder_is_embedded_and_readable_and_names_are_unique() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/client");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder of the cases")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(on_disk, FILES.iter().map(|(file, _)| (*file).to_owned()).collect());
        let mut seen = BTreeSet::new();
        for (file, text) in FILES {
            for case in parse(file, text).unwrap_or_else(|error| panic!("{error}")) {
                assert_eq!(format!("{}.toml", case.area()), *file, "{}", case.id);
                assert!(seen.insert(case.id.clone()), "{} twice", case.id);
            }
        }
    }
}
