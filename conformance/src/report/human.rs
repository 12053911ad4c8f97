//! Owns the report for a person: compact where all is well, in full where it is not. Each distinct breach is told once, by the
//! case that is about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::level::level_lines;
use super::model::{CaseReport, FindingReport, Report, TranscriptsReport, WireLine};
use super::{latency, stall};
use crate::run::company::BESIDE;
use crate::suite;

/// The whole report as text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    areas(&mut text, report);
    unmatched(&mut text, report);
    slow(&mut text, report);
    breaches(&mut text, report);
    unsettled(&mut text, report);
    match &report.suite {
        Some(suite) => text.push_str(&suite::render(suite)),
        None if report.role == "client" || report.level.at_most.is_some() => {}
        None => text.push_str("the m-complete suite was left out: this certifies nothing\n"),
    }
    if let Some(transcripts) = &report.transcripts {
        heard(&mut text, transcripts);
    }
    summary(&mut text, report);
    visible(&text)
}

/// What a subject says must not move the cursor of whoever reads it.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// One case with everything that is known of it.
#[must_use]
pub(super) fn case_in_full(report: &Report, case: &CaseReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} {}: {}", case.verdict, case.id, case.title);
    for finding in &case.findings {
        finding_in_full(&mut text, finding);
        text.push_str(&stall::ladder(finding, &case.suspicions, "  "));
    }
    shown_slow(&mut text, case);
    if let Some(reason) = &case.reason {
        let _ = writeln!(text, "  {reason}");
    }
    evidence(&mut text, case);
    let _ = writeln!(text, "  subject: {}", report.subject.url);
    visible(&text)
}

fn head(text: &mut String, report: &Report) {
    let _ = writeln!(text, "lastword {} · {} · seed {}", report.harness, report.subject.url, report.seed);
    if let Some(announced) = &report.announced {
        let limits = |name: &str| announced.limits.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let _ = writeln!(
            text,
            "announced: idle {} ms, keepalive {} ms, ready {} ms, flush {} ms, drain {} ms, close {} ms, progress {} ms, step {} ms",
            limits("idle_timeout_ms"),
            limits("keepalive_interval_ms"),
            limits("ready_ms"),
            limits("flush_ms"),
            limits("drain_ms"),
            limits("close_ms"),
            limits("progress_interval_ms"),
            limits("max_step_ms"),
        );
    }
    let measured = &report.measured;
    if measured.session_ms.is_some() && report.role == "server" {
        let _ = writeln!(
            text,
            "measured alone: ready after {}, last final {} and session_ended {} after the sentinel",
            time(measured.ready_us),
            time(measured.last_final_us),
            time(measured.ended_us)
        );
    }
    if let Some(why) = &measured.broken {
        let _ = writeln!(text, "no control session completes: {why}");
    }
    if let Some(how) = &report.subject.died {
        let _ = writeln!(text, "CRASH: the subject's process ended before the run did: {how} [SEC-S3]");
    } else if let Some(how) = &report.subject.fell {
        let _ = writeln!(text, "CRASH: {how} [SEC-S3]");
    }
    text.push('\n');
}

/// Messages of a client that the dialect has no rule for: whoever has chosen the wrong dialect sees it here.
fn unmatched(text: &mut String, report: &Report) {
    for one in &report.unmatched {
        let (count, cases, example, why) = (one.count, one.cases, &one.example, &one.why);
        let plural = |number: u64| if number == 1 { "" } else { "s" };
        let (messages, in_cases) = (plural(count), plural(cases));
        let _ = writeln!(
            text,
            "not understood: {count} message{messages} of the client in {cases} case{in_cases}, such as {example}: {why}"
        );
    }
    if !report.unmatched.is_empty() {
        text.push('\n');
    }
}

fn areas(text: &mut String, report: &Report) {
    let mut names: Vec<&str> = report.cases.iter().map(|case| case.area.as_str()).collect();
    names.dedup();
    for area in names {
        let cases: Vec<&CaseReport> = report.cases.iter().filter(|case| case.area == area).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &cases {
            let word = if case.known.is_some() { "known failure" } else { case.verdict.as_str() };
            *counts.entry(word).or_default() += 1;
        }
        let passed = counts.remove("PASS").unwrap_or(0);
        let others: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let others = if others.is_empty() { String::new() } else { format!(", {}", others.join(", ")) };
        let _ = writeln!(text, "{area:<12} {passed} of {} PASS{others}", cases.len());
        for case in cases.iter().filter(|case| matches!(case.verdict.as_str(), "NOT_TESTED" | "NOT_APPLICABLE")) {
            let _ = writeln!(text, "  {} {}: {}", case.verdict, case.id, case.reason.as_deref().unwrap_or(""));
        }
    }
    text.push('\n');
}

/// What was slow and not stuck, once for all cases.
fn slow(text: &mut String, report: &Report) {
    let mut notes = latency::lines(&report.cases);
    notes.push_str(&latency::late_once(&report.cases));
    for case in report.cases.iter().filter(|case| !case.failed) {
        shown_slow(&mut notes, case);
    }
    if !notes.is_empty() {
        text.push_str(&notes);
        text.push('\n');
    }
}

/// The distinct breaches, each with the case that shows it best.
fn breaches(text: &mut String, report: &Report) {
    let mut by_breach: BTreeMap<(String, String), Vec<(&CaseReport, &FindingReport)>> = BTreeMap::new();
    for case in report.cases.iter().filter(|case| case.failed || case.verdict == "NON_STRICT") {
        for finding in &case.findings {
            by_breach.entry((finding.requirement.clone(), finding.kind.clone())).or_default().push((case, finding));
        }
    }
    // A stall whose cause the probes of another case have shown is that deadlock once more.
    for proved in PROVED {
        let proved = by_breach.keys().filter(|(_, kind)| kind == proved).cloned().collect::<Vec<_>>();
        for (requirement, kind) in proved {
            let same = by_breach.remove(&(requirement.clone(), "STALLED".to_owned())).unwrap_or_default();
            by_breach.entry((requirement, kind)).or_default().extend(same);
        }
    }
    let is_masked = by_breach.keys().any(|(_, kind)| kind == "MASKED_BY_TIMER");
    for ((requirement, kind), shown) in &by_breach {
        // The case that is about the requirement tells it; known failures only where nobody else does.
        let best = shown.iter().min_by_key(|(case, finding)| {
            let seen_alone = matches!(case.confirmed.as_deref(), Some("alone" | "release probes"));
            (
                case.known.is_some(),
                !PROVED.contains(&finding.kind.as_str()),
                // Of equal stalls the one that was looked into most closely.
                stall::is_stall(finding) && !case.suspicions.iter().any(|suspicion| suspicion.transport.is_some()),
                !case.covers.contains(requirement),
                !seen_alone,
                case.findings.len(),
            )
        });
        let Some((case, finding)) = best else { continue };
        let verdict = if case.known.is_some() { "KNOWN FAILURE" } else { finding.verdict.as_str() };
        let headline = stall::headline(finding, &case.suspicions);
        let _ = writeln!(text, "{verdict}{headline} {requirement}: {}", case.id);
        finding_in_full(text, finding);
        text.push_str(&stall::ladder(finding, &case.suspicions, "  "));
        if let Some(known) = &case.known {
            let issue = known.issue.as_ref().map(|issue| format!(" ({issue})")).unwrap_or_default();
            let _ = writeln!(text, "  known: {}{issue}", known.reason);
        }
        let mut others: Vec<&str> =
            shown.iter().map(|(case, _)| case.id.as_str()).filter(|id| *id != case.id).collect();
        others.dedup();
        if (requirement.as_str(), kind.as_str()) == ("PRG-S1", "LATE") && is_masked {
            text.push_str("  this is the silence that the timer above ends\n");
        }
        if !others.is_empty() {
            let some: Vec<&str> = others.iter().take(4).copied().collect();
            let more = if others.len() > some.len() { ", ..." } else { "" };
            let _ = writeln!(text, "  found in {} cases, also in {}{more}", others.len() + 1, some.join(", "));
        }
        evidence(text, case);
        text.push('\n');
    }
}

pub(crate) fn finding_in_full(text: &mut String, finding: &FindingReport) {
    let _ = writeln!(
        text,
        "  {}: {} {} (connection {}, {}, at {})",
        finding.kind,
        finding.culprit,
        finding.message,
        finding.conn,
        finding.state,
        seconds(finding.t_us)
    );
    let _ = writeln!(text, "  [{}] ({}) {}", finding.requirement, finding.level, finding.clause);
}

/// Those of them that say more than that a message never came.
const PROVED: &[&str] = &["STUCK", "UNBOUNDED_WAIT"];

/// What release probes have shown to be slow and not stuck.
fn shown_slow(text: &mut String, case: &CaseReport) {
    for suspicion in case.suspicions.iter().filter(|suspicion| suspicion.is_slow) {
        let (owes, conclusion) = (&suspicion.owes, &suspicion.conclusion);
        let _ = writeln!(text, "latency: {owes} {conclusion} ({}, shown by release probes)", case.id);
    }
}

fn evidence(text: &mut String, case: &CaseReport) {
    if let Some(closing) = &case.closing {
        let _ = writeln!(text, "  socket: {closing}");
    }
    wire(text, "wire log", &case.wire_log);
    wire(text, "wire log of the second run, alone", &case.second_wire_log);
    match case.confirmed.as_deref() {
        Some("alone") => text.push_str("  seen again when the case ran alone\n"),
        Some("in company") => {
            text.push_str("  not seen again when the case ran alone, but when four of it ran side by side\n")
        }
        Some("release probes") => text.push_str("  shown by the release probes above, five times over\n"),
        Some("not repeated") => text.push_str("  not seen again when the case ran alone\n"),
        Some(by) if by.ends_with(BESIDE) => {
            let _ = writeln!(text, "  seen again in {by}");
        }
        Some(by) => {
            let _ = writeln!(text, "  confirmed by what {by} showed");
        }
        None => {}
    }
    if let Some(file) = &case.trace_file {
        let _ = writeln!(text, "  whole trace: {file}");
    }
    let _ = writeln!(text, "  again: {}", case.again);
}

fn wire(text: &mut String, title: &str, lines: &[WireLine]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {title}:");
    for line in lines {
        let _ = writeln!(text, "    {:>4} {:>9} conn {} {}", line.event, seconds(line.t_us), line.conn, line.text);
    }
}

/// What was not decided, by the reason. Where no session completes at all, that is the reason, and the wire logs tell nothing more.
fn unsettled(text: &mut String, report: &Report) {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&CaseReport>> = BTreeMap::new();
    for case in report.cases.iter().filter(|case| matches!(case.verdict.as_str(), "INCONCLUSIVE" | "HARNESS_ERROR")) {
        by_reason.entry((&case.verdict, case.reason.as_deref().unwrap_or(""))).or_default().push(case);
    }
    let told_elsewhere = report.measured.broken.is_some();
    for ((verdict, reason), cases) in by_reason {
        match cases[..] {
            [case] => {
                let _ = writeln!(text, "{verdict} {}: {reason}", case.id);
            }
            _ => {
                let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
                let _ = writeln!(text, "{verdict} in {} cases: {reason}\n  {}", cases.len(), ids.join(", "));
            }
        }
        for case in cases.iter().take(if told_elsewhere { 0 } else { MOST_OPEN }) {
            if cases.len() > 1 {
                let _ = writeln!(text, "  {}:", case.id);
            }
            for line in case.suspicions.iter().filter(|suspicion| !suspicion.is_slow).flat_map(stall::lines) {
                let _ = writeln!(text, "  {line}");
            }
            evidence(text, case);
            text.push('\n');
        }
    }
}

/// Of cases that are open for the same reason so many are told in full.
const MOST_OPEN: usize = 2;

/// A word error rate from which on a subject is taken for one with made-up words.
const STUB_PERCENT: f64 = 80.0;

fn heard(text: &mut String, transcripts: &TranscriptsReport) {
    let _ = writeln!(text, "\nwhat was heard (each recording at the pace of speech):");
    for one in &transcripts.each {
        let heard =
            one.heard.as_deref().map_or("(the session did not complete)".to_owned(), |heard| format!("\"{heard}\""));
        let errors = match (one.errors, &one.said) {
            (Some(errors), Some(said)) if errors > 0 => format!("  ({errors} wrong; said: \"{said}\")"),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {:<18} {heard}{errors}", one.name);
    }
    if let Some(rate) = transcripts.word_error_rate_percent {
        let _ = writeln!(text, "  word error rate {rate:.2} % ({} of {} words)", transcripts.errors, transcripts.words);
        if rate >= STUB_PERCENT {
            text.push_str("  hardly a word is right: this subject does not transcribe speech, or not this language; no verdict rests on it\n");
        }
    }
    let column = |value: fn(&super::model::TranscriptReport) -> Option<u64>| middle_and_worst(transcripts, value);
    let _ = writeln!(text, "  first partial after {} of audio", column(|one| one.first_partial_us));
    let _ = writeln!(text, "  last word to last final {}", column(|one| one.last_final_us));
    let _ = writeln!(text, "  end_of_stream to session_ended {}", column(|one| one.ended_us));
}

fn middle_and_worst(
    transcripts: &TranscriptsReport,
    value: fn(&super::model::TranscriptReport) -> Option<u64>,
) -> String {
    let mut values: Vec<u64> = transcripts.each.iter().filter_map(value).collect();
    values.sort_unstable();
    match (values.get(values.len() / 2), values.last()) {
        (Some(middle), Some(worst)) => format!("{} (middle), {} (longest)", time(Some(*middle)), time(Some(*worst))),
        _ => "never".to_owned(),
    }
}

fn summary(text: &mut String, report: &Report) {
    let counts = &report.counts;
    let _ = writeln!(
        text,
        "\n{} cases in {}: {} PASS, {} NON_STRICT, {} failed, {} known failures, {} INCONCLUSIVE, {} HARNESS_ERROR, {} NOT_TESTED, {} NOT_APPLICABLE",
        report.cases.len(),
        seconds(report.took_ms * 1_000),
        counts.pass,
        counts.non_strict,
        counts.failed,
        counts.known,
        counts.inconclusive,
        counts.harness_error,
        counts.not_tested,
        counts.not_applicable
    );
    let must: Vec<&str> = report
        .requirements
        .iter()
        .filter(|one| one.level.starts_with("MUST"))
        .map(|one| one.verdict.as_str())
        .collect();
    let count = |wanted: &[&str]| must.iter().filter(|verdict| wanted.contains(verdict)).count();
    let _ = writeln!(
        text,
        "{} requirements with MUST: {} kept, {} broken, {} open",
        must.len(),
        count(&["PASS"]),
        count(&["FAIL", "DEADLOCK", "LIVELOCK", "HUNG"]),
        count(&["INCONCLUSIVE", "HARNESS_ERROR", "NOT_TESTED", "NOT_APPLICABLE"])
    );
    if report.role == "server" {
        let coverage = &report.coverage;
        let _ = writeln!(
            text,
            "{} of {} transitions of the state table visited{}",
            coverage.visited,
            coverage.transitions,
            if coverage.unvisited.is_empty() { "" } else { " (--verbose and the JSON report list the others)" }
        );
        text.push_str(&level_lines(&report.level, ""));
    }
    for fault in &report.list_faults {
        let _ = writeln!(text, "known-failure list: {fault}");
    }
    let _ = writeln!(text, "exit code {}: {}", report.exit_code, exit_word(report.exit_code));
}

fn exit_word(code: u8) -> &'static str {
    match code {
        crate::exit::PASS => "nothing broke a MUST",
        crate::exit::VIOLATION => "the subject broke a MUST",
        crate::exit::UNDECIDED => "something remained undecided",
        crate::exit::STALE_LIST => "the known-failure list is wrong",
        _ => "a defect of the harness; please report it",
    }
}

pub(crate) fn seconds(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000)
}

fn time(us: Option<u64>) -> String {
    match us {
        None => "never".to_owned(),
        Some(us) if us < 10_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        Some(us) => format!("{} ms", us / 1_000),
    }
}
