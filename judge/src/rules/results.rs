//! Partials and finals (FIN): segments, revisions, text. Times are the business of `times`, loss across connections of
//! `compare`.

use std::collections::{BTreeMap, BTreeSet};

use lastword_spec::finding::FindingKind;
use lastword_spec::message::{Final, Partial};
use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;

use crate::compare::words_of;
use crate::conn::{At, Conn};
use crate::report::FinalText;
use crate::rules::{flush, keepalive, progress, times, vad};

/// Less than any ten words take.
const SHORTEST_TEN_WORDS_MS: u64 = 10;
/// What ends later than this is followed by nothing that starts at 0.
const LEAST_OFFSET_MS: u64 = 500;
/// So many partials show that a server sends them wherever it can.
const SENDS_PARTIALS: usize = 3;

/// The memory of this area.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Segments without their final.
    pub(crate) open: BTreeMap<u64, Segment>,
    pub(crate) closed: BTreeSet<u64>,
    next_id: u64,
    pub(crate) finals: Vec<FinalText>,
    pub(crate) partials: usize,
    pub(crate) partials_closed: usize,
    pub(crate) saw_confidence: bool,
    pub(crate) saw_words: bool,
    pub(crate) last_partial: Option<At>,
    pub(crate) first_partial_us: Option<u64>,
    /// Not every final said where it ends.
    pub(crate) untimed: bool,
    channels: BTreeMap<u32, Heard>,
}

/// A segment that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) at: At,
    pub(crate) revision: u64,
    /// `None` where it was not said.
    pub(crate) start_ms: Option<u64>,
    /// Where it was not said, no earlier than it can be.
    pub(crate) end_ms: u64,
}

/// What one channel's finals said so far.
#[derive(Debug, Default)]
struct Heard {
    words: Vec<String>,
    last_words: Vec<String>,
    last: Option<Place>,
}

/// Where a result lies, as far as it said so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) start_ms: Option<u64>,
    pub(crate) end_ms: Option<u64>,
}

impl Place {
    /// Where the message at hand says that it lies.
    fn told(conn: &Conn, start_ms: u64, end_ms: u64) -> Self {
        let told = |member: &str, ms: u64| (!conn.is_made_up(member)).then_some(ms);
        Self { start_ms: told("start_ms", start_ms), end_ms: told("end_ms", end_ms) }
    }

    /// Both, where both were said.
    fn whole(self) -> Option<(u64, u64)> {
        Some((self.start_ms?, self.end_ms?))
    }
}

/// A `partial` in its place.
pub(crate) fn on_partial(conn: &mut Conn, at: At, partial: &Partial) {
    let (_, ready) = conn.ready.as_ref().expect("a result is illegal before `ready`");
    let wanted = ready.config.interim_results;
    let id = partial.segment_id;
    if conn.results.closed.contains(&id) {
        credit_common(conn);
        let text = format!("sent a partial of segment {id} after its final");
        conn.convict(FindingKind::IllegalMessage, req::FIN_S1, at, text);
        return;
    }
    if !wanted {
        unwanted(conn, at);
        return;
    }
    conn.results.partials += 1;
    conn.results.last_partial = Some(at);
    conn.results.first_partial_us.get_or_insert(at.t_us);
    credit_common(conn);
    if partial.text.is_empty() {
        conn.convict(FindingKind::WrongValue, req::FIN_S5, at, "sent a partial with an empty text");
    }
    check_text(conn, at, &partial.text, "partial");
    let known = conn.results.open.get(&id).copied();
    match known {
        Some(segment) if partial.revision <= segment.revision => {
            let text =
                format!("sent revision {} of segment {id} after revision {}", partial.revision, segment.revision);
            conn.convict_with(FindingKind::WrongValue, req::FIN_S4, at, &[segment.at.event], text);
        }
        Some(_) => {}
        None => check_new_segment(conn, at, id),
    }
    let place = Place::told(conn, partial.start_ms, partial.end_ms);
    times::check_range(conn, at, "partial", place.start_ms, place.end_ms, partial.words.as_deref());
    let revision = known.map_or(partial.revision, |segment| segment.revision.max(partial.revision));
    let segment = Segment { at, revision, start_ms: place.start_ms, end_ms: partial.end_ms };
    conn.results.open.insert(id, segment);
}

/// A partial where none is wanted: a breach of its own, or the effect of a second `config` that had to change nothing.
fn unwanted(conn: &mut Conn, at: At) {
    let before = conn.convicted(req::FIN_S6);
    let second = conn.config.second.filter(|second| second.interim_results == Some(true) && !before);
    match second.map(|second| second.at) {
        Some(asked) => {
            let text = "sent a partial, which only a second `config` asked for";
            conn.convict_with(FindingKind::WronglyAccepted, req::STA_S1, at, &[asked.event], text);
        }
        None => {
            let text = "sent a partial though `interim_results` is false";
            conn.convict(FindingKind::IllegalMessage, req::FIN_S6, at, text);
        }
    }
}

/// A `final` in its place.
pub(crate) fn on_final(conn: &mut Conn, at: At, result: &Final) {
    credit_common(conn);
    conn.credit(req::FIN_S1);
    let words = result.words.as_deref().unwrap_or_default();
    conn.results.saw_confidence |= result.confidence.is_some() || words.iter().any(|word| word.confidence.is_some());
    conn.results.saw_words |= !words.is_empty();
    keepalive::heard(conn, at);
    keepalive::worked(conn, at);
    let id = result.segment_id;
    let had_partial = conn.results.open.remove(&id).is_some();
    conn.results.partials_closed += usize::from(had_partial);
    if !conn.results.closed.insert(id) {
        let text = format!("sent a second final for segment {id}");
        conn.convict(FindingKind::DuplicateAnswer, req::FIN_S1, at, text);
        record(conn, at, result);
        return;
    }
    if !had_partial {
        check_new_segment(conn, at, id);
    }
    check_text(conn, at, &result.text, "final");
    let place = Place::told(conn, result.start_ms, result.end_ms);
    times::check_range(conn, at, "final", place.start_ms, place.end_ms, result.words.as_deref());
    if let Some((start_ms, end_ms)) = place.whole() {
        check_pace(conn, at, result, end_ms.saturating_sub(start_ms));
    }
    conn.results.untimed |= place.end_ms.is_none();
    match restated(conn, result, place) {
        Some(clause) => {
            let text = format!("restated the text of earlier finals in the final of segment {id}");
            conn.convict(FindingKind::RestatedText, clause, at, text);
        }
        None => {
            if let Some(start_ms) = place.start_ms {
                check_order(conn, at, result.channel, start_ms);
            }
            flush::on_final(conn, at, result, place);
        }
    }
    if place.end_ms.is_some() {
        vad::on_final(conn, at, result);
    }
    record(conn, at, result);
    progress::advanced_by_final(conn, at, place.end_ms);
}

fn credit_common(conn: &mut Conn) {
    let is_timed = !conn.is_made_up("start_ms") || !conn.is_made_up("end_ms");
    let of_times: &[RequirementId] = if is_timed { &[req::TIM_1, req::TIM_S1] } else { &[] };
    for id in [req::FIN_S4, req::FIN_S5].iter().chain(of_times) {
        conn.credit(*id);
    }
}

fn check_text(conn: &mut Conn, at: At, text: &str, what: &str) {
    if text.trim() != text {
        let text = format!("sent a {what} with white space at an end of its text");
        conn.convict(FindingKind::WrongValue, req::FIN_S5, at, text);
    }
}

/// Nobody says a word in a millisecond, and ten words not in ten: such times are no milliseconds.
fn check_pace(conn: &mut Conn, at: At, result: &Final, lasts_ms: u64) {
    let words = words_of(&result.text).len() as u64;
    if words >= 3 && lasts_ms < words.min(SHORTEST_TEN_WORDS_MS) && !conn.convicted(req::TIM_S1) {
        let text = format!("sent a final of {words} words that lasts {lasts_ms} ms: its times are no milliseconds");
        conn.convict(FindingKind::WrongValue, req::TIM_1, at, text);
    }
}

fn check_new_segment(conn: &mut Conn, at: At, id: u64) {
    let next = conn.results.next_id;
    if id != next && !conn.tainted {
        let text = format!("opened segment {id} where {next} was next");
        conn.convict(FindingKind::WrongValue, req::FIN_S4, at, text);
    }
    conn.results.next_id = next.max(id.saturating_add(1));
}

fn check_order(conn: &mut Conn, at: At, channel: u32, start_ms: u64) {
    // Segments out of order are blamed as such.
    if conn.convicted(req::FIN_S4) || conn.convicted(req::TIM_1) {
        return;
    }
    let last = conn.results.channels.get(&channel).and_then(|heard| heard.last).unwrap_or_default();
    let Some(last_start_ms) = last.start_ms else { return };
    let again_from_0 = last.end_ms.filter(|end_ms| start_ms == 0 && last_start_ms == 0 && *end_ms >= LEAST_OFFSET_MS);
    if let Some(end_ms) = again_from_0 {
        let text = format!("sent a final that starts at 0 ms again, after one that ends at {end_ms} ms");
        conn.convict(FindingKind::WrongValue, req::TIM_1, at, text);
    } else if start_ms < last_start_ms {
        let text = format!("sent a final that starts at {start_ms} ms after one that starts at {last_start_ms} ms");
        conn.convict(FindingKind::WrongValue, req::TIM_S2, at, text);
    } else {
        conn.credit(req::TIM_S2);
    }
}

/// Whether a final says again what finals before it said, and which clause that breaks. A speaker may say things twice, so
/// a repetition counts only where the times overlap, or where the whole transcript of four words and more comes again.
fn restated(conn: &Conn, result: &Final, place: Place) -> Option<RequirementId> {
    let heard = conn.results.channels.get(&result.channel)?;
    let words = words_of(&result.text);
    if words.is_empty() || heard.words.is_empty() {
        return None;
    }
    // A speaker may say a thing twice, and neighbours may overlap a little: it must lie where the last final lies.
    let sound = ![req::TIM_1, req::TIM_S1].into_iter().any(|id| conn.convicted(id));
    let told = place.start_ms.zip(heard.last.and_then(Place::whole)).filter(|_| sound);
    let overlaps =
        told.is_some_and(|(start_ms, (last_start_ms, last_end_ms))| start_ms < last_start_ms.midpoint(last_end_ms));
    let same_again = words == heard.last_words && overlaps;
    let known = heard.words.len();
    let all_again = words.starts_with(&heard.words) && (overlaps && known >= 2 || known >= 4 && words.len() > known);
    let after_flush = conn.flush.first.is_some();
    // The same words in audio that came after the flush are no repetition, whatever the times say.
    let newly_said = conn.flush.last.is_some_and(|(_, upto_ms)| {
        let since_ms = conn.audio.accepted_ms(&conn.format()).unwrap_or(0).saturating_sub(upto_ms);
        let lasts_ms = place.whole().map_or(0, |(start_ms, end_ms)| end_ms.saturating_sub(start_ms));
        since_ms > 0 && since_ms >= lasts_ms
    });
    let (same_again, all_again) = (same_again && !newly_said, all_again && !newly_said);
    match (same_again, all_again) {
        (true, _) if after_flush => Some(req::FLU_S3),
        (true, _) | (_, true) => Some(req::FIN_S3),
        _ => None,
    }
}

fn record(conn: &mut Conn, at: At, result: &Final) {
    let place = Place::told(conn, result.start_ms, result.end_ms);
    let heard = conn.results.channels.entry(result.channel).or_default();
    let words = words_of(&result.text);
    if !words.is_empty() {
        heard.words.extend(words.iter().cloned());
        heard.last_words = words;
    }
    heard.last = Some(place);
    conn.results.finals.push(FinalText {
        segment_id: result.segment_id,
        text: result.text.clone(),
        start_ms: result.start_ms,
        end_ms: result.end_ms,
        channel: result.channel,
        t_us: at.t_us,
    });
}

/// `ready` said that words or speech events are in force, and not one came with any result.
fn promised_and_missing(conn: &mut Conn, at: At) {
    let Some((_, ready)) = &conn.ready else { return };
    let spoken = conn.results.finals.iter().any(|one| !one.text.is_empty());
    let missing = [
        ("words", ready.config.words && !conn.results.saw_words),
        ("vad_events", ready.config.vad_events && !conn.vad.seen),
    ];
    for (option, _) in missing.into_iter().filter(|(_, missing)| *missing && spoken) {
        let text = format!("says that `{option}` is in force, and gives none with any result");
        conn.convict(FindingKind::WrongValue, req::CFG_S10, at, text);
    }
}

/// Partials came until a second `config` forwent them, and no longer, though there was as much to hear. A recogniser that is still
/// at work on the audio before it may have no time for partials.
fn fell_silent(conn: &mut Conn, at: At) {
    let Some(second) = conn.config.second.filter(|second| second.interim_results == Some(false)) else { return };
    let before = conn.results.last_partial.is_some_and(|last| last.event < second.at.event);
    let as_much = conn.audio.accepted_bytes >= second.audio_bytes.saturating_mul(2);
    let heard = conn.results.finals.iter().any(|one| one.t_us > second.at.t_us && words_of(&one.text).len() >= 2);
    // Only where nothing else is wrong: the breach shows by what does not come.
    if before && second.flushed && conn.results.partials >= SENDS_PARTIALS && as_much && heard && !conn.has_findings() {
        let text = "sends no partials any more since a second `config`, which had to change nothing";
        conn.convict_with(FindingKind::WronglyAccepted, req::STA_S1, at, &[second.at.event], text);
    }
}

/// The session is over, by `session_ended` or by a close that the server started.
pub(crate) fn settle(conn: &mut Conn) {
    let Some((ended_at, _)) = conn.session_ended else { return };
    if conn.results.partials_closed > 0 {
        conn.credit(req::FIN_S2);
    }
    let spoken = conn.results.finals.iter().filter(|one| !one.text.is_empty()).count();
    if spoken >= 2 {
        conn.credit(req::FIN_S3);
    }
    let config = conn.ready.as_ref().map(|(_, ready)| (ready.config.interim_results, ready.config.vad_events));
    if let Some((interim, events)) = config.filter(|_| !conn.results.finals.is_empty()) {
        if !interim {
            conn.credit(req::FIN_S6);
        }
        if !events {
            conn.credit(req::VAD_S2);
        }
    }
    let cancelled = conn.client_close.is_some_and(|close| close.at.event < ended_at.event);
    if conn.tainted || cancelled {
        return;
    }
    // By times that are wrong themselves no text is told again.
    if [req::TIM_1, req::TIM_S1].into_iter().any(|id| conn.convicted(id)) {
        conn.acquit(FindingKind::RestatedText, req::FIN_S3);
    }
    promised_and_missing(conn, ended_at);
    fell_silent(conn, ended_at);
    let late: Vec<u64> = conn.end.late_finals.iter().map(|one| one.segment_id).collect();
    if let Some((id, segment)) = conn
        .results
        .open
        .iter()
        .map(|(id, one)| (*id, *one))
        .find(|(id, _)| !late.contains(id) && conn.flush.blamed != Some(*id))
    {
        // Where plain sessions lose nothing, the second sentinel did it.
        let second = conn.end.more_sentinels.first().filter(|second| conn.plain_works && second.event < ended_at.event);
        let clause = if second.is_some() { req::END_S5 } else { req::FIN_S2 };
        let text = format!("ended the session while segment {id} was open: it got no final");
        conn.convict_with(FindingKind::LostFinal, clause, ended_at, &[segment.at.event], text);
    }
}
