//! The traces cut short: what has not been seen to happen is held against nobody.

use lastword_judge::judge;
use lastword_spec::trace::Trace;

use super::super::traces::{findings, options, traces};

/// Traces that show another breach until what explains it has come.
const UNTIL_MORE_COMES: &[(&str, &str)] = &[
    // The segment is open at the end, until its final comes too late.
    ("END-S3--final-after-end", "FIN-S2"),
    // A silence that is too long is that and no more, until the probes show what it was.
    ("END-S7--follows-the-idle-timeout", "PRG-S1"),
    // A flush is refused, until it turns out that the server takes the stream for ended.
    ("END-S10--after-a-pause", "FLU-S2"),
    ("FLU-1--later-flush-refused", "FLU-S2"),
];

#[test]
fn a_trace_that_stops_anywhere_convicts_nobody_of_anything_else() {
    let mut wrong = String::new();
    for (folder, broken) in [("traces", true), ("traces/good", false)] {
        for (name, trace) in traces(folder) {
            let allowed = name.split("--").next().filter(|_| broken);
            let until_then = UNTIL_MORE_COMES.iter().find(|(of, _)| *of == name).map(|(_, id)| *id);
            // A long trace is cut at every so many events only.
            for length in (0..trace.events.len()).step_by(1 + trace.events.len() / 50) {
                let events = trace.events[..length].to_vec();
                let judgement = judge(&Trace { header: trace.header.clone(), events }, &options());
                let meant = |id: &str| Some(id) == allowed || Some(id) == until_then;
                if judgement.findings.iter().any(|finding| !meant(finding.requirement.as_str())) {
                    wrong.push_str(&format!("\n  {name} after {length} events:{}", findings(&judgement)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
