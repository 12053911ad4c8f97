//! Brings packages from PyPI and npm into the target folder, at pinned versions.
//!
//! Owns the pins' files and the folders. Nothing outside the target folder is touched. It must not know what the packages
//! are used for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::tools::{Host, runs};
use crate::workspace::Workspace;

/// A cmake from PyPI, run once to see that it works here.
///
/// # Errors
/// Neither pip nor venv is there, the download failed, or the program does not run on this machine.
pub(crate) fn cmake(workspace: &Workspace, python: &Path) -> Result<PathBuf> {
    wheel(workspace, python, "cmake", cmake_path(workspace))
}

/// Where [`cmake`] puts the program.
pub(crate) fn cmake_path(workspace: &Workspace) -> PathBuf {
    // The wheel's own launcher in `bin/` needs the package on Python's path; the program itself needs nothing.
    program(&workspace.tools_dir().join("cmake").join("cmake").join("data").join("bin"), "cmake")
}

/// A ninja from PyPI, for machines without make.
///
/// # Errors
/// As [`cmake`].
pub(crate) fn ninja(workspace: &Workspace, python: &Path) -> Result<PathBuf> {
    wheel(workspace, python, "ninja", ninja_path(workspace))
}

/// Where [`ninja`] puts the program.
pub(crate) fn ninja_path(workspace: &Workspace) -> PathBuf {
    program(&workspace.tools_dir().join("ninja").join("bin"), "ninja")
}

/// A virtual environment with the foreign clients and servers of `test --all`; gives its python.
///
/// # Errors
/// No python3 with venv, or a download that failed.
pub(crate) fn python_clients(workspace: &Workspace) -> Result<PathBuf> {
    venv(workspace, "venv", &pins(workspace, "clients"))
}

/// A virtual environment of that name with these requirements; gives its python.
///
/// # Errors
/// As [`python_clients`].
pub(crate) fn venv(workspace: &Workspace, name: &str, requirements: &Path) -> Result<PathBuf> {
    let venv = workspace.tools_dir().join(name);
    let python = venv_python(&venv);
    let stamp = Stamp::of(&venv, requirements)?;
    if stamp.is_current() && runs(&python) {
        return Ok(python);
    }
    let host_python = Host::from_env().python()?;
    remove_dir(&venv)?;
    make_venv(workspace, &host_python, &venv)?;
    let mut command = pip(workspace, &python);
    command.arg("install").arg("-r").arg(requirements);
    run_quietly(command)?;
    stamp.set()?;
    Ok(python)
}

/// Where [`python_clients`] puts its python.
pub(crate) fn python_clients_path(workspace: &Workspace) -> PathBuf {
    venv_python(&workspace.tools_dir().join("venv"))
}

/// A virtual environment with livekit-agents and what lints and tests the plugin for it; gives its python.
///
/// # Errors
/// As [`python_clients`].
pub(crate) fn livekit(workspace: &Workspace) -> Result<PathBuf> {
    venv(workspace, "venv-livekit", &workspace.root.join("plugins").join("livekit").join("requirements-test.txt"))
}

/// A virtual environment for the subject that speaks whisper-fastapi; gives its python.
///
/// # Errors
/// As [`python_clients`].
pub(crate) fn fastapi(workspace: &Workspace) -> Result<PathBuf> {
    let subject = workspace.root.join("conformance").join("tests").join("subjects").join("whisper_fastapi");
    venv(workspace, "venv-whisper-fastapi", &subject.join("requirements.txt"))
}

/// Where [`fastapi`] puts its python.
pub(crate) fn fastapi_path(workspace: &Workspace) -> PathBuf {
    venv_python(&workspace.tools_dir().join("venv-whisper-fastapi"))
}

/// Where [`livekit`] puts its python.
pub(crate) fn livekit_path(workspace: &Workspace) -> PathBuf {
    venv_python(&workspace.tools_dir().join("venv-livekit"))
}

/// A folder whose `node_modules` holds the npm packages of `test --all`.
///
/// # Errors
/// No npm, or a download that failed.
pub(crate) fn npm_packages(workspace: &Workspace) -> Result<PathBuf> {
    let manifest = workspace.root.join("xtask").join("tools").join("package.json");
    let dir = npm_dir(workspace);
    let stamp = Stamp::of(&dir, &manifest)?;
    if stamp.is_current() {
        return Ok(dir);
    }
    let npm = Host::from_env().find("npm").context("no npm on PATH; install Node.js")?;
    remove_dir(&dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::copy(&manifest, dir.join("package.json")).with_context(|| format!("cannot read {}", manifest.display()))?;
    let mut command = workspace.program(npm);
    command.current_dir(&dir).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    run_quietly(command)?;
    stamp.set()?;
    Ok(dir)
}

/// A folder of that name whose `node_modules` holds what the lock file in `package` says.
///
/// # Errors
/// As [`npm_packages`].
pub(crate) fn npm_ci(workspace: &Workspace, name: &str, package: &Path) -> Result<PathBuf> {
    let dir = workspace.tools_dir().join(name);
    let stamp = Stamp::of(&dir, &package.join("package-lock.json"))?;
    if stamp.is_current() {
        return Ok(dir);
    }
    let npm = Host::from_env().find("npm").context("no npm on PATH; install Node.js")?;
    remove_dir(&dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(package.join(file), dir.join(file))
            .with_context(|| format!("cannot read {file} of {}", package.display()))?;
    }
    let mut command = workspace.program(npm);
    command.current_dir(&dir).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    run_quietly(command)?;
    stamp.set()?;
    Ok(dir)
}

/// The Node client among the subjects of the harness, with `ws` beside it; gives its program.
///
/// # Errors
/// As [`npm_packages`], and if the client cannot be copied.
pub(crate) fn node_client(workspace: &Workspace) -> Result<PathBuf> {
    let client = workspace.root.join(NODE_CLIENT);
    let dir = npm_ci(workspace, "npm-client", &client)?;
    // An import looks for packages in the folders above the program, and the tree is to stay as it is.
    for folder in [NODE_CLIENT, NODE_DRIVER] {
        let (from, to) = (workspace.root.join(folder), dir.join(folder));
        fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
        for file in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
            let file = file?;
            if file.file_type()?.is_file() {
                let copy = to.join(file.file_name());
                fs::copy(file.path(), &copy).with_context(|| format!("cannot write {}", copy.display()))?;
            }
        }
    }
    Ok(node_client_path(workspace))
}

/// Where [`node_client`] puts the program.
pub(crate) fn node_client_path(workspace: &Workspace) -> PathBuf {
    workspace.tools_dir().join("npm-client").join(NODE_CLIENT).join("client.js")
}

const NODE_CLIENT: &str = "conformance/tests/subjects/client_node";
const NODE_DRIVER: &str = "conformance/drivers/node";

/// Where [`npm_packages`] puts `node_modules`.
pub(crate) fn npm_dir(workspace: &Workspace) -> PathBuf {
    workspace.tools_dir().join("npm")
}

/// cargo-mutants, built from its sources under the target folder; gives the program.
///
/// # Errors
/// It cannot be downloaded or built.
pub(crate) fn cargo_mutants(workspace: &Workspace) -> Result<PathBuf> {
    let brought = program(&workspace.tools_dir().join("bin"), "cargo-mutants");
    let mut version = Command::new(&brought);
    version.args(["mutants", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
    let is_right = version
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).split_whitespace().last() == Some(CARGO_MUTANTS));
    if is_right {
        return Ok(brought);
    }
    eprintln!("building cargo-mutants {CARGO_MUTANTS} in {}", workspace.tools_dir().display());
    let mut install = workspace.cargo();
    install.args(["install", "cargo-mutants", "--version", CARGO_MUTANTS, "--locked", "--force", "--root"]);
    install.arg(workspace.tools_dir()).arg("--target-dir").arg(workspace.tools_dir().join("build"));
    run_quietly(install)?;
    Ok(brought)
}

pub(crate) const CARGO_MUTANTS: &str = "27.1.0";

fn wheel(workspace: &Workspace, python: &Path, package: &str, program: PathBuf) -> Result<PathBuf> {
    let requirements = pins(workspace, package);
    let dir = workspace.tools_dir().join(package);
    let stamp = Stamp::of(&dir, &requirements)?;
    if stamp.is_current() && runs(&program) {
        return Ok(program);
    }
    eprintln!("no {package} on PATH: bringing one from PyPI to {}", dir.display());
    remove_dir(&dir)?;
    let mut command = pip(workspace, &working_pip(workspace, python)?);
    command.args(["install", "--only-binary", ":all:", "--no-deps", "--require-hashes", "-r"]);
    command.arg(&requirements).arg("--target").arg(&dir);
    run_quietly(command)?;
    if !runs(&program) {
        bail!("{} was brought but does not run on this machine; install {package} yourself", program.display());
    }
    stamp.set()?;
    Ok(program)
}

/// `python` itself if it has pip, else the python of a virtual environment made for it.
fn working_pip(workspace: &Workspace, python: &Path) -> Result<PathBuf> {
    if has_pip(python) {
        return Ok(python.to_path_buf());
    }
    let venv = workspace.tools_dir().join("pip-venv");
    let venv_python = venv_python(&venv);
    if !has_pip(&venv_python) {
        remove_dir(&venv)?;
        make_venv(workspace, python, &venv)?;
    }
    Ok(venv_python)
}

fn has_pip(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn make_venv(workspace: &Workspace, python: &Path, venv: &Path) -> Result<()> {
    let mut command = workspace.program(python);
    command.args(["-m", "venv"]).arg(venv);
    run_quietly(command).with_context(|| {
        format!(
            "{} has neither pip nor venv. Debian or Ubuntu: apt-get install python3-venv (or python3-pip, or cmake \
             itself). Or run this again with --install-system",
            python.display()
        )
    })
}

/// `PYTHON -m pip`, free of settings that contradict a private folder.
fn pip(workspace: &Workspace, python: &Path) -> Command {
    let mut command = workspace.program(python);
    command.env_remove("PIP_REQUIRE_VIRTUALENV").env_remove("PIP_TARGET").env_remove("PYTHONPATH");
    command.env("PIP_USER", "0").env("PIP_ROOT_USER_ACTION", "ignore");
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]);
    command
}

fn pins(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("xtask").join("tools").join(format!("requirements-{name}.txt"))
}

fn program(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn venv_python(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python3") }
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Runs a command whose output goes to standard error: standard output is this program's own.
fn run_quietly(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status}); is the package registry reachable?");
    }
    Ok(())
}

/// Says which pins a folder was filled from. Written last: a folder half filled has none.
struct Stamp {
    file: PathBuf,
    wanted: String,
}

impl Stamp {
    fn of(dir: &Path, pins: &Path) -> Result<Self> {
        let wanted = fs::read_to_string(pins).with_context(|| format!("cannot read {}", pins.display()))?;
        Ok(Self { file: dir.join("lastword-pins"), wanted })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|found| found == self.wanted)
    }

    fn set(&self) -> Result<()> {
        fs::write(&self.file, &self.wanted).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_current_only_for_the_pins_it_was_filled_from() {
        let dir = tempfile::tempdir().unwrap();
        let pins = dir.path().join("pins.txt");
        fs::write(&pins, "cmake==1\n").unwrap();
        let stamp = Stamp::of(dir.path(), &pins).unwrap();
        assert!(!stamp.is_current());
        stamp.set().unwrap();
        assert!(stamp.is_current());
        fs::write(&pins, "cmake==2\n").unwrap();
        assert!(!Stamp::of(dir.path(), &pins).unwrap().is_current());
    }

    #[test]
    fn binary_pins_name_one_exact_version_and_at_least_one_hash_a_platform() {
        let workspace = Workspace::find().unwrap();
        for package in ["cmake", "ninja"] {
            let text = fs::read_to_string(pins(&workspace, package)).unwrap();
            assert_eq!(text.matches(&format!("{package}==")).count(), 1, "{text}");
            assert!(text.matches("--hash=sha256:").count() >= 5, "{text}");
        }
    }
}
