//! Owns the "who owes what" table: in each state, what each side owes the other, and by when.
//! Knows nothing of how a debt is watched: the judge's ledger and the sessions' timers do that.

use super::{Side, State};
use crate::registry::RequirementId;
use crate::requirements::*;

/// How long a debtor has. Members of `ready.limits` stand for the announced value, or for the default before `ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// A member of `ready.limits`.
    Limit(&'static str),
    /// A member of `ready.limits`; each progress that advances restarts it.
    Extensible(&'static str),
    /// A fixed time.
    Fixed(u64),
}

/// A standing duty of one side in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// While the session is in this state
    pub state: State,
    /// this side
    pub debtor: Side,
    /// owes this
    pub what: &'static str,
    /// from this moment on
    pub since: &'static str,
    /// within this bound
    pub within: Bound,
    /// because these requirements say so.
    pub ids: &'static [RequirementId],
}

/// Every standing duty of version 1.
#[rustfmt::skip]
pub static DEBTS: &[Debt] = &[
    Debt { state: State::AwaitConfig, debtor: Side::Client, what: "config", since: "the upgrade", within: Bound::Fixed(10_000), ids: &[CFG_C1, CON_S3] },
    Debt { state: State::Configuring, debtor: Side::Server, what: "ready or a fatal error", since: "config", within: Bound::Extensible("ready_ms"), ids: &[CFG_S1] },
    Debt { state: State::Configuring, debtor: Side::Server, what: "progress", since: "config", within: Bound::Fixed(2_000), ids: &[PRG_S1] },
    Debt { state: State::Streaming, debtor: Side::Client, what: "audio, keepalive or end_of_stream", since: "ready, the last audio or keepalive", within: Bound::Limit("keepalive_interval_ms"), ids: &[KA_C1, KA_S2] },
    Debt { state: State::Streaming, debtor: Side::Server, what: "flushed, for each flush", since: "the flush", within: Bound::Extensible("flush_ms"), ids: &[FLU_S2] },
    Debt { state: State::Streaming, debtor: Side::Server, what: "keepalive_ack, for each seq", since: "the keepalive", within: Bound::Limit("keepalive_interval_ms"), ids: &[KA_S6] },
    Debt { state: State::Streaming, debtor: Side::Server, what: "progress, while a flush is open or its buffer is full", since: "the last message", within: Bound::Limit("progress_interval_ms"), ids: &[PRG_S1] },
    Debt { state: State::Draining, debtor: Side::Server, what: "the finals and flushed still due, then session_ended", since: "the sentinel", within: Bound::Extensible("drain_ms"), ids: &[END_S2, FLU_S4] },
    Debt { state: State::Draining, debtor: Side::Server, what: "progress", since: "the last message", within: Bound::Limit("progress_interval_ms"), ids: &[PRG_S1] },
    Debt { state: State::Failing, debtor: Side::Server, what: "the finals, the fatal error, session_ended", since: "the fatal condition", within: Bound::Extensible("drain_ms"), ids: &[END_S11, ERR_S3] },
    Debt { state: State::Ended, debtor: Side::Server, what: "Close", since: "its last message", within: Bound::Limit("close_ms"), ids: &[CLO_S2] },
    Debt { state: State::Ended, debtor: Side::Client, what: "Close, and the end of its iterator", since: "session_ended", within: Bound::Fixed(1_000), ids: &[END_C3, CLO_C4] },
];
