//! A client reads while it writes: what it reads while its send is blocked, and whether it sends while nothing is said.

use super::super::scene::{END, ended};
use super::*;

const PARTIAL: &str =
    r#"<{"type":"partial","segment_id":0,"revision":1,"text":"one","start_ms":0,"end_ms":500,"channel":0}"#;
const FINAL: &str = r#"<{"type":"final","segment_id":0,"text":"one","start_ms":0,"end_ms":500,"channel":0}"#;

/// A run in the making: what happens when.
#[derive(Clone, Default)]
struct Course {
    now_ms: u64,
    events: Vec<(u64, String)>,
    audio_ms: u64,
}

impl Course {
    fn program() -> Self {
        Self::begun(PROGRAM)
    }

    fn begun(events: &[(u64, &str)]) -> Self {
        let events = events.iter().map(|(ms, what)| (*ms, (*what).to_owned())).collect();
        Self { now_ms: 3, events, audio_ms: 0 }
    }

    fn now(mut self, what: &str) -> Self {
        self.events.push((self.now_ms, what.to_owned()));
        self.now_ms += 1;
        self
    }

    fn wait(mut self, ms: u64) -> Self {
        self.now_ms += ms;
        self
    }

    /// Audio in real time.
    fn audio(mut self, ms: u64) -> Self {
        for _ in 0..ms / 100 {
            self = self.now("audio 3200").wait(99);
        }
        self.audio_ms += ms;
        self
    }

    /// The server says 80 KiB of results.
    fn results(mut self) -> Self {
        let long = PARTIAL.replace("one", &"one ".repeat(5_120));
        for _ in 0..4 {
            self = self.now(&long);
        }
        self
    }

    /// The server stops to read, and what is on its way to it stands.
    fn stops(self, waiting: &str, still_ms: u64) -> Self {
        self.now("deaf").now(&format!("flow 0 0 {waiting}")).wait(still_ms).now(&format!("flow 0 0 {waiting}"))
    }

    /// Results stand unread until the server reads on, and for so long afterwards.
    fn stuck(self, flow: &str, stood_ms: u64, after_ms: u64) -> Self {
        let stuck = self.results().now(&format!("flow {flow}")).wait(stood_ms).now(&format!("flow {flow}"));
        stuck.now("reads").wait(after_ms).now("flow 40000 0 0")
    }

    fn end(self) -> Vec<(u64, String)> {
        let last = ended(self.audio_ms, 0, 0);
        let input = format!("input {}", self.audio_ms);
        let end = self.now(&input).now(END).now(FINAL).now(&last.replace("\"finals\":0", "\"finals\":1"));
        end.now("close 1000").now("closed 1000").now("exit 0").events
    }

    fn verdict(self) -> (Vec<String>, bool) {
        let events = self.end();
        let events: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
        let verdict = verdict(&events);
        let ids = verdict.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect();
        (ids, verdict.exercised.contains(&lastword_spec::requirements::BP_C2))
    }
}

const FULL: &str = "30000";
const UNREAD: &str = "131072 9000 30000";

fn kept() -> (Vec<String>, bool) {
    (Vec::new(), true)
}

fn open() -> (Vec<String>, bool) {
    (Vec::new(), false)
}

fn breaks() -> (Vec<String>, bool) {
    (vec!["BP-C2".to_owned()], false)
}

#[test]
fn who_reads_everything_while_its_send_is_blocked_and_sends_while_nothing_is_said_has_kept_it() {
    let read = |before_ms: u64, waiting: &str, still_ms: u64, left: &str, rest_ms: u64| {
        let course = Course::program().audio(before_ms).stops(waiting, still_ms).results();
        course.now(left).now("reads").audio(rest_ms).verdict()
    };
    assert_eq!(read(3_000, FULL, 1_500, "flow 0 0 30000", 2_000), kept());
    assert_eq!(read(2_000, FULL, 1_200, "flow 0 0 30000", 2_000), kept());
    assert_eq!(read(1_900, FULL, 1_500, "flow 0 0 30000", 2_000), open(), "too little before a result");
    assert_eq!(read(3_000, FULL, 1_190, "flow 0 0 30000", 2_000), open(), "it may have been between two frames");
    assert_eq!(read(3_000, "0", 1_500, "flow 0 0 0", 2_000), open(), "nothing was held up");
    assert_eq!(read(3_000, "-", 1_500, "flow 0 0 -", 2_000), open(), "nobody knows what was held up");
    assert_eq!(read(3_000, FULL, 1_500, "flow 0 0 30400", 2_000), open(), "it could send");
    assert_eq!(read(3_000, FULL, 1_500, "flow 0 0 30000", 1_900), open(), "it had no more to send");
    assert_eq!(read(3_000, FULL, 1_500, "flow 10 0 30000", 2_000), open(), "some of it is unread");
    assert_eq!(read(3_000, FULL, 1_500, "flow - 0 30000", 2_000), open(), "nobody knows what is unread");
    let little = Course::program().audio(3_000).stops(FULL, 1_500).now(PARTIAL).now("flow 0 0 30000").now("reads");
    assert_eq!(little.audio(2_000).verdict(), open(), "so little nobody has to read");
}

#[test]
fn who_reads_only_when_the_server_reads_is_named_once_it_did_so_twice() {
    let twice = |waiting: &str, flow: &str, stood_ms: u64, after_ms: u64, rest_ms: u64| {
        let one = |course: Course| course.stops(waiting, 1_500).stuck(flow, stood_ms, after_ms).audio(1_000);
        one(one(Course::program().audio(3_000))).audio(rest_ms).verdict()
    };
    assert_eq!(twice(FULL, UNREAD, 2_500, 20, 1_000), breaks());
    assert_eq!(twice(FULL, UNREAD, 2_000, 490, 1_000), breaks());
    assert_eq!(twice("-", "- 9000 -", 2_500, 20, 1_000), open(), "nothing moved");
    assert_eq!(twice("-", "- 90000 -", 2_500, 20, 1_000), breaks(), "what the transport does not take says it, too");
    assert_eq!(twice(FULL, UNREAD, 1_990, 20, 1_000), open(), "it may be slow");
    assert_eq!(twice(FULL, UNREAD, 2_500, 600, 1_000), open(), "that follows from something else");
    assert_eq!(twice("0", "131072 9000 0", 2_500, 20, 1_000), open(), "its send was not blocked");
    assert_eq!(twice(FULL, UNREAD, 2_500, 20, 0), open(), "the last time it had no more to send");
    let once = Course::program().audio(3_000).stops(FULL, 1_500).stuck(UNREAD, 2_500, 20).audio(3_000);
    assert_eq!(once.verdict(), open(), "once may be chance");
    let read = Course::program().audio(3_000).stops(FULL, 1_500).results().now("flow 0 0 30000").now("reads");
    let one = |course: Course| course.audio(1_000).stops(FULL, 1_500).stuck(UNREAD, 2_500, 20);
    assert_eq!(one(one(read)).audio(3_000).verdict(), kept(), "it can");
}

#[test]
fn audio_that_stops_until_a_result_comes_three_times_waits_for_results() {
    let steps = |times: u64, silent_ms: u64, after_ms: u64| {
        let step = |course: Course| course.audio(500).wait(silent_ms).now(PARTIAL).wait(after_ms);
        (0..times).fold(Course::program(), |course, _| step(course)).audio(500)
    };
    assert_eq!(steps(3, 2_500, 20).verdict(), breaks());
    assert_eq!(steps(3, 2_000, 400).verdict(), breaks());
    assert_eq!(steps(2, 2_500, 20).verdict(), open(), "twice may be chance");
    assert_eq!(steps(3, 1_500, 20).verdict(), open());
    assert_eq!(steps(3, 2_500, 600).verdict(), open(), "that does not follow from the result");
    let by_itself = steps(4, 2_500, 20).wait(2_500).audio(500);
    assert_eq!(by_itself.verdict(), open(), "it goes on without one, too");
    let two = |course: Course| course.audio(500).wait(2_500).now(PARTIAL).wait(2_500).now(FINAL);
    assert_eq!(two(two(two(Course::program()))).audio(500).verdict().0, ["BP-C2"], "it may wait for finals");
}

#[test]
fn a_client_that_was_given_nothing_to_send_waits_for_nothing() {
    let steps = |pushed_ms: u64, returns: bool| {
        let mut course = Course::begun(DRIVEN);
        for number in 2..=5 {
            course = course.now(&format!("push {number} {pushed_ms}"));
            course = if returns { course.now(&format!("back {number} push")) } else { course };
            course = course.audio(500).wait(2_500).now(PARTIAL).wait(20);
        }
        let events = course.audio(500).end();
        let mut events: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
        let exit = events.pop().expect("the exit");
        events.extend([(exit.0, "told final 0 one"), (exit.0, "told ended complete"), (exit.0, "told left 0"), exit]);
        broken(&events)
    };
    assert_eq!(steps(500, true), [""; 0], "its application waited");
    assert_eq!(steps(2_000, true), ["BP-C2"]);
    assert_eq!(steps(500, false), ["BP-C2"], "its application waits for a push");
}
