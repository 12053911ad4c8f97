//! Numbers in messages that are just right and just wrong: times, revisions, counters, sizes. Each pair is one step apart.

use lastword_judge::{Options, judge};

use super::scene::{CONFIG, END, FLUSH, FLUSHED, READY, broken, broken_after_ready, ended, error, heard, scene};

const SECOND: (u64, &str) = (10, "audio 32000");

fn text_of(segment_id: u64, text: &str, start_ms: u64, end_ms: u64) -> String {
    format!(
        r#"<{{"type":"final","segment_id":{segment_id},"text":"{text}","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
    )
}

fn partial(revision: u64, start_ms: u64, end_ms: u64) -> String {
    format!(
        r#"<{{"type":"partial","segment_id":0,"revision":{revision},"text":"word","start_ms":{start_ms},"end_ms":{end_ms},"channel":0}}"#
    )
}

/// What is broken by these messages of the server after two seconds of audio.
fn said(messages: &[&str]) -> Vec<String> {
    let mut events = vec![SECOND, (1_010, "audio 32000")];
    events.extend(messages.iter().enumerate().map(|(index, text)| (1_100 + index as u64, *text)));
    broken_after_ready(&events)
}

#[test]
fn a_result_ends_where_the_audio_ends_and_not_before_it_starts() {
    assert_eq!(said(&[&heard(0, 0, 2_000)]), [""; 0]);
    assert_eq!(said(&[&heard(0, 0, 2_001)]), ["TIM-S1"]);
    assert_eq!(said(&[&heard(0, 700, 700)]), [""; 0]);
    assert_eq!(said(&[&heard(0, 700, 699)]), ["TIM-S1"]);
}

#[test]
fn words_lie_within_their_result_and_do_not_run_backwards() {
    let config = r#">{"type":"config","words":true}"#;
    let ready = READY.replace(r#""words":false"#, r#""words":true"#);
    let words = |one: (u64, u64), two: (u64, u64)| {
        let word = |(start_ms, end_ms)| format!(r#"{{"text":"word","start_ms":{start_ms},"end_ms":{end_ms}}}"#);
        let words = format!(r#","words":[{},{}]}}"#, word(one), word(two));
        let result = heard(0, 100, 900).trim_end_matches('}').to_owned() + &words;
        broken(&[(0, "open"), (0, config), (0, &ready), SECOND, (1_100, &result)])
    };
    assert_eq!(words((100, 500), (500, 900)), [""; 0]);
    assert_eq!(words((100, 100), (100, 900)), [""; 0], "two words may start together");
    assert_eq!(words((99, 500), (500, 900)), ["TIM-S3"]);
    assert_eq!(words((100, 500), (500, 901)), ["TIM-S3"]);
    assert_eq!(words((300, 299), (500, 900)), ["TIM-S3"]);
    assert_eq!(words((300, 500), (299, 900)), ["TIM-S3"]);
}

#[test]
fn revisions_rise_and_segments_follow_each_other() {
    assert_eq!(said(&[&partial(1, 0, 500), &partial(2, 0, 500), &partial(7, 0, 500)]), [""; 0]);
    assert_eq!(said(&[&partial(1, 0, 500), &partial(1, 0, 500)]), ["FIN-S4"]);
    assert_eq!(said(&[&partial(3, 0, 500), &partial(2, 0, 500), &partial(3, 0, 500)]), ["FIN-S4", "FIN-S4"]);
    assert_eq!(said(&[&heard(0, 0, 500), &heard(1, 600, 900)]), [""; 0]);
    assert_eq!(said(&[&heard(0, 0, 500), &heard(2, 600, 900)]), ["FIN-S4"]);
}

#[test]
fn nobody_speaks_a_word_in_less_than_a_millisecond() {
    for (words, lasts_ms, ids) in [(2, 0, vec![]), (3, 3, vec![]), (3, 2, vec!["TIM-1"]), (12, 10, vec![])] {
        let text = vec!["word"; words].join(" ");
        assert_eq!(said(&[&text_of(0, &text, 100, 100 + lasts_ms)]), ids, "{words} words in {lasts_ms} ms");
    }
    assert_eq!(said(&[&text_of(0, &["word"; 12].join(" "), 100, 109)]), ["TIM-1"]);
}

#[test]
fn finals_do_not_go_back_in_time_and_do_not_begin_again_at_nought() {
    let two = |first: (u64, u64), second: (u64, u64)| {
        said(&[&text_of(0, "one two", first.0, first.1), &text_of(1, "three four", second.0, second.1)])
    };
    assert_eq!(two((300, 900), (300, 1_200)), [""; 0]);
    assert_eq!(two((300, 900), (299, 1_200)), ["TIM-S2"]);
    assert_eq!(two((0, 499), (0, 900)), [""; 0]);
    assert_eq!(two((0, 500), (0, 900)), ["TIM-1"]);
    assert_eq!(two((1, 500), (0, 900)), ["TIM-S2"]);
}

#[test]
fn what_is_said_again_is_a_restatement_where_the_times_overlap_or_all_of_it_comes_again() {
    let two = |first: (&str, u64, u64), second: (&str, u64, u64)| {
        said(&[&text_of(0, first.0, first.1, first.2), &text_of(1, second.0, second.1, second.2)])
    };
    assert_eq!(two(("no", 100, 900), ("no", 499, 1_000)), ["FIN-S3"]);
    assert_eq!(two(("no", 100, 900), ("no", 500, 1_000)), [""; 0]);
    assert_eq!(two(("one two", 100, 900), ("one two three", 499, 1_000)), ["FIN-S3"]);
    assert_eq!(two(("one two", 100, 900), ("one two three", 500, 1_000)), [""; 0]);
    assert_eq!(two(("one", 100, 900), ("one two", 499, 1_000)), [""; 0], "a single word says little");
    assert_eq!(two(("a b c d", 100, 900), ("a b c d e", 1_000, 1_900)), ["FIN-S3"]);
    assert_eq!(two(("a b c d", 100, 900), ("a b c d", 1_000, 1_900)), [""; 0], "said twice");
    assert_eq!(two(("a b c", 100, 900), ("a b c d", 1_000, 1_900)), [""; 0]);
    assert_eq!(two(("a b c d", 100, 900), ("a b c e f", 1_000, 1_900)), [""; 0]);
}

#[test]
fn the_same_words_in_as_much_audio_after_a_flush_are_new() {
    let again = |bytes: &str| {
        let first = text_of(0, "one two", 100, 900);
        let second = text_of(1, "one two", 100, 900);
        broken_after_ready(&[SECOND, (20, &first), (30, FLUSH), (40, FLUSHED), (50, bytes), (2_000, &second)])
    };
    assert_eq!(again("audio 25568"), ["FLU-S3"], "799 ms");
    // New words, at times that are not those of the stream.
    assert_eq!(again("audio 25600"), ["TIM-1"], "800 ms");
}

#[test]
fn progress_does_not_fall_nor_run_ahead() {
    let progress = |seq: u64, ms: u64| format!(r#"<{{"type":"progress","seq":{seq},"audio_processed_ms":{ms}}}"#);
    assert_eq!(said(&[&progress(1, 2_000), &progress(2, 2_000)]), [""; 0]);
    assert_eq!(said(&[&progress(1, 2_001)]), ["PRG-S3"]);
    assert_eq!(said(&[&progress(1, 100), &progress(2, 99)]), ["PRG-S3"]);
    assert_eq!(said(&[&progress(2, 100)]), ["PRG-S2"]);
    assert_eq!(said(&[&progress(1, 100), &progress(1, 100)]), ["PRG-S2"]);
}

#[test]
fn a_flush_covers_what_began_half_a_second_before_it() {
    let open_at_flushed = |start_ms, end_ms| {
        let open = partial(1, start_ms, end_ms);
        broken_after_ready(&[SECOND, (20, FLUSH), (21, "audio 32000"), (30, &open), (40, FLUSHED)])
    };
    assert_eq!(open_at_flushed(499, 1_500), ["FLU-S1"]);
    assert_eq!(open_at_flushed(500, 1_500), [""; 0]);
    assert_eq!(open_at_flushed(900, 1_000), ["FLU-S1"], "it ends where the flush stands");
    assert_eq!(open_at_flushed(900, 1_001), [""; 0]);
}

#[test]
fn a_final_after_flushed_lies_behind_the_flush() {
    let after_flushed = |earlier: Option<(u64, u64)>, start_ms, end_ms| {
        let first = earlier.map(|(start_ms, end_ms)| text_of(0, "one two", start_ms, end_ms));
        let late = text_of(u64::from(first.is_some()), "three four", start_ms, end_ms);
        let mut events = vec![SECOND];
        events.extend(first.iter().map(|text| (15, text.as_str())));
        events.extend([(20, FLUSH), (30, FLUSHED), (40, "audio 32000"), (2_000, late.as_str())]);
        broken_after_ready(&events)
    };
    assert_eq!(after_flushed(None, 200, 1_000), ["FLU-S1"]);
    assert_eq!(after_flushed(None, 200, 1_001), [""; 0]);
    assert_eq!(after_flushed(None, 1_000, 1_000), [""; 0]);
    // Behind an earlier final its words came too late; within it its times are wrong.
    assert_eq!(after_flushed(Some((0, 500)), 400, 900), ["FLU-S1"]);
    assert_eq!(after_flushed(Some((0, 500)), 399, 900), ["TIM-1"]);
}

#[test]
fn speech_ends_before_its_final_and_before_flushed() {
    let config = r#">{"type":"config","vad_events":true}"#;
    let ready = READY.replace(r#""vad_events":false"#, r#""vad_events":true"#);
    let started = |ms: u64| format!(r#"<{{"type":"speech_started","start_ms":{ms},"channel":0}}"#);
    let ended = |ms: u64| format!(r#"<{{"type":"speech_ended","end_ms":{ms},"channel":0}}"#);
    let with = |events: &[(u64, &str)]| {
        let mut all = vec![(0, "open"), (0, config), (0, ready.as_str()), SECOND];
        all.extend_from_slice(events);
        broken(&all)
    };
    let final_first = |ends_ms| with(&[(20, &started(100)), (30, &heard(0, 100, 500)), (40, &ended(ends_ms))]);
    assert_eq!(final_first(500), ["VAD-S1"]);
    assert_eq!(final_first(501), [""; 0], "the speech goes on behind the final");
    assert_eq!(with(&[(20, &started(500)), (30, &heard(0, 100, 500)), (40, &ended(500))]), [""; 0]);
    assert_eq!(with(&[(20, &started(999)), (30, FLUSH), (40, FLUSHED)]), ["VAD-S1"]);
    assert_eq!(with(&[(20, &started(1_000)), (30, FLUSH), (40, FLUSHED)]), [""; 0]);
}

#[test]
fn a_second_of_audio_fits_into_a_frame_that_is_allowed() {
    let announced =
        |limit: &str| broken(&[(0, "open"), (0, CONFIG), (0, &READY.replace(r#""max_frame_bytes":64000"#, limit))]);
    assert_eq!(announced(r#""max_frame_bytes":32000"#), [""; 0]);
    assert_eq!(announced(r#""max_frame_bytes":31999"#), ["LIM-S1"]);
}

#[test]
fn three_keepalives_fit_into_the_idle_timeout() {
    let announced =
        |idle_ms: &str| broken(&[(0, "open"), (0, CONFIG), (0, &READY.replace(r#""idle_timeout_ms":30000"#, idle_ms))]);
    assert_eq!(announced(r#""idle_timeout_ms":30000"#), [""; 0]);
    assert_eq!(announced(r#""idle_timeout_ms":29999"#), ["KA-S1"]);
}

/// A session with these frames, of which the server counts so many milliseconds.
fn counted(frames: &[&str], audio_ms: u64) -> Vec<String> {
    let mut events: Vec<(u64, &str)> =
        frames.iter().enumerate().map(|(index, frame)| (10 + index as u64, *frame)).collect();
    let last = ended(audio_ms, 0, 0);
    events.extend([(5_000, END), (5_010, last.as_str()), (5_011, "closed 1000"), (5_012, "close 1000")]);
    broken_after_ready(&events)
}

#[test]
fn what_is_missing_in_the_count_is_blamed_on_the_frames_that_explain_it() {
    assert_eq!(counted(&["audio 32000", "audio 320"], 1_010), [""; 0]);
    assert_eq!(counted(&["audio 32000", "audio 320"], 1_000), ["END-S9"], "10 ms are a usual frame");
    assert_eq!(counted(&["audio 32000", "audio 318"], 1_000), ["AUD-S4"], "less is short");
    assert_eq!(counted(&["audio 32000", "audio 6400"], 200), ["END-S9"], "1,000 ms are a usual frame");
    assert_eq!(counted(&["audio 32032", "audio 6400"], 200), ["AUD-S4"], "more is long");
    assert_eq!(counted(&["audio 32032", "audio 6400", "audio 318"], 200), ["AUD-S4"], "the short and the long");
    assert_eq!(counted(&["audio 32000"], 1_001), ["END-S9"]);
}

#[test]
fn audio_is_dropped_where_the_buffer_was_full_and_a_frame_is_missing() {
    let full = ["audio 32000"; 31];
    assert_eq!(counted(&full, 30_900), ["BP-S2"]);
    assert_eq!(counted(&full, 30_901), ["END-S9"], "less than a frame is a wrong sum");
    assert_eq!(counted(&full[..30], 29_900), ["END-S9"], "30 s fit");
}

#[test]
fn a_frame_of_the_longest_length_is_accepted_and_a_longer_one_is_not() {
    assert_eq!(counted(&["audio 64000"], 2_000), [""; 0]);
    assert_eq!(counted(&["audio 64002"], 2_000), ["LIM-S2"]);
}

#[test]
fn what_was_sent_a_second_before_the_end_was_read() {
    let twice = |ended_ms| {
        let last = ended(1_000, 0, 0);
        broken_after_ready(&[SECOND, (20, END), (30, END), (ended_ms, &last), (ended_ms + 1, "closed 1000")])
    };
    assert_eq!(twice(1_029), [""; 0]);
    assert_eq!(twice(1_030), ["END-S5"]);
}

#[test]
fn a_keepalive_after_the_end_was_heard_if_the_drain_lasted_longer() {
    let credited = |ended_ms| {
        let last = ended(1_000, 0, 0);
        let events = [
            (0, "open"),
            (0, CONFIG),
            (0, READY),
            SECOND,
            (20, END),
            (30, r#">{"type":"keepalive"}"#),
            (ended_ms, &last),
            (ended_ms + 1, "closed 1000"),
        ];
        let judgement = judge(&scene(&events), &Options::default());
        judgement.exercised.iter().any(|id| id.as_str() == "KA-S5")
    };
    assert!(!credited(79));
    assert!(credited(80));
}

#[test]
fn a_server_that_leaves_before_config_was_impatient_or_ended_without_a_reason() {
    let leaves = |ms, how: &str| broken(&[(0, "open"), (ms, how)]);
    assert_eq!(leaves(899, "closed 1001"), ["ERR-S1"]);
    assert_eq!(leaves(900, "closed 1001"), ["CON-S3"]);
    assert_eq!(leaves(10, "closed 4408"), ["CON-S3"]);
    assert_eq!(leaves(10, "closed 1000"), ["CLO-1"]);
    assert_eq!(leaves(10, "dropped"), ["CLO-S1"]);
    let strange = error("strange", true, "");
    assert_eq!(leaves(9_999, &strange), [""; 0]);
    assert_eq!(leaves(10_000, &strange), ["CON-S3"]);
}

#[test]
fn a_config_and_the_timeout_for_it_may_cross() {
    let crossing = |ms| broken(&[(0, "open"), (10, CONFIG), (ms, &error("config_timeout", true, ""))]);
    assert_eq!(crossing(509), [""; 0]);
    assert_eq!(crossing(510), ["CON-S3"]);
}

#[test]
fn what_the_idle_timer_did_not_count_shows_by_when_it_fired() {
    let fires =
        |activity: &str, ms: u64| broken_after_ready(&[(10_000, activity), (ms, &error("idle_timeout", true, ""))]);
    // The timeout after `ready`, give or take a tenth and 50 ms: the activity was not counted. Else the timer is too short.
    for (ms, audio, keepalive) in
        [(26_949, "KA-S2", "KA-S2"), (26_950, "KA-S7", "KA-S3"), (33_050, "KA-S7", "KA-S3"), (33_051, "KA-S2", "KA-S3")]
    {
        assert_eq!(fires("audio 32000", ms), [audio], "{ms}");
        assert_eq!(fires(r#">{"type":"keepalive"}"#, ms), [keepalive], "{ms}");
    }
}

#[test]
fn what_was_sent_half_a_second_before_the_idle_timeout_may_have_crossed_it() {
    let crossing =
        |sent_ms, ms| broken_after_ready(&[(sent_ms, "audio 32000"), (ms, &error("idle_timeout", true, ""))]);
    assert_eq!(crossing(29_499, 29_998), [""; 0]);
    assert_eq!(crossing(29_499, 29_999), ["KA-S7"]);
    assert_eq!(crossing(29_500, 30_000), [""; 0], "the timer may have fired before");
}

#[test]
fn a_credential_of_four_letters_is_looked_for() {
    let repeats = |secret: &str| {
        let text = error("internal", true, "").replace(r#""m""#, r#""abcd is wrong""#);
        let options = Options { secrets: vec![secret.to_owned()], ..Options::default() };
        let judgement = judge(&scene(&[(0, "open"), (0, CONFIG), (10, &text)]), &options);
        judgement.findings.iter().any(|finding| finding.requirement.as_str() == "SEC-S2")
    };
    assert!(repeats("abcd"));
    assert!(!repeats("abc"));
}
