//! The command that runs a case again, as reports print it. Owns the list of the options that no verdict depends on.

use clap::{Command as ClapCommand, Parser as _};

use super::{Certify, Cli, Command, certify, certify_client, command};
use crate::subject::Target;

/// What a server may be certified with. Not with a URL: `--path` and `--start-wait` need a command.
const SERVER: &str = "lastword certify server --header X-Key:secret --token secret --ca roots.pem --dialect smallest-pulse --path /p \
    --start-wait 9 --audio speech --expect words.tsv --only server/* --skip server/end/* --known-failures known.toml --json r.json \
    --junit r.xml --log-dir logs --seed 7 --quiet --extra-states 0 --no-suite --certificate r.cert --verbose --jobs 2 \
    --max-sessions 3 --rate 1.5 --audio-budget 60 --max-wait 120 --no-transcripts -- ./my-server --port {port}";

const CLIENT: &str = "lastword certify client --token secret --dialect smallest-pulse --path /p --tls --stdin wav --only client/* \
    --skip client/end/* --known-failures known.toml --json r.json --junit r.xml --log-dir logs --seed 7 --quiet --certificate r.cert \
    --jobs 2 --max-wait 120 -- ./my-client {url}";

/// Where the report goes, which cases run (that one), how many side by side (one alone), and what is left out of a whole run.
const NO_VERDICT_DEPENDS_ON: [&str; 14] = [
    "skip",
    "known-failures",
    "json",
    "junit",
    "log-dir",
    "quiet",
    "no-suite",
    "certificate",
    "verbose",
    "jobs",
    "audio-budget",
    "no-transcripts",
    "help",
    "version",
];

#[test]
fn a_case_of_a_server_runs_again_with_every_option_that_its_verdict_depends_on_and_no_secret() {
    assert_eq!(
        server_again(SERVER),
        "lastword certify server --header 'X-Key: ...' --token \"$LASTWORD_TOKEN\" --ca roots.pem --dialect smallest-pulse --path /p \
         --start-wait 9 --audio speech --expect words.tsv --seed 7 --max-sessions 3 --rate 1.5 --max-wait 120 --extra-states 0 \
         --only {case} -- ./my-server --port {port}"
    );
    assert_eq!(
        server_again("lastword certify server -- ./my-server {port}"),
        "lastword certify server --only {case} -- ./my-server {port}",
        "what nobody gave is not told"
    );
    every_option_is_told(&["certify", "server"], &server_again(SERVER));
}

#[test]
fn a_case_of_a_client_runs_again_with_every_option_that_its_verdict_depends_on_and_no_secret() {
    assert_eq!(
        client_again(CLIENT),
        "lastword certify client --dialect smallest-pulse --path /p --tls --token \"$LASTWORD_TOKEN\" --stdin wav --seed 7 --max-wait 120 \
         --only {case} -- ./my-client {url}"
    );
    assert_eq!(
        client_again("lastword certify client -- ./my-client {url} {audio}"),
        "lastword certify client --only {case} -- ./my-client {url} {audio}",
        "what nobody gave is not told"
    );
    // Each of these three excludes the others.
    let in_all_three =
        ["--stdin wav", "--driver", "--stream-ms 5000"].map(|how| client_again(&CLIENT.replace("--stdin wav", how)));
    every_option_is_told(&["certify", "client"], &in_all_three.join(" "));
}

/// An option that is new must be put into `again`, or into the list above.
fn every_option_is_told(path: &[&str], again: &str) {
    let mut whole = command();
    whole.build();
    let found = path.iter().fold(&whole, |parent, name| {
        parent.get_subcommands().find(|child| child.get_name() == *name).expect("a command of this name")
    });
    for option in options(found) {
        let is_told = again.contains(&format!("--{option} ")) || again.ends_with(&format!("--{option}"));
        let is_idle = NO_VERDICT_DEPENDS_ON.contains(&option);
        assert!(is_told != is_idle, "--{option}: told {is_told}, listed as idle {is_idle}; {again}");
    }
}

fn options(command: &ClapCommand) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(|argument| argument.get_long())
}

fn server_again(line: &str) -> String {
    let target = Target::local(1, "/p");
    match Cli::try_parse_from(line.split_whitespace()).expect("a right command line").command {
        Command::Certify(Certify::Server(arguments)) => certify::again(&arguments, &target),
        _ => panic!("another command"),
    }
}

fn client_again(line: &str) -> String {
    let of_the_subject = line.split_once(" -- ").expect("a command behind it").1;
    match Cli::try_parse_from(line.split_whitespace()).expect("a right command line").command {
        Command::Certify(Certify::Client(arguments)) => certify_client::again(&arguments, of_the_subject),
        _ => panic!("another command"),
    }
}
