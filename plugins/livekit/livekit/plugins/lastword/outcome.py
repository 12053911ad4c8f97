"""What a session tells its application, and how it can end. Owns the words; knows nothing of when each is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .messages import Error, Final, Partial, Ready, SessionEnded, SpeechEnded, SpeechStarted, Warning


@dataclass(frozen=True)
class FlushEnded:
    """Exactly one for each flush that was sent: it was answered, or it failed. Spec: FLU-C3."""

    id: str
    answered: bool


@dataclass(frozen=True)
class Violation:
    """The server broke the protocol; the session goes on as far as it can. Repeats nothing of the server's."""

    requirement: str
    fact: str


Event: TypeAlias = Ready | Partial | Final | SpeechStarted | SpeechEnded | Warning | Error | FlushEnded | Violation


@dataclass(frozen=True)
class Outcome:
    """How a session ended. Only ``complete`` is success. Spec: END-C7."""

    kind: Literal["complete", "error", "cancelled", "incomplete"]
    code: str
    """The server's error code or reason; or this side's word: ``connection_lost``, ``closed``, ``closed_before_ready``,
    ``ready_timeout``, ``drain_timeout``, ``ended_early``, ``not_complete``, ``contradiction``, ``audio_replaced``,
    ``no_connection``, ``misuse``."""
    message: str = ""
    retryable: bool = False
    """Whether the same thing may work on a new connection. Whether to try is not decided here. Spec: REC-C2, REC-C3."""
    retry_after_ms: int | None = None
    close_code: int | None = None
    """The server's close code, if its Close ended the session."""
    ended: SessionEnded | None = None


def outcome_of(error: Error, ended: SessionEnded | None) -> Outcome:
    """The outcome of a fatal error."""
    return Outcome("error", error.code, error.message, error.retryable, error.retry_after_ms, ended=ended)


# Closes after which the same thing fails again: the fault is the client's or the configuration's. Spec: REC-C2.
_FINAL_CLOSES = frozenset({1002, 1003, 1007, 1009, 4400, 4401, 4402, 4403, 4404, 4409, 4422})


def may_redial(code: int | None) -> bool:
    """Whether a Close with this code says nothing against another attempt."""
    return code not in _FINAL_CLOSES
