//! Owns `lastword certify server`: from the arguments to a plan, around it the subject's process, and after it the reports.

use std::fs;
use std::path::Path;

use super::report_args::DEFAULT_SEED;
use super::shell::{option, print};
use super::subject;
use super::{DEFAULT_MAX_WAIT_S, ServerArgs, UsageError};
use crate::case::{Case, catalogue};
use crate::certificate::{self, MIN_CREDENTIAL_BYTES, Origin};
use crate::dialect;
use crate::exit;
use crate::redact::Redactor;
use crate::report::{self, Context, Progress, SubjectReport};
use crate::run::{self, Plan, Run};
use crate::select::choose;
use crate::speech::{Speech, parse_texts};
use crate::subject::{Process, Target};
use crate::suite::{self, DEFAULT_EXTRA_STATES, Suite, SuitePlan};

/// Certifies a server and prints the report.
///
/// # Errors
/// The arguments, or a file they name, are wrong, or the subject cannot be started. Nothing was certified then.
pub(super) fn server(arguments: ServerArgs) -> Result<u8, UsageError> {
    subject::driven(async |process| certify(&arguments, process).await)
}

async fn certify(arguments: &ServerArgs, process: &mut Option<Process>) -> Result<u8, UsageError> {
    let choice =
        choose(catalogue(), suite::case(), &arguments.report.only, &arguments.report.skip).map_err(UsageError::from)?;
    let cases = choice.cases;
    // A wrong dialect is told before anything is started. The suite is about the answers of version 1.
    let dialect = dialect::choose(&arguments.subject.dialect).map_err(UsageError::from)?;
    let wants_suite = choice.extra && !arguments.no_suite && dialect.is_native();
    let suite = wants_suite.then_some(SuitePlan { extra_states: arguments.extra_states });
    let speech = match &arguments.audio {
        Some(folder) => Speech::from_folder(folder).map_err(UsageError::from)?,
        None => Speech::built_in(),
    };
    let expect = match &arguments.expect {
        Some(file) => {
            parse_texts(&fs::read_to_string(file).map_err(|error| UsageError(format!("{}: {error}", file.display())))?)
        }
        None => Vec::new(),
    };
    let every_case: Vec<&Case> = catalogue().iter().chain([suite::case()]).collect();
    let known = arguments.report.known(&every_case)?;
    let target = subject::open(&arguments.subject, process).await?;
    if arguments.certificate.is_some() && target.token.as_ref().is_some_and(|token| token.len() < MIN_CREDENTIAL_BYTES)
    {
        return Err(UsageError::from(certificate::WriteError::ShortCredential));
    }
    let redactor = Redactor::new(&target.secrets());
    let mut origin = origin(arguments, &target, &speech);
    let mut context = Context {
        url: target.shown(),
        died: None,
        command: arguments.subject.command_line(),
        seed: arguments.report.seed,
        again: again(arguments, &target),
        known,
        redactor,
        has_logs: arguments.report.log_dir.is_some(),
    };
    eprintln!("{}", plan_line(&cases, suite, &speech, arguments, &target));
    let plan = Plan {
        dialler: arguments.subject.dialler(target)?,
        transcribe: !arguments.no_transcripts && arguments.report.only.is_empty() && speech.has_texts(),
        speech,
        cases,
        jobs: arguments.jobs,
        max_sessions: arguments.max_sessions,
        rate: arguments.rate,
        audio_budget_s: arguments.audio_budget,
        seed: arguments.report.seed,
        max_wait_ms: arguments.max_wait.saturating_mul(1_000),
        suite,
        expect,
    };
    let progress = Progress::new(plan.cases.len(), arguments.report.quiet);
    let run = tokio::select! {
        biased;
        run = run::run(plan, &progress) => run,
        () = subject::interrupted() => {
            eprint!("{}", context.redactor.redact(&progress.interrupted()));
            return Ok(exit::UNDECIDED);
        }
    };
    progress.clear();
    context.died = process.as_mut().and_then(|process| {
        let status = process.exited()?;
        Some(format!("{status}\n  {}", process.tail().join("\n  ")))
    });
    origin.subject.died = context.died.as_deref().map(|how| context.redactor.redact(how));
    Ok(finish(arguments, &context, &origin, &run))
}

/// What a certificate says besides the run.
fn origin(arguments: &ServerArgs, target: &Target, speech: &Speech) -> Origin {
    Origin {
        subject: SubjectReport {
            url: target.shown(),
            command: arguments.subject.command_line(),
            died: None,
            fell: None,
        },
        options: certificate::Options {
            seed: arguments.report.seed,
            only: arguments.report.only.clone(),
            skip: arguments.report.skip.clone(),
            jobs: arguments.jobs,
            max_sessions: arguments.max_sessions,
            rate: arguments.rate,
            audio_budget_s: arguments.audio_budget,
            speech_sha256: certificate::speech_sha256(speech),
            ..certificate::Options::default()
        },
        token: target.token.clone(),
        secrets: target.secrets(),
        made_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// Prints and writes everything, and only then says what it came to.
fn finish(arguments: &ServerArgs, context: &Context, origin: &Origin, run: &Run) -> u8 {
    let (report, code) = arguments.report.publish(context, run);
    if arguments.verbose {
        print(&report::unvisited(&report.coverage));
    }
    let certified = arguments.certificate.as_deref().map_or(exit::PASS, |path| write_certificate(path, run, origin));
    exit::strongest([code, certified])
}

/// Writes the certificate, after it has been verified from what is written.
pub(super) fn write_certificate(path: &Path, run: &Run, origin: &Origin) -> u8 {
    let text = match certificate::write(run, origin) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::INTERNAL;
        }
    };
    let written = match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, text)),
        None => fs::write(path, text),
    };
    match written {
        Ok(()) => exit::PASS,
        Err(error) => {
            eprintln!("error: cannot write {}: {error}", path.display());
            exit::USAGE
        }
    }
}

/// What will be done, in a line, before it is done.
fn plan_line(
    cases: &[&Case],
    suite: Option<SuitePlan>,
    speech: &Speech,
    arguments: &ServerArgs,
    target: &Target,
) -> String {
    let suite = suite.map(|plan| Suite::generate(plan.extra_states));
    let sequences = suite.as_ref().map_or(0, |suite| suite.tests.len());
    let draining = suite.as_ref().map_or(0, Suite::draining) as u64;
    let audio_ms: u64 = cases.iter().map(|case| case.audio_ms(speech, 1)).sum();
    let word_ms = speech.clip("word").duration_ms();
    let controls = cases.len() as u64;
    let connections: u64 = cases.iter().map(|case| case.connections()).sum::<u64>() + controls + sequences as u64;
    let audio_s = (audio_ms + (controls + draining) * word_ms) / 1_000;
    let by_rate_s = arguments.rate.map_or(0.0, |rate| connections as f64 / rate);
    let lanes = arguments.jobs.min(arguments.max_sessions.unwrap_or(usize::MAX)) as f64;
    // A session of a conforming server takes little; what takes time is its timers, and an operator's rate.
    let in_cases = connections - sequences as u64;
    let estimate_s = ((in_cases as f64 * 0.25 + sequences as f64 * 0.05) / lanes).max(by_rate_s).max(6.0).ceil();
    let whose = if target.is_loopback() { "" } else { ", not this machine" };
    format!(
        "plan: {} cases and {sequences} sequences against {}{whose}: about {connections} connections, {audio_s} s of audio, {estimate_s} s and the server's own timers",
        cases.len(),
        target.shown()
    )
}

/// The command line that runs one case again, without secrets: every option that a verdict may depend on, and no other.
pub(super) fn again(arguments: &ServerArgs, target: &Target) -> String {
    let mut words = vec!["lastword certify server".to_owned()];
    words.extend(arguments.subject.words(target));
    words.extend(option("--audio", arguments.audio.as_ref().map(|path| path.display())));
    words.extend(option("--expect", arguments.expect.as_ref().map(|path| path.display())));
    words.extend(option("--seed", Some(arguments.report.seed).filter(|seed| *seed != DEFAULT_SEED)));
    words.extend(option("--max-sessions", arguments.max_sessions));
    words.extend(option("--rate", arguments.rate));
    words.extend(option("--max-wait", Some(arguments.max_wait).filter(|wait_s| *wait_s != DEFAULT_MAX_WAIT_S)));
    words.extend(option("--extra-states", Some(arguments.extra_states).filter(|k| *k != DEFAULT_EXTRA_STATES)));
    words.push("--only {case}".to_owned());
    if let Some(command) = arguments.subject.command_line() {
        words.push("--".to_owned());
        words.push(command);
    }
    words.join(" ")
}
