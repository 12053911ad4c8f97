//! Opening a connection (CON).

use lastword_spec::PROTOCOL;
use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::table::State;
use lastword_spec::trace::{Open, Shown};

use crate::bounds::us;
use crate::conn::{At, Conn, Control};
use crate::rules::release::Record;

/// The upgrade succeeded.
pub(crate) fn on_open(conn: &mut Conn, at: At, open: &Open) {
    conn.opened = Some(at);
    conn.open = Some(open.clone());
    conn.probe = open.probe.map(|probe| Record::new(probe, at));
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

/// An upgrade that the server refused, and what it had shown.
#[derive(Clone, Debug)]
pub(crate) struct UpgradeRefusal {
    pub(crate) at: At,
    pub(crate) status: u16,
    pub(crate) offered: Option<Vec<String>>,
    pub(crate) authorization: Option<Shown>,
}

impl UpgradeRefusal {
    /// Whether the status says that it is not the subprotocol that was refused: credentials, rate, room, or nothing at all.
    fn has_another_cause(&self) -> bool {
        matches!(self.status, 101 | 401 | 403 | 429 | 503) || self.authorization == Some(Shown::Wrong)
    }
}

/// The server refused the upgrade.
pub(crate) fn on_refused(conn: &mut Conn, refusal: UpgradeRefusal, retry_after: bool) {
    let (at, status) = (refusal.at, refusal.status);
    conn.refused = Some(status);
    conn.refusal = Some(refusal);
    conn.state = State::Closed;
    let offered = conn.refusal.as_ref().and_then(|refusal| refusal.offered.as_ref());
    if status == 101 && offered.is_none_or(|offered| offered.iter().any(|token| token == PROTOCOL)) {
        let text = "answered the upgrade with 101, and with no handshake of RFC 6455";
        conn.convict(FindingKind::WrongAnswer, req::CON_1, at, text);
    }
    if status == 503 {
        no_room(conn, at);
        conn.credit(req::CON_S4);
        if !retry_after {
            conn.convict(FindingKind::WrongAnswer, req::CON_S4, at, "refused with 503 without `Retry-After`");
        }
    }
}

/// What an earlier session held is free again so long after its end, in milliseconds. [REC-S2]
const FREE_AGAIN_MS: u64 = 5_000;

/// The subject says that it has no room for a session. Where there was nobody else for so long, it has not given back what an earlier
/// session held.
pub(crate) fn no_room(conn: &mut Conn, at: At) {
    let Some(for_ms) = conn.left_alone_ms.filter(|_| conn.ready.is_none()) else { return };
    // [REC-S2]
    if us(for_ms) > conn.scale.us(FREE_AGAIN_MS) {
        // It is said once, in whatever ways the subject says it.
        conn.left_alone_ms = None;
        let text = format!(
            "said that it has no room although nobody had had a session with it for {for_ms} ms: what an earlier one held was not given back"
        );
        conn.convict(FindingKind::WronglyRefused, req::REC_S2, at, text);
    }
}

/// Across the connections of a trace: a refusal proves something only beside a session that was served.
pub(crate) fn across(conns: &mut [&mut Conn], controls: &[Control]) {
    let served = conns.iter().any(|conn| conn.ready.is_some()) || controls.iter().any(Control::completed);
    for conn in conns.iter_mut().filter(|_| served) {
        if let Some(refusal) = conn.refusal.clone() {
            judge_refusal(conn, &refusal);
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

/// A refused upgrade, beside a connection that was served. A trace that does not note what was offered decides less.
fn judge_refusal(conn: &mut Conn, refusal: &UpgradeRefusal) {
    let (at, status) = (refusal.at, refusal.status);
    let strange = |offered: &[String]| !offered.is_empty() && !offered.iter().any(|token| token == PROTOCOL);
    match refusal.offered.as_deref() {
        None if status == 400 => conn.credit(req::CON_S1),
        Some(offered) if strange(offered) && status == 400 => conn.credit(req::CON_S1),
        None => {}
        Some(_) if refusal.has_another_cause() => {}
        Some(offered) if strange(offered) => {
            let text = format!("refused a subprotocol that it does not speak with HTTP {status} instead of 400");
            conn.convict(FindingKind::WrongAnswer, req::CON_S1, at, text);
        }
        Some([]) => {
            let text = format!("refused, with HTTP {status}, a client that offers no subprotocol");
            conn.convict(FindingKind::WronglyRefused, req::CON_S2, at, text);
        }
        Some(_) => {
            let text = format!("refused, with HTTP {status}, an upgrade that offers `lastword.v1`");
            conn.convict(FindingKind::WronglyRefused, req::CON_1, at, text);
        }
    }
}
