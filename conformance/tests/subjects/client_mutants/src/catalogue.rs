//! Owns the catalogue: every mutant by name, with the requirement it breaks and the case that is meant to find it.

use crate::fault::Fault;
use crate::options::Options;

/// The client with one fault.
#[derive(Debug)]
pub struct Mutant {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The requirement that the fault is meant to break.
    pub breaks: &'static str,
    /// The case that is meant to find it.
    pub case: &'static str,
    /// The level at which it shows: 0 with any command, 1 only with a driver.
    pub level: u8,
    /// What it does wrong, in one line.
    pub what: &'static str,
    pub(crate) fault: Fault,
}

impl Mutant {
    /// A client with this fault.
    #[must_use]
    pub fn options(&'static self) -> Options {
        Options { mutant: Some(self), attempts: self.fault.attempts(), ..Options::default() }
    }
}

/// Every mutant, by the areas of the specification.
#[must_use]
pub fn mutants() -> &'static [Mutant] {
    ALL
}

/// The mutant of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mutant> {
    ALL.iter().find(|mutant| mutant.name == name)
}

macro_rules! mutants {
    ($($level:literal $name:literal $fault:ident $breaks:literal $case:literal $what:literal)*) => {
        const ALL: &[Mutant] = &[$(Mutant {
            name: $name, breaks: $breaks, case: concat!("client/", $case), level: $level, what: $what, fault: Fault::$fault,
        }),*];
    };
}

mutants! {
    // From the connection to `ready`.
    0 "connects-for-ever" ConnectsForEver "CON-C1" "start/upgrade-never-answered" "waits without a bound for the answer to its upgrade"
    0 "waits-for-ready-for-ever" WaitsForReadyForEver "CON-C2" "start/never-ready" "waits without a bound for `ready`"
    0 "close-before-ready-is-fine" CloseBeforeReadyIsFine "CON-C3" "start/close-before-ready" "takes a Close before `ready` for a good end"
    0 "close-before-config-hangs" CloseBeforeConfigHangs "CLO-C4" "closing/immediate" "makes its config for 100 ms and never ends where a Close is there before it"
    0 "refused-is-complete" RefusedIsComplete "CON-C1" "start/refused" "takes a refusal with 401 for the end of a session in which nothing was said"
    0 "cut-upgrade-hangs" CutUpgradeHangs "CON-C1" "start/transport-ends-at-once" "waits on for the answer to its upgrade where the transport has ended"
    0 "redials-without-end" RedialsWithoutEnd "REC-C1" "start/refused-for-ever" "dials again every 100 ms for as long as it is refused"
    0 "redials-every-second" RedialsEverySecond "REC-C1" "start/refused-for-ever" "dials again 14 times, always after a second"
    0 "config-missing" ConfigMissing "CFG-C1" "end/ideal" "sends no config and waits for `ready`"
    0 "config-twice" ConfigTwice "CFG-C1" "end/ideal" "sends its config twice"
    0 "config-malformed" ConfigMalformed "MSG-2" "end/ideal" "sends a config with a member of the wrong type"
    0 "audio-before-ready" AudioBeforeReady "CFG-C2" "start/slow-ready" "sends audio before `ready` has come"
    1 "early-end-forgotten" EarlyEndForgotten "STA-C1" "calls/input-ended-before-ready" "forgets the end of an input that was over before `ready`"
    0 "update-uncalled" UpdateUncalled "UPD-C1" "end/ideal" "sends an update although the server has not the capability"
    // Audio.
    0 "odd-bytes" OddBytes "AUD-1" "audio/all-of-it" "sends half samples"
    0 "tiny-frames" TinyFrames "AUD-C1" "audio/all-of-it" "sends frames of 5 ms"
    0 "huge-frames" HugeFrames "AUD-C1" "audio/all-of-it" "sends frames of 1.2 s"
    0 "frames-above-limit" FramesAboveLimit "LIM-C1" "audio/all-of-it" "sends frames above max_frame_bytes"
    0 "tail-kept" TailKept "AUD-C3" "audio/all-of-it" "never sends what its chunker holds at the end"
    0 "full-buffer-drops" FullBufferDrops "BP-C1" "audio/buffered-before-ready" "holds 2 s of audio before `ready` and drops the rest"
    0 "reads-nothing-while-it-writes" ReadsNothingWhileItWrites "BP-C2" "audio/reader-that-stops" "one loop reads and writes, and reads nothing while a send of it waits"
    0 "reads-a-queue-while-it-writes" ReadsABitWhileItWrites "BP-C2" "audio/reader-that-stops" "one loop reads and writes; its library reads 32 messages for it while a send of it waits"
    0 "reads-when-all-is-sent" ReadsWhenAllIsSent "BP-C2" "audio/reader-that-stops" "sends all of its audio before it reads the first result"
    0 "sends-in-lock-step" SendsInLockStep "BP-C2" "audio/reader-that-stops" "sends half a second of audio and waits for a result before it sends more"
    0 "sends-in-windows" SendsInWindows "BP-C2" "audio/reader-that-stops" "sends no more than 3 s of audio since the last result"
    // Results.
    1 "last-final-lost" LastFinalLost "FIN-C1" "results/delivered" "does not deliver the finals that come after its sentinel"
    1 "final-twice" FinalTwice "FIN-C1" "results/double-final" "delivers a final again when it comes again"
    1 "partial-after-final" PartialAfterFinal "FIN-C1" "results/delivered" "delivers a partial of a segment after its final"
    1 "times-restart" TimesRestart "TIM-C1" "closing/reset-and-again" "dials again in the middle, and its times begin again at 0"
    // Keepalives.
    1 "keepalives-missing" KeepalivesMissing "KA-C1" "keepalive/while-nobody-speaks" "sends no keepalives"
    0 "keepalives-after-the-end" KeepalivesAfterEnd "KA-C3" "keepalive/none-after-the-end" "goes on with keepalives after its sentinel"
    0 "keepalive-holds-the-end" KeepaliveHoldsEnd "END-C3" "end/ideal" "its keepalive timer lives on after session_ended, and so its iterator never ends"
    1 "keepalive-failure-swallowed" KeepaliveFailureSwallowed "KA-C5" "keepalive/cannot-be-sent" "takes no notice of a keepalive that cannot be sent"
    1 "half-open-for-ever" HalfOpenForEver "KA-C4" "keepalive/half-open" "never notices that it hears nothing any more"
    // Flushes.
    1 "flush-of-nothing-unsent" FlushOfNothingUnsent "FLU-C1" "calls/flush-of-nothing" "answers a flush by itself when its own buffer is empty"
    1 "flush-swallowed" FlushSwallowed "FLU-C1" "calls/flush-of-nothing" "takes a flush, sends none and never answers its caller"
    1 "flush-is-end" FlushIsEnd "FLU-C2" "calls/flush-of-nothing" "sends end_of_stream for a flush"
    1 "flush-and-close-each-end" FlushAndCloseEachEnd "FLU-C2" "calls/flush-of-nothing" "queues a sentinel at a flush and another at the end"
    1 "flush-waits-for-ever" FlushWaitsForEver "FLU-C3" "calls/flush-unanswered" "never tells its caller that a flush failed"
    // The end.
    0 "never-ends" NeverEnds "END-C1" "end/ideal" "never sends end_of_stream; its keepalives go on"
    0 "never-ends-in-silence" NeverEndsInSilence "END-C1" "end/ideal" "never sends end_of_stream, nor anything else"
    0 "never-ends-and-keeps-a-tail" NeverEndsAndKeepsTail "END-C1" "end/ideal" "sends whole frames of 160 ms, neither what is left of its input nor end_of_stream; its keepalives go on"
    0 "leaves-without-end" LeavesWithoutEnd "END-C1" "end/ideal" "closes when its input ends, and sends no end_of_stream"
    0 "ends-twice" EndsTwice "END-C2" "end/final-3-s-late" "sends end_of_stream twice"
    0 "late-end" LateEnd "END-C1" "end/ideal" "sends end_of_stream 3 s after the end of its input"
    0 "leaves-at-the-last-result" LeavesAtLastResult "CLO-C1" "end/ended-after-the-last-final" "closes at the first final after its sentinel"
    0 "leaves-at-the-sentinel" LeavesAtSentinel "CLO-C1" "end/final-3-s-late" "leaves as soon as it has sent end_of_stream"
    0 "waits-for-close" WaitsForClose "END-C3" "end/no-close" "ends only when the server closes"
    0 "own-drain" OwnDrain "END-C4" "end/final-3-s-late" "waits 1 s for session_ended, whatever was announced"
    0 "progress-ignored" ProgressIgnored "PRG-C1" "end/final-7-s-late" "progress does not extend its wait for session_ended"
    0 "drains-for-ever" DrainsForEver "END-C5" "end/silence" "waits without a bound for session_ended"
    0 "cut-is-complete" CutIsComplete "END-C5" "end/close-1011-before-the-final" "takes any Close for a good end"
    0 "close-1000-is-complete" Close1000IsComplete "CLO-C2" "end/close-1000-before-the-final" "takes 1000 for the proof of completeness"
    0 "reset-is-complete" ResetIsComplete "ERR-C3" "closing/reset-mid-stream" "takes a transport that fails while it sends for the end"
    0 "end-of-transport-is-complete" EndOfTransportIsComplete "END-C5" "closing/end-of-transport-mid-stream" "takes a transport that ends in order, without a Close, for a good end"
    0 "incomplete-is-complete" IncompleteIsComplete "END-C7" "end/not-complete" "does not look at `complete`"
    0 "early-end-is-complete" EarlyEndIsComplete "END-C8" "end/before-the-sentinel" "takes session_ended before its sentinel for the answer to it"
    0 "own-timer" OwnTimer "END-C9" "end/two-times" "ends 5 s after its sentinel, whenever session_ended came"
    0 "partial-reopens" PartialReopens "END-C7" "end/partial-after-the-end" "takes session_ended for the end of one utterance where a partial came behind its sentinel, and the Close for a cut"
    0 "final-reopens" FinalReopens "END-C3" "results/final-after-the-end" "listens for 200 ms after session_ended, and waits for another where a final comes"
    1 "task-left-behind" TaskLeftBehind "END-C3" "end/ideal" "a task of its session lives on after the end of its iterator"
    1 "push-after-end-accepted" PushAfterEndAccepted "END-C6" "calls/push-after-end" "takes audio after the end and drops it without a word"
    0 "audio-after-the-end" AudioAfterEnd "END-C6" "end/final-3-s-late" "sends audio behind its sentinel"
    1 "second-end-raises" SecondEndRaises "CLO-C3" "calls/second-end" "fails at a second end"
    1 "cancel-is-complete" CancelIsComplete "END-C7" "calls/cancel" "tells a cancelled session as complete"
    1 "cancel-ends-again" CancelEndsAgain "END-C2" "calls/flush-end-cancel" "sends end_of_stream before the Close of a cancel, also where it has sent one"
    1 "cancel-waits-for-ready" CancelWaitsForReady "CLO-C4" "calls/cancel-before-ready" "looks at a cancel only when `ready` is there"
    1 "cancel-waits-for-the-drain" CancelWaitsForTheDrain "CLO-C4" "calls/cancel-while-draining" "looks at no cancel any more once its sentinel is sent"
    1 "second-cancel-raises" SecondCancelRaises "CLO-C3" "calls/second-cancel" "fails at a second cancel"
    1 "cancel-when-over-raises" CancelWhenOverRaises "CLO-C3" "calls/cancel-when-over" "fails at a cancel when its session is over"
    1 "push-outlives-the-session" PushOutlivesTheSession "END-C3" "calls/cancel-while-a-push-waits" "a push that waits for room never comes back when the session ends"
    1 "push-waits-for-ever" PushWaitsForEver "BP-C1" "audio/all-of-it" "its fifth push never comes back; its keepalives go on"
    1 "complete-too-early" CompleteTooEarly "END-C5" "end/final-3-s-late" "tells its application complete when its sentinel is sent"
    1 "flushed-at-once" FlushedAtOnce "FLU-C3" "calls/flush-unanswered" "tells its caller that a flush is answered when it is sent"
    1 "fatal-told-as-passing" FatalToldAsPassing "ERR-C1" "errors/fatal" "tells every error as one that is not fatal"
    1 "raises-when-complete" RaisesWhenComplete "END-C7" "end/ideal" "raises at the Close of every session, also of a complete one"
    1 "exits-at-the-end" ExitsAtTheEnd "SEC-C2" "end/ideal" "exits with 0 when session_ended comes, and its application with it"
    // Messages and errors.
    0 "garbage-ends" GarbageEnds "MSG-C1" "errors/garbage" "ends at a message that it does not know"
    0 "garbage-deafens" GarbageDeafens "MSG-C1" "errors/garbage" "reads nothing any more from a message on that it does not know, and goes on sending"
    0 "garbage-crashes" GarbageCrashes "SEC-C2" "errors/garbage" "its process dies of a message that it does not know"
    1 "garbage-exits" GarbageExits "SEC-C2" "errors/garbage" "exits with 1 at a message that it does not know, and its application with it"
    0 "not-an-object" NotAnObject "MSG-1" "end/ideal" "sends a text that is no object"
    0 "matches-by-bytes" MatchesByBytes "MSG-3" "results/by-value" "knows messages by their bytes"
    0 "strict-members" StrictMembers "VER-3" "results/extensions" "takes no message with members that it does not know"
    0 "fatal-is-silence" FatalIsSilence "ERR-C1" "errors/fatal" "takes a fatal error for a good end"
    0 "fatal-never-ends" FatalNeverEnds "ERR-C1" "errors/fatal-and-open" "waits on after a fatal error"
    1 "always-retryable" AlwaysRetryable "ERR-C1" "errors/not-to-be-retried" "tells every fatal error as one that may be retried"
    0 "error-ends" ErrorEnds "END-C1" "errors/goes-on" "takes any error for the end of its session"
    0 "error-stops-audio" ErrorStopsAudio "END-C1" "errors/goes-on" "sends no more audio after an error that is not fatal; its keepalives go on"
    0 "error-cuts-input" ErrorCutsInput "AUD-C3" "errors/goes-on" "sends end_of_stream at an error that is not fatal, and drops the rest of its input"
    0 "error-ends-drain" ErrorEndsDrain "CLO-C1" "errors/in-the-drain" "leaves at an error that comes behind its sentinel"
    1 "error-swallowed" ErrorSwallowed "ERR-C2" "errors/in-band" "does not tell errors to its application"
    // The close, and what follows.
    0 "closes-with-1001" ClosesWith1001 "CLO-C5" "end/no-close" "closes with 1001"
    0 "close-handshake-for-ever" CloseHandshakeForEver "CLO-C4" "closing/never-answered" "waits without a bound for the answer to its Close"
    1 "end-waits-for-handshake" EndWaitsForHandshake "END-C3" "closing/never-answered" "ends its iterator only when its closing handshake is over, within close_ms"
    0 "redials-after-fatal" RedialsAfterFatal "REC-C2" "errors/not-to-be-retried" "dials again after an error that is not to be retried"
    0 "redials-after-the-end" RedialsAfterEnd "REC-C3" "end/reset-at-the-sentinel" "dials again after its sentinel"
    0 "gap-is-complete" GapIsComplete "REC-C4" "closing/reset-and-again" "dials again in the middle and tells the rest as complete"
    0 "budget-never-restored" BudgetNeverRestored "REC-C5" "reconnect/budget-restored" "dials again three times and no more, however long its connections lived"
    0 "budget-restored-by-a-final" BudgetRestoredByFinal "REC-C5" "reconnect/budget-restored" "dials again three times until a final comes, however long its connections lived"
    1 "budget-of-time-for-all" BudgetOfTimeForAll "REC-C5" "reconnect/budget-restored" "dials again for 6 s from its start and no more, however long its connections lived"
    0 "token-in-url" TokenInUrl "SEC-C1" "security/credential" "puts its credential into the URL"
    0 "token-logged" TokenLogged "SEC-C1" "security/credential" "writes the headers of its upgrade into its log, and its credential with them"
    1 "token-told" TokenTold "SEC-C1" "errors/fatal" "tells its credential in the text of an error"
}
