//! MSG-1 by comparison: the same messages whole and in several WebSocket frames, which the trace does not show. What goes wrong with the
//! pieces alone is the fault of a server that does not put them together, whatever else it looks like.

use lastword_spec::close::CloseCode;
use lastword_spec::finding::FindingKind;
use lastword_spec::requirements as req;
use lastword_spec::table::State;

use crate::conn::Conn;
use crate::report::Finding;

/// Compares the connection labelled `in pieces` with the one labelled `whole`.
pub(crate) fn across(conns: &mut [&mut Conn]) {
    let labelled = |label: &str| conns.iter().position(|conn| conn.label() == Some(label));
    let (Some(whole), Some(pieces)) = (labelled("whole"), labelled("in pieces")) else { return };
    if !conns[whole].completed() || conns[whole].has_findings() || conns[whole].abandoned {
        return;
    }
    let conn = &mut *conns[pieces];
    // [MSG-1]
    conn.lay_to(req::MSG_1, comes_of_pieces);
    if conn.convicted(req::MSG_1) {
        // Who never saw the message does not know that it owes anything.
        conn.retract(req::PRG_S1);
    }
    let by_library = |code: CloseCode| matches!(code, CloseCode::PROTOCOL_ERROR | CloseCode::INVALID_PAYLOAD);
    let closing = conn.server_close.filter(|closing| closing.code.is_some_and(by_library));
    if let Some(closing) = closing.filter(|_| conn.session_ended.is_none() && !conn.has_findings()) {
        let because: Vec<usize> = conn.client_last.iter().map(|at| at.event).collect();
        let text = "closed the connection over a message in several WebSocket frames, which it takes as a whole";
        conn.convict_with(FindingKind::ClosedWithoutEnd, req::MSG_1, closing.at, &because, text);
    }
}

/// Whether a message that was not put together looks like this. An end that never comes may have other reasons.
fn comes_of_pieces(finding: &Finding) -> bool {
    let refused = matches!(finding.kind, FindingKind::WronglyRefused | FindingKind::WrongAnswer);
    let unanswered =
        matches!(finding.kind, FindingKind::Stalled | FindingKind::Unanswered | FindingKind::ClosedWithoutEnd);
    refused || finding.requirement == req::END_S9 || unanswered && finding.state == State::Streaming
}
