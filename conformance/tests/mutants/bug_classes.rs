//! Owns what is known of bugs in the field: each class names the broken servers and clients that stand for it in these tests, or says
//! why nobody does. Holds that no row of the list behind it is forgotten, and makes the page of it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::tables::{hold, row};

/// The numbers of the list that the classes were made from; it has no others.
const ROWS: [RangeInclusive<u8>; 5] = [1..=5, 11..=12, 15..=15, 17..=52, 54..=100];

static CLASSES: LazyLock<Classes> =
    LazyLock::new(|| toml::from_str(include_str!("bug_classes.toml")).expect("classes of bugs"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Classes {
    /// A server is at fault, or can be.
    server: Vec<Class>,
    /// Only a client can be at fault.
    client: Vec<Class>,
}

/// Bugs of one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    rows: Vec<u8>,
    /// Where it was seen: issues, pull requests, sources.
    seen: Vec<String>,
    /// What goes wrong, in one line.
    what: String,
    /// The broken servers that stand for it.
    #[serde(default)]
    mutants: Vec<String>,
    /// The broken clients that stand for it.
    #[serde(default)]
    clients: Vec<String>,
    /// Why nobody stands for it.
    none: Option<String>,
    /// What of it nobody shows, although somebody stands for it.
    rest: Option<String>,
}

impl Class {
    fn remark(&self) -> &str {
        self.none.as_deref().or(self.rest.as_deref()).unwrap_or_default()
    }

    fn servers(&self) -> String {
        let found = self.mutants.iter().filter_map(|name| lastword_mutants::find(name));
        listed(found.map(|mutant| (mutant.name, mutant.breaks)))
    }

    fn broken_clients(&self) -> String {
        let found = self.clients.iter().filter_map(|name| lastword_client_mutants::find(name));
        listed(found.map(|mutant| (mutant.name, mutant.breaks)))
    }

    /// What both tables say first.
    fn head(&self) -> [String; 3] {
        let rows: Vec<String> = self.rows.iter().map(ToString::to_string).collect();
        [rows.join(", "), self.seen.join(", "), self.what.clone()]
    }
}

/// Mutants with the requirements that they break.
fn listed<'a>(mutants: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    mutants.map(|(name, breaks)| format!("`{name}` {breaks}")).collect::<Vec<_>>().join(", ")
}

/// What stands in backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether what stands in backticks can be found: a case by its whole name, a mutant of either side, or a word without a hyphen.
fn exists(name: &str) -> bool {
    let mut cases = lastword::case::catalogue().iter().chain(lastword::client::catalogue());
    if name.contains('/') {
        return cases.any(|case| case.id == name);
    }
    let is_mutant = lastword_mutants::find(name).is_some() || lastword_client_mutants::find(name).is_some();
    is_mutant || !name.contains('-')
}

#[test]
fn every_row_of_the_list_stands_in_exactly_one_class() {
    let mut rows: Vec<u8> = CLASSES.server.iter().chain(&CLASSES.client).flat_map(|class| class.rows.clone()).collect();
    rows.sort_unstable();
    let wanted: Vec<u8> = ROWS.into_iter().flatten().collect();
    assert_eq!(rows, wanted);
}

#[test]
fn every_class_names_mutants_that_exist_or_says_why_there_are_none() {
    let mut told = String::new();
    for class in CLASSES.server.iter().chain(&CLASSES.client) {
        let rows = &class.rows;
        for name in class.mutants.iter().filter(|name| lastword_mutants::find(name).is_none()) {
            told += &format!("{rows:?}: there is no server {name}\n");
        }
        for name in class.clients.iter().filter(|name| lastword_client_mutants::find(name).is_none()) {
            told += &format!("{rows:?}: there is no client {name}\n");
        }
        for name in quoted(class.remark()).filter(|name| !exists(name)) {
            told += &format!("{rows:?}: there is nothing called {name}\n");
        }
        let somebody = !class.mutants.is_empty() || !class.clients.is_empty();
        if class.seen.is_empty() || class.none.is_some() == somebody || (class.none.is_some() && class.rest.is_some()) {
            told += &format!("{rows:?}: it names where it was seen, and either mutants or why there are none\n");
        }
    }
    for class in CLASSES.server.iter().filter(|class| class.mutants.is_empty() && class.none.is_none()) {
        told += &format!("{:?}: a server can be at fault, and no broken one is named\n", class.rows);
    }
    for class in CLASSES.client.iter().filter(|class| !class.mutants.is_empty()) {
        told += &format!("{:?}: a broken server stands for it, so a server can be at fault\n", class.rows);
    }
    assert!(told.is_empty(), "\n{told}");
}

#[test]
fn the_page_in_the_docs_is_up_to_date() {
    let mut table = "## Where a server is at fault, or can be\n\n".to_owned();
    table += &row(&["no.", "seen in", "what goes wrong", "broken servers", "broken clients", "what nobody shows"]);
    table += &row(&["---"; 6]);
    for class in &CLASSES.server {
        let [rows, seen, what] = class.head();
        table += &row(&[&rows, &seen, &what, &class.servers(), &class.broken_clients(), class.remark()]);
    }
    table += "\n## Where only a client can be\n\n";
    table += &row(&["no.", "seen in", "what goes wrong", "broken clients", "what nobody shows"]);
    table += &row(&["---"; 5]);
    for class in &CLASSES.client {
        let [rows, seen, what] = class.head();
        table += &row(&[&rows, &seen, &what, &class.broken_clients(), class.remark()]);
    }
    hold("bug-classes.md", "mutants", &intro(), &table);
}

fn intro() -> String {
    let all = || CLASSES.server.iter().chain(&CLASSES.client);
    let servers: BTreeSet<&String> = all().flat_map(|class| &class.mutants).collect();
    let clients: BTreeSet<&String> = all().flat_map(|class| &class.clients).collect();
    format!(
        "# Bugs of the field\n\nWhat went wrong in streaming speech-to-text that people run: {} entries of a list that was searched for by symptom, so it shows that a bug exists and not \
         how often.\nThey come to {} classes in which a server is at fault or can be, and {} in which only a client can. {} broken servers and {} broken clients stand for them in the \
         tests of the harness, each with the requirement that it breaks; {} classes have none, and say why.\nWhat each does, and by which case it is found, stands in the kill matrices of \
         [servers](kill-matrix.md) and [clients](client-kill-matrix.md).\n\nLK is livekit/agents, LKJ livekit/agents-js, PC pipecat-ai/pipecat, DG one of Deepgram's SDKs; HEAD is what \
         stood in the source when it was read, and seed the server and the plugin that this project began with.",
        all().map(|class| class.rows.len()).sum::<usize>(),
        CLASSES.server.len(),
        CLASSES.client.len(),
        servers.len(),
        clients.len(),
        all().filter(|class| class.none.is_some()).count()
    )
}
