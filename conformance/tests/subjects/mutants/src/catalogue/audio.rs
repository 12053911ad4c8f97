//! Section 3: audio.

use super::{Mutant, mutant};
use crate::fault::Fault;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        Fault::AudioRefused,
        "audio-refused",
        "AUD-S1",
        "server/audio/core-format",
        "refuses the format that must work",
    ),
    mutant(
        Fault::FirstFrameLost,
        "first-frame-lost",
        "END-S9",
        "server/audio/core-format",
        "loses the first frame of each stream",
    ),
    mutant(
        Fault::BrokenFrameShiftsPhase,
        "broken-frame-shifts-phase",
        "AUD-S2",
        "server/audio/odd-frame",
        "takes half samples, and reads all that follows shifted",
    ),
    mutant(
        Fault::BrokenFrameCut,
        "broken-frame-cut",
        "AUD-S2",
        "server/audio/odd-frame",
        "cuts a broken frame to whole samples",
    ),
    mutant(
        Fault::BrokenFrameEnds,
        "broken-frame-ends",
        "AUD-S2",
        "server/audio/odd-frame",
        "fails with internal on a broken frame",
    ),
    mutant(
        Fault::BrokenFrameUncounted,
        "broken-frame-uncounted",
        "AUD-S2",
        "server/audio/odd-frame",
        "does not count broken frames",
    ),
    mutant(
        Fault::BrokenFrameUnanswered,
        "broken-frame-unanswered",
        "AUD-S2",
        "server/audio/odd-frame",
        "says nothing of broken frames",
    ),
    mutant(
        Fault::BrokenFrameAnsweredEach,
        "broken-frame-answered-each",
        "AUD-S2",
        "server/audio/odd-frame",
        "answers every broken frame",
    ),
    mutant(
        Fault::EmptyFrameEnds,
        "empty-frame-ends",
        "AUD-S3",
        "server/audio/empty-frame",
        "takes an empty frame for the end",
    ),
    mutant(
        Fault::EmptyFrameRefused,
        "empty-frame-refused",
        "AUD-S3",
        "server/audio/empty-frame",
        "answers an empty frame with an error",
    ),
    mutant(
        Fault::EmptyFrameCounted,
        "empty-frame-counted",
        "AUD-S3",
        "server/audio/empty-frame",
        "counts empty frames as refused",
    ),
    mutant(
        Fault::ShortFrameDropped,
        "short-frame-dropped",
        "AUD-S4",
        "server/audio/frame-lengths",
        "drops frames that are shorter than 10 ms without a word",
    ),
    mutant(
        Fault::ShortFrameRefused,
        "short-frame-refused",
        "AUD-S4",
        "server/audio/frame-lengths",
        "refuses frames that are shorter than 10 ms",
    ),
    mutant(
        Fault::FullFrameRefused,
        "full-frame-refused",
        "LIM-S2",
        "server/audio/frame-lengths",
        "refuses frames longer than a second although it allows them",
    ),
    mutant(
        Fault::ContentIsCommand,
        "content-is-command",
        "AUD-S5",
        "server/audio/content",
        "obeys a command that stands in audio",
    ),
    mutant(
        Fault::ContentDropped,
        "content-dropped",
        "AUD-S5",
        "server/audio/content",
        "drops audio that begins like a JSON object",
    ),
];
