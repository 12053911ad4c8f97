//! What counts as lost when the same speech was ended at once, flushed first, and padded with silence.

use lastword_judge::{Judgement, Options, judge};
use lastword_spec::trace::{self, EventKind, Side, Trace};

/// The good trace of a comparison, with these finals on its three connections.
fn three(ended: &[&str], flushed: &[&str], padded: &[&str]) -> Trace {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/good/compare.jsonl");
    let mut trace = trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace");
    let mut events = Vec::new();
    let mut audio_bytes = 0;
    for event in trace.events {
        let finals = [ended, flushed, padded][event.conn as usize];
        match &event.kind {
            // The amount of audio matters, its frames do not.
            EventKind::Audio { bytes, .. } => {
                audio_bytes += bytes;
                continue;
            }
            EventKind::Text { from: Side::Server, text } if text.contains(r#""type":"final""#) => {
                for (id, words) in finals.iter().enumerate() {
                    let (start_ms, end_ms) = (id * 10, id * 10 + 10);
                    let text = format!(
                        r#"{{"type":"final","segment_id":{id},"text":"{words}","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
                    );
                    events.push(with(&event, EventKind::Text { from: Side::Server, text }));
                }
                continue;
            }
            EventKind::Text { from: Side::Server, text } if text.contains("session_ended") => {
                let text = text.replace(r#""finals":1"#, &format!(r#""finals":{}"#, finals.len()));
                events.push(with(&event, EventKind::Text { from: Side::Server, text }));
                continue;
            }
            EventKind::Text { from: Side::Client, .. } if audio_bytes > 0 => {
                while audio_bytes > 0 {
                    let bytes = audio_bytes.min(32_000);
                    audio_bytes -= bytes;
                    let head = vec![1, 0, 1, 0];
                    events.push(with(&event, EventKind::Audio { from: Side::Client, bytes, head }));
                }
            }
            _ => {}
        }
        events.push(event);
    }
    trace.events = events;
    trace
}

fn with(event: &trace::Event, kind: EventKind) -> trace::Event {
    trace::Event { kind, ..event.clone() }
}

/// `END-S2 "heater"` for each loss; anything else that is found is shown whole.
fn lost(judgement: &Judgement) -> Vec<String> {
    let words = |message: &str| message.split('"').nth(1).map(str::to_owned);
    let mut lost = Vec::new();
    for finding in &judgement.findings {
        match words(&finding.message).filter(|_| finding.message.starts_with("lost ")) {
            Some(words) => lost.push(format!("{} {words}", finding.requirement)),
            None => lost.push(lastword_judge::render(finding)),
        }
    }
    lost
}

pub(crate) fn found(ended: &[&str], flushed: &[&str], padded: &[&str]) -> Vec<String> {
    lost(&judge(&three(ended, flushed, padded), &Options::default()))
}

fn is_compared(judgement: &Judgement) -> bool {
    judgement.exercised.iter().any(|id| id.as_str() == "FIN-S7")
}

#[test]
fn what_both_others_heard_is_lost_and_what_one_heard_is_not() {
    let (short, long) = ("turn on the garage", "turn on the garage heater");
    assert_eq!(found(&[short], &[long], &[long]), ["FIN-S7 heater"]);
    assert_eq!(found(&[short], &[long], &[short]), [""; 0]);
    assert_eq!(found(&[short], &[short], &[long]), [""; 0]);
    assert_eq!(found(&[short], &[long], &["turn on the garage now"]), [""; 0], "each heard another word");
    assert_eq!(found(&["a b c"], &["b c d"], &["a b c d"]), [""; 0], "one of the others is no longer");
    assert_eq!(found(&["a b c"], &["a b c d"], &["b c d"]), [""; 0], "one of the others is no longer");
    assert_eq!(found(&[short], &["Turn on the garage, heater!"], &["turn ON the garage heater"]), ["FIN-S7 heater"]);
}

#[test]
fn a_whole_final_that_both_others_have_is_one_that_was_due() {
    let first = "turn on the garage";
    assert_eq!(found(&[first], &[first, "heater"], &[first, "heater"]), ["END-S2 heater"]);
    assert_eq!(found(&[first], &[first, "heater"], &["turn on the garage heater"]), ["FIN-S7 heater"]);
    assert_eq!(found(&[first], &["turn on the garage heater"], &[first, "heater"]), ["FIN-S7 heater"]);
    assert_eq!(found(&[], &[first], &[first]), ["END-S2 turn on the garage"]);
    assert_eq!(
        found(&[first, ""], &[first, "heater"], &[first, "heater"]),
        ["END-S2 heater"],
        "an empty one says nothing"
    );
}

#[test]
fn what_a_flush_or_silence_takes_away_is_lost_there() {
    let (short, long, first) = ("turn on the garage", "turn on the garage heater", "turn on the garage");
    assert_eq!(found(&[long], &[short], &[long]), ["FIN-S7 heater"]);
    assert_eq!(found(&[long], &[], &[long]), ["FLU-S1 turn on the garage heater"], "a final was due before `flushed`");
    assert_eq!(found(&[first, "heater"], &[first], &[first, "heater"]), ["FLU-S1 heater"]);
    assert_eq!(found(&[first, "heater"], &[first], &["turn on the garage heater"]), ["FIN-S7 heater"]);
    assert_eq!(found(&[long], &[short], &["turn on the garage now"]), [""; 0], "each heard another word");
    assert_eq!(found(&[first, "heater"], &[first, "heater"], &[first]), ["FIN-S7 heater"]);
    assert_eq!(found(&[long], &[long], &[]), ["FIN-S7 turn on the garage heater"]);
    assert_eq!(found(&[long], &[long], &[short]), [""; 0], "silence may be heard differently");
    let message = |ended, flushed, padded| {
        let judgement = judge(&three(ended, flushed, padded), &Options::default());
        judgement.findings.iter().map(|one| format!("{} {}", one.conn, one.message)).collect::<Vec<_>>().join("; ")
    };
    insta::assert_snapshot!(
        [message(&[short], &[long], &[long]), message(&[long], &[short], &[long]), message(&[long], &[long], &[]),]
            .join("\n")
    );
}

/// The same with a fourth connection that went on in silence for longer; both finals end there.
fn four(ended: &str, flushed: &str, padded: (&str, u64), more: (&str, u64)) -> Vec<String> {
    lost(&judge(&trace_of_four(ended, flushed, padded, more), &Options::default()))
}

fn trace_of_four(ended: &str, flushed: &str, padded: (&str, u64), more: (&str, u64)) -> Trace {
    let mut trace = three(&[ended], &[flushed], &[padded.0]);
    let at_end = |event: &trace::Event, conn: u32, (words, end_ms): (&str, u64)| {
        let t_us = event.t_us + if conn == 3 { 10_000_000 } else { 0 };
        let mut event = trace::Event { conn, t_us, ..event.clone() };
        match &mut event.kind {
            EventKind::Open(open) if conn == 3 => open.label = Some("padded more".to_owned()),
            EventKind::Text { from: Side::Server, text } if text.contains(r#""type":"final""#) => {
                *text = text.replace(&format!("{:?}", padded.0), &format!("{words:?}"));
                *text = text.replace(r#""end_ms":10"#, &format!(r#""end_ms":{end_ms}"#));
            }
            _ => {}
        }
        event
    };
    let of_padded: Vec<trace::Event> = trace.events.iter().filter(|event| event.conn == 2).cloned().collect();
    trace.events.retain(|event| event.conn != 2);
    trace.events.extend(of_padded.iter().map(|event| at_end(event, 2, padded)));
    trace.events.extend(of_padded.iter().map(|event| at_end(event, 3, more)));
    trace
}

#[test]
fn without_times_what_may_lie_in_silence_is_not_lost_and_what_a_flush_brings_is() {
    let (short, long) = ("turn on the garage", "turn on the garage heater");
    let ms = speech_ms();
    let untimed = |mut trace: Trace, conns: &[u32]| {
        for event in trace.events.iter_mut().filter(|event| conns.contains(&event.conn)) {
            if matches!(&event.kind, EventKind::Text { text, .. } if text.contains(r#""type":"final""#)) {
                event.made_up = vec!["end_ms".to_owned(), "start_ms".to_owned()];
            }
        }
        trace
    };
    let judged = |trace: Trace, conns: &[u32]| lost(&judge(&untimed(trace, conns), &Options::default()));
    let by_silence = || trace_of_four(short, short, (long, ms), (long, ms));
    assert_eq!(judged(by_silence(), &[]), ["FIN-S7 heater"]);
    for conns in [&[0][..], &[2], &[3], &[0, 1, 2, 3]] {
        assert_eq!(judged(by_silence(), conns), [""; 0], "{conns:?}");
    }
    assert_eq!(judged(trace_of_four(short, long, (long, ms), (long, ms)), &[0, 1, 2, 3]), ["FIN-S7 heater"]);
    let without_flush = |conns: &[u32]| {
        let mut trace = by_silence();
        trace.events.retain(|event| event.conn != 1);
        is_compared(&judge(&untimed(trace, conns), &Options::default()))
    };
    assert!(without_flush(&[]) && !without_flush(&[2]), "nothing is left to compare with");
}

#[test]
fn what_is_heard_only_where_silence_follows_is_lost_at_the_end_if_it_lies_in_the_speech() {
    let (short, long) = ("turn on the garage", "turn on the garage heater");
    let speech_ms = speech_ms();
    assert_eq!(four(short, short, (long, speech_ms), (long, speech_ms)), ["FIN-S7 heater"]);
    assert_eq!(four(short, short, (long, speech_ms + 500), (long, speech_ms + 500)), ["FIN-S7 heater"]);
    assert_eq!(four(short, short, (long, speech_ms + 501), (long, speech_ms)), [""; 0], "in the silence");
    assert_eq!(four(short, short, (long, speech_ms), (long, speech_ms + 501)), [""; 0], "in the silence");
    assert_eq!(four(short, short, (long, speech_ms), (short, speech_ms)), [""; 0], "once may be chance");
    assert_eq!(four(short, short, (short, speech_ms), (long, speech_ms)), [""; 0], "once may be chance");
    assert_eq!(four(long, long, (long, speech_ms), (long, speech_ms)), [""; 0]);
    assert_eq!(four(long, short, (long, speech_ms), (long, speech_ms)), ["FIN-S7 heater"], "at the flush");
}

#[test]
fn what_is_lost_with_a_segment_that_got_no_final_is_not_lost_twice() {
    let (short, long) = ("turn on the garage", "turn on the garage heater");
    let mut trace = three(&[short], &[long], &[long]);
    let is_end =
        |event: &trace::Event| matches!(&event.kind, EventKind::Text { text, .. } if text.contains("session_ended"));
    let end = trace.events.iter().position(|event| event.conn == 0 && is_end(event)).expect("it ends");
    let partial =
        r#"{"type":"partial","segment_id":1,"revision":0,"text":"heater","start_ms":10,"end_ms":20,"channel":0}"#;
    let kind = EventKind::Text { from: Side::Server, text: partial.to_owned() };
    trace.events.insert(end, with(&trace.events[end], kind));
    let judgement = judge(&trace, &Options::default());
    let broken: Vec<&str> = judgement.findings.iter().map(|finding| finding.requirement.as_str()).collect();
    assert_eq!(broken, ["FIN-S2"]);
}

/// How long the speech of the trace is.
fn speech_ms() -> u64 {
    let of_ended = three(&[], &[], &[]).events.into_iter().filter(|event| event.conn == 0);
    let bytes = of_ended.map(|event| if let EventKind::Audio { bytes, .. } = event.kind { bytes } else { 0 });
    bytes.sum::<u64>() / 32
}

#[test]
fn a_word_is_lost_as_often_as_both_others_have_it() {
    assert_eq!(found(&["no"], &["no no no"], &["no no no"]), ["FIN-S7 no no"]);
    assert_eq!(found(&["no"], &["no no no"], &["no no"]), ["FIN-S7 no"]);
    assert_eq!(found(&["yes"], &["yes no no no"], &["yes no no"]), ["FIN-S7 no no"]);
}

#[test]
fn without_words_in_both_others_nothing_is_compared() {
    for (flushed, padded) in [(&[][..], &["one"][..]), (&["one"], &[]), (&[], &[])] {
        let judgement = judge(&three(&[], flushed, padded), &Options::default());
        assert_eq!(lost(&judgement), [""; 0]);
        assert!(!is_compared(&judgement));
    }
    assert!(is_compared(&judge(&three(&[], &["one"], &["two"]), &Options::default())));
}

#[test]
fn transcripts_of_any_length_are_compared_up_to_a_bound_and_beyond_it_in_doubt() {
    let words = |count: usize| vec!["a"; count].join(" ");
    for (count, compared) in [(4_000, true), (4_001, false)] {
        // Split, for one message is not so long.
        let parts: Vec<String> =
            words(count).as_bytes().chunks(4_000).map(|part| String::from_utf8_lossy(part).trim().into()).collect();
        let all: Vec<&str> = parts.iter().map(String::as_str).collect();
        let judgement = judge(&three(&all, &all, &all), &Options::default());
        assert_eq!(is_compared(&judgement), compared);
        assert_eq!(judgement.undecided.keys().any(|id| id.as_str() == "FIN-S7"), !compared);
        assert_eq!(lost(&judgement), [""; 0]);
    }
}

#[test]
fn only_three_whole_sessions_of_the_same_speech_are_compared() {
    let (short, long) = (["turn on"], ["turn on it"]);
    let good = three(&short, &long, &long);
    assert!(is_compared(&judge(&good, &Options::default())));
    let mut changed = vec![good.clone(); 3];
    for event in &mut changed[0].events {
        if let EventKind::Open(open) = &mut event.kind {
            open.speech = open.speech.take().filter(|_| event.conn != 1).or_else(|| Some("other.wav".to_owned()));
        }
    }
    for event in &mut changed[1].events {
        if let EventKind::Open(open) = &mut event.kind {
            open.label = open.label.take().map(|label| label.replace("padded", "flushed"));
        }
    }
    // The server says something on the second connection that cannot be read: perhaps it was a final.
    let at = changed[2].events.iter().position(|event| event.conn == 1 && is_final(event)).expect("a final");
    let garbage =
        with(&changed[2].events[at], EventKind::Text { from: Side::Server, text: "{\"type\":\"final\"}".into() });
    changed[2].events.insert(at, garbage);
    for (index, trace) in changed.iter().enumerate() {
        let judgement = judge(trace, &Options::default());
        assert!(!is_compared(&judgement), "{index}");
        assert!(lost(&judgement).iter().all(|text| !text.ends_with(" it")), "{index}");
    }
}

#[test]
fn a_final_that_ends_where_the_flush_stands_says_nothing_of_the_audio_behind_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/FLU-1--unheard-after-flush.jsonl");
    let trace = trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace");
    // The flush stands at 2,000 ms of audio; the second final of the other stream ends there, or later.
    for (ends_ms, unheard) in [(2_000, false), (2_001, true)] {
        let mut trace = trace.clone();
        for event in trace.events.iter_mut().filter(|event| event.conn == 0) {
            if let EventKind::Text { text, .. } = &mut event.kind {
                let (was, is) = (r#""start_ms":2200,"end_ms":3400"#, format!(r#""start_ms":1500,"end_ms":{ends_ms}"#));
                *text = text.replace(was, &is);
            }
        }
        assert_eq!(!judge(&trace, &Options::default()).findings.is_empty(), unheard, "{ends_ms} ms");
    }
}

#[test]
fn a_final_that_comes_with_flushed_was_heard_before_the_flush() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/FLU-1--unheard-after-flush.jsonl");
    let mut trace = trace::read(&std::fs::read_to_string(path).expect("the trace is there")).expect("a trace");
    let flushed = trace
        .events
        .iter()
        .find(|event| matches!(&event.kind, EventKind::Text { text, .. } if text.contains("flushed")));
    let flushed_us = flushed.expect("a `flushed`").t_us;
    for event in trace.events.iter_mut().filter(|event| event.conn == 1 && is_final(event)) {
        event.t_us = flushed_us;
    }
    let judgement = judge(&trace, &Options::default());
    assert_eq!(judgement.findings.iter().map(|one| one.requirement.as_str()).collect::<Vec<_>>(), ["FLU-1"]);
}

fn is_final(event: &trace::Event) -> bool {
    matches!(&event.kind, EventKind::Text { text, .. } if text.contains(r#""type":"final""#))
}
