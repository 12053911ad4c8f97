//! What more than two sessions of some speech say about each other, speech at pace and at the end of a burst, and messages whole and in
//! pieces.

use lastword_spec::trace::{EventKind, Trace};

use super::pairs::{Heard, found, session};
use super::scene::{ACK, CONFIG, END, KEEPALIVE, READY, ended, error, scene};

/// These sessions one after the other, each with its label and its speech.
fn sessions(all: Vec<(&str, &str, Trace)>) -> Trace {
    let mut all = all.into_iter().enumerate().map(|(index, (label, speech, mut trace))| {
        for event in &mut trace.events {
            event.conn = u32::try_from(index).expect("a few sessions");
            event.t_us += index as u64 * 1_000_000_000;
            if let EventKind::Open(open) = &mut event.kind {
                (open.label, open.speech) = (Some(label.to_owned()), Some(speech.to_owned()));
            }
        }
        trace
    });
    let mut whole = all.next().expect("a session");
    whole.events.extend(all.flat_map(|trace| trace.events));
    whole
}

/// What is found where a second of speech is heard so in one session after the other: first as these words, then again as those.
fn heard(texts: &[(&str, &str)]) -> Vec<String> {
    let label = |index| if index == 0 { "first" } else { "again" };
    let one = |(index, (speech, text))| (label(index), speech, session(label(index), 1, &[(text, 900)]));
    found(&sessions(texts.iter().copied().enumerate().map(one).collect()))
}

#[test]
fn of_several_sessions_the_one_is_wrong_that_is_unlike_two_others() {
    assert_eq!(heard(&[("a", "one"), ("a", "one"), ("a", "one")]), [""; 0]);
    assert_eq!(heard(&[("a", "one"), ("a", "six seven"), ("a", "one")]), ["END-S2"]);
    assert_eq!(heard(&[("a", "six seven"), ("a", "one"), ("a", "one")]), ["END-S2"]);
    assert_eq!(
        heard(&[("a", "one"), ("a", "six seven eight one"), ("a", "one")]),
        ["END-S2"],
        "old words before its own"
    );
}

#[test]
fn what_is_heard_otherwise_each_time_says_nothing() {
    assert_eq!(heard(&[("a", "one"), ("a", "two"), ("a", "three")]), [""; 0]);
    assert_eq!(heard(&[("a", "one"), ("a", "two"), ("a", "two"), ("a", "one")]), [""; 0], "two ways to hear it");
}

#[test]
fn the_words_of_other_speech_are_no_way_to_hear_it() {
    let mixed = [("a", "one"), ("a", "six seven"), ("a", "six seven"), ("a", "one")];
    assert_eq!(heard(&[&mixed[..], &[("b", "six seven")]].concat()), ["END-S2"]);
    assert_eq!(heard(&[&mixed[..], &[("b", "eight nine")]].concat()), [""; 0]);
}

/// What is found where four seconds of speech, silence and speech come at pace and ten at once.
fn flooded(paced: &[Heard<'_>], flooded: &[Heard<'_>]) -> Vec<String> {
    let (paced, flooded) = (session("paced", 4, paced), session("flooded", 10, flooded));
    found(&sessions(vec![("paced", "a", paced), ("flooded", "a", flooded)]))
}

#[test]
fn speech_at_the_end_of_a_burst_is_heard_as_it_is_at_pace() {
    let (first, last, late) = (("one", 900), ("one", 3_900), ("one", 9_900));
    assert_eq!(flooded(&[first, last], &[first, late]), [""; 0]);
    assert_eq!(flooded(&[first, last], &[first]), ["BP-S2"]);
    assert_eq!(flooded(&[first, last], &[first, ("", 9_900)]), ["BP-S2"], "an empty final says nothing");
    assert_eq!(flooded(&[first, last], &[first, ("one", 5_000)]), ["BP-S2"], "its times say that it is the first half");
    assert_eq!(flooded(&[first, last], &[first, ("one", 5_001)]), [""; 0]);
}

#[test]
fn a_recogniser_that_hears_one_of_two_words_at_pace_need_not_hear_more_in_a_burst() {
    let (first, last, late) = (("one", 900), ("one", 3_900), ("one", 9_900));
    assert_eq!(flooded(&[first], &[first]), [""; 0]);
    assert_eq!(flooded(&[last], &[first]), [""; 0]);
    assert_eq!(flooded(&[first, last], &[late]), [""; 0], "all in one final");
    assert_eq!(flooded(&[first, last], &[]), [""; 0], "nothing was heard at all");
}

#[test]
fn a_burst_of_which_no_times_are_told_is_not_compared() {
    let (first, last) = (("one", 900), ("one", 3_900));
    let judged = |untimed: &[u32]| {
        let (paced, flooded) = (session("paced", 4, &[first, last]), session("flooded", 10, &[first]));
        let mut trace = sessions(vec![("paced", "a", paced), ("flooded", "a", flooded)]);
        for event in trace.events.iter_mut().filter(|event| untimed.contains(&event.conn)) {
            event.made_up = vec!["end_ms".to_owned(), "start_ms".to_owned()];
        }
        found(&trace)
    };
    assert_eq!(judged(&[]), ["BP-S2"]);
    for untimed in [&[0][..], &[1], &[0, 1]] {
        assert_eq!(judged(untimed), [""; 0], "{untimed:?}");
    }
}

/// A session with a keepalive in it, to which something comes of the server.
fn kept_alive(answers: &[&str]) -> Trace {
    let mut events = vec![(0, "open"), (0, CONFIG), (0, READY), (10, "audio 640"), (20, KEEPALIVE)];
    events.extend(answers.iter().map(|answer| (30, *answer)));
    scene(&events)
}

fn whole_and_in_pieces(whole: &[&str], pieces: &[&str]) -> Vec<String> {
    found(&sessions(vec![("whole", "a", kept_alive(whole)), ("in pieces", "a", kept_alive(pieces))]))
}

#[test]
fn what_goes_wrong_only_in_pieces_is_laid_to_the_pieces() {
    let (bad, end) = (error("bad_message", false, ""), ended(20, 0, 0));
    let right = [ACK, END, end.as_str(), "closed 1000", "close 1000"];
    let refused = [bad.as_str(), ACK, END, end.as_str(), "closed 1000", "close 1000"];
    let closed = ["closed 1007", "close 1007"];
    assert_eq!(whole_and_in_pieces(&right, &right), [""; 0]);
    assert_eq!(whole_and_in_pieces(&right, &refused), ["MSG-1"]);
    assert_eq!(whole_and_in_pieces(&refused, &refused), ["MSG-3", "MSG-3"], "it is the message that is refused");
    assert_eq!(whole_and_in_pieces(&right, &closed), ["MSG-1"]);
    assert_eq!(whole_and_in_pieces(&closed, &closed), [""; 0], "it is not known why a library closes");
    let refused_and_closed = [bad.as_str(), "closed 1007", "close 1007"];
    assert_eq!(whole_and_in_pieces(&right, &refused_and_closed), ["MSG-1"], "one thing is told once");
}

#[test]
fn only_what_a_message_in_pieces_explains_is_laid_to_the_pieces() {
    let (end, miscounted) = (ended(20, 0, 0), ended(40, 0, 0));
    let right = [ACK, END, end.as_str(), "closed 1000", "close 1000"];
    let counts = [ACK, END, miscounted.as_str(), "closed 1000", "close 1000"];
    let closed_otherwise = [ACK, END, end.as_str(), "closed 1001", "close 1001"];
    let unanswered = [END, end.as_str(), "closed 1000", "close 1000"];
    assert_eq!(whole_and_in_pieces(&right, &counts), ["MSG-1"], "a frame more or less was counted");
    assert_eq!(whole_and_in_pieces(&right, &closed_otherwise), ["CLO-1"]);
    assert_eq!(whole_and_in_pieces(&right, &unanswered), ["KA-S6"]);
}
