//! Section 5: keepalive and the idle timer.

use super::{Mutant, mutant};
use crate::fault::Fault;
use crate::options::Engine;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        Fault::KeepaliveIntervalLong,
        "keepalive-interval-long",
        "KA-S1",
        "server/config/defaults",
        "announces half its idle timeout as keepalive interval",
    ),
    mutant(
        Fault::IdleTimeoutNever,
        "idle-timeout-never",
        "KA-S2",
        "server/keepalive/idle-timeout",
        "never ends an idle session",
    ),
    mutant(
        Fault::IdleTimeoutLate,
        "idle-timeout-late",
        "KA-S2",
        "server/keepalive/idle-timeout",
        "ends an idle session after three times as long",
    ),
    mutant(
        Fault::IdleCloses,
        "idle-closes",
        "KA-S2",
        "server/keepalive/idle-timeout",
        "closes an idle session without a word",
    )
    // A bare Close lacks the error and session_ended as well.
    .also(&["END-S11", "ERR-S1"]),
    mutant(
        Fault::IdleDrops,
        "idle-drops",
        "KA-S2",
        "server/keepalive/idle-timeout",
        "drops the connection of an idle session without a word and without a Close",
    )
    .also(&["END-S11", "ERR-S1"]),
    mutant(
        Fault::IdleWithoutFinals,
        "idle-without-finals",
        "FIN-S2",
        "server/keepalive/idle-timeout",
        "ends an idle session without its finals",
    ),
    mutant(
        Fault::IdleNotRetryable,
        "idle-not-retryable",
        "KA-S2",
        "server/keepalive/idle-timeout",
        "calls an idle timeout not retryable",
    ),
    mutant(
        Fault::IdleTimeoutEarly,
        "idle-timeout-early",
        "KA-S2",
        "server/keepalive/no-activity",
        "ends a session as idle after half its idle timeout",
    ),
    mutant(
        Fault::KeepaliveIsNoActivity,
        "keepalive-is-no-activity",
        "KA-S3",
        "server/keepalive/keeps-alive",
        "does not take a keepalive for activity",
    ),
    mutant(
        Fault::KeepaliveCountsAfterAudio,
        "keepalive-counts-after-audio",
        "KA-S3",
        "server/keepalive/keeps-alive",
        "ignores keepalives until the first audio",
    ),
    mutant(
        Fault::KeepaliveCountsAfterResult,
        "keepalive-counts-after-result",
        "KA-S3",
        "server/keepalive/keeps-alive",
        "ignores keepalives until the first final",
    ),
    mutant(
        Fault::IdleTimerRunsInDrain,
        "idle-timer-runs-in-drain",
        "KA-S4",
        "server/keepalive/after-end",
        "lets its idle timer run on while it works off what came before the sentinel",
    )
    .with_engine(Engine { hangover_ms: 4_000, ..Engine::USUAL }),
    mutant(
        Fault::LateKeepaliveRefused,
        "late-keepalive-refused",
        "KA-S5",
        "server/keepalive/after-end",
        "answers a keepalive behind the sentinel with an error",
    ),
    mutant(
        Fault::LateKeepaliveAcknowledged,
        "late-keepalive-acknowledged",
        "KA-S5",
        "server/keepalive/after-end",
        "acknowledges a keepalive behind the sentinel",
    ),
    mutant(
        Fault::AcknowledgementUnsaid,
        "acknowledgement-unsaid",
        "KA-S6",
        "server/messages/well-formed",
        "acknowledges no keepalive",
    ),
    mutant(
        Fault::AcknowledgementTwice,
        "acknowledgement-twice",
        "KA-S6",
        "server/keepalive/acknowledged",
        "acknowledges every keepalive twice",
    ),
    mutant(
        Fault::AcknowledgementOfOther,
        "acknowledgement-of-other",
        "KA-S6",
        "server/keepalive/acknowledged",
        "acknowledges the next number",
    ),
    mutant(
        Fault::AcknowledgementCounts,
        "acknowledgement-counts",
        "KA-S6",
        "server/keepalive/acknowledged",
        "numbers its acknowledgements itself",
    ),
    mutant(
        Fault::AcknowledgementInFloat,
        "acknowledgement-in-float",
        "MSG-2",
        "server/keepalive/acknowledged",
        "writes the number of an acknowledgement with a fraction",
    ),
    mutant(
        Fault::AcknowledgedUnasked,
        "acknowledged-unasked",
        "KA-S6",
        "server/keepalive/acknowledged",
        "acknowledges keepalives that have no number",
    ),
    mutant(
        Fault::KeepaliveEnds,
        "keepalive-ends",
        "KA-S6",
        "server/limits/text-at-limit",
        "fails with internal on a keepalive",
    ),
    mutant(
        Fault::FlushIsNoActivity,
        "flush-is-no-activity",
        "KA-S7",
        "server/keepalive/flush-is-activity",
        "does not take a flush for activity",
    ),
    mutant(
        Fault::EmptyFrameIsActivity,
        "empty-frame-is-activity",
        "KA-S7",
        "server/keepalive/no-activity",
        "takes empty frames for activity",
    ),
    mutant(
        Fault::BrokenFrameIsActivity,
        "broken-frame-is-activity",
        "KA-S7",
        "server/keepalive/no-activity",
        "takes broken frames for activity",
    ),
    mutant(
        Fault::MalformedIsActivity,
        "malformed-is-activity",
        "KA-S7",
        "server/keepalive/no-activity",
        "takes malformed messages for activity",
    ),
    mutant(
        Fault::AcknowledgementOfZeroUnsaid,
        "acknowledgement-of-zero-unsaid",
        "KA-S6",
        "server/keepalive/acknowledged",
        "takes seq 0 for no seq",
    ),
];
