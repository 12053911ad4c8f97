//! Section 7: flush.

use super::{Mutant, mutant};
use crate::fault::Fault;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(Fault::FlushEnds, "flush-ends", "FLU-1", "server/flush/goes-on", "takes a flush for the end"),
    mutant(Fault::FlushEndsAfterwards, "flush-ends-afterwards", "FLU-1", "server/flush/goes-on", "ends behind flushed"),
    mutant(Fault::FlushDeafens, "flush-deafens", "FLU-1", "server/flush/heard-after", "hears nothing after a flush"),
    mutant(
        Fault::FlushedAtOnce,
        "flushed-at-once",
        "FLU-S1",
        "server/flush/finals-first",
        "says flushed at once and leaves the finals for later",
    ),
    mutant(Fault::FlushedUnsaid, "flushed-unsaid", "FLU-S2", "server/flush/nothing", "never says flushed"),
    mutant(Fault::FlushRefused, "flush-refused", "FLU-S2", "server/flush/nothing", "does not serve flush"),
    mutant(
        Fault::FlushOfNothingRefused,
        "flush-of-nothing-refused",
        "FLU-S2",
        "server/flush/nothing",
        "takes a flush of nothing for an error",
    ),
    mutant(
        Fault::FlushOfNothingUnanswered,
        "flush-of-nothing-unanswered",
        "FLU-S2",
        "server/flush/nothing",
        "does not answer a flush of nothing",
    ),
    mutant(
        Fault::FlushWaitsForAudio,
        "flush-waits-for-audio",
        "FLU-S2",
        "server/flush/nothing",
        "looks at a flush when the next audio comes",
    ),
    mutant(Fault::FlushedTwice, "flushed-twice", "FLU-S2", "server/flush/nothing", "says every flushed twice"),
    mutant(
        Fault::FlushesAnsweredOnce,
        "flushes-answered-once",
        "FLU-S2",
        "server/flush/twice",
        "answers two flushes by one flushed",
    ),
    mutant(Fault::FlushesReversed, "flushes-reversed", "FLU-S2", "server/flush/twice", "answers the later flush first"),
    mutant(
        Fault::FlushRepeatsFinal,
        "flush-repeats-final",
        "FLU-S3",
        "server/flush/at-segment-end",
        "repeats the last final when a flush finds nothing new",
    ),
    mutant(
        Fault::FlushForgottenAtEnd,
        "flush-forgotten-at-end",
        "FLU-S4",
        "server/flush/pending-at-end",
        "forgets a flush when the sentinel comes",
    ),
    mutant(
        Fault::FlushedAfterEnd,
        "flushed-after-end",
        "FLU-S4",
        "server/flush/pending-at-end",
        "says a pending flushed behind session_ended",
    ),
    mutant(
        Fault::FlushedByOtherName,
        "flushed-by-other-name",
        "FLU-S5",
        "server/flush/nothing",
        "answers a flush under a name of its own",
    ),
    mutant(
        Fault::FlushedUnasked,
        "flushed-unasked",
        "FLU-S5",
        "server/flush/nothing",
        "says flushed for a flush that there never was",
    ),
    mutant(Fault::FlushIdCut, "flush-id-cut", "FLU-S5", "server/flush/ids", "cuts the id of a flush to 64 characters"),
    mutant(
        Fault::FlushIdAnsweredOnce,
        "flush-id-answered-once",
        "FLU-S2",
        "server/flush/ids",
        "takes a second flush of the same id for the first one",
    ),
];
