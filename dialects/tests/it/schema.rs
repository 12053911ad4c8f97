//! The published schema: it accepts every file that reads, and refuses what serde refuses.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn as_json(text: &str) -> Value {
    toml::from_str(text).unwrap()
}

#[test]
fn every_dialect_file_is_valid_by_the_schema() {
    let schema = jsonschema::validator_for(&lastword_dialects::schema::dialect_schema()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for folder in ["files", "tests/reach"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let json = as_json(&fs::read_to_string(&path).unwrap());
                let wrong: Vec<String> =
                    schema.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 13);
}

#[test]
fn the_schema_refuses_what_is_misspelt() {
    let schema = jsonschema::validator_for(&lastword_dialects::schema::dialect_schema()).unwrap();
    for wrong in [
        "dialect = 'a'",
        "dialect = 'a'\ntitle = 'b'\ncolour = 1",
        "dialect = 'a'\ntitle = 'b'\nunsupported = ['wings']",
        "dialect = 'a'\ntitle = 'b'\n[end]\nby = 'applause'",
        "dialect = 'a'\ntitle = 'b'\n[[client]]\nmessage = 'flush'\nsend = { jason = 1 }",
    ] {
        assert!(!schema.is_valid(&as_json(wrong)), "{wrong}");
    }
}
