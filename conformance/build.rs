//! Collects the judge's breaking traces for `lastword explain`, where they lie beside this crate; a packaged crate has none.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    // Asked for at run time: the script itself may have been compiled in another checkout, with one target folder for both.
    let home = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let folder = Path::new(&home).join("../judge/traces");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let items: Vec<String> = files.iter().map(|path| format!("    include_str!({path:?}),\n")).collect();
    let code = format!(
        "/// Traces that break one requirement each.\nstatic BREAKING_TRACES: &[&str] = &[\n{}];\n",
        items.concat()
    );
    let out = env::var_os("OUT_DIR").map(PathBuf::from).expect("cargo sets OUT_DIR");
    fs::write(out.join("breaking_traces.rs"), code).expect("OUT_DIR can be written to");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
}
