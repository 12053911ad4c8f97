//! The driver protocol: its readers and its published schema take the same lines, what is written is read back, and the manual shows
//! lines of it and no others.

#[path = "common/mutate.rs"]
mod mutate;
#[path = "common/oracle.rs"]
#[expect(dead_code, reason = "what tells messages apart by their type has nothing to do here")]
mod oracle;

use std::sync::LazyLock;

use jsonschema::Validator;
use lastword_spec::driver::{DRIVER_VERSION, Hello, Lack, Line, Order};
use lastword_spec::schema;
use lastword_spec::trace::{Call, ClientOutcome, Returned, Told, ToldWhat};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The published schema: of any line, of an order, and of a line of the driver.
static ANY: LazyLock<Validator> = LazyLock::new(|| oracle::validator(&schema::driver_schema()));
static ORDER: LazyLock<Validator> = LazyLock::new(|| definition("Order"));
static LINE: LazyLock<Validator> = LazyLock::new(|| definition("Line"));

fn definition(name: &str) -> Validator {
    let root = schema::driver_schema();
    oracle::validator(&json!({ "$ref": format!("#/$defs/{name}"), "$defs": root["$defs"] }))
}

/// Which of the two the line is, by the readers and by the schemas; the reason if they differ.
fn agree(line: &str) -> Result<(bool, bool), String> {
    let value = oracle::parse_ijson(line).map(|value| oracle::integer_spelling(&value));
    let takes = |schema: &Validator| value.as_ref().is_some_and(|value| schema.is_valid(value));
    let (order, said) = (Order::read(line), Line::read(line));
    let ours = (order.is_ok(), said.is_ok());
    let theirs = (takes(&ORDER), takes(&LINE));
    if ours != theirs || (ours.0 || ours.1) != takes(&ANY) {
        return Err(format!("the readers say {order:?} and {said:?}, the schemas {theirs:?}: {line}"));
    }
    if order.is_ok_and(|order| Order::read(&order.write()) != Ok(order)) {
        return Err(format!("this order is not read back: {line}"));
    }
    if said.is_ok_and(|said| Line::read(&said.write()) != Ok(said)) {
        return Err(format!("this line is not read back: {line}"));
    }
    Ok(ours)
}

/// Lines that somebody once thought of, `#` before a remark.
fn hand_picked() -> impl Iterator<Item = &'static str> {
    include_str!("data/driver_lines.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn readers_and_schema_agree_on_the_hand_picked_list() {
    let answers: Vec<Result<(bool, bool), String>> = hand_picked().map(agree).collect();
    let differences: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    let count = |wanted: (bool, bool)| answers.iter().filter(|answer| **answer == Ok(wanted)).count();
    assert_eq!((count((true, false)), count((false, true)), count((true, true))), (16, 16, 0));
}

#[test]
fn what_is_no_line_is_refused_with_its_place() {
    let refusals = [
        r#"{"do":"push","number":2,"audio_ms":1,"pcm_s16le_base64":"AA"}"#,
        r#"{"do":"flush","number":0}"#,
        r#"{"do":"report","number":6}"#,
        r#"{"do":"update","number":1}"#,
        r#"{"do":"quit","do":"quit"}"#,
        r#"["quit"]"#,
        "no json",
    ];
    let orders: Vec<String> = refusals.iter().map(|line| Order::read(line).unwrap_err().to_string()).collect();
    let refusals = [
        r#"{"hello":{"version":1,"client":"c","lacks":["end"]}}"#,
        r#"{"returned":{"number":2}}"#,
        r#"{"told":{"what":"gone"}}"#,
        r#"{"said":{}}"#,
        "{}",
    ];
    let lines: Vec<String> = refusals.iter().map(|line| Line::read(line).unwrap_err().to_string()).collect();
    insta::assert_snapshot!([orders, lines].concat().join("\n"));
}

#[test]
fn each_call_has_its_order_and_its_number() {
    let orders = [
        Order::Start { number: 1, url: "ws://a/".into(), token: None },
        Order::Push { number: 2, audio_ms: 1, pcm_s16le_base64: "AAA=".into() },
        Order::Flush { number: 3 },
        Order::End { number: 4 },
        Order::Close { number: 5 },
    ];
    let calls: Vec<(u32, Call)> = orders.iter().filter_map(Order::call).collect();
    assert_eq!(calls, (1..).zip(Call::ALL.iter().copied()).collect::<Vec<_>>());
    for (order, call) in orders.iter().zip(Call::ALL) {
        assert!(order.write().starts_with(&format!(r#"{{"do":"{}","#, call.as_str())), "{}", order.write());
    }
    for order in [Order::Hello { version: DRIVER_VERSION }, Order::Report {}, Order::Quit {}] {
        assert_eq!(order.call(), None);
    }
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..8).prop_map(|characters| characters.into_iter().collect())
}

fn line() -> impl Strategy<Value = Line> {
    let lacks = proptest::collection::vec(prop::sample::select(vec![Lack::Flush, Lack::Close]), 0..3);
    let small = || proptest::option::of(0..9_u64);
    prop_oneof![
        (any::<u32>(), text(), lacks).prop_map(|(version, client, lacks)| Line::Hello(Hello {
            version,
            client,
            lacks
        })),
        (any::<u32>(), prop::sample::select(Call::ALL), proptest::option::of(text()))
            .prop_map(|(number, what, failed)| Line::Returned(Returned { number, what, failed })),
        (proptest::option::of(text()), small(), small(), proptest::option::of(any::<bool>())).prop_map(
            |(text, segment_id, count, fatal)| {
                let outcome = fatal.map(|fatal| if fatal { ClientOutcome::Error } else { ClientOutcome::Complete });
                Line::Told(Told { text, segment_id, count, fatal, outcome, ..Told::new(ToldWhat::Final) })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_one_line_and_is_read_back(line in line()) {
        let text = line.write();
        prop_assert_eq!(text.lines().count(), 1);
        prop_assert_eq!(agree(text.trim_end_matches('\n')), Ok((false, true)));
        prop_assert_eq!(Line::read(&text), Ok(line));
    }

    #[test]
    fn readers_and_schema_agree_on_mutated_lines(
        line in prop::sample::select(hand_picked().collect::<Vec<_>>()),
        count in 1..3_usize,
        choices in proptest::collection::vec(any::<u16>(), 40),
    ) {
        let mut choices = choices.iter().cycle();
        let mutated = mutate::mutate(line, count, &mut |below| choices.next().map_or(0, |one| usize::from(*one) % below));
        prop_assert!(agree(&mutated).is_ok(), "{:?}", agree(&mutated));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}") {
        let _ = (Order::read(&text), Line::read(&text));
    }
}

/// The lines in the tables of the manual, with the heading above them.
fn shown_in_the_manual() -> Vec<(&'static str, &'static str)> {
    let mut heading = "";
    let mut shown = Vec::new();
    for row in include_str!("../../docs/driver.md").lines() {
        heading = row.strip_prefix("## ").unwrap_or(heading);
        let cell = row.strip_prefix('|').and_then(|row| row.split('|').next()).unwrap_or_default();
        shown.extend(cell.split('`').filter(|code| code.starts_with('{')).map(|code| (heading, code)));
    }
    shown
}

#[test]
fn every_line_in_the_manual_is_one() {
    let shown = shown_in_the_manual();
    for (heading, line) in &shown {
        let wanted = match *heading {
            "To the driver" => (true, false),
            "From the driver" => (false, true),
            other => panic!("a line stands below {other}: {line}"),
        };
        assert_eq!(agree(line), Ok(wanted), "{line}");
    }
    let of = |wanted: &str| shown.iter().filter(|(heading, _)| *heading == wanted).count();
    assert_eq!((of("To the driver"), of("From the driver")), (8, 12));
    let kinds =
        shown.iter().filter_map(|(_, line)| Some(serde_json::from_str::<Value>(line).ok()?["told"]["what"].clone()));
    let kinds: Vec<String> = kinds.filter_map(|kind| Some(kind.as_str()?.to_owned())).collect();
    for what in ["ready", "partial", "final", "flushed", "flush_failed", "error", "other", "ended", "left"] {
        assert!(kinds.iter().any(|kind| kind == what), "the manual shows no `{what}`");
    }
}
