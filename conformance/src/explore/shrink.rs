//! Owns the way from a sequence that fails to a small one that fails in the same way. It asks a question and never executes anything
//! itself, so that the asking may cost what it costs; how often it may ask is bounded.

use std::collections::HashSet;

use super::step::{Form, Sequence, Step};

/// A small sequence, and how many executions it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shrunk {
    pub(super) sequence: Sequence,
    pub(super) executions: usize,
}

/// Makes a failing sequence small: `executed` of its steps were carried out. `fails` says whether a smaller one still fails in the same
/// way; it is asked at most `budget` times, and never twice about the same. `None` from it ends the shrinking where it stands.
pub(super) async fn shrink(
    sequence: &Sequence,
    executed: usize,
    budget: usize,
    fails: impl AsyncFnMut(&Sequence) -> Option<bool>,
) -> Shrunk {
    let mut shrinker = Shrinker { best: sequence.clone(), asked: HashSet::new(), budget, executions: 0, fails };
    // What was never sent cannot matter; what follows the failure seldom does.
    let mut shorter = sequence.clone();
    shorter.steps.truncate(executed.max(1));
    shrinker.try_this(shorter).await;
    loop {
        let before = shrinker.best.clone();
        shrinker.delete().await;
        shrinker.simplify().await;
        if shrinker.best == before || shrinker.is_spent() {
            return Shrunk { sequence: shrinker.best, executions: shrinker.executions };
        }
    }
}

struct Shrinker<F> {
    best: Sequence,
    asked: HashSet<Sequence>,
    budget: usize,
    executions: usize,
    fails: F,
}

impl<F: AsyncFnMut(&Sequence) -> Option<bool>> Shrinker<F> {
    /// Takes a candidate that still fails for the best.
    async fn try_this(&mut self, candidate: Sequence) -> bool {
        if candidate == self.best || self.is_spent() || !self.asked.insert(candidate.clone()) {
            return false;
        }
        self.executions += 1;
        match (self.fails)(&candidate).await {
            Some(true) => {
                self.best = candidate;
                true
            }
            Some(false) => false,
            None => {
                self.budget = self.executions;
                false
            }
        }
    }

    fn is_spent(&self) -> bool {
        self.executions >= self.budget
    }

    /// Deletes ever smaller runs of steps, from the back.
    async fn delete(&mut self) {
        let mut size = self.best.steps.len();
        while size > 0 && !self.is_spent() {
            let mut end = self.best.steps.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                candidate.steps.drain(start..end);
                self.try_this(candidate).await;
                end = start;
            }
            size /= 2;
        }
    }

    /// Makes each step as plain, and its numbers as small, as the failure allows.
    async fn simplify(&mut self) {
        let together = Sequence { together: true, ..self.best.clone() };
        self.try_this(together).await;
        for index in 0..self.best.steps.len() {
            for plainer in plainer(&self.best.steps[index]) {
                let candidate = self.with(index, plainer);
                if self.try_this(candidate).await {
                    break;
                }
            }
            self.bisect(index).await;
        }
    }

    /// Finds the smallest number in a step with which the failure remains, if there is one bound only.
    async fn bisect(&mut self, index: usize) {
        let Some(mut fails) = number(&self.best.steps[index]) else { return };
        let mut holds = 0;
        if self.try_number(index, 1).await {
            return;
        }
        holds = holds.max(1);
        while fails > holds + 1 && !self.is_spent() {
            let middle = holds + (fails - holds) / 2;
            if self.try_number(index, middle).await {
                fails = middle;
            } else {
                holds = middle;
            }
        }
    }

    async fn try_number(&mut self, index: usize, number: u32) -> bool {
        let mut step = self.best.steps[index].clone();
        match &mut step {
            Step::Audio { samples, .. } | Step::Broken { samples } => *samples = number,
            Step::Pause { ms } => *ms = number,
            _ => return false,
        }
        let candidate = self.with(index, step);
        self.try_this(candidate).await
    }

    fn with(&self, index: usize, step: Step) -> Sequence {
        let mut candidate = self.best.clone();
        candidate.steps[index] = step;
        candidate
    }
}

fn number(step: &Step) -> Option<u32> {
    match step {
        Step::Audio { samples, .. } | Step::Broken { samples } => Some(*samples),
        Step::Pause { ms } => Some(*ms),
        _ => None,
    }
}

/// The same step with less in it.
fn plainer(step: &Step) -> Vec<Step> {
    match step {
        Step::Config(form) if *form != Form::Bare => vec![Step::Config(Form::Bare)],
        Step::Audio { samples, voiced: true } => vec![Step::Audio { samples: *samples, voiced: false }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model;
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(future)
    }

    /// A flush just before the end, with so much audio before it.
    fn hangs(sequence: &Sequence) -> bool {
        let flush_then_end = |at: usize| {
            matches!(sequence.steps.get(at..at + 2), Some([Step::Flush, Step::End]))
                && sequence.steps[..at].iter().filter_map(number_of_samples).sum::<u32>() > 1_500
        };
        let configured = matches!(sequence.steps.first(), Some(Step::Config(_)));
        configured && (0..sequence.steps.len()).any(flush_then_end)
    }

    fn number_of_samples(step: &Step) -> Option<u32> {
        match step {
            Step::Audio { samples, .. } => Some(*samples),
            _ => None,
        }
    }

    #[test]
    fn a_failure_shrinks_to_the_shortest_sequence_and_the_smallest_numbers_that_show_it() {
        let failing: Vec<Sequence> = (0..20_000).map(|seed| model::draw(seed, 30)).filter(hangs).take(20).collect();
        assert_eq!(failing.len(), 20);
        for sequence in failing {
            let shrunk = now(shrink(&sequence, sequence.steps.len(), 200, async |one| Some(hangs(one))));
            let silence = Step::Audio { samples: 1_501, voiced: false };
            let shortest = [Step::Config(Form::Bare), silence, Step::Flush, Step::End];
            assert!(shrunk.sequence.steps.len() <= shortest.len() + 2, "{shrunk:?} of {sequence:?}");
            assert!(shrunk.executions <= 200);
        }
    }

    #[test]
    fn nothing_is_asked_twice_nor_more_often_than_allowed_and_what_passes_is_never_the_result() {
        let sequence = (0..20_000).map(|seed| model::draw(seed, 30)).find(hangs).expect("one that fails");
        for budget in [0, 1, 7, 40] {
            let mut asked = Vec::new();
            let shrunk = now(shrink(&sequence, sequence.steps.len(), budget, async |one| {
                asked.push(one.clone());
                Some(hangs(one))
            }));
            let distinct: HashSet<&Sequence> = asked.iter().collect();
            assert!(asked.len() <= budget && distinct.len() == asked.len());
            assert!(hangs(&shrunk.sequence));
        }
    }

    #[test]
    fn a_question_without_an_answer_ends_the_shrinking() {
        let sequence = (0..20_000).map(|seed| model::draw(seed, 30)).find(hangs).expect("one that fails");
        let shrunk = now(shrink(&sequence, sequence.steps.len(), 100, async |_| None));
        assert_eq!((shrunk.executions, &shrunk.sequence), (1, &sequence));
    }
}
