//! Owns what a case is: its name, the requirements it covers, what it needs, and its steps as data.
//! Knows nothing of sockets, verdicts or the judge; `run` carries the steps out.

mod catalogue;
mod step;

pub use catalogue::{CatalogueError, catalogue, parse};
pub(crate) use catalogue::{WrittenCase, parse_with, requirements_of, sources};
pub use step::{
    Amount, Audio, Await, Bytes, Close, Credential, Open, Pace, Padded, RawFrame, Repeat, Start, Step, Tick, Within,
};

use std::collections::BTreeSet;

use lastword_spec::registry::RequirementId;
use lastword_spec::trace::Side;

use crate::client::Script;

/// One case: a scripted client, and what a server's reaction to it decides.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, `server/end/second-sentinel`. The middle part is the area.
    pub id: String,
    /// What it looks for, in one line.
    pub title: String,
    /// The requirements it decides: each must have been exercised for a pass.
    pub covers: Vec<RequirementId>,
    /// What the subject or the command line must provide for the case to mean anything.
    pub needs: Vec<Need>,
    /// How often it may be run, with more audio each time, until its stimulus meets the state it is meant for.
    pub attempts: u32,
    /// What it means when a covered requirement was not exercised although nothing went wrong.
    pub unexercised: Unexercised,
    /// Whether it provokes: a case that is decided only between two control sessions that completed.
    pub negative: bool,
    /// Whether most of its time is spent waiting for one of the subject's timers.
    pub timer: Option<Within>,
    /// What the client does.
    pub steps: Vec<Step>,
    /// The same as they stand in the file, each as JSON; of a case about a client, its plays.
    pub steps_as_written: Vec<String>,
    /// What a client meets, where the case is about a client.
    pub script: Option<Script>,
}

impl Case {
    /// The area, the middle part of the name.
    #[must_use]
    pub fn area(&self) -> &str {
        self.id.split('/').nth(1).unwrap_or("")
    }

    /// Who is under test.
    #[must_use]
    pub fn subject(&self) -> Side {
        if self.script.is_some() { Side::Client } else { Side::Server }
    }

    /// How many milliseconds of audio the steps send, by the clips of `speech`, on the given attempt.
    #[must_use]
    pub fn audio_ms(&self, speech: &crate::speech::Speech, attempt: u32) -> u64 {
        step::audio_ms(&self.steps, speech, attempt)
    }

    /// The types of the messages that the steps send and wait for, where the case cannot do without them.
    #[must_use]
    pub fn messages(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        step::messages(&self.steps, &mut found);
        found.extend(self.script.iter().flat_map(|script| script.messages()));
        found
    }

    /// How many connections the steps open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let opens = |step: &Step| match step {
            Step::Open(_) | Step::Start(_) => 1,
            Step::SideBySide(sessions) => u64::from(*sessions),
            _ => 0,
        };
        self.steps.iter().map(opens).sum()
    }
}

/// What a case needs beyond a server that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// `--expect` was given, so it is known what the subject hears.
    Expect,
    /// `--token` was given, so the subject is said to demand credentials.
    Token,
    /// `ready.capabilities.update` is true.
    Update,
    /// `ready.capabilities.update` is absent or false.
    NoUpdate,
    /// `ready.capabilities.vad_events` is true.
    VadEvents,
    /// `ready.capabilities.words` is true.
    Words,
    /// The subject's wire has no `flush`.
    NoFlush,
    /// Several sessions may be open at once. Nothing else runs meanwhile.
    Sessions,
    /// Nothing else runs meanwhile: what the sessions of other cases leave behind would hide what is looked for.
    Alone,
    /// The command may be sent more than the usual amount of audio: `max_buffered_audio_ms` is not beyond a minute.
    SmallAudioBuffer,
}

/// What a case that ran to its end comes to when something it covers was not exercised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unexercised {
    /// The condition never arose: NOT_TESTED, which claims nothing and blames nobody.
    NotTested,
    /// It had to arise: INCONCLUSIVE, with this reason.
    Inconclusive(String),
}
