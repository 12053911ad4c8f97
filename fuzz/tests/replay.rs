//! Every committed seed goes through its target, on a stable compiler: a finding that was mended stays mended.

use std::fs;
use std::path::{Path, PathBuf};

use lastword_fuzz::TARGETS;

#[test]
fn every_seed_of_every_target() {
    for (name, target) in TARGETS {
        let seeds = files(&seeds_folder().join(name));
        assert!(seeds.len() >= 10, "{name} has seeds");
        for seed in seeds {
            let bytes = fs::read(&seed).expect("a readable seed");
            // Shown when the target panics, and not otherwise.
            println!("{}", seed.display());
            target(&bytes);
        }
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    for folder in files(&seeds_folder()) {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a plain name");
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "no target is called {name}");
    }
}

#[test]
fn the_json_mutator_stays_within_its_bounds() {
    let message = br#"{"type":"config","audio":{"channels":1},"keyterms":["a","b"]}"#;
    let mutated: Vec<_> = (0..1_000).filter_map(|seed| lastword_fuzz::mutate_json(message, 200, seed)).collect();
    assert!(mutated.len() > 500, "most seeds change something");
    assert!(mutated.iter().all(|bytes| bytes.len() <= 200 && bytes != message));
}

fn seeds_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}
