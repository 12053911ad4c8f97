//! What a wire does to what a case sends: audio takes the rate of the wire, bytes that are meant as they stand do not; codes that
//! mean two things, and sessions that nothing ends.

use lastword::run::CaseResult;
use lastword_spec::trace::{EventKind, Side};

use super::*;

fn reach(name: &str) -> &'static Dialect {
    all().into_iter().find(|dialect| dialect.name() == name).unwrap_or_else(|| panic!("no dialect {name}"))
}

/// A file of `reach` with something else in some places.
fn changed(name: &str, changes: &[(&str, &str)]) -> &'static Dialect {
    let mut text = std::fs::read_to_string(format!("{REACH}/{name}.toml")).expect("the file is there");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Box::leak(Box::new(Dialect::from_toml(name, &text).unwrap_or_else(|errors| panic!("{errors}"))))
}

fn result<'a>(run: &'a Run, case: &str) -> &'a CaseResult {
    run.results.iter().find(|result| result.case.id == case).unwrap_or_else(|| panic!("no case {case}"))
}

/// The lengths of the binary messages that a case sent, and how they begin.
fn sent(result: &CaseResult) -> Vec<(u64, Vec<u8>)> {
    let trace = &result.evidence.as_ref().expect("it ran").trace;
    let audio = trace.events.iter().filter_map(|event| match &event.kind {
        EventKind::Audio { from: Side::Client, bytes, head } => Some((*bytes, head.clone())),
        _ => None,
    });
    audio.collect()
}

fn faults(run: &Run) -> Vec<String> {
    let expected =
        |verdict| matches!(verdict, Verdict::Pass | Verdict::NonStrict | Verdict::NotApplicable | Verdict::NotTested);
    told(run, |verdict| !expected(verdict))
}

#[test]
fn audio_takes_the_rate_of_the_wire_and_bytes_that_are_no_audio_go_as_they_stand() {
    for name in ["vosk", "gradium"] {
        let dialect = reach(name);
        let run = certified(dialect, Fault::None);
        let content = result(&run, "server/audio/content");
        assert_eq!(content.verdict, Verdict::Pass, "{name}");
        let commands: Vec<u64> =
            sent(content).into_iter().filter(|(_, head)| head.starts_with(b"{\"ty")).map(|(bytes, _)| bytes).collect();
        assert_eq!(commands, [48, 48], "{name}");

        let frames = result(&run, "server/audio/frame-lengths");
        assert_eq!(frames.verdict, Verdict::Pass, "{name}: {:?}", frames.reason);
        let longest = sent(frames).into_iter().map(|(bytes, _)| bytes).max();
        assert_eq!(longest, Some(dialect.limits().max_frame_bytes), "{name}");
    }
}

#[test]
fn a_code_that_also_means_an_idle_session_is_no_fault_behind_a_close_of_the_client() {
    let dialect = changed("vosk", &[("codes = [1000]", "codes = [1000]\nidle_codes = [1000]")]);
    assert_eq!(faults(&certified(dialect, Fault::None)), [""; 0]);
}

#[test]
fn a_session_that_nothing_ends_is_closed_by_the_harness_whoever_is_said_to_close() {
    let dialect = changed("openai-realtime", &[("closed_by = \"client\"\n", ""), ("\"server_close\", ", "")]);
    let run = certified(dialect, Fault::None);
    assert_eq!(run.calibration.broken, None);
    assert_eq!(faults(&run), [""; 0]);
    assert!(run.results.iter().any(|result| result.verdict == Verdict::Pass));
}

#[test]
fn a_client_that_sends_no_audio_passes_nothing_where_sessions_have_no_end() {
    for dialect in playable().filter(|dialect| dialect.lacks(Capability::EndOfStream)) {
        let program = move |around: Surroundings| -> EndsAs {
            Box::pin(async move {
                let _ = client::session(around, dialect, Without::Audio).await;
                Exited { code: Some(0), signal: None }
            })
        };
        let mut plan = memory::client_plan(Program::InMemory(Arc::new(program)), Stdin::Null);
        plan.dialect = Some(dialect);
        plan.path = dialect.socket_path();
        plan.stream_ms = Some(3_000);
        plan.token = Some("a-credential".to_owned());
        let run = paused(memory::certify_client(plan)).expect("a place").run;
        assert_eq!(told(&run, |verdict| verdict == Verdict::Pass), [""; 0], "{}", dialect.name());
    }
}
