//! The trace file: what is written is read back, and a hostile file is refused with line and place.

use lastword_spec::close::CloseCode;
use lastword_spec::ijson::MAX_INTEGER;
use lastword_spec::trace::{
    self, Call, Called, ClientOutcome, ControlOutcome, Eof, Event, EventKind, Exited, Header, InputEnd, InputEnded,
    Open, Probe, Returned, Shown, Side, Spoken, Started, Stimulus, Told, ToldWhat, Trace,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..8).prop_map(|characters| characters.into_iter().collect())
}

fn outcome() -> impl Strategy<Value = ControlOutcome> {
    use ControlOutcome::{Answered, Completed, Unanswered};
    prop_oneof![Just(Completed), Just(Answered), Just(Unanswered)]
}

fn kind() -> impl Strategy<Value = EventKind> {
    let open = (vec(text(), 0..2), option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    prop_oneof![
        open.prop_map(|(offered, selected, label, speech, url)| {
            let authorization = label.as_ref().map(|_| Shown::Good);
            let probe = speech.as_ref().map(|_| Probe { of: 7, stimulus: Stimulus::HalfClose, round: 2 });
            EventKind::Open(Open { offered, selected, label, speech, url, authorization, probe })
        }),
        (any::<u16>(), option::of(text()), option::of(vec(text(), 0..2))).prop_map(|(status, retry_after, offered)| {
            let authorization =
                offered.as_ref().map(|offered| if offered.is_empty() { Shown::None } else { Shown::Wrong });
            EventKind::Refused { status, retry_after, offered, authorization }
        }),
        text().prop_map(|error| EventKind::ConnectFailed { error }),
        (side(), text()).prop_map(|(from, text)| EventKind::Text { from, text }),
        (side(), 0..=MAX_INTEGER, vec(any::<u8>(), 0..=4)).prop_map(|(from, bytes, head)| EventKind::Audio {
            from,
            bytes,
            head
        }),
        (side(), option::of(any::<u16>().prop_map(CloseCode)), text())
            .prop_map(|(from, code, reason)| EventKind::Close { from, code, reason }),
        (side(), any::<bool>())
            .prop_map(|(from, fin)| EventKind::Eof { from, how: if fin { Eof::Fin } else { Eof::Unreadable } }),
        side().prop_map(|from| EventKind::Ping { from }),
        side().prop_map(|from| EventKind::Pong { from }),
        (outcome(), 0..=MAX_INTEGER).prop_map(|(outcome, took_ms)| EventKind::Control { outcome, took_ms }),
        prop::sample::select(Stimulus::ALL).prop_map(EventKind::Stimulus),
        [option::of(0..9_u64), option::of(0..9_u64), option::of(0..9_u64), option::of(0..9_u64), option::of(0..9_u64)]
            .prop_map(|[sent, unread, unsent, waiting, retransmits]| EventKind::Transport {
                unacknowledged_bytes: sent,
                unread_bytes: unread,
                unsent_bytes: unsent,
                waiting_bytes: waiting,
                retransmits
            }),
        (0..=MAX_INTEGER, 0..=MAX_INTEGER, any::<bool>()).prop_map(|(busy_ms, over_ms, alone)| EventKind::Cpu {
            busy_ms,
            over_ms,
            alone
        }),
        (0..=MAX_INTEGER, option::of(any::<bool>()))
            .prop_map(|(after_ms, quiescent)| EventKind::GaveUp { after_ms, quiescent }),
        (any::<bool>(), option::of(0..=MAX_INTEGER))
            .prop_map(|(driven, audio_ms)| EventKind::Started(Started { driven, audio_ms })),
        any::<bool>().prop_map(|reads| EventKind::Reads { reads }),
        (0..=MAX_INTEGER).prop_map(|for_ms| EventKind::LeftAlone { for_ms }),
        client_app(),
        text().prop_map(EventKind::Note),
    ]
}

fn client_app() -> impl Strategy<Value = EventKind> {
    let call = || prop::sample::select(Call::ALL);
    let told = (text(), option::of(0..9_u64), option::of(any::<bool>()), option::of(any::<u32>()));
    prop_oneof![
        (
            prop::sample::select(vec![InputEnd::File, InputEnd::Stated, InputEnd::Stdin, InputEnd::Driver]),
            option::of(0..=MAX_INTEGER)
        )
            .prop_map(|(known_by, audio_ms)| EventKind::InputEnded(InputEnded { known_by, audio_ms })),
        (any::<u32>(), call(), option::of(0..=MAX_INTEGER))
            .prop_map(|(number, what, audio_ms)| EventKind::Called(Called { number, what, audio_ms })),
        (any::<u32>(), call(), option::of(text())).prop_map(|(number, what, failed)| EventKind::Returned(Returned {
            number,
            what,
            failed
        })),
        told.prop_map(|(text, id, flag, number)| EventKind::Told(Told {
            segment_id: id,
            text: Some(text.clone()),
            start_ms: id,
            end_ms: id,
            number,
            code: Some(text),
            fatal: flag,
            retryable: flag,
            outcome: flag.map(|flag| if flag { ClientOutcome::Complete } else { ClientOutcome::Incomplete }),
            count: id,
            ..Told::new(ToldWhat::Final)
        })),
        text().prop_map(EventKind::Logged),
        (option::of(any::<i32>()), option::of(0..64_i32))
            .prop_map(|(code, signal)| EventKind::Exited(Exited { code, signal })),
    ]
}

fn any_trace() -> impl Strategy<Value = Trace> {
    let header = (side(), option::of(text()), option::of(0..=MAX_INTEGER), option::of(text()), 0..500_u64);
    let dialect = (text(), vec(text(), 0..3), vec(text(), 0..3));
    let dialect = dialect.prop_map(|(name, not_binding, lacks)| Spoken { name, not_binding, lacks });
    let header = (header, option::of(dialect), option::of(vec(text(), 0..3)));
    let header = header.prop_map(|(header, dialect, expect)| Header {
        subject: header.0,
        case: header.1,
        seed: header.2,
        note: header.3,
        time_scale_percent: header.4,
        dialect,
        expect,
    });
    let made_up = vec(text(), 0..3);
    (header, vec((0..1_000_u64, any::<u32>(), kind(), made_up), 0..12)).prop_map(|(header, steps)| {
        let mut t_us = 0;
        let event = |(step_us, conn, kind, made_up): (u64, u32, EventKind, Vec<String>)| {
            t_us += step_us;
            let is_text = matches!(kind, EventKind::Text { .. });
            Event { made_up: if is_text { made_up } else { Vec::new() }, ..Event::new(t_us, conn, kind) }
        };
        Trace { header, events: steps.into_iter().map(event).collect() }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(trace in any_trace()) {
        let text = trace::write(&trace);
        prop_assert_eq!(text.lines().count(), trace.events.len() + 1);
        prop_assert_eq!(trace::read(&text), Ok(trace));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = trace::read(&text);
    }
}

#[test]
fn what_was_made_up_stands_with_a_text_and_names_something() {
    let read = |line: &str| {
        let header = r#"{"lastword_trace":1,"subject":"server"}"#;
        trace::read(&format!("{header}\n{line}\n"))
    };
    let event = |rest: &str| read(&format!(r#"{{"t_us":0,"conn":0,"from":"server",{rest}}}"#));
    let good = event(r#""text":"{}","made_up":["a.b"]"#).expect("a line");
    assert_eq!(good.events[0].made_up, ["a.b"]);
    for wrong in [r#""text":"{}","made_up":[]"#, r#""ping":true,"made_up":["a"]"#, r#""made_up":["a"]"#] {
        let error = event(wrong).expect_err(wrong).to_string();
        assert!(error.contains("line 2") && error.contains("made_up"), "{error}");
    }
}

#[test]
fn a_text_as_it_was_said_has_nothing_of_what_was_made_up() {
    let as_said = |text: &str, made_up: &[&str]| {
        let made_up: Vec<String> = made_up.iter().map(|path| (*path).to_owned()).collect();
        trace::as_said(text, &made_up).into_owned()
    };
    let text = r#"{"type":"ready","config":{"audio":{"encoding":"x","channels":1}},"limits":{}}"#;
    assert_eq!(as_said(text, &[]), text);
    assert_eq!(
        as_said(text, &["limits", "config.audio.encoding"]),
        r#"{"config":{"audio":{"channels":1}},"type":"ready"}"#
    );
    assert_eq!(as_said(text, &["config"]), r#"{"limits":{},"type":"ready"}"#);
    assert_eq!(as_said(text, &["config.nothing.here", "type.deeper"]).len(), text.len());
    assert_eq!(as_said(text, &["*"]), "{}");
    assert_eq!(as_said("no object", &["*"]), "no object");
}

#[test]
fn a_small_trace_reads_as_in_the_documentation() {
    let text = concat!(
        r#"{"lastword_trace":1,"subject":"server","case":"end/sentinel","expect":["END-S2"]}"#,
        "\n",
        r#"{"t_us":0,"conn":0,"open":{"offered":["lastword.v1"],"selected":"lastword.v1"}}"#,
        "\n",
        r#"{"t_us":10,"conn":0,"from":"client","text":"{\"type\":\"config\"}"}"#,
        "\n",
        r#"{"t_us":10,"conn":0,"from":"client","audio":{"bytes":640,"head":"00010203"}}"#,
        "\n",
        r#"{"t_us":20,"conn":0,"from":"server","close":{"code":1000,"reason":""}}"#,
        "\n",
    );
    let trace = trace::read(text).expect("a trace");
    assert_eq!(trace.header.time_scale_percent, 100);
    assert_eq!(trace.events[2].kind, EventKind::Audio { from: Side::Client, bytes: 640, head: vec![0, 1, 2, 3] });
    assert_eq!(trace::write(&trace), text);
}

#[test]
fn a_file_that_is_no_trace_is_refused_with_line_and_place() {
    let header = r#"{"lastword_trace":1,"subject":"server"}"#;
    let files = [
        String::new(),
        "\n".to_owned(),
        r#"{"lastword_trace":2,"subject":"server"}"#.to_owned(),
        r#"{"lastword_trace":1,"subject":"referee"}"#.to_owned(),
        r#"{"lastword_trace":1,"subject":"server","subject":"client"}"#.to_owned(),
        format!("{header}\n\n"),
        format!("{header}\n{header}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0,\"note\":\"a\"}}\n{{\"t_us\":4,\"conn\":1,\"note\":\"b\"}}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0}}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0,\"text\":\"whose\"}}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0,\"from\":\"client\",\"audio\":{{\"bytes\":-1}}}}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0,\"note\":\"a\",\"ping\":true,\"from\":\"client\"}}"),
        format!("{header}\n{{\"t_us\":5,\"conn\":0,\"note\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}}"),
    ];
    let listing: String = files
        .iter()
        .map(|file| format!("{}\n    {}\n", file.replace('\n', "\n  "), trace::read(file).expect_err("no trace")))
        .collect();
    insta::assert_snapshot!(listing);
}
