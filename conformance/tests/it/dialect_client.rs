//! A client that knows nothing of version 1: it speaks `whisper-fastapi`, is right or the one that hung, and is certified in that
//! dialect.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lastword::client::{EndsAs, Program, Stdin, Surroundings};
use lastword::dialect;
use lastword::memory::{self, Certified};
use lastword_spec::finding::Verdict;
use lastword_spec::trace::Exited;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const CASES: [&str; 5] = [
    "client/end/ideal",
    "client/end/no-close",
    "client/end/close-1011-before-the-final",
    "client/end/reset-at-the-sentinel",
    "client/start/slow-ready",
];

async fn certified(tells_its_end: bool) -> Certified {
    let whisper = dialect::choose("whisper-fastapi").expect("it comes with the harness");
    let program = move |around: Surroundings| -> EndsAs {
        Box::pin(async move {
            let complete = session(around, tells_its_end).await.unwrap_or(false);
            Exited { code: Some(i32::from(!complete)), signal: None }
        })
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), Stdin::Null);
    plan.dialect = Some(whisper);
    plan.path = whisper.socket_path();
    plan.stream_ms = Some(3_000);
    plan.cases.retain(|case| CASES.contains(&case.id.as_str()) || case.id == "client/end/not-complete");
    memory::certify_client(plan).await.expect("a place for the audio")
}

#[tokio::test(start_paused = true)]
async fn a_right_client_passes_what_its_wire_can_show() {
    let run = certified(true).await.run;
    for result in &run.results {
        let findings: Vec<String> = result.findings().map(lastword_judge::render).collect();
        let expected = if CASES.contains(&result.case.id.as_str()) { Verdict::Pass } else { Verdict::NotApplicable };
        assert_eq!(result.verdict, expected, "{}: {findings:?} {:?}", result.case.id, result.reason);
    }
    assert_eq!(run.results.len(), CASES.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn the_client_that_tells_nobody_of_its_end_is_told_that_each_waits_for_the_other() {
    let run = certified(false).await.run;
    let ideal = run.results.iter().find(|result| result.case.id == "client/end/ideal").expect("it ran");
    assert!(ideal.verdict.is_failure(), "{:?}", ideal.reason);
    let told: Vec<String> = ideal.findings().map(lastword_judge::render).collect();
    let is_it = |text: &String| text.contains("END-C1") && text.contains("each waits for the other");
    assert!(told.iter().any(is_it), "{told:?}");
}

/// Whether the transcript is complete.
async fn session(around: Surroundings, tells_its_end: bool) -> Result<bool, Error> {
    let (ours, theirs) = memory::pipe(64 << 10);
    around.dial.send(theirs).map_err(|_| Error::ConnectionClosed)?;
    let (mut socket, _) = client_async(around.url, ours).await?;
    socket.send(Message::text(r#"{"language":null,"sample_rate":16000,"task":"transcribe"}"#)).await?;
    if heard(&mut socket, "ready", Duration::from_secs(9)).await? {
        for _ in 0..30 {
            socket.send(Message::binary(vec![1; 3_200])).await?;
        }
        if tells_its_end {
            socket.send(Message::text(r#"{"type":"end_of_stream"}"#)).await?;
            let complete = heard(&mut socket, "session_ended", Duration::from_secs(15)).await?;
            socket.close(None).await?;
            return Ok(complete);
        }
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            socket.send(Message::text(r#"{"type":"keepalive"}"#)).await?;
        }
    }
    socket.close(None).await?;
    Ok(false)
}

/// Waits for a message of this type, each time for so long at most; `false` where it did not come.
async fn heard(socket: &mut WebSocketStream<memory::Pipe>, kind: &str, within: Duration) -> Result<bool, Error> {
    loop {
        match timeout(within, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                if message["type"] == kind {
                    return Ok(true);
                }
                if message["type"] == "session_ended" {
                    return Ok(false);
                }
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(error),
            Ok(None) | Err(_) => return Ok(false),
        }
    }
}
