//! Recorded speech through the server and the fixture model, at the pace of speech.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use lastword_server::audio::read_wav;
use lastword_server::recognizer::whisper::{ProbeCommand, WhisperOptions, load};
use lastword_server::settings::Settings;
use lastword_spec::message::ServerMessage;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{CONFIG, END, binary, message, start};

/// What the model makes of the first nine seconds of the recording, which is what was said.
const SAID: &str =
    "oscar fifty turn zero victor india turn left at the white door please please eight two five seven four";

#[tokio::test(flavor = "multi_thread")]
async fn speech_gives_partials_in_time_all_but_the_last_final_before_the_end_and_the_words_that_were_said() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let workers = NonZeroUsize::new(2).expect("two");
    let options =
        WhisperOptions::new(fixtures.join("model/tiny118-en-q5_0.bin"), workers, ProbeCommand::new(PathBuf::new()));
    let server = start(Settings::default(), load(&options).expect("the fixture model")).await;
    let wav = std::fs::read(fixtures.join("long/0001.wav")).expect("a recording");
    let samples: Vec<i16> = read_wav(&wav).expect("a WAV file").into_iter().take(16_000 * 9).collect();

    let mut client = server.connect().await;
    client.begin(CONFIG).await;
    let (mut sink, mut messages) = client.socket.split();
    let (ended, mut end) = oneshot::channel();
    tokio::spawn(async move {
        use futures_util::SinkExt as _;
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        for frame in samples.chunks(320) {
            clock.tick().await;
            sink.send(binary(frame)).await.expect("sent");
        }
        // Told before it is sent: what is counted as in time was in time.
        ended.send(()).expect("awaited");
        sink.send(Message::text(END)).await.expect("sent");
        sink
    });
    let (mut partials, mut finals, mut late, mut complete) = (0, Vec::new(), 0, false);
    while let Some(Ok(frame)) = messages.next().await {
        let Message::Text(text) = frame else { continue };
        let flowing = end.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty);
        match message(&text) {
            ServerMessage::Partial(_) if flowing => partials += 1,
            ServerMessage::Final(result) => {
                late += usize::from(!flowing);
                finals.push(result.text);
            }
            ServerMessage::SessionEnded(ended) => complete = ended.complete,
            _ => {}
        }
    }
    assert!(complete);
    assert!(partials >= 4, "{partials} partials");
    assert!(finals.len() >= 3 && late <= 1, "{finals:?}, {late} of them late");
    assert_eq!(finals.join(" "), SAID);
}
