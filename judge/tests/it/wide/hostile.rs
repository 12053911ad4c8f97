//! Whatever is in a trace, the judge ends, does not panic, and takes time about in proportion to its length.

use lastword_judge::{Options, judge, render};
use lastword_spec::close::CloseCode;
use lastword_spec::trace::ControlOutcome::{Answered, Completed, Unanswered};
use lastword_spec::trace::{Eof, Event, EventKind, Header, Open, Probe, Side, Stimulus, Trace};
use proptest::prelude::*;

const READY: &str = concat!(
    r#"{"type":"ready","session_id":"s","protocol":"lastword.v1","config":{"audio":{"encoding":"pcm_s16le","#,
    r#""sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":true,"#,
    r#""endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000}},"limits":{"idle_timeout_ms":3000,"#,
    r#""keepalive_interval_ms":1000,"ready_ms":10000,"flush_ms":5000,"drain_ms":15000,"close_ms":2000,"#,
    r#""progress_interval_ms":2000,"max_step_ms":30000,"max_frame_bytes":32000,"max_text_bytes":4096,"#,
    r#""max_session_ms":60000,"max_buffered_audio_ms":1000}}"#
);

/// Texts that a server, or a client, may send: legal ones, broken ones, numbers at their ends.
fn text() -> impl Strategy<Value = String> {
    let number = prop_oneof![0_u64..5, Just(u64::MAX), Just((1 << 53) - 1), 0_u64..5_000];
    let code = prop::sample::select(vec![
        "bad_message",
        "invalid_state",
        "audio_after_end",
        "duplicate_end_of_stream",
        "idle_timeout",
        "internal",
        "unauthenticated",
        "message_too_large",
        "strange",
    ]);
    let flag = prop::bool::ANY;
    prop_oneof![
        3 => Just(READY.to_owned()),
        2 => Just(r#"{"type":"config"}"#.to_owned()),
        1 => Just(r#"{"type":"config","audio":{"sample_rate_hz":44100},"token":"abcd","required":["words"]}"#.to_owned()),
        2 => Just(r#"{"type":"end_of_stream"}"#.to_owned()),
        2 => (number.clone(), number.clone(), number.clone(), flag).prop_map(|(id, start, end, last)| {
            let kind = if last { "final" } else { "partial" };
            format!(
                r#"{{"type":"{kind}","segment_id":{id},"revision":{id},"text":"one two","start_ms":{start},"end_ms":{end},"channel":0}}"#
            )
        }),
        1 => number.clone().prop_map(|n| format!(r#"{{"type":"keepalive","seq":{n}}}"#)),
        1 => number.clone().prop_map(|n| format!(r#"{{"type":"keepalive_ack","seq":{n}}}"#)),
        1 => number.clone().prop_map(|n| format!(r#"{{"type":"flush","id":"{n}"}}"#)),
        1 => number.clone().prop_map(|n| format!(r#"{{"type":"flushed","id":"{n}"}}"#)),
        1 => number.clone().prop_map(|n| format!(r#"{{"type":"update","id":"{n}"}}"#)),
        1 => (number.clone(), number.clone()).prop_map(|(seq, ms)| {
            format!(r#"{{"type":"progress","seq":{seq},"audio_processed_ms":{ms}}}"#)
        }),
        2 => (code, flag, number.clone()).prop_map(|(code, fatal, n)| {
            format!(r#"{{"type":"error","code":"{code}","message":"m","fatal":{fatal},"retryable":{fatal},"id":"{n}"}}"#)
        }),
        2 => (number.clone(), number.clone(), flag).prop_map(|(a, b, complete)| {
            format!(
                r#"{{"type":"session_ended","reason":"completed","complete":{complete},"audio_received_ms":{a},"audio_processed_ms":{b},"rejected_frames":{b},"finals":{a}}}"#
            )
        }),
        1 => number.prop_map(|n| format!(r#"{{"type":"speech_started","start_ms":{n},"channel":0}}"#)),
        1 => Just(r#"{"type":"speech_ended","end_ms":3,"channel":0}"#.to_owned()),
        1 => ".{0,40}",
        1 => Just("x".repeat(5_000)),
    ]
}

pub(super) fn kind() -> impl Strategy<Value = EventKind> {
    let side = || prop::sample::select(vec![Side::Client, Side::Server]);
    let code = || prop::option::of(prop::sample::select(vec![1000_u16, 1001, 1002, 1009, 4400, 4408]));
    prop_oneof![
        1 => Just(EventKind::Open(Open { offered: vec!["lastword.v1".into()], selected: Some("lastword.v1".into()),
            label: Some("ended".into()), speech: Some("a.wav".into()), url: None, authorization: None, probe: None })),
        2 => (0_u32..3, prop::sample::select(Stimulus::ALL), 0_u32..6).prop_map(|(of, stimulus, round)| EventKind::Open(Open {
            offered: vec![], probe: Some(Probe { of, stimulus, round }), ..Open::default() })),
        2 => prop::sample::select(Stimulus::ALL).prop_map(EventKind::Stimulus),
        1 => any::<(u64, u64, bool)>().prop_map(|(busy_ms, over_ms, alone)| EventKind::Cpu { busy_ms, over_ms, alone }),
        1 => any::<(Option<u64>, Option<u64>)>().prop_map(|(unacknowledged_bytes, unread_bytes)| EventKind::Transport {
            unacknowledged_bytes, unread_bytes, unsent_bytes: unacknowledged_bytes, waiting_bytes: unread_bytes, retransmits: None }),
        1 => (400_u16..600).prop_map(|status| EventKind::Refused { status, retry_after: None, offered: Some(vec![]), authorization: None }),
        1 => Just(EventKind::ConnectFailed { error: "no".into() }),
        14 => (side(), text()).prop_map(|(from, text)| EventKind::Text { from, text }),
        5 => (side(), prop_oneof![0_u64..5, Just(3_200), Just(32_000), Just(32_002), Just(u64::MAX)])
            .prop_map(|(from, bytes)| EventKind::Audio { from, bytes, head: vec![b'{', b'"'] }),
        1 => (side(), code()).prop_map(|(from, code)| EventKind::Close {
            from, code: code.map(CloseCode), reason: String::new() }),
        1 => side().prop_map(|from| EventKind::Eof { from, how: Eof::Reset }),
        1 => side().prop_map(|from| EventKind::Ping { from }),
        1 => (prop::sample::select(vec![Completed, Answered, Unanswered]), prop_oneof![0_u64..500, Just(u64::MAX)])
            .prop_map(|(outcome, took_ms)| EventKind::Control { outcome, took_ms }),
        1 => any::<u64>().prop_map(|after_ms| EventKind::GaveUp { after_ms, quiescent: None }),
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    let step = prop_oneof![8 => 0_u64..50_000, 2 => 0_u64..20_000_000, 1 => Just(u64::MAX / 4)];
    let percent = prop_oneof![Just(100_u64), 0_u64..1_000, Just(u64::MAX)];
    // A trace that was read never goes back in time; one that was made may.
    let back = prop::option::weighted(0.02, 0_u64..20_000_000);
    (prop::collection::vec((step, back, 0_u32..3, kind()), 0..80), percent).prop_map(|(events, percent)| {
        let mut t_us = 0_u64;
        let events = events
            .into_iter()
            .map(|(step, back, conn, kind)| {
                t_us = back.unwrap_or(t_us.saturating_add(step));
                Event::new(t_us, conn, kind)
            })
            .collect();
        let mut header = Header::new(Side::Server);
        header.time_scale_percent = percent;
        Trace { header, events }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_trace_makes_the_judge_panic(trace in trace()) {
        let judgement = judge(&trace, &Options { secrets: vec!["abcd".into()], ..Options::default() });
        for finding in &judgement.findings {
            prop_assert!(finding.frames.iter().all(|frame| *frame < trace.events.len()), "{}", render(finding));
            prop_assert!(finding.frames.is_sorted());
        }
    }

    #[test]
    fn judging_twice_says_the_same(trace in trace()) {
        prop_assert_eq!(judge(&trace, &Options::default()), judge(&trace, &Options::default()));
    }
}

/// A session with `n` messages of every kind, most of them wrong.
fn flood(n: u64) -> Trace {
    let mut trace = Trace { header: Header::new(Side::Server), events: Vec::new() };
    let mut event = |kind| trace.events.push(Event::new(0, 0, kind));
    event(EventKind::Open(Open {
        offered: vec!["lastword.v1".into()],
        selected: Some("lastword.v1".into()),
        ..Open::default()
    }));
    event(EventKind::Text { from: Side::Client, text: r#"{"type":"config"}"#.into() });
    event(EventKind::Text { from: Side::Server, text: READY.into() });
    for i in 0..n {
        event(EventKind::Audio { from: Side::Client, bytes: 3_200, head: Vec::new() });
        event(EventKind::Text { from: Side::Client, text: format!(r#"{{"type":"flush","id":"{i}"}}"#) });
        event(EventKind::Text { from: Side::Client, text: format!(r#"{{"type":"keepalive","seq":{i}}}"#) });
        for text in [
            format!(
                r#"{{"type":"partial","segment_id":{i},"revision":1,"text":"one","start_ms":0,"end_ms":1,"channel":0}}"#
            ),
            format!(
                r#"{{"type":"final","segment_id":{},"text":"one {i}","start_ms":0,"end_ms":1,"channel":0}}"#,
                i * 2
            ),
            format!(r#"{{"type":"flushed","id":"{}"}}"#, i + 7),
            r#"{"type":"error","code":"invalid_state","message":"m","fatal":false,"retryable":false}"#.to_owned(),
            format!(r#"{{"type":"keepalive_ack","seq":{i}}}"#),
        ] {
            event(EventKind::Text { from: Side::Server, text });
        }
    }
    trace
}

/// A server that errs at every step is told so a bounded number of times.
#[test]
fn a_flood_of_errors_yields_few_findings() {
    let findings = |n| judge(&flood(n), &Options::default()).findings.len();
    let (short, long) = (findings(200), findings(20_000));
    assert!(short > 0 && long <= short, "{short} and {long}");
}
