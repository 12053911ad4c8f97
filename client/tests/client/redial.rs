//! A session that goes on with a lost connection on a new one, over real sockets on the loopback interface.

use std::time::Duration;

use lastword_client::{ConnectOptions, Event, FlushError, IncompleteReason, Outcome, Retry, connect};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::loopback::{accept, listen};
use crate::support::{Behaviour, Seen};

/// Half a second of audio.
const HALF: [i16; 8_000] = [1; 8_000];

/// Attempts that begin soon after each other.
fn soon(attempts: u32) -> ConnectOptions {
    let pauses = (Duration::from_millis(20), Duration::from_millis(100));
    ConnectOptions::default().redial(Retry::default().attempts(attempts).pauses(pauses.0, pauses.1))
}

/// A server that behaves so on one connection after the other, and then listens no more.
async fn server(behaviours: Vec<Behaviour>) -> (String, JoinHandle<Vec<Seen>>) {
    let (listener, url) = listen().await;
    (url, tokio::spawn(serve_all(listener, behaviours)))
}

async fn serve_all(listener: TcpListener, behaviours: Vec<Behaviour>) -> Vec<Seen> {
    let mut seen = Vec::new();
    for behaviour in behaviours {
        let (stream, _) = listener.accept().await.unwrap();
        seen.push(accept(stream, behaviour, None).await);
    }
    seen
}

fn lost_after(bytes: usize) -> Behaviour {
    Behaviour { drop_after_bytes: Some(bytes), ..Behaviour::default() }
}

#[tokio::test]
async fn it_goes_on_behind_the_audio_that_was_sent_and_says_that_some_is_lost() {
    let (url, served) = server(vec![lost_after(31_000), Behaviour::default()]).await;
    let (mut audio, mut events) = connect(&url, soon(5)).await.unwrap();
    audio.push(&HALF).await.unwrap();
    audio.push(&HALF).await.unwrap();
    let (mut ready, mut finals, mut outcome) = (0, Vec::new(), None);
    let mut audio = Some(audio);
    while let Some(event) = events.next().await {
        match event {
            Event::Ready(_) => {
                ready += 1;
                if ready == 2 {
                    let mut audio = audio.take().unwrap();
                    audio.push(&[1; 32_000]).await.unwrap();
                    audio.finish();
                }
            }
            Event::Final(result) => finals.push((result.segment_id, result.start_ms, result.end_ms)),
            Event::Ended(ended) => outcome = Some(ended),
            Event::Violation(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let seen = served.await.unwrap();
    let sent_ms = seen[0].audio_bytes as u64 / 32;
    let unsent_ms = 1_000 - sent_ms;
    assert_eq!(seen[1].audio_bytes as u64 / 32, unsent_ms + 2_000, "nothing that was not sent is lost");
    assert_eq!(finals.first().map(|first| first.1), Some(sent_ms), "{finals:?}");
    assert_eq!(finals.last().map(|last| last.2), Some(3_000), "{finals:?}");
    assert!(matches!(outcome, Some(Outcome::Incomplete { reason: IncompleteReason::AudioLost, ended: Some(_) })));
}

#[tokio::test]
async fn what_was_pushed_and_finished_before_ready_is_said_on_the_next_connection() {
    // The server goes before it is ready.
    let first = Behaviour { start: Duration::from_secs(3_600), ..Behaviour::default() };
    let (listener, url) = listen().await;
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(100), accept(stream, first, None)).await;
        serve_all(listener, vec![Behaviour::default()]).await
    });
    let (mut audio, events) = connect(&url, soon(5)).await.unwrap();
    audio.push(&[1; 48_000]).await.unwrap();
    audio.finish();
    let transcript = events.transcript().await;
    assert_eq!((transcript.text().as_str(), transcript.outcome.is_complete()), ("word0 word1 word2", true));
    assert_eq!(served.await.unwrap()[0].audio_bytes, 96_000);
}

#[tokio::test]
async fn segments_of_two_connections_have_numbers_of_their_own() {
    let (url, _served) = server(vec![lost_after(48_000), Behaviour::default()]).await;
    let (mut audio, mut events) = connect(&url, soon(5)).await.unwrap();
    audio.push(&[1; 16_000]).await.unwrap();
    assert!(audio.flush().await.is_ok());
    // The second half-second is more than the first connection takes.
    audio.push(&[1; 16_000]).await.unwrap();
    while !matches!(events.next().await, Some(Event::Final(_))) {}
    while !matches!(events.next().await, Some(Event::Ready(_))) {}
    audio.push(&[1; 16_000]).await.unwrap();
    audio.finish();
    let finals = events.transcript().await.finals;
    assert!(finals.iter().all(|result| result.segment_id > 0 && result.start_ms >= 1_000), "{finals:?}");
}

#[tokio::test]
async fn while_there_is_no_connection_a_cancel_ends_it_and_what_waits() {
    let (url, served) = server(vec![lost_after(0)]).await;
    let slow =
        Retry::default().pauses(Duration::from_secs(60), Duration::from_secs(60)).within(Duration::from_secs(600));
    let (mut audio, mut events) = connect(&url, ConnectOptions::default().redial(slow)).await.unwrap();
    let closed = events.closed();
    audio.push(&HALF).await.unwrap();
    served.await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Ready(_))));
    audio.push(&HALF).await.unwrap();
    let flushed = audio.flush();
    audio.cancel();
    assert_eq!(flushed.await, Err(FlushError::NotAnswered));
    assert_eq!(events.next().await, Some(Event::Ended(Outcome::Cancelled)));
    closed.await;
}

#[tokio::test]
async fn when_the_budget_is_spent_the_loss_is_the_outcome() {
    let (url, served) = server(vec![lost_after(0)]).await;
    let (mut audio, events) = connect(&url, soon(3)).await.unwrap();
    let closed = events.closed();
    audio.push(&HALF).await.unwrap();
    served.await.unwrap();
    let outcome = events.transcript().await.outcome;
    assert!(matches!(outcome, Outcome::Incomplete { reason: IncompleteReason::ConnectionLost(_), .. }), "{outcome:?}");
    assert!(audio.push(&HALF).await.is_err());
    closed.await;
}
