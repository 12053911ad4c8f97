//! Opening a connection (CON).

use lastword_spec::PROTOCOL;
use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::Open;

use crate::conn::{At, Conn};

/// The upgrade succeeded.
pub(crate) fn on_open(conn: &mut Conn, at: At, open: &Open) {
    conn.opened = Some(at);
    conn.open = Some(open.clone());
    let selected = open.selected.as_deref();
    let offered = open.offered.iter().any(|token| token == PROTOCOL);
    let fault = match selected {
        Some(PROTOCOL) if offered => return,
        _ if offered => (FindingKind::WrongAnswer, req::CON_1, "did not select `lastword.v1`, which was offered"),
        _ if !open.offered.is_empty() => {
            (FindingKind::WronglyAccepted, req::CON_S1, "accepted an upgrade that did not offer `lastword.v1`")
        }
        Some(_) => (FindingKind::WrongAnswer, req::CON_S2, "selected a subprotocol though none was offered"),
        None => return,
    };
    conn.convict(fault.0, fault.1, at, fault.2);
}

/// The server refused the upgrade.
pub(crate) fn on_refused(conn: &mut Conn, at: At, status: u16, retry_after: bool) {
    conn.refused = Some(status);
    conn.state = State::Closed;
    if status == 503 {
        conn.credit(req::CON_S4);
        if !retry_after {
            conn.convict(FindingKind::WrongAnswer, req::CON_S4, at, "refused with 503 without `Retry-After`");
        }
    }
}

/// Across the connections of a trace: a refusal proves something only beside a connection that was served.
pub(crate) fn across(conns: &mut [&mut Conn]) {
    let served = conns.iter().any(|conn| conn.ready.is_some());
    for conn in conns.iter_mut().filter(|_| served) {
        if conn.refused == Some(400) {
            conn.credit(req::CON_S1);
        }
        let open = conn.open.as_ref().filter(|_| conn.ready.is_some());
        if open.is_some_and(|open| open.selected.as_deref() == Some(PROTOCOL)) {
            conn.credit(req::CON_1);
        }
        let unoffered = conn.open.as_ref().is_some_and(|open| open.offered.is_empty() && open.selected.is_none());
        if unoffered && conn.ready.is_some() {
            conn.credit(req::CON_S2);
        }
    }
}
