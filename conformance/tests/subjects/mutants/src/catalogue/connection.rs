//! Section 1: the connection, the version, the configuration's time.

use super::{Mutant, mutant};
use crate::fault::Fault;

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        Fault::SubprotocolNotSelected,
        "subprotocol-not-selected",
        "CON-1",
        "server/connection/subprotocol",
        "selects no subprotocol although its own is offered",
    ),
    mutant(
        Fault::ForeignSubprotocolServed,
        "foreign-subprotocol-served",
        "CON-S1",
        "server/connection/unknown-subprotocol",
        "serves a client that offers other subprotocols only",
    ),
    mutant(
        Fault::ForeignSubprotocolNotFound,
        "foreign-subprotocol-not-found",
        "CON-S1",
        "server/connection/unknown-subprotocol",
        "refuses foreign subprotocols with 404",
    ),
    mutant(
        Fault::SubprotocolDemanded,
        "subprotocol-demanded",
        "CON-S2",
        "server/connection/no-subprotocol",
        "refuses a client that offers no subprotocol",
    ),
    mutant(
        Fault::SubprotocolSelectedUnasked,
        "subprotocol-selected-unasked",
        "CON-S2",
        "server/connection/no-subprotocol",
        "selects a subprotocol that nobody offered",
    ),
    mutant(
        Fault::ConfigTimeoutNever,
        "config-timeout-never",
        "CON-S3",
        "server/connection/config-timeout",
        "waits for config without end",
    ),
    mutant(
        Fault::ConfigTimeoutCloses,
        "config-timeout-closes",
        "CON-S3",
        "server/connection/config-timeout",
        "closes without an error when no config comes",
    ),
    mutant(
        Fault::WaitsForRoom,
        "waits-for-room",
        "CON-S4",
        "server/connection/side-by-side",
        "has room for four sessions, and lets a fifth wait without a word until one of them ends",
    ),
    mutant(
        Fault::OverloadWithoutCode,
        "overload-without-code",
        "ERR-1",
        "server/connection/side-by-side",
        "has room for four sessions, and refuses a fifth with an error that has a text only",
    ),
    mutant(
        Fault::ProtocolWithMinor,
        "protocol-with-minor",
        "VER-1",
        "server/connection/subprotocol",
        "names the protocol with a minor version",
    ),
    mutant(
        Fault::ExtensionRefused,
        "extension-refused",
        "VER-3",
        "server/messages/extension",
        "refuses a config with a member that begins with x_",
    ),
];
