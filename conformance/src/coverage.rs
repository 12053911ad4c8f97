//! Owns the share of the server's state table that a run went through: which of its transitions the subject was seen to meet.
//! Computed from traces alone. It says nothing of how the subject answered: that is the judge's.

use lastword_judge::Rows;
use lastword_spec::table::{Answer, Row, SERVER_ROWS, ServerInput, State};
use serde::{Deserialize, Serialize};

/// How much of the state table a run went through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How many transitions a run can be seen to go through.
    pub transitions: usize,
    /// How many of them this one went through.
    pub visited: usize,
    /// The others, in the order of the table.
    pub unvisited: Vec<Transition>,
}

/// A transition of the server's state table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The state of the server.
    pub state: String,
    /// What it meets there.
    pub input: String,
    /// The state it is in then.
    pub next: String,
    /// The requirements that say so.
    pub requirements: Vec<String>,
}

/// What the traces of a run went through.
#[must_use]
pub fn coverage<'a>(traces: impl IntoIterator<Item = &'a Rows>) -> Coverage {
    let visited: Rows = traces.into_iter().flatten().copied().collect();
    let (seen, unseen): (Vec<_>, Vec<_>) =
        SERVER_ROWS.iter().filter(|row| is_visible(row)).partition(|row| visited.contains(&(row.state, row.input)));
    Coverage {
        transitions: seen.len() + unseen.len(),
        visited: seen.len(),
        unvisited: unseen.into_iter().map(transition).collect(),
    }
}

/// Whether a client can see a server go through this row. After the end of the connection nothing can be seen; that a timer
/// does not fire, or that nothing is drained, is no event; and that the recogniser fails is not for a client to bring about.
fn is_visible(row: &Row<ServerInput>) -> bool {
    use ServerInput::{ConfigTimeout, Drained, EngineFailed, EngineReady, IdleTimeout};
    let inner = matches!(row.input, ConfigTimeout | EngineReady | IdleTimeout | Drained);
    row.state != State::Closed && row.input != EngineFailed && !(inner && row.answer == Answer::Nothing)
}

fn transition(row: &Row<ServerInput>) -> Transition {
    Transition {
        state: row.state.as_str().to_owned(),
        input: row.input.as_str().to_owned(),
        next: row.next.as_str().to_owned(),
        requirements: row.ids.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_covers_nothing_and_every_visible_row_once_covers_all() {
        let nothing = coverage([]);
        assert_eq!((nothing.visited, nothing.unvisited.len()), (0, nothing.transitions));
        let all: Rows = SERVER_ROWS.iter().map(|row| (row.state, row.input)).collect();
        let full = coverage([&all, &all]);
        assert_eq!((full.visited, full.unvisited.len()), (nothing.transitions, 0));
        let timers = nothing.unvisited.iter().filter(|row| row.input == "idle timer").count();
        assert_eq!(timers, 1, "an idle timer that does not fire is not seen");
    }
}
