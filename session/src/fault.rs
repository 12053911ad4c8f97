//! Owns the three kinds of fault: the peer's, the caller's, the network's. Knows nothing of when each arises.

use std::fmt;

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements::*;
use lastword_spec::table::State;

/// What the peer did against the protocol, in which state this side met it, and by which requirement it was wrong.
///
/// For logs and reports. It is an output, never an error: the session has already given the answer that the protocol asks for,
/// and goes on where it can. It repeats no text of the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// What happened.
    pub fact: Fact,
    /// The state in which this side met it.
    pub state: State,
}

impl Violation {
    /// The requirement that the peer broke.
    #[must_use]
    pub fn requirement(&self) -> RequirementId {
        self.fact.requirement()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (in {}) [{}]", self.fact.as_str(), self.state.as_str(), self.requirement())
    }
}

macro_rules! facts {
    ($( $variant:ident $id:ident $text:literal; )+) => {
        /// The ways in which a peer can break the protocol that a session notices. Each names the fact in full and has one
        /// requirement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fact { $( #[doc = $text] $variant, )+ }

        impl Fact {
            /// Every fact.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The requirement that it breaks.
            #[must_use]
            pub const fn requirement(self) -> RequirementId { match self { $( Self::$variant => $id, )+ } }

            /// The fact as a sentence.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $( Self::$variant => $text, )+ } }
        }
    };
}

facts! {
    // The client's.
    ControlBeforeConfig CFG_C1 "the client sent a control message before `config`";
    AudioBeforeConfig CFG_C1 "the client sent audio before `config`";
    NoConfigInTime CFG_C1 "the client sent no `config` in time";
    SecondConfig CFG_C1 "the client sent a second `config`";
    MalformedConfig MSG_2 "the client sent a `config` with a wrong or impossible value";
    AudioBeforeReady CFG_C2 "the client sent audio before `ready`";
    ControlBeforeReady CFG_C2 "the client sent a control message before `ready`";
    BrokenAudioFrame AUD_1 "the client sent audio that is not whole sample groups";
    OversizeFrame LIM_C1 "the client sent a binary message longer than `max_frame_bytes`";
    OversizeText LIM_C1 "the client sent a text message longer than `max_text_bytes`";
    MalformedMessage MSG_2 "the client sent a text message that is no message";
    UpdateNotOffered UPD_C1 "the client sent an `update` to a server that does not offer it";
    ClientFellSilent KA_C1 "the client sent neither audio nor a keepalive nor the end for the whole idle timeout";
    AudioAfterSentinel END_C6 "the client sent audio after its `end_of_stream`";
    ControlAfterSentinel END_C6 "the client sent a control message after its `end_of_stream`";
    KeepaliveAfterSentinel KA_C3 "the client sent a keepalive after its `end_of_stream`";
    SecondSentinel END_C2 "the client sent a second `end_of_stream`";
    // The server's.
    MessageBeforeReady CFG_S2 "the server sent a message before `ready` that may only follow it";
    SecondReady CFG_S2 "the server sent a second `ready`, or one that no `config` asked for";
    ProgressWithoutDebt PRG_S1 "the server sent `progress` before it owed anything";
    OtherProtocol VER_1 "`ready.protocol` is not `lastword.v1`";
    ReadyConfigIncomplete CFG_S3 "`ready.config` lacks members";
    ReadyLimitsIncomplete LIM_S1 "`ready.limits` lacks members";
    AudioFormatReplaced CFG_S6 "`ready.config.audio` is not the format that was asked for";
    LimitBelowMinimum LIM_S1 "a limit in `ready.limits` is below its minimum";
    GarbageText MSG_2 "the server sent a text message that is no message";
    BinaryFromServer MSG_1 "the server sent a binary message";
    FinalRepeated FIN_S1 "the server sent a second final for a segment";
    PartialAfterFinal FIN_S1 "the server sent a partial after the final of its segment";
    EmptyPartial FIN_S5 "the server sent a partial without text";
    PartialUnasked FIN_S6 "the server sent a partial although `interim_results` is false";
    SpeechEventUnasked VAD_S2 "the server sent a speech event although `vad_events` is false";
    FlushedUnasked FLU_S5 "the server sent a `flushed` for an id that no open flush has";
    FlushedOutOfOrder FLU_S2 "the server answered a later flush before an earlier one";
    FlushedLate FLU_S2 "the server sent no `flushed` within `flush_ms`";
    UpdatedUnasked UPD_S1 "the server sent an `updated` although no update was sent";
    AckUnasked KA_S6 "the server sent a `keepalive_ack` for a `seq` that was not open";
    ProgressSeqWrong PRG_S2 "`progress.seq` did not rise by one";
    ProgressFell PRG_S3 "`progress.audio_processed_ms` fell";
    ReadyLate CFG_S1 "the server sent neither `ready` nor a fatal error in time";
    SessionEndedLate END_S2 "the server sent no `session_ended` within `drain_ms`";
    ServerFellSilent KA_S6 "the server did not answer a keepalive for the whole idle timeout";
    MessageAfterFatalError ERR_S3 "the server sent a message after its fatal error";
    MessageAfterSessionEnded END_S3 "the server sent a message after `session_ended`";
    CompletedBeforeSentinel END_S10 "the server sent `session_ended` with `complete` true or reason `completed` before the sentinel";
    CompleteWithoutCompletion END_S8 "`session_ended` says `complete` and gives another reason than `completed` or refused frames";
    CountersContradict END_S9 "the counters of `session_ended` contradict what this side sent and received";
    ClosedWithoutSessionEnded END_S11 "the server closed without `session_ended`";
    ClosedWithoutError ERR_S1 "the server closed before `ready` without a fatal error";
    ConnectionDropped CLO_S1 "the connection ended without a Close";
}

/// The caller broke this crate's contract. Never caused by what a peer sent. The call had no effect, and the session is usable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ApiMisuse {
    /// Outputs of the input before have not been taken.
    #[error("take all outputs with `poll_output` before the next input")]
    OutputPending,
    /// A message was handed in while `wants_read` is false.
    #[error("do not read while `wants_read` is false")]
    NotReading,
    /// The engine reported something it cannot have done yet.
    #[error("the engine reported `{what}` in state {}", .state.as_str())]
    EngineOutOfTurn {
        /// What was reported.
        what: &'static str,
        /// The state of the session.
        state: State,
    },
    /// The engine reported something about a segment that already has its final.
    #[error("segment {segment} of the engine already has its final")]
    SegmentIsFinal {
        /// The engine's number of the segment.
        segment: u64,
    },
    /// The engine opened more segments at once than can be held.
    #[error("the engine holds more than {limit} segments open; send finals before opening more")]
    TooManySegments {
        /// How many may be open.
        limit: usize,
    },
    /// The engine answered a flush that is not the oldest open one.
    #[error("flush token {token} is not that of the oldest open flush; answer flushes in order")]
    FlushOutOfOrder {
        /// The token reported.
        token: u64,
    },
    /// The engine changed the audio format of the session.
    #[error("the engine cannot change the audio format; refuse the configuration instead")]
    EngineChangedAudio,
    /// The policy or the options make no sense.
    #[error("`{name}` {why}")]
    BadOption {
        /// Which one.
        name: &'static str,
        /// What is wrong and what would be right.
        why: &'static str,
    },
    /// Audio or a flush after [`end`](crate::ClientSession::end).
    #[error("the input has ended: nothing can be sent after `end`")]
    AfterEnd,
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// Audio that is not whole sample groups.
    #[error("audio must be whole sample groups of {group_bytes} bytes, this is {length} bytes")]
    BrokenFrame {
        /// Bytes of one sample group.
        group_bytes: usize,
        /// What was pushed.
        length: usize,
    },
    /// The send buffer has no room; wait until [`can_push`](crate::ClientSession::can_push).
    #[error("the send buffer is full: wait until `can_push` says there is room, or push less at once")]
    BufferFull,
    /// Too many flushes wait for their answer.
    #[error("{limit} flushes already wait for their answer")]
    TooManyFlushes {
        /// How many may wait.
        limit: usize,
    },
    /// A flush id that is empty, too long, or that an open flush has.
    #[error("a flush id has 1 to 128 bytes and is not that of an open flush")]
    BadFlushId,
    /// `handle_transmitted` without a message at the transport.
    #[error("no message is at the transport")]
    NothingInFlight,
}

/// The network failed. Told to a session with `handle_loss`, and told to the application in the outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransportError {
    /// The connection ended without a Close.
    #[error("the connection ended without a Close")]
    Eof,
    /// Reading failed.
    #[error("reading from the connection failed: {0}")]
    Read(String),
    /// Writing failed.
    #[error("writing to the connection failed: {0}")]
    Write(String),
    /// Nothing came for twice the idle timeout, and a keepalive was not answered.
    #[error("the server fell silent and did not answer a keepalive")]
    Silence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_the_fact_the_state_and_the_requirement() {
        let violation = Violation { fact: Fact::SecondSentinel, state: State::Draining };
        let text = violation.to_string();
        assert_eq!(text, "the client sent a second `end_of_stream` (in Draining) [END-C2]");
    }
}
