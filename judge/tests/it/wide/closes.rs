//! Every way in which a connection can be closed after every way in which a session can end: by which code, how late, and what
//! the client's own Close changes.

use lastword_spec::error_code::ERROR_CODES;

use super::super::scene::{CONFIG, END, KEEPALIVE, READY, ended, error, heard};
use super::unusual::{found, rows};

fn text(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    lines.iter().map(|(ms, line)| (*ms, (*line).to_owned())).collect()
}

/// How sessions end, at 1,000 ms.
fn ends() -> Vec<(String, Vec<(u64, String)>)> {
    let ready = [(0, "control 10"), (10, "open"), (100, CONFIG), (200, READY), (300, "audio 32000")];
    let (whole, partly) = (ended(1_000, 0, 0), ended(1_000, 0, 0).replace("true", "false"));
    let of = |reason: &str, last: &str| last.replace("completed", reason);
    let after = |more: &[(u64, &str)]| text(&[&ready[..], more].concat());
    let mut all = vec![
        ("completed".to_owned(), after(&[(900, END), (1_000, &whole)])),
        (
            "completed after an error".to_owned(),
            after(&[(400, &error("strange", false, "")), (900, END), (1_000, &whole)]),
        ),
        ("another reason, said to be complete".to_owned(), after(&[(900, END), (1_000, &of("internal", &whole))])),
        ("a reason without an error".to_owned(), after(&[(900, END), (1_000, &of("internal", &partly))])),
        ("a reason that nobody knows".to_owned(), after(&[(1_000, &of("strange", &partly))])),
        (
            "a reason other than the error's".to_owned(),
            after(&[(900, &error("internal", true, "")), (1_000, &of("going_away", &partly))]),
        ),
        ("nothing".to_owned(), after(&[])),
        ("nothing after the sentinel".to_owned(), after(&[(900, END)])),
        ("nothing before ready".to_owned(), text(&ready[..3])),
        ("nothing before config".to_owned(), text(&ready[..2])),
        ("nothing after an error".to_owned(), after(&[(900, &error("bad_message", false, ""))])),
        ("nothing after a keepalive".to_owned(), after(&[(900, KEEPALIVE)])),
    ];
    for spec in ERROR_CODES.iter().filter(|spec| spec.close.is_some()) {
        let fatal = error(spec.code, true, "");
        let early = [(0, "control 10"), (10, "open"), (100, CONFIG), (1_000, fatal.as_str())];
        all.push((format!("{} before ready", spec.code), text(&early)));
        let last = of(spec.code, &partly);
        all.push((spec.code.to_owned(), after(&[(900, &fatal), (1_000, &last)])));
    }
    all
}

const CODES: &[&str] = &[
    "1000", "1001", "1002", "1009", "1011", "1012", "1013", "4400", "4401", "4403", "4404", "4408", "4409", "4422",
    "4429", "4500", "",
];

#[test]
fn every_close_after_every_end_is_judged_as_it_was() {
    let mut ways: Vec<String> = CODES.iter().map(|code| format!("closed {code}").trim_end().to_owned()).collect();
    ways.extend(["dropped", "late closed 1000", "late closed 1011", "nothing"].map(str::to_owned));
    let mut table = String::new();
    for (name, before) in ends() {
        rows(&mut table, &name, &ways, |way| {
            let mut lines = before.clone();
            match way.strip_prefix("late ") {
                Some(close) => lines.push((3_501, close.to_owned())),
                None if way == "nothing" => lines.push((4_000, "gave_up 1".to_owned())),
                None => lines.push((1_100, way.to_owned())),
            }
            found(lines)
        });
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_answer_to_a_close_of_the_client_is_judged_as_it_was() {
    let ready = [(0, "control 10"), (10, "open"), (100, CONFIG), (200, READY), (300, "audio 32000")];
    let whole = ended(1_000, 0, 0);
    let full: Vec<(u64, String)> = (0..31).map(|index| (310 + index, "audio 32000".to_owned())).collect();
    let with = |more: &[(u64, &str)]| text(&[&ready[..], more].concat());
    let situations = [
        ("before config", text(&ready[..2])),
        ("before ready", text(&ready[..3])),
        ("streaming", with(&[])),
        ("streaming, its buffer full", [with(&[]), full].concat()),
        ("streaming, a keepalive open", with(&[(400, KEEPALIVE)])),
        ("draining", with(&[(900, END)])),
        ("ended", with(&[(900, END), (950, &whole)])),
        ("failing", with(&[(950, &error("internal", true, ""))])),
    ];
    let mut answers = Vec::new();
    for close in ["close 1000", "close 1001", "close 4000", "close", "closed 1000, then close 1000"] {
        for answer in ["closed 1000", "closed 1001", "closed 4000", "closed", "dropped", "late closed 1000", "nothing"]
        {
            answers.push(format!("{close}: {answer}"));
        }
        for said in ["final", "late final", "ended", "late ended", "ready"] {
            answers.push(format!("{close}: {said}"));
        }
    }
    let mut table = String::new();
    for (name, before) in &situations {
        rows(&mut table, name, &answers, |answer| {
            let (closes, answer) = answer.split_once(": ").unwrap_or_default();
            let mut lines = before.clone();
            lines.extend(
                closes.split(", then ").enumerate().map(|(index, close)| (1_000 + index as u64, close.to_owned())),
            );
            let (ms, answer) = answer.strip_prefix("late ").map_or((1_200, answer), |answer| (3_501, answer));
            match answer {
                "final" => lines.push((ms, heard(0, 0, 500))),
                "ended" => lines.push((ms, whole.clone())),
                "ready" => lines.push((ms, READY.to_owned())),
                "nothing" => lines.push((8_000, "gave_up 1".to_owned())),
                close => lines.push((ms, close.to_owned())),
            }
            found(lines)
        });
    }
    insta::assert_snapshot!(table);
}
