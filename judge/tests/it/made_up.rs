//! What a wire does not tell and the harness filled in: nobody is judged by it, and nobody credited.

use lastword_judge::{Judgement, Options, judge};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::trace::{ALL_MADE_UP, EventKind, Trace};

use super::scene::{CONFIG, END, READY, ended, scene};

const TIMES: &[&str] = &["end_ms", "start_ms"];
const OF_TIMES: [RequirementId; 3] = [req::TIM_1, req::TIM_S1, req::TIM_S2];

fn said(text: &str, segment_id: u64, start_ms: u64, end_ms: u64) -> String {
    format!(
        r#"<{{"type":"final","segment_id":{segment_id},"text":"{text}","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
    )
}

/// A whole session on one second of audio with these results, of whose messages these members were made up.
fn session(results: &[String], made_up: &[&str]) -> Trace {
    let ended = ended(1_000, 0, results.len() as u64);
    let before = [(0, "open"), (0, CONFIG), (0, READY), (10, "audio 32000"), (20, END)];
    let results = results.iter().map(|result| (30, result.as_str()));
    let after = [(40, ended.as_str()), (41, "closed 1000"), (42, "close 1000")];
    let all: Vec<(u64, &str)> = before.into_iter().chain(results).chain(after).collect();
    let mut trace = scene(&all);
    for event in &mut trace.events {
        if matches!(&event.kind, EventKind::Text { text, .. } if text.contains("\"final\",")) {
            event.made_up = made_up.iter().map(|member| (*member).to_owned()).collect();
        }
    }
    trace
}

fn judged(results: &[String], made_up: &[&str]) -> Judgement {
    judge(&session(results, made_up), &Options::default())
}

fn broken(judgement: &Judgement) -> Vec<&str> {
    judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect()
}

#[test]
fn times_that_nobody_said_break_nothing_and_show_nothing() {
    let without_length = [said("one two three four", 0, 500, 500)];
    let beyond = [said("one two three four", 0, 0, 1_500)];
    let backwards = [said("one two three", 0, 600, 900), said("four five six", 1, 100, 500)];
    let again_from_0 = [said("one two three", 0, 0, 700), said("four five six", 1, 0, 900)];
    for (results, id) in
        [(&without_length[..], "TIM-1"), (&beyond, "TIM-S1"), (&backwards, "TIM-S2"), (&again_from_0, "TIM-1")]
    {
        assert!(broken(&judged(results, &[])).contains(&id), "{id}: {:?}", broken(&judged(results, &[])));
        for made_up in [TIMES, &["start_ms"], &["end_ms"], &[ALL_MADE_UP]] {
            let judgement = judged(results, made_up);
            assert_eq!(broken(&judgement), [""; 0], "{id} by {made_up:?}");
            assert!(OF_TIMES.iter().all(|id| !judgement.exercised.contains(id)), "{made_up:?}");
        }
        assert!(broken(&judged(results, &["segment_id"])).contains(&id), "{id}");
    }
}

#[test]
fn a_final_without_times_is_compared_with_none() {
    let mut trace = session(&[said("one two three", 0, 600, 900), said("four five six", 1, 100, 500)], &[]);
    assert_eq!(broken(&judge(&trace, &Options::default())), ["TIM-S2"]);
    let first = trace
        .events
        .iter()
        .position(|event| matches!(&event.kind, EventKind::Text { text, .. } if text.contains("one")));
    trace.events[first.expect("it is there")].made_up = vec!["start_ms".to_owned()];
    assert_eq!(broken(&judge(&trace, &Options::default())), [""; 0]);
}

#[test]
fn the_same_words_at_the_same_place_are_a_repetition_only_if_the_place_was_said() {
    let twice = [said("yes", 0, 0, 900), said("yes", 1, 0, 900)];
    assert!(broken(&judged(&twice, &[])).contains(&"FIN-S3"));
    assert_eq!(broken(&judged(&twice, TIMES)), [""; 0]);
    let all_again = [said("one two three four", 0, 0, 400), said("one two three four five", 1, 0, 900)];
    assert!(broken(&judged(&all_again, TIMES)).contains(&"FIN-S3"), "the words alone show that");
}

#[test]
fn a_credential_in_what_was_made_up_was_repeated_by_nobody() {
    let options = Options { secrets: vec!["a-credential".to_owned()], ..Options::default() };
    let told = |made_up: &[&str]| {
        let judgement = judge(&session(&[said("a-credential", 0, 0, 900)], made_up), &options);
        broken(&judgement).contains(&"SEC-S2")
    };
    assert!(told(&[]) && told(&["segment_id"]));
    assert!(!told(&["text"]) && !told(&[ALL_MADE_UP]));
}
