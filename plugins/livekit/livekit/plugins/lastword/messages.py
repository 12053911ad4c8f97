"""What a server says, as types, and how text becomes them. Owns the form of messages and none of their order.

It must not know sockets, clocks or LiveKit. Text from a server is never trusted: whatever it is, the answer is a
message, :class:`Unknown` or :class:`MalformedError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

PROTOCOL = "lastword.v1"
MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 16


class MalformedError(ValueError):
    """A text that is no well-formed message. Its text repeats nothing of the peer's. Spec: MSG-1, MSG-2."""


@dataclass(frozen=True)
class Limits:
    """The bounds that hold in a session; before ``ready`` the defaults do. Spec: LIM-S1."""

    idle_timeout_ms: int = 30_000
    keepalive_interval_ms: int = 10_000
    ready_ms: int = 10_000
    flush_ms: int = 5_000
    drain_ms: int = 15_000
    close_ms: int = 2_000
    progress_interval_ms: int = 2_000
    max_step_ms: int = 30_000
    max_frame_bytes: int = 64_000
    max_text_bytes: int = 65_536
    max_session_ms: int = 3_600_000
    max_buffered_audio_ms: int = 30_000


# A limit below these would make a client spin or give up on a server that is right.
MINIMUM = Limits(1_000, 100, 1_000, 500, 1_000, 500, 100, 1_000, 32_000, 4_096, 60_000, 1_000)


@dataclass(frozen=True)
class Ready:
    """The session may start: what is in force. ``missing`` names required members that were left out."""

    session_id: str
    protocol: str
    limits: Limits
    encoding: str
    sample_rate_hz: int
    channels: int
    interim_results: bool
    vad_events: bool
    language: str | None
    model: str | None
    ignored: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Word:
    """One word of a result."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


@dataclass(frozen=True)
class Partial:
    """What an open segment sounds like so far."""

    segment_id: int
    text: str
    start_ms: int
    end_ms: int
    language: str | None
    words: tuple[Word, ...] | None


@dataclass(frozen=True)
class Final:
    """What a segment is. The text may be empty."""

    segment_id: int
    text: str
    start_ms: int
    end_ms: int
    confidence: float | None
    language: str | None
    speaker: str | None
    words: tuple[Word, ...] | None


@dataclass(frozen=True)
class SpeechStarted:
    """Speech began."""

    start_ms: int


@dataclass(frozen=True)
class SpeechEnded:
    """Speech ended. Comes before the final of that speech."""

    end_ms: int


@dataclass(frozen=True)
class Flushed:
    """Everything before the flush of this id has its final."""

    id: str


@dataclass(frozen=True)
class KeepaliveAck:
    """The server's session lives."""

    seq: int


@dataclass(frozen=True)
class Progress:
    """The server owes something and works on it."""

    seq: int
    audio_processed_ms: int


@dataclass(frozen=True)
class Warning:
    """Something the operator may want to know. Changes nothing."""

    code: str
    message: str


@dataclass(frozen=True)
class Error:
    """The server complains. A fatal one ends the session."""

    code: str
    message: str
    fatal: bool
    retryable: bool
    param: str | None = None
    id: str | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True)
class SessionEnded:
    """The last message of a session: the proof of completeness, if ``complete``."""

    reason: str
    complete: bool
    audio_received_ms: int
    audio_processed_ms: int
    rejected_frames: int
    finals: int


@dataclass(frozen=True)
class Unknown:
    """A message of a type that version 1 does not define, or that a client has no use for. Ignored. Spec: MSG-C1."""

    type: str


Message: TypeAlias = (
    Ready
    | Partial
    | Final
    | SpeechStarted
    | SpeechEnded
    | Flushed
    | KeepaliveAck
    | Progress
    | Warning
    | Error
    | SessionEnded
    | Unknown
)


def decode(text: str) -> Message:
    """The message in ``text``. Raises :class:`MalformedError` for everything else."""
    body = _Body(_parse(text))
    kind = body.string("type")
    read = _READERS.get(kind)
    return read(body) if read is not None else Unknown(kind)


def encode(kind: str, **members: object) -> str:
    """A message as text; members that are ``None`` are left out."""
    present = {name: value for name, value in members.items() if value is not None}
    return json.dumps({"type": kind, **present}, ensure_ascii=False, separators=(",", ":"))


class _Body:
    """Typed access to the members of one object. A null counts as absent."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = {name: value for name, value in members.items() if value is not None}
        self.missing: list[str] = []

    def _get(self, name: str, kinds: tuple[type, ...]) -> Any:
        value = self._members.get(name)
        # In Python a bool is an int; on the wire it is not.
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise MalformedError(f"`{name}` has the wrong type")
        return value

    def _need(self, name: str, value: Any) -> Any:
        if value is None:
            raise MalformedError(f"`{name}` is missing")
        return value

    def optional_string(self, name: str) -> str | None:
        value: str | None = self._get(name, (str,))
        return value

    def string(self, name: str) -> str:
        value: str = self._need(name, self.optional_string(name))
        return value

    def optional_integer(self, name: str, minimum: int = 0) -> int | None:
        value: int | None = self._get(name, (int,))
        if value is not None and value < minimum:
            raise MalformedError(f"`{name}` is below {minimum}")
        return value

    def integer(self, name: str, minimum: int = 0) -> int:
        value: int = self._need(name, self.optional_integer(name, minimum))
        return value

    def boolean(self, name: str) -> bool:
        value: bool = self._need(name, self._get(name, (bool,)))
        return value

    def probability(self, name: str) -> float | None:
        value = self._get(name, (int, float))
        if value is not None and not 0 <= value <= 1:
            raise MalformedError(f"`{name}` is no probability")
        return None if value is None else float(value)

    def object(self, name: str) -> _Body | None:
        value = self._get(name, (dict,))
        return None if value is None else _Body(value)

    def strings(self, name: str) -> tuple[str, ...]:
        values = self._get(name, (list,)) or []
        if not all(isinstance(value, str) for value in values):
            raise MalformedError(f"`{name}` holds what is no string")
        return tuple(values)

    def words(self, name: str) -> tuple[Word, ...] | None:
        values = self._get(name, (list,))
        if values is None:
            return None
        if not all(isinstance(value, dict) for value in values):
            raise MalformedError(f"`{name}` holds what is no object")
        return tuple(
            Word(word.string("text"), word.integer("start_ms"), word.integer("end_ms"), word.probability("confidence"))
            for word in map(_Body, values)
        )


def _ready(body: _Body) -> Ready:
    """Lenient where the rest is strict: what is left out has its default and is named. Spec: LIM-S1, CFG-S3."""
    missing: list[str] = []

    def default(path: str, value: Any, instead: Any) -> Any:
        if value is None:
            missing.append(path)
        return instead if value is None else value

    config = default("config", body.object("config"), _Body({}))
    audio = default("config.audio", config.object("audio"), _Body({}))
    given = default("limits", body.object("limits"), _Body({}))
    limits = {
        field.name: default(f"limits.{field.name}", given.optional_integer(field.name), field.default)
        for field in fields(Limits)
    }
    return Ready(
        session_id=default("session_id", body.optional_string("session_id"), ""),
        protocol=default("protocol", body.optional_string("protocol"), ""),
        limits=Limits(**limits),
        encoding=default("config.audio.encoding", audio.optional_string("encoding"), "pcm_s16le"),
        sample_rate_hz=default("config.audio.sample_rate_hz", audio.optional_integer("sample_rate_hz", 1), 16_000),
        channels=default("config.audio.channels", audio.optional_integer("channels", 1), 1),
        interim_results=default("config.interim_results", config._get("interim_results", (bool,)), True),
        vad_events=default("config.vad_events", config._get("vad_events", (bool,)), False),
        language=config.optional_string("language"),
        model=config.optional_string("model"),
        ignored=body.strings("ignored"),
        missing=tuple(missing),
    )


def _partial(body: _Body) -> Partial:
    body.integer("channel")
    body.integer("revision")
    return Partial(
        segment_id=body.integer("segment_id"),
        text=body.string("text"),
        start_ms=body.integer("start_ms"),
        end_ms=body.integer("end_ms"),
        language=body.optional_string("language"),
        words=body.words("words"),
    )


def _final(body: _Body) -> Final:
    body.integer("channel")
    return Final(
        segment_id=body.integer("segment_id"),
        text=body.string("text"),
        start_ms=body.integer("start_ms"),
        end_ms=body.integer("end_ms"),
        confidence=body.probability("confidence"),
        language=body.optional_string("language"),
        speaker=body.optional_string("speaker"),
        words=body.words("words"),
    )


def _error(body: _Body) -> Error:
    return Error(
        code=body.string("code"),
        message=body.string("message"),
        fatal=body.boolean("fatal"),
        retryable=body.boolean("retryable"),
        param=body.optional_string("param"),
        id=body.optional_string("id"),
        retry_after_ms=body.optional_integer("retry_after_ms"),
    )


def _session_ended(body: _Body) -> SessionEnded:
    return SessionEnded(
        reason=body.string("reason"),
        complete=body.boolean("complete"),
        audio_received_ms=body.integer("audio_received_ms"),
        audio_processed_ms=body.integer("audio_processed_ms"),
        rejected_frames=body.integer("rejected_frames"),
        finals=body.integer("finals"),
    )


_READERS: dict[str, Callable[[_Body], Message]] = {
    "ready": _ready,
    "partial": _partial,
    "final": _final,
    "speech_started": lambda body: SpeechStarted(body.integer("start_ms")),
    "speech_ended": lambda body: SpeechEnded(body.integer("end_ms")),
    "flushed": lambda body: Flushed(body.string("id")),
    "keepalive_ack": lambda body: KeepaliveAck(body.integer("seq")),
    "progress": lambda body: Progress(body.integer("seq", 1), body.integer("audio_processed_ms")),
    "warning": lambda body: Warning(body.string("code"), body.string("message")),
    "error": _error,
    "session_ended": _session_ended,
}


def _parse(text: str) -> dict[str, Any]:
    """I-JSON: one object, no name twice, safe integers, bounded depth, no lone surrogates. Spec: MSG-2."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_constant)
    except MalformedError:
        raise
    except (ValueError, RecursionError):
        raise MalformedError("no JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("no object")
    _check(value, 1)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a name stands twice in an object")
    return members


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= 17 else MAX_SAFE_INTEGER + 1
    if abs(value) > MAX_SAFE_INTEGER:
        raise MalformedError("an integer is out of range")
    return value


def _no_constant(_name: str) -> None:
    raise MalformedError("a number is not finite")


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedError("a lone surrogate") from None
        return
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise MalformedError("nested too deeply")
    if isinstance(value, dict):
        for name in value:
            _check(name, depth)
    for item in value.values() if isinstance(value, dict) else value:
        _check(item, depth + 1)
