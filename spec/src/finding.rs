//! Owns the closed sets a judgement is made of: finding kinds, culprits, verdicts, and the one table that maps a kind to its verdict.
//! Knows nothing of how a finding is made.

use std::fmt;

/// What the run of a case, or of a whole subject, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Every covered requirement was exercised and kept.
    Pass,
    /// Only a SHOULD was broken.
    NonStrict,
    /// The subject does not offer what the case is about, and need not.
    NotApplicable,
    /// The case was not run, or its condition never arose.
    NotTested,
    /// A MUST was broken.
    Fail,
    /// Both sides wait for each other, and the proof names who owes.
    Deadlock,
    /// Messages flow, nothing moves.
    Livelock,
    /// The subject as a whole no longer answers.
    Hung,
    /// Nothing was decided; the reason stands beside it.
    Inconclusive,
    /// The harness itself was at fault.
    HarnessError,
}

impl Verdict {
    /// The word used in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::NonStrict => "NON_STRICT",
            Self::NotApplicable => "NOT_APPLICABLE",
            Self::NotTested => "NOT_TESTED",
            Self::Fail => "FAIL",
            Self::Deadlock => "DEADLOCK",
            Self::Livelock => "LIVELOCK",
            Self::Hung => "HUNG",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::HarnessError => "HARNESS_ERROR",
        }
    }

    /// Whether the subject broke a MUST.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::Deadlock | Self::Livelock | Self::Hung)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whose fault a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Culprit {
    /// The side with the audio.
    Client,
    /// The side that transcribes.
    Server,
    /// The path between them.
    Network,
    /// This project's harness.
    Harness,
}

impl Culprit {
    /// The word used in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Network => "network",
            Self::Harness => "harness",
        }
    }
}

macro_rules! finding_kinds {
    ($($variant:ident $name:literal $verdict:ident $doc:literal;)*) => {
        /// What kind of fault a finding reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingKind { $(#[doc = $doc] $variant,)* }

        impl FindingKind {
            /// Every kind, in the order of the table in the prose.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used in reports.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name,)* } }

            /// The verdict that this kind gives a MUST; a SHOULD gives NON_STRICT whatever the kind.
            pub const fn verdict(self) -> Verdict { match self { $(Self::$variant => Verdict::$verdict,)* } }

            /// What it means, one sentence.
            pub const fn meaning(self) -> &'static str { match self { $(Self::$variant => $doc,)* } }
        }
    };
}

finding_kinds! {
    IllegalMessage "ILLEGAL_MESSAGE" Fail "A message that the present state forbids.";
    MalformedMessage "MALFORMED_MESSAGE" Fail "A message that is not what its schema says.";
    WrongValue "WRONG_VALUE" Fail "A legal message whose content is not true or breaks a rule: a counter, a time, a text.";
    WrongAnswer "WRONG_ANSWER" Fail "An answer came, with another code, id or form than the rule asks for.";
    WronglyRefused "WRONGLY_REFUSED" Fail "Something that must be accepted was refused.";
    WronglyAccepted "WRONGLY_ACCEPTED" Fail "Something that must be refused was accepted.";
    DuplicateAnswer "DUPLICATE_ANSWER" Fail "An answer that is due once came twice.";
    Unanswered "UNANSWERED" Fail "An answer that was due never came, although the session went on past it.";
    Stalled "STALLED" Fail "A party that owes the next message went silent for longer than its clause allows; whether it waits for something was not shown.";
    Late "LATE" Fail "What was owed came after its bound.";
    ClosedWithoutEnd "CLOSED_WITHOUT_END" Fail "The connection ended although session_ended was owed.";
    WrongClose "WRONG_CLOSE" Fail "The connection was closed with the wrong code, or with none.";
    LostFinal "LOST_FINAL" Fail "Words that were heard did not arrive as a final.";
    SilentTruncation "SILENT_TRUNCATION" Fail "Audio was dropped and the session was called complete.";
    RestatedText "RESTATED_TEXT" Fail "A final repeated text of earlier finals.";
    LeakedSecret "LEAKED_SECRET" Fail "A credential, a stack trace or a path of the subject stood in a message.";
    MissingSentinel "MISSING_SENTINEL" Fail "The client's input ended and it sent no end_of_stream.";
    DuplicateSentinel "DUPLICATE_SENTINEL" Fail "The client sent a second end_of_stream.";
    AudioAfterEnd "AUDIO_AFTER_END" Fail "The client sent audio after end_of_stream.";
    KeepaliveAfterEnd "KEEPALIVE_AFTER_END" Fail "The client sent a keepalive after end_of_stream.";
    SwallowedError "SWALLOWED_ERROR" Fail "A fatal error did not reach the application.";
    ReconnectAfterEnd "RECONNECT_AFTER_END" Fail "The client dialled again after its sentinel or a cancel.";
    Crash "CRASH" Fail "The subject's process died.";
    MaskedByTimer "MASKED_BY_TIMER" Deadlock "A deadlock that a timer ends: the owed message follows the timer, not the work.";
    UnboundedWait "UNBOUNDED_WAIT" Deadlock "A party waits for something that nobody owes it.";
    Stuck "STUCK" Deadlock "A party owes the next message, serves others, and nothing that the other side may send brings it.";
    NoProgress "NO_PROGRESS" Livelock "Messages flow, and nothing that is owed moves: audio_processed_ms stands still beyond max_step_ms, or what comes is no work at all.";
    Unresponsive "UNRESPONSIVE" Hung "Neither the suspect nor a fresh control session gets an answer.";
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
