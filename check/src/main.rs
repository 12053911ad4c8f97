//! The command of the checker: explores, and says what it found. Owns its arguments and exit codes; it must not know how to explore.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lastword_check::mutants::{MUTANTS, Mutant};
use lastword_check::{Course, Result, explore_pair, report, traces};

/// Explores the shipped session machines exhaustively. Exits 1 when they violate a property.
#[derive(Parser)]
#[command(name = "lastword-check", version, about)]
struct Cli {
    /// Explore more than twenty million states, and exit with 1 below three million; takes about a minute and 2 to 3 GiB.
    #[arg(long)]
    deep: bool,
    /// Exit with 1 also where the default bound takes longer than it may; only a quiet machine can keep to that.
    #[arg(long, conflicts_with_all = ["mutants", "mutant"])]
    in_time: bool,
    /// Explore the mutants of the protocol instead, and tell what each violates.
    #[arg(long, conflicts_with = "deep")]
    mutants: bool,
    /// Explore this mutant instead, and show the shortest counterexample of each property that it violates.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["deep", "mutants"])]
    mutant: Option<String>,
    /// Write the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the counterexamples of the mutants as trace files, in one JSON object by name; for `cargo xtask gen`.
    #[arg(long, exclusive = true)]
    traces: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.traces {
        let by_name: BTreeMap<&str, String> = traces().into_iter().collect();
        println!("{}", serde_json::to_string(&by_name).expect("strings are written to memory"));
        return ExitCode::SUCCESS;
    }
    let (results, keeps_bounds) = match (&cli.mutant, cli.mutants) {
        (Some(name), _) => match Mutant::named(name) {
            Some(mutant) => (vec![show_mutant(mutant)], true),
            None => {
                let names: Vec<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
                eprintln!("error: there is no mutant `{name}`; there are {}", names.join(", "));
                return ExitCode::from(2);
            }
        },
        (None, true) => (show_mutants(), true),
        (None, false) => show_courses(&cli),
    };
    if let Some(path) = &cli.json {
        let rows: Vec<report::Row> = results.iter().map(report::Row::of).collect();
        let text = serde_json::to_string_pretty(&rows).expect("strings are written to memory");
        if let Err(error) = std::fs::write(path, text + "\n") {
            eprintln!("error: cannot write {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    let are_mutants = cli.mutants || cli.mutant.is_some();
    let holds = are_mutants || results.iter().all(Result::holds);
    if holds && keeps_bounds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Also whether the bounds were kept that are held.
fn show_courses(cli: &Cli) -> (Vec<Result>, bool) {
    println!("{}", report::head());
    let default = Course::default_bound();
    let default_courses = default.len();
    let mut results = Vec::new();
    for course in default.into_iter().chain(if cli.deep { Course::deep_bound() } else { Vec::new() }) {
        let result = course.run();
        println!("{}", report::line(&result));
        results.push(result);
    }
    println!("{}", report::sum(&results));
    let (told, in_time) = report::default_bound_time(&results[..default_courses]);
    println!("{told}");
    let mut kept = in_time || !cli.in_time;
    if cli.deep {
        let (told, enough) = report::deep_states(&results);
        println!("{told}");
        kept &= enough;
    }
    for result in &results {
        print!("{}", report::details(result));
    }
    (results, kept)
}

fn show_mutants() -> Vec<Result> {
    let explored = MUTANTS.iter().map(|mutant| (mutant, explore_pair(&mutant.setup(), mutant.twist())));
    explored
        .inspect(|(mutant, result)| println!("{}", report::mutant_line(mutant, result)))
        .map(|(_, one)| one)
        .collect()
}

fn show_mutant(mutant: &'static Mutant) -> Result {
    println!("{}: {}", mutant.name, mutant.what);
    let result = explore_pair(&mutant.setup(), mutant.twist());
    println!("{}\n{}", report::head(), report::line(&result));
    print!("{}", report::details(&result));
    result
}
