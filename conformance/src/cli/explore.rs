//! Owns `lastword explore`: from the arguments to an exploration, and from what it found to a page and a trace file.

use std::path::{Path, PathBuf};

use clap::Args;
use lastword_spec::trace;

use super::shell::{option, print};
use super::subject::{self, SubjectArgs};
use super::{DEFAULT_MAX_WAIT_S, UsageError, positive, rate};
use crate::exit;
use crate::explore::{Exploration, Wanted, explore, render};
use crate::redact::Redactor;
use crate::report::Progress;
use crate::run::Plan;
use crate::speech::Speech;
use crate::subject::Process;

/// Arguments of `explore`. A dialect is refused with the reason, and not offered.
#[derive(Args)]
#[command(mut_arg("dialect", |dialect| dialect.hide(true)))]
pub(super) struct ExploreArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// From which the sequences are drawn: sequence I from seed N + I. The same seed draws the same sequence.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many sequences.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// How many steps a sequence has at most.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_STEPS, value_parser = positive)]
    max_steps: usize,
    /// Where the minimal transcript of a failure goes [default: explore-SEED.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A folder of WAVs (16 kHz mono s16le) instead of the built-in speech.
    #[arg(long, value_name = "DIR")]
    audio: Option<PathBuf>,
    /// How many sequences run side by side.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = positive)]
    jobs: usize,
    /// How many sessions are open at once at most, control sessions included.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_sessions: Option<usize>,
    /// How many connections are opened a second at most.
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// The longest wait for anything, in seconds.
    #[arg(long, value_name = "S", default_value_t = DEFAULT_MAX_WAIT_S, value_parser = clap::value_parser!(u64).range(1..))]
    max_wait: u64,
    /// Print what came of it only, no progress.
    #[arg(long)]
    quiet: bool,
}

/// Explores a server and prints what came of it.
///
/// # Errors
/// The arguments, or a file they name, are wrong, or the subject cannot be started. Nothing was explored then.
pub(super) fn run(arguments: ExploreArgs) -> Result<u8, UsageError> {
    subject::driven(async |process| run_against(&arguments, process).await)
}

async fn run_against(arguments: &ExploreArgs, process: &mut Option<Process>) -> Result<u8, UsageError> {
    let speech = match &arguments.audio {
        Some(folder) => Speech::from_folder(folder).map_err(UsageError::from)?,
        None => Speech::built_in(),
    };
    if !crate::dialect::choose(&arguments.subject.dialect).map_err(UsageError::from)?.is_native() {
        return Err(UsageError(
            "random sessions are drawn from version 1, and no dialect carries all of it: leave --dialect out"
                .to_owned(),
        ));
    }
    let target = subject::open(&arguments.subject, process).await?;
    let redactor = Redactor::new(&target.secrets());
    let mut words = vec!["lastword explore".to_owned()];
    words.extend(arguments.subject.words(&target));
    words.extend(option("--audio", arguments.audio.as_ref().map(|path| path.display())));
    words.extend(option("--max-steps", Some(arguments.max_steps).filter(|steps| *steps != DEFAULT_STEPS)));
    words.extend(option("--max-sessions", arguments.max_sessions));
    words.extend(option("--rate", arguments.rate));
    words.extend(option("--max-wait", Some(arguments.max_wait).filter(|wait_s| *wait_s != DEFAULT_MAX_WAIT_S)));
    let plan = Plan {
        dialler: arguments.subject.dialler(target)?,
        speech,
        cases: Vec::new(),
        jobs: arguments.jobs,
        max_sessions: arguments.max_sessions,
        rate: arguments.rate,
        audio_budget_s: None,
        seed: arguments.seed,
        max_wait_ms: arguments.max_wait.saturating_mul(1_000),
        transcribe: false,
        suite: None,
        expect: Vec::new(),
    };
    let wanted = Wanted { cases: arguments.cases, max_steps: arguments.max_steps };
    let progress = Progress::new(0, arguments.quiet);
    let exploration = explore(plan, wanted, &progress).await;
    progress.clear();
    let saved = exploration.failure.as_ref().map(|failure| {
        let file = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("explore-{}.jsonl", failure.seed)));
        (save(&file, &redactor.redact(&trace::write(&failure.trace))), file)
    });
    let mut codes = vec![code(&exploration)];
    let mut file = None;
    match saved {
        Some((Ok(()), path)) => file = Some(path.display().to_string()),
        Some((Err(error), _)) => {
            eprintln!("error: {error}");
            codes.push(exit::USAGE);
        }
        None => {}
    }
    let mut page =
        render(&exploration, &words.join(" "), arguments.subject.command_line().as_deref(), file.as_deref(), &redactor);
    if let Some(process) = process.as_mut()
        && let Some(status) = process.exited()
    {
        page.push_str(
            &redactor.redact(&format!("the subject's process ended: {status}\n  {}\n", process.tail().join("\n  "))),
        );
        codes.push(exit::VIOLATION);
    }
    print(&page);
    Ok(exit::strongest(codes))
}

const DEFAULT_STEPS: usize = 30;

/// 1 for a failure that was seen again, 3 where something remained open.
fn code(exploration: &Exploration) -> u8 {
    if exploration.failure.is_some() {
        exit::VIOLATION
    } else if exploration.is_settled() {
        exit::PASS
    } else {
        exit::UNDECIDED
    }
}

fn save(path: &Path, text: &str) -> Result<(), UsageError> {
    std::fs::write(path, text).map_err(|error| UsageError(format!("cannot write {}: {error}", path.display())))
}
