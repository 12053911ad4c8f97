//! The fixture model on the fixture recordings: the texts that are written beside them, whole and as a stream.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use lastword_server::audio::{read_wav, samples_to_ms};
use lastword_server::recognizer::wer::word_errors;
use lastword_server::recognizer::whisper::{ProbeCommand, WhisperOptions, load};
use lastword_server::recognizer::{BatchOptions, EndpointConfig, EngineEvent, Hypothesis, Recognizer, StreamOptions};

/// One engine for all tests: two workers.
static RECOGNIZER: LazyLock<Recognizer> = LazyLock::new(|| {
    let model = fixtures().join("model/tiny118-en-q5_0.bin");
    let workers = NonZeroUsize::new(2).expect("two");
    load(&WhisperOptions::new(model, workers, ProbeCommand::new(PathBuf::new()))).expect("the fixture model")
});

struct Clip {
    name: String,
    truth: String,
    model_text: String,
    samples: Vec<i16>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn clips(set: &str) -> Vec<Clip> {
    let folder = fixtures().join(set);
    let refs = std::fs::read_to_string(folder.join("refs.tsv")).expect("refs.tsv");
    refs.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let samples = read_wav(&std::fs::read(folder.join(fields[0])).expect("a file")).expect("a WAV file");
            let model_text = fields.get(3).unwrap_or(&"").to_string();
            Clip { name: fields[0].to_owned(), truth: fields[1].to_owned(), model_text, samples }
        })
        .collect()
}

fn clip(set: &str, name: &str) -> Clip {
    clips(set).into_iter().find(|clip| clip.name == name).expect("a fixture")
}

/// Streams at 1x or as fast as it is taken, then finishes. All events, and how many came before the end was told.
async fn stream(samples: &[i16], options: StreamOptions, real_time: bool) -> (Vec<EngineEvent>, usize) {
    let (input, mut events) = RECOGNIZER.open(options).expect("a stream");
    let samples = samples.to_vec();
    let (ended, mut end) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        for frame in samples.chunks(320) {
            if real_time {
                clock.tick().await;
            }
            input.push(frame.to_vec());
        }
        input.finish();
        let _ = ended.send(());
    });
    let (mut all, mut before_end) = (Vec::new(), 0);
    while let Some(event) = events.recv().await {
        before_end +=
            usize::from(end.try_recv().is_err_and(|state| state == tokio::sync::oneshot::error::TryRecvError::Empty));
        all.push(event);
    }
    (all, before_end)
}

fn finals(events: &[EngineEvent]) -> Vec<&Hypothesis> {
    events
        .iter()
        .filter_map(|event| match event {
            EngineEvent::Final(heard) => Some(&**heard),
            _ => None,
        })
        .collect()
}

fn text(events: &[EngineEvent]) -> String {
    let texts: Vec<&str> =
        finals(events).iter().map(|heard| heard.text.as_str()).filter(|text| !text.is_empty()).collect();
    texts.join(" ")
}

#[tokio::test]
async fn every_short_recording_is_heard_as_written_beside_it() {
    let (mut errors, mut words, mut differing) = (0, 0, Vec::new());
    for clip in clips("wavs") {
        let heard = RECOGNIZER.transcribe(&clip.samples, &BatchOptions::default()).await.expect("transcribed").text;
        let (wrong, of) = word_errors(&clip.truth, &heard);
        errors += wrong;
        words += of;
        if heard != clip.model_text {
            differing.push(format!("{}: {heard:?} instead of {:?}", clip.name, clip.model_text));
        }
    }
    // Another CPU rounds otherwise: a near tie may fall the other way, the error rate may not.
    assert!(differing.len() <= 2, "{differing:#?}");
    assert!(errors * 100 <= words * 6, "{errors} of {words} words are wrong");
}

#[tokio::test]
async fn every_short_recording_says_the_same_as_a_stream_but_for_a_near_tie() {
    let mut differing = Vec::new();
    for clip in clips("wavs") {
        let (events, _) = stream(&clip.samples, StreamOptions::default(), false).await;
        assert!(matches!(events.last(), Some(EngineEvent::Drained { .. })));
        if text(&events) != clip.model_text {
            differing.push(format!("{}: {:?} instead of {:?}", clip.name, text(&events), clip.model_text));
        }
    }
    assert!(differing.len() <= 3, "{differing:#?}");
}

#[tokio::test]
async fn long_recordings_are_segmented_and_heard_with_few_errors() {
    let (mut errors, mut words) = (0, 0);
    for clip in clips("long") {
        let heard = RECOGNIZER.transcribe(&clip.samples, &BatchOptions::default()).await.expect("transcribed");
        assert!(heard.segments.len() >= 8, "{} segments", heard.segments.len());
        let (wrong, of) = word_errors(&clip.truth, &heard.text);
        errors += wrong;
        words += of;
    }
    assert!(errors * 100 <= words * 5, "{errors} of {words} words are wrong");
}

/// The pause that ends a segment by default is longer than suits the model: its windows must be its own.
#[tokio::test]
async fn long_recordings_are_heard_with_few_errors_as_streams_whatever_pause_ends_a_segment() {
    for silence_ms in [240, 500, 2_000] {
        let (mut errors, mut words) = (0, 0);
        for clip in clips("long") {
            let endpointing = EndpointConfig { silence_ms, ..EndpointConfig::default() };
            let options = StreamOptions { endpointing, interim_results: false, ..StreamOptions::default() };
            let (events, _) = stream(&clip.samples, options, false).await;
            let (wrong, of) = word_errors(&clip.truth, &text(&events));
            errors += wrong;
            words += of;
        }
        assert!(errors * 100 <= words * 4, "{silence_ms} ms: {errors} of {words} words are wrong");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_1x_a_recording_of_several_seconds_has_partials_in_time_and_only_its_last_segment_final_after_the_end() {
    let recording = clip("long", "0001.wav");
    let head = &recording.samples[..16_000 * 9];
    let options = StreamOptions {
        endpointing: EndpointConfig { silence_ms: 240, ..EndpointConfig::default() },
        words: true,
        ..StreamOptions::default()
    };
    let (events, before_end) = stream(head, options, true).await;
    let in_time = &events[..before_end];
    assert!(in_time.iter().filter(|event| matches!(event, EngineEvent::Partial(_))).count() >= 4, "{events:#?}");
    assert!(finals(in_time).len() + 1 >= finals(&events).len(), "{events:#?}");
    assert!(finals(&events).len() >= 3);
    assert_in_order(&events, samples_to_ms(head.len() as u64));
}

fn assert_in_order(events: &[EngineEvent], length_ms: u64) {
    let mut until_ms = 0;
    for (number, heard) in finals(events).into_iter().enumerate() {
        assert_eq!(heard.segment, number as u64);
        assert!(until_ms <= heard.start_ms && heard.start_ms <= heard.end_ms && heard.end_ms <= length_ms, "{heard:?}");
        assert!(heard.confidence.is_none_or(|p| (0.0..=1.0).contains(&p)), "{heard:?}");
        let words: Vec<&str> = heard.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words.join(" "), heard.text);
        for pair in heard.words.windows(2) {
            assert!(pair[0].end_ms <= pair[1].start_ms, "{heard:?}");
        }
        assert!(heard.words.iter().all(|word| word.estimated && word.confidence.is_some()));
        until_ms = heard.end_ms;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_hear_what_each_hears_alone() {
    let clips: Vec<Clip> = clips("wavs").into_iter().take(12).collect();
    let mut alone = Vec::new();
    for clip in &clips {
        alone.push(text(&stream(&clip.samples, StreamOptions::default(), false).await.0));
    }
    let streams: Vec<_> = clips
        .into_iter()
        .map(|clip| tokio::spawn(async move { text(&stream(&clip.samples, StreamOptions::default(), false).await.0) }))
        .collect();
    for (stream, alone) in streams.into_iter().zip(alone) {
        assert_eq!(stream.await.expect("it ended"), alone);
    }
}

#[tokio::test]
async fn one_millisecond_of_audio_ends_like_any_other() {
    for samples in [vec![8_000; 16], vec![8_000; 1], vec![0; 16]] {
        let (events, _) = stream(&samples, StreamOptions::default(), false).await;
        assert!(matches!(events.last(), Some(EngineEvent::Drained { .. })), "{events:?}");
        let heard = RECOGNIZER.transcribe(&samples, &BatchOptions::default()).await;
        assert!(heard.is_ok(), "{heard:?}");
    }
}

#[tokio::test]
async fn an_english_model_serves_english_only() {
    let options = StreamOptions { language: Some("de".to_owned()), ..StreamOptions::default() };
    assert!(RECOGNIZER.open(options).is_err());
    let options = StreamOptions { language: Some("en".to_owned()), ..StreamOptions::default() };
    let recording = clip("wavs", "plain-0081.wav");
    let (events, _) = stream(&recording.samples, options, false).await;
    assert_eq!(finals(&events)[0].language.as_deref(), Some("en"));
}

#[tokio::test]
async fn cancelled_streams_leave_the_workers_to_the_others() {
    let recording = clip("wavs", "plain-0005.wav");
    for _ in 0..20 {
        let (input, events) = RECOGNIZER.open(StreamOptions::default()).expect("a stream");
        input.push(recording.samples.clone());
        input.flush(1);
        tokio::task::yield_now().await;
        drop(events);
    }
    let (events, _) = stream(&recording.samples, StreamOptions::default(), false).await;
    assert_eq!(text(&events), recording.model_text);
}
