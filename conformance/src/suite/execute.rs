//! Owns the carrying out of one sequence on a connection of its own: an input whose answer is due is waited for, one that brings
//! silence is followed by the next at once, whose answer shows what came before it. Decides nothing.
//!
//! From the sentinel on everything goes out in one write behind speech, so that a subject reads it while it drains. All of it goes out
//! in one write where the line is so slow that waiting in between would take longer than the subject's timers allow.

use std::sync::{Arc, Mutex, PoisonError};

use lastword_spec::table::{ServerInput, State};
use lastword_spec::trace::Trace;

use super::align::{Alignment, Due};
use super::machine::{Completion, Machine};
use super::observe::{Reader, Seen};
use super::{observe, wording};
use crate::run::env::Env;
use crate::talk::{Said, Talk};
use crate::wire::Outgoing;

/// How a sequence is carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Counts from 1; a later one holds the subject in its drain for longer.
    pub(super) attempt: u32,
    /// Nothing is waited for before the last input.
    pub(super) at_once: bool,
}

/// Carries out a sequence.
pub(super) async fn play(
    env: &Arc<Env>,
    machine: &Machine,
    sequence: &[ServerInput],
    name: &str,
    manner: Manner,
) -> Said {
    let mut talk = Talk::open(env, name).await;
    let steps = machine.walk(sequence);
    let mut unsent: Vec<Outgoing> = Vec::new();
    let mut held = false;
    for (number, (input, transition)) in sequence.iter().zip(&steps).enumerate() {
        let is_last = number + 1 == steps.len();
        if *input == ServerInput::EndOfStream && transition.row.state == State::Streaming {
            held = true;
            if !is_last {
                unsent.extend(wording::holding_speech(&env.speech, manner.attempt));
            }
        }
        unsent.push(wording::message(*input, number, env.dialler.target().token.as_deref()));
        if transition.next.is_none() {
            talk.send(std::mem::take(&mut unsent)).await;
            talk.end().await;
        } else if is_last || (transition.response.is_due() && !held && !manner.at_once) {
            talk.send(std::mem::take(&mut unsent)).await;
            if !settled(&mut talk, machine, sequence, number + 1).await {
                return leave(talk).await;
            }
        }
    }
    if let Some(state) = steps.last().map_or(Some(0), |last| last.next) {
        if machine.completion(state).0 == Completion::Close {
            talk.send(vec![wording::message(ServerInput::Close, steps.len(), None)]).await;
        }
        talk.end().await;
    }
    talk.leave().await
}

/// Waits until so many inputs are answered, and says whether they are; `false` as soon as it is clear that they will not be as
/// they should.
async fn settled(talk: &mut Talk, machine: &Machine, sequence: &[ServerInput], inputs: usize) -> bool {
    let sequence = &sequence[..inputs];
    let reader = Mutex::new(Reader::default());
    let look = |trace: &Trace| {
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read(trace);
        is_answered(machine, sequence, trace, &reader.seen)
    };
    talk.until(|recorder| recorder.read(|trace| look(trace).is_some())).await;
    talk.record().read(look).unwrap_or(false)
}

/// Whether these inputs are answered; `None` as long as that is open.
fn is_answered(machine: &Machine, sequence: &[ServerInput], trace: &Trace, seen: &[Seen]) -> Option<bool> {
    let (sent, _) = observe::inputs(machine, sequence, trace);
    let dues: Vec<Due<'_>> = sent.iter().map(Due::from).collect();
    let alignment = Alignment::of(&dues, seen);
    if alignment.explains(dues.len()) { Some(true) } else { alignment.is_broken().then_some(false) }
}

/// Goes no further; a session that is ending is seen to its end.
async fn leave(mut talk: Talk) -> Said {
    let ends = |trace: &Trace| {
        let seen = observe::outputs(trace);
        seen.iter().any(|seen| seen.output.ends_the_session())
    };
    if talk.record().read(ends) {
        talk.end().await;
    }
    talk.leave().await
}
