//! Owns the question whether a case means anything for this subject and this command line. Pure.

use lastword_spec::finding::Verdict;

use super::knowledge::Knowledge;
use crate::case::{Case, Need, Within};

const CONFIG_TIMEOUT_MS: u64 = 10_000;
const MAX_BUFFER_MS: u64 = 60_000;

/// Why the case is not run, if it is not.
pub(crate) fn skip(knowledge: &Knowledge, case: &Case) -> Option<(Verdict, String)> {
    let ready = knowledge.ready.as_ref();
    if let Some(found) = case.needs.iter().find_map(|need| missing(knowledge, *need)) {
        return Some(found);
    }
    let timer_ms = match case.timer? {
        Within::Idle => ready.map_or(0, |ready| ready.limits.idle_timeout_ms),
        Within::Config => CONFIG_TIMEOUT_MS,
    };
    (timer_ms > knowledge.max_wait_ms).then(|| {
        let why = format!(
            "the subject's timer of {timer_ms} ms is longer than --max-wait {} s; let it announce less for certification",
            knowledge.max_wait_ms / 1_000
        );
        (Verdict::NotTested, why)
    })
}

fn missing(knowledge: &Knowledge, need: Need) -> Option<(Verdict, String)> {
    let ready = knowledge.ready.as_ref();
    let capability = |offered: Option<bool>, name: &str| {
        let why = format!("the subject does not offer `{name}`");
        (offered != Some(true)).then_some((Verdict::NotApplicable, why))
    };
    let capabilities = ready.map(|ready| &ready.capabilities);
    match need {
        Need::Expect => knowledge.expected.is_empty().then(|| {
            (Verdict::NotApplicable, "no --expect was given, so it is not known what the subject hears".into())
        }),
        Need::Token => knowledge.secrets.is_empty().then(|| {
            (Verdict::NotApplicable, "no --token was given, so the subject need not demand credentials".into())
        }),
        Need::Update => capability(capabilities.and_then(|all| all.update), "update"),
        Need::NoUpdate => capabilities
            .and_then(|all| all.update)
            .filter(|offered| *offered)
            .map(|_| (Verdict::NotApplicable, "the subject offers `update`".into())),
        Need::VadEvents => capability(capabilities.and_then(|all| all.vad_events), "vad_events"),
        Need::Words => capability(capabilities.and_then(|all| all.words), "words"),
        Need::SmallAudioBuffer => {
            ready.filter(|ready| ready.limits.max_buffered_audio_ms > MAX_BUFFER_MS).map(|ready| {
                let held = ready.limits.max_buffered_audio_ms;
                (Verdict::NotTested, format!("max_buffered_audio_ms is {held}: to fill that would take too much audio"))
            })
        }
    }
}
