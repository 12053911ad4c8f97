//! Owns the page that tells a person what a replayed trace came to: the verdict, each finding with the frames around it, and
//! what was still owed.

use std::fmt::Write as _;

use lastword_spec::trace::Trace;

use super::judged::{Expectation, Replayed};
use crate::redact::Redactor;
use crate::report::{self, FindingReport, WireLine};

/// How many lines before and after a frame that a finding points at are shown with it.
const AROUND: usize = 2;

/// The page of one trace. `secrets` do not appear in it.
#[must_use]
pub fn render(replayed: &Replayed, trace: &Trace, secrets: &[String]) -> String {
    let redactor = Redactor::new(secrets);
    let lines = report::all(trace, &redactor);
    let mut text = String::new();
    head(&mut text, replayed);
    for finding in &replayed.findings {
        finding_with_frames(&mut text, finding, &lines);
        text.push_str(&report::ladder(finding, &replayed.suspicions, "  "));
    }
    // What no finding came of is told as well: slow and not stuck, or not decided.
    for suspicion in
        replayed.suspicions.iter().filter(|one| replayed.findings.iter().all(|found| found.conn != one.conn))
    {
        report::stall_lines(suspicion).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    if let Some(reason) = &replayed.reason {
        let _ = writeln!(text, "  {reason}");
    }
    undecided(&mut text, replayed);
    open(&mut text, replayed);
    if replayed.findings.is_empty() {
        let _ = writeln!(text, "  {} requirements were exercised", replayed.exercised.len());
    }
    if let Some(expectation) = &replayed.expectation {
        expected(&mut text, expectation);
    }
    report::visible(&redactor.redact(&text))
}

fn head(text: &mut String, replayed: &Replayed) {
    let connections = match replayed.connections.len() {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    };
    let stall = replayed.findings.iter().map(|finding| report::headline(finding, &replayed.suspicions));
    let stall = stall.max_by_key(String::len).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}{stall} {} ({connections}, {} events, {})",
        replayed.verdict,
        replayed.name,
        replayed.events,
        report::seconds(replayed.length_us)
    );
    let case = replayed.case.as_deref().map(|case| format!(", case {case}")).unwrap_or_default();
    let _ = writeln!(text, "  subject: {}{case}", replayed.subject);
    if let Some(note) = &replayed.note {
        let _ = writeln!(text, "  note: {note}");
    }
}

fn finding_with_frames(text: &mut String, finding: &FindingReport, lines: &[WireLine]) {
    report::finding_in_full(text, finding);
    let mut last_shown = None;
    for (index, line) in lines.iter().enumerate().filter(|(index, _)| is_near(lines, *index, &finding.frames)) {
        if last_shown.is_some_and(|last| last + 1 < index) {
            let _ = writeln!(text, "         ...");
        }
        last_shown = Some(index);
        let mark = if holds(lines, index, &finding.frames) { '>' } else { ' ' };
        let when = report::seconds(line.t_us);
        let _ = writeln!(text, "   {mark} {:>4} {when:>9} conn {} {}", line.event, line.conn, line.text);
    }
}

fn is_near(lines: &[WireLine], index: usize, frames: &[usize]) -> bool {
    let from = index.saturating_sub(AROUND);
    (from..=index + AROUND).any(|near| near < lines.len() && holds(lines, near, frames))
}

/// Whether a frame stands in this line; a line of audio holds many.
fn holds(lines: &[WireLine], index: usize, frames: &[usize]) -> bool {
    let next = lines.get(index + 1).map_or(usize::MAX, |next| next.event);
    frames.iter().any(|frame| (lines[index].event..next).contains(frame))
}

fn undecided(text: &mut String, replayed: &Replayed) {
    for (id, why) in &replayed.undecided {
        let _ = writeln!(text, "  undecided [{id}]: {why}");
    }
}

fn open(text: &mut String, replayed: &Replayed) {
    if replayed.open.is_empty() {
        text.push_str("  nothing was owed at the end of the trace\n");
        return;
    }
    text.push_str("  owed at the end of the trace:\n");
    for debt in &replayed.open {
        let since = report::seconds(debt.since_us);
        let bound = match debt.due_us.checked_sub(replayed.length_us) {
            Some(left_us) => format!("{} were left", report::seconds(left_us)),
            None => format!("due at {}", report::seconds(debt.due_us)),
        };
        let _ = writeln!(
            text,
            "    conn {} {}: the {} owes {} since {since}, {bound} [{}]",
            debt.conn, debt.state, debt.debtor, debt.what, debt.requirement
        );
    }
}

fn expected(text: &mut String, expectation: &Expectation) {
    let list = |ids: &[String]| if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") };
    let _ = if expectation.met {
        writeln!(text, "  as expected: {}", list(&expectation.expected))
    } else {
        writeln!(
            text,
            "  NOT as expected: the header says {}, found {}",
            list(&expectation.expected),
            list(&expectation.found)
        )
    };
}
