"""Outcomes and refusals as the framework's own errors. Owns the mapping, with the retryable bit; raises nothing itself.

No text here holds a credential, a header or a URL's query. Spec: SEC-C1.
"""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from .outcome import Outcome

# What the close code of each error code says, as an HTTP status. Spec: the table of section 9.2.
_STATUS = {
    "bad_message": 400,
    "config_timeout": 408,
    "forbidden": 403,
    "going_away": 503,
    "idle_timeout": 408,
    "internal": 500,
    "invalid_config": 400,
    "invalid_state": 409,
    "max_duration": 408,
    "message_too_large": 413,
    "overloaded": 503,
    "quota_exceeded": 402,
    "rate_limited": 429,
    "unauthenticated": 401,
    "unknown_model": 404,
    "unsupported_audio": 422,
    "unsupported_option": 422,
}
_CONNECTION_CODES = frozenset({"closed", "closed_before_ready", "connection_lost"})
_TIMEOUT_CODES = frozenset({"drain_timeout", "ready_timeout"})


def of_outcome(outcome: Outcome, *, session_id: str | None, may_retry: bool) -> APIError:
    """The error for an outcome that is not complete. ``may_retry`` is false after the sentinel. Spec: REC-C3."""
    retryable = outcome.retryable and may_retry
    text = f"{outcome.code}: {outcome.message}" if outcome.message else outcome.code
    if outcome.code in _TIMEOUT_CODES:
        return APITimeoutError(text, retryable=retryable)
    if outcome.code in _CONNECTION_CODES:
        return APIConnectionError(text, retryable=retryable)
    body = {"code": outcome.code, "retryable": outcome.retryable, "retry_after_ms": outcome.retry_after_ms}
    if outcome.kind != "error":
        return APIError(text, body=body, retryable=retryable)
    return of_code(outcome.code, text, body=body, session_id=session_id, retryable=retryable)


def of_code(code: str, text: str, *, body: object, session_id: str | None, retryable: bool) -> APIStatusError:
    """The error for a code of the server's."""
    status = _STATUS.get(code, -1)
    error = APIStatusError(text, status_code=status, request_id=session_id, body=body, retryable=retryable)
    # The class guesses the bit from some statuses; the server said it. Spec: ERR-1.
    error.retryable = retryable
    return error


def of_refusal(status: int) -> APIError:
    """The error for an upgrade that was answered with an HTTP status."""
    if status == 101:
        return APIError("the server did not agree to `lastword.v1`", retryable=False)
    why = {401: ": the credentials are missing or wrong", 404: ": there is nothing at this path"}.get(status, "")
    retryable = status in (408, 425, 429) or status >= 500
    error = APIStatusError(f"the server refused the connection{why}", status_code=status, retryable=retryable)
    error.retryable = retryable
    return error
