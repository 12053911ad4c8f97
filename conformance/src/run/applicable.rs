//! Owns the question whether a case means anything for this subject and this command line. Pure.

use lastword_spec::finding::Verdict;

use super::knowledge::Knowledge;
use crate::case::{Case, Need, Within};
use crate::dialect;

const CONFIG_TIMEOUT_MS: u64 = 10_000;
const MAX_BUFFER_MS: u64 = 60_000;

/// Why a case is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It is not known what the subject hears.
    NoExpect,
    /// There is no credential that the subject might demand.
    NoToken,
    /// The subject does not offer this capability, and need not.
    NotOffered(&'static str),
    /// The subject offers this capability, and the case is about those who do not.
    Offered(&'static str),
    /// The subject's audio buffer is so large.
    BufferTooLarge(u64),
    /// The case has so many sessions at once, a control session beside its own; and so many are allowed.
    TooFewSessions { needed: usize, allowed: usize },
    /// A timer of the subject is longer than the longest wait.
    TimerTooLong(u64),
    /// The dialect of the subject has nothing of what the case is about.
    Dialect,
    /// The case cannot do without this message, and the dialect of the subject has none such.
    NoMessage(&'static str),
}

/// Why the case is not run, if it is not: the verdict and the reason in words.
pub(crate) fn skip(knowledge: &Knowledge, case: &Case) -> Option<(Verdict, String)> {
    obstacle(knowledge, case).map(|obstacle| (obstacle.verdict(), obstacle.text(knowledge)))
}

/// What stands between the case and this subject, if anything does.
pub(crate) fn obstacle(knowledge: &Knowledge, case: &Case) -> Option<Obstacle> {
    if knowledge.dialect.is_some() {
        if !case.covers.is_empty() && !case.covers.iter().any(|id| knowledge.binds(*id)) {
            return Some(Obstacle::Dialect);
        }
        let used = case.messages();
        let lacking = dialect::message_types().find(|kind| used.contains(kind) && !knowledge.has_message(kind));
        if let Some(kind) = lacking {
            return Some(Obstacle::NoMessage(kind));
        }
    }
    let ready = knowledge.ready.as_ref();
    if let Some(found) = case.needs.iter().find_map(|need| missing(knowledge, case, *need)) {
        return Some(found);
    }
    let timer_ms = match case.timer? {
        Within::Idle => ready.map_or(0, |ready| ready.limits.idle_timeout_ms),
        Within::Config => CONFIG_TIMEOUT_MS,
    };
    (timer_ms > knowledge.max_wait_ms).then_some(Obstacle::TimerTooLong(timer_ms))
}

fn missing(knowledge: &Knowledge, case: &Case, need: Need) -> Option<Obstacle> {
    let ready = knowledge.ready.as_ref();
    let capabilities = ready.map(|ready| &ready.capabilities);
    // Another wire has it or has it not, and announces nothing.
    let updates = match knowledge.dialect {
        Some(_) => Some(knowledge.has_message("update")),
        None => capabilities.and_then(|all| all.update),
    };
    let unoffered = |offered: Option<bool>, name| (offered != Some(true)).then_some(Obstacle::NotOffered(name));
    match need {
        Need::Expect => knowledge.expected.is_empty().then_some(Obstacle::NoExpect),
        Need::Token => knowledge.secrets.is_empty().then_some(Obstacle::NoToken),
        Need::Update => unoffered(updates, "update"),
        Need::NoUpdate => updates.filter(|offered| *offered).map(|_| Obstacle::Offered("update")),
        Need::VadEvents => unoffered(capabilities.and_then(|all| all.vad_events), "vad_events"),
        Need::Words => unoffered(capabilities.and_then(|all| all.words), "words"),
        Need::NoFlush => knowledge.has_message("flush").then_some(Obstacle::Offered("flush")),
        Need::Alone => None,
        Need::Sessions => {
            let needed = usize::try_from(case.connections()).unwrap_or(usize::MAX).saturating_add(1);
            let allowed = knowledge.max_sessions.filter(|allowed| *allowed < needed)?;
            Some(Obstacle::TooFewSessions { needed, allowed })
        }
        Need::SmallAudioBuffer => {
            let held_ms = ready.map(|ready| ready.limits.max_buffered_audio_ms);
            held_ms.filter(|held_ms| *held_ms > MAX_BUFFER_MS).map(Obstacle::BufferTooLarge)
        }
    }
}

impl Obstacle {
    fn verdict(self) -> Verdict {
        match self {
            Self::NoExpect
            | Self::NoToken
            | Self::NotOffered(_)
            | Self::Offered(_)
            | Self::Dialect
            | Self::NoMessage(_) => Verdict::NotApplicable,
            Self::BufferTooLarge(_) | Self::TooFewSessions { .. } | Self::TimerTooLong(_) => Verdict::NotTested,
        }
    }

    /// In words.
    pub(crate) fn text(self, knowledge: &Knowledge) -> String {
        match self {
            Self::NoExpect => "no --expect was given, so it is not known what the subject hears".to_owned(),
            Self::NoToken => "no --token was given, so the subject need not demand credentials".to_owned(),
            Self::NotOffered(name) => format!("the subject does not offer `{name}`"),
            Self::Offered(name) => format!("the subject offers `{name}`"),
            Self::Dialect => format!("the dialect {} has nothing of it", name_of(knowledge)),
            Self::NoMessage(kind) => {
                format!("its cases need `{kind}`, which the dialect {} has not", name_of(knowledge))
            }
            Self::BufferTooLarge(held_ms) => {
                format!("max_buffered_audio_ms is {held_ms}: to fill that would take too much audio")
            }
            Self::TooFewSessions { needed, allowed } => {
                format!("it takes {needed} sessions at once, and --max-sessions allows {allowed}")
            }
            Self::TimerTooLong(timer_ms) => format!(
                "the subject's timer of {timer_ms} ms is longer than --max-wait {} s; let it announce less for certification",
                knowledge.max_wait_ms / 1_000
            ),
        }
    }

    /// What to do so that the case is run; `None` where nothing need be done, because the subject is not bound by what the
    /// case is about. A subject that served sessions without any credential demands none.
    pub(crate) fn remedy(self, knowledge: &Knowledge) -> Option<String> {
        match self {
            Self::NotOffered(_) | Self::Offered(_) | Self::Dialect | Self::NoMessage(_) => None,
            Self::NoToken if !knowledge.has_credential => None,
            Self::NoToken => Some("give the credential with --token, not only with --header".to_owned()),
            Self::NoExpect => Some("say with --expect FILE what the subject hears".to_owned()),
            Self::BufferTooLarge(_) => {
                Some(format!("let the subject announce a max_buffered_audio_ms of at most {MAX_BUFFER_MS}"))
            }
            Self::TooFewSessions { needed, .. } => Some(format!("give --max-sessions {needed} or more")),
            Self::TimerTooLong(timer_ms) => Some(format!("give --max-wait {}", timer_ms.div_ceil(1_000))),
        }
    }
}

fn name_of(knowledge: &Knowledge) -> &str {
    knowledge.dialect.as_ref().map_or("of the subject", |dialect| &dialect.name)
}
