//! Owns level 0: a program that streams a file to a URL, prints what it is told and exits with 0 if everything was transcribed.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::fault::Fault;
use crate::handle::Handle;
use crate::link::Dial;
use crate::options::{Ending, Options};

/// How much audio is handed over at once.
const CHUNK_BYTES: usize = 3_200;
const BYTES_PER_S: f64 = 32_000.0;
/// What comes before the samples of a plain WAV file.
const WAV_HEAD_BYTES: usize = 44;

/// Streams a WAV file (16 kHz mono s16le) to a server.
pub async fn stream(dial: Dial, url: String, audio: &Path, options: Options) -> Ending {
    let wav = match std::fs::read(audio) {
        Ok(wav) if wav.len() >= WAV_HEAD_BYTES => wav,
        Ok(_) => return complain("the file is no WAV"),
        Err(error) => return complain(&format!("{}: {error}", audio.display())),
    };
    let (mut handle, mut told) = Handle::start(dial, url, options.clone());
    let sending = async {
        feed(&mut handle, &wav[WAV_HEAD_BYTES..], options.pace).await;
        handle
    };
    let (handle, ended) = tokio::join!(sending, hear(&mut told, options.prints));
    match ended {
        None if options.has(Fault::GarbageCrashes) => Ending::Abort,
        None if options.has(Fault::ExitsAtTheEnd) => Ending::Code(0),
        None if options.has(Fault::GarbageExits) => Ending::Code(1),
        None => complain("the session ended without a word"),
        Some(ended) => {
            handle.closed().await;
            if options.prints {
                eprintln!("{} {}", ended["outcome"], ended["code"]);
            }
            Ending::Code(if ended["outcome"] == "complete" { 0 } else { 1 })
        }
    }
}

async fn feed(handle: &mut Handle, pcm: &[u8], pace: f64) {
    let began = Instant::now();
    let mut sent = 0;
    for chunk in pcm.chunks(CHUNK_BYTES) {
        if handle.push(chunk.to_vec()).await.is_err() {
            return;
        }
        sent += chunk.len();
        sleep_until(began + Duration::from_secs_f64(sent as f64 / BYTES_PER_S / pace)).await;
    }
    let _ = handle.end().await;
}

/// Hears, and prints if it may, until the session has ended.
async fn hear(told: &mut mpsc::UnboundedReceiver<Value>, prints: bool) -> Option<Value> {
    while let Some(one) = told.recv().await {
        match one["what"].as_str() {
            Some("final") if prints => eprintln!("{}", one["text"].as_str().unwrap_or_default()),
            Some("error") if prints => eprintln!("error: {}", one["code"]),
            Some("ended") => return Some(one),
            _ => {}
        }
    }
    None
}

fn complain(why: &str) -> Ending {
    eprintln!("lastword-client-mutants: {why}");
    Ending::Code(1)
}
