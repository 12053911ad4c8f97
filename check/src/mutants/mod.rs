//! The catalogue of mutants: ways of breaking the protocol, each over the shipped machines, each with the properties that it violates
//! and no others. Owns what is expected of each. It must not know how a property is decided.

mod client;
mod server;

use std::rc::Rc;

use lastword_spec::registry::RequirementId;
use lastword_spec::requirements as req;
use lastword_spec::table::Side;

use crate::explore::Property::{self, Deadlock, IllegalClient, IllegalServer, Livelock, Lost, Trapped};
use crate::pair::{Faults, Setup, Twist};

/// One mutant.
pub struct Mutant {
    /// The name, as in the name of its trace.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Whose fault it is.
    pub guilty: Side,
    /// What it breaks.
    pub breaks: RequirementId,
    /// What a judge who sees nothing but its trace finds broken. Empty: one trace alone does not show it.
    pub judged: &'static [RequirementId],
    /// What it violates, with the length of the shortest counterexample. Its trace is for the first.
    pub violates: &'static [(Property, usize)],
    make: fn() -> Rc<dyn Twist>,
    fit: fn(Setup) -> Setup,
}

impl Mutant {
    /// The hand that it puts in.
    #[must_use]
    pub fn twist(&self) -> Rc<dyn Twist> {
        (self.make)()
    }

    /// The smallest setup that shows it.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let small = Setup { name: self.name, faults: Faults::NONE, ..Setup::default() };
        (self.fit)(small)
    }

    /// The mutant of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        MUTANTS.iter().find(|mutant| mutant.name == name)
    }
}

macro_rules! mutants {
    ($( $name:literal $guilty:ident breaks $breaks:ident judged [$($judged:ident)*]
        violates [$($property:ident $length:literal)*] $what:literal
        = $twist:expr $(, with $($field:ident = $value:expr),+)?; )+) => {
        /// Every mutant. The numbers are the lengths of the shortest counterexamples; none: proved harmless.
        pub static MUTANTS: &[Mutant] = &[$(
            Mutant {
                name: $name,
                what: $what,
                guilty: Side::$guilty,
                breaks: req::$breaks,
                judged: &[$( req::$judged ),*],
                violates: &[$( ($property, $length) ),*],
                make: || Rc::new($twist),
                fit: |setup| Setup { $($($field: $value,)+)? ..setup },
            },
        )+];
    };
}

mutants! {
    "no-sentinel" Client breaks END_C1 judged [KA_C1] violates [Deadlock 6 Trapped 0]
        "Its input ends, and it never says so." = client::NoSentinel { keepalive: false };
    "no-sentinel-keepalive" Client breaks END_C1 judged [] violates [Livelock 6 Trapped 0]
        "Its input ends, it never says so, and its keepalives live on." = client::NoSentinel { keepalive: true };
    "double-sentinel" Client breaks END_C2 judged [END_C2] violates [IllegalClient 6]
        "It says the sentinel twice." = client::DoubleSentinel;
    "audio-after-end" Client breaks END_C6 judged [END_C6] violates [IllegalClient 6 Lost 11]
        "Audio follows its sentinel." = client::AudioAfterEnd { dropped_silently: false };
    "audio-after-end-dropped" Server breaks END_S4 judged [] violates [Lost 11 IllegalClient 6]
        "Audio that follows the sentinel is dropped without a word." = client::AudioAfterEnd { dropped_silently: true };
    "receiver-gone" Client breaks END_C3 judged [END_C3] violates [Deadlock 18 Trapped 11]
        "Its receiver returns at a final, and nobody reads `session_ended`." = client::ReceiverGone { keepalive: false };
    "receiver-gone-keepalive" Client breaks KA_C3 judged [KA_C3 END_C3] violates [Livelock 18 Trapped 11 IllegalClient 15]
        "Its receiver returns at a final, and its keepalives live on." = client::ReceiverGone { keepalive: true }, with queued = 16;
    "keepalive-after-end" Client breaks KA_C3 judged [KA_C3] violates [IllegalClient 8]
        "Its keepalive timer outlives the sentinel." = client::KeepaliveAfterEnd;
    "sends-before-it-reads" Client breaks BP_C2 judged [] violates []
        "It sends everything before it reads anything but `ready`, to a server that reads while it writes."
        = client::SendsBeforeItReads { server_blocks: false }, with up = 1, down = 1, queued = 16;
    "both-blocked-on-write" Client breaks BP_C2 judged [] violates [Deadlock 15 Trapped 12]
        "It sends everything before it reads, to a server that does not read while it writes."
        = client::SendsBeforeItReads { server_blocks: true }, with up = 1, down = 1, queued = 16;
    "early-sentinel" Client breaks CFG_C2 judged [CFG_C2] violates [IllegalClient 3]
        "Its input ends before `ready`, and it says so at once." = client::EarlySentinel { refused: false }, with frames = 0, flushes = 0;
    "early-sentinel-refused" Server breaks END_S1 judged [END_S1] violates [Deadlock 11 Trapped 6 IllegalServer 7 IllegalClient 3]
        "It refuses and forgets a sentinel that comes before `ready`." = client::EarlySentinel { refused: true }, with frames = 0, flushes = 0;
    "waits-for-audio" Server breaks END_S7 judged [END_S2] violates [Deadlock 18 Trapped 0]
        "It waits for audio after the sentinel." = server::WaitsForAudioAfterEnd,
        with frames = 1, flushes = 0, ends_early = false;
    "waits-for-client-close-to-end" Server breaks END_S7 judged [END_S2] violates [Deadlock 18 Trapped 0]
        "It says `session_ended` only when the client has closed." = server::EndsOnClientClose,
        with frames = 1, flushes = 0, ends_early = false;
    "no-session-ended" Server breaks END_S2 judged [END_S2] violates [IllegalServer 14]
        "It closes with 1000 and without `session_ended`." = server::Sends::NoSessionEnded,
        with frames = 1, flushes = 0, ends_early = false;
    "final-after-end" Server breaks END_S3 judged [END_S3] violates [IllegalServer 11]
        "A final follows its `session_ended`." = server::Sends::FinalAfterEnd;
    "session-ended-twice" Server breaks END_S3 judged [END_S3] violates [IllegalServer 11]
        "It says `session_ended` twice." = server::Sends::SessionEndedTwice;
    "flushed-twice" Server breaks FLU_S2 judged [FLU_S2] violates [IllegalServer 11]
        "It answers a flush twice." = server::Sends::FlushedTwice;
    "flushed-never" Server breaks FLU_S4 judged [FLU_S4] violates [Lost 14]
        "It never answers a flush." = server::Sends::NoFlushed;
    "flushed-never-awaited" Server breaks FLU_S2 judged [FLU_S2] violates [Deadlock 9 Trapped 0]
        "It never answers a flush, to an application that waits for the answer." = server::Sends::NoFlushed,
        with awaits_flush = true, flushes = 1, ends_early = false, keepalives = false;
    "ack-never" Server breaks KA_S6 judged [KA_S6] violates [Lost 13]
        "It never answers a keepalive with `seq`." = server::Sends::NoAck, with probes = 1;
    "ready-never" Server breaks CFG_S1 judged [CFG_S1] violates [Deadlock 4 Trapped 0]
        "It never says `ready`." = server::Sends::NoReady;
    "ready-twice" Server breaks CFG_S2 judged [CFG_S2] violates [IllegalServer 5]
        "It says `ready` twice." = server::Sends::ReadyTwice;
    "partial-after-final" Server breaks FIN_S1 judged [FIN_S1] violates [IllegalServer 14]
        "A partial follows the final of its segment." = server::Sends::PartialAfterFinal;
    "error-swallowed" Server breaks ERR_S1 judged [CFG_S1] violates [IllegalServer 4]
        "Its engine fails, and it ends without saying so." = server::Sends::NoError,
        with faults = Faults { engine: true, ..Faults::NONE };
    "completed-closed-1011" Server breaks CLO_1 judged [CLO_1] violates [IllegalServer 11]
        "It closes a completed session with 1011." = server::Sends::ClosesWith1011;
    "drops-pending-finals" Server breaks END_S2 judged [] violates [Lost 16]
        "It drops the finals that come after the sentinel, and does not count them."
        = server::DropsPendingFinals { counts_them: false };
    "drops-pending-finals-counted" Server breaks END_S9 judged [END_S9] violates [IllegalServer 16 Lost 19]
        "It drops the finals that come after the sentinel, and counts them as sent."
        = server::DropsPendingFinals { counts_them: true };
    "drops-audio" Server breaks BP_S2 judged [] violates [Lost 14]
        "It drops a frame of audio, and counts it as processed." = server::DropsAudio { counts_it: true };
    "drops-audio-uncounted" Server breaks END_S9 judged [END_S9] violates [IllegalServer 14]
        "It drops a frame of audio, and calls the session complete." = server::DropsAudio { counts_it: false };
    "engine-dies" Server breaks END_S2 judged [END_S2] violates [Deadlock 11 Trapped 0]
        "Its engine dies at the sentinel, and nobody says so." = server::DeadEngine,
        with frames = 1, flushes = 0, ends_early = false;
    "engine-dies-progress" Server breaks PRG_S4 judged [PRG_S4] violates [Livelock 11 Trapped 0]
        "Its engine dies at the sentinel, and its progress timer lives on." = server::DeadEngine,
        with ticks = true, frames = 1, flushes = 0, ends_early = false;
    "ignores-close" Server breaks CLO_S3 judged [CLO_S3] violates [Deadlock 8 Trapped 1 IllegalServer 7]
        "It ignores the client's Close." = server::IgnoresClose, with faults = Faults { cancel: true, ..Faults::NONE };
    "deaf-after-close" Server breaks CLO_S4 judged [] violates [Deadlock 15 Trapped 0]
        "It reads nothing once it has sent its Close." = server::Deaf::AfterItsClose;
    "both-wait-for-close" Server breaks CLO_S2 judged [CLO_S2] violates [Deadlock 11 Trapped 0]
        "It does not close before the client, nor the client before it." = server::WaitsForClose { client_waits: true };
    "waits-for-close" Server breaks CLO_S2 judged [] violates []
        "It does not close before the client has, and the client closes by itself."
        = server::WaitsForClose { client_waits: false };
    "deaf-while-draining" Server breaks BP_S1 judged [] violates []
        "It reads nothing between the sentinel and `session_ended`." = server::Deaf::WhileDraining;
    "deaf-while-writing" Server breaks BP_S3 judged [] violates []
        "It reads nothing while it writes, to a client that reads while it writes."
        = server::Deaf::WhileWriting, with up = 1, down = 1, queued = 1;
    "no-partials" Server breaks FIN_S4 judged [] violates []
        "It never sends a partial." = server::Sends::NoPartials;
}
