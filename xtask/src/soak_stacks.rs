//! The correct servers that are certified again and again, and the conditions under which they are.
//!
//! Owns how each is had and started. It must not run a certification: see `soak`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::bring;
use crate::certify::{self, Programs};
use crate::soak_shape::Line;
use crate::tools::{self, Host};
use crate::workspace::Workspace;

/// A correct server on a stack of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stack {
    Scripted,
    Model,
    Tungstenite,
    Python,
    Fastapi,
    Node,
}

impl Stack {
    pub(crate) const ALL: [Self; 6] =
        [Self::Scripted, Self::Model, Self::Tungstenite, Self::Python, Self::Fastapi, Self::Node];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted",
            Self::Model => "model",
            Self::Tungstenite => "tungstenite",
            Self::Python => "python",
            Self::Fastapi => "fastapi",
            Self::Node => "node",
        }
    }

    /// How many cases run side by side under the slow profile: all of them, as each waits for its own 50 s, but where a hundred
    /// sessions that begin at once would keep the server from answering any.
    pub(crate) fn slow_jobs(self) -> &'static str {
        if self == Self::Python { "32" } else { "96" }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Scripted => "lastword-server (axum, lastword-session) with scripted words",
            Self::Model => "lastword-server with the fixture model",
            Self::Tungstenite => "lastword-mutants without a fault (tokio-tungstenite, by hand)",
            Self::Python => "Python websockets",
            Self::Fastapi => "FastAPI on uvicorn",
            Self::Node => "Node ws",
        }
    }
}

/// Under which conditions a server is certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Profile {
    Plain,
    Jitter,
    Stalls,
    /// For clients only: servers announce how long they may take.
    Pauses,
    Slow,
    Bytes,
    Coalesced,
    Busy,
}

impl Profile {
    /// Those for servers.
    pub(crate) const ALL: [Self; 7] =
        [Self::Plain, Self::Jitter, Self::Stalls, Self::Slow, Self::Bytes, Self::Coalesced, Self::Busy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Jitter => "jitter",
            Self::Stalls => "stalls",
            Self::Pauses => "pauses",
            Self::Slow => "slow",
            Self::Bytes => "bytes",
            Self::Coalesced => "coalesced",
            Self::Busy => "busy",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Plain => "nothing in the way",
            Self::Jitter => "what is sent arrives up to 500 ms later, both ways",
            Self::Stalls => "every 3 to 8 s nothing passes for 2 s, on each connection by itself, both ways",
            Self::Pauses => "every 3 to 8 s nothing passes for 0.7 s, on each connection by itself, both ways",
            Self::Slow => "each segment is decoded for 50 s, with progress (python: each end of a stream)",
            Self::Bytes => {
                "after the upgrade segments of one byte (of what is larger than 512 bytes the first and the last 64)"
            }
            Self::Coalesced => "what is sent within 50 ms of each other arrives as one segment",
            Self::Busy => "every core computes something else meanwhile",
        }
    }

    pub(crate) fn line(self) -> Option<Line> {
        match self {
            Self::Jitter => Some(Line::Jitter),
            Self::Stalls => Some(Line::Stalls),
            Self::Pauses => Some(Line::Pauses),
            Self::Bytes => Some(Line::Bytes),
            Self::Coalesced => Some(Line::Coalesced),
            Self::Plain | Self::Slow | Self::Busy => None,
        }
    }

    /// Whether a certification takes minutes in which it only waits.
    pub(crate) fn is_slow(self) -> bool {
        self == Self::Slow
    }

    /// A real model cannot be told to take 50 s, and its decoding is what it is.
    pub(crate) fn fits(self, stack: Stack) -> bool {
        self != Self::Slow || stack != Stack::Model
    }
}

/// Where the programs come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// They are built with this cargo profile.
    Build(&'a str),
    /// They lie in this folder.
    Folder(&'a Path),
}

/// Where everything is that the stacks are made of.
pub(crate) struct Parts {
    pub(crate) harness: PathBuf,
    server: PathBuf,
    tungstenite: PathBuf,
    model: PathBuf,
    subjects: PathBuf,
    python: PathBuf,
    fastapi_python: PathBuf,
    node: PathBuf,
    /// For `NODE_PATH`.
    pub(crate) node_modules: PathBuf,
}

impl Parts {
    /// Builds (or finds) and brings what these stacks need.
    ///
    /// # Errors
    /// A build failed, or something could not be downloaded; the message says which stack needs it.
    pub(crate) fn bring(workspace: &Workspace, stacks: &[Stack], source: Source<'_>) -> Result<Self> {
        let programs = match source {
            Source::Build(profile) => certify::build(workspace, profile, false)?,
            Source::Folder(folder) => Programs::of_folder(folder),
        };
        let subjects = workspace.root.join("conformance").join("tests").join("subjects");
        let mut parts = Self {
            harness: programs.harness,
            server: programs.server,
            tungstenite: PathBuf::new(),
            model: workspace.root.join(certify::FIXTURE_MODEL),
            python: bring::python_clients_path(workspace),
            fastapi_python: PathBuf::new(),
            node: PathBuf::from("node"),
            node_modules: PathBuf::new(),
            subjects,
        };
        for stack in stacks {
            match stack {
                Stack::Scripted | Stack::Model => {}
                Stack::Tungstenite => {
                    if let Source::Build(profile) = source {
                        build_tungstenite(workspace, profile)?;
                    }
                    parts.tungstenite = tungstenite_beside(&parts.harness);
                }
                Stack::Python => parts.python = bring::python_clients(workspace).context("for the stack python")?,
                Stack::Fastapi => {
                    let requirements = parts.subjects.join("fastapi").join("requirements.txt");
                    parts.fastapi_python =
                        bring::venv(workspace, "venv-fastapi", &requirements).context("for the stack fastapi")?;
                }
                Stack::Node => {
                    parts.node = Host::from_env().find("node").context("no node on PATH; install Node.js")?;
                    let folder = parts.subjects.join("node_ws");
                    parts.node_modules =
                        bring::npm_ci(workspace, "npm-ws", &folder).context("for the stack node")?.join("node_modules");
                }
            }
        }
        Ok(parts)
    }

    /// The command that starts a server, `port` in the place of its port.
    pub(crate) fn subject(&self, stack: Stack, profile: Profile, port: &str) -> Vec<OsString> {
        let slow = profile.is_slow();
        let mut words: Vec<OsString> = match stack {
            Stack::Scripted => {
                let mut words = self.reference(port, "scripted", profile);
                if slow {
                    words.extend(["--cost-ms-per-segment".into(), INFERENCE_MS.into()]);
                    // A slot is taken for minutes, and who is turned away for want of one is tried again later.
                    words.extend(["--max-sessions".into(), "512".into()]);
                }
                words
            }
            Stack::Model => {
                let mut words = self.reference(port, "whisper", profile);
                words.extend(["--model".into(), self.model.clone().into()]);
                words
            }
            Stack::Tungstenite => vec![self.tungstenite.clone().into(), port.into()],
            Stack::Python => self.script(&self.python, "python_websockets", "server.py", port),
            Stack::Fastapi => self.script(&self.fastapi_python, "fastapi", "server.py", port),
            Stack::Node => self.script(&self.node, "node_ws", "server.js", port),
        };
        if slow {
            let option = match stack {
                Stack::Scripted | Stack::Model => None,
                Stack::Tungstenite => Some("--cost-ms-per-segment"),
                Stack::Python => Some("--drain-ms"),
                Stack::Fastapi | Stack::Node => Some("--cost-ms"),
            };
            words.extend(option.into_iter().flat_map(|option| [option.into(), INFERENCE_MS.into()]));
        }
        words.extend(["--token".into(), TOKEN.into()]);
        words
    }

    fn reference(&self, port: &str, recognizer: &str, profile: Profile) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.server.clone().into()];
        words.extend(["--listen".into(), format!("127.0.0.1:{port}").into()]);
        words.extend(["--recognizer".into(), recognizer.into()]);
        for (option, ms) in certify::SMALL_TIMERS {
            // Behind a line that stands still for 2 s a timer of 2 s ends sessions that have just begun.
            let ms = if option == "--config-timeout-ms" && profile == Profile::Stalls { "4000" } else { ms };
            words.extend([option.into(), ms.into()]);
        }
        words
    }

    fn script(&self, program: &Path, folder: &str, file: &str, port: &str) -> Vec<OsString> {
        vec![program.into(), self.subjects.join(folder).join(file).into(), port.into()]
    }
}

/// Puts `lastword-mutants` beside the other programs of the profile.
pub(crate) fn build_tungstenite(workspace: &Workspace, profile: &str) -> Result<()> {
    let mut command: Command = workspace.cargo();
    command.args(["build", "--locked", "--profile", profile, "--package", "lastword-mutants", "--bins"]);
    command.envs(tools::located_environment(workspace));
    let status = command.status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the build of lastword-mutants failed ({status})");
    Ok(())
}

/// Where `lastword-mutants` lies once it is built.
pub(crate) fn tungstenite_beside(harness: &Path) -> PathBuf {
    harness.with_file_name(format!("lastword-mutants{}", std::env::consts::EXE_SUFFIX))
}

/// The credential that every subject demands: the rules about credentials are certified too.
pub(crate) const TOKEN: &str = "soak-token-7f3a";
const INFERENCE_MS: &str = "50000";

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        let path = |name: &str| PathBuf::from(name);
        Parts {
            harness: path("lastword"),
            server: path("lastword-server"),
            tungstenite: path("lastword-mutants"),
            model: path("m.bin"),
            subjects: path("subjects"),
            python: path("python"),
            fastapi_python: path("python-f"),
            node: path("node"),
            node_modules: path("modules"),
        }
    }

    #[test]
    fn every_subject_is_told_its_port_and_its_credential_and_only_the_slow_ones_their_cost() {
        for stack in Stack::ALL {
            for profile in Profile::ALL.into_iter().filter(|profile| profile.fits(stack)) {
                let words = parts().subject(stack, profile, "{port}");
                let text: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
                assert!(text.iter().any(|word| word.contains("{port}")), "{text:?}");
                assert!(text.contains(&TOKEN.to_owned()), "{text:?}");
                assert_eq!(text.contains(&INFERENCE_MS.to_owned()), profile.is_slow(), "{text:?}");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let stacks: std::collections::BTreeSet<&str> = Stack::ALL.iter().map(|stack| stack.name()).collect();
        let profiles: std::collections::BTreeSet<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        assert_eq!((stacks.len(), profiles.len()), (Stack::ALL.len(), Profile::ALL.len()));
    }
}
