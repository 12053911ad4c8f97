//! The build tools that whisper.cpp needs: a C++ compiler, cmake and something for cmake to drive.
//!
//! Owns the search (environment variable, `PATH`, then `target/tools`) and what to tell a person when it fails. It must
//! not know the registries: see `bring`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::bring;
use crate::workspace::Workspace;

/// The name of the part that brings the build tools; parts that compile C++ wait for it.
pub(crate) const PART: &str = "tools";

/// Options of `cargo xtask tools`.
#[derive(Args)]
pub(crate) struct ToolsArgs {
    /// Install what is missing with the system's package manager (apt-get); the only option that touches the system.
    #[arg(long)]
    install_system: bool,
    /// Also bring the PyPI packages that `test --all` uses, into a virtual environment under the target folder.
    #[arg(long)]
    clients: bool,
    /// Also bring livekit-agents and what lints and tests the LiveKit plugin, into a virtual environment of its own.
    #[arg(long)]
    livekit: bool,
    /// Also bring FastAPI, into a virtual environment of its own.
    #[arg(long)]
    fastapi: bool,
    /// Also bring the npm packages that `test --all` uses, under the target folder.
    #[arg(long)]
    npm: bool,
    /// Also bring the Node client among the subjects and `ws`, under the target folder.
    #[arg(long)]
    node_client: bool,
}

/// Brings what was asked for and prints where each tool is.
///
/// # Errors
/// A tool that is missing and could not be brought; the message says what a person can do.
pub(crate) fn run(workspace: &Workspace, args: &ToolsArgs) -> Result<ExitCode> {
    let tools = ensure(workspace, args.install_system)?;
    println!("C++ compiler: {}", tools.cxx.display());
    println!("cmake:        {}", tools.cmake.path.display());
    println!("driven by:    {}", tools.driver.path.display());
    if args.clients {
        println!("PyPI clients: {}", bring::python_clients(workspace)?.display());
    }
    if args.fastapi {
        println!("FastAPI:      {}", bring::fastapi(workspace)?.display());
    }
    if args.livekit {
        println!("for LiveKit:  {}", bring::livekit(workspace)?.display());
    }
    if args.npm {
        println!("npm packages: {}", bring::npm_packages(workspace)?.display());
    }
    if args.node_client {
        println!("Node client:  {}", bring::node_client(workspace)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that building the reference server needs besides Rust.
#[derive(Debug)]
pub(crate) struct BuildTools {
    cxx: PathBuf,
    cmake: Tool,
    driver: Tool,
}

/// A program and whether this repository brought it. One found by itself needs no variable set.
#[derive(Debug, PartialEq, Eq)]
struct Tool {
    path: PathBuf,
    brought: bool,
}

impl BuildTools {
    /// Variables for a child cargo. Empty when everything stands on `PATH`: a needless variable would make cargo rebuild
    /// whisper.cpp after each plain `cargo build`.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = Vec::new();
        if self.cmake.brought {
            environment.push(("CMAKE", self.cmake.path.clone().into_os_string()));
        }
        if self.driver.brought {
            // cmake finds ninja by `PATH` only; its own default generator wants make.
            environment.push(("CMAKE_GENERATOR", "Ninja".into()));
            environment.push(("PATH", path_with(self.driver.path.parent())));
        }
        environment
    }
}

/// Finds the build tools and brings those that are missing.
///
/// # Errors
/// No C++ compiler, no python3 to bring cmake with, or a download that failed.
pub(crate) fn ensure(workspace: &Workspace, install_system: bool) -> Result<BuildTools> {
    let host = Host::from_env();
    if install_system && (host.cxx().is_none() || host.cmake()?.is_none() || host.find("python3").is_none()) {
        install_with_apt()?;
    }
    let Some(cxx) = host.cxx() else { bail!(NO_COMPILER) };
    let cmake = match host.cmake()? {
        Some(path) => Tool { path, brought: false },
        None => Tool { path: bring::cmake(workspace, &host.python()?)?, brought: true },
    };
    let driver = match host.find("make").or_else(|| host.find("ninja")) {
        Some(path) => Tool { path, brought: false },
        None => Tool { path: bring::ninja(workspace, &host.python()?)?, brought: true },
    };
    Ok(BuildTools { cxx, cmake, driver })
}

/// The variables for a child cargo, from tools that are already there. Brings nothing.
pub(crate) fn located_environment(workspace: &Workspace) -> Vec<(&'static str, OsString)> {
    let host = Host::from_env();
    let tool = |own: Option<PathBuf>, brought: PathBuf| match own {
        Some(path) => Tool { path, brought: false },
        None => Tool { brought: brought.is_file(), path: brought },
    };
    let cmake = tool(host.cmake().ok().flatten(), bring::cmake_path(workspace));
    let driver = tool(host.find("make").or_else(|| host.find("ninja")), bring::ninja_path(workspace));
    BuildTools { cxx: PathBuf::new(), cmake, driver }.environment()
}

/// What the environment says about tools; an argument, so that a test can describe a bare machine.
pub(crate) struct Host {
    path: OsString,
    cmake: Option<OsString>,
    cxx: Option<OsString>,
}

impl Host {
    pub(crate) fn from_env() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self { path: set("PATH").unwrap_or_default(), cmake: set("CMAKE"), cxx: set("CXX") }
    }

    /// The first program of that name on the search path.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", env::consts::EXE_SUFFIX);
        env::split_paths(&self.path).map(|dir| dir.join(&file)).find(|path| is_program(path))
    }

    /// A python3 for bringing packages.
    ///
    /// # Errors
    /// There is none; the message says how to get one.
    pub(crate) fn python(&self) -> Result<PathBuf> {
        self.find("python3").context(NO_PYTHON)
    }

    fn cxx(&self) -> Option<PathBuf> {
        if let Some(cxx) = &self.cxx {
            // `CXX` may carry flags or a launcher ("ccache g++"): its owner knows, cargo will tell.
            return Some(PathBuf::from(cxx));
        }
        ["c++", "g++", "clang++", "cl"].iter().find_map(|name| self.find(name))
    }

    /// `$CMAKE`, then the search path. One that does not run counts as none, unless the person named it.
    fn cmake(&self) -> Result<Option<PathBuf>> {
        if let Some(cmake) = &self.cmake {
            let path = PathBuf::from(cmake);
            if !runs(&path) {
                bail!("CMAKE is set to {}, which does not run; correct the variable or unset it", path.display());
            }
            return Ok(Some(path));
        }
        Ok(self.find("cmake").filter(|path| runs(path)))
    }
}

/// True if `PROGRAM --version` succeeds. A file that exists may still be for another machine, or a launcher of nothing.
pub(crate) fn runs(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn path_with(first: Option<&Path>) -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let dirs = first.map(Path::to_path_buf).into_iter().chain(env::split_paths(&rest));
    env::join_paths(dirs).unwrap_or(rest)
}

fn install_with_apt() -> Result<()> {
    let host = Host::from_env();
    let Some(apt) = host.find("apt-get") else {
        bail!(
            "--install-system knows apt-get only, and there is none here; install a C++ compiler, cmake and python3 yourself"
        );
    };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    for arguments in [&["update"][..], &["install", "-y", "cmake", "g++", "make", "python3", "python3-venv"]] {
        let mut command = if is_root { Command::new(&apt) } else { Command::new("sudo") };
        if !is_root {
            command.arg(&apt);
        }
        command.args(arguments);
        eprintln!("$ {command:?}");
        let status = command.status().context("cannot start apt-get")?;
        if !status.success() {
            bail!("apt-get {} failed ({status})", arguments[0]);
        }
    }
    Ok(())
}

const NO_COMPILER: &str = "no C++ compiler: $CXX is not set and none of c++, g++, clang++ is on PATH; whisper.cpp needs one. \
    Debian or Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install. \
    Or run this again with --install-system";
const NO_PYTHON: &str = "cmake (or make) is missing and there is no python3 on PATH to bring it with. Install either: \
    Debian or Ubuntu: apt-get install cmake make; macOS: brew install cmake. Or run this again with --install-system";

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn host(path: &Path) -> Host {
        Host { path: path.into(), cmake: None, cxx: None }
    }

    fn put(dir: &Path, name: &str, mode: u32, script: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_named_cmake_that_does_not_run_is_an_error_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "cmake", 0o755, "#!/bin/sh\nexit 0\n");
        let named = Host { cmake: Some("/nowhere/cmake".into()), ..host(dir.path()) };
        let message = named.cmake().unwrap_err().to_string();
        assert!(message.contains("/nowhere/cmake"), "{message}");
    }

    #[test]
    fn a_cmake_on_the_path_is_taken_only_if_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(host(dir.path()).cmake().unwrap(), None);
        put(dir.path(), "cmake", 0o644, "#!/bin/sh\nexit 0\n");
        assert_eq!(host(dir.path()).cmake().unwrap(), None, "not executable");
        put(dir.path(), "cmake", 0o755, "#!/bin/sh\nexit 1\n");
        assert_eq!(host(dir.path()).cmake().unwrap(), None, "a launcher of nothing");
        let good = put(dir.path(), "cmake", 0o755, "#!/bin/sh\nexit 0\n");
        assert_eq!(host(dir.path()).cmake().unwrap(), Some(good));
    }

    #[test]
    fn a_bare_machine_gets_told_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(host(dir.path()).cxx(), None);
        let message = format!("{:#}", host(dir.path()).python().unwrap_err());
        assert!(message.contains("python3") && message.contains("--install-system"), "{message}");
    }

    #[test]
    fn variables_are_set_only_for_brought_tools() {
        let own = |name: &str| Tool { path: name.into(), brought: false };
        let found = BuildTools { cxx: "c++".into(), cmake: own("/bin/cmake"), driver: own("/bin/make") };
        assert_eq!(found.environment(), []);
        let brought = |name: &str| Tool { path: name.into(), brought: true };
        let bare = BuildTools { cxx: "c++".into(), cmake: brought("/t/bin/cmake"), driver: brought("/t/n/ninja") };
        let environment = bare.environment();
        assert_eq!(environment[0], ("CMAKE", "/t/bin/cmake".into()));
        assert_eq!(environment[1], ("CMAKE_GENERATOR", "Ninja".into()));
        assert!(environment[2].1.to_str().unwrap().starts_with("/t/n:"));
    }
}
