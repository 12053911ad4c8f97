"""One stream: the framework's channels on one side, a session on a WebSocket on the other.

Owns the socket and the tasks. What is legal when, and every timer, is the session's (``protocol``): decided there and
only carried out here. Three tasks read, write and take the input; the main loop keeps the time. None of them is waited
for at the end: the outcome ends the stream, and then they are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APITimeoutError, stt, utils

from . import errors
from .frames import mono
from .log import logger
from .messages import PROTOCOL, Error, Final, Partial, Ready, SpeechEnded, SpeechStarted, Warning
from .options import Options
from .outcome import FlushEnded, Outcome, Violation
from .protocol import Session
from .queue import BYTES_PER_SECOND, SAMPLE_RATE_HZ, Queue
from .translate import Translator

if TYPE_CHECKING:
    from .stt import STT

# Connecting and upgrading together. Spec: CON-C1.
CONNECT_CAP_S = 10.0
# All attempts of one series together. Spec: REC-C1.
REDIAL_CAP_S = 120.0
# Untaken events: nobody can be waiting for them any more.
MAX_UNTAKEN_EVENTS = 65_536
MAX_OPEN_FLUSHES = 64
USAGE_INTERVAL_S = 5.0
# No message of a server is near this.
MAX_MESSAGE_BYTES = 16 << 20


class BufferFullError(RuntimeError):
    """A push or a flush that was not taken: too much waits to be sent. Nothing of it was sent."""


class SpeechStream(stt.RecognizeStream):
    """A stream of speech to a Lastword server.

    It always ends, by itself: after :meth:`end_input` with the last event when the server has confirmed that nothing
    was lost, and in every other case with an exception of the framework's. :attr:`outcome` says how. Nothing is dialled
    again once the sentinel has been sent.
    """

    def __init__(self, *, stt: STT, options: Options, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=stt, conn_options=conn_options, sample_rate=SAMPLE_RATE_HZ)
        self.outcome: Outcome | None = None
        """How the stream ended; ``None`` while it lives."""
        self._lastword = stt
        self._options = options
        self._queue = Queue()
        self._session: Session | None = None
        self._translator = Translator(options)
        # Set by whatever changes the session, for those who act on it.
        self._news = asyncio.Event()
        self._to_send = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._pushed_s = 0.0
        self._open_flushes = 0
        self._overflow = False
        self._cancelled = False
        self._untaken = 0
        self._told_violations: set[str] = set()
        self._base_offset_s: float | None = None
        self._sentinel_sent = False
        self._gap = False
        self._failures = 0
        self._failing_since: float | None = None
        self._retry_after_s = 0.0
        self._usage_s = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    # -- The application's side.

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Takes audio to be recognized, of any rate; channels are mixed to one.

        Raises :class:`BufferFullError` when ``buffer_s`` of audio waits already, and then the stream ends with an error
        too, since its transcript could not be whole. Who pushes faster than the server reads awaits
        :meth:`wait_for_room` before each frame.
        """
        self._check_input_not_ended()
        self._check_not_closed()
        if self._waiting_s() + frame.duration > self._options.buffer_s:
            self._overflow = True
            self._changed()
            raise BufferFullError(f"{self._options.buffer_s} s of audio wait to be sent: await `wait_for_room()`")
        super().push_frame(mono(frame))
        self._pushed_s += frame.duration
        if self._waiting_s() > self._options.buffer_s / 2:
            self._room.clear()

    async def wait_for_room(self) -> None:
        """Returns when half of the buffer is free, or the stream has ended."""
        while not self._task.done() and not self._room.is_set():
            waiting = asyncio.ensure_future(self._room.wait())
            try:
                await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()

    def flush(self) -> None:
        """Asks for the finals of all audio pushed so far; the stream goes on. Never an end. Spec: FLU-C1, FLU-C2."""
        if self._open_flushes >= MAX_OPEN_FLUSHES and not self._input_ch.closed:
            raise BufferFullError(f"{MAX_OPEN_FLUSHES} flushes wait for their answer")
        super().flush()
        self._open_flushes += 1

    def end_input(self) -> None:
        """No more audio will come. A second time, or after the end, nothing happens. Spec: END-C2, CLO-C3."""
        if self._input_ch.closed:
            return
        if self._event_ch.closed:
            self._input_ch.close()
            return
        # As the base class does, without a flush: what the resampler still holds, and the end. [AUD-C3] [FLU-C2]
        if self._resampler is not None:
            for frame in self._resampler.flush():
                self._input_ch.send_nowait(frame)
        self._input_ch.close()

    async def aclose(self) -> None:
        """Cancels what has not ended: a Close, within its bound, and no task left. Idempotent."""
        if not self._cancelled and not self._task.done():
            # Before the iterator ends by it: whoever iterates asks at once how it ended.
            self.outcome = self._outcome_of_cancelling()
        self._cancelled = True
        await super().aclose()
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _outcome_of_cancelling(self) -> Outcome:
        """An error that came first stays the outcome, and so does the proof that nothing is missing. Spec: END-C7."""
        if self._session is not None:
            self._session.cancel()
            outcome = self._session.outcome
            if outcome is not None and (outcome.kind == "error" or (outcome.kind == "complete" and not self._gap)):
                return self._redacted(outcome)
        return Outcome("cancelled", "cancelled", "cancelled by the application")

    async def __aenter__(self) -> SpeechStream:
        return self

    async def __anext__(self) -> stt.SpeechEvent:
        event = await super().__anext__()
        self._untaken -= 1
        return event

    # -- One attempt. The base class calls it again after an error that is retryable.

    async def _run(self) -> None:
        self.outcome = None
        try:
            if self._base_offset_s is None:
                self._base_offset_s = round(self.start_time_offset, 3)
            # Times go on behind the audio that was sent, whatever the clock on the wall says. Spec: TIM-C1.
            self.start_time_offset = self._base_offset_s + self._queue.taken_bytes / BYTES_PER_SECOND
            await self._back_off()
            ws = await self._dial()
            await self._converse(ws)
        except APIError as error:
            if self.outcome is None:
                self.outcome = Outcome("error", "no_connection", error.message, error.retryable)
            error.retryable = error.retryable and self._may_redial()
            raise

    async def _converse(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        session = self._new_session()
        self._session = session
        self._usage_s = 0.0
        try:
            await self._drive(ws, session)
        finally:
            # Only if the application cancelled, or by a defect of ours, is there no outcome yet.
            session.cancel()
            self._sentinel_sent = session.sentinel_sent
            self._tell_events(session)
            for told in self._translator.end():
                self._send(told)
            self._tell_usage(session, at_end=True)
            self._close(ws, session)
        self._conclude(session)

    def _new_session(self) -> Session:
        return Session(self._options.config(), self._queue, _now())

    async def _drive(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        """Until the session has its outcome; then nothing of it is left. Spec: END-C3, KA-C3."""
        self._news.set()
        self._to_send.set()
        tasks = [
            asyncio.create_task(self._read(ws, session), name="lastword.read"),
            asyncio.create_task(self._write(ws, session), name="lastword.write"),
            asyncio.create_task(self._feed(), name="lastword.feed"),
        ]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                self._tell_events(session)
                self._tell_usage(session)
                if session.outcome is not None:
                    return
                self._raise_what_failed(tasks)
                deadline = session.deadline()
                await self._wait_for_news(deadline)
                if deadline is not None and deadline <= _now():
                    session.timeout(_now())
                    self._changed()
        finally:
            await utils.aio.cancel_and_wait(*tasks)

    async def _wait_for_news(self, deadline: float | None) -> None:
        """Not by `asyncio.wait_for`, which before Python 3.12 loses a cancellation that meets a result."""
        if deadline is None:
            await self._news.wait()
            return
        timer = asyncio.get_running_loop().call_at(deadline, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def _raise_what_failed(self, tasks: list[asyncio.Task[None]]) -> None:
        misuse = None
        if self._overflow:
            misuse = "more audio was pushed than the send buffer holds"
        elif self._untaken > MAX_UNTAKEN_EVENTS:
            misuse = f"more than {MAX_UNTAKEN_EVENTS} events were not taken"
        if misuse is not None:
            self.outcome = Outcome("error", "misuse", misuse)
            raise APIError(misuse, retryable=False)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        """Reading never waits for writing. Spec: BP-C2."""
        while True:
            message = await ws.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                session.receive_text(_now(), message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                session.receive_binary(_now())
            elif message.type is aiohttp.WSMsgType.CLOSE:
                session.closed(_now(), message.data or None)
            elif message.type is aiohttp.WSMsgType.ERROR:
                session.lost(_now(), _name(message.data))
            else:
                session.lost(_now(), "the connection ended without a Close")
            self._changed()
            if session.outcome is not None:
                return

    async def _write(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        while True:
            message = session.poll_message()
            if message is None:
                self._to_send.clear()
                await self._to_send.wait()
                continue
            try:
                if isinstance(message, str):
                    await ws.send_str(message)
                else:
                    await ws.send_bytes(message)
            except (OSError, aiohttp.ClientError) as error:
                # [ERR-C3] [KA-C5]
                session.lost(_now(), f"a message could not be sent ({_name(error)})")
                self._changed()
                return
            session.transmitted(_now())
            self._after_transmitted(session, message)
            self._news.set()
            # The library does not yield while the transport takes everything; others must get their turn. [BP-C2]
            await asyncio.sleep(0)

    def _after_transmitted(self, session: Session, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if session.sent_bytes == len(message):
                # The first audio of this connection: its times count from here.
                self.start_time = time.time() - len(message) / BYTES_PER_SECOND
            if self._waiting_s() <= self._options.buffer_s / 2:
                self._room.set()

    async def _feed(self) -> None:
        """Takes the input to its end, which is the one way to the sentinel. Spec: FLU-C2."""
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                self._queue.push(bytes(item.data.cast("b")))
            else:
                self._queue.flush()
            self._changed()
        # `aclose` closes the channel too, and is no end of the input.
        if not self._cancelled:
            self._queue.end()
            self._changed()

    def _changed(self) -> None:
        self._news.set()
        self._to_send.set()

    # -- The connection.

    async def _dial(self) -> aiohttp.ClientWebSocketResponse:
        """Connects and upgrades. No error holds what the library's do: they show headers and the whole URL."""
        bound_s = min(self._conn_options.timeout, CONNECT_CAP_S)
        began = time.perf_counter()
        self._retry_after_s = 0.0
        failure: APIError
        try:
            ws = await asyncio.wait_for(
                self._lastword._http_session().ws_connect(
                    self._options.url,
                    protocols=(PROTOCOL,),
                    headers=self._options.headers(),
                    # A Close is answered by `_close`, which has a bound.
                    autoclose=False,
                    max_msg_size=MAX_MESSAGE_BYTES,
                ),
                bound_s,
            )
        except asyncio.TimeoutError:
            failure = APITimeoutError(f"no connection to {self._options.host} within {bound_s} s")
        except aiohttp.WSServerHandshakeError as error:
            failure = errors.of_refusal(error.status)
            self._retry_after_s = _seconds(None if error.headers is None else error.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError) as error:
            failure = APIConnectionError(f"cannot connect to {self._options.host} ({_name(error)})")
        else:
            if self._cancelled:
                # A cancellation that met the result, see `_wait_for_news`.
                self._close(ws, None)
                raise asyncio.CancelledError
            if ws.protocol == PROTOCOL:
                self._report_connection_acquired(time.perf_counter() - began, False)
                return ws
            self._close(ws, None)
            failure = errors.of_refusal(101)
        # Outside of the handlers: an error that held the header would hang on it as its context. [SEC-C1]
        raise failure

    async def _back_off(self) -> None:
        """Before another attempt, on top of the base class's own pause: exponential, with jitter. Spec: REC-C1."""
        if self._failures > 0:
            pause_s = self._conn_options.retry_interval * 2 ** min(self._failures - 1, 4) * random.uniform(0.5, 1)
            await asyncio.sleep(max(pause_s, self._retry_after_s))

    def _may_redial(self) -> bool:
        """Counts a failure and says whether another attempt is allowed. Spec: REC-C1, REC-C3, REC-C5."""
        if self._sentinel_sent:
            return False
        now, session = _now(), self._session
        self._session = None
        if session is not None and session.became_ready_at is not None:
            lived_s = now - session.became_ready_at
            if lived_s >= session.limits.idle_timeout_ms / 1_000:
                # The framework's own count too, which otherwise only a final or its own timeout starts over.
                self._failures, self._failing_since, self._num_retries = 0, None, 0
        self._failures += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        return self._failures <= self._conn_options.max_retry and now - self._failing_since <= REDIAL_CAP_S

    def _close(self, ws: aiohttp.ClientWebSocketResponse, session: Session | None) -> None:
        """Sends a Close and sees to its answer in the background: no end waits for it. Spec: CLO-C4."""
        code, bound_s = (1000, 2.0) if session is None else (session.close_code, session.close_s)
        task = asyncio.create_task(_close_within(ws, code, bound_s), name="lastword.close")
        for keeper in (self._closing, self._lastword._closing):
            keeper.add(task)
            task.add_done_callback(keeper.discard)

    # -- What the application is told.

    def _conclude(self, session: Session) -> None:
        outcome = session.outcome
        if outcome is None or outcome.kind == "cancelled":
            return
        lost_audio = session.sent_bytes > 0
        if outcome.kind == "complete" and self._gap:
            # [REC-C4]
            text = "audio was lost in a reconnection"
            outcome = Outcome("incomplete", "not_complete", text, ended=outcome.ended)
        self.outcome = outcome = self._redacted(outcome)
        self._retry_after_s = min((outcome.retry_after_ms or 0) / 1_000, 30.0)
        if outcome.kind != "complete":
            self._gap = self._gap or lost_audio
            session_id = self._translator.session_id
            raise errors.of_outcome(outcome, session_id=session_id, may_retry=not session.sentinel_sent)

    def _redacted(self, outcome: Outcome) -> Outcome:
        message, code = self._options.redact(outcome.message), self._options.redact(outcome.code)
        return replace(outcome, message=message, code=code)

    def _tell_events(self, session: Session) -> None:
        while (event := session.poll_event()) is not None:
            if isinstance(event, Ready):
                self._begin(event)
            elif isinstance(event, Partial | Final | SpeechStarted | SpeechEnded):
                for told in self._translator.translate(event, self.start_time_offset, self.start_time):
                    self._send(told)
            elif isinstance(event, FlushEnded):
                self._flush_ended(event)
            elif isinstance(event, Error):
                self._complaint(event)
            elif isinstance(event, Warning):
                logger.warning("the server warns: %s", self._options.redact(f"{event.code}: {event.message}"))
            else:
                self._violation(event)

    def _begin(self, ready: Ready) -> None:
        self._translator.begin(ready)
        self._lastword._model_in_force = ready.model
        if ready.ignored:
            logger.info("the server does not serve %s", self._options.redact(", ".join(ready.ignored)))

    def _tell_usage(self, session: Session, *, at_end: bool = False) -> None:
        """Every few seconds what was sent, and at the end the rest of what the server counted."""
        ended = session.outcome.ended if session.outcome is not None else None
        sent_s = session.sent_bytes / BYTES_PER_SECOND
        total_s = sent_s if ended is None else min(ended.audio_received_ms / 1_000, sent_s)
        more_s = total_s - self._usage_s
        if more_s > 0 and (at_end or more_s >= USAGE_INTERVAL_S):
            self._usage_s = total_s
            self._send(self._translator.usage(more_s))

    def _flush_ended(self, flush: FlushEnded) -> None:
        self._open_flushes = max(self._open_flushes - 1, 0)
        self._lastword.emit("flushed", self, flush)
        ended = self._session is not None and self._session.outcome is not None
        if not flush.answered and not ended:
            # [FLU-C3] The flush fails for its caller; the stream goes on.
            self._emit_error(APITimeoutError("a flush was not answered", retryable=False), recoverable=True)

    def _complaint(self, error: Error) -> None:
        """Every error is told at once. What a fatal one means for the stream, its end says. Spec: ERR-C1, ERR-C2."""
        code, text = self._options.redact(error.code), self._options.redact(f"{error.code}: {error.message}")
        body = {"code": code, "retryable": error.retryable, "fatal": error.fatal}
        told = errors.of_code(code, text, body=body, session_id=self._translator.session_id, retryable=error.retryable)
        self._emit_error(told, recoverable=True)

    def _violation(self, violation: Violation) -> None:
        """Once for each requirement: a server that sends nothing else must not fill a log."""
        if violation.requirement not in self._told_violations:
            self._told_violations.add(violation.requirement)
            logger.warning("%s [%s]", violation.fact, violation.requirement)

    def _send(self, event: stt.SpeechEvent) -> None:
        self._untaken += 1
        self._event_ch.send_nowait(event)

    def _waiting_s(self) -> float:
        return max(self._pushed_s - self._queue.taken_bytes / BYTES_PER_SECOND, 0.0)


async def _close_within(ws: aiohttp.ClientWebSocketResponse, code: int, bound_s: float) -> None:
    """The closing handshake, and after its bound the connection is dropped, whatever is still to be written."""
    connection = ws.get_extra_info("socket")
    try:
        await asyncio.wait_for(ws.close(code=code), bound_s)
    except asyncio.TimeoutError:
        with contextlib.suppress(OSError):
            if connection is not None:
                connection.shutdown(socket.SHUT_RDWR)
    except (OSError, aiohttp.ClientError, RuntimeError) as error:
        logger.debug("closing failed (%s)", _name(error))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _name(error: object) -> str:
    """What kind of error it was. Its text may hold a URL or a header."""
    return type(error).__name__


def _seconds(text: str | None) -> float:
    return min(float(text), 30.0) if text is not None and text.isascii() and text.isdigit() else 0.0
