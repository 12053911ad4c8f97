//! Times of results (TIM-S1, TIM-S3). That finals come in order is with the segments, in `results`.

use lastword_spec::finding::FindingKind;
use lastword_spec::message::Word;
use lastword_spec::requirements as req;

use crate::conn::{At, Conn};
use crate::rules::aud;

/// Checks where a result lies, as far as it says so, and its words in it.
pub(crate) fn check_range(
    conn: &mut Conn,
    at: At,
    what: &str,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
    words: Option<&[Word]>,
) {
    if let Some((start_ms, end_ms)) = start_ms.zip(end_ms).filter(|(start_ms, end_ms)| start_ms > end_ms) {
        let text = format!("sent a {what} that starts at {start_ms} ms and ends at {end_ms} ms");
        conn.convict(FindingKind::WrongValue, req::TIM_S1, at, text);
        return;
    }
    // After a message that must end the session what the client sends is not kept account of.
    let counted = conn.answers.fatal_due.is_none();
    let sent_ms = aud::to_ms_up(conn.audio.accepted_bytes, &conn.format()).filter(|_| counted);
    let (does, reach_ms) = if end_ms.is_some() { ("ends", end_ms) } else { ("starts", start_ms) };
    if let Some((reach_ms, sent_ms)) = reach_ms.zip(sent_ms).filter(|(reach_ms, sent_ms)| reach_ms > sent_ms) {
        let text = format!("sent a {what} that {does} at {reach_ms} ms when only {sent_ms} ms of audio had been sent");
        aud::reaches_too_far(conn, at, reach_ms, req::TIM_S1, text);
        return;
    }
    let Some(words) = words.filter(|words| !words.is_empty() && !conn.is_made_up("words")) else { return };
    conn.credit(req::TIM_S3);
    let (start_ms, end_ms) = (start_ms.unwrap_or(0), end_ms.unwrap_or(u64::MAX));
    let mut last_start_ms = start_ms;
    for word in words {
        let inside = word.start_ms >= start_ms && word.end_ms <= end_ms && word.start_ms <= word.end_ms;
        if !inside || word.start_ms < last_start_ms {
            let fault = if inside { "runs backwards" } else { "does not lie within its result" };
            let text = format!("sent a {what} with a word at {}..{} ms that {fault}", word.start_ms, word.end_ms);
            conn.convict(FindingKind::WrongValue, req::TIM_S3, at, text);
            return;
        }
        last_start_ms = word.start_ms;
    }
}
