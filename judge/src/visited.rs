//! Which rows of the server's state table a connection shows the server to have gone through. It judges nothing: a row is
//! visited whatever the server made of it. A row counts where the server met the input, as far as the client can tell: what is
//! sent between `config` and `ready` waits in Configuring and is met once more after `ready`.

use std::collections::BTreeSet;

use lastword_spec::codec::{Decoded, decode_client};
use lastword_spec::message::ClientMessage;
use lastword_spec::table::{ServerInput, Side, State};
use lastword_spec::trace::EventKind;

use crate::conn::Conn;
use crate::rules::aud;

/// Rows of the server's table.
pub type Rows = BTreeSet<(State, ServerInput)>;

/// The memory of a connection.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    rows: Rows,
    /// Met after `ready`, if that comes.
    waiting: Rows,
    bad_messages: u32,
    was_ready: bool,
    was_fatal: bool,
    was_ended: bool,
}

impl Visited {
    pub(crate) fn take(&mut self) -> Rows {
        std::mem::take(&mut self.rows)
    }
}

/// Before an event is taken: what the client sends now.
pub(crate) fn before(conn: &mut Conn, kind: &EventKind) {
    if kind.from() != Some(Side::Client) || conn.opened.is_none() {
        return;
    }
    let Some(state) = server_state(conn) else { return };
    let phase = conn.phase();
    let input = match kind {
        EventKind::Text { text, .. } => text_input(conn, text),
        EventKind::Audio { bytes, .. } => aud::classify(conn, phase, *bytes),
        // A second Close, and the end of the transport behind a Close, tell the server nothing.
        EventKind::Close { .. } if conn.client_close.is_none() => ServerInput::Close,
        EventKind::Eof { .. } if conn.client_close.is_none() => ServerInput::Loss,
        _ => return,
    };
    if matches!(input, ServerInput::BadMessage | ServerInput::TenthBadMessage) {
        conn.visited.bad_messages += 1;
    }
    match (state, input) {
        // Whether it is served or refused shows when the answer comes.
        (State::AwaitConfig, ServerInput::Config | ServerInput::RefusedConfig) => {}
        _ => {
            conn.visited.rows.insert((state, input));
        }
    }
    if state == State::Configuring && !matches!(input, ServerInput::Close | ServerInput::Loss) {
        conn.visited.waiting.insert((phase, input));
    }
}

/// After an event was taken: what the server has shown by it. `before` is where the session stood.
pub(crate) fn after(conn: &mut Conn, before: State) {
    let mut shown = Vec::new();
    if conn.ready.is_some() && !conn.visited.was_ready {
        conn.visited.was_ready = true;
        shown.extend([(State::AwaitConfig, ServerInput::Config), (State::Configuring, ServerInput::EngineReady)]);
        shown.extend(std::mem::take(&mut conn.visited.waiting));
    }
    if let Some((_, error)) = conn.answers.fatal.as_ref().filter(|_| !conn.visited.was_fatal) {
        conn.visited.was_fatal = true;
        match (error.code.as_str(), before) {
            ("config_timeout", _) => shown.push((State::AwaitConfig, ServerInput::ConfigTimeout)),
            ("idle_timeout", _) => shown.push((State::Streaming, ServerInput::IdleTimeout)),
            ("internal", before) => shown.push((before, ServerInput::EngineFailed)),
            ("overloaded" | "rate_limited" | "quota_exceeded" | "message_too_large", _) => {}
            (_, State::Configuring) => shown.push((State::AwaitConfig, ServerInput::RefusedConfig)),
            _ => {}
        }
    }
    if conn.session_ended.is_some() && !conn.visited.was_ended {
        conn.visited.was_ended = true;
        if matches!(before, State::Draining | State::Failing) {
            shown.push((before, ServerInput::Drained));
        }
    }
    conn.visited.rows.extend(shown);
}

/// Where the server stands for what the client sends now; `None` where it is gone.
fn server_state(conn: &Conn) -> Option<State> {
    match conn.state {
        // It has sent its Close and reads on until the client's.
        _ if is_awaiting_close(conn) => Some(State::Ended),
        _ if conn.server_close.is_some() || conn.refused.is_some() || conn.abandoned => None,
        State::Closed => None,
        State::Failing | State::Ended => Some(conn.state),
        _ if conn.answers.fatal_due.is_some() => Some(if conn.ready.is_some() { State::Failing } else { State::Ended }),
        _ if conn.is_early() => Some(State::Configuring),
        _ => Some(conn.phase()),
    }
}

fn is_awaiting_close(conn: &Conn) -> bool {
    let said_all = conn.session_ended.is_some() || conn.answers.fatal.is_some();
    said_all && conn.server_close.is_some_and(|closing| closing.frame) && conn.client_close.is_none()
}

fn text_input(conn: &Conn, text: &str) -> ServerInput {
    if text.len() as u64 > conn.limits.max_text_bytes {
        return ServerInput::OversizeText;
    }
    match decode_client(text, u64::MAX) {
        Ok(Decoded::Message(message)) => match message {
            ClientMessage::Config(_) => ServerInput::Config,
            ClientMessage::Keepalive(keepalive) if keepalive.seq.is_some() => ServerInput::KeepaliveSeq,
            ClientMessage::Keepalive(_) => ServerInput::Keepalive,
            ClientMessage::Flush(_) => ServerInput::Flush,
            ClientMessage::Update(_) => ServerInput::Update,
            ClientMessage::EndOfStream => ServerInput::EndOfStream,
        },
        Ok(Decoded::Unknown { .. }) => ServerInput::UnknownType,
        Err(fault) if fault.message_type.as_deref() == Some("config") => ServerInput::RefusedConfig,
        Err(_) if conn.visited.bad_messages == 9 => ServerInput::TenthBadMessage,
        Err(_) => ServerInput::BadMessage,
    }
}
