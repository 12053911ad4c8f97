//! What a stream promises: order, nothing lost, an account that comes to nothing, and an end in every case. Paused time, no sleeps
//! but the scripted engine's own.

use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::recognizer::scripted::{ScriptedCost, scripted};
use crate::recognizer::{BatchOptions, DecodedWord, Hypothesis, Recognizer};

const MS: usize = 16;

/// Noise of the given length, the same for the same seed.
fn speech(seed: u32, ms: usize) -> Vec<i16> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..ms * MS)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 19) as i16 - 4_096
        })
        .collect()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * MS]
}

fn finals(events: &[EngineEvent]) -> Vec<Hypothesis> {
    events
        .iter()
        .filter_map(|event| match event {
            EngineEvent::Final(heard) => Some((**heard).clone()),
            _ => None,
        })
        .collect()
}

fn text(events: &[EngineEvent]) -> String {
    finals(events).iter().map(|heard| heard.text.clone()).collect::<Vec<_>>().join(" ")
}

async fn rest(mut events: EngineEvents) -> Vec<EngineEvent> {
    let mut all = Vec::new();
    while let Some(event) = events.recv().await {
        all.push(event);
    }
    all
}

/// Plays `samples` at 1x in frames of 20 ms, then finishes.
async fn play(recognizer: &Recognizer, samples: Vec<i16>, options: StreamOptions) -> Vec<EngineEvent> {
    let (input, events) = recognizer.open(options).expect("a stream");
    tokio::spawn(async move {
        for frame in samples.chunks(320) {
            input.push(frame.to_vec());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        input.finish();
    });
    rest(events).await
}

type HeldDecode = (DecodeRequest, Tick, oneshot::Sender<Result<Decoded, EngineError>>);

/// An engine that answers when the test says so, and decodes nothing twice: it refuses every partial.
struct Held {
    decodes: mpsc::UnboundedSender<HeldDecode>,
    interims_refused: Arc<AtomicUsize>,
}

/// The test's side of [`Held`].
struct Holder {
    decodes: mpsc::UnboundedReceiver<HeldDecode>,
    interims_refused: Arc<AtomicUsize>,
}

impl Held {
    fn recognizer() -> (Holder, Recognizer) {
        let (sender, decodes) = mpsc::unbounded_channel();
        let interims_refused = Arc::new(AtomicUsize::new(0));
        let held = Self { decodes: sender, interims_refused: Arc::clone(&interims_refused) };
        let info = scripted(ScriptedCost::default()).info().clone();
        (Holder { decodes, interims_refused }, Recognizer::new(info, Arc::new(held)))
    }
}

impl Holder {
    async fn next(&mut self) -> HeldDecode {
        self.decodes.recv().await.expect("a decode")
    }
}

impl Decoder for Held {
    fn decode(&self, request: DecodeRequest, tick: Tick) -> DecodeFuture {
        let (answer, receiver) = oneshot::channel();
        self.decodes.send((request, tick, answer)).expect("the test listens");
        Box::pin(async move { receiver.await.unwrap_or(Err(EngineError::ShutDown)) })
    }

    fn decode_if_idle(&self, _request: DecodeRequest, _tick: Tick) -> Option<DecodeFuture> {
        self.interims_refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn word(text: &str) -> Decoded {
    let words = vec![DecodedWord { text: text.to_owned(), confidence: Some(0.5), span: None }];
    Decoded { words, confidence: Some(0.5), language: None }
}

#[tokio::test(start_paused = true)]
async fn at_1x_partials_come_while_audio_flows_and_all_but_the_last_segment_is_final_before_the_end() {
    let samples = [speech(1, 1_600), silence(700), speech(2, 1_600), silence(700), speech(3, 900)].concat();
    let length_ms = (samples.len() / MS) as u64;
    let started = Instant::now();
    let recognizer = scripted(ScriptedCost { per_segment_ms: 300, per_audio_second_ms: 0 });
    let (input, mut events) = recognizer.open(StreamOptions::default()).expect("a stream");
    let feeder = tokio::spawn(async move {
        for frame in samples.chunks(320) {
            input.push(frame.to_vec());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        input.finish();
    });
    let mut partials = 0;
    let mut final_at_ms = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            EngineEvent::Partial(_) => partials += 1,
            EngineEvent::Final(_) => final_at_ms.push(started.elapsed().as_millis() as u64),
            _ => {}
        }
    }
    feeder.await.expect("fed");
    assert!(partials >= 6, "{partials} partials");
    assert_eq!(final_at_ms.len(), 3);
    assert!(final_at_ms[1] < length_ms, "the second final came at {} of {length_ms} ms", final_at_ms[1]);
    assert!((length_ms..length_ms + 400).contains(&final_at_ms[2]), "the last final came at {} ms", final_at_ms[2]);
}

#[tokio::test(start_paused = true)]
async fn each_segment_is_started_ended_and_final_in_this_order_and_numbered_from_zero() {
    let samples = [silence(300), speech(1, 800), silence(700), speech(2, 800), silence(700)].concat();
    let events = play(&scripted(ScriptedCost::default()), samples, StreamOptions::default()).await;
    let shape: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            EngineEvent::SpeechStarted { start_ms } => Some(format!("started {start_ms}")),
            EngineEvent::SpeechEnded { end_ms } => Some(format!("ended {end_ms}")),
            EngineEvent::Final(heard) => Some(format!("final {} {}-{}", heard.segment, heard.start_ms, heard.end_ms)),
            _ => None,
        })
        .collect();
    let expected = ["started 300", "ended 1100", "final 0 300-1100", "started 1800", "ended 2600", "final 1 1800-2600"];
    assert_eq!(shape, expected);
    assert_eq!(events.last(), Some(&EngineEvent::Drained { audio_processed_ms: 3_300 }));
}

#[tokio::test(start_paused = true)]
async fn words_carry_the_times_of_the_engine_within_their_segment() {
    let samples = [silence(500), speech(1, 750), silence(700)].concat();
    let options = StreamOptions { words: true, ..StreamOptions::default() };
    let events = play(&scripted(ScriptedCost::default()), samples, options).await;
    let words = &finals(&events)[0].words;
    let times: Vec<_> = words.iter().map(|word| (word.start_ms, word.end_ms, word.estimated)).collect();
    assert_eq!(times, [(500, 750, false), (750, 1_000, false), (1_000, 1_250, false)]);
}

#[tokio::test(start_paused = true)]
async fn words_without_times_share_the_speech_by_their_length_and_are_marked_as_estimated() {
    let (mut held, recognizer) = Held::recognizer();
    let (input, events) = recognizer.open(StreamOptions { words: true, ..StreamOptions::default() }).expect("a stream");
    input.push([silence(100), speech(1, 1_000)].concat());
    input.finish();
    let (_, _, answer) = held.next().await;
    let three = ["a", "bbb", "c"].map(|text| DecodedWord { text: text.to_owned(), confidence: None, span: None });
    answer.send(Ok(Decoded { words: three.to_vec(), confidence: Some(1.5), language: None })).expect("awaited");
    let heard = &finals(&rest(events).await)[0];
    let times: Vec<_> = heard.words.iter().map(|word| (word.start_ms, word.end_ms, word.estimated)).collect();
    assert_eq!(times, [(100, 350, true), (350, 850, true), (850, 1_100, true)]);
    assert_eq!(heard.confidence, Some(1.0), "a probability is never above 1");
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_answered_behind_the_finals_of_what_came_before_it_and_once_each() {
    let recognizer = scripted(ScriptedCost { per_segment_ms: 400, per_audio_second_ms: 0 });
    let (input, events) = recognizer.open(StreamOptions::default()).expect("a stream");
    input.flush(1);
    input.push(speech(1, 500));
    input.flush(2);
    input.flush(3);
    input.push(speech(2, 500));
    input.finish();
    let events = rest(events).await;
    let shape: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            EngineEvent::Flushed { token } => Some(format!("flushed {token}")),
            EngineEvent::Final(heard) => Some(format!("final {}", heard.segment)),
            EngineEvent::Drained { audio_processed_ms } => Some(format!("drained {audio_processed_ms}")),
            _ => None,
        })
        .collect();
    assert_eq!(shape, ["flushed 1", "final 0", "flushed 2", "flushed 3", "final 1", "drained 1000"]);
}

#[tokio::test(start_paused = true)]
async fn no_audio_and_silence_end_at_once_without_a_final() {
    for samples in [Vec::new(), silence(1_234)] {
        let length_ms = (samples.len() / MS) as u64;
        let events = play(&scripted(ScriptedCost::default()), samples, StreamOptions::default()).await;
        assert_eq!(finals(&events), []);
        assert_eq!(events.last(), Some(&EngineEvent::Drained { audio_processed_ms: length_ms }));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_comes_from_the_work_and_never_from_a_dead_engine() {
    let (mut held, recognizer) = Held::recognizer();
    let (input, mut events) = recognizer.open(StreamOptions::default()).expect("a stream");
    input.push(speech(1, 1_000));
    input.finish();
    let (_, tick, answer) = held.next().await;
    while !matches!(events.recv().await, Some(EngineEvent::SpeechEnded { .. })) {}
    let silent = tokio::time::timeout(Duration::from_secs(3_600), events.recv()).await;
    assert!(silent.is_err(), "an engine that does nothing reported {silent:?}");
    tick();
    assert_eq!(events.recv().await, Some(EngineEvent::Progress { audio_processed_ms: 0 }));
    answer.send(Ok(word("one"))).expect("awaited");
    assert!(matches!(events.recv().await, Some(EngineEvent::Final(_))));
}

#[tokio::test(start_paused = true)]
async fn speech_is_noticed_and_counted_while_the_engine_is_busy_and_the_account_comes_to_nothing() {
    let (mut held, recognizer) = Held::recognizer();
    let (input, mut events) = recognizer.open(StreamOptions::default()).expect("a stream");
    let backlog = input.backlog();
    input.push([speech(1, 1_000), silence(600)].concat());
    let (_, _, first) = held.next().await;
    input.push([speech(2, 1_000), silence(600)].concat());
    let mut started = 0;
    while started < 2 {
        started += usize::from(matches!(events.recv().await, Some(EngineEvent::SpeechStarted { .. })));
    }
    assert!(tokio::time::timeout(Duration::from_secs(60), backlog.at_most(2_000)).await.is_err(), "room without work");
    assert_eq!(backlog.ms(), 1_200 + 1_450, "two segments with their pre-roll and post-roll, and no silence");
    first.send(Ok(word("one"))).expect("awaited");
    backlog.at_most(2_000).await;
    let (_, _, second) = held.next().await;
    input.finish();
    second.send(Ok(word("two"))).expect("awaited");
    assert_eq!(text(&rest(events).await), "one two");
    assert_eq!(backlog.ms(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_segment_that_is_being_spoken_never_counts_as_backlog() {
    let (input, _events) = scripted(ScriptedCost::default()).open(StreamOptions::default()).expect("a stream");
    input.push(speech(1, 5_000));
    input.backlog().at_most(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_decode_ends_the_stream_with_failed_and_wakes_who_waits_for_room() {
    let (mut held, recognizer) = Held::recognizer();
    let (input, mut events) = recognizer.open(StreamOptions::default()).expect("a stream");
    let backlog = input.backlog();
    input.push([speech(1, 1_000), silence(600)].concat());
    let (_, _, answer) = held.next().await;
    let waiter = tokio::spawn(async move { backlog.at_most(0).await });
    answer.send(Err(EngineError::Decode("it broke".to_owned()))).expect("awaited");
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert_eq!(last, Some(EngineEvent::Failed { message: "the speech engine failed: it broke".to_owned() }));
    waiter.await.expect("woken");
    input.push(speech(2, 1_000));
    assert_eq!(input.backlog().ms(), 0, "a stream that is over holds nobody up");
    assert_eq!(events.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_vanishes_is_failed_and_not_silence() {
    let (mut held, recognizer) = Held::recognizer();
    let (input, events) = recognizer.open(StreamOptions::default()).expect("a stream");
    input.push(speech(1, 1_000));
    input.finish();
    drop(held.next().await);
    assert!(matches!(rest(events).await.last(), Some(EngineEvent::Failed { .. })));
}

#[tokio::test(start_paused = true)]
async fn dropping_either_end_cancels_the_decode() {
    for drop_input in [true, false] {
        let (mut held, recognizer) = Held::recognizer();
        let (input, events) = recognizer.open(StreamOptions::default()).expect("a stream");
        input.push([speech(1, 1_000), silence(600)].concat());
        let (_, _, mut answer) = held.next().await;
        if drop_input {
            drop(input);
            assert!(
                matches!(rest(events).await.last(), Some(EngineEvent::Failed { .. })),
                "the reader is not left waiting"
            );
        } else {
            drop(events);
        }
        answer.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_the_stream_and_loses_nothing() {
    let (input, events) = scripted(ScriptedCost::default()).open(StreamOptions::default()).expect("a stream");
    let backlog = input.backlog();
    for segment in 0..100 {
        input.push([speech(segment, 300), silence(600)].concat());
    }
    let stuck = tokio::time::timeout(Duration::from_secs(60), backlog.at_most(1_000)).await;
    assert!(stuck.is_err(), "events without bound were kept for nobody");
    input.finish();
    assert_eq!(finals(&rest(events).await).len(), 100);
}

#[tokio::test(start_paused = true)]
async fn partials_are_left_out_when_not_wanted_and_when_the_engine_is_busy() {
    let samples = || speech(1, 4_000);
    let options = StreamOptions { interim_results: false, ..StreamOptions::default() };
    let events = play(&scripted(ScriptedCost::default()), samples(), options).await;
    assert!(!events.iter().any(|event| matches!(event, EngineEvent::Partial(_))));

    let (mut held, recognizer) = Held::recognizer();
    let playing = tokio::spawn(async move { play(&recognizer, samples(), StreamOptions::default()).await });
    let (_, _, answer) = held.next().await;
    answer.send(Ok(word("one"))).expect("awaited");
    let events = playing.await.expect("played");
    assert!(held.interims_refused.load(Ordering::Relaxed) > 0);
    assert!(!events.iter().any(|event| matches!(event, EngineEvent::Partial(_))));
    assert_eq!(text(&events), "one");
}

#[tokio::test]
async fn a_language_that_is_not_served_is_refused_with_those_that_are() {
    let options = StreamOptions { language: Some("tlh".to_owned()), ..StreamOptions::default() };
    let refused = scripted(ScriptedCost::default()).open(options).expect_err("no Klingon");
    assert_eq!(refused.to_string(), "the model scripted does not serve the language \"tlh\"; it serves en");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the audio is divided and whatever the work costs, the words are those of the same audio handed over at once.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        parts in proptest::collection::vec((1usize..1_500, any::<bool>()), 1..8),
        frame in 1usize..4_000,
        cost_ms in 0u64..600,
        paced in any::<bool>(),
    ) {
        let samples: Vec<i16> = parts
            .iter()
            .enumerate()
            .flat_map(|(seed, (ms, voiced))| if *voiced { speech(seed as u32, *ms) } else { silence(*ms) })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let (input, whole) = scripted(ScriptedCost::default()).open(StreamOptions::default()).expect("a stream");
            input.push(samples.clone());
            input.finish();
            let whole = rest(whole).await;

            let recognizer = scripted(ScriptedCost { per_segment_ms: cost_ms, per_audio_second_ms: cost_ms });
            let (input, divided) = recognizer.open(StreamOptions::default()).expect("a stream");
            let backlog = input.backlog();
            let feed = async {
                for part in samples.chunks(frame) {
                    input.push(part.to_vec());
                    if paced {
                        backlog.at_most(500).await;
                    }
                }
                input.finish();
            };
            let (divided, ()) = tokio::join!(rest(divided), feed);
            prop_assert_eq!(finals(&whole), finals(&divided));
            prop_assert_eq!(backlog.ms(), 0);
            let processed: Vec<u64> = divided
                .iter()
                .filter_map(|event| match event {
                    EngineEvent::Progress { audio_processed_ms } | EngineEvent::Drained { audio_processed_ms } => {
                        Some(*audio_processed_ms)
                    }
                    _ => None,
                })
                .collect();
            prop_assert!(processed.is_sorted(), "progress fell: {:?}", processed);
            prop_assert_eq!(processed.last(), Some(&samples_to_ms(samples.len() as u64)));
            for heard in finals(&divided) {
                prop_assert!(heard.start_ms <= heard.end_ms && heard.end_ms <= samples_to_ms(samples.len() as u64));
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_recording_has_the_words_of_its_parts() {
    let recognizer = scripted(ScriptedCost::default());
    let short = [silence(100), speech(1, 1_000), silence(100)].concat();
    let one = recognizer.transcribe(&short, &BatchOptions::default()).await.expect("transcribed");
    assert_eq!((one.segments.len(), one.segments[0].start_ms, one.segments[0].end_ms), (1, 100, 1_100));
    assert_eq!(one.duration_ms, 1_200);

    let long = [speech(1, 4_000), silence(400), speech(2, 4_000), silence(400), speech(3, 4_000)].concat();
    let three = recognizer.transcribe(&long, &BatchOptions::default()).await.expect("transcribed");
    assert_eq!(three.segments.len(), 3);
    assert_eq!(three.text.split(' ').count(), 48);
    let nothing = recognizer.transcribe(&[], &BatchOptions::default()).await.expect("transcribed");
    assert_eq!((nothing.text.as_str(), nothing.segments.len(), nothing.duration_ms), ("", 0, 0));
}
