//! What the endpointer promises, on made signals.

use proptest::prelude::*;

use super::*;

const MS: usize = SAMPLES_PER_MS as usize;

/// A square wave of the given height: its RMS is the height.
fn tone(ms: usize, height: i16) -> Vec<i16> {
    (0..ms * MS).map(|i| if i / 20 % 2 == 0 { height } else { -height }).collect()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * MS]
}

fn speech(ms: usize) -> Vec<i16> {
    tone(ms, 3_000)
}

fn config(silence_ms: u64, max_segment_ms: u64) -> EndpointConfig {
    EndpointConfig { silence_ms, max_segment_ms, ..EndpointConfig::default() }
}

/// Windows that end where the segment does.
const WHOLE: WindowConfig = WindowConfig::up_to(9_000);

fn run(config: EndpointConfig, samples: &[i16]) -> Vec<EndpointEvent> {
    run_with(config, WHOLE, samples)
}

fn run_with(config: EndpointConfig, windows: WindowConfig, samples: &[i16]) -> Vec<EndpointEvent> {
    let mut endpointer = Endpointer::new(config, windows);
    let mut out = Vec::new();
    endpointer.push(samples, &mut out);
    endpointer.flush(&mut out);
    out
}

fn spans(events: &[EndpointEvent]) -> Vec<WindowSpan> {
    events
        .iter()
        .filter_map(|event| match event {
            EndpointEvent::Window(span) => Some(span.clone()),
            _ => None,
        })
        .collect()
}

/// The speech of each segment, in milliseconds.
fn segments(events: &[EndpointEvent]) -> Vec<Range<u64>> {
    events
        .iter()
        .filter_map(|event| match event {
            EndpointEvent::SpeechEnded(speech) => Some(ms(speech)),
            _ => None,
        })
        .collect()
}

fn ms(range: &Range<u64>) -> Range<u64> {
    range.start / SAMPLES_PER_MS..range.end / SAMPLES_PER_MS
}

#[test]
fn one_utterance_is_one_segment_with_audio_around_its_speech() {
    let samples = [silence(400), speech(600), silence(900)].concat();
    let events = run(config(500, 9_000), &samples);
    assert_eq!(events[0], EndpointEvent::SpeechStarted(ms_to_samples(400)));
    assert_eq!(segments(&events)[0], 400..1_000);
    let span = &spans(&events)[0];
    assert_eq!((ms(&span.audio), ms(&span.speech)), (150..1_200, 400..1_000));
    assert_eq!(events.len(), 3);
}

#[test]
fn a_pause_shorter_than_silence_ms_does_not_end_a_segment_and_one_as_long_does() {
    let with_pause = |pause_ms| [speech(300), silence(pause_ms), speech(300)].concat();
    assert_eq!(spans(&run(config(500, 9_000), &with_pause(490))).len(), 1);
    assert_eq!(spans(&run(config(500, 9_000), &with_pause(500))).len(), 2);
    assert_eq!(spans(&run(config(160, 9_000), &with_pause(160))).len(), 2);
}

#[test]
fn the_end_is_known_while_audio_flows_and_not_only_at_the_flush() {
    let mut endpointer = Endpointer::new(config(200, 9_000), WHOLE);
    let mut out = Vec::new();
    endpointer.push(&[speech(300), silence(190)].concat(), &mut out);
    assert_eq!(out, [EndpointEvent::SpeechStarted(0)]);
    endpointer.push(&silence(10), &mut out);
    assert_eq!(out[2], EndpointEvent::SpeechEnded(0..ms_to_samples(300)));
    assert_eq!(out.len(), 3);
}

#[test]
fn silence_and_quiet_noise_are_no_segment() {
    assert_eq!(run(config(500, 9_000), &silence(3_000)), []);
    assert_eq!(run(config(500, 9_000), &tone(3_000, 100)), [], "RMS 0.003 is below the threshold of 0.004");
    assert_eq!(spans(&run(config(500, 9_000), &tone(3_000, 140))).len(), 1, "RMS 0.0043 is above it");
}

#[test]
fn clicks_of_one_or_two_frames_open_nothing_unless_the_audio_ends_in_them() {
    let click = [silence(300), speech(20), silence(300)].concat();
    assert_eq!(run(config(500, 9_000), &click), []);
    let at_the_end = [silence(300), speech(5)].concat();
    let found = spans(&run(config(500, 9_000), &at_the_end));
    assert_eq!(ms(&found[0].speech), 300..305, "nobody knows what would have followed");
}

#[test]
fn no_endpointing_keeps_one_segment_over_every_pause() {
    let samples = [speech(300), silence(4_000), speech(300)].concat();
    let events = run(EndpointConfig { mode: EndpointMode::None, ..config(200, 9_000) }, &samples);
    assert_eq!((segments(&events).len(), segments(&events)[0].clone()), (1, 0..4_600));
    let heard: Vec<_> = spans(&events).iter().map(|span| ms(&span.audio)).collect();
    assert_eq!(heard, [0..500, 4_050..4_600], "long silence is not decoded");
}

#[test]
fn no_endpointing_ends_a_segment_at_its_greatest_length_and_nowhere_before() {
    let samples = [speech(300), silence(2_000)].concat().repeat(3);
    let events = run(EndpointConfig { mode: EndpointMode::None, ..config(200, 4_000) }, &samples);
    assert_eq!(segments(&events), [0..2_600, 4_600..4_900]);
}

#[test]
fn a_long_window_ends_at_a_short_pause_and_its_segment_does_not() {
    let windows = WindowConfig { max_ms: 9_000, long_ms: 1_000, pause_ms: 200 };
    let samples =
        [speech(400), silence(210), speech(700), silence(210), speech(300), silence(600), speech(300)].concat();
    let events = run_with(config(500, 30_000), windows, &samples);
    assert_eq!(segments(&events), [0..1_820, 2_420..2_720]);
    let heard: Vec<_> = spans(&events).iter().map(|span| ms(&span.speech)).collect();
    assert_eq!(heard, [0..1_310, 1_520..1_820, 2_420..2_720], "the first pause came too early to end a window");
}

#[test]
fn a_segment_longer_than_a_window_is_whole_and_one_longer_than_it_may_be_is_not() {
    let events = run_with(config(500, 5_000), WindowConfig::up_to(2_000), &speech(7_000));
    assert_eq!(segments(&events).len(), 2);
    assert_eq!(segments(&events)[0].end, segments(&events)[1].start);
    assert!((4_000..=5_000).contains(&segments(&events)[0].end), "{events:?}");
    assert!(spans(&events).len() >= 4, "{events:?}");
}

#[test]
fn a_long_segment_is_cut_at_the_quietest_place_near_its_end() {
    let samples = [speech(1_700), tone(100, 500), speech(1_000)].concat();
    let found = spans(&run(config(500, 2_000), &samples));
    let audio: Vec<_> = found.iter().map(|span| ms(&span.audio)).collect();
    assert_eq!(audio.len(), 2);
    assert!(audio[0].end > 1_700 && audio[0].end <= 1_800, "cut at {} ms", audio[0].end);
    assert_eq!(audio[1], audio[0].end..2_800, "nothing between the two parts is lost");
}

#[test]
fn a_flush_in_mid_speech_splits_without_loss_or_overlap() {
    let mut endpointer = Endpointer::new(config(500, 9_000), WHOLE);
    let mut out = Vec::new();
    endpointer.push(&speech(505), &mut out);
    endpointer.flush(&mut out);
    endpointer.push(&speech(300), &mut out);
    endpointer.flush(&mut out);
    let audio: Vec<_> = spans(&out).iter().map(|span| ms(&span.audio)).collect();
    assert_eq!(audio, [0..505, 505..805]);
}

#[test]
fn a_flush_with_nothing_to_flush_says_nothing() {
    let mut endpointer = Endpointer::new(config(500, 9_000), WHOLE);
    let mut out = Vec::new();
    endpointer.flush(&mut out);
    endpointer.push(&silence(1_003), &mut out);
    endpointer.flush(&mut out);
    endpointer.flush(&mut out);
    assert_eq!(out, []);
    assert_eq!(endpointer.settled_until(), ms_to_samples(1_003));
}

/// Stretches of speech, hum and silence.
fn signal() -> impl Strategy<Value = Vec<i16>> {
    let stretch =
        (1usize..900, prop_oneof![Just(0i16), Just(90), Just(3_000)]).prop_map(|(ms, height)| tone(ms, height));
    proptest::collection::vec(stretch, 1..10).prop_map(|parts| parts.concat())
}

fn any_config() -> impl Strategy<Value = EndpointConfig> {
    let mode = prop_oneof![Just(EndpointMode::Vad), Just(EndpointMode::None)];
    (mode, 10u64..900, 500u64..6_000)
        .prop_map(|(mode, silence_ms, max_segment_ms)| EndpointConfig { mode, ..config(silence_ms, max_segment_ms) })
}

fn any_windows() -> impl Strategy<Value = WindowConfig> {
    (500u64..2_500, 0u64..1_500, 10u64..400).prop_map(|(max_ms, long_ms, pause_ms)| WindowConfig {
        max_ms,
        long_ms,
        pause_ms,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_division_into_pushes_changes_nothing(samples in signal(), size in 1usize..5_000, config in any_config(), windows in any_windows()) {
        let whole = run_with(config, windows, &samples);
        let mut endpointer = Endpointer::new(config, windows);
        let mut out = Vec::new();
        let mut settled = 0;
        for part in samples.chunks(size) {
            endpointer.push(part, &mut out);
            prop_assert!(endpointer.settled_until() >= settled, "settled fell");
            settled = endpointer.settled_until();
            prop_assert!(endpointer.needed_from() <= settled);
        }
        endpointer.flush(&mut out);
        prop_assert_eq!(out, whole);
        prop_assert_eq!(endpointer.position(), samples.len() as u64);
    }

    #[test]
    fn windows_are_ordered_disjoint_bounded_and_hold_every_run_of_voiced_frames(samples in signal(), config in any_config(), windows in any_windows()) {
        let events = run_with(config, windows, &samples);
        let found = spans(&events);
        let mut until = 0;
        for span in &found {
            prop_assert!(span.audio.start >= until, "overlap");
            prop_assert!(span.audio.start <= span.speech.start && span.speech.start <= span.speech.end);
            prop_assert!(span.speech.end <= span.audio.end && span.audio.end <= samples.len() as u64);
            prop_assert!(span.audio.end - span.audio.start <= ms_to_samples(windows.max_ms));
            until = span.audio.end;
        }
        let voiced: Vec<bool> = samples
            .chunks(FRAME_SAMPLES)
            .map(|frame| mean_square(frame) >= config.rms_threshold * config.rms_threshold)
            .collect();
        for (index, run) in voiced.windows(ONSET_FRAMES as usize).enumerate() {
            let at = (index * FRAME_SAMPLES) as u64;
            let inside = found.iter().any(|span| span.speech.contains(&at));
            prop_assert!(inside || !run.iter().all(|voiced| *voiced), "voiced frames at sample {} are in no window", at);
        }
    }

    #[test]
    fn each_segment_is_started_has_windows_and_is_ended_and_is_no_longer_than_it_may_be(samples in signal(), config in any_config(), windows in any_windows()) {
        let mut open: Option<(u64, Vec<WindowSpan>)> = None;
        let mut until = 0;
        for event in run_with(config, windows, &samples) {
            match event {
                EndpointEvent::SpeechStarted(at) => {
                    prop_assert!(open.is_none() && at >= until);
                    open = Some((at, Vec::new()));
                }
                EndpointEvent::Window(span) => open.as_mut().expect("a segment is open").1.push(span),
                EndpointEvent::SpeechEnded(speech) => {
                    let (start, spans) = open.take().expect("a segment is open");
                    prop_assert_eq!(Some(start..spans.last().map_or(0, |span| span.speech.end)), Some(speech.clone()));
                    prop_assert!(speech.end - spans[0].audio.start <= ms_to_samples(config.max_segment_ms));
                    let gaps = spans.windows(2).map(|pair| pair[1].speech.start - pair[0].speech.end);
                    let longest = gaps.max().unwrap_or(0);
                    prop_assert!(config.mode == EndpointMode::None || longest < ms_to_samples(config.silence_ms) + ms_to_samples(10));
                    until = speech.end;
                }
            }
        }
        prop_assert!(open.is_none());
    }
}
