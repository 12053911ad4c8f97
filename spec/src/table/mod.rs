//! Owns the normative state machine as data: states, inputs, rows and who owes what. Tables and diagrams in the prose, the judge's
//! monitor and the direction marks of the schemas come from here; `session/` is written by hand and compared with it by a test.
//! Knows nothing of bytes, clocks or how a machine keeps its state.

mod client;
mod debts;
mod server;

pub use client::{CLIENT_ROWS, CLIENT_SENDS};
pub use debts::{Bound, DEBTS, Debt};
pub use server::SERVER_ROWS;

use crate::registry::RequirementId;

/// Where a session stands. Both sides have the same states, each as it sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Connected; `config` has not come yet.
    AwaitConfig,
    /// `config` has come; `ready` has not.
    Configuring,
    /// Between `ready` and the sentinel.
    Streaming,
    /// Between the sentinel and `session_ended`.
    Draining,
    /// A fatal condition arose after `ready`; the server still sends finals, the error and `session_ended`.
    Failing,
    /// The last message has been sent (or received); only the Close is still due.
    Ended,
    /// The connection is over.
    Closed,
}

impl State {
    /// Every state, in the order of a session.
    pub const ALL: &'static [Self] = &[
        Self::AwaitConfig,
        Self::Configuring,
        Self::Streaming,
        Self::Draining,
        Self::Failing,
        Self::Ended,
        Self::Closed,
    ];

    /// The name used in prose and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitConfig => "AwaitConfig",
            Self::Configuring => "Configuring",
            Self::Streaming => "Streaming",
            Self::Draining => "Draining",
            Self::Failing => "Failing",
            Self::Ended => "Ended",
            Self::Closed => "Closed",
        }
    }
}

/// One of the two parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The side with the audio.
    Client,
    /// The side that transcribes.
    Server,
}

impl Side {
    /// The word used in prose, traces and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The other party.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

macro_rules! inputs {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $label:literal $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $(#[doc = $text] $variant,)* }

        impl $name {
            /// Every input, in the order of the tables.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The label used in prose and reports.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $label,)* } }
            /// What it is, one sentence.
            pub const fn meaning(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
    };
}

inputs! {
    /// What a server meets: everything a client can send, the ends of the connection, and the conditions that arise at the server itself.
    ServerInput {
        Config "config" "A `config` that the server serves.";
        RefusedConfig "config (refused)" "A `config` with a wrong, impossible or unserved option, or without a needed credential.";
        Audio "audio" "A binary message of whole sample groups.";
        EmptyAudio "audio (empty)" "A binary message of no bytes.";
        BrokenAudio "audio (broken)" "A binary message that is not whole sample groups.";
        OversizeAudio "audio (oversize)" "A binary message longer than `max_frame_bytes`.";
        Keepalive "keepalive" "A `keepalive` without `seq`.";
        KeepaliveSeq "keepalive{seq}" "A `keepalive` with `seq`.";
        Flush "flush" "A `flush`.";
        Update "update" "An `update`.";
        EndOfStream "end_of_stream" "The sentinel.";
        UnknownType "unknown type" "A well-formed object with a `type` that version 1 does not define.";
        BadMessage "bad message" "A text message that is no well-formed message, up to the ninth of the session.";
        TenthBadMessage "bad message (10th)" "The tenth bad message of the session.";
        OversizeText "text (oversize)" "A text message longer than `max_text_bytes`.";
        Close "Close" "The client's Close.";
        Loss "loss" "The connection ends without a Close.";
        ConfigTimeout "config timer" "No `config` came in time.";
        EngineReady "engine ready" "The recogniser accepted the configuration.";
        IdleTimeout "idle timer" "Nothing that counts as activity came for `idle_timeout_ms`.";
        EngineFailed "engine failed" "The recogniser cannot go on.";
        Drained "drained" "All accepted audio is final, every open `flushed` has been sent.";
    }
}

inputs! {
    /// What a client meets: everything a server can send, and the ends of the connection.
    ClientInput {
        Ready "ready" "A `ready`.";
        Partial "partial" "A `partial`.";
        Final "final" "A `final`.";
        SpeechStarted "speech_started" "A `speech_started`.";
        SpeechEnded "speech_ended" "A `speech_ended`.";
        Flushed "flushed" "A `flushed`.";
        Updated "updated" "An `updated`.";
        KeepaliveAck "keepalive_ack" "A `keepalive_ack`.";
        Progress "progress" "A `progress`.";
        Warning "warning" "A `warning`.";
        Error "error (non-fatal)" "An `error` with `fatal` false.";
        FatalError "error (fatal)" "An `error` with `fatal` true.";
        SessionEnded "session_ended" "A `session_ended`.";
        UnknownType "unknown type" "A well-formed object with a `type` that version 1 does not define.";
        Garbage "garbage" "A binary message, or a text message that is no well-formed message.";
        Close "Close" "The server's Close.";
        Loss "loss" "The connection ends without a Close.";
    }
}

/// What a side does with an input, as far as its peer can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing is sent and nothing is owed for it.
    Nothing,
    /// Counted, buffered and transcribed.
    Accept,
    /// Counted in `rejected_frames`; may be answered with this non-fatal error.
    CountMayReject(&'static str),
    /// Counted in `rejected_frames`; the first one of the session is answered with this non-fatal error.
    RejectOnce(&'static str),
    /// Answered with exactly one non-fatal error of this code.
    Reject(&'static str),
    /// Kept, in order, until `ready` has been sent.
    Wait,
    /// The server now owes `ready` or a fatal error.
    OweReady,
    /// `ready` is sent, then what waited is handled.
    SendReady,
    /// The server now owes `flushed`.
    OweFlushed,
    /// Answered with `updated`, or with a non-fatal error that repeats the id.
    UpdatedOrError,
    /// The server now owes `keepalive_ack`.
    OweKeepaliveAck,
    /// The server now owes the remaining finals and `session_ended`.
    OweSessionEnded,
    /// A fatal error of this code is due: at once before `ready`, after the finals of the accepted audio later.
    Fatal(&'static str),
    /// A fatal error is due whose code says what was refused.
    FatalByCause,
    /// `session_ended` is sent, then Close.
    SendSessionEnded,
    /// A Close that repeats the peer's code.
    EchoClose,
    /// Read and thrown away, not counted.
    Discard,
    /// Handed to the application.
    Deliver,
    /// Bookkeeping only: it settles a debt or proves life.
    Note,
    /// The peer broke the protocol here: reported to the application; the session goes on as far as it can.
    Violation,
}

/// One row of a state table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<I: 'static> {
    /// The state the side is in.
    pub state: State,
    /// What it meets.
    pub input: I,
    /// What it does.
    pub answer: Answer,
    /// The state it is in then.
    pub next: State,
    /// The requirements that say so.
    pub ids: &'static [RequirementId],
}

/// The server's row for this pair. Every pair has exactly one: a test holds that.
pub fn server_row(state: State, input: ServerInput) -> &'static Row<ServerInput> {
    row(SERVER_ROWS, state, input)
}

/// The client's row for this pair. Every pair has exactly one: a test holds that.
pub fn client_row(state: State, input: ClientInput) -> &'static Row<ClientInput> {
    row(CLIENT_ROWS, state, input)
}

fn row<I: Copy + PartialEq>(rows: &'static [Row<I>], state: State, input: I) -> &'static Row<I> {
    let fits = |row: &&Row<I>| row.state == state && row.input == input;
    rows.iter().find(fits).unwrap_or_else(|| unreachable!("the tables are complete, a test walks them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_state_and_input_has_exactly_one_row() {
        for &state in State::ALL {
            for &input in ServerInput::ALL {
                let n = SERVER_ROWS.iter().filter(|row| row.state == state && row.input == input).count();
                assert_eq!(n, 1, "server {state:?} {input:?}");
            }
            for &input in ClientInput::ALL {
                let n = CLIENT_ROWS.iter().filter(|row| row.state == state && row.input == input).count();
                assert_eq!(n, 1, "client {state:?} {input:?}");
            }
        }
    }

    #[test]
    fn nothing_leads_back_and_closed_is_final() {
        for row in SERVER_ROWS {
            assert!(row.next >= row.state, "{row:?}");
        }
        for row in CLIENT_ROWS {
            assert!(row.next >= row.state, "{row:?}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_moves_no_client() {
        for row in CLIENT_ROWS.iter().filter(|row| row.answer == Answer::Violation) {
            assert_eq!(row.next, row.state, "{row:?}");
        }
    }

    #[test]
    fn every_row_that_sends_or_refuses_cites_its_requirement() {
        for row in SERVER_ROWS {
            let silent = matches!(row.answer, Answer::Nothing | Answer::Discard);
            assert!(silent || !row.ids.is_empty(), "{row:?}");
        }
        for row in CLIENT_ROWS.iter().filter(|row| row.answer == Answer::Violation) {
            assert!(!row.ids.is_empty(), "{row:?}");
        }
    }
}
