//! Every dialect that comes with the harness, and every one by which the grammar is tried, through the runner: a right server in it is
//! told of no fault, and one that never ends is told so.

mod client;
mod files;
mod gateway;
mod wires;

use std::path::Path;
use std::sync::Arc;

use client::Without;
use gateway::Gateway;
use lastword::case::catalogue;
use lastword::client::{EndsAs, Program, Stdin, Surroundings};
use lastword::dialect;
use lastword::memory;
use lastword::run::{CaseResult, Run};
use lastword::subject::Target;
use lastword::wire::Dialler;
use lastword_dialects::{Capability, Dialect};
use lastword_spec::finding::Verdict;
use lastword_spec::trace::{Event, EventKind, Exited};

use crate::peer::{Fault, Setup};
use crate::virtual_time::paused;

/// The folder of the dialects by which the grammar is tried.
const REACH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dialects/tests/reach");

fn all() -> Vec<&'static Dialect> {
    let files = std::fs::read_dir(Path::new(REACH)).expect("the folder is there");
    let mut files: Vec<_> = files.map(|file| file.expect("it can be read").path()).collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dialects/asks-first.toml"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let chosen = files.iter().map(|path| dialect::choose(path.to_str().expect("a plain path")).expect("a dialect"));
    Dialect::builtins().filter(|dialect| !dialect.is_native()).chain(chosen).collect()
}

fn certified(dialect: &'static Dialect, fault: Fault) -> Run {
    let idle_timeout_ms = dialect.limits().idle_timeout_ms;
    let rate_hz = dialect.sample_rate_hz().unwrap_or(16_000);
    let gateway = Gateway::new(dialect, Setup { fault, idle_timeout_ms, rate_hz, speed: 10, ..Setup::default() });
    let target = Target { path: "/".to_owned(), ..memory::target() };
    let dialler = Dialler::in_memory(target, move |stream| gateway.accept(stream)).speaking(dialect);
    paused(memory::certify(memory::plan_with(dialler, catalogue().iter().collect()))).run
}

/// Those whose sessions libraries can hold: the end of `everything` is the client's Close, behind which they send nothing any more.
fn playable() -> impl Iterator<Item = &'static Dialect> {
    all().into_iter().filter(|dialect| dialect.name() != "everything")
}

/// What was found in a case, or why it is open.
fn told(run: &Run, which: impl Fn(Verdict) -> bool) -> Vec<String> {
    let such = run.results.iter().filter(|result| which(result.verdict));
    such.map(|result| {
        let found: Vec<String> = result.findings().map(lastword_judge::render).collect();
        let reason = result.reason.clone().unwrap_or_default();
        format!("{} {:?} {}{reason}", result.case.id, result.verdict, found.join("; "))
    })
    .collect()
}

/// How many cases passed, in a line; the plain end must be one of them, where there is an end.
fn passed(dialect: &Dialect, run: &Run, end: &str) -> String {
    let passed: Vec<&str> =
        run.results.iter().filter(|one| one.verdict == Verdict::Pass).map(|one| one.case.id.as_str()).collect();
    assert!(passed.contains(&end) || dialect.lacks(Capability::EndOfStream), "{}", dialect.name());
    format!("{}: {}\n", dialect.name(), passed.len())
}

#[test]
fn a_right_server_of_any_dialect_is_told_of_no_fault() {
    let (mut wrong, mut passes) = (Vec::new(), String::new());
    for dialect in playable() {
        let run = certified(dialect, Fault::None);
        let expected = |verdict| {
            matches!(verdict, Verdict::Pass | Verdict::NonStrict | Verdict::NotApplicable | Verdict::NotTested)
        };
        let told = told(&run, |verdict| !expected(verdict));
        passes += &passed(dialect, &run, "server/end/plain");
        wrong.extend(told.iter().map(|one| format!("{}: {one}", dialect.name())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::assert_snapshot!(passes);
}

#[test]
fn a_server_that_never_ends_is_told_so_in_any_dialect_that_has_an_end() {
    for dialect in playable() {
        let run = certified(dialect, Fault::NeverEnds);
        let told = told(&run, Verdict::is_failure);
        let has_end = !dialect.lacks(Capability::EndOfStream);
        assert_eq!(told.iter().any(|one| one.contains("END-S2")), has_end, "{}: {told:?}", dialect.name());
    }
}

/// What shows whether a client says its end.
const ENDS: [&str; 14] = [
    "client/end/ideal",
    "client/end/final-3-s-late",
    "client/end/partial-after-the-end",
    "client/end/no-close",
    "client/end/close-1000-before-the-final",
    "client/end/close-1011-before-the-final",
    "client/end/reset-at-the-sentinel",
    "client/end/silence",
    "client/end/not-complete",
    "client/end/ended-after-the-last-final",
    "client/errors/garbage",
    "client/start/slow-ready",
    "client/start/never-ready",
    "client/closing/immediate",
];

fn certified_client(dialect: &'static Dialect, without: Without, cases: Option<&[&str]>) -> Run {
    let program = move |around: Surroundings| -> EndsAs {
        Box::pin(async move {
            let complete = client::session(around, dialect, without).await.unwrap_or(false);
            Exited { code: Some(i32::from(!complete)), signal: None }
        })
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), Stdin::Null);
    plan.dialect = Some(dialect);
    plan.path = dialect.socket_path();
    plan.stream_ms = Some(3_000);
    plan.token = Some("a-credential".to_owned());
    plan.cases.retain(|case| cases.is_none_or(|cases| cases.contains(&case.id.as_str())));
    paused(memory::certify_client(plan)).expect("a place for the audio").run
}

/// What a play has beside what its case is about.
const ASIDES: [&str; 4] = ["ready", "partial", "progress", "x_unheard_of"];

/// Where a case stayed open and a message of its play could not be said: it does not apply, and should say so before it is run.
fn unsaid(dialect: &Dialect, run: &Run) -> Vec<String> {
    let about = format!("{}: ", dialect.name());
    let open = run.results.iter().filter(|result| result.verdict == Verdict::NotTested);
    let events = |result: &CaseResult| {
        result.evidence.iter().flat_map(|evidence| evidence.trace.events.clone()).collect::<Vec<_>>()
    };
    let unsaid = |event: &Event| match &event.kind {
        EventKind::Note(note) => note.strip_prefix(&about).map(str::to_owned),
        _ => None,
    };
    open.flat_map(|result| {
        let is_aside = |note: &String| ASIDES.iter().any(|kind| note.contains(&format!(r#""type":"{kind}""#)));
        let notes = events(result).iter().filter_map(unsaid).filter(|note| !is_aside(note)).collect::<Vec<_>>();
        notes.into_iter().map(|note| format!("{} NOT_TESTED, and not said: {note}", result.case.id))
    })
    .collect()
}

#[test]
fn a_right_client_of_any_dialect_is_told_of_no_fault() {
    let (mut wrong, mut passes) = (Vec::new(), String::new());
    for dialect in playable() {
        let run = certified_client(dialect, Without::Nothing, None);
        let told =
            told(&run, |verdict| !matches!(verdict, Verdict::Pass | Verdict::NotApplicable | Verdict::NotTested));
        passes += &passed(dialect, &run, "client/end/ideal");
        wrong.extend(told.iter().chain(&unsaid(dialect, &run)).map(|one| format!("{}: {one}", dialect.name())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::assert_snapshot!(passes);
}

#[test]
fn a_client_that_never_says_its_end_is_told_so_in_any_dialect_that_has_an_end() {
    for dialect in all() {
        let run = certified_client(dialect, Without::End, Some(&ENDS));
        let told = told(&run, Verdict::is_failure);
        let has_end = !dialect.lacks(Capability::EndOfStream);
        assert_eq!(told.iter().any(|one| one.contains("END-C1")), has_end, "{}: {told:?}", dialect.name());
    }
}
