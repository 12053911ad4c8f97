//! What a service may lack, and which requirements of v1 are NOT_APPLICABLE then. Owns that table, in one place; it knows no dialect.

use std::collections::BTreeSet;

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use serde::{Deserialize, Serialize};

macro_rules! capabilities {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kind:ident, [$($id:ident)*]; )+) => {
        /// Something that protocol v1 has and a service may lack.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(inline))]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Capability {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl Capability {
            /// Every capability, in the order of the table.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),+];

            /// Its name in a dialect file and in a report.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $( Self::$variant => concat!($($doc),+), )+ }.trim()
            }

            /// Who says that it is lacking.
            #[must_use]
            pub const fn told(self) -> Told {
                match self { $( Self::$variant => Told::$kind, )+ }
            }

            /// The requirements that are NOT_APPLICABLE under a dialect without it.
            #[must_use]
            pub const fn requirements(self) -> &'static [RequirementId] {
                match self { $( Self::$variant => &[$( req::$id ),*], )+ }
            }
        }
    };
}

/// Who says that a capability is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// The dialect file, in `unsupported`.
    Declared,
    /// The rest of the dialect file, by what it says.
    Derived,
    /// Every dialect but the identity: the wire of v1 alone has it.
    Native,
}

capabilities! {
    /// A message that says: the session may start.
    Ready = "ready", Declared, [CON_C2 CON_C3 CFG_C2 CFG_S1 CFG_S2 STA_C1 STA_S3];
    /// A message by which a client without audio shows that it lives.
    Keepalive = "keepalive", Declared, [KA_S3 KA_S5 KA_S6 KA_S7 KA_C1 KA_C2 KA_C3 KA_C4 KA_C5];
    /// An answer to a keepalive.
    KeepaliveAck = "keepalive_ack", Declared, [KA_S6 KA_C4];
    /// Ending a session whose client is silent, aloud.
    IdleTimeout = "idle_timeout", Declared, [KA_S2 KA_S4 KA_S7];
    /// Signs of work while something is owed.
    Progress = "progress", Declared, [PRG_S1 PRG_S2 PRG_S3 PRG_S4 PRG_S5 PRG_C1];
    /// A message that asks for the finals so far and does not end the session.
    Flush = "flush", Declared, [FLU_1 FLU_S1 FLU_S2 FLU_S3 FLU_S4 FLU_S5 FLU_C1 FLU_C2 FLU_C3];
    /// An answer to each flush that can be relied on.
    Flushed = "flushed", Declared, [FLU_S1 FLU_S2 FLU_S4 FLU_S5 FLU_C3];
    /// Changing options while the stream runs.
    Update = "update", Declared, [UPD_S1 UPD_C1];
    /// An answer to each update that can be relied on.
    Updated = "updated", Declared, [UPD_S1];
    /// A message that says: no more audio will come.
    EndOfStream = "end_of_stream", Declared, [
        END_C1 END_C2 END_C3 END_C4 END_C5 END_C6 END_C7 END_C8 END_S1 END_S2 END_S4 END_S5 END_S6 END_S7 END_S10 FLU_C2 STA_C1 CLO_C1 REC_C3
        KA_C3 KA_S5
    ];
    /// A message that says: this was all.
    SessionEnded = "session_ended", Declared, [
        END_S3 END_S8 END_S9 END_S11 END_C8 CLO_1 CLO_S2 CLO_S5 CLO_C2
    ];
    /// The server's Close after the end.
    ServerClose = "server_close", Declared, [CLO_1 CLO_S1 CLO_S2 CLO_S5];
    /// Results that may change.
    Partials = "partials", Declared, [FIN_S2 FIN_S6 FIN_C2];
    /// Where in the audio a result lies.
    Timestamps = "timestamps", Declared, [TIM_1 TIM_S1 TIM_S2 TIM_C1];
    /// The words of a result with their times.
    Words = "words", Declared, [TIM_S3];
    /// How sure the recognizer is.
    Confidence = "confidence", Declared, [FIN_S8];
    /// Where speech starts and ends.
    SpeechEvents = "speech_events", Declared, [VAD_S1 VAD_S2];
    /// Warnings in band.
    Warnings = "warnings", Declared, [AUD_S6 BP_S2];
    /// Errors in band.
    Errors = "errors", Declared, [
        ERR_1 ERR_S1 ERR_S2 ERR_S3 ERR_S4 ERR_S5 ERR_C1 ERR_C2 SEC_S4 CON_S3 REC_C2 MSG_S4 MSG_S5 MSG_S6 MSG_S7 STA_S1 STA_S2
        AUD_S2 END_S4 END_S5 LIM_S2 LIM_S3
    ];
    /// Errors that tell a program what went wrong, whether the session goes on, and whether trying again may help.
    ErrorCodes = "error_codes", Declared, [ERR_1 ERR_S1 ERR_S2 ERR_S5 REC_C2 MSG_S6 MSG_S7];
    /// Credentials.
    Auth = "auth", Declared, [SEC_S1 SEC_S2];
    /// A message that configures the session.
    Config = "config", Derived, [CFG_C1 STA_S2];
    /// An end that is announced, be it by a message or by the server's Close.
    AnnouncedEnd = "announced_end", Derived, [END_S2 END_S6 END_S10 END_C3 END_C5 END_C7 CLO_C1];
    /// Finals that each bring a new piece of the transcript.
    IncrementalFinals = "incremental_finals", Derived, [FIN_S3];
    /// Audio in binary messages.
    BinaryAudio = "binary_audio", Derived, [AUD_1];
    /// Binary messages that mean nothing but audio.
    OpaqueAudio = "opaque_audio", Derived, [AUD_S3 AUD_S5];
    /// Credentials that travel outside of the URL.
    PrivateCredentials = "private_credentials", Derived, [SEC_C1];
    /// A bound for the end of a session that a client knows: `drain_ms` in `[limits]`.
    DrainBound = "drain_bound", Derived, [END_C4];
    /// The subprotocol `lastword.v1`.
    Subprotocol = "subprotocol", Native, [CON_1 CON_S1 CON_S2 VER_1];
    /// Messages in the form of v1, known by their parsed value.
    MessageForm = "message_form", Native, [MSG_1 MSG_2 MSG_3 VER_3];
    /// A configuration that is told back, complete, and refused where it is impossible.
    Negotiation = "negotiation", Native, [
        FIN_S6 VAD_S2 CFG_S3 CFG_S4 CFG_S5 CFG_S6 CFG_S7 CFG_S8 CFG_S9 CFG_S10 CFG_S11 CFG_S12 CON_S3
    ];
    /// Bounds that are advertised and kept.
    Limits = "limits", Native, [LIM_S1 LIM_S2 LIM_S3 LIM_S4 LIM_C1 KA_S1 KA_S3 KA_C1 KA_C2 KA_C4 CNF_S2];
    /// Numbers of segments and revisions.
    Segments = "segments", Native, [FIN_S1 FIN_S4];
    /// Counters of what was received, worked off and refused.
    Counters = "counters", Native, [END_S8 END_S9];
    /// Refusing each wrong message, and audio after the end, with one error of its own.
    Rejections = "rejections", Declared, [AUD_S2 STA_S1 STA_S2 MSG_S4 MSG_S5 MSG_S6 MSG_S7 END_S4 END_S5 KA_S5];
    /// One close code for each reason.
    CloseCodes = "close_codes", Native, [CLO_1 CLO_S5 ERR_S2 ERR_S3];
    /// A last message also where the server ends the session by itself.
    AnnouncedEndings = "announced_endings", Native, [END_S11 KA_S2 REC_S1];
}

impl Capability {
    /// The capability of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }
}

/// The requirements that need at least one of these capabilities.
#[must_use]
pub fn requirements_of(lacking: &BTreeSet<Capability>) -> BTreeSet<RequirementId> {
    lacking.iter().flat_map(|one| one.requirements().iter().copied()).collect()
}

/// The requirements that bind under every dialect: they ask for nothing that a service may lack.
pub const ALWAYS: &[RequirementId] = &[
    req::CON_S4,
    req::CON_S5,
    req::CON_C1,
    req::VER_2,
    req::AUD_S1,
    req::AUD_S4,
    req::AUD_C1,
    req::AUD_C2,
    req::AUD_C3,
    req::FIN_S5,
    req::FIN_S7,
    req::FIN_C1,
    req::MSG_C1,
    req::ERR_C3,
    req::END_C9,
    req::CLO_S3,
    req::CLO_S4,
    req::CLO_C3,
    req::CLO_C4,
    req::CLO_C5,
    req::BP_S1,
    req::BP_S3,
    req::BP_S4,
    req::BP_C1,
    req::BP_C2,
    req::REC_C1,
    req::REC_C4,
    req::REC_C5,
    req::REC_S2,
    req::SEC_S3,
    req::SEC_C2,
    req::CNF_S1,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_needs_a_capability_or_binds_always() {
        for requirement in req::ALL {
            let needed = Capability::ALL.iter().any(|one| one.requirements().contains(&requirement.id));
            let always = ALWAYS.contains(&requirement.id);
            assert!(needed != always, "{}: in the table {needed}, always {always}", requirement.id);
        }
    }

    #[test]
    fn names_are_found() {
        for one in Capability::ALL {
            assert_eq!(Capability::find(one.as_str()), Some(*one));
            assert_eq!(serde_json::to_value(one).unwrap(), one.as_str(), "the two lists of names agree");
            assert!(one.doc().ends_with('.'));
        }
        assert_eq!(Capability::find("wings"), None);
    }
}
