//! Owns the names of the faults. What each of them does stands where the client does it right.

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    // From the connection to `ready`.
    ConnectsForEver,
    WaitsForReadyForEver,
    CloseBeforeReadyIsFine,
    CloseBeforeConfigHangs,
    RefusedIsComplete,
    CutUpgradeHangs,
    RedialsWithoutEnd,
    RedialsEverySecond,
    ConfigMissing,
    ConfigTwice,
    ConfigMalformed,
    AudioBeforeReady,
    EarlyEndForgotten,
    UpdateUncalled,
    // Audio.
    OddBytes,
    TinyFrames,
    HugeFrames,
    FramesAboveLimit,
    TailKept,
    FullBufferDrops,
    ReadsNothingWhileItWrites,
    SendsInLockStep,
    SendsInWindows,
    ReadsABitWhileItWrites,
    ReadsWhenAllIsSent,
    // Results.
    LastFinalLost,
    FinalTwice,
    PartialAfterFinal,
    TimesRestart,
    // Keepalives.
    KeepalivesMissing,
    KeepalivesAfterEnd,
    KeepaliveHoldsEnd,
    KeepaliveFailureSwallowed,
    HalfOpenForEver,
    // Flushes.
    FlushOfNothingUnsent,
    FlushSwallowed,
    FlushIsEnd,
    FlushAndCloseEachEnd,
    FlushWaitsForEver,
    // The end.
    NeverEnds,
    NeverEndsInSilence,
    NeverEndsAndKeepsTail,
    LeavesWithoutEnd,
    EndsTwice,
    LateEnd,
    LeavesAtLastResult,
    LeavesAtSentinel,
    WaitsForClose,
    OwnDrain,
    ProgressIgnored,
    DrainsForEver,
    CutIsComplete,
    Close1000IsComplete,
    ResetIsComplete,
    EndOfTransportIsComplete,
    IncompleteIsComplete,
    EarlyEndIsComplete,
    OwnTimer,
    PartialReopens,
    FinalReopens,
    TaskLeftBehind,
    PushAfterEndAccepted,
    AudioAfterEnd,
    SecondEndRaises,
    CancelIsComplete,
    CancelEndsAgain,
    CancelWaitsForReady,
    CancelWaitsForTheDrain,
    CancelWhenOverRaises,
    SecondCancelRaises,
    PushOutlivesTheSession,
    PushWaitsForEver,
    CompleteTooEarly,
    FlushedAtOnce,
    FatalToldAsPassing,
    RaisesWhenComplete,
    ExitsAtTheEnd,
    // Messages and errors.
    GarbageEnds,
    GarbageDeafens,
    GarbageCrashes,
    GarbageExits,
    NotAnObject,
    MatchesByBytes,
    StrictMembers,
    FatalIsSilence,
    FatalNeverEnds,
    AlwaysRetryable,
    ErrorEnds,
    ErrorStopsAudio,
    ErrorCutsInput,
    ErrorEndsDrain,
    ErrorSwallowed,
    // The close, and what follows.
    ClosesWith1001,
    CloseHandshakeForEver,
    EndWaitsForHandshake,
    RedialsAfterFatal,
    RedialsAfterEnd,
    GapIsComplete,
    BudgetNeverRestored,
    BudgetRestoredByFinal,
    BudgetOfTimeForAll,
    TokenInUrl,
    TokenTold,
    TokenLogged,
}

impl Fault {
    /// How often a client with this fault dials again; most of them never do.
    pub(crate) fn attempts(self) -> u32 {
        let by_number = [Self::BudgetNeverRestored, Self::BudgetRestoredByFinal].contains(&self);
        // Where it counts the time, that is over long before the number.
        let by_time = self == Self::BudgetOfTimeForAll;
        let steadily = self == Self::RedialsEverySecond;
        match (by_number, by_time, steadily) {
            (true, ..) => 3,
            (_, true, _) => 50,
            (_, _, true) => 14,
            (false, false, false) => 0,
        }
    }
}
