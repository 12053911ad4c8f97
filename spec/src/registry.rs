//! Owns the nouns of the requirement registry: id, role, level, and one requirement with its clause.
//! Knows nothing of files: the registry itself is generated from the prose into `requirements.rs`.

use std::fmt;

/// The identifier of a normative sentence, such as `END-S4`. Only the generated constants exist, so a wrong identifier does not compile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequirementId(&'static str);

impl RequirementId {
    /// Made by the generated registry only; everybody else uses its constants or [`crate::requirements::find`].
    pub(crate) const fn new(id: &'static str) -> Self {
        Self(id)
    }

    /// The identifier as it stands in the prose, `END-S4`.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Who is bound by a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The side that transcribes.
    Server,
    /// The side that has the audio.
    Client,
    /// Both sides.
    Both,
}

impl Role {
    /// The word used in the prose and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        }
    }
}

/// How strongly a requirement binds (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Absolute duty.
    Must,
    /// Absolute prohibition.
    MustNot,
    /// Duty with room for a stated reason.
    Should,
    /// Prohibition with room for a stated reason.
    ShouldNot,
    /// Permission.
    May,
}

impl Level {
    /// The words used in the prose.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
        }
    }

    /// Whether a breach fails a subject (MUST and MUST NOT).
    pub const fn is_absolute(self) -> bool {
        matches!(self, Self::Must | Self::MustNot)
    }
}

/// One normative sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its identifier.
    pub id: RequirementId,
    /// Who is bound.
    pub role: Role,
    /// How strongly.
    pub level: Level,
    /// The sentence, in Markdown.
    pub text: &'static str,
    /// File and heading it stands under, `08-end-of-stream.md: 8.1 The server`.
    pub section: &'static str,
    /// Why no peer can observe a breach, if none can.
    pub untestable: Option<&'static str>,
}

impl Requirement {
    /// Whether a server must keep this and a harness can see whether it does: the set that needs a case and a breaking trace.
    pub fn is_testable_server_must(&self) -> bool {
        self.level.is_absolute() && self.untestable.is_none() && self.role != Role::Client
    }
}
