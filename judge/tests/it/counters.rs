//! The counters of `session_ended`, one by one: how many were due, and on which rule a wrong one is blamed.

use lastword_judge::{Options, judge};
use lastword_spec::trace::EventKind;

use super::scene::{CONFIG, END, READY, broken, error, heard, scene};

/// `session_ended` as it is said: received, processed, refused frames, finals, complete.
struct Said(u64, u64, u64, u64, bool);

impl Said {
    fn text(&self) -> String {
        let Self(received, processed, rejected, finals, complete) = self;
        format!(
            r#"<{{"type":"session_ended","reason":"completed","complete":{complete},"audio_received_ms":{received},"audio_processed_ms":{processed},"rejected_frames":{rejected},"finals":{finals}}}"#
        )
    }
}

/// A second of audio with these events before `config`, before the sentinel and behind it, and this end.
fn session(before: &[(u64, &str)], events: &[(u64, &str)], late: &[(u64, &str)], said: &Said) -> Vec<String> {
    let mut all = vec![(0, "open")];
    all.extend_from_slice(before);
    all.extend([(10, CONFIG), (20, READY), (30, "audio 32000")]);
    all.extend_from_slice(events);
    all.push((2_000, END));
    all.extend_from_slice(late);
    let last = said.text();
    all.extend([(4_000, last.as_str()), (4_001, "closed 1000"), (4_002, "close 1000")]);
    broken(&all)
}

#[test]
fn broken_frames_are_counted() {
    let invalid = error("invalid_audio", false, "");
    let two = [(40, "audio 3201"), (41, "audio 3201"), (42, invalid.as_str())];
    let counted = |rejected| session(&[], &two, &[], &Said(1_000, 1_000, rejected, 0, false));
    assert_eq!(counted(2), [""; 0]);
    assert_eq!(counted(1), ["END-S9"]);
    assert_eq!(counted(0), ["AUD-S2"]);
    assert_eq!(counted(3), ["END-S9"]);
    assert_eq!(session(&[], &two, &[], &Said(1_000, 1_000, 2, 0, true)), ["END-S8"]);
    assert_eq!(session(&[], &two, &[], &Said(1_200, 1_200, 2, 0, false)), ["AUD-S2"], "both were accepted");
}

#[test]
fn broken_frames_that_were_taken_for_audio_are_counted_whole_or_without_their_odd_bytes() {
    let invalid = error("invalid_audio", false, "");
    let mut events: Vec<(u64, &str)> = (40..72).map(|ms| (ms, "audio 641")).collect();
    events.push((80, &invalid));
    let counted = |ms| session(&[], &events, &[], &Said(ms, ms, 32, 0, false));
    assert_eq!(counted(1_000), [""; 0]);
    assert_eq!(counted(1_641), ["AUD-S2"], "whole");
    assert_eq!(counted(1_640), ["AUD-S2"], "each without its odd byte");
    assert_eq!(counted(1_639), ["END-S9"]);
    assert_eq!(counted(1_642), ["END-S9"]);
}

#[test]
fn frames_before_config_are_counted() {
    let invalid = error("invalid_state", false, "");
    let early = [(1, "audio 640"), (2, invalid.as_str())];
    let counted =
        |received, rejected, complete| session(&early, &[], &[], &Said(received, received, rejected, 0, complete));
    assert_eq!(counted(1_000, 1, false), [""; 0]);
    assert_eq!(counted(1_000, 1, true), [""; 0], "they belong to no stream");
    assert_eq!(counted(1_000, 0, true), ["STA-S2"]);
    assert_eq!(counted(1_020, 1, false), ["STA-S2"]);
    let bad = error("invalid_audio", false, "");
    let both =
        |rejected| session(&early, &[(40, "audio 3201"), (41, &bad)], &[], &Said(1_000, 1_000, rejected, 0, false));
    assert_eq!(both(2), [""; 0]);
    assert_eq!(both(1), ["AUD-S2"]);
    assert_eq!(both(0), ["END-S9"], "it counts nothing at all");
}

#[test]
fn frames_behind_the_sentinel_are_counted_as_far_as_they_were_read() {
    let late = error("audio_after_end", false, "");
    let two = [(2_001, "audio 3200"), (2_002, "audio 3200"), (2_003, late.as_str())];
    let counted = |received, rejected| session(&[], &[], &two, &Said(received, received, rejected, 0, true));
    assert_eq!(counted(1_000, 2), [""; 0]);
    for wrong in [0, 1] {
        assert_eq!(counted(1_000, wrong), ["END-S4"]);
    }
    assert_eq!(counted(1_000, 3), ["END-S9"]);
    assert_eq!(counted(1_200, 2), ["END-S4"], "accepted");
    assert_eq!(counted(1_100, 2), ["END-S4"], "the first one accepted");
    // So late that it may not have been read; if it is counted it was, and had to be answered.
    let last = |rejected| session(&[], &[], &[(3_999, "audio 3200")], &Said(1_000, 1_000, rejected, 0, true));
    assert_eq!(last(0), [""; 0]);
    assert_eq!(last(1), ["END-S4"]);
}

#[test]
fn empty_messages_are_no_frames() {
    let counted = |frames: &[(u64, &str)], rejected| session(&[], frames, &[], &Said(1_000, 1_000, rejected, 0, true));
    let two = [(40, "audio 0"), (41, "audio 0")];
    assert_eq!(counted(&two, 0), [""; 0]);
    assert_eq!(counted(&two, 2), ["AUD-S3"]);
    assert_eq!(counted(&two[..1], 1), ["END-S9"]);
}

#[test]
fn what_is_processed_was_received_and_what_is_not_was_said_to_be_dropped() {
    let said = |processed, complete| session(&[], &[], &[], &Said(1_000, processed, 0, 0, complete));
    assert_eq!(said(1_000, true), [""; 0]);
    assert_eq!(said(1_001, true), ["END-S9"]);
    assert_eq!(said(999, true), ["END-S9"]);
    assert_eq!(said(999, false), ["BP-S2"]);
    assert_eq!(said(1_000, false), ["END-S8"]);
    let warning = r#"<{"type":"warning","code":"audio_dropped","message":"m"}"#;
    let warned = |processed, complete| session(&[], &[(40, warning)], &[], &Said(1_000, processed, 0, 0, complete));
    assert_eq!(warned(900, false), [""; 0]);
    assert_eq!(warned(1_000, true), ["BP-S2"]);
    let invalid = error("invalid_audio", false, "");
    let refused = [(40, "audio 3201"), (41, invalid.as_str())];
    assert_eq!(session(&[], &refused, &[], &Said(1_000, 900, 1, 0, false)), ["END-S9"]);
}

#[test]
fn finals_are_counted() {
    let two = [(heard(0, 0, 400)), (heard(1, 500, 900))];
    let events: Vec<(u64, &str)> = two.iter().map(|text| (40, text.as_str())).collect();
    for (finals, ids) in [(1, &["END-S9"][..]), (2, &[]), (3, &["END-S9"])] {
        assert_eq!(session(&[], &events, &[], &Said(1_000, 1_000, 0, finals, true)), ids, "{finals}");
    }
}

#[test]
fn a_session_that_failed_counts_no_more_than_was_sent() {
    let failed = |received: u64, processed: u64| {
        let ended = Said(received, processed, 0, 0, false).text().replace("completed", "internal");
        let internal = error("internal", true, "");
        broken(&[
            (0, "open"),
            (10, CONFIG),
            (20, READY),
            (30, "audio 32000"),
            (40, &internal),
            (41, &ended),
            (42, "closed 1011"),
        ])
    };
    assert_eq!(failed(1_000, 1_000), [""; 0]);
    assert_eq!(failed(500, 400), [""; 0], "it may not have read all");
    assert_eq!(failed(1_001, 1_000), ["END-S9"]);
    assert_eq!(failed(500, 501), ["END-S9"]);
}

#[test]
fn frames_behind_a_keepalive_at_which_it_stopped_reading_are_counted_or_not() {
    let late = [(2_001, r#">{"type":"keepalive"}"#), (2_002, "audio 3200"), (2_003, "audio 3200")];
    let counted = |rejected| session(&[], &[], &late, &Said(1_000, 1_000, rejected, 0, true));
    assert_eq!(counted(0), ["KA-S5"]);
    assert_eq!(counted(1), ["KA-S5"]);
    assert_eq!(counted(3), ["END-S9", "KA-S5"]);
}

/// What a session with these events shows and what it leaves open.
fn shown(events: &[(u64, &str)]) -> (Vec<String>, Vec<String>) {
    let judgement = judge(&scene(events), &Options::default());
    let names = |id: &lastword_spec::registry::RequirementId| id.as_str().to_owned();
    (judgement.exercised.iter().map(names).collect(), judgement.undecided.keys().map(names).collect())
}

#[test]
fn a_refusal_that_comes_only_behind_the_end_leaves_open_whether_late_audio_is_refused() {
    let (refusal, last) = (error("audio_after_end", false, ""), Said(1_000, 1_000, 0, 0, true).text());
    let begun = [(0, "open"), (10, CONFIG), (20, READY), (30, "audio 32000"), (2_000, END), (3_999, "audio 3200")];
    let (exercised, undecided) = shown(&[&begun[..], &[(4_000, &last), (4_001, &refusal)]].concat());
    assert!(undecided.contains(&"END-S4".to_owned()), "{undecided:?}");
    assert!(!exercised.contains(&"END-S4".to_owned()), "{exercised:?}");
}

#[test]
fn a_frame_before_config_that_is_counted_as_refused_shows_the_refusal_however_late_its_error_comes() {
    let (refusal, last) = (error("invalid_state", false, ""), Said(1_000, 1_000, 1, 0, false).text());
    let begun = [(0, "open"), (1, "audio 640"), (10, CONFIG), (20, READY), (21, refusal.as_str())];
    let rest = [(30, "audio 32000"), (2_000, END), (4_000, &last), (4_001, "closed 1000")];
    let (exercised, _) = shown(&[&begun[..], &rest].concat());
    assert!(exercised.contains(&"STA-S2".to_owned()), "{exercised:?}");
}

#[test]
fn a_final_beyond_the_audio_is_blamed_on_late_audio_unless_every_refused_frame_is_counted() {
    let (invalid, late) = (error("invalid_audio", false, ""), error("audio_after_end", false, ""));
    let (broken, word) = ([(40, "audio 3201"), (41, invalid.as_str())], heard(0, 500, 1_050));
    let behind = [(2_001, "audio 3200"), (2_002, late.as_str()), (3_000, word.as_str())];
    let counted = |rejected| session(&[], &broken, &behind, &Said(1_000, 1_000, rejected, 1, false));
    assert_eq!(counted(2), ["TIM-S1"]);
    assert_eq!(counted(1), ["END-S4", "END-S4"]);
}

#[test]
fn only_the_first_frame_is_asked_for_a_container() {
    let last = Said(2_000, 2_000, 0, 0, true).text();
    let found = |frame: usize| {
        let audio = [(30, "audio 32000"), (31, "audio 32000")];
        let rest = [(2_000, END), (4_000, last.as_str()), (4_001, "closed 1000"), (4_002, "close 1000")];
        let mut trace = scene(&[&[(0, "open"), (10, CONFIG), (20, READY)], &audio[..], &rest].concat());
        if let EventKind::Audio { head, .. } = &mut trace.events[frame].kind {
            *head = b"RIFF".to_vec();
        }
        judge(&trace, &Options::default()).findings.len()
    };
    assert_eq!(found(3), 1, "nobody warned of it");
    assert_eq!(found(4), 0);
}
