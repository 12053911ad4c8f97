//! Which crate may depend on which.
//!
//! Owns the table of arrows (ARCHITECTURE.md tells why). It must not know what is in the crates. Edges between members are
//! read from `cargo metadata`, with their kinds. What a member reaches in the end is read from `cargo tree`, one member at a
//! time: the metadata unites the features of the whole workspace and shows optional crates that nobody builds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use crate::workspace::Workspace;

/// Checks the workspace's own graph.
///
/// # Errors
/// Cargo cannot tell the graph.
pub(crate) fn check_workspace(workspace: &Workspace) -> Result<Vec<String>> {
    let graph = Graph::from_metadata(&workspace.graph()?)?;
    let mut found = graph.violations();
    for absence in ABSENCES {
        for member in absence.members.iter().filter(|member| graph.members.contains(**member)) {
            found.extend(absence.violations(&workspace.tree(member, absence.kinds)?)?);
        }
    }
    Ok(found)
}

/// What one workspace member may depend on, among the members.
struct Rule {
    member: &'static str,
    /// Normal and build edges.
    normal: &'static [&'static str],
    /// Dev edges, besides the normal ones.
    dev: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule { member: SPEC, normal: &[], dev: &[], why: "all arrows end at the spec" },
    Rule { member: SESSION, normal: &[SPEC], dev: &[], why: "the machines know the spec and nothing else" },
    Rule {
        member: JUDGE,
        normal: &[SPEC],
        dev: &[],
        why: "a judge that runs the defendant's state machine can only acquit it",
    },
    Rule { member: DIALECTS, normal: &[SPEC], dev: &[], why: "a dialect translates messages and runs no session" },
    Rule { member: CHECK, normal: &[SESSION, SPEC], dev: &[], why: "the checker explores the machines as they ship" },
    Rule { member: CLIENT, normal: &[SESSION, SPEC], dev: &[SERVER], why: "the SDK stands on the client session" },
    Rule {
        member: SERVER,
        normal: &[SESSION, SPEC, DIALECTS],
        dev: &[CLIENT, CONFORMANCE],
        why: "the server speaks the protocol only through the server session",
    },
    Rule {
        member: CONFORMANCE,
        normal: &[SPEC, JUDGE, DIALECTS],
        dev: &[SERVER, CLIENT, DRIVER, CLIENT_DRIVER, MUTANTS, CLIENT_MUTANTS],
        why: "the harness shares nouns with its subjects and no verbs; whole subjects only in end-to-end tests",
    },
    Rule { member: DRIVER, normal: &[SPEC], dev: &[], why: "a driver knows the lines, and no client" },
    Rule {
        member: CLIENT_DRIVER,
        normal: &[CLIENT, DRIVER],
        dev: &[],
        why: "it stands where an application stands: it knows the SDK's public interface",
    },
    Rule { member: MUTANTS, normal: &[], dev: &[], why: "what the harness is tested with must not share its errors" },
    Rule {
        member: CLIENT_MUTANTS,
        normal: &[],
        dev: &[],
        why: "what the harness is tested with must not share its errors",
    },
    Rule {
        member: XTASK,
        normal: &[SPEC, JUDGE, SESSION, CHECK, DIALECTS],
        dev: &[],
        why: "developer commands compile in seconds: no harness, no server",
    },
];

/// What must not be reachable from one member, however long the way.
struct Absence {
    members: &'static [&'static str],
    /// As `cargo tree --edges` names them.
    kinds: &'static str,
    forbidden: &'static [&'static str],
    why: &'static str,
}

const ABSENCES: &[Absence] = &[
    Absence {
        members: &[SPEC, SESSION, JUDGE, DIALECTS],
        kinds: "normal",
        forbidden: &["tokio", "async-std", "smol", "socket2", "mio", "rand", "getrandom", "fastrand"],
        why: "no I/O, clock, task or chance in the pure crates",
    },
    Absence {
        members: &[CONFORMANCE, JUDGE, DRIVER],
        kinds: "normal,build",
        forbidden: &[SESSION, CHECK],
        why: "a judge that runs the defendant's state machine can only acquit it",
    },
    Absence {
        members: &[CONFORMANCE],
        kinds: "normal,build",
        forbidden: &["whisper-rs", "whisper-rs-sys", "cc", "cmake", "bindgen", "ring", "aws-lc-sys", "openssl-sys"],
        why: "`cargo install --path conformance` needs no C compiler",
    },
    Absence {
        members: &[XTASK],
        kinds: "normal,build",
        forbidden: &["whisper-rs", "whisper-rs-sys", "cc", "cmake", "bindgen", CONFORMANCE, SERVER],
        why: "developer commands run on a bare machine, before any tool is brought",
    },
];

const SPEC: &str = "lastword-spec";
const SESSION: &str = "lastword-session";
const JUDGE: &str = "lastword-judge";
const DIALECTS: &str = "lastword-dialects";
const CHECK: &str = "lastword-check";
const CLIENT: &str = "lastword-client";
const DRIVER: &str = "lastword-driver";
const CLIENT_DRIVER: &str = "lastword-client-driver";
const SERVER: &str = "lastword-server";
const CONFORMANCE: &str = "lastword";
const MUTANTS: &str = "lastword-mutants";
const CLIENT_MUTANTS: &str = "lastword-client-mutants";
const XTASK: &str = "xtask";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Normal,
    Build,
    Dev,
}

/// The workspace members and the edges between them.
#[derive(Clone, Debug, Default)]
struct Graph {
    members: BTreeSet<String>,
    edges: BTreeMap<String, BTreeSet<(String, Kind)>>,
}

impl Graph {
    fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let name_of = |id: &PackageId| metadata[id].name.to_string();
        let resolve = metadata.resolve.as_ref().context("cargo metadata gave no dependency graph")?;
        let mut graph = Self { members: metadata.workspace_members.iter().map(name_of).collect(), ..Self::default() };
        for node in &resolve.nodes {
            for dep in &node.deps {
                if !graph.members.contains(&name_of(&dep.pkg)) {
                    continue;
                }
                for dep_kind in &dep.dep_kinds {
                    let kind = match dep_kind.kind {
                        DependencyKind::Development => Kind::Dev,
                        DependencyKind::Build => Kind::Build,
                        _ => Kind::Normal,
                    };
                    graph.add(&name_of(&node.id), &name_of(&dep.pkg), kind);
                }
            }
        }
        Ok(graph)
    }

    fn add(&mut self, from: &str, to: &str, kind: Kind) {
        self.edges.entry(from.to_owned()).or_default().insert((to.to_owned(), kind));
    }

    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for member in &self.members {
            match RULES.iter().find(|rule| rule.member == member) {
                Some(rule) => self.check_rule(rule, &mut found),
                None => {
                    found.push(format!("{member}: no rule for this crate; decide its arrows in xtask/src/arrows.rs"))
                }
            }
        }
        found
    }

    fn check_rule(&self, rule: &Rule, found: &mut Vec<String>) {
        for (to, kind) in self.edges.get(rule.member).into_iter().flatten() {
            let is_allowed =
                rule.normal.contains(&to.as_str()) || (*kind == Kind::Dev && rule.dev.contains(&to.as_str()));
            // A crate's tests may use the crate itself under other features.
            if !is_allowed && to != rule.member {
                found.push(format!("{} -> {to} ({}): {}", rule.member, kind.word(), rule.why));
            }
        }
    }
}

impl Absence {
    /// `tree`: a line a package, `DEPTH NAME VERSION ..`, each below the one that needs it.
    fn violations(&self, tree: &str) -> Result<Vec<String>> {
        let mut found = BTreeMap::new();
        let mut way: Vec<&str> = Vec::new();
        for line in tree.lines() {
            let mut words = line.split_whitespace();
            let depth = words.next().and_then(|word| word.parse::<usize>().ok());
            let (Some(depth), Some(name)) = (depth, words.next()) else { bail!("cannot read `{line}` of cargo tree") };
            ensure!(depth <= way.len(), "cargo tree skips a level at `{line}`");
            way.truncate(depth);
            way.push(name);
            if self.forbidden.contains(&name) {
                // One way is enough, the first; the next one is told when this is mended.
                found.entry(name).or_insert_with(|| format!("{}: {}", way.join(" -> "), self.why));
            }
        }
        ensure!(!way.is_empty(), "cargo tree gave nothing");
        Ok(found.into_values().collect())
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Build => "build",
            Self::Dev => "dev",
        }
    }
}

#[cfg(test)]
#[path = "arrows_tests.rs"]
mod tests;
