//! How a session ends: the reasons in `session_ended` and the WebSocket close codes. Owns the rule that maps one to the
//! other; it knows nothing of when a close is legal.

use std::fmt;

use crate::error_code::{ErrorCode, error_code_spec};
use crate::message::vocabulary::open_vocabulary;

open_vocabulary! {
    /// Why a session ended: one of the four below, or the code of the fatal `error` that ended it.
    pub struct EndReason {
        /// The client ended its stream, and everything owed was sent.
        COMPLETED = "completed",
        /// The client sent nothing for `idle_timeout_ms`.
        IDLE_TIMEOUT = "idle_timeout",
        /// The session reached `max_session_ms`.
        MAX_DURATION = "max_duration",
        /// The server shuts down.
        GOING_AWAY = "going_away",
    }
}

impl From<ErrorCode> for EndReason {
    fn from(code: ErrorCode) -> Self {
        Self::from(code.as_str())
    }
}

impl From<&ErrorCode> for EndReason {
    fn from(code: &ErrorCode) -> Self {
        Self::from(code.as_str())
    }
}

/// The code with which a server closes a session that ended for `reason`: 1000 if and only if it is `completed`. `None`
/// for a reason this version does not define, and for the code of an error that never ends a session.
#[must_use]
pub fn close_code_for(reason: &EndReason) -> Option<CloseCode> {
    if *reason == EndReason::COMPLETED {
        return Some(CloseCode::NORMAL);
    }
    error_code_spec(reason.as_str()).and_then(|spec| spec.close)
}

/// A WebSocket close code (RFC 6455 section 7.4). Any number survives; the constants are those this protocol uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the session completed, or the client cancels.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server shuts down.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the WebSocket protocol, or a client will not go on after a violation.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1005: the Close carried no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: a text message was not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1009: a message was larger than the limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL: Self = Self(1011);
    /// 1013: the server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 4400: a message or a configuration that makes no sense.
    pub const BAD_REQUEST: Self = Self(4400);
    /// 4401: no valid credentials.
    pub const UNAUTHENTICATED: Self = Self(4401);
    /// 4402: the quota is used up.
    pub const QUOTA_EXCEEDED: Self = Self(4402);
    /// 4403: the credentials do not allow this.
    pub const FORBIDDEN: Self = Self(4403);
    /// 4404: no such model.
    pub const NOT_FOUND: Self = Self(4404);
    /// 4408: the client kept silent for too long.
    pub const TIMEOUT: Self = Self(4408);
    /// 4409: a message that is not legal in this state, where that ended the session.
    pub const CONFLICT: Self = Self(4409);
    /// 4410: the session reached its greatest length.
    pub const MAX_DURATION: Self = Self(4410);
    /// 4422: well-formed, but not served.
    pub const UNPROCESSABLE: Self = Self(4422);
    /// 4429: too many sessions or requests.
    pub const RATE_LIMITED: Self = Self(4429);
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}
