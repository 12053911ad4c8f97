//! What a server must not say, and whom it must not let in (SEC).

use lastword_spec::finding::FindingKind;
use lastword_spec::ijson::{self, TypeMember};
use lastword_spec::message::ServerMessage;
use lastword_spec::requirements as req;
use lastword_spec::trace::{Shown, as_said};

use crate::conn::{At, Conn, Context};

/// Credentials shorter than this are not searched for: they would be found in ordinary text.
const SHORTEST_SECRET: usize = 4;

/// Remembers the credential in a `config`, also in one that is faulty elsewhere.
pub(crate) fn note_token(conn: &mut Conn, text: &str) {
    if conn.config.at.is_none() && conn.config.token.is_none() {
        conn.config.token = token_of(text);
    }
}

/// The value of the member `token`, wherever it stands in the text; that need not be a message.
fn token_of(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"token\"")?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let end = value.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    // As the only member of a message it can be read like any other text.
    let alone = format!("{{\"type\":\"{}\"}}", &value[..end]);
    match ijson::scan(&alone).ok()?.message_type {
        TypeMember::Text(token) => Some(token.into_owned()),
        TypeMember::Missing | TypeMember::NotString => None,
    }
}

/// Searches any text of the server for credentials.
pub(crate) fn scan(conn: &mut Conn, context: &Context<'_>, at: At, text: &str) {
    let token = conn.config.token.as_ref();
    if token.is_some() || !context.secrets.is_empty() {
        let said = as_said(text, &conn.made_up);
        let leaked = context
            .secrets
            .iter()
            .chain(token)
            .any(|secret| secret.len() >= SHORTEST_SECRET && said.contains(secret.as_str()));
        conn.credit(req::SEC_S2);
        if leaked {
            conn.convict(FindingKind::LeakedSecret, req::SEC_S2, at, "repeated a credential in a message");
        }
    }
}

/// Searches the sentences for people for what only developers should see.
pub(crate) fn scan_message(conn: &mut Conn, at: At, message: &ServerMessage) {
    let sentence = match message {
        ServerMessage::Error(error) => &error.message,
        ServerMessage::Warning(warning) => &warning.message,
        _ => return,
    };
    conn.credit(req::SEC_S4);
    if let Some(what) = gives_away(sentence) {
        let text = format!("put {what} into a message for people");
        conn.convict(FindingKind::LeakedSecret, req::SEC_S4, at, text);
    }
}

fn gives_away(sentence: &str) -> Option<&'static str> {
    const TRACES: &[&str] = &[
        "Traceback (most recent",
        "File \"",
        "panicked at",
        "stack backtrace",
        " at Object.",
        "\n    at ",
        "goroutine ",
    ];
    // Folders at the root of a file system.
    const ROOTS: &[&str] = &["home", "usr", "opt", "var", "tmp", "root", "etc", "srv", "app", "proc", "mnt", "Users"];
    const SOURCES: &[&str] =
        &[".rs", ".py", ".js", ".ts", ".go", ".c", ".cc", ".cpp", ".java", ".rb", ".so", ".bin", ".onnx", ".gguf"];
    if TRACES.iter().any(|mark| sentence.contains(mark)) {
        return Some("a stack trace");
    }
    let words = || sentence.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';' | '`'));
    let is_path = |word: &str| {
        let file = word.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.'));
        let top = word.strip_prefix('/').and_then(|rest| rest.split_once('/')).map(|(top, _)| top);
        top.is_some_and(|top| ROOTS.contains(&top))
            || word.starts_with("C:\\")
            || (word.contains('/') && SOURCES.iter().any(|source| file.ends_with(source)))
    };
    words().any(is_path).then_some("a file path")
}

/// Across the connections of a trace: where one shows that credentials are demanded, no other may get in without.
pub(crate) fn across(conns: &mut [&mut Conn], secrets: &[String]) {
    let refused =
        |conn: &Conn| conn.config.refusal.as_ref().filter(|refusal| refusal.code == "unauthenticated").cloned();
    let sentences: Vec<(u32, String)> =
        conns.iter().filter_map(|conn| refused(conn).map(|refusal| (conn.id, refusal.message))).collect();
    let served = conns.iter().any(|conn| conn.ready.is_some());
    // Who was told the credential was told that it is demanded.
    let demanded = !secrets.is_empty() || !sentences.is_empty() || conns.iter().any(|conn| conn.refused == Some(401));
    for conn in conns.iter_mut() {
        if conn.refused == Some(401) && served {
            conn.credit(req::SEC_S1);
        }
        wrong_header(conn, served, demanded);
        good_refused(conn, served, secrets);
        let at = conn.last;
        if let Some(refusal) = refused(conn)
            && let Some((other, _)) = sentences.iter().find(|(id, text)| *id < conn.id && *text != refusal.message)
        {
            let text = format!("gave another message for `unauthenticated` than on connection {other}");
            conn.convict(FindingKind::WrongAnswer, req::SEC_S1, at, text);
        }
        let wrong = |token: &String| !secrets.is_empty() && !secrets.contains(token);
        let wrong_token = conn.config.token.as_ref().is_some_and(wrong);
        if !demanded || !wrong_token {
            continue;
        }
        if let Some((ready_at, _)) = conn.ready {
            conn.convict(FindingKind::WronglyAccepted, req::SEC_S1, ready_at, "let a wrong token in");
        } else if let Some(refusal) = conn.config.refusal.clone().filter(|one| checks_the_config(&one.code)) {
            let text = format!("answered a wrong token with `{}`: it checked the config first", refusal.code);
            conn.convict(FindingKind::WrongAnswer, req::SEC_S1, at, text);
        }
    }
}

/// An upgrade with a wrong `Authorization` header: refused with 401, where credentials are demanded at all.
fn wrong_header(conn: &mut Conn, served: bool, demanded: bool) {
    let refusal = conn.refusal.as_ref().filter(|refusal| refusal.authorization == Some(Shown::Wrong));
    if let Some((at, status)) = refusal.map(|refusal| (refusal.at, refusal.status))
        && served
        && !matches!(status, 401 | 429 | 503)
    {
        let text = format!("refused a wrong `Authorization` header with HTTP {status} instead of 401");
        conn.convict(FindingKind::WrongAnswer, req::SEC_S1, at, text);
    }
    let let_in = conn.open.as_ref().is_some_and(|open| open.authorization == Some(Shown::Wrong));
    if let Some(at) = conn.opened.filter(|_| let_in && demanded) {
        let text = "upgraded a connection with a wrong `Authorization` header";
        conn.convict(FindingKind::WronglyAccepted, req::SEC_S1, at, text);
    }
}

/// One good credential is enough: who showed one, and no wrong one beside it, is let in.
fn good_refused(conn: &mut Conn, served: bool, secrets: &[String]) {
    let shown = conn.open.as_ref().and_then(|open| open.authorization);
    let token = conn.config.token.as_ref().filter(|_| !secrets.is_empty());
    let (good_token, wrong_token) =
        (token.is_some_and(|one| secrets.contains(one)), token.is_some_and(|one| !secrets.contains(one)));
    let good = (shown == Some(Shown::Good) && !wrong_token) || (good_token && shown != Some(Shown::Wrong));
    let refused = conn.config.refusal.as_ref().is_some_and(|refusal| refusal.code == "unauthenticated");
    if good && refused && served && !secrets.is_empty() {
        let at = conn.answers.fatal.as_ref().map_or(conn.last, |(at, _)| *at);
        let text = "refused a client that showed a good credential and no wrong one";
        conn.convict(FindingKind::WronglyRefused, req::SEC_S1, at, text);
    }
}

fn checks_the_config(code: &str) -> bool {
    matches!(code, "invalid_config" | "unsupported_audio" | "unsupported_option" | "unknown_model")
}

#[cfg(test)]
mod tests {
    use super::{gives_away, token_of};

    #[test]
    fn a_token_is_read_as_what_it_stands_for() {
        let tokens = [
            (r#"{"type":"config","token":"plain"}"#, Some("plain")),
            (r#"{"type":"config","token" : "a\"b\\c\u0041"}"#, Some("a\"b\\cA")),
            (r#"{"type":"config","token":"ends in \\"}"#, Some("ends in \\")),
            (r#"{"type":"config","token":"never ends"#, None),
            (r#"{"type":"config","token":7}"#, None),
        ];
        for (text, token) in tokens {
            assert_eq!(token_of(text).as_deref(), token, "{text}");
        }
    }

    #[test]
    fn traces_and_paths_are_seen_and_ordinary_sentences_are_not() {
        for bad in [
            "Traceback (most recent call last): boom",
            "thread 'main' panicked at src/main.rs:3:5",
            "cannot open /srv/models/base.bin",
            "TypeError: x at Object.run (server.js:3:1)",
            "no such file: models/ggml-base.bin",
        ] {
            assert!(gives_away(bad).is_some(), "{bad}");
        }
        for good in ["audio after end_of_stream was discarded", "see /v1/listen", "half/half", "use audio.encoding"] {
            assert_eq!(gives_away(good), None, "{good}");
        }
    }
}
