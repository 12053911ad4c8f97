//! Owns the carrying out of a random sequence on a connection of its own, to the end of the session. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::model::{Model, Phase};
use super::step::{Sequence, Step};
use crate::run::env::Env;
use crate::talk::{CONN, Said, Talk};
use crate::wire::Outgoing;

/// The name of such a session in its trace.
pub(super) const NAME: &str = "server/explore";

/// What is left of a sequence.
pub(super) struct Played {
    pub(super) said: Said,
    /// How many of its steps were carried out before the session was over.
    pub(super) executed: usize,
}

/// Whether a stall is looked into with release probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    Yes,
    No,
}

/// Carries out a sequence. Where it leaves the session open, the session is brought to its end as a client would.
pub(super) async fn play(env: &Arc<Env>, sequence: &Sequence, probing: Probing) -> Played {
    let talk = Talk::open(env, NAME).await;
    let mut talk = if probing == Probing::Yes { talk.probing() } else { talk };
    let mut unsent: Vec<Outgoing> = Vec::new();
    let (mut offset, mut executed) = (0, 0);
    let token = env.dialler.target().token.clone();
    for (number, step) in sequence.steps.iter().enumerate() {
        if !talk.goes_on() {
            break;
        }
        executed = number + 1;
        unsent.extend(step.message(number, &mut offset, &env.speech, token.as_deref()));
        match step {
            Step::Pause { ms } => {
                talk.send(std::mem::take(&mut unsent)).await;
                sleep(Duration::from_millis(u64::from(*ms))).await;
            }
            Step::Settle => {
                talk.send(std::mem::take(&mut unsent)).await;
                settle(&mut talk).await;
            }
            _ if !sequence.together => talk.send(std::mem::take(&mut unsent)).await,
            _ => {}
        }
    }
    talk.send(unsent).await;
    match Model::after(&sequence.steps).phase {
        Phase::Before => {
            settle(&mut talk).await;
            talk.send(Step::Close.message(0, &mut offset, &env.speech, None).into_iter().collect()).await;
        }
        Phase::Streaming => {
            talk.send(Step::End.message(0, &mut offset, &env.speech, None).into_iter().collect()).await;
        }
        Phase::Draining | Phase::Over => {}
    }
    talk.end().await;
    Played { said: talk.leave().await, executed }
}

async fn settle(talk: &mut Talk) {
    talk.until(|recorder| recorder.owed_by_server(CONN).is_empty()).await;
}
