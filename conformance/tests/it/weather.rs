//! No false alarm: a correct server with slow, stepping and waiting recognisers, behind lines that delay, stand still, cut up
//! and coalesce, in virtual time. `LASTWORD_WEATHER_SEEDS=N` tries N seeds instead of one.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lastword::exit;
use lastword::memory::{self, Certified, Line};
use lastword::report;
use lastword::run::Plan;
use lastword_mutants::{Engine, Limits, Options, Server};
use tokio::io::DuplexStream;

use crate::virtual_time::paused;

const QUICK: Engine = Engine::USUAL;

const ENGINES: &[(&str, Engine)] = &[
    ("quick", QUICK),
    ("a fixed cost of 3 s", Engine { cost_ms_per_segment: 3_000, ..QUICK }),
    ("a hangover of 800 ms", Engine { hangover_ms: 800, ..QUICK }),
    ("a constant window", Engine { window_ms: 400, ..QUICK }),
    ("8 s to load", Engine { load_ms: 8_000, ..QUICK }),
    ("half as fast as speech", Engine { cost_ms_per_audio_s: 2_000, ..QUICK }),
    ("50 s of inference", Engine { cost_ms_per_segment: 50_000, ..QUICK }),
];

/// A line, and whether everything is decided behind it: where nothing gets through for longer than a server may be silent,
/// some things must stay open.
const LINES: &[(Line, bool)] = &[
    (Line::Direct, true),
    (Line::Jitter { max_ms: 500 }, true),
    (Line::Stalls { every_ms: 9_000, for_ms: 2_000 }, false),
    (Line::OneByte, true),
    (Line::Coalesced { quiet_ms: 40 }, true),
];

fn certify(engine: Engine, line: Line, seed: u64) -> Certified {
    let progress_interval_ms = if engine.cost_ms_per_segment > 10_000 { 2_000 } else { 1_000 };
    let limits = Limits { progress_interval_ms, idle_timeout_ms: 6_000, config_timeout_ms: 6_000, ..Limits::default() };
    let server = Server::new(Options { engine, limits, ..Options::default() });
    let accept = move |pipe: DuplexStream| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.serve(pipe).await });
    };
    // The suite has tests of its own; here its connections would be most of the time.
    let plan = Plan { seed, suite: None, ..memory::plan(memory::over(line, seed, accept)) };
    paused(memory::certify(plan))
}

#[test]
fn no_correct_server_fails_whatever_its_recogniser_and_the_line_are_like() {
    let seeds = std::env::var("LASTWORD_WEATHER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_u64);
    let all: Vec<_> = (1..=seeds)
        .flat_map(|seed| ENGINES.iter().flat_map(move |engine| LINES.iter().map(move |line| (seed, engine, line))))
        .collect();
    let (next, alarms, open) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((seed, (name, engine), (line, decided))) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let report = certify(*engine, *line, *seed).report;
                    open.fetch_add(usize::from(report.exit_code == exit::UNDECIDED), Ordering::SeqCst);
                    let right = report.exit_code == exit::PASS || (!decided && report.exit_code == exit::UNDECIDED);
                    if !right {
                        let text = format!("{line:?}, {name}, seed {seed}:\n{}", report::render(&report));
                        alarms.lock().expect("no thread panicked").push(text);
                    }
                }
            });
        }
    });
    println!("{} certifications, {} of them with something open", all.len(), open.into_inner());
    let alarms = alarms.into_inner().expect("no thread panicked");
    assert!(alarms.is_empty(), "{} of {}\n{}", alarms.len(), all.len(), alarms.join("\n"));
}

#[test]
fn a_first_session_that_is_cut_short_condemns_nobody() {
    let hasty = Limits { config_timeout_ms: 0, ..Limits::default() };
    let servers = [hasty, Limits::default()].map(|limits| Server::new(Options { limits, ..Options::default() }));
    let begun = AtomicUsize::new(0);
    let accept = move |pipe: DuplexStream| {
        let server = Arc::clone(&servers[begun.fetch_add(1, Ordering::SeqCst).min(1)]);
        tokio::spawn(async move { server.serve(pipe).await });
    };
    let certified = paused(memory::certify(Plan { suite: None, ..memory::plan(accept) }));
    assert_eq!(certified.report.exit_code, exit::PASS, "{}", report::render(&certified.report));
    assert!(certified.report.measured.broken.is_none());
}
