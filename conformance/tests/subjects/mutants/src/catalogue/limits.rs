//! Sections 10 and 12: limits, backpressure, security.

use super::{Mutant, mutant};
use crate::fault::Fault;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(Fault::LimitMissing, "limit-missing", "LIM-S1", "server/config/defaults", "leaves a limit out"),
    mutant(
        Fault::LimitBelowMinimum,
        "limit-below-minimum",
        "LIM-S1",
        "server/config/defaults",
        "announces a limit below its minimum",
    ),
    mutant(
        Fault::LongFrameServed,
        "long-frame-served",
        "LIM-S2",
        "server/limits/frame-too-large",
        "serves frames above its limit",
    ),
    mutant(
        Fault::LongFrameDropped,
        "long-frame-dropped",
        "LIM-S2",
        "server/limits/frame-too-large",
        "drops frames above its limit without a word",
    ),
    mutant(
        Fault::LongTextServed,
        "long-text-served",
        "LIM-S3",
        "server/limits/text-too-large",
        "serves text above its limit",
    ),
    mutant(
        Fault::LongTextDropped,
        "long-text-dropped",
        "LIM-S3",
        "server/limits/text-too-large",
        "drops text above its limit without a word",
    ),
    mutant(
        Fault::ShortTextRefused,
        "short-text-refused",
        "LIM-S3",
        "server/limits/text-at-limit",
        "refuses text below its limit",
    ),
    mutant(
        Fault::FullBufferEnds,
        "full-buffer-ends",
        "BP-S1",
        "server/limits/flood",
        "ends the session when its audio buffer is full",
    ),
    mutant(
        Fault::FullBufferFails,
        "full-buffer-fails",
        "BP-S1",
        "server/limits/flood",
        "fails when its audio buffer is full",
    ),
    mutant(
        Fault::FullBufferDropsWithWarning,
        "full-buffer-drops-with-warning",
        "BP-S1",
        "server/limits/flood",
        "drops audio with a warning when its buffer is full",
    ),
    mutant(
        Fault::FullBufferDrops,
        "full-buffer-drops",
        "BP-S2",
        "server/limits/flood",
        "drops audio in silence when its buffer is full",
    ),
    mutant(
        Fault::BurstUnheard,
        "burst-unheard",
        "BP-S2",
        "server/limits/flood",
        "listens to nothing that comes while two seconds wait, and counts it",
    ),
    mutant(
        Fault::BurstSkipped,
        "burst-skipped",
        "BP-S2",
        "server/limits/flood",
        "leaves out what comes while two seconds wait, from its times too, and counts it",
    ),
    mutant(
        Fault::WrongHeaderServed,
        "wrong-header-served",
        "SEC-S1",
        "server/security/wrong-header",
        "serves a client whose Authorization header is wrong",
    )
    .with_token(),
    mutant(
        Fault::WrongHeaderForbidden,
        "wrong-header-forbidden",
        "SEC-S1",
        "server/security/wrong-header",
        "refuses a wrong Authorization header with 403",
    )
    .with_token(),
    mutant(
        Fault::AnyTokenServed,
        "any-token-served",
        "SEC-S1",
        "server/security/wrong-token",
        "demands a token and serves any",
    )
    .with_token(),
    mutant(
        Fault::CredentialsNotAsked,
        "credentials-not-asked",
        "SEC-S1",
        "server/security/wrong-token",
        "serves everybody, whatever the credential",
    )
    .with_token(),
    mutant(
        Fault::HeaderNotEnough,
        "header-not-enough",
        "SEC-S1",
        "server/security/wrong-token",
        "wants a token although the header was good",
    )
    .with_token(),
    mutant(
        Fault::CredentialCheckedLast,
        "credential-checked-last",
        "SEC-S1",
        "server/security/wrong-token",
        "checks the rest of the config before the token",
    )
    .with_token(),
    mutant(
        Fault::CredentialCausesDiffer,
        "credential-causes-differ",
        "SEC-S1",
        "server/security/wrong-token",
        "tells a missing token from a wrong one",
    )
    .with_token(),
    mutant(
        Fault::CredentialInError,
        "credential-in-error",
        "SEC-S2",
        "server/security/no-echo",
        "repeats the type of an unknown message",
    ),
    mutant(
        Fault::CredentialInRefusal,
        "credential-in-refusal",
        "SEC-S2",
        "server/security/no-echo",
        "repeats the config that it refuses",
    ),
    mutant(
        Fault::DepthCrashesProcess,
        "depth-crashes-process",
        "SEC-S3",
        "server/security/hostile-text",
        "its process dies of deep nesting",
    ),
    mutant(
        Fault::DepthHangsProcess,
        "depth-hangs-process",
        "SEC-S3",
        "server/security/hostile-text",
        "its process hangs on deep nesting",
    ),
    mutant(
        Fault::DepthDropsConnection,
        "depth-drops-connection",
        "SEC-S3",
        "server/security/hostile-text",
        "drops the connection over deep nesting",
    ),
    mutant(
        Fault::DepthHangsSession,
        "depth-hangs-session",
        "SEC-S3",
        "server/security/hostile-text",
        "the session hangs on deep nesting",
    ),
    mutant(
        Fault::StackTraceInError,
        "stack-trace-in-error",
        "SEC-S4",
        "server/security/plain-errors",
        "shows its stack trace",
    ),
    mutant(Fault::PathInError, "path-in-error", "SEC-S4", "server/security/plain-errors", "shows a path"),
];
