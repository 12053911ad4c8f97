//! Where things are: the repository, cargo, the target folder, this program.
//!
//! Knows nothing of what is done with them.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// The platform whose dependency graph is judged, the same on every machine so that the answer is the same too.
const GRAPH_PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The paths every command starts from.
pub(crate) struct Workspace {
    /// The repository root (the folder of the workspace manifest).
    pub(crate) root: PathBuf,
    /// Cargo's target folder; `CARGO_TARGET_DIR` may have moved it.
    pub(crate) target_dir: PathBuf,
    /// The cargo that started this program, or the one on `PATH`.
    cargo: OsString,
    /// This program. Taken at the start: a part may relink the file while it runs.
    pub(crate) xtask: PathBuf,
}

impl Workspace {
    /// Asks cargo where the workspace of the current folder is.
    ///
    /// # Errors
    /// Not inside the repository, or a manifest that cargo cannot read.
    pub(crate) fn find() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = MetadataCommand::new();
        command.cargo_path(&cargo).no_deps();
        if let Some(dir) = env::var_os("CARGO_MANIFEST_DIR") {
            // Set by `cargo run` and `cargo test`: the command then works from any current folder.
            command.current_dir(PathBuf::from(dir));
        }
        let metadata = command.exec().context("cannot read the workspace; run this inside the repository")?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target_dir: metadata.target_directory.into_std_path_buf(),
            cargo,
            xtask: env::current_exe().context("cannot tell the path of this program")?,
        })
    }

    /// Where tools brought by this program live; deleting the folder costs a download and nothing else.
    pub(crate) fn tools_dir(&self) -> PathBuf {
        self.target_dir.join("tools")
    }

    /// What one member reaches through `edges` (as `cargo tree` names kinds), with the features it has when built alone:
    /// a line a package, `DEPTH NAME VERSION ..`.
    ///
    /// # Errors
    /// As [`Self::graph`].
    pub(crate) fn tree(&self, member: &str, edges: &str) -> Result<String> {
        let mut command = self.cargo();
        command.args(["tree", "--package", member, "--edges", edges, "--target", GRAPH_PLATFORM]);
        // A space before the name: the depth is printed without one.
        let output = command.args(["--prefix", "depth", "--format", " {p}"]).output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("cargo tree speaks no UTF-8")
    }

    /// The whole dependency graph with edge kinds, on one fixed platform.
    ///
    /// # Errors
    /// Cargo's own: an unreadable manifest, or dependencies that cannot be resolved.
    pub(crate) fn graph(&self) -> Result<Metadata> {
        MetadataCommand::new()
            .cargo_path(&self.cargo)
            .current_dir(&self.root)
            .other_options(["--filter-platform".to_owned(), GRAPH_PLATFORM.to_owned()])
            .exec()
            .context("cargo metadata failed")
    }

    /// Cargo, started in the repository root.
    pub(crate) fn cargo(&self) -> Command {
        self.program(&self.cargo)
    }

    /// Any program, started in the repository root without the variables that `cargo run` gave to this one: left in
    /// place they would count as changed inputs of build scripts and cause rebuilds.
    pub(crate) fn program(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_") {
                command.env_remove(name);
            }
        }
        command
    }
}
