//! Owns what a run knows besides what happened on its connections, as far as a verdict depends on it: what the command line
//! gave and what the subject announced. With it and the traces every verdict can be computed again.

use std::collections::BTreeMap;

use lastword_judge::Options;
use lastword_spec::message::Ready;
use lastword_spec::registry::RequirementId;
use lastword_spec::trace::Spoken;

use crate::speech::Speech;

/// What verdicts depend on besides the traces.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The credentials that no message may repeat, and that tell a right one from a wrong one.
    pub secrets: Vec<String>,
    /// Whether the upgrades showed a credential, be it the token or a header of the command line.
    pub has_credential: bool,
    /// What the subject is said to hear of a clip, by the name that cases use; empty where that was not said.
    pub expected: BTreeMap<String, Expected>,
    /// The longest wait, in milliseconds.
    pub max_wait_ms: u64,
    /// How many sessions may be open at once, where that is bounded.
    pub max_sessions: Option<usize>,
    /// The first `ready` that the subject sent; `None` where none came.
    pub ready: Option<Ready>,
    /// The dialect that the subject speaks, where it is not version 1 itself.
    pub dialect: Option<Spoken>,
}

/// What a subject is said to hear.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The name of the recording.
    pub recording: String,
    /// The words.
    pub text: String,
}

/// The names by which cases call clips.
const CLIPS: [&str; 4] = ["word", "sentence", "pause", "long"];

impl Knowledge {
    /// What the judge is told beside a trace.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { time_scale_percent: 100, secrets: self.secrets.clone() }
    }

    /// Whether the dialect of the subject leaves the requirement to be kept and seen.
    #[must_use]
    pub fn binds(&self, id: RequirementId) -> bool {
        self.dialect.as_ref().is_none_or(|dialect| !dialect.not_binding.iter().any(|one| one == id.as_str()))
    }

    /// Whether the dialect of the subject has a message of this type.
    #[must_use]
    pub fn has_message(&self, kind: &str) -> bool {
        self.dialect.as_ref().is_none_or(|dialect| !dialect.lacks.iter().any(|one| one == kind))
    }

    /// Which of the texts belong to clips.
    pub(super) fn expected(expect: &[(String, String)], speech: &Speech) -> BTreeMap<String, Expected> {
        let of_clip = |name: &&str| {
            let recording = speech.clip(name).name.clone();
            let (_, text) = expect.iter().find(|(of, _)| *of == recording)?;
            Some(((*name).to_owned(), Expected { recording, text: text.clone() }))
        };
        CLIPS.iter().filter_map(of_clip).collect()
    }
}
