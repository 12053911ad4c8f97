//! Random sessions against subjects in memory under paused time: a correct one is never convicted, and a hang that only a certain
//! order of messages shows is found and made small.

use std::sync::Arc;

use lastword::exit;
use lastword::explore::{Exploration, Form, REPETITIONS, Step, Wanted, explore, render};
use lastword::memory;
use lastword::redact::Redactor;
use lastword::run::{Calibration, CaseResult, Observer, Plan};
use lastword::wire::Dialler;
use lastword_judge::judge;
use lastword_mutants::{Options, Server, find};
use tokio::io::DuplexStream;

use crate::command;
use crate::peer::{Fault, Setup};
use crate::saboteur::{self, Heard};

struct Quiet;

impl Observer for Quiet {
    fn calibrated(&self, _: &Calibration) {}
    fn finished(&self, _: &CaseResult, _: usize, _: usize) {}
    fn note(&self, _: &str) {}
}

fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn plan(seed: u64, accept: impl Fn(DuplexStream) + Send + Sync + 'static) -> Plan {
    Plan { seed, ..memory::plan_with(Dialler::in_memory(memory::target(), accept), Vec::new()) }
}

fn explored(seed: u64, cases: u64, accept: impl Fn(DuplexStream) + Send + Sync + 'static) -> Exploration {
    paused(explore(plan(seed, accept), Wanted { cases, max_steps: 30 }, &Quiet))
}

fn serving(options: Options) -> impl Fn(DuplexStream) + Send + Sync + 'static {
    let server = Arc::new(Server::new(options));
    move |pipe| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.serve(pipe).await });
    }
}

/// A correct server that hangs where the sentinel follows a flush which had more than 1,500 samples before it.
fn hanging() -> impl Fn(DuplexStream) + Send + Sync + 'static {
    let server = Arc::new(Server::new(Options::default()));
    move |pipe| {
        let (mut configured, mut queued_bytes, mut flushed) = (false, 0, false);
        let hangs = move |heard: &Heard| {
            match heard {
                Heard::Binary(bytes) if configured => {
                    queued_bytes += bytes;
                    flushed = false;
                }
                Heard::Text(text) if text.contains("end_of_stream") => return flushed && queued_bytes > 3_000,
                Heard::Text(text) => {
                    configured |= text.contains(r#""config""#);
                    flushed = text.contains(r#""flush""#);
                }
                Heard::Binary(_) | Heard::Other => {}
            }
            false
        };
        let (server, pipe) = (Arc::clone(&server), saboteur::before(pipe, hangs));
        tokio::spawn(async move { server.serve(pipe).await });
    }
}

fn report(exploration: &Exploration) -> String {
    render(exploration, "lastword explore ws://subject/", None, None, &Redactor::default())
}

#[test]
fn a_correct_server_is_never_convicted() {
    let exploration = explored(1, 400, serving(Options::default()));
    assert!(exploration.failure.is_none() && exploration.unrepeated.is_empty(), "{}", report(&exploration));
    assert_eq!((exploration.ran, exploration.undecided), (400, 0), "{}", report(&exploration));
}

#[test]
fn a_hang_behind_a_flush_is_found_and_shrunk_to_the_steps_that_show_it() {
    let exploration = explored(1, 200, hanging());
    let failure = exploration.failure.as_ref().unwrap_or_else(|| panic!("{}", report(&exploration)));
    let samples: u32 = failure.minimal.steps.iter().map(samples).sum();
    // config, audio, flush; the end is what every open session is brought to.
    assert!(failure.minimal.steps.len() <= 3 + 2, "{}", report(&exploration));
    assert_eq!(failure.minimal.steps.first(), Some(&Step::Config(Form::Bare)));
    assert!(failure.minimal.steps.contains(&Step::Flush) && (1_501..1_600).contains(&samples), "{failure:?}");
    assert_eq!(failure.repeats, REPETITIONS);
    assert!(failure.executions <= 200);
}

fn samples(step: &Step) -> u32 {
    match step {
        Step::Audio { samples, .. } | Step::Broken { samples } => *samples,
        _ => 0,
    }
}

#[test]
fn the_saved_trace_says_what_it_is_and_is_judged_to_what_it_expects() {
    let exploration = explored(1, 200, hanging());
    let trace = &exploration.failure.as_ref().expect("a failure").trace;
    let note = trace.header.note.as_deref().unwrap_or_default();
    assert!(note.contains("fails 5 of 5 times") && note.contains("random steps"), "{note}");
    let read = lastword_spec::trace::read(&lastword_spec::trace::write(trace)).expect("what was written");
    let found = judge(&read, &lastword_judge::Options::default()).findings;
    let found: std::collections::BTreeSet<String> =
        found.iter().map(|finding| finding.requirement.to_string()).collect();
    let expected: std::collections::BTreeSet<String> = read.header.expect.into_iter().flatten().collect();
    assert_eq!(found, expected);
    assert!(!found.is_empty());
}

#[test]
fn the_same_seed_explores_the_same_and_the_seed_of_a_failure_shows_it_at_once() {
    let first = explored(1, 200, hanging());
    let second = explored(1, 200, hanging());
    let (first, second) = (first.failure.expect("a failure"), second.failure.expect("a failure"));
    assert_eq!((first.seed, &first.minimal, first.executions), (second.seed, &second.minimal, second.executions));
    let alone = explored(first.seed, 1, hanging());
    assert_eq!(alone.failure.expect("the same failure").drawn, first.drawn);
}

#[test]
fn broken_servers_are_found_by_chance_with_the_requirement_that_they_break() {
    for (name, requirement) in
        [("broken-frame-uncounted", "AUD-S2"), ("flushed-twice", "FLU-S2"), ("late-audio-answered-each", "END-S4")]
    {
        let exploration = explored(1, 200, serving(find(name).expect("a mutant").options()));
        let failure = exploration.failure.as_ref().unwrap_or_else(|| panic!("{name}: {}", report(&exploration)));
        let found: Vec<&str> = failure.findings.iter().map(|finding| finding.requirement.as_str()).collect();
        assert!(found.contains(&requirement), "{name}: {}", report(&exploration));
        assert!(failure.minimal.steps.len() <= 6, "{name}: {}", report(&exploration));
    }
}

#[test]
fn a_server_that_waits_is_told_by_what_it_waits_for() {
    let waits = find("waits-for-audio").expect("a mutant").options();
    let exploration = explored(1, 200, serving(waits));
    let page = report(&exploration);
    assert!(page.contains("DEADLOCK (waits for more audio after end_of_stream) with seed"), "{page}");
    assert!(page.contains("one more audio frame   5 of 5"), "{page}");
    assert!(page.contains("waiting in a circle: client.recv -> server.send"), "{page}");
}

#[test]
fn the_command_saves_what_it_found_where_replay_judges_it_and_says_how_to_find_it_again() {
    let port = command::serve(Setup { fault: Fault::SecondSessionEnded, ..Setup::default() });
    let url = format!("ws://127.0.0.1:{port}/v1/listen");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("minimal.jsonl").to_string_lossy().into_owned();
    let output = command::lastword(&["explore", &url, "--cases", "400", "--jobs", "4", "--out", &file]);
    let page = command::text(&output.stdout);
    assert_eq!(command::code(&output), exit::VIOLATION, "{page}{}", command::text(&output.stderr));
    assert!(page.contains("[END-S5]") && page.contains(" of 5 times"), "{page}");
    let again = page.lines().find_map(|line| line.trim().strip_prefix("again: lastword explore ")).expect("a command");
    assert!(again.starts_with(&url) && again.contains("--seed ") && again.ends_with("--cases 1"), "{again}");
    let replayed = command::lastword(&["replay", &file]);
    let page = command::text(&replayed.stdout);
    assert!(page.contains("as expected") && page.contains(" of 5 times"), "{page}");
    let nobody = command::lastword(&["explore", "ws://127.0.0.1:9/v1/listen", "--cases", "3"]);
    assert_eq!(command::code(&nobody), exit::UNDECIDED, "{}", command::text(&nobody.stdout));
}
