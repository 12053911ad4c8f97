//! Generated files: one list of generators, written when different, or compared under `--check`.
//!
//! Owns the list and the writing. What stands in the files is offered by the crates that own the facts; a generator only
//! names the path.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use similar::TextDiff;

use crate::{check, facts};

/// Every generator of the repository. The order does not matter; two must not write one file.
const GENERATORS: &[Generator] = &[
    Generator { name: "requirement constants", owns: &[], files: facts::requirement_constants },
    Generator { name: "requirement registry", owns: &[], files: facts::requirement_registry },
    Generator { name: "requirement sets", owns: &[], files: facts::requirement_sets },
    Generator { name: "prose tables", owns: &[], files: facts::prose_tables },
    Generator { name: "schemas", owns: &["schemas/v1"], files: facts::schemas },
    Generator { name: "dialect schema", owns: &[], files: facts::dialect_schema },
    Generator { name: "manual of dialects", owns: &[], files: facts::dialect_manual },
];

/// What needs more of the repository to compile than the generators above need: written after their files, which it may depend on.
const LATE: &[Generator] =
    &[Generator { name: "counterexamples", owns: &["check/traces"], files: check::counterexamples }];

/// The command that a person runs when `--check` finds a difference.
const COMMAND: &str = "cargo xtask gen";

/// Paths relative to the root, and contents.
pub(crate) type Files = Vec<(PathBuf, String)>;

/// One source of generated files.
struct Generator {
    name: &'static str,
    /// Folders, relative to the root, in which every file comes from this generator: any other file there is stale.
    owns: &'static [&'static str],
    /// Gets the root to read the prose whose blocks it fills.
    files: fn(root: &Path) -> Result<Files>,
}

/// Writes the generated files, or under `check` prints what differs and exits 1.
///
/// # Errors
/// A generator failed, or a file cannot be read or written.
pub(crate) fn run(root: &Path, check: bool) -> Result<ExitCode> {
    run_generators(&[GENERATORS, LATE], root, check, &mut io::stdout())
}

fn run_generators(stages: &[&[Generator]], root: &Path, check: bool, out: &mut dyn Write) -> Result<ExitCode> {
    let mut differing = 0;
    for stage in stages {
        for change in changes(stage, root)? {
            differing += 1;
            if check {
                writeln!(out, "{}", change.told())?;
            } else {
                writeln!(out, "{}", change.apply(root)?)?;
            }
        }
    }
    match (check, differing) {
        (true, 0) => writeln!(out, "generated files are up to date")?,
        (true, _) => {
            writeln!(out, "{differing} generated file(s) out of date; run: {COMMAND}")?;
            return Ok(ExitCode::FAILURE);
        }
        (false, _) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// One file that is not as the generators would have it.
enum Change {
    Write { path: PathBuf, old: Option<String>, new: String },
    Remove { path: PathBuf },
}

fn changes(generators: &[Generator], root: &Path) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut written = BTreeSet::new();
    for generator in generators {
        let files = (generator.files)(root).with_context(|| format!("generator {} failed", generator.name))?;
        for (path, new) in files {
            ensure!(written.insert(path.clone()), "two generators write {}", path.display());
            ensure!(new.ends_with('\n'), "{} (from {}) has no newline at its end", path.display(), generator.name);
            let old = match fs::read_to_string(root.join(&path)) {
                // A checkout may have turned the line ends.
                Ok(old) => Some(old.replace("\r\n", "\n")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            };
            if old.as_ref() != Some(&new) {
                changes.push(Change::Write { path, old, new });
            }
        }
    }
    for folder in generators.iter().flat_map(|generator| generator.owns) {
        let stale = files_below(root, Path::new(folder))?.into_iter().filter(|path| !written.contains(path));
        changes.extend(stale.map(|path| Change::Remove { path }));
    }
    Ok(changes)
}

impl Change {
    fn told(&self) -> String {
        match self {
            Self::Write { path, old: None, .. } => format!("{}: missing", path.display()),
            Self::Write { path, old: Some(old), new } => {
                let diff = TextDiff::from_lines(old, new);
                let diff = diff.unified_diff().context_radius(2).header("in the repository", "generated").to_string();
                let mut shown: Vec<&str> = diff.lines().take(DIFF_LINES).collect();
                let rest = diff.lines().count() - shown.len();
                let more = format!("... and {rest} more lines");
                if rest > 0 {
                    shown.push(&more);
                }
                format!("{}: differs\n{}", path.display(), shown.join("\n"))
            }
            Self::Remove { path } => format!("{}: stale, no generator makes it any more", path.display()),
        }
    }

    fn apply(self, root: &Path) -> Result<String> {
        match self {
            Self::Write { path, new, .. } => {
                let full = root.join(&path);
                if let Some(parent) = full.parent() {
                    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
                }
                fs::write(&full, new).with_context(|| format!("cannot write {}", full.display()))?;
                Ok(format!("wrote {}", path.display()))
            }
            Self::Remove { path } => {
                fs::remove_file(root.join(&path)).with_context(|| format!("cannot remove {}", path.display()))?;
                Ok(format!("removed {}", path.display()))
            }
        }
    }
}

fn files_below(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files.extend(files_below(root, &path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

const DIFF_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    const TWO_FILES: &[Generator] = &[Generator {
        name: "two files",
        owns: &["out"],
        files: |_| {
            Ok(vec![(PathBuf::from("out/a.txt"), "one\ntwo\n".into()), (PathBuf::from("b.md"), "prose\n".into())])
        },
    }];

    fn generate(generators: &[Generator], root: &Path, check: bool) -> (ExitCode, String) {
        let mut out = Vec::new();
        let code = run_generators(&[generators], root, check, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn this_repository_is_up_to_date() {
        let root = crate::workspace::Workspace::find().unwrap().root;
        let told: Vec<String> = changes(GENERATORS, &root).unwrap().iter().map(Change::told).collect();
        assert!(told.is_empty(), "run: {COMMAND}\n{}", told.join("\n"));
    }

    #[test]
    fn files_are_written_once_and_then_left_alone() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(generate(TWO_FILES, root.path(), false).1, "wrote out/a.txt\nwrote b.md\n");
        assert_eq!(generate(TWO_FILES, root.path(), false).1, "");
        assert_eq!(fs::read_to_string(root.path().join("out/a.txt")).unwrap(), "one\ntwo\n");
        assert_eq!(generate(TWO_FILES, root.path(), true).0, ExitCode::SUCCESS);
    }

    #[test]
    fn check_writes_nothing_shows_the_difference_and_names_the_command() {
        let root = tempfile::tempdir().unwrap();
        generate(TWO_FILES, root.path(), false);
        fs::write(root.path().join("out/a.txt"), "one\n2\n").unwrap();
        fs::remove_file(root.path().join("b.md")).unwrap();
        let (code, told) = generate(TWO_FILES, root.path(), true);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(told.contains("out/a.txt: differs") && told.contains("\n-2\n+two\n"), "{told}");
        assert!(told.contains("b.md: missing") && told.contains("run: cargo xtask gen"), "{told}");
        assert_eq!(fs::read_to_string(root.path().join("out/a.txt")).unwrap(), "one\n2\n");
    }

    #[test]
    fn a_file_that_nothing_generates_any_more_is_stale_in_an_owned_folder_only() {
        let root = tempfile::tempdir().unwrap();
        generate(TWO_FILES, root.path(), false);
        fs::create_dir(root.path().join("out/deep")).unwrap();
        fs::write(root.path().join("out/deep/old.txt"), "").unwrap();
        fs::write(root.path().join("mine.txt"), "").unwrap();
        let (code, told) = generate(TWO_FILES, root.path(), true);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(told.contains("out/deep/old.txt: stale"), "{told}");
        generate(TWO_FILES, root.path(), false);
        assert!(!root.path().join("out/deep/old.txt").exists() && root.path().join("mine.txt").exists());
    }

    #[test]
    fn two_generators_of_one_file_and_a_failing_one_are_errors() {
        let root = tempfile::tempdir().unwrap();
        let twice = [Generator { ..TWO_FILES[0] }, Generator { ..TWO_FILES[0] }];
        assert!(changes(&twice, root.path()).err().unwrap().to_string().contains("two generators write"));
        let failing = [Generator { name: "bad", owns: &[], files: |_| bail!("no facts") }];
        assert!(format!("{:#}", changes(&failing, root.path()).err().unwrap()).contains("bad failed: no facts"));
    }
}
