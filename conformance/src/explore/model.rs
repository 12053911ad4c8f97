//! Owns which steps are likely where: a reference state and, for each, a proptest strategy. Knows nothing of what a subject should
//! answer; illegal steps are drawn on purpose, since a subject's worst half shows there.
//!
//! The strategies are proptest's; the driving is not. `proptest-state-machine` runs a test synchronously, shrinks by deleting one
//! step after the other and keeps its trees from crossing threads, while here every execution is a connection that may cost a
//! wait. So a sequence is drawn step by step with a seeded runner, and [`shrink`](super::shrink) makes it small.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::{BoxedStrategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::step::{Form, Garbage, Sequence, Step, Stranger};

/// Where a session stands, as far as the choice of the next step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No `config` yet.
    Before,
    /// Between `config` and the sentinel.
    Streaming,
    /// Behind the sentinel.
    Draining,
    /// The session ends.
    Over,
}

/// The phase, and how many bad messages went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) phase: Phase,
    bad: u32,
}

/// So many bad messages end a session.
const MOST_BAD: u32 = 10;
/// The longest frame: what every subject must take.
const MOST_SAMPLES: u32 = 16_000;
/// The longest pause. A session must not be idle.
const MOST_PAUSE_MS: u32 = 120;

impl Model {
    pub(super) const START: Self = Self { phase: Phase::Before, bad: 0 };

    /// Where these steps lead.
    pub(super) fn after<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        steps.into_iter().fold(Self::START, Self::next)
    }

    fn next(self, step: &Step) -> Self {
        let phase = match (self.phase, step) {
            (Phase::Over, _) | (_, Step::Close) => Phase::Over,
            (Phase::Before, Step::Config(Form::Refused)) => Phase::Over,
            (Phase::Before, Step::Config(_)) => Phase::Streaming,
            (Phase::Streaming, Step::End) => Phase::Draining,
            (phase, _) => phase,
        };
        let bad = self.bad + u32::from(matches!(step, Step::Garbage(_)));
        Self { phase: if bad >= MOST_BAD { Phase::Over } else { phase }, bad }
    }

    fn strategy(self) -> BoxedStrategy<Step> {
        match self.phase {
            Phase::Before => prop_oneof![
                12 => served().prop_map(Step::Config),
                1 => Just(Step::Config(Form::Refused)),
                4 => anything(),
                1 => waits(),
            ]
            .boxed(),
            Phase::Streaming => prop_oneof![
                8 => audio(),
                4 => Just(Step::Flush),
                2 => Just(Step::Acknowledge),
                2 => waits(),
                2 => Just(Step::End),
                4 => anything(),
            ]
            .boxed(),
            Phase::Draining | Phase::Over => prop_oneof![
                8 => anything(),
                1 => waits(),
            ]
            .boxed(),
        }
    }
}

/// The sequence of this seed: so many steps at most, fewer where the session ends before.
pub(super) fn draw(seed: u64, max_steps: usize) -> Sequence {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let length = one(&mut runner, &(1..=max_steps.max(1)).boxed());
    let together = one(&mut runner, &any::<bool>().boxed());
    let mut model = Model::START;
    let mut steps = Vec::new();
    while steps.len() < length && model.phase != Phase::Over {
        let step = one(&mut runner, &model.strategy());
        model = model.next(&step);
        steps.push(step);
    }
    Sequence { together, steps }
}

fn one<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &BoxedStrategy<T>) -> T {
    let tree = strategy.new_tree(runner).unwrap_or_else(|_| unreachable!("no strategy here refuses a value"));
    tree.current()
}

fn served() -> impl Strategy<Value = Form> {
    prop_oneof![
        6 => Just(Form::Bare),
        1 => Just(Form::NoPartials),
        1 => Just(Form::NoEndpointing),
        1 => Just(Form::UnknownOption),
    ]
}

/// Lengths of all sizes: single samples, the sizes that clients use, and whole seconds.
fn samples() -> impl Strategy<Value = u32> {
    prop_oneof![
        1 => 1..=16_u32,
        2 => 160..=1_700_u32,
        3 => prop_oneof![Just(320_u32), Just(512), Just(1_600), Just(4_096)],
        2 => 1..=MOST_SAMPLES,
    ]
}

fn audio() -> impl Strategy<Value = Step> {
    (samples(), prop_oneof![3 => Just(true), 1 => Just(false)])
        .prop_map(|(samples, voiced)| Step::Audio { samples, voiced })
}

fn waits() -> impl Strategy<Value = Step> {
    prop_oneof![2 => (1..=MOST_PAUSE_MS).prop_map(|ms| Step::Pause { ms }), 1 => Just(Step::Settle)]
}

/// Every step, legal here or not.
fn anything() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => audio(),
        2 => samples().prop_map(|samples| Step::Broken { samples: samples.min(MOST_SAMPLES - 1) }),
        1 => Just(Step::Empty),
        2 => Just(Step::Flush),
        1 => Just(Step::Keepalive),
        2 => Just(Step::Acknowledge),
        2 => Just(Step::Update),
        2 => Just(Step::End),
        1 => served().prop_map(Step::Config),
        1 => Just(Step::Config(Form::Refused)),
        1 => prop_oneof![Just(Stranger::Undefined), Just(Stranger::OfServers)].prop_map(Step::Unknown),
        2 => prop_oneof![
            Just(Garbage::NoJson),
            Just(Garbage::Array),
            Just(Garbage::FlushWithoutId),
            Just(Garbage::SeqAsText)
        ].prop_map(Step::Garbage),
        1 => Just(Step::Close),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_sequence_and_another_seed_another() {
        assert_eq!(draw(7, 30), draw(7, 30));
        let all: BTreeSet<String> = (0..50).map(|seed| format!("{:?}", draw(seed, 30))).collect();
        assert!(all.len() > 45);
    }

    #[test]
    fn no_sequence_is_longer_than_asked_for_and_none_goes_on_behind_its_end() {
        for seed in 0..300 {
            let sequence = draw(seed, 12);
            assert!((1..=12).contains(&sequence.steps.len()));
            let before_last = &sequence.steps[..sequence.steps.len() - 1];
            assert_ne!(Model::after(before_last).phase, Phase::Over, "{sequence:?}");
        }
    }

    #[test]
    fn every_kind_of_step_is_drawn_in_every_phase_that_can_be_left_by_it() {
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        for seed in 0..3_000 {
            let steps = draw(seed, 30).steps;
            for (index, step) in steps.iter().enumerate() {
                let phase = Model::after(&steps[..index]).phase;
                let kind = format!("{step:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
                seen.insert((format!("{phase:?}"), kind));
            }
        }
        // 14 kinds in each of three phases.
        assert_eq!(seen.len(), 42, "{seen:?}");
    }
}
