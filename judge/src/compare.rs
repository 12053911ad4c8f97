//! Loss by comparison (END-S2, END-S5, FIN-S7, FLU-1, FLU-S1): the same speech ended at once, flushed first, and padded with silence.
//! Words that two of them have and the third lacks are lost. A word heard differently is not: a recogniser may do that. And the same
//! speech straight on, and with a flush in its middle: a server that then hears nothing more was ended by the flush. And once more
//! with a second sentinel, which must lose nothing.

use std::collections::BTreeMap;

use lastword_spec::finding::FindingKind;
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::{self as req, FLU_1};

use crate::conn::Conn;
use crate::report::FinalText;

/// Transcripts beyond this many words are not compared: the table would grow too large.
const MOST_WORDS: usize = 4_000;

/// A recogniser may be mistaken about a time by so much, in milliseconds.
const MISTAKEN_MS: u64 = 500;

/// The words of a text as they are compared: lower case, without punctuation.
pub(crate) fn words_of(text: &str) -> Vec<String> {
    let keep = |c: &char| c.is_alphanumeric() || *c == '\'';
    text.split_whitespace()
        .map(|word| word.chars().filter(keep).flat_map(char::to_lowercase).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Compares the connections that carried the same speech.
pub(crate) fn across(conns: &mut [&mut Conn]) {
    const LABELS: [&str; 12] = [
        "ended",
        "flushed",
        "padded",
        "padded more",
        "straight",
        "resumed",
        "once",
        "twice",
        "paced",
        "flooded",
        "prompt",
        "delayed",
    ];
    let mut groups: BTreeMap<String, BTreeMap<&'static str, usize>> = BTreeMap::new();
    let mut repeats: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, conn) in conns.iter().enumerate() {
        let label = LABELS.into_iter().find(|label| conn.label() == Some(label));
        let usable = conn.completed() && !conn.tainted && !conn.abandoned;
        if let (Some("first" | "again"), Some(speech), true) = (conn.label(), conn.speech(), usable) {
            repeats.entry(speech.to_owned()).or_default().push(index);
        }
        if let (Some(label), Some(speech), true) = (label, conn.speech(), usable) {
            groups.entry(speech.to_owned()).or_default().entry(label).or_insert(index);
        }
    }
    for (speech, group) in groups {
        compare(conns, &speech, &group);
        if let (Some(straight), Some(resumed)) = (group.get("straight"), group.get("resumed")) {
            deaf_after_flush(conns, *straight, *resumed);
        }
        if let (Some(paced), Some(flooded)) = (group.get("paced"), group.get("flooded")) {
            lost_in_a_flood(conns, *paced, *flooded);
        }
        if let (Some(prompt), Some(delayed)) = (group.get("prompt"), group.get("delayed")) {
            before_it_was_said(conns, *prompt, *delayed);
        }
        if let (Some(once), Some(twice)) = (group.get("once"), group.get("twice")) {
            lost_to_a_second_sentinel(conns, *once, *twice);
        }
    }
    not_their_own(conns, &repeats);
}

/// The stream that was flushed in its middle against the one that was not.
fn deaf_after_flush(conns: &mut [&mut Conn], straight: usize, resumed: usize) {
    let Some((flushed, upto_ms)) = conns[resumed].flush.last.filter(|_| !conns[straight].results.untimed) else {
        return;
    };
    let says = |one: &&FinalText| !words_of(&one.text).is_empty();
    let heard_straight = conns[straight].results.finals.iter().filter(says).any(|one| one.end_ms > upto_ms);
    let heard_resumed = conns[resumed].results.finals.iter().filter(says).any(|one| one.t_us > flushed.t_us);
    let before = !conns[resumed].results.finals.is_empty();
    let event = conns[straight].last.event;
    let conn = &mut *conns[resumed];
    if heard_straight && before && !heard_resumed && !conn.convicted(FLU_1) {
        let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
        let text = "hears nothing after a flush, where it hears the same speech without one";
        conn.convict_with(FindingKind::LostFinal, FLU_1, at, &[flushed.event, event], text);
    }
}

/// A session with the words that were heard in it.
type Heard = (usize, Vec<String>);

/// The same speech in several sessions, with others between them: most of what is heard in it must be the same.
fn not_their_own(conns: &mut [&mut Conn], repeats: &BTreeMap<String, Vec<usize>>) {
    let words = |index: usize| -> Vec<String> {
        conns[index].results.finals.iter().flat_map(|one| words_of(&one.text)).collect()
    };
    let heard = |sessions: &Vec<usize>| -> Vec<Heard> {
        let all = sessions.iter().map(|index| (*index, words(*index)));
        all.filter(|(_, words)| !words.is_empty() && words.len() <= MOST_WORDS).collect()
    };
    let groups: BTreeMap<&str, Vec<Heard>> =
        repeats.iter().map(|(speech, sessions)| (speech.as_str(), heard(sessions))).collect();
    for (speech, group) in &groups {
        let others = groups.iter().filter(|(other, _)| *other != speech).flat_map(|(_, others)| others);
        let foreign: Vec<&Vec<String>> = others.map(|(_, words)| words).collect();
        if let Some((usual, odd)) = odd_one(group, &foreign) {
            not_its_own(conns, speech, usual, odd);
        }
    }
}

/// Of sessions with the same speech: one that is heard as usual, and one that is not. Of two that differ it is the second; of more the
/// one that is unlike all others of which two are alike, or unlike another and like what is heard in `foreign` speech.
fn odd_one<'a>(group: &'a [Heard], foreign: &[&Vec<String>]) -> Option<(&'a Heard, &'a Heard)> {
    if let [before, now] = group {
        return (!are_alike(&before.1, &now.1)).then_some((before, now));
    }
    group.iter().find_map(|odd| {
        let others: Vec<&Heard> = group.iter().filter(|other| !are_alike(&other.1, &odd.1)).collect();
        let agree = |one: &&&Heard| others.iter().any(|other| other.0 != one.0 && are_alike(&one.1, &other.1));
        let alone = others.len() + 1 == group.len();
        let usual = others.iter().find(agree).filter(|_| alone);
        let is_foreign = || foreign.iter().any(|words| are_alike(words, &odd.1));
        let usual = usual.or_else(|| others.first().filter(|_| is_foreign()));
        usual.map(|usual| (*usual, odd))
    })
}

/// Whether half of the words are the same; a recogniser may hear the rest differently.
fn are_alike(one: &[String], other: &[String]) -> bool {
    let shared = other.iter().filter(|word| one.contains(word)).count();
    shared * 2 >= one.len().max(other.len())
}

fn not_its_own(conns: &mut [&mut Conn], speech: &str, usual: &Heard, odd: &Heard) {
    let event = conns[usual.0].last.event;
    let conn = &mut *conns[odd.0];
    if !conn.has_findings() {
        let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
        let (now, before) = (odd.1.join(" "), usual.1.join(" "));
        let when = if usual.0 < odd.0 { "heard" } else { "hears" };
        let then = if usual.0 < odd.0 { "before" } else { "later" };
        let text = format!("hears {now:?} in {speech:?}, where it {when} {before:?} {then}");
        conn.convict_with(FindingKind::WrongValue, req::END_S2, at, &[event], text);
    }
}

/// Speech at both ends of a stream, at pace with a short silence between and at once with a long one: what comes at the end of the
/// burst must be heard, too.
fn lost_in_a_flood(conns: &mut [&mut Conn], paced: usize, flooded: usize) {
    if conns[paced].results.untimed || conns[flooded].results.untimed {
        return;
    }
    // Which half of the stream a final speaks of is all that its times are asked for.
    let heard = |index: usize, late: bool| {
        let all_ms = conns[index].audio.accepted_ms(&conns[index].format()).unwrap_or(0);
        let finals = conns[index].results.finals.iter().filter(|one| !words_of(&one.text).is_empty());
        finals.filter(|one| (one.end_ms.saturating_mul(2) > all_ms) == late).count() > 0
    };
    let (both_at_pace, early, late) =
        (heard(paced, false) && heard(paced, true), heard(flooded, false), heard(flooded, true));
    let event = conns[paced].last.event;
    let conn = &mut *conns[flooded];
    let complete = conn.session_ended.as_ref().is_some_and(|(_, ended)| ended.complete);
    if complete && both_at_pace && early && !late && !conn.has_findings() {
        let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
        let text =
            "hears nothing of the speech at the end of a burst, which it hears at pace, and calls the session complete";
        // [BP-S2]
        conn.convict_with(FindingKind::LostFinal, req::BP_S2, at, &[event], text);
    }
}

/// Speech behind silence: what was heard in it cannot have ended before it began.
fn before_it_was_said(conns: &mut [&mut Conn], prompt: usize, delayed: usize) {
    let sent_ms = |index: usize| conns[index].audio.accepted_ms(&conns[index].format()).unwrap_or(0);
    let silence_ms = sent_ms(delayed).saturating_sub(sent_ms(prompt));
    let heard = |one: &&FinalText| !words_of(&one.text).is_empty();
    if conns[delayed].results.untimed {
        return;
    }
    let is_heard_at_once = conns[prompt].results.finals.iter().any(|one| heard(&one));
    let Some(end_ms) = conns[delayed].results.finals.iter().filter(heard).map(|one| one.end_ms).max() else { return };
    let event = conns[prompt].last.event;
    let conn = &mut *conns[delayed];
    if is_heard_at_once && end_ms.saturating_add(MISTAKEN_MS) < silence_ms && !conn.has_findings() {
        let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
        let text = format!("says that speech ended at {end_ms} ms which came behind {silence_ms} ms of silence");
        conn.convict_with(FindingKind::WrongValue, req::TIM_1, at, &[event], text);
    }
}

/// The stream that was ended twice against the one that was ended once.
fn lost_to_a_second_sentinel(conns: &mut [&mut Conn], once: usize, twice: usize) {
    let spoken = |index: usize| -> Vec<&str> {
        let texts = conns[index].results.finals.iter().map(|one| one.text.as_str());
        texts.filter(|text| !text.is_empty()).collect()
    };
    let words = |index: usize| -> Vec<String> { spoken(index).into_iter().flat_map(words_of).collect() };
    let (all, rest) = (words(once), words(twice));
    let fewer = spoken(twice).len() < spoken(once).len() && all.len().max(rest.len()) <= MOST_WORDS;
    let lost = if fewer { missing(&rest, &all) } else { Vec::new() };
    let event = conns[once].last.event;
    let conn = &mut *conns[twice];
    let Some(second) = conn.end.more_sentinels.first().copied() else { return };
    if !lost.is_empty() && conn.end.late_finals.is_empty() && !conn.has_findings() {
        let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
        let text = format!("lost {:?} at a second sentinel, which it finds where there is only one", lost.join(" "));
        conn.convict_with(FindingKind::LostFinal, req::END_S5, at, &[event, second.event], text);
    }
}

/// One way in which the stream went on, and what was heard then.
struct Way {
    index: usize,
    event: usize,
    words: Vec<String>,
    /// The words of finals that do not reach into the silence behind the speech.
    of_speech: Vec<String>,
    /// How many finals have words.
    finals: usize,
}

impl Way {
    fn of(conns: &[&mut Conn], index: usize, speech_ms: u64) -> Self {
        let conn = &conns[index];
        // A final after `session_ended` came too late, which is another breach: it is not lost.
        let late = conn.end.late_finals.iter().map(|one| (one.text.as_str(), one.end_ms));
        let finals = conn.results.finals.iter().map(|one| (one.text.as_str(), one.end_ms)).chain(late);
        let of_speech = |(_, end_ms): &(&str, u64)| *end_ms <= speech_ms.saturating_add(MISTAKEN_MS);
        Self {
            index,
            event: conn.last.event,
            words: finals.clone().flat_map(|(text, _)| words_of(text)).collect(),
            of_speech: finals.clone().filter(of_speech).flat_map(|(text, _)| words_of(text)).collect(),
            finals: finals.filter(|(text, _)| !text.is_empty()).count(),
        }
    }

    fn has_fewer_finals(&self, one: &Self, other: &Self) -> bool {
        self.finals < one.finals && self.finals < other.finals
    }
}

/// What one way lost that two others have.
struct Loss<'a> {
    of: &'a Way,
    witnesses: [&'a Way; 2],
    words: Vec<String>,
    clause: RequirementId,
    how: &'static str,
}

/// The same speech, after which the stream was ended at once, flushed, or went on in silence for a while or for longer.
fn compare(conns: &mut [&mut Conn], speech: &str, group: &BTreeMap<&'static str, usize>) {
    let Some(ended) = group.get("ended") else { return };
    let speech_ms = conns[*ended].audio.accepted_ms(&conns[*ended].format()).unwrap_or(0);
    let ways: BTreeMap<&str, Way> =
        group.iter().map(|(label, index)| (*label, Way::of(conns, *index, speech_ms))).collect();
    let way = |label: &str| ways.get(label);
    // Without times nobody can tell whether words are of the speech or were heard in the silence behind it.
    let tells = group.values().all(|index| !conns[*index].results.untimed);
    let (ended, flushed, padded) = (*ended, way("flushed"), way("padded"));
    let more = way("padded more").filter(|_| tells);
    // Two witnesses, the second by more silence where there is no flush.
    let enough = padded.is_some() && (flushed.is_some() || more.is_some());
    if !enough || ways.values().filter(|way| !way.words.is_empty()).count() < 2 {
        return;
    }
    if ways.values().any(|way| way.words.len() > MOST_WORDS) {
        conns[ended].doubt(req::FIN_S7, "the transcripts are too long to compare");
        return;
    }
    conns[ended].credit(req::FIN_S7);
    let Some(loss) = loss(way("ended"), flushed, padded, more) else { return };
    let conn = &mut *conns[loss.of.index];
    if conn.convicted(req::FIN_S2) || conn.convicted(loss.clause) {
        return;
    }
    let at = conn.session_ended.as_ref().map_or(conn.last, |(at, _)| *at);
    let text = format!("lost {:?} of {speech:?}{}", loss.words.join(" "), loss.how);
    conn.convict_with(FindingKind::LostFinal, loss.clause, at, &loss.witnesses.map(|way| way.event), text);
}

fn loss<'a>(
    ended: Option<&'a Way>,
    flushed: Option<&'a Way>,
    padded: Option<&'a Way>,
    more: Option<&'a Way>,
) -> Option<Loss<'a>> {
    let (ended, padded) = (ended?, padded?);
    let found = |of: &'a Way, witnesses: [&'a Way; 2], clause: RequirementId, how: &'static str| {
        let words = lost(&of.words, &witnesses[0].words, &witnesses[1].words);
        (!words.is_empty()).then_some(Loss { of, witnesses, words, clause, how })
    };
    if let Some(flushed) = flushed {
        // A whole final that both others have was due.
        let due = ended.has_fewer_finals(flushed, padded);
        let clause = if due { req::END_S2 } else { req::FIN_S7 };
        let how = ", which it finds when the stream is flushed or goes on in silence";
        let of_end = found(ended, [flushed, padded], clause, how);
        let due = flushed.has_fewer_finals(ended, padded);
        let clause = if due { req::FLU_S1 } else { req::FIN_S7 };
        let how = " at a flush, which it finds when the stream is ended at once or goes on in silence";
        let of_flush = || found(flushed, [ended, padded], clause, how);
        let how = " where the stream goes on in silence, which it finds when it is ended at once or is flushed";
        let is_silenced = || padded.has_fewer_finals(ended, flushed);
        let of_silence = || is_silenced().then(|| found(padded, [ended, flushed], req::FIN_S7, how)).flatten();
        if let Some(loss) = of_end.or_else(of_flush).or_else(of_silence) {
            return Some(loss);
        }
    }
    // Of words in the silence itself there is no telling: a recogniser may hear some there.
    let more = more?;
    let words = lost(&ended.words, &padded.of_speech, &more.of_speech);
    let clause = if ended.has_fewer_finals(padded, more) { req::END_S2 } else { req::FIN_S7 };
    let how = ", which it finds when the stream goes on in silence";
    (!words.is_empty()).then_some(Loss { of: ended, witnesses: [padded, more], words, clause, how })
}

/// The words that both of the others have and `short` lacks, where both are longer.
fn lost(short: &[String], one: &[String], other: &[String]) -> Vec<String> {
    if short.len() >= one.len() || short.len() >= other.len() {
        return Vec::new();
    }
    let mut others = missing(short, other);
    let both = |word: &String| match others.iter().position(|other| other == word) {
        Some(index) => {
            others.remove(index);
            true
        }
        None => false,
    };
    missing(short, one).into_iter().filter(both).collect()
}

/// The words of `long` that `short` lacks, in order: those in gaps of a longest common subsequence where `short` has nothing in
/// their place.
fn missing(short: &[String], long: &[String]) -> Vec<String> {
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[same..], &long[same..]);
    let tail = short.iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[..short.len() - tail], &long[..long.len() - tail]);
    let width = long.len() + 1;
    let mut table = vec![0_u16; (short.len() + 1) * width];
    for i in (0..short.len()).rev() {
        for j in (0..long.len()).rev() {
            table[i * width + j] = if short[i] == long[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let mut i = 0;
    let (mut lost, mut gap, mut replaced) = (Vec::new(), Vec::new(), false);
    for (j, word) in long.iter().enumerate() {
        // Words of `short` that no longest common subsequence needs stand in the place of words of `long`.
        while i < short.len() && short[i] != *word && table[(i + 1) * width + j] == table[i * width + j] {
            replaced = true;
            i += 1;
        }
        if i < short.len() && short[i] == *word {
            close_gap(&mut lost, &mut gap, &mut replaced);
            i += 1;
        } else {
            gap.push(word.clone());
        }
    }
    close_gap(&mut lost, &mut gap, &mut replaced);
    lost
}

fn close_gap(lost: &mut Vec<String>, gap: &mut Vec<String>, replaced: &mut bool) {
    if !*replaced {
        lost.append(gap);
    }
    gap.clear();
    *replaced = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(short: &str, long: &str) -> String {
        missing(&words_of(short), &words_of(long)).join(" ")
    }

    #[test]
    fn words_at_the_end_are_missed() {
        assert_eq!(lost("turn on the garage", "Turn on the garage heater."), "heater");
        assert_eq!(lost("", "one two"), "one two");
    }

    #[test]
    fn a_word_heard_differently_is_not_missed() {
        assert_eq!(lost("turn on the garage eater", "turn on the garage heater"), "");
        assert_eq!(lost("turn on the icecream now", "turn on the ice cream now"), "");
    }

    #[test]
    fn a_gap_in_the_middle_is_seen_beside_a_substitution() {
        assert_eq!(lost("play some musing now", "play some music right now"), "");
        assert_eq!(lost("play music stop", "play music louder please stop"), "louder please");
    }
}
