//! What a wire does not tell and the harness filled in: nobody is judged by it, and nobody credited.

use lastword_judge::{Judgement, Options, judge};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::trace::{ALL_MADE_UP, EventKind, Trace};

use super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, ended, heard, scene};

/// A message that asks for nothing.
const ALIVE: &str = r#">{"type":"keepalive"}"#;
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
        for made_up in [TIMES, &[ALL_MADE_UP]] {
            let judgement = judged(results, made_up);
            assert_eq!(broken(&judgement), [""; 0], "{id} by {made_up:?}");
            assert!(OF_TIMES.iter().all(|id| !judgement.exercised.contains(id)), "{made_up:?}");
        }
        assert!(broken(&judged(results, &["segment_id"])).contains(&id), "{id}");
    }
}

#[test]
fn a_time_that_was_said_is_judged_without_the_other() {
    let by = |results: &[String], made_up: &str| broken(&judged(results, &[made_up])).join(" ");
    let beyond = [said("one two three four", 0, 0, 1_500)];
    assert_eq!((by(&beyond, "start_ms").as_str(), by(&beyond, "end_ms").as_str()), ("TIM-S1", ""));
    let starts_beyond = [said("one two three four", 0, 1_200, 1_200)];
    let judgement = judged(&starts_beyond, &["end_ms"]);
    assert_eq!(broken(&judgement), ["TIM-S1"]);
    assert!(judgement.findings[0].message.contains("starts at 1200 ms"), "{}", judgement.findings[0].message);
    let backwards = [said("one two three", 0, 600, 900), said("four five six", 1, 100, 500)];
    assert_eq!((by(&backwards, "end_ms").as_str(), by(&backwards, "start_ms").as_str()), ("TIM-S2", ""));
    for one in [[said("one two three four", 0, 500, 500)], [said("one two three", 0, 900, 100)]] {
        assert_eq!((by(&one, "start_ms").as_str(), by(&one, "end_ms").as_str()), ("", ""));
    }
    let again_from_0 = [said("one two three", 0, 0, 700), said("four five six", 1, 0, 900)];
    assert_eq!((by(&again_from_0, "start_ms").as_str(), by(&again_from_0, "end_ms").as_str()), ("", ""));
    let shown = |made_up: &str| judged(&backwards[..1], &[made_up]).exercised;
    for made_up in TIMES {
        assert!(shown(made_up).contains(&req::TIM_1) && shown(made_up).contains(&req::TIM_S1), "{made_up}");
    }
}

/// A whole session of these events behind `ready`, in which the messages of one type have members that were made up.
fn with(events: &[(u64, &str)], kind: &str, made_up: &[&str]) -> Judgement {
    let before = [(0, "open"), (0, CONFIG), (0, READY)];
    let all: Vec<(u64, &str)> = before.into_iter().chain(events.iter().copied()).collect();
    let mut trace = scene(&all);
    for event in &mut trace.events {
        if matches!(&event.kind, EventKind::Text { text, .. } if text.contains(&format!("\"type\":\"{kind}\""))) {
            event.made_up = made_up.iter().map(|member| (*member).to_owned()).collect();
        }
    }
    judge(&trace, &Options::default())
}

#[test]
fn words_without_times_lie_nowhere() {
    let result = concat!(
        r#"<{"type":"final","segment_id":0,"text":"a b","start_ms":100,"end_ms":900,"channel":0,"words":["#,
        r#"{"text":"a","start_ms":0,"end_ms":0},{"text":"b","start_ms":0,"end_ms":0}]}"#
    );
    let ended = ended(1_000, 0, 1);
    let events = [(10, "audio 32000"), (20, END), (30, result), (40, &ended), (41, "closed 1000"), (42, "close 1000")];
    assert_eq!(broken(&with(&events, "final", &[])), ["TIM-S3"]);
    let judgement = with(&events, "final", &["words"]);
    assert_eq!(broken(&judgement), [""; 0]);
    assert!(!judgement.exercised.contains(&req::TIM_S3));
}

#[test]
fn a_partial_that_may_lie_behind_a_flush_owes_it_nothing() {
    let partial = |end_ms: u64| {
        format!(
            r#"<{{"type":"partial","segment_id":1,"revision":0,"text":"three","start_ms":1000,"end_ms":{end_ms},"channel":0}}"#
        )
    };
    let (first, last, ended) = (heard(0, 0, 1_000), heard(1, 1_000, 3_000), ended(3_000, 0, 2));
    let judged = |partial: &str, made_up: &[&str]| {
        let before = [(10, "audio 32000"), (15, first.as_str()), (20, "audio 32000"), (25, FLUSH), (26, "audio 16000")];
        let after = [(28, partial), (30, FLUSHED), (32, "audio 16000"), (40, END), (50, last.as_str())];
        let end = [(60, ended.as_str()), (61, "closed 1000"), (62, "close 1000")];
        let all: Vec<(u64, &str)> = before.into_iter().chain(after).chain(end).collect();
        let judgement = with(&all, "partial", made_up);
        broken(&judgement).contains(&"FLU-S1")
    };
    assert!(judged(&partial(2_500), &[]), "it starts before the flush");
    assert!(!judged(&partial(2_500), TIMES), "nobody said where it starts");
    assert!(judged(&partial(2_000), TIMES), "it ends before the flush at the latest");
}

#[test]
fn a_final_without_times_is_late_for_a_flush_where_no_audio_has_come_since() {
    let (first, late, ended) = (heard(0, 0, 1_000), heard(1, 1_000, 1_000), ended(1_000, 0, 2));
    let judged = |since: &str, made_up: &[&str]| {
        let ended = if since == "audio 640" { ended.replace("1000", "1020") } else { ended.clone() };
        let late = if since == "audio 640" { late.replace("\"end_ms\":1000", "\"end_ms\":1020") } else { late.clone() };
        let events = [
            (10, "audio 32000"),
            (15, first.as_str()),
            (25, FLUSH),
            (30, FLUSHED),
            (33, since),
            (35, late.as_str()),
            (40, END),
            (60, ended.as_str()),
            (61, "closed 1000"),
            (62, "close 1000"),
        ];
        let judgement = with(&events, "final", made_up);
        assert!(made_up.is_empty() || !judgement.exercised.contains(&req::FLU_1), "nobody said that it lies behind");
        broken(&judgement).join(" ")
    };
    assert_eq!(judged(ALIVE, TIMES), "FLU-S1");
    assert_eq!(judged("audio 640", TIMES), "");
}

#[test]
fn words_said_again_behind_a_flush_are_no_repetition_where_nobody_said_how_long_they_last() {
    let said_again = |upto_ms: u64, made_up: &[&str]| {
        let (first, again) =
            (said("one two three four", 0, 0, 1_000), said("one two three four five", 1, 1_000, upto_ms));
        let ended = ended(3_000, 0, 2);
        let events = [
            (10, "audio 32000"),
            (15, first.as_str()),
            (20, "audio 16000"),
            (25, FLUSH),
            (30, FLUSHED),
            (32, "audio 48000"),
            (40, END),
            (50, again.as_str()),
            (60, ended.as_str()),
            (61, "closed 1000"),
            (62, "close 1000"),
        ];
        broken(&with(&events, "final", made_up)).join(" ")
    };
    assert_eq!(said_again(3_000, &[]), "FIN-S3", "it is longer than the audio behind the flush");
    for made_up in [TIMES, &["start_ms"], &["end_ms"]] {
        assert_eq!(said_again(3_000, made_up), "", "{made_up:?}");
    }
}

#[test]
fn progress_without_a_number_says_that_the_server_works_and_no_more() {
    let told: Vec<String> =
        (1..=25).map(|_| r#"<{"type":"progress","seq":7,"audio_processed_ms":0}"#.to_owned()).collect();
    let ended = ended(1_000, 0, 0);
    let mut events: Vec<(u64, &str)> = vec![(10, "audio 32000"), (40, END)];
    events.extend(told.iter().enumerate().map(|(at, told)| (40 + (at as u64 + 1) * 1_900, told.as_str())));
    events.extend([(48_000, ended.as_str()), (48_001, "closed 1000"), (48_002, "close 1000")]);
    let numbered = with(&events, "progress", &[]);
    assert!(broken(&numbered).contains(&"PRG-S2") && broken(&numbered).contains(&"PRG-S4"), "{:?}", broken(&numbered));
    let judgement = with(&events, "progress", &["audio_processed_ms", "seq"]);
    assert_eq!(broken(&judgement), [""; 0]);
    for id in [req::PRG_S2, req::PRG_S3, req::PRG_S4] {
        assert!(!judgement.exercised.contains(&id), "{id}");
    }
}

#[test]
fn an_end_that_counts_nothing_is_not_held_to_its_counts() {
    let counts = ["audio_processed_ms", "audio_received_ms", "complete", "finals", "rejected_frames"];
    let dropped = r#"<{"type":"warning","code":"audio_dropped","message":"m"}"#;
    let wrong = ended(900, 0, 3);
    let right = ended(1_000, 0, 0);
    let judged = |warning: &str, ended: &str, made_up: &[&str]| {
        let events =
            [(10, "audio 32000"), (20, warning), (40, END), (60, ended), (61, "closed 1000"), (62, "close 1000")];
        with(&events, "session_ended", made_up)
    };
    assert_eq!(broken(&judged(dropped, &right, &[])), ["BP-S2"]);
    assert_eq!(broken(&judged(ALIVE, &wrong, &counts)), [""; 0]);
    assert_eq!(broken(&judged(dropped, &right, &["complete"])), [""; 0]);
    for (member, fault) in [("finals", "audio_received_ms"), ("audio_received_ms", "finals")] {
        let told = broken(&judged(ALIVE, &wrong, &[member])).join(" ");
        assert_eq!(told, "END-S9", "{fault} was said");
    }
    let shows = |made_up: &[&str]| {
        let shown = judged(ALIVE, &right, made_up).exercised;
        (shown.contains(&req::END_S9), shown.contains(&req::END_S8))
    };
    assert_eq!(shows(&[]), (true, true));
    assert_eq!(shows(&["complete"]), (true, false));
    for member in counts.into_iter().filter(|member| *member != "complete") {
        assert_eq!(shows(&[member]), (false, true), "{member}");
    }
    // Nor is a session that ends before its time.
    let timed_out = ended(5_000, 0, 0).replace("completed", "idle_timeout").replace("true", "false");
    let early = |made_up: &[&str]| {
        let idle = r#"<{"type":"error","code":"idle_timeout","message":"m","fatal":true,"retryable":true}"#;
        let events = [
            (10, "audio 32000"),
            (30_050, idle),
            (30_060, timed_out.as_str()),
            (30_061, "closed 4408"),
            (30_062, "close 4408"),
        ];
        broken(&with(&events, "session_ended", made_up)).join(" ")
    };
    assert_eq!(early(&[]), "END-S9");
    for member in ["audio_received_ms", "audio_processed_ms"] {
        assert_eq!(early(&[member]), "", "{member}");
    }
    // A session without audio ends, which shows what END-S6 asks for even where nobody says that it is complete.
    let incomplete = ended(0, 0, 0).replace("\"complete\":true", "\"complete\":false");
    let without_audio = |made_up: &[&str]| {
        let events = [(40, END), (60, incomplete.as_str()), (61, "closed 1000"), (62, "close 1000")];
        let judgement = with(&events, "session_ended", made_up);
        (broken(&judgement).join(" "), judgement.exercised.contains(&req::END_S6))
    };
    assert_eq!(without_audio(&["complete"]), (String::new(), true));
    assert_eq!(without_audio(&[]).0, "END-S6");
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
