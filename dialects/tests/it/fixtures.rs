//! Documented exchanges of each dialect that comes with the crate, and of services for which the grammar is only shown to reach: what was
//! said and what came of it, both directions, replayed.

use std::fs;
use std::path::{Path, PathBuf};

use lastword_dialects::Dialect;

use crate::exchange::replay;

/// Writes what came out into the files instead of comparing: `LASTWORD_WRITE_FIXTURES=1 cargo test -p lastword-dialects`.
fn writes() -> bool {
    std::env::var_os("LASTWORD_WRITE_FIXTURES").is_some()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn replays(dialect: &Dialect, file: &Path) {
    let text = fs::read_to_string(file).unwrap().replace("\r\n", "\n");
    let replayed = replay(dialect, &text);
    if writes() {
        fs::write(file, &replayed).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap().replace("\r\n", "\n"), replayed, "{}", file.display());
}

#[test]
fn documented_exchanges_of_the_dialects_that_come_with_the_crate_replay() {
    for dialect in Dialect::builtins() {
        for side in ["client", "server"] {
            let file = folder("fixtures").join(format!("{}.{side}.txt", dialect.name()));
            assert!(file.exists(), "{} has no exchange as {side}", dialect.name());
            replays(dialect, &file);
        }
    }
}

#[test]
fn the_grammar_reaches_services_of_every_declarative_class() {
    let dialects = files(&folder("reach"), ".toml");
    assert!(dialects.len() >= 9);
    for file in dialects {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let dialect =
            Dialect::from_toml(&name, &fs::read_to_string(&file).unwrap()).unwrap_or_else(|errors| panic!("{errors}"));
        let stem = name.trim_end_matches(".toml");
        let exchanges = files(&folder("reach"), ".txt")
            .into_iter()
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{stem}.")));
        let played = exchanges.map(|path| replays(&dialect, &path)).count();
        assert!(played >= 2, "{name} has no exchange from both sides");
    }
}

/// Rules that are shown on their own are put behind the whole file of the manual.
#[test]
fn every_rule_that_the_manual_shows_is_read() {
    let manual = manual();
    let blocks: Vec<&str> =
        manual.split("\n```toml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    let whole = blocks.iter().find(|block| block.starts_with("dialect =")).unwrap();
    let rules: Vec<&&str> = blocks.iter().filter(|block| block.starts_with("[[")).collect();
    for shown in ["window", "tokens", "audio"] {
        assert!(rules.iter().any(|rule| rule.contains(&format!("message = \"{shown}\""))), "no rule for `{shown}`");
    }
    for rule in rules {
        let read = Dialect::from_toml("my.toml", &format!("{whole}\n{rule}\n"));
        assert!(read.is_ok(), "{rule}\n{}", read.unwrap_err());
    }
}

#[test]
fn a_dialect_given_as_text_works_like_one_that_comes_with_the_crate() {
    let manual = manual();
    let text = manual.split("## A whole file").nth(1).unwrap().split("```").nth(1).unwrap().trim_start_matches("toml");
    let dialect = Dialect::from_toml("my.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    let said = "side: client\nconnect ws://127.0.0.1:9\nsay {\"type\":\"config\"}\naudio 3200\nsay {\"type\":\"end_of_stream\"}\n\
                recv {\"kind\":\"result\",\"text\":\" hello \",\"from\":0.0,\"to\":0.1}\nrecv {\"kind\":\"rumour\"}\nrecv-close 1000\n";
    insta::assert_snapshot!(replay(&dialect, said));
}

fn manual() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dialects.md")).unwrap()
}
