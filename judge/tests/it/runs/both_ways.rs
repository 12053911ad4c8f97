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
    /// What is on its way behind the sentinel.
    at_last: Option<String>,
}

impl Course {
    fn program() -> Self {
        Self::begun(PROGRAM)
    }

    fn begun(events: &[(u64, &str)]) -> Self {
        let events = events.iter().map(|(ms, what)| (*ms, (*what).to_owned())).collect();
        Self { now_ms: 3, events, ..Self::default() }
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

    /// The server says so many results at once, each of about 400 bytes.
    fn says(mut self, results: usize) -> Self {
        let long = PARTIAL.replace("one", "one ".repeat(75).trim_end());
        self.events.extend(std::iter::repeat_n((self.now_ms, long), results));
        self.wait(1)
    }

    /// The server stops to read, and what is on its way to it stands.
    fn stops(self, waiting: &str, still_ms: u64) -> Self {
        self.now("deaf").now(&format!("flow 0 0 {waiting}")).wait(still_ms).now(&format!("flow 0 0 {waiting}"))
    }

    /// What is on its way to the client, for so long.
    fn stands(self, flow: &str, ms: u64) -> Self {
        self.now(&format!("flow {flow}")).wait(ms).now(&format!("flow {flow}"))
    }

    /// The server says 120 KB of results, which are read at once though it reads nothing, and reads on.
    fn jam(self) -> Self {
        self.stops(FULL, 1_500).says(300).now("flow 0 0 40000").now("reads")
    }

    /// Results stand unread until the server reads on, and for so long afterwards.
    fn stuck(self, flow: &str, stood_ms: u64, after_ms: u64) -> Self {
        self.says(300).stands(flow, stood_ms).now("reads").wait(after_ms).now("flow 40000 0 0")
    }

    fn at_last(mut self, flow: &str) -> Self {
        self.at_last = Some(flow.to_owned());
        self
    }

    fn end(self) -> Vec<(u64, String)> {
        let last = ended(self.audio_ms, 0, 0);
        let input = format!("input {}", self.audio_ms);
        let at_last = self.at_last.clone();
        let mut end = self.now(&input).now(END);
        if let Some(flow) = at_last {
            end = end.now(&flow);
        }
        let end = end.now(FINAL).now(&last.replace("\"finals\":0", "\"finals\":1"));
        end.now("close 1000").now("closed 1000").now("exit 0").events
    }
}

/// What is found in these runs, whether they keep it, and whether they leave a question.
fn of(courses: Vec<Course>) -> (Vec<String>, bool, bool) {
    of_whole(courses.into_iter().map(Course::end).collect())
}

/// As [`of`], of runs with their ends.
fn of_whole(runs: Vec<Vec<(u64, String)>>) -> (Vec<String>, bool, bool) {
    let mut events = Vec::new();
    let mut began_ms = 0;
    for (conn, run) in runs.into_iter().enumerate() {
        let over_ms = run.last().map_or(0, |(ms, _)| *ms);
        events.extend(run.into_iter().map(|(ms, what)| (began_ms + ms, format!("@{conn} {what}"))));
        began_ms += over_ms + 1_000;
    }
    let events: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    let verdict = verdict(&events);
    let ids = verdict.findings.iter().map(|finding| finding.requirement.as_str().to_owned()).collect();
    let bp_c2 = lastword_spec::requirements::BP_C2;
    (ids, verdict.exercised.contains(&bp_c2), verdict.undecided.contains_key(&bp_c2))
}

/// What a driven run breaks that ends well.
fn broken_by_driven(course: Course) -> Vec<String> {
    let events = course.end();
    let mut events: Vec<(u64, &str)> = events.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    let exit = events.pop().expect("the exit");
    events.extend([(exit.0, "told final 0 one"), (exit.0, "told ended complete"), (exit.0, "told left 0"), exit]);
    broken(&events)
}

/// With a run before, in which nothing was said to two seconds of audio.
fn behind_silence(course: Course) -> (Vec<String>, bool, bool) {
    of(vec![Course::program().audio(2_000), course])
}

/// With a run behind, in which results were read while the send was blocked.
fn before_a_jam(mut courses: Vec<Course>) -> (Vec<String>, bool, bool) {
    courses.push(Course::program().audio(1_000).jam().audio(3_000));
    of(courses)
}

const FULL: &str = "40000";
const UNREAD: &str = "131072 9000 40000";

fn kept() -> (Vec<String>, bool, bool) {
    (Vec::new(), true, false)
}

fn open() -> (Vec<String>, bool, bool) {
    (Vec::new(), false, false)
}

fn asked() -> (Vec<String>, bool, bool) {
    (Vec::new(), false, true)
}

fn breaks() -> (Vec<String>, bool) {
    (vec!["BP-C2".to_owned()], false)
}

fn found(verdict: (Vec<String>, bool, bool)) -> (Vec<String>, bool) {
    (verdict.0, verdict.1)
}

#[test]
fn who_reads_everything_while_its_send_is_blocked_and_sends_while_nothing_is_said_has_kept_it() {
    let read = |waiting: &str, still_ms: u64, results: usize, left: &str, rest_ms: u64| {
        let course = Course::program().audio(3_000).stops(waiting, still_ms).says(results);
        behind_silence(course.now(left).now("reads").audio(rest_ms))
    };
    assert_eq!(read(FULL, 1_500, 300, "flow 0 0 40000", 2_300), kept());
    assert_eq!(read("32768", 1_200, 256, "flow 0 0 32768", 2_300), kept());
    assert_eq!(read(FULL, 1_190, 300, "flow 0 0 40000", 2_300), open(), "it may have been between two frames");
    assert_eq!(read("32767", 1_500, 300, "flow 0 0 32767", 2_300), open(), "a kernel takes more than that");
    assert_eq!(read("-", 1_500, 300, "flow 0 0 -", 2_300), open(), "nobody knows what was held up");
    assert_eq!(read(FULL, 1_500, 300, "flow 0 0 40400", 2_300), open(), "it could send");
    assert_eq!(read(FULL, 1_500, 300, "flow 0 0 40000", 2_200), open(), "it had no more to send");
    // What came then are 73,600 bytes, of which the harness may have held 32 KiB.
    assert_eq!(read("40831", 1_500, 300, "flow 0 0 40831", 2_300), kept());
    assert_eq!(read("40832", 1_500, 300, "flow 0 0 40832", 2_300), open(), "all that came may have been sent before");
    assert_eq!(read(FULL, 1_500, 300, "flow 10 0 40000", 2_300), open(), "some of it is unread");
    assert_eq!(read(FULL, 1_500, 300, "flow - 0 40000", 2_300), open(), "nobody knows what is unread");
    assert_eq!(read(FULL, 1_500, 300, "part 0 0 40000", 2_300), open(), "nor here: some may not have come");
    assert_eq!(read(FULL, 1_500, 255, "flow 0 0 40000", 2_300), open(), "so few a library may queue");
    let short = PARTIAL.replace("one", &"one".repeat(50));
    let little = (0..260).fold(Course::program().audio(3_000).stops(FULL, 1_500), |course, _| course.now(&short));
    let little = little.now("flow 0 0 40000").now("reads").audio(2_300);
    assert_eq!(behind_silence(little), open(), "so little a kernel takes");
}

#[test]
fn who_leaves_results_unread_for_a_while_has_not_kept_it_whatever_ends_that() {
    let read = |steps: &[(&str, u64)]| {
        let course = Course::program().audio(3_000).stops(FULL, 1_500).says(300);
        let course = steps.iter().fold(course, |course, (flow, ms)| course.stands(&format!("{flow} 40000"), *ms));
        behind_silence(course.now("flow 0 0 40000").now("reads").audio(2_300))
    };
    assert_eq!(read(&[("120000 0", 900), ("80000 0", 900), ("10 0", 900)]), kept(), "slow, and without a stop");
    assert_eq!(read(&[("120000 0", 1_100)]), asked(), "a timer of its send may have ended that");
    assert_eq!(read(&[("120000 0", 10), ("90000 0", 1_100)]), asked(), "its library read a little for it");
    // A millisecond later nothing is unread, and one passes before the last look.
    assert_eq!(read(&[("120000 0", 998)]), kept(), "a second is at once");
    assert_eq!(read(&[("120000 0", 999)]), asked());
    assert_eq!(read(&[("120000 0", 600), ("120000 0", 600)]), asked(), "to look at it twice reads nothing of it");
    let both = |course: Course| course.stops(FULL, 1_500).stuck(UNREAD, 2_500, 20).audio(3_000);
    assert_eq!(behind_silence(both(Course::program().audio(1_000).jam().audio(3_000))), asked(), "it did once");
    assert_eq!(behind_silence(both(Course::program().audio(3_000)).jam().audio(3_000)), asked(), "it did once");
}

#[test]
fn who_reads_only_when_the_server_reads_is_named_once_it_did_so_twice() {
    let twice = |waiting: &str, flow: &str, stood_ms: u64, after_ms: u64, rest_ms: u64| {
        let one = |course: Course| course.stops(waiting, 1_500).stuck(flow, stood_ms, after_ms).audio(2_000);
        found(behind_silence(one(one(Course::program().audio(3_000))).audio(rest_ms)))
    };
    let open = (Vec::new(), false);
    assert_eq!(twice(FULL, UNREAD, 2_500, 20, 1_000), breaks());
    assert_eq!(twice(FULL, UNREAD, 2_000, 490, 1_000), breaks());
    assert_eq!(twice("-", "- 9000 -", 2_500, 20, 1_000), open, "nothing moved");
    assert_eq!(twice("-", "- 90000 -", 2_500, 20, 1_000), breaks(), "what the transport does not take says it, too");
    assert_eq!(twice(FULL, UNREAD, 1_990, 20, 1_000), open, "it may be slow");
    assert_eq!(twice(FULL, UNREAD, 2_500, 600, 1_000), open, "that follows from something else");
    assert_eq!(twice("0", "131072 9000 0", 2_500, 20, 1_000), open, "its send was not blocked");
    assert_eq!(twice(FULL, UNREAD, 2_500, 20, 0), open, "the last time it had no more to send");
    let once = Course::program().audio(3_000).stops(FULL, 1_500).stuck(UNREAD, 2_500, 20).audio(3_000);
    assert_eq!(behind_silence(once), asked(), "once may be chance");
    let one = |course: Course| course.audio(1_000).stops(FULL, 1_500).stuck(UNREAD, 2_500, 20);
    let read = one(one(Course::program().audio(3_000).jam())).audio(3_000);
    assert_eq!(behind_silence(read), asked(), "it can, once");
}

#[test]
fn who_reads_only_when_all_its_audio_is_sent_is_named_once_it_did_so_twice() {
    let twice = |flow: &str, rest_ms: u64, late_ms: u64, last: &str| {
        let waiting = flow.rsplit(' ').next().expect("what waits");
        let stuck = Course::program().audio(3_000).stops(waiting, 1_500).says(300).stands(flow, 2_500).now("reads");
        let one = stuck.now(&format!("flow {flow}")).audio(rest_ms).wait(late_ms).at_last(last);
        found(of(vec![Course::program().audio(2_000), one.clone(), one]))
    };
    let open = (Vec::new(), false);
    // What waited, 1.25 s, and what the harness may have held, 1.02 s, it had sent before.
    assert_eq!(twice(UNREAD, 4_300, 0, "flow 90000 0 0"), breaks());
    assert_eq!(twice(UNREAD, 4_200, 0, "flow 90000 0 0"), open, "so little it may send between two reads");
    assert_eq!(twice(UNREAD, 4_300, 0, "flow 131072 9000 0"), open, "it never read");
    assert_eq!(twice(UNREAD, 4_300, 0, "flow - 90000 0"), open, "nobody knows what it has not read");
    assert_eq!(twice("- 140072 40000", 4_300, 0, "flow 90000 0 0"), open, "nobody knows what it had not read");
    assert_eq!(twice("131072 9000 -", 4_300, 0, "flow 90000 0 0"), open, "nobody knows what it had sent before");
    let reads_before = |before_ms: u64| {
        let stuck = Course::program().audio(3_000).stops(FULL, 1_500).says(300).stands(UNREAD, 2_500).now("reads");
        let one = stuck.audio(4_300).now("flow 90000 0 0").wait(before_ms);
        found(of(vec![Course::program().audio(2_000), one.clone(), one]))
    };
    assert_eq!(reads_before(400), breaks());
    assert_eq!(reads_before(600), open, "nothing shows what brought it to read");
}

#[test]
fn audio_that_stops_until_a_result_comes_three_times_waits_for_results() {
    let steps = |times: u64, silent_ms: u64, after_ms: u64| {
        let step = |course: Course| course.audio(500).wait(silent_ms).now(PARTIAL).wait(after_ms);
        (0..times).fold(Course::program(), |course, _| step(course)).audio(2_000)
    };
    let breaks = || (vec!["BP-C2".to_owned()], false, false);
    let one = |course: Course| before_a_jam(vec![course]);
    assert_eq!(one(Course::program().audio(4_000)), kept());
    assert_eq!(one(steps(3, 2_500, 20)), breaks());
    assert_eq!(one(steps(3, 2_000, 400)), breaks());
    assert_eq!(one(steps(2, 2_500, 20)), asked(), "twice may be chance");
    assert_eq!(one(steps(3, 1_500, 20)), asked());
    assert_eq!(one(steps(3, 1_000, 20)), open(), "a result came before the rest of its audio");
    assert_eq!(one(steps(3, 2_500, 600)), asked(), "that does not follow from the result");
    assert_eq!(one(steps(4, 2_500, 20).wait(2_500).audio(500)), asked(), "it goes on without one, too");
    // Its last audio is 100 ms before.
    assert_eq!(one(steps(4, 2_500, 20).wait(1_899).audio(500)), breaks(), "so short a pause is none");
    assert_eq!(one(steps(4, 2_500, 20).wait(1_900).audio(500)), asked(), "it goes on without one, too");
    assert_eq!(one(steps(3, 1_900, 20)), breaks(), "two seconds are enough");
    assert_eq!(one(steps(3, 1_899, 20)), asked());
    assert_eq!(one(steps(3, 2_500, 499)), breaks(), "it follows half a second later");
    assert_eq!(one(steps(3, 2_500, 500)), asked());
    let two = |course: Course| course.audio(500).wait(2_500).now(PARTIAL).wait(2_500).now(FINAL);
    assert_eq!(one(two(two(two(Course::program()))).audio(500)), breaks(), "it may wait for finals");
    let many = |course: Course| course.audio(500).wait(2_500).now(FINAL).now(FINAL).now(FINAL);
    assert_eq!(one(many(many(many(Course::program()))).audio(500)), breaks(), "several may come in one go");
    let apart = |first_ms: u64, ms: u64| {
        let step = |course: Course| course.audio(500).wait(first_ms).now(PARTIAL).wait(ms).now(FINAL);
        one(step(step(step(Course::program()))).audio(500))
    };
    assert_eq!(apart(2_500, 499), breaks(), "what comes half a second apart comes in one go");
    assert_eq!(apart(2_500, 500), asked(), "its audio did not follow the first of them");
    assert_eq!(apart(1_500, 1_000), asked(), "no result was waited for that long");
    let by_itself = |ms: u64| one(Course::program().audio(1_000).wait(ms).audio(2_000));
    assert_eq!(by_itself(2_400), asked(), "a timer of its own may have ended that");
    assert_eq!(by_itself(1_090), kept(), "a client may send once a second");
    assert_eq!(by_itself(1_099), kept());
    assert_eq!(by_itself(1_100), asked(), "1.2 s are a pause");
    assert_eq!(one(Course::program().audio(1_900)), open(), "too little to show anything");
}

#[test]
fn audio_that_stops_once_in_the_midst_of_it_and_goes_on_by_itself_shows_that_it_waits_for_nothing() {
    let pieces = |pieces: &[u64], pause_ms: u64| {
        let (first, rest) = pieces.split_first().expect("a piece");
        let course = rest.iter().fold(Course::program().audio(*first), |course, ms| course.wait(pause_ms).audio(*ms));
        before_a_jam(vec![course])
    };
    assert_eq!(pieces(&[2_000, 2_100], 2_400), kept());
    assert_eq!(pieces(&[2_500, 5_500], 2_400), kept());
    // Its last audio is 100 ms before.
    assert_eq!(pieces(&[2_000, 2_100], 1_100), kept());
    assert_eq!(pieces(&[1_900, 6_000], 2_400), asked(), "too little came before");
    assert_eq!(pieces(&[2_000, 2_000], 2_400), asked(), "it may send two seconds ahead");
    assert_eq!(pieces(&[5_500, 2_500], 2_400), asked(), "or five");
    assert_eq!(pieces(&[2_000, 2_100, 2_200], 2_400), asked(), "it stops again and again");
    assert_eq!(pieces(&[2_000, 2_100, 2_200], 1_100), asked());
    assert_eq!(pieces(&[2_000, 2_100, 2_200], 1_099), kept(), "so short a pause is none");
    assert_eq!(pieces(&[2_000, 6_000, 100], 2_400), asked());
}

#[test]
fn waits_of_several_sessions_are_waits_of_one_client() {
    let waits = |course: Course, times: u64| {
        (0..times).fold(course, |course, _| course.audio(3_000).wait(2_500).now(PARTIAL).wait(20)).audio(2_000)
    };
    let jammed = || Course::program().audio(1_000).jam();
    let breaks = || (vec!["BP-C2".to_owned()], false, false);
    assert_eq!(before_a_jam(vec![waits(Course::program(), 2), waits(jammed(), 1)]), breaks());
    assert_eq!(before_a_jam(vec![waits(Course::program(), 1), waits(jammed(), 1), waits(jammed(), 1)]), breaks());
    assert_eq!(before_a_jam(vec![waits(Course::program(), 1), waits(jammed(), 1)]), asked());
    let by_itself = jammed().audio(1_000).wait(2_500).audio(1_000);
    assert_eq!(before_a_jam(vec![waits(Course::program(), 3), by_itself]), asked(), "it goes on without one, too");
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
        broken_by_driven(course.audio(500))
    };
    assert_eq!(steps(500, true), [""; 0], "its application waited");
    assert_eq!(steps(2_000, true), ["BP-C2"]);
    assert_eq!(steps(500, false), ["BP-C2"], "its application waits for a push");
}

#[test]
fn one_push_that_does_not_come_back_is_waited_for_whatever_came_back_before_it() {
    let steps = |comes_back: bool| {
        let mut course = Course::begun(DRIVEN);
        for number in 2..=4 {
            course = course.now(&format!("push {number} 100"));
            course = if number < 4 || comes_back { course.now(&format!("back {number} push")) } else { course };
        }
        for _ in 0..4 {
            course = course.audio(500).wait(2_500).now(PARTIAL).wait(20);
        }
        broken_by_driven(course.audio(500))
    };
    assert_eq!(steps(false), ["BP-C2"]);
    assert_eq!(steps(true), [""; 0], "its application waited");
}

#[test]
fn a_session_that_was_cut_off_behind_its_sentinel_shows_nothing() {
    let silent = || Course::program().audio(2_000);
    let jammed = || Course::program().audio(1_000).jam().audio(3_000).end();
    let cut = silent().now("input 2000").now(END).now("dropped").now("exit 1").events;
    assert_eq!(of_whole(vec![silent().end(), jammed()]), kept());
    assert_eq!(of_whole(vec![cut.clone(), jammed()]), open());
    assert_eq!(of_whole(vec![cut, silent().end(), jammed()]), kept(), "another one shows it");
}
