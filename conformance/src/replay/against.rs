//! Owns the confirmation of a trace against a live server: it is played so many times, each new trace is judged, and what was
//! found in the old one is looked for in the new ones.

use std::collections::BTreeSet;
use std::time::Duration;

use lastword_spec::trace::Trace;
use serde::{Deserialize, Serialize};

use super::judged::{Replayed, replay};
use super::play;
use crate::exit;
use crate::run::{self, Plan};

/// What a trace came to when it was played to a live server.
#[derive(Clone, Debug)]
pub struct Played {
    /// What was found in the old trace, `KIND [ID]`.
    pub recorded: Vec<String>,
    /// The new traces, and what they came to.
    pub rounds: Vec<(Trace, Replayed)>,
    /// What was found in every round, in some, and in none of what the old trace shows.
    pub repeats: Repeats,
}

/// What was found again, by requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Broken in the old trace and in every round.
    pub always: Vec<String>,
    /// Broken in the old trace and in some rounds.
    pub sometimes: Vec<String>,
    /// Broken in the old trace and in no round.
    pub never: Vec<String>,
    /// Broken in some round and not in the old trace.
    pub new: Vec<String>,
}

/// Plays a trace `times` times with nothing else running. The plan says whom to and with which speech; its cases are not run.
pub async fn against(name: &str, trace: &Trace, plan: &Plan, times: usize, max_gap: Duration) -> Played {
    let secrets: Vec<String> = plan.dialler.target().token.iter().cloned().collect();
    let old = replay(name, trace, &secrets);
    let (env, _) = run::environment(plan);
    let mut rounds = Vec::new();
    for round in 1..=times {
        let played = play::play(&env, trace, max_gap).await;
        let judged = replay(&format!("{name}, round {round} of {times}"), &played, &secrets);
        rounds.push((played, judged));
    }
    let repeats = repeats(&old, &rounds.iter().map(|(_, judged)| judged).collect::<Vec<_>>());
    let recorded = old.findings.iter().map(|found| format!("{} [{}]", found.kind, found.requirement)).collect();
    Played { recorded, rounds, repeats }
}

fn repeats(old: &Replayed, rounds: &[&Replayed]) -> Repeats {
    // How a stall is called depends on how much was tried to release it; what is owed does not.
    let broken =
        |one: &Replayed| -> BTreeSet<String> { one.findings.iter().map(|found| found.requirement.clone()).collect() };
    let (old, rounds): (_, Vec<_>) = (broken(old), rounds.iter().map(|round| broken(round)).collect());
    let mut repeats = Repeats::default();
    for id in &old {
        let count = rounds.iter().filter(|round| round.contains(id)).count();
        let list = match count {
            0 => &mut repeats.never,
            count if count == rounds.len() => &mut repeats.always,
            _ => &mut repeats.sometimes,
        };
        list.push(id.clone());
    }
    let all: BTreeSet<&String> = rounds.iter().flatten().collect();
    repeats.new = all.into_iter().filter(|id| !old.contains(*id)).cloned().collect();
    repeats
}

impl Played {
    /// 1 where every round breaks a MUST, 0 where every round keeps all it exercises, 3 where they differ or decide nothing.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let codes: BTreeSet<u8> = self.rounds.iter().map(|(_, judged)| judged.exit_code).collect();
        match codes.iter().copied().collect::<Vec<_>>()[..] {
            [code] => code,
            _ if codes.contains(&exit::INTERNAL) => exit::INTERNAL,
            _ => exit::UNDECIDED,
        }
    }

    /// The round that shows most: the first in which something was found, else the last.
    #[must_use]
    pub fn telling(&self) -> Option<&(Trace, Replayed)> {
        self.rounds.iter().find(|(_, judged)| !judged.findings.is_empty()).or(self.rounds.last())
    }

    /// Whether what the old trace shows was found again, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let times = self.rounds.len();
        let mut lines = String::new();
        let mut say = |ids: &[String], what: &str| {
            if !ids.is_empty() {
                lines.push_str(&format!("  {}: {what}\n", ids.join(", ")));
            }
        };
        say(&self.repeats.always, &format!("found again in {times} of {times} rounds"));
        let some = |id: &String| {
            let again =
                self.rounds.iter().filter(|(_, judged)| judged.findings.iter().any(|one| one.requirement == *id));
            again.count()
        };
        for id in &self.repeats.sometimes {
            say(std::slice::from_ref(id), &format!("found again in {} of {times} rounds", some(id)));
        }
        say(&self.repeats.never, &format!("not found again in {times} rounds"));
        say(&self.repeats.new, "not in the trace that was played, and found now");
        if lines.is_empty() {
            lines = format!("  nothing was found, neither in the trace that was played nor in {times} rounds\n");
        }
        lines
    }
}
