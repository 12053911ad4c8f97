//! Owns the playing of the client's side of a trace to a live server: frame for frame, with the recorded gaps, and never before
//! the server has said what it had said before that frame in the trace. It records; it decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lastword_spec::table::Side;
use lastword_spec::trace::{EventKind, Trace};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::sound::Sound;
use crate::case::{Credential, Open};
use crate::record::Recorder;
use crate::redact::HIDDEN;
use crate::run::control::Control;
use crate::run::env::{Env, Session};
use crate::run::wait::{self, Wait, Waited};
use crate::wire::Outgoing;

/// What was sent so shortly after each other went out in one write.
const ONE_WRITE_US: u64 = 500;
/// How long the end of a connection that is left is waited for; nothing is decided by it.
const LEAVE: Duration = Duration::from_millis(300);

/// Plays the trace once and gives back the new one. No gap is longer than `max_gap`.
pub(super) async fn play(env: &Arc<Env>, recorded: &Trace, max_gap: Duration) -> Trace {
    let name = recorded.header.case.clone().unwrap_or_else(|| "replay".to_owned());
    let before = env.controls.alone().await;
    let recorder = Arc::new(Recorder::new(env.header(&name, env.controls.current_scale_percent()), &env.options()));
    if let Some(control) = &before {
        recorder.note(wait::CONTROL_BEFORE, control.event());
    }
    let mut player =
        Player { env: Arc::clone(env), recorder, lines: BTreeMap::new(), controls: Vec::new(), gave_up: false };
    player.events(recorded, max_gap).await;
    player.ends().await;
    player.leave().await;
    player.recorder.trace()
}

struct Player {
    env: Arc<Env>,
    recorder: Arc<Recorder>,
    lines: BTreeMap<u32, Line>,
    controls: Vec<Control>,
    gave_up: bool,
}

/// One connection.
struct Line {
    session: Option<Session>,
    sound: Sound,
    /// What the server had said in the trace by now, and is not yet seen to have said here.
    due: Vec<Map<String, Value>>,
    /// The server had ended the connection in the trace.
    ends: bool,
    /// When the last thing happened here, and when its like happened in the trace.
    last: Instant,
    last_us: u64,
    /// Written together with what comes next.
    unsent: Vec<Outgoing>,
    is_over: bool,
}

impl Player {
    async fn events(&mut self, recorded: &Trace, max_gap: Duration) {
        let mut probes = Vec::new();
        let mut events = recorded.events.iter().peekable();
        while let Some(event) = events.next() {
            let conn = event.conn;
            match &event.kind {
                // A release probe is evidence of the run that made it, not a part of the session.
                EventKind::Open(open) if open.probe.is_some() => probes.push(conn),
                EventKind::Open(open) => {
                    let wanted = Open {
                        offer: open.offered.clone(),
                        authorization: credential(open.authorization),
                        label: open.label.clone(),
                    };
                    self.open(conn, event.t_us, &wanted, open.speech.clone()).await;
                }
                EventKind::Refused { offered, authorization, .. } => {
                    let offer = offered.clone().unwrap_or_else(|| Open::default().offer);
                    let wanted = Open { offer, authorization: credential(*authorization), label: None };
                    self.open(conn, event.t_us, &wanted, None).await;
                }
                EventKind::ConnectFailed { .. } => self.open(conn, event.t_us, &Open::default(), None).await,
                _ if probes.contains(&conn) => {}
                kind => {
                    let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.is_over) else { continue };
                    match kind.from() {
                        Some(Side::Server) => {
                            line.heard(kind);
                            line.last_us = event.t_us;
                        }
                        Some(Side::Client) => {
                            let together = events.peek().is_some_and(|next| {
                                let soon = next.t_us.saturating_sub(event.t_us) <= ONE_WRITE_US;
                                next.conn == conn && soon && is_message(&next.kind)
                            });
                            self.say(conn, event.t_us, kind, together, max_gap).await;
                        }
                        None => {}
                    }
                }
            }
        }
    }

    async fn open(&mut self, conn: u32, t_us: u64, open: &Open, speech: Option<String>) {
        let permit = self.env.gate.session().await;
        let sound = Sound::new(&self.env.speech, speech.as_deref());
        let session = self.env.open(conn, open, speech, &self.recorder, permit).await;
        let is_over = session.is_none();
        let line = Line {
            session,
            sound,
            due: Vec::new(),
            ends: false,
            last: Instant::now(),
            last_us: t_us,
            unsent: Vec::new(),
            is_over,
        };
        self.lines.insert(conn, line);
    }

    /// Says what the client said, once the server has said what came before it.
    async fn say(&mut self, conn: u32, t_us: u64, kind: &EventKind, together: bool, max_gap: Duration) {
        let token = self.env.dialler.target().token.clone();
        let Some(line) = self.lines.get_mut(&conn) else { return };
        // The answer to a Close goes by itself.
        if matches!(kind, EventKind::Close { .. } | EventKind::Eof { .. }) && line.ends {
            return;
        }
        let due = std::mem::take(&mut line.due);
        if !due.is_empty() && !self.await_all(conn, due).await {
            return;
        }
        let Some(line) = self.lines.get_mut(&conn) else { return };
        if line.unsent.is_empty() {
            let gap = Duration::from_micros(t_us.saturating_sub(line.last_us)).min(max_gap);
            let at = line.last + gap;
            if at > Instant::now() {
                sleep_until(at).await;
            }
        }
        match kind {
            EventKind::Text { text, .. } => line.unsent.push(Outgoing::Text(with_token(text, token.as_deref()))),
            EventKind::Audio { bytes, head, .. } => {
                let frame = line.sound.frame(*bytes, head);
                line.unsent.push(Outgoing::Binary(frame.into()));
            }
            EventKind::Close { code, .. } => line.unsent.push(Outgoing::Close(code.map(|code| code.0))),
            EventKind::Eof { .. } => {
                line.is_over = true;
                if let Some(session) = line.session.take() {
                    session.link.cut();
                }
                return;
            }
            _ => return,
        }
        line.last_us = t_us;
        if !together {
            self.send(conn).await;
        }
    }

    async fn send(&mut self, conn: u32) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        let messages = std::mem::take(&mut line.unsent);
        let Some(session) = line.session.as_mut().filter(|_| !self.recorder.is_over(conn)) else { return };
        let bound = wait::write_bound(&self.env, &self.recorder, conn);
        let sent = wait::sending(&self.recorder, conn, bound, session.link.send(messages)).await;
        line.last = Instant::now();
        if sent == Waited::GaveUp {
            line.is_over = true;
            self.gave_up = true;
            self.waiting(conn).give_up().await;
        }
    }

    /// Waits for each of these; `false` where the connection has nothing more to give.
    async fn await_all(&mut self, conn: u32, due: Vec<Map<String, Value>>) -> bool {
        for wanted in due {
            let waited = self.waiting(conn).until(|recorder| recorder.take(conn, &wanted)).await;
            self.after(conn, waited);
            if waited == Waited::GaveUp {
                return false;
            }
        }
        true
    }

    fn after(&mut self, conn: u32, waited: Waited) {
        if let Some(line) = self.lines.get_mut(&conn) {
            line.last = Instant::now();
            line.is_over |= waited == Waited::GaveUp;
        }
        self.gave_up |= waited == Waited::GaveUp;
    }

    /// What the server had said after the client's last frame, and whatever it owes now.
    async fn ends(&mut self) {
        let conns: Vec<u32> = self.lines.keys().copied().collect();
        for conn in conns {
            let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.is_over && line.session.is_some()) else {
                continue;
            };
            let (due, ends) = (std::mem::take(&mut line.due), line.ends);
            if !self.await_all(conn, due).await {
                continue;
            }
            let waited = self.waiting(conn).until(|recorder| recorder.owed_by_server(conn).is_empty()).await;
            self.after(conn, waited);
            if waited == Waited::Came && ends {
                let waited = self.waiting(conn).until(|recorder| recorder.is_over(conn)).await;
                self.after(conn, waited);
            }
        }
    }

    /// Leaves no session behind, and has a control session as witness where a wait was given up without one.
    async fn leave(&mut self) {
        for (conn, line) in &mut self.lines {
            let Some(mut session) = line.session.take().filter(|_| !self.recorder.is_over(*conn)) else { continue };
            if !self.recorder.is_closed(*conn) && !self.recorder.client_has_closed(*conn) {
                let close = session.link.send(vec![Outgoing::Close(Some(1_000))]);
                let _ = tokio::time::timeout(LEAVE, close).await;
            }
            wait::quietly(&self.recorder, Instant::now() + LEAVE, |recorder| recorder.is_over(*conn)).await;
        }
        if self.gave_up
            && self.controls.is_empty()
            && let Some(control) = self.env.controls.fresh().await
        {
            self.recorder.note(wait::CONTROL_AFTER, control.event());
        }
    }

    fn waiting(&mut self, conn: u32) -> Wait<'_> {
        Wait::new(&self.env, &self.recorder, conn, None, &mut self.controls, None)
    }
}

impl Line {
    /// What the server said in the trace: that which the client may have waited for must come here too.
    fn heard(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Text { text, .. } => self.due.extend(awaited(text)),
            EventKind::Close { .. } | EventKind::Eof { .. } => self.ends = true,
            _ => {}
        }
    }
}

/// The members by which an answer is recognised; `None` for what comes when it likes.
fn awaited(text: &str) -> Option<Map<String, Value>> {
    let Ok(Value::Object(message)) = serde_json::from_str(text) else { return None };
    let kind = message.get("type")?.as_str()?;
    let members: &[&str] = match kind {
        "ready" | "session_ended" => &["type"],
        "flushed" | "updated" => &["type", "id"],
        "keepalive_ack" => &["type", "seq"],
        "error" => &["type", "code"],
        _ => return None,
    };
    Some(message.into_iter().filter(|(name, _)| members.contains(&name.as_str())).collect())
}

fn is_message(kind: &EventKind) -> bool {
    kind.from() == Some(Side::Client)
        && matches!(kind, EventKind::Text { .. } | EventKind::Audio { .. } | EventKind::Close { .. })
}

fn credential(shown: Option<lastword_spec::trace::Shown>) -> Credential {
    match shown {
        Some(lastword_spec::trace::Shown::Wrong) => Credential::Wrong,
        Some(lastword_spec::trace::Shown::None) => Credential::None,
        Some(lastword_spec::trace::Shown::Good) | None => Credential::Good,
    }
}

/// The text with the credential of this command line: in the place of a hidden one, and in a `config` that shows none.
fn with_token(text: &str, token: Option<&str>) -> String {
    let Some(token) = token else { return text.to_owned() };
    let quoted = Value::from(token).to_string();
    if text.contains(HIDDEN) {
        return text.replace(HIDDEN, &quoted[1..quoted.len() - 1]);
    }
    let is_bare = match serde_json::from_str(text) {
        Ok(Value::Object(message)) => {
            message.get("type").is_some_and(|kind| kind == "config") && !message.contains_key("token")
        }
        _ => false,
    };
    match text.trim_end().strip_suffix('}').filter(|_| is_bare) {
        Some(open) => format!("{open},\"token\":{quoted}}}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credential_of_the_command_line_takes_the_place_of_a_hidden_one_and_is_added_to_a_bare_config() {
        assert_eq!(
            with_token(r#"{"type":"config","token":"[hidden]"}"#, Some("a\"b")),
            r#"{"type":"config","token":"a\"b"}"#
        );
        assert_eq!(with_token(r#"{"type":"config"}"#, Some("t")), r#"{"type":"config","token":"t"}"#);
        let wrong = r#"{"type":"config","token":"wrong"}"#;
        assert_eq!(with_token(wrong, Some("t")), wrong);
        assert_eq!(with_token("{broken", Some("t")), "{broken");
        assert_eq!(with_token(r#"{"type":"config"}"#, None), r#"{"type":"config"}"#);
    }

    #[test]
    fn answers_are_waited_for_and_results_are_not() {
        let flushed = awaited(r#"{"type":"flushed","id":"a","x_more":1}"#).expect("an answer");
        assert_eq!(Value::Object(flushed), serde_json::json!({"type": "flushed", "id": "a"}));
        assert!(awaited(r#"{"type":"partial","text":"a"}"#).is_none() && awaited("nonsense").is_none());
    }
}
