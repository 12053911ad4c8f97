//! The judge: a recorded Lastword session in, findings out. It owns the rules by which a trace is judged, the ledger of who
//! owes what to whom, and the decision when silence is a fault. It must not know a socket, a clock, a task, nor the session
//! machines: a judge that runs the defendant's state machine can only acquit it.
//!
//! What is legal in which state comes from the tables of `lastword-spec`; everything else is one module an area under
//! `rules`. The judge convicts only where no honest interleaving of the two directions explains the trace, and it blames one
//! breach on one requirement, the most specific one.
//!
//! ```
//! use lastword_judge::{Options, judge};
//! let text = concat!(
//!     r#"{"lastword_trace":1,"subject":"server"}"#, "\n",
//!     r#"{"t_us":0,"conn":0,"open":{"offered":["lastword.v1"],"selected":null}}"#, "\n",
//! );
//! let trace = lastword_spec::trace::read(text).expect("a well-formed trace");
//! let judgement = judge(&trace, &Options::default());
//! assert_eq!(judgement.findings[0].requirement.as_str(), "CON-1");
//! ```

mod bounds;
mod compare;
mod conn;
mod evidence;
mod ledger;
mod monitor;
mod oddity;
mod queue;
mod read;
mod report;
mod rules;
mod stall;
mod suspicion;
mod visited;

pub use bounds::Options;
pub use ledger::Obligation;
pub use monitor::Monitor;
pub use report::{Closed, Connection, FinalText, Finding, Judgement, render};
pub use rules::progress::Motion;
pub use suspicion::{Conclusion, Controls, Cpu, Node, Outcome, Ping, ProbeRow, Suspicion, Transport, WaitsFor};
pub use visited::Rows;

use lastword_spec::trace::Trace;

/// Judges a whole trace: [`Monitor`], fed with every event.
///
/// Never panics, whatever is in the trace, and takes time about proportional to its length. It does not say whether a case
/// passed: that needs the list of requirements that the case is about, each of which must be in
/// [`exercised`](Judgement::exercised).
#[must_use]
pub fn judge(trace: &Trace, options: &Options) -> Judgement {
    let mut monitor = Monitor::new(&trace.header, options);
    for event in &trace.events {
        monitor.observe(event);
    }
    monitor.finish()
}
