//! Every message that a server can send, right, wrong and broken, where a session stands in each of many ways: what is found in
//! it, and what the rest of the session comes to then.

use super::super::scene::{ACK, CONFIG, END, FLUSH, FLUSHED, KEEPALIVE, READY, ended, error, heard};
use super::unusual::{found, rows};

/// Where the session stands: what was said before, at these times.
pub(super) fn situations() -> Vec<(&'static str, Vec<(u64, String)>)> {
    let text = |lines: &[(u64, &str)]| lines.iter().map(|(ms, line)| (*ms, (*line).to_owned())).collect::<Vec<_>>();
    let asked = [(10, "open"), (100, CONFIG)];
    let ready = [(10, "open"), (100, CONFIG), (200, READY), (300, "audio 32000")];
    let wants = READY.replace(r#""words":false,"vad_events":false"#, r#""words":true,"vad_events":true"#);
    let asks = r#">{"type":"config","words":true,"vad_events":true}"#;
    let none = READY.replace(r#""interim_results":true"#, r#""interim_results":false"#);
    let asks_none = r#">{"type":"config","interim_results":false}"#;
    let after = |more: &[(u64, &str)]| text(&[&ready[..], more].concat());
    let last = ended(1_000, 0, 0);
    let (internal, refused) = (error("internal", true, ""), error("overloaded", true, ""));
    let second = r#">{"type":"config","interim_results":true}"#;
    let started = r#"<{"type":"speech_started","start_ms":100,"channel":0}"#;
    let partial =
        r#"<{"type":"partial","segment_id":0,"revision":1,"text":"word","start_ms":0,"end_ms":500,"channel":0}"#;
    let progress = r#"<{"type":"progress","seq":1,"audio_processed_ms":400}"#;
    vec![
        ("before config", text(&asked[..1])),
        ("configuring", text(&asked)),
        ("configuring, an early keepalive", text(&[&asked[..], &[(110, KEEPALIVE)]].concat())),
        ("configuring, an early flush", text(&[&asked[..], &[(110, FLUSH)]].concat())),
        ("refused", text(&[&asked[..], &[(200, &refused)]].concat())),
        ("streaming", after(&[])),
        (
            "streaming with words and speech events",
            text(&[(10, "open"), (100, asks), (200, &wants), (300, "audio 32000")]),
        ),
        ("streaming without partials", text(&[(10, "open"), (100, asks_none), (200, &none), (300, "audio 32000")])),
        ("a second config", after(&[(900, second)])),
        ("a segment is open", after(&[(900, partial)])),
        ("a segment is closed", after(&[(900, &heard(0, 0, 500))])),
        ("speech has started", text(&[(10, "open"), (100, asks), (200, &wants), (300, "audio 32000"), (900, started)])),
        ("a keepalive is open", after(&[(900, KEEPALIVE)])),
        ("a keepalive is answered", after(&[(900, KEEPALIVE), (910, ACK)])),
        ("a flush is open", after(&[(900, FLUSH)])),
        ("a flush is answered", after(&[(900, FLUSH), (910, FLUSHED)])),
        ("an update is open", after(&[(900, r#">{"type":"update","id":"u","language":"de"}"#)])),
        ("progress was told", after(&[(900, progress)])),
        (
            "a keepalive to be refused",
            text(&[(10, "open"), (20, KEEPALIVE), (100, CONFIG), (200, READY), (300, "audio 32000")]),
        ),
        (
            "a flush to be refused",
            text(&[(10, "open"), (20, FLUSH), (100, CONFIG), (200, READY), (300, "audio 32000")]),
        ),
        ("draining", after(&[(900, END)])),
        ("draining, a flush is open", after(&[(890, FLUSH), (900, END)])),
        ("draining, a keepalive behind the end", after(&[(900, END), (910, KEEPALIVE)])),
        ("draining, a second sentinel", after(&[(900, END), (910, END)])),
        ("draining, a config behind the end", after(&[(900, END), (910, CONFIG)])),
        ("failing", after(&[(900, &internal)])),
        ("ended", after(&[(900, END), (950, &last)])),
        ("ended, a flush is open", after(&[(890, FLUSH), (900, END), (950, &last)])),
        ("ended, a keepalive is open", after(&[(890, KEEPALIVE), (900, END), (950, &last)])),
        ("ended, a second sentinel", after(&[(900, END), (910, END), (950, &last)])),
        ("closed by the client just now", after(&[(900, "close 1000")])),
        ("closed by the client after the end", after(&[(900, END), (950, &last), (960, "close 1000")])),
    ]
}

fn messages() -> Vec<(&'static str, String)> {
    let long = format!(r#"<{{"type":"warning","code":"c","message":"{}"}}"#, "a".repeat(70_000));
    let with = |last: &str| heard(0, 0, 500).trim_end_matches('}').to_owned() + last;
    let partial = |segment: u64, revision: u64| {
        format!(
            r#"<{{"type":"partial","segment_id":{segment},"revision":{revision},"text":"word","start_ms":0,"end_ms":500,"channel":0}}"#
        )
    };
    let owned = |text: &str| text.to_owned();
    vec![
        ("ready", owned(READY)),
        ("ready, a member is missing", READY.replace(r#""drain_ms":15000,"#, "")),
        ("ready, bad", READY.replace(r#""drain_ms":15000"#, r#""drain_ms":"x""#)),
        ("ready, long", READY.replace(r#""ignored":[]"#, &format!(r#""ignored":[],"x_pad":"{}""#, "a".repeat(70_000)))),
        ("partial", partial(0, 1)),
        ("partial again", partial(0, 2)),
        ("partial of the next", partial(1, 1)),
        ("empty partial", partial(0, 1).replace(r#""word""#, r#""""#)),
        ("final", heard(0, 0, 500)),
        ("final of the next", heard(1, 0, 500)),
        ("final beyond the audio", heard(0, 0, 5_000)),
        ("final, spaced", heard(0, 0, 500).replace("word 0", "word ")),
        ("final, words", with(r#","words":[{"text":"word","start_ms":0,"end_ms":500}]}"#)),
        ("final, sure", with(r#","confidence":0.5}"#)),
        ("final, too sure", with(r#","confidence":1.5}"#)),
        ("final without a text", heard(0, 0, 500).replace(r#""text":"word 0","#, "")),
        ("flushed", owned(FLUSHED)),
        ("flushed of another", FLUSHED.replace(r#""f""#, r#""g""#)),
        ("flushed, bad", FLUSHED.replace(r#""f""#, "7")),
        ("keepalive_ack", owned(ACK)),
        ("keepalive_ack of another", ACK.replace('1', "9")),
        ("keepalive_ack, bad", ACK.replace('1', r#""x""#)),
        (
            "updated",
            owned(
                r#"<{"type":"updated","id":"u","config":{"audio":{"encoding":"pcm_s16le","sample_rate_hz":16000,"channels":1},"interim_results":true,"words":false,"vad_events":false,"endpointing":{"mode":"vad","silence_ms":500,"max_segment_ms":30000},"language":"de"}}"#,
            ),
        ),
        ("progress", owned(r#"<{"type":"progress","seq":1,"audio_processed_ms":500}"#)),
        ("progress 2", owned(r#"<{"type":"progress","seq":2,"audio_processed_ms":500}"#)),
        ("progress back", owned(r#"<{"type":"progress","seq":2,"audio_processed_ms":100}"#)),
        ("speech_started", owned(r#"<{"type":"speech_started","start_ms":100,"channel":0}"#)),
        ("speech_ended", owned(r#"<{"type":"speech_ended","end_ms":500,"channel":0}"#)),
        ("warning", owned(r#"<{"type":"warning","code":"c","message":"m"}"#)),
        ("audio_dropped", owned(r#"<{"type":"warning","code":"audio_dropped","message":"m"}"#)),
        ("a long warning", long),
        ("error", error("invalid_state", false, "")),
        ("error, bad", error("invalid_state", false, "").replace(r#","retryable":false"#, "")),
        ("fatal, bad", error("internal", true, "").replace(r#","retryable":true"#, "")),
        ("fatal", error("internal", true, "")),
        ("session_ended", ended(1_000, 0, 0)),
        ("session_ended, incomplete", ended(1_000, 1, 0)),
        ("session_ended, internal", ended(1_000, 0, 0).replace("completed", "internal")),
        ("session_ended, internal and incomplete", ended(1_000, 1, 0).replace("completed", "internal")),
        ("session_ended, bad", owned(r#"<{"type":"session_ended"}"#)),
        ("an unknown type", owned(r#"<{"type":"x_later"}"#)),
        ("no JSON", owned("<nothing")),
        ("closed 1000", owned("closed 1000")),
        ("nothing", String::new()),
    ]
}

/// The session with that message at 2 s, and an end that fits where it stands then.
fn said(before: &[(u64, String)], message: &str) -> String {
    let mut lines = before.to_vec();
    lines.insert(0, (0, "control 10".into()));
    let has = |lines: &[(u64, String)], what: &str| lines.iter().any(|(_, line)| line.contains(what));
    if !message.is_empty() {
        lines.push((2_000, message.to_owned()));
    }
    let finals = lines.iter().filter(|(_, line)| line.starts_with(r#"<{"type":"final""#)).count() as u64;
    let over = has(&lines, "closed 1000");
    if !over {
        let fatal = has(&lines, r#""fatal":true"#);
        let is_ready = has(&lines, "\"ready\"");
        if !has(&lines, CONFIG) && !has(&lines, r#">{"type":"config""#) {
            lines.push((2_100, CONFIG.into()));
        }
        if !is_ready && !fatal {
            lines.extend([(2_150, READY.to_owned()), (2_160, "audio 32000".to_owned())]);
        }
        if !has(&lines, END) && !fatal && !has(&lines, "close 1000") {
            lines.push((2_200, END.into()));
        }
        if !has(&lines, "session_ended") && !has(&lines, "close 1000") {
            let last = ended(1_000, 0, finals);
            let last = if fatal { last.replace("completed", "internal").replace("true", "false") } else { last };
            lines.push((3_400, last));
        }
        lines.push((3_410, if fatal { "closed 1011".into() } else { "closed 1000".into() }));
    }
    found(lines)
}

#[test]
fn every_message_in_every_situation_is_judged_as_it_was() {
    let messages = messages();
    let names: Vec<String> = messages.iter().map(|(name, _)| (*name).to_owned()).collect();
    let text = |name: &str| messages.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    let mut table = String::new();
    for (name, before) in situations() {
        rows(&mut table, name, &names, |message| said(&before, text(message)));
    }
    insta::assert_snapshot!(table);
}
