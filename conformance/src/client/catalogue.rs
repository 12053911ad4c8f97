//! Owns the embedded case files about clients and their strict reading. A wrong file is a defect of this crate and caught by its
//! tests.

use std::sync::LazyLock;

use serde::Deserialize;

use super::script::{Play, Script};
use crate::case::{Case, CatalogueError, Unexercised, WrittenCase, parse_with, requirements_of};

macro_rules! embedded {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../../cases/client/", $file)))),*] };
}

/// The case files, in the order in which a report shows their areas.
const FILES: &[(&str, &str)] = embedded! {
    "start.toml" "audio.toml" "end.toml" "results.toml" "errors.toml" "keepalive.toml" "closing.toml" "reconnect.toml" "calls.toml" "security.toml"
};

/// The case files of this version: names and texts.
pub(crate) fn sources() -> &'static [(&'static str, &'static str)] {
    FILES
}

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
    parse_with::<Entry>(file, text)
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

impl WrittenCase for Entry {
    fn id(&self) -> &str {
        &self.id
    }

    fn steps(written: &serde_json::Value) -> &serde_json::Value {
        &written["script"]["plays"]
    }

    fn into_case(self, steps_as_written: Vec<String>) -> Result<Case, String> {
        let parts: Vec<&str> = self.id.split('/').collect();
        if parts.len() != 3 || parts[0] != "client" || parts.iter().any(|part| part.is_empty()) {
            return Err("a name is client/AREA/WHAT".into());
        }
        let covers = requirements_of(&self.covers)?;
        if covers.is_empty() || self.script.plays.is_empty() || self.script.level > 1 {
            return Err("a case covers something, has a play, and is of level 0 or 1".into());
        }
        if !self.script.plays.iter().all(Play::jams_are_right) {
            return Err("a connection has one jam at most, at a point of its audio".into());
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_second_jam_of_a_connection_and_one_apart_from_its_audio_are_refused() {
        let read = |play: &str| {
            let text = format!(
                "[[case]]\nid = \"client/audio/one\"\ntitle = \"one\"\ncovers = [\"BP-C2\"]\nscript = {{ plays = [{{ {play} }}] }}\n"
            );
            parse("audio.toml", &text).map(|cases| cases.len()).map_err(|error| error.to_string())
        };
        let jam = "{ jam = { results_bytes = 1, unread_ms = 1 } }";
        let at = |ms: u64| format!("{{ audio_ms = {ms}, acts = [{jam}] }}");
        assert_eq!(read(&format!("when = [{}]", at(100))), Ok(1));
        assert_eq!(read(&format!("when = [{}], again = {{ when = [{}] }}", at(100), at(200))), Ok(1));
        for wrong in [
            format!("when = [{}, {}]", at(100), at(200)),
            format!("when = [{{ audio_ms = 100, acts = [{jam}, {jam}] }}]"),
            format!("when = [{}], again = {{ when = [{}, {}] }}", at(100), at(100), at(200)),
            format!("end = [{jam}]"),
            format!("after = [{{ ms = 10, acts = [{jam}] }}]"),
        ] {
            let told = read(&wrong).expect_err(&wrong);
            assert!(told.contains("one jam at most"), "{told}");
        }
    }

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
