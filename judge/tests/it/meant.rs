//! Which message an error is meant for where more than one could be, what was surely read, and which message of the client is
//! told together with a breach.

use lastword_judge::{Judgement, Options, judge};

use super::scene::{CONFIG, END, FLUSH, FLUSHED, KEEPALIVE, READY, broken_after_ready, ended, error, scene};

const BAD: &str = r#">{"type":"keepalive","seq":"x"}"#;
const STRANGE: &str = r#">{"type":"strange"}"#;
const UPDATE: &str = r#">{"type":"update","id":"u","language":"de"}"#;
const UPDATED: &str = r#"<{"type":"updated","id":"u","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000},"language":"de"}}"#;
/// A keepalive that asks for no answer.
const ALIVE: &str = r#">{"type":"keepalive"}"#;

fn verdict(events: &[(u64, &str)]) -> Judgement {
    judge(&scene(events), &Options::default())
}

fn ids(judgement: &Judgement) -> Vec<&str> {
    judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect()
}

/// A whole session with these lines before its `config` and behind its audio, of which the server counts so many refused frames.
fn whole(before: &[&str], after: &[&str], refused: u64) -> Judgement {
    let ready = READY.replace(r#""capabilities":{}"#, r#""capabilities":{"update":true}"#);
    let last = ended(1_000, refused, 0);
    let mut lines = vec!["open"];
    lines.extend(before);
    lines.extend([CONFIG, ready.as_str(), "audio 32000"]);
    lines.extend(after);
    lines.extend([END, last.as_str(), "closed 1000", "close 1000"].iter().filter(|line| !after.contains(line)));
    verdict(&lines.into_iter().enumerate().map(|(index, line)| (10 * index as u64, line)).collect::<Vec<_>>())
}

fn plain(code: &str) -> String {
    error(code, false, "")
}

#[test]
fn one_error_before_config_may_be_meant_for_audio_that_need_not_be_answered() {
    let (illegal, unknown) = (plain("invalid_state"), plain("unknown_type"));
    let named = |code| error(code, false, r#","param":"seq""#);
    let (bad, illegal_here) = (named("bad_message"), named("invalid_state"));
    let before = |lines: &[&str]| ids(&whole(lines, &[], 1)).join(" ");
    assert_eq!(before(&[BAD, "audio 640", &illegal, &bad]), "", "the first one was for the audio");
    assert_eq!(before(&[BAD, "audio 640", &illegal, &unknown]), "MSG-3", "another code is no answer of its own");
    assert_eq!(before(&[BAD, &illegal, "audio 640", &bad]), "MSG-S4", "the audio came too late to be meant");
    assert_eq!(before(&[BAD, STRANGE, &illegal, "audio 640", &bad, &unknown]), "MSG-S4", "nor was the strange one");
    assert_eq!(before(&[BAD, KEEPALIVE, &illegal_here, "audio 640", &bad, &illegal]), "MSG-S4", "nor the keepalive");
}

#[test]
fn an_id_that_is_asked_with_again_is_not_stale() {
    let bad = error("bad_message", false, r#","param":"seq""#);
    let with = |id: &str| error("bad_message", false, &format!(r#","id":"{id}","param":"seq""#));
    let after = |lines: &[&str]| ids(&whole(&[], lines, 0)).join(" ");
    assert_eq!(after(&[UPDATE, UPDATED, BAD, UPDATE, &with("u"), &bad]), "", "the second update is refused");
    assert_eq!(after(&[FLUSH, FLUSHED, BAD, FLUSH, &with("f"), &bad]), "FLU-S2", "the second flush is refused");
    assert_eq!(after(&[FLUSH, FLUSHED, BAD, &with("f")]), "ERR-1", "nothing else had this id");
}

#[test]
fn a_refusal_before_config_proves_something_where_the_session_comes_about() {
    let refused = error("invalid_state", false, r#","id":"f""#);
    let exercised = |answer: &str| {
        let events = [(0, "open"), (1, FLUSH), (2, &refused), (3, CONFIG), (4, answer), (5, "control 10")];
        verdict(&events).exercised.iter().any(|id| id.as_str() == "STA-S2")
    };
    assert!(exercised(READY));
    assert!(!exercised(&error("internal", true, "")));
}

#[test]
fn a_server_whose_buffer_was_full_may_have_left_unread_what_came_last() {
    let second_sentinel = |seconds: u64| {
        let last = ended(seconds * 1_000, 0, 0);
        let mut events: Vec<(u64, &str)> = (0..seconds).map(|index| (10 + index, "audio 32000")).collect();
        events.extend([(100, END), (110, END), (2_000, &last), (2_010, "closed 1000")]);
        broken_after_ready(&events)
    };
    assert_eq!(second_sentinel(30), ["END-S5"]);
    assert_eq!(second_sentinel(31), [""; 0]);
}

#[test]
fn each_message_before_the_sentinel_that_is_never_answered_is_missed() {
    let last = ended(1_000, 0, 0);
    assert_eq!(ids(&whole(&[], &[STRANGE, STRANGE], 0)), ["MSG-S5", "MSG-S5"]);
    let cancelled = [STRANGE, STRANGE, END, "close 1000", &last, "closed 1000"];
    assert_eq!(ids(&whole(&[], &cancelled, 0)), ["MSG-S5", "MSG-S5"], "cancelled at its end");
}

#[test]
fn what_a_service_says_of_itself_is_no_answer_to_a_message() {
    for code in ["internal", "going_away", "max_duration", "rate_limited", "quota_exceeded", "overloaded"] {
        let says = error(code, false, r#","retry_after_ms":1000"#);
        assert_eq!(ids(&whole(&[], &[END, END, &says], 0)), [""; 0], "{code}");
    }
    assert_eq!(ids(&whole(&[], &[END, END, &plain("unknown_type")], 0)), ["END-S5"], "this one was meant for it");
}

#[test]
fn an_error_after_the_sentinel_is_meant_for_the_keepalives_if_there_is_one_for_each() {
    let illegal = plain("invalid_state");
    let after = |lines: &[&str]| ids(&whole(&[], lines, 0)).join(" ");
    assert_eq!(after(&[END, ALIVE, "audio 640", &illegal]), "KA-S5");
    assert_eq!(after(&[END, ALIVE, ALIVE, "audio 640", &illegal]), "END-S4", "one for two of them");
    assert_eq!(after(&[END, "audio 640", ALIVE, &illegal]), "END-S4", "the audio came first");
    assert_eq!(after(&[END, ALIVE, "audio 640", &plain("invalid_audio")]), "END-S4", "no keepalive is audio");
}

#[test]
fn who_calls_a_message_bad_beside_one_of_more_than_half_the_limit_fails_at_its_length() {
    let refused = |bytes: usize| {
        let bare = r#"{"type":"keepalive","pad":""}"#.len();
        let long = format!(r#">{{"type":"keepalive","pad":"{}"}}"#, "a".repeat(bytes - bare));
        ids(&whole(&[], &[&long, &plain("bad_message")], 0)).join(" ")
    };
    assert_eq!(refused(32_768), "MSG-3");
    assert_eq!(refused(32_769), "LIM-S3");
}

#[test]
fn the_message_that_most_likely_led_to_an_error_is_told_with_it_and_not_the_last_one() {
    // The first line behind the audio of `whole` is event 4.
    let told = |lines: &[&str]| {
        let judgement = whole(&[], lines, 0);
        let finding = judgement.findings.first().expect("a finding");
        (finding.requirement.as_str().to_owned(), finding.frames.clone())
    };
    let is = |id: &str, frames: [usize; 2]| (id.to_owned(), frames.to_vec());
    let duplicate = plain("duplicate_end_of_stream");
    assert_eq!(told(&[END, ALIVE, END, &duplicate, &plain("invalid_state")]), is("KA-S5", [5, 8]));
    assert_eq!(told(&[FLUSH, FLUSHED, "audio 0", "audio 0", &plain("audio_after_end")]), is("FLU-1", [4, 8]));
    let extended = r#">{"type":"keepalive","x_new":1}"#;
    assert_eq!(told(&[extended, ALIVE, &plain("bad_message")]), is("VER-3", [4, 6]));
    let last = ended(0, 0, 0);
    let early = ["open", CONFIG, END, READY, ALIVE, &duplicate, &last, "closed 1000"];
    let early: Vec<(u64, &str)> = early.into_iter().map(|line| (0, line)).collect();
    let early = verdict(&early).findings;
    assert_eq!((early[0].requirement.as_str(), &early[0].frames[..]), ("END-S1", &[2, 5][..]));
}
