//! Owns the comparison of what came with what the machine allows: whether the outputs of a trace can be shared out among the
//! inputs, in order, each behind its input. Pure.

use super::machine::Transition;
use super::observe::{Seen, Sent};
use super::response::{Output, Response};

/// Which outputs can be explained by which inputs.
pub(super) struct Alignment {
    /// `reach[j][i]`: the first i outputs are just what the first j inputs may bring.
    reach: Vec<Vec<bool>>,
    /// `begun[j][i]`: as before, and the outputs after them begin what input j brings, and end in its midst.
    begun: bool,
    outputs: usize,
}

/// An input as far as the alignment goes.
pub(super) struct Due<'a> {
    pub(super) response: &'a Response,
    /// The event that sent it; nothing answers what was not sent.
    pub(super) event: Option<usize>,
}

impl<'a> From<&Sent<'a>> for Due<'a> {
    fn from(sent: &Sent<'a>) -> Self {
        let Transition { response, .. } = sent.transition;
        Self { response, event: sent.event }
    }
}

impl Alignment {
    pub(super) fn of(inputs: &[Due<'_>], seen: &[Seen]) -> Self {
        let mut reach = vec![vec![false; seen.len() + 1]; inputs.len() + 1];
        let mut begun = false;
        reach[0][0] = true;
        for (j, input) in inputs.iter().enumerate() {
            for i in 0..=seen.len() {
                if !reach[j][i] {
                    continue;
                }
                let Some(sent) = input.event else { continue };
                if input.response.accepts(&[]) {
                    reach[j + 1][i] = true;
                }
                let wanted = input.response.outputs();
                let rest = &seen[i..];
                let comes = |count: usize| {
                    let pairs = rest.iter().zip(wanted).take(count);
                    pairs.clone().count() == count && pairs.into_iter().all(|(seen, wanted)| fits(seen, wanted, sent))
                };
                if !wanted.is_empty() && comes(wanted.len()) {
                    reach[j + 1][i + wanted.len()] = true;
                }
                begun |= !rest.is_empty() && rest.len() < wanted.len() && comes(rest.len());
            }
        }
        Self { reach, begun, outputs: seen.len() }
    }

    /// The first so many inputs explain everything that came.
    pub(super) fn explains(&self, inputs: usize) -> bool {
        self.reach.get(inputs).is_some_and(|row| row[self.outputs])
    }

    /// Something came that no input explains, whatever else may come.
    pub(super) fn is_broken(&self) -> bool {
        !self.begun && !self.reach.iter().any(|row| row[self.outputs])
    }

    /// From which inputs on, counted from `from`, the session may have ended by itself with just the last outputs left.
    pub(super) fn stops_before(&self, from: usize, ending: usize) -> Option<usize> {
        let left = self.outputs.checked_sub(ending)?;
        (from..self.reach.len()).rev().find(|j| self.reach[*j][left])
    }

    /// How far it can be explained: so many outputs, and the fewest and the most inputs that do.
    pub(super) fn furthest(&self) -> (usize, usize, usize) {
        let explained = |i: &usize| self.reach.iter().any(|row| row[*i]);
        let outputs = (0..=self.outputs).rev().find(explained).unwrap_or(0);
        let by: Vec<usize> = (0..self.reach.len()).filter(|j| self.reach[*j][outputs]).collect();
        (outputs, by.first().copied().unwrap_or(0), by.last().copied().unwrap_or(0))
    }
}

fn fits(seen: &Seen, wanted: &Output, sent: usize) -> bool {
    seen.output == *wanted && seen.event > sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &'static str) -> Output {
        Output::Error(code.into())
    }

    fn seen(outputs: &[(usize, Output)]) -> Vec<Seen> {
        outputs.iter().map(|(event, output)| Seen { event: *event, output: output.clone() }).collect()
    }

    #[test]
    fn what_may_be_left_out_explains_an_answer_or_its_absence() {
        let (perhaps, due) = (Response::perhaps(error("a")), Response::exactly(vec![error("a")]));
        let inputs = [Due { response: &perhaps, event: Some(0) }, Due { response: &due, event: Some(1) }];
        for outputs in [vec![(2, error("a"))], vec![(2, error("a")), (3, error("a"))]] {
            assert!(Alignment::of(&inputs, &seen(&outputs)).explains(2), "{outputs:?}");
        }
        let three = seen(&[(2, error("a")), (3, error("a")), (4, error("a"))]);
        let alignment = Alignment::of(&inputs, &three);
        assert!(!alignment.explains(2) && alignment.is_broken());
        assert_eq!(alignment.furthest(), (2, 2, 2));
    }

    #[test]
    fn an_answer_before_its_question_is_none() {
        let due = Response::exactly(vec![Output::Ack]);
        let inputs = [Due { response: &due, event: Some(5) }];
        assert!(Alignment::of(&inputs, &seen(&[(3, Output::Ack)])).is_broken());
        assert!(Alignment::of(&inputs, &seen(&[(6, Output::Ack)])).explains(1));
        let unsent = [Due { response: &due, event: None }];
        assert!(Alignment::of(&unsent, &seen(&[(6, Output::Ack)])).is_broken());
    }

    #[test]
    fn the_beginning_of_an_answer_is_not_yet_wrong_but_a_wrong_one_is() {
        let both = Response::exactly(vec![Output::Fatal("x".into()), Output::Close(Some(4_400))]);
        let inputs = [Due { response: &both, event: Some(0) }];
        let first = Alignment::of(&inputs, &seen(&[(1, Output::Fatal("x".into()))]));
        assert!(!first.explains(1) && !first.is_broken());
        assert!(Alignment::of(&inputs, &seen(&[(1, Output::Close(Some(4_400)))])).is_broken());
    }

    #[test]
    fn an_ending_of_its_own_may_come_from_the_sentinel_on() {
        let (silence, due) = (Response::silence(), Response::exactly(vec![Output::Ack]));
        let inputs = [
            Due { response: &silence, event: Some(0) },
            Due { response: &due, event: Some(1) },
            Due { response: &due, event: Some(2) },
        ];
        let outputs =
            seen(&[(3, Output::Ack), (4, Output::Ended("completed".into())), (5, Output::Close(Some(1_000)))]);
        let alignment = Alignment::of(&inputs, &outputs);
        assert_eq!(alignment.stops_before(1, 2), Some(2));
        assert_eq!(alignment.stops_before(3, 2), None);
    }
}
