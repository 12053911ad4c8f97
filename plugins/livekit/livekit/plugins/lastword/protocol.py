"""The client's side of one ``lastword.v1`` session as a state machine: messages and times in, messages and events out.

Owns what is legal when, every timer, and the outcome. It must not know sockets, tasks or LiveKit: the time is an
argument, in seconds of any clock that does not go back.

To drive it: give every message, the loss of the connection and the passing of :meth:`Session.deadline` to it; send what
:meth:`Session.poll_message` gives and say :meth:`Session.transmitted` when the transport took it; take the events. Once
:attr:`Session.outcome` is there, send a Close with :attr:`Session.close_code` and forget the session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal

from .ledger import Bound, Finals, OpenFlush
from .messages import (
    MINIMUM,
    PROTOCOL,
    Error,
    Final,
    Flushed,
    KeepaliveAck,
    Limits,
    MalformedError,
    Message,
    Partial,
    Progress,
    Ready,
    SessionEnded,
    SpeechEnded,
    SpeechStarted,
    Unknown,
    Warning,
    decode,
    encode,
)
from .outcome import Event, FlushEnded, Outcome, Violation, may_redial, outcome_of
from .queue import SAMPLE_RATE_HZ, End, Flush, Queue, bytes_to_ms

NORMAL_CLOSE = 1000
PROTOCOL_ERROR_CLOSE = 1002
# The longest that `ready` may take, progress or not. Spec: CON-C2.
READY_CAP_S = 60.0
MAX_OPEN_SEQS = 16


class State(Enum):
    """Where a session stands, as the client sees it."""

    AWAIT_CONFIG = "AwaitConfig"
    CONFIGURING = "Configuring"
    STREAMING = "Streaming"
    DRAINING = "Draining"
    FAILING = "Failing"
    ENDED = "Ended"


class Session:
    """One session on one connection, which is open and upgraded. ``config`` holds the members of the first message."""

    def __init__(self, config: dict[str, Any], queue: Queue, now: float, *, ready_ms: int = Limits.ready_ms) -> None:
        self.outcome: Outcome | None = None
        self.close_code = NORMAL_CLOSE
        self.limits = Limits()
        self.sent_bytes = 0
        self.sentinel_sent = False
        self.became_ready_at: float | None = None
        self._config = config
        self._queue = queue
        self._state = State.AWAIT_CONFIG
        self._events: deque[Event] = deque()
        self._in_flight: Literal["config", "audio", "keepalive", "end"] | Flush | None = None
        self._ready_s = ready_ms / 1_000
        self._ready_bound = Bound(READY_CAP_S, now + READY_CAP_S)
        self._drain_bound: Bound | None = None
        self._flushes: deque[OpenFlush] = deque()
        self._finals = Finals()
        self._fatal: Error | None = None
        self._fatal_at = now
        self._received_at = now
        self._active_at = now
        self._moved_at = now
        self._probed_at: float | None = None
        self._keepalive: str | None = None
        self._next_seq = 1
        self._open_seqs: deque[int] = deque(maxlen=MAX_OPEN_SEQS)
        self._progress_seq = 0
        self._processed_ms = 0
        self._interim_results = True
        self._vad_events = False

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def open_flushes(self) -> int:
        """Flushes that were sent and wait for their answer."""
        return len(self._flushes)

    @property
    def close_s(self) -> float:
        """How long the closing handshake may take. Spec: CLO-C4."""
        return self.limits.close_ms / 1_000

    # -- What goes out.

    def poll_event(self) -> Event | None:
        """The next event for the application."""
        return self._events.popleft() if self._events else None

    def poll_message(self) -> str | bytes | None:
        """The next message for the transport: text, or audio. One at a time: the one path out. Spec: END-C6."""
        if self._in_flight is not None:
            return None
        if self._state is State.AWAIT_CONFIG:
            # [CFG-C1]
            self._state, self._in_flight = State.CONFIGURING, "config"
            return encode("config", **self._config)
        if self._state is not State.STREAMING:
            # [CFG-C2] [END-C6] [KA-C3]
            return None
        if self._keepalive is not None:
            keepalive, self._keepalive = self._keepalive, None
            self._in_flight = "keepalive"
            return keepalive
        # [LIM-C1]
        item = self._queue.take(self.limits.max_frame_bytes)
        if isinstance(item, Flush):
            self._flushes.append(OpenFlush(item.id))
            self._in_flight = item
            return encode("flush", id=item.id)
        if isinstance(item, End):
            # [END-C1] [STA-C1]
            self._state, self._in_flight, self.sentinel_sent = State.DRAINING, "end", True
            return encode("end_of_stream")
        if item is not None:
            self.sent_bytes += len(item)
            self._in_flight = "audio"
        return item

    def deadline(self) -> float | None:
        """When to call :meth:`timeout` at the latest. May change with every input and every output."""
        return min((at for at, _ in self._timers()), default=None)

    # -- What comes in. Once the outcome is there, nothing has an effect any more.

    def transmitted(self, now: float) -> None:
        """The transport took the last message. The clocks that it starts run from here."""
        sent, self._in_flight = self._in_flight, None
        if sent == "config":
            self._ready_bound = Bound(self._ready_s, now + min(self._ready_s, READY_CAP_S), now + READY_CAP_S)
        elif sent in ("audio", "keepalive"):
            self._active_at = now
        elif isinstance(sent, Flush):
            for flush in self._flushes:
                if flush.id == sent.id:
                    flush.bound = self._bound(now, self.limits.flush_ms)
                    self._moved_at = now
        elif sent == "end" and self._state is State.DRAINING:
            # [END-C4] [END-C5]
            self._drain_bound = self._bound(now, self.limits.drain_ms)
            self._moved_at = now

    def receive_text(self, now: float, text: str) -> None:
        """A text message came. Whatever it is, the session takes it. Spec: SEC-C2, MSG-C1."""
        if self.outcome is not None:
            return
        self._heard(now)
        try:
            message = decode(text)
        except MalformedError as error:
            self._violation("MSG-2", f"the server sent a text message that is no message: {error}")
            return
        self._dispatch(now, message)

    def receive_binary(self, now: float) -> None:
        """A binary message came, which no server may send."""
        if self.outcome is None:
            self._heard(now)
            self._violation("MSG-1", "the server sent a binary message")

    def closed(self, now: float, code: int | None) -> None:
        """The server's Close came. Without `session_ended` it is never success. Spec: END-C5, CLO-C2."""
        if self._state in (State.AWAIT_CONFIG, State.CONFIGURING):
            text = f"the server closed before `ready` without an error (close code {code})"
            self._end(Outcome("error", "closed_before_ready", text, may_redial(code), close_code=code))
        elif self._fatal is not None:
            self._end(outcome_of(self._fatal, None))
        else:
            text = f"the server closed without `session_ended` (close code {code})"
            self._end(Outcome("incomplete", "closed", text, may_redial(code), close_code=code))

    def lost(self, now: float, why: str) -> None:
        """The connection ended without a Close, or a message could not be sent. Spec: ERR-C3, KA-C5."""
        if self._fatal is not None:
            self._end(outcome_of(self._fatal, None))
        elif self._state in (State.AWAIT_CONFIG, State.CONFIGURING):
            self._end(Outcome("error", "closed_before_ready", f"connection lost before `ready`: {why}", True))
        else:
            self._end(Outcome("incomplete", "connection_lost", f"connection lost: {why}", True))

    def cancel(self) -> None:
        """The application does not want the rest. An error that came first stays the outcome. Spec: CLO-C3, END-C7."""
        if self._fatal is not None:
            self._end(outcome_of(self._fatal, None))
        self._end(Outcome("cancelled", "cancelled", "cancelled by the application"))

    def timeout(self, now: float) -> None:
        """Time has passed: the timer that is due longest fires, if one is. One a call, as it may move the others."""
        at, act = min(self._timers(), key=lambda timer: timer[0], default=(float("inf"), None))
        if act is not None and at <= now:
            act(now)

    # -- Timers. Each is one line, and one requirement.

    def _timers(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        idle_s = self.limits.idle_timeout_ms / 1_000
        if self._state in (State.AWAIT_CONFIG, State.CONFIGURING):
            # [CON-C2]
            yield self._ready_bound.at, self._give_up_on_ready
        elif self._state is State.STREAMING:
            # [KA-C1] None is due while the transport takes nothing.
            if self._in_flight is None and self._keepalive is None:
                yield self._active_at + self.limits.keepalive_interval_ms / 1_000, self._keepalive_due
            # [KA-C4]
            if self._probed_at is None:
                yield self._received_at + idle_s, self._probe
            else:
                yield self._probed_at + idle_s, self._give_up_on_silence
            # [FLU-C3]
            for flush in self._flushes:
                if flush.bound is not None and not flush.failed:
                    yield flush.bound.at, self._give_up_on_flush
                    break
        elif self._state is State.DRAINING:
            # [END-C5]
            if self._drain_bound is not None:
                yield self._drain_bound.at, self._give_up_on_drain
            else:
                # The transport does not take the sentinel: the bound of a server that fell silent.
                yield self._received_at + 2 * idle_s, self._give_up_on_silence
        elif self._state is State.FAILING:
            # [ERR-C1]
            yield self._fatal_at + self.close_s, self._give_up_after_error

    def _give_up_on_ready(self, _now: float) -> None:
        text = "the server sent neither `ready` nor an error in time"
        self._give_up(Outcome("error", "ready_timeout", text, True))

    def _give_up_on_silence(self, _now: float) -> None:
        text = "connection lost: the server fell silent and did not answer a keepalive"
        self._give_up(Outcome("incomplete", "connection_lost", text, True))

    def _give_up_on_drain(self, _now: float) -> None:
        text = "the server did not end the session in time after `end_of_stream`"
        self._give_up(Outcome("incomplete", "drain_timeout", text))

    def _give_up_on_flush(self, now: float) -> None:
        for flush in self._flushes:
            if not flush.failed and flush.bound is not None and flush.bound.at <= now:
                flush.failed = True
                self._violation("FLU-S2", "the server sent no `flushed` in time")
                self._events.append(FlushEnded(flush.id, answered=False))

    def _give_up_after_error(self, _now: float) -> None:
        if self._fatal is not None:
            self._end(outcome_of(self._fatal, None))

    def _keepalive_due(self, now: float) -> None:
        interval_s = self.limits.keepalive_interval_ms / 1_000
        probe_at = self._received_at + self.limits.idle_timeout_ms / 1_000
        # One keepalive that asks, instead of two that follow each other closely. [KA-C2]
        if self._probed_at is None and now + interval_s / 4 >= probe_at:
            self._probe(now)
        else:
            self._active_at = now
            self._keepalive = encode("keepalive")

    def _probe(self, now: float) -> None:
        self._probed_at = self._active_at = now
        self._keepalive = encode("keepalive", seq=self._next_seq)
        self._open_seqs.append(self._next_seq)
        self._next_seq += 1

    # -- Messages.

    def _dispatch(self, now: float, message: Message) -> None:
        if isinstance(message, Unknown):
            return
        if self._state is State.FAILING and not isinstance(message, SessionEnded):
            self._violation("ERR-S3", "the server sent a message after its fatal error")
        elif isinstance(message, Error):
            self._error(now, message)
        elif isinstance(message, Warning):
            self._events.append(message)
        elif isinstance(message, Progress):
            self._progress(now, message)
        elif isinstance(message, Ready):
            self._ready(now, message)
        elif self._state in (State.AWAIT_CONFIG, State.CONFIGURING):
            self._violation("CFG-S2", "the server sent a message before `ready` that may only follow it")
        elif isinstance(message, Partial):
            self._partial(message)
        elif isinstance(message, Final):
            self._final(now, message)
        elif isinstance(message, SpeechStarted | SpeechEnded):
            if self._vad_events:
                self._events.append(message)
            else:
                self._violation("VAD-S2", "the server sent a speech event although `vad_events` is false")
        elif isinstance(message, Flushed):
            self._flushed(now, message)
        elif isinstance(message, KeepaliveAck):
            self._acknowledged(message)
        else:
            self._session_ended(message)

    def _ready(self, now: float, ready: Ready) -> None:
        if self._state is not State.CONFIGURING:
            self._violation("CFG-S2", "the server sent a second `ready`, or one that no `config` asked for")
            return
        if ready.missing:
            self._violation("LIM-S1", "`ready` lacks members")
        if ready.protocol != PROTOCOL:
            self._violation("VER-1", f"`ready.protocol` is not `{PROTOCOL}`")
        usable = {name: max(value, getattr(MINIMUM, name)) for name, value in vars(ready.limits).items()}
        self.limits = Limits(**usable)
        if self.limits != ready.limits:
            self._violation("LIM-S1", "a limit in `ready.limits` is below its minimum")
        self._state = State.STREAMING
        self._active_at = self._moved_at = self.became_ready_at = now
        self._interim_results, self._vad_events = ready.interim_results, ready.vad_events
        self._events.append(ready)
        if (ready.encoding, ready.sample_rate_hz, ready.channels) != ("pcm_s16le", SAMPLE_RATE_HZ, 1):
            # [CFG-S6] What it would say about this audio would be noise.
            self._violation("CFG-S6", "`ready.config.audio` is not the format that was asked for")
            text = "the server put another audio format in force than was asked for"
            self._give_up(Outcome("incomplete", "audio_replaced", text))

    def _partial(self, partial: Partial) -> None:
        if partial.segment_id in self._finals:
            self._violation("FIN-S1", "the server sent a partial after the final of its segment")
        elif not partial.text:
            self._violation("FIN-S5", "the server sent a partial without text")
        elif not self._interim_results:
            self._violation("FIN-S6", "the server sent a partial although `interim_results` is false")
        else:
            self._events.append(partial)

    def _final(self, now: float, final: Final) -> None:
        self._finals.received += 1
        if final.segment_id in self._finals:
            # [FIN-C1]
            self._violation("FIN-S1", "the server sent a second final for a segment")
            return
        self._finals.add(final.segment_id)
        self._moved(now)
        self._events.append(final)

    def _flushed(self, now: float, flushed: Flushed) -> None:
        flush = next((flush for flush in self._flushes if flush.id == flushed.id), None)
        if flush is None:
            self._violation("FLU-S5", "the server sent a `flushed` for an id that no open flush has")
            return
        if flush is not self._flushes[0]:
            self._violation("FLU-S2", "the server answered a later flush before an earlier one")
        self._flushes.remove(flush)
        self._moved(now)
        if not flush.failed:
            self._events.append(FlushEnded(flush.id, answered=True))

    def _acknowledged(self, ack: KeepaliveAck) -> None:
        if ack.seq not in self._open_seqs:
            self._violation("KA-S6", "the server sent a `keepalive_ack` for a `seq` that was not open")
            return
        while self._open_seqs.popleft() != ack.seq:
            pass

    def _progress(self, now: float, progress: Progress) -> None:
        if progress.seq != self._progress_seq + 1:
            self._violation("PRG-S2", "`progress.seq` did not rise by one")
        if progress.audio_processed_ms < self._processed_ms:
            self._violation("PRG-S3", "`progress.audio_processed_ms` fell")
        repeated = progress.seq <= self._progress_seq
        self._progress_seq = max(self._progress_seq, progress.seq)
        if progress.audio_processed_ms > self._processed_ms:
            self._processed_ms = progress.audio_processed_ms
            self._moved(now)
            return
        # One step of the engine may take `max_step_ms`; before `ready` there is no audio to advance in.
        stands_still = now > self._moved_at + self.limits.max_step_ms / 1_000
        if not repeated and (self._state is State.CONFIGURING or not stands_still):
            self._extend_bounds(now)

    def _error(self, now: float, error: Error) -> None:
        # [ERR-C1] [ERR-C2] Every one is told.
        self._events.append(error)
        if not error.fatal:
            flush = next((flush for flush in self._flushes if flush.id == error.id), None)
            if flush is not None:
                self._flushes.remove(flush)
                if not flush.failed:
                    self._events.append(FlushEnded(flush.id, answered=False))
        elif self._state in (State.AWAIT_CONFIG, State.CONFIGURING):
            self._end(outcome_of(error, None))
        else:
            # `session_ended` should follow, within `close_ms`.
            self._state, self._fatal, self._fatal_at, self._keepalive = State.FAILING, error, now, None

    def _session_ended(self, ended: SessionEnded) -> None:
        """The one proof of completeness. The socket need not close. Spec: END-C3, END-C7, END-C8."""
        if self._fatal is not None:
            self._end(outcome_of(self._fatal, ended))
            return
        sent_ms = bytes_to_ms(self.sent_bytes)
        counted = (ended.audio_received_ms, ended.audio_processed_ms, ended.finals)
        if self._state is not State.DRAINING:
            if ended.complete or ended.reason == "completed":
                self._violation("END-S10", "`session_ended` says completed before the sentinel")
            code, text = "ended_early", f"the server ended the session before the client did: {ended.reason}"
        elif ended.complete and (ended.reason != "completed" or ended.rejected_frames > 0):
            self._violation("END-S8", "`session_ended` says complete and contradicts itself")
            code, text = "contradiction", "the server's account contradicts itself"
        elif ended.audio_received_ms > sent_ms or (
            ended.complete and counted != (sent_ms, sent_ms, self._finals.received)
        ):
            self._violation("END-S9", "the counters of `session_ended` contradict what this side sent and received")
            code, text = "contradiction", "the server's account contradicts what was sent and received"
        elif not ended.complete:
            code, text = "not_complete", f"the server says that the transcript is not complete: {ended.reason}"
        else:
            self._end(Outcome("complete", ended.reason, ended=ended))
            return
        self._end(Outcome("incomplete", code, text, ended=ended))

    # -- Small parts.

    def _heard(self, now: float) -> None:
        self._received_at = now
        self._probed_at = None

    def _moved(self, now: float) -> None:
        self._moved_at = now
        self._extend_bounds(now)

    def _extend_bounds(self, now: float) -> None:
        # [PRG-C1]
        bounds = [self._ready_bound, self._drain_bound, *(flush.bound for flush in self._flushes)]
        for bound in bounds:
            if bound is not None:
                bound.restart(now)

    def _bound(self, now: float, ms: int) -> Bound:
        return Bound(ms / 1_000, now + ms / 1_000)

    def _violation(self, requirement: str, fact: str) -> None:
        self._events.append(Violation(requirement, fact))

    def _give_up(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.close_code = PROTOCOL_ERROR_CLOSE
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        """The one place that tells the outcome; open flushes fail."""
        if self.outcome is not None:
            return
        self._events.extend(FlushEnded(flush.id, answered=False) for flush in self._flushes if not flush.failed)
        self._flushes.clear()
        self._keepalive = None
        self._state = State.ENDED
        self.outcome = outcome
