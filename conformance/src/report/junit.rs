//! Owns the JUnit form of a report. The library escapes; what XML cannot hold at all is replaced first.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as JUnit, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::human;
use super::model::{CaseReport, Report};

/// The report as JUnit XML: a suite for each area, a test case for each case.
///
/// # Errors
/// The XML could not be written: a defect of the harness.
pub fn to_junit(report: &Report) -> Result<String, SerializeError> {
    let mut junit = JUnit::new(xml(&format!("lastword certify {}", report.role)));
    let mut areas: Vec<&str> = report.cases.iter().map(|case| case.area.as_str()).collect();
    areas.dedup();
    for area in areas {
        let mut suite = TestSuite::new(area);
        suite.add_test_cases(report.cases.iter().filter(|case| case.area == area).map(|case| test_case(report, case)));
        junit.add_test_suite(suite);
    }
    junit.to_string()
}

fn test_case(report: &Report, case: &CaseReport) -> TestCase {
    let mut test = TestCase::new(xml(&case.id), status(case));
    test.set_classname(xml(&case.area));
    test.set_time(Duration::from_millis(case.took_ms));
    if !case.wire_log.is_empty() {
        test.set_system_out(xml(&human::case_in_full(report, case)));
    }
    test
}

fn status(case: &CaseReport) -> TestCaseStatus {
    let mut status = match (case.verdict.as_str(), &case.known) {
        ("PASS" | "NON_STRICT", _) => TestCaseStatus::success(),
        ("NOT_APPLICABLE" | "NOT_TESTED", _) | (_, Some(_)) => TestCaseStatus::skipped(),
        ("INCONCLUSIVE" | "HARNESS_ERROR", None) => TestCaseStatus::non_success(NonSuccessKind::Error),
        (_, None) => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    status.set_type(case.verdict.clone());
    status.set_message(xml(&message(case)));
    status
}

fn message(case: &CaseReport) -> String {
    let mut parts: Vec<String> = case
        .findings
        .iter()
        .map(|finding| format!("{} {} [{}]", finding.kind, finding.message, finding.requirement))
        .chain(case.reason.clone())
        .collect();
    if let Some(known) = &case.known {
        parts.insert(0, format!("known failure: {}", known.reason));
    }
    parts.join("; ")
}

/// Replaces what XML 1.0 has no way to write, not even escaped.
fn xml(text: &str) -> String {
    text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
