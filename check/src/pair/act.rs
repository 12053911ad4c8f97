//! The names of the steps. Owns how a step is told to a person. It must not know what a step does.

use lastword_session::{ClientTimer, ServerTimer};

use crate::wire::WireId;

/// One step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say what happens, and `told` says it in words")]
pub enum Act {
    Push,
    Flush,
    End,
    Cancel,
    ClientTimer(ClientTimer),
    ClientTwist,
    ClientWrites(WireId),
    ClientReads(WireId),
    ClientDies,
    EngineReady,
    EngineRefuses,
    EngineHears,
    EnginePartial,
    EngineFinal,
    EngineFlushed,
    EngineDrained,
    EngineTick,
    EngineFails,
    ServerTimer(ServerTimer),
    ServerWrites(WireId),
    ServerReads(WireId),
    ServerDies,
    ShutDown,
    Loss,
    Chaos(WireId),
}

impl Act {
    /// The step in words. `wire` gives the name of what travels.
    pub fn told(self, wire: impl Fn(WireId) -> String) -> String {
        match self {
            Self::Push => "the application pushes audio".into(),
            Self::Flush => "the application flushes".into(),
            Self::End => "the application ends its input".into(),
            Self::Cancel => "the application cancels".into(),
            Self::ClientTimer(timer) => format!("the client's {timer:?} timer fires"),
            Self::ClientTwist => "the client adds a message of its own".into(),
            Self::ClientWrites(id) => format!("the client writes {}", wire(id)),
            Self::ClientReads(id) => format!("the client reads {}", wire(id)),
            Self::ClientDies => "the client dies".into(),
            Self::EngineReady => "the engine is ready".into(),
            Self::EngineRefuses => "the engine refuses".into(),
            Self::EngineHears => "the engine works a frame off".into(),
            Self::EnginePartial => "the engine gives a partial".into(),
            Self::EngineFinal => "the engine gives a final".into(),
            Self::EngineFlushed => "the engine has flushed".into(),
            Self::EngineDrained => "the engine has drained".into(),
            Self::EngineTick => "the engine tells that it works".into(),
            Self::EngineFails => "the engine fails".into(),
            Self::ServerTimer(timer) => format!("the server's {timer:?} timer fires"),
            Self::ServerWrites(id) => format!("the server writes {}", wire(id)),
            Self::ServerReads(id) => format!("the server reads {}", wire(id)),
            Self::ServerDies => "the server dies".into(),
            Self::ShutDown => "the operator shuts the server down".into(),
            Self::Loss => "the connection is lost".into(),
            Self::Chaos(id) => format!("the other side sends {}", wire(id)),
        }
    }
}
