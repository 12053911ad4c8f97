//! A client on a wire without `ready`: it speaks `smallest-pulse`, is right or has one fault, and is certified in that dialect.

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

/// What a client of the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Sends `close_stream`, waits 15 s for `is_last`, and closes.
    Right,
    /// Asks for the finals so far, waits a moment and closes.
    NeverCloseStream,
    /// Is right, and says at its end that something is missing.
    ExitsWith3,
    /// Takes an error for the end of a good session.
    SwallowsErrors,
    /// Waits so many seconds for `is_last`, then closes and says that all is well.
    GivesUp(u64),
    /// The same, and says that something is missing.
    GivesUpAloud(u64),
    /// Says its end in words that are not those of the service.
    SaysEos,
    /// Waits so many seconds at most for the answer to its Close.
    WaitsForClose(u64),
}

async fn certified(habit: Habit, cases: &'static [&'static str]) -> Certified {
    let pulse = dialect::choose("smallest-pulse").expect("it comes with the harness");
    let program = move |around: Surroundings| -> EndsAs {
        Box::pin(async move {
            let complete = session(around, habit).await.unwrap_or(false);
            let code = if habit == Habit::ExitsWith3 { 3 } else { i32::from(!complete) };
            Exited { code: Some(code), signal: None }
        })
    };
    let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), Stdin::Null);
    plan.dialect = Some(pulse);
    plan.path = pulse.socket_path();
    plan.stream_ms = Some(3_000);
    plan.cases.retain(|case| cases.contains(&case.id.as_str()));
    memory::certify_client(plan).await.expect("a place for the audio")
}

/// The verdict of each case, with everything that was found.
fn told(certified: &Certified) -> Vec<(String, Verdict, String)> {
    let results = certified.run.results.iter();
    let each = results.map(|result| {
        let findings: Vec<String> = result.findings().map(lastword_judge::render).collect();
        let reason = result.reason.clone().unwrap_or_default();
        (result.case.id.clone(), result.verdict, format!("{}{reason}", findings.join("; ")))
    });
    each.collect()
}

/// The only case that ran.
async fn one(habit: Habit, case: &'static [&'static str; 1]) -> (Verdict, String) {
    let (_, verdict, why) = told(&certified(habit, case).await).pop().expect("it ran");
    (verdict, why)
}

#[tokio::test(start_paused = true)]
async fn a_right_client_passes_what_a_wire_without_ready_can_show() {
    let shown = [
        "client/end/ideal",
        "client/end/ended-after-the-last-final",
        "client/end/silence",
        "client/end/close-1000-before-the-final",
        "client/end/reset-at-the-sentinel",
        "client/end/two-times",
        "client/errors/fatal-and-open",
        "client/errors/garbage",
        "client/closing/reset-mid-stream",
        "client/closing/immediate",
    ];
    let about_ready = ["client/start/slow-ready", "client/start/never-ready", "client/start/close-before-ready"];
    let all: &'static [&'static str] = Box::leak([&shown[..], &about_ready[..]].concat().into_boxed_slice());
    for (case, verdict, why) in told(&certified(Habit::Right, all).await) {
        let expected = if about_ready.contains(&case.as_str()) { Verdict::NotApplicable } else { Verdict::Pass };
        assert_eq!(verdict, expected, "{case}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_its_end_is_told_so_on_a_wire_without_ready() {
    let (verdict, why) = one(Habit::NeverCloseStream, &["client/end/ideal"]).await;
    assert!(verdict.is_failure() && why.contains("END-C1"), "{verdict:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_without_its_end_anyway_fell_over_no_message() {
    let (verdict, why) = one(Habit::NeverCloseStream, &["client/errors/garbage"]).await;
    assert!(verdict.is_failure() && why.contains("END-C1") && !why.contains("MSG-C1"), "{verdict:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_always_says_that_something_is_missing_does_not_pass() {
    let (verdict, why) = one(Habit::ExitsWith3, &["client/end/ideal"]).await;
    assert!(verdict.is_failure() && why.contains("END-C7"), "{verdict:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_file_calls_fatal_is_played_and_a_client_that_swallows_it_is_named() {
    let (verdict, why) = one(Habit::SwallowsErrors, &["client/errors/fatal-and-open"]).await;
    assert!(verdict.is_failure() && why.contains("ERR-C1"), "{verdict:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_behind_the_clients_close_has_not_come() {
    let (verdict, why) = one(Habit::GivesUp(1), &["client/end/final-3-s-late"]).await;
    assert!(verdict.is_failure() && why.contains("END-C5"), "{verdict:?} {why}");
    let (verdict, why) = one(Habit::GivesUpAloud(1), &["client/end/final-3-s-late"]).await;
    assert!(!verdict.is_failure(), "nothing announces how long it has to wait: {why}");
}

#[tokio::test(start_paused = true)]
async fn a_bound_of_the_clients_own_is_no_wait_for_ever_where_none_is_announced() {
    let (verdict, why) = one(Habit::WaitsForClose(12), &["client/closing/never-answered"]).await;
    assert_eq!(verdict, Verdict::Pass, "{why}");
    let (verdict, why) = one(Habit::WaitsForClose(3_600), &["client/closing/never-answered"]).await;
    assert!(verdict.is_failure() && why.contains("CLO-C4"), "{verdict:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn words_that_no_rule_matches_are_told_with_an_example() {
    let report = certified(Habit::SaysEos, &["client/end/ideal"]).await.report;
    let told: Vec<(u64, &str)> = report.unmatched.iter().map(|one| (one.count, one.example.as_str())).collect();
    assert_eq!(told, [(1, r#"{"type":"eos"}"#)]);
    let text = lastword::report::render(&report);
    assert!(
        text.contains("not understood: 1 message of the client") && text.contains("no `[[client]]` rule"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_in_which_no_session_completes_and_nothing_says_why_is_not_green() {
    let report = certified(Habit::NeverCloseStream, &["client/start/refused"]).await.report;
    assert_eq!((report.counts.pass, report.counts.failed, report.exit_code), (1, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn what_passes_in_a_run_in_which_a_session_could_complete_and_none_does_is_taken_back() {
    let report = certified(Habit::NeverCloseStream, &["client/start/refused", "client/end/ideal"]).await.report;
    assert_eq!((report.counts.pass, report.counts.failed, report.exit_code), (0, 1, 1));
    let report = certified(Habit::Right, &["client/start/refused", "client/end/ideal"]).await.report;
    assert_eq!((report.counts.pass, report.counts.failed, report.exit_code), (2, 0, 0));
}

/// Whether the transcript is complete, as the client has it.
async fn session(around: Surroundings, habit: Habit) -> Result<bool, Error> {
    let (ours, theirs) = memory::pipe(64 << 10);
    around.dial.send(theirs).map_err(|_| Error::ConnectionClosed)?;
    let (mut socket, _) = client_async(around.url, ours).await?;
    for _ in 0..30 {
        socket.send(Message::binary(vec![1; 3_200])).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    socket.send(Message::text(r#"{"type":"finalize"}"#)).await?;
    let complete = match habit {
        Habit::NeverCloseStream => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            true
        }
        Habit::SaysEos => {
            socket.send(Message::text(r#"{"type":"eos"}"#)).await?;
            is_last(&mut socket, 2, habit).await?
        }
        Habit::GivesUp(seconds) | Habit::GivesUpAloud(seconds) => {
            socket.send(Message::text(r#"{"type":"close_stream"}"#)).await?;
            is_last(&mut socket, seconds, habit).await? || habit == Habit::GivesUp(seconds)
        }
        Habit::Right | Habit::ExitsWith3 | Habit::SwallowsErrors | Habit::WaitsForClose(_) => {
            socket.send(Message::text(r#"{"type":"close_stream"}"#)).await?;
            is_last(&mut socket, 15, habit).await?
        }
    };
    socket.close(None).await?;
    let seconds = if let Habit::WaitsForClose(seconds) = habit { seconds } else { 2 };
    let answered = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = timeout(Duration::from_secs(seconds), answered).await;
    Ok(complete)
}

/// Waits for the last transcript, each time for so many seconds at most; `false` where it did not come.
async fn is_last(socket: &mut WebSocketStream<memory::Pipe>, seconds: u64, habit: Habit) -> Result<bool, Error> {
    loop {
        match timeout(Duration::from_secs(seconds), socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                if message["is_last"] == true {
                    return Ok(true);
                }
                if message["type"] == "error" {
                    return Ok(habit == Habit::SwallowsErrors);
                }
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(error),
            Ok(None) | Err(_) => return Ok(false),
        }
    }
}
