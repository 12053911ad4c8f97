//! What two sessions of the same speech say about each other: the first and one more after others, speech at once and behind
//! silence, one sentinel and two.

use lastword_judge::{Options, judge};
use lastword_spec::trace::{EventKind, Trace};

use super::scene::{CONFIG, END, READY, ended, error, scene};

/// A final: its text and where it ends, in milliseconds of audio.
pub(crate) type Heard<'a> = (&'a str, u64);

/// Two sessions that end as they should, the second once more with a second sentinel if its label is `twice`.
fn pair(labels: [&str; 2], first: (u64, &[Heard<'_>]), second: (u64, &[Heard<'_>])) -> Trace {
    let mut events = Vec::new();
    let mut header = None;
    for (index, (label, (seconds, heard))) in labels.into_iter().zip([first, second]).enumerate() {
        let mut trace = session(label, seconds, heard);
        for event in &mut trace.events {
            event.conn = u32::try_from(index).expect("two sessions");
            event.t_us += index as u64 * 1_000_000_000;
            if let EventKind::Open(open) = &mut event.kind {
                (open.label, open.speech) = (Some(label.to_owned()), Some("a".to_owned()));
            }
        }
        events.extend(trace.events);
        header = header.or(Some(trace.header));
    }
    Trace { header: header.expect("a session"), events }
}

pub(crate) fn session(label: &str, seconds: u64, heard: &[Heard<'_>]) -> Trace {
    let finals: Vec<String> = heard
        .iter()
        .enumerate()
        .map(|(id, (text, end_ms))| {
            let start_ms = end_ms - 10;
            format!(
                r#"<{{"type":"final","segment_id":{id},"text":"{text}","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
            )
        })
        .collect();
    let (duplicate, last) =
        (error("duplicate_end_of_stream", false, ""), ended(seconds * 1_000, 0, heard.len() as u64));
    let mut events = vec![(0, "open"), (0, CONFIG), (0, READY)];
    events.extend((0..seconds).map(|second| (second * 1_000, "audio 32000")));
    let at_ms = seconds * 1_000;
    events.push((at_ms, END));
    if label == "twice" {
        events.extend([(at_ms, END), (at_ms + 1, duplicate.as_str())]);
    }
    events.extend(finals.iter().map(|text| (at_ms + 2, text.as_str())));
    events.extend([(at_ms + 3, last.as_str()), (at_ms + 4, "closed 1000"), (at_ms + 5, "close 1000")]);
    scene(&events)
}

pub(crate) fn found(trace: &Trace) -> Vec<String> {
    let judgement = judge(trace, &Options::default());
    judgement.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect()
}

/// What is found where the same second of speech is heard first as these words and again as those.
fn again(first: &[Heard<'_>], second: &[Heard<'_>]) -> Vec<String> {
    found(&pair(["first", "again"], (1, first), (1, second)))
}

#[test]
fn half_of_the_words_must_come_again() {
    assert_eq!(again(&[("one two three", 900)], &[("one two three", 900)]), [""; 0]);
    assert_eq!(again(&[("one two three four", 900)], &[("one two six seven", 900)]), [""; 0]);
    assert_eq!(again(&[("one two three", 900)], &[("one six seven", 900)]), ["END-S2"]);
    assert_eq!(again(&[("one two three four", 900)], &[("one", 900)]), ["END-S2"]);
}

#[test]
fn a_session_without_words_is_not_like_or_unlike_another() {
    assert_eq!(again(&[], &[("one two", 900)]), [""; 0]);
    assert_eq!(again(&[("one two", 900)], &[]), [""; 0]);
    assert_eq!(again(&[], &[]), [""; 0]);
}

#[test]
fn sessions_of_more_words_than_the_bound_are_not_compared() {
    for (words, unlike) in [(2_000, true), (2_001, false)] {
        let (first, second) = (vec!["a"; words].join(" "), vec!["b"; words].join(" "));
        let rest = (vec!["a"; 2_000].join(" "), vec!["b"; 2_000].join(" "));
        let found = again(&[(&first, 400), (&rest.0, 900)], &[(&second, 400), (&rest.1, 900)]);
        assert_eq!(!found.is_empty(), unlike, "{words}");
    }
}

#[test]
fn a_session_that_broke_something_is_not_compared_as_well() {
    let mut trace = pair(["first", "again"], (1, &[("one two", 900)]), (1, &[("six seven", 900)]));
    spoil(&mut trace);
    assert_eq!(found(&trace), ["END-S9"]);
}

/// The second session counts a final that it did not send.
fn spoil(trace: &mut Trace) {
    for event in trace.events.iter_mut().filter(|event| event.conn == 1) {
        if let EventKind::Text { text, .. } = &mut event.kind {
            *text = text.replace(r#""finals":1"#, r#""finals":2"#);
        }
    }
}

/// What is found where speech is heard at once, and behind three seconds of silence.
fn behind_silence(prompt: &[Heard<'_>], delayed: &[Heard<'_>]) -> Trace {
    pair(["prompt", "delayed"], (1, prompt), (4, delayed))
}

#[test]
fn speech_behind_silence_ends_at_most_half_a_second_before_its_audio_begins() {
    let heard = |end_ms| found(&behind_silence(&[("one two", 900)], &[("one two", end_ms)]));
    assert_eq!(heard(3_900), [""; 0]);
    assert_eq!(heard(2_500), [""; 0]);
    assert_eq!(heard(2_499), ["TIM-1"]);
}

#[test]
fn what_is_not_heard_at_once_says_nothing_of_the_times_behind_silence() {
    assert_eq!(found(&behind_silence(&[], &[("one two", 900)])), [""; 0]);
    assert_eq!(found(&behind_silence(&[("", 900)], &[("one two", 900)])), [""; 0]);
    assert_eq!(found(&behind_silence(&[("one two", 900)], &[("", 900)])), [""; 0]);
}

#[test]
fn a_session_that_broke_something_is_not_asked_for_its_times_as_well() {
    let mut trace = behind_silence(&[("one two", 900)], &[("one two", 900)]);
    spoil(&mut trace);
    assert_eq!(found(&trace), ["END-S9"]);
}

/// What is found where the same speech is ended once and twice.
fn ended_twice(once: &[Heard<'_>], twice: &[Heard<'_>]) -> Vec<String> {
    found(&pair(["once", "twice"], (1, once), (1, twice)))
}

#[test]
fn a_final_that_only_one_sentinel_brings_is_lost_to_the_second() {
    let (one, two) = (("turn on", 400), ("the heater", 900));
    assert_eq!(ended_twice(&[one, two], &[one, two]), [""; 0]);
    assert_eq!(ended_twice(&[one, two], &[one]), ["END-S5"]);
    assert_eq!(ended_twice(&[one, two], &[]), ["END-S5"]);
    assert_eq!(ended_twice(&[one], &[one, two]), [""; 0]);
}

#[test]
fn words_that_are_missing_in_as_many_finals_were_heard_differently() {
    assert_eq!(ended_twice(&[("turn on the heater", 900)], &[("turn on", 900)]), [""; 0]);
    assert_eq!(ended_twice(&[("turn on", 400), ("", 900)], &[("turn", 400)]), [""; 0], "an empty final says nothing");
    assert_eq!(ended_twice(&[("turn on", 400), ("it", 900)], &[("turn on it", 900)]), [""; 0], "two have become one");
}

#[test]
fn transcripts_of_more_words_than_the_bound_are_not_compared_for_a_second_sentinel() {
    for (words, lost) in [(2_000, true), (2_001, false)] {
        let (first, rest) = (vec!["a"; words].join(" "), vec!["b"; 2_000].join(" "));
        let found = ended_twice(&[(&first, 400), (&rest, 900)], &[(&first, 400)]);
        assert_eq!(!found.is_empty(), lost, "{words}");
    }
}

#[test]
fn a_session_that_broke_something_is_not_asked_for_lost_finals_as_well() {
    let (one, two) = (("turn on", 400), ("the heater", 900));
    let mut trace = pair(["once", "twice"], (1, &[one, two]), (1, &[one]));
    spoil(&mut trace);
    assert_eq!(found(&trace), ["END-S9"]);
}
