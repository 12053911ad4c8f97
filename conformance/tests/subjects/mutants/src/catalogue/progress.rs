//! Section 6: progress, and the ways not to make any.

use super::{Mutant, mutant};
use crate::fault::Fault;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        Fault::ProgressUnsaid,
        "progress-unsaid",
        "PRG-S1",
        "server/progress/while-draining",
        "tells no progress, and ends long streams after 6 s without a word",
    ),
    mutant(
        Fault::ProgressFromZero,
        "progress-from-zero",
        "PRG-S2",
        "server/progress/while-draining",
        "counts progress from 0",
    ),
    mutant(
        Fault::ProgressStands,
        "progress-stands",
        "PRG-S2",
        "server/progress/while-draining",
        "gives every progress the same number",
    ),
    mutant(
        Fault::ProgressFalls,
        "progress-falls",
        "PRG-S3",
        "server/progress/while-draining",
        "lets audio_processed_ms fall",
    ),
    mutant(
        Fault::ProgressExceeds,
        "progress-exceeds",
        "PRG-S3",
        "server/progress/while-draining",
        "says that it processed more audio than there was",
    ),
    mutant(
        Fault::ProgressOutlivesWorker,
        "progress-outlives-worker",
        "PRG-S4",
        "server/progress/while-draining",
        "its worker dies at the sentinel, and a timer goes on telling progress",
    ),
    mutant(
        Fault::ProgressWithoutMotion,
        "progress-without-motion",
        "PRG-S4",
        "server/end/plain",
        "has worked off everything and goes on telling progress for ever",
    ),
    mutant(
        Fault::AcknowledgesForEver,
        "acknowledges-for-ever",
        "END-S2",
        "server/end/plain",
        "its worker dies at the sentinel, and it floods the client with acknowledgements",
    ),
    mutant(
        Fault::WorkerDies,
        "worker-dies",
        "END-S2",
        "server/end/plain",
        "its worker dies at the sentinel, and nobody notices",
    ),
];
