//! The committed counterexamples are those that the checker finds today.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_counterexamples_in_the_repository_are_those_of_the_checker() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    let mut committed = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of counterexamples") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        // A checkout may have turned the line ends.
        let text = std::fs::read_to_string(&path).expect("a trace is text").replace("\r\n", "\n");
        committed.insert(name, text);
    }
    for (name, text) in lastword_check::traces() {
        assert!(committed.remove(name) == Some(text), "check/traces/{name}.jsonl is out of date; run: cargo xtask gen");
    }
    assert!(committed.is_empty(), "no mutant makes these any more: {:?}", committed.keys());
}
