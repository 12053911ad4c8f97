"""A small client of Lastword v1 in Python, on `websockets`, written from the prose of the specification alone.

Level 0: `python client.py URL --audio FILE` streams a WAV file, prints the finals and exits with 0 if, and only if, the
session was complete. Level 1: `python client.py --driver` obeys the harness; with `--raises` it tells its application by
exceptions what others tell by outcomes: a connection that does not come about, a fatal error, and any end but a complete one.
"""

import argparse
import asyncio
import json
import sys
import time
import wave
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

PROTOCOL = "lastword.v1"
CONNECT_S = 10.0
READY_S = 10.0
READY_AT_MOST_S = 60.0
FRAME_BYTES = 3_200
FRAME_S = 0.1
# More than 10 s of audio: what the server may take until it is ready.
BUFFERED_FRAMES = 128
USUAL = {
    "idle_timeout_ms": 30_000,
    "keepalive_interval_ms": 10_000,
    "flush_ms": 5_000,
    "drain_ms": 15_000,
    "close_ms": 2_000,
    "max_frame_bytes": 64_000,
}
END = object()


class Ended(Exception):
    """The session is over, with this outcome."""

    def __init__(self, outcome: str, code: str, *, closes: bool = False) -> None:
        super().__init__(code)
        self.outcome = outcome
        self.code = code
        self.closes = closes


class SessionFailed(Exception):
    """What a session raises that does not end complete."""


class Session:
    """One session: calls in, events out. Every message leaves through one sender, in order."""

    def __init__(self, *, raises: bool = False) -> None:
        self._raises = raises
        self._opened = asyncio.Event()
        self._orders: asyncio.Queue[Any] = asyncio.Queue(BUFFERED_FRAMES)
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._cancelled = asyncio.Event()
        self._ready = asyncio.Event()
        self._input_ended = False
        self._task: asyncio.Task[None] | None = None
        self._limits = dict(USUAL)
        self._sent_bytes = 0
        self._sentinel: float | None = None
        self._finals: set[int] = set()
        self._flushes: list[tuple[int, float]] = []
        self._fatal: tuple[float, str] | None = None
        self._spoke = self._heard = self._extended = time.monotonic()
        self._probed: float | None = None
        self._probes = 0
        self._outcome = {"outcome": "open", "code": "open"}

    # The public interface.

    async def start(self, url: str, token: str | None) -> None:
        self._task = asyncio.create_task(self._run(url, token))
        if self._raises:
            await self._opened.wait()
            self._raise_unless("open")

    def _raise_unless(self, *outcomes: str) -> None:
        if self._outcome["outcome"] not in outcomes:
            raise SessionFailed(f"the session is {self._outcome['outcome']}: {self._outcome['code']}")

    async def push(self, pcm: bytes) -> None:
        if self._input_ended:
            raise ValueError("the input has ended")
        await self._orders.put(pcm)

    async def flush(self, number: int) -> None:
        if self._input_ended:
            raise ValueError("the input has ended")
        await self._orders.put(number)

    async def end(self) -> None:
        if not self._input_ended:
            self._input_ended = True
            await self._orders.put(END)

    async def close(self) -> None:
        self._input_ended = True
        self._cancelled.set()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        while (event := await self._events.get()) is not None:
            yield event
        if self._raises:
            self._raise_unless("complete")

    def ended(self) -> dict[str, Any]:
        return self._outcome

    async def left(self) -> int:
        if self._task is not None:
            await self._task
        mine = {asyncio.current_task()}
        return sum(1 for task in asyncio.all_tasks() if task not in mine and task.get_name().startswith("lastword"))

    # The session.

    async def _run(self, url: str, token: str | None) -> None:
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with asyncio.timeout(CONNECT_S):
                socket = await connect(
                    url, subprotocols=[PROTOCOL], additional_headers=headers, ping_interval=None,
                    close_timeout=1, max_size=None, proxy=None,
                )
        except Exception as error:  # whatever kept it from connecting
            self._finish(Ended("error", f"connection_failed: {type(error).__name__}"))
            return
        self._opened.set()
        ended = await self._converse(socket)
        # The application learns it now; the handshake is the client's own business.
        self._finish(ended)
        # A handshake only where the protocol asks for one; otherwise the transport just ends.
        if ended.closes:
            socket.close_timeout = self._limits["close_ms"] / 1000
            with suppress(Exception):
                await socket.close(1000)
        socket.transport.abort()

    def _finish(self, ended: Ended) -> None:
        self._outcome = {"outcome": ended.outcome, "code": ended.code}
        self._opened.set()
        self._input_ended = True
        self._events.put_nowait(None)
        # Nobody waits for a buffer that nobody empties.
        with suppress(asyncio.QueueEmpty):
            while True:
                self._orders.get_nowait()

    async def _converse(self, socket: ClientConnection) -> Ended:
        work = [self._read(socket), self._write(socket), self._watch(socket), self._cancel()]
        tasks = [asyncio.create_task(one, name=f"lastword-{index}") for index, one in enumerate(work)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            error = task.exception()
            if isinstance(error, Ended):
                return error
        if self._fatal is not None:
            return Ended("error", self._fatal[1])
        if not self._ready.is_set():
            return Ended("error", "closed_before_ready")
        return Ended("incomplete", "connection_lost")

    async def _cancel(self) -> None:
        await self._cancelled.wait()
        raise Ended("cancelled", "cancelled", closes=True)

    async def _write(self, socket: ClientConnection) -> None:
        audio = {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1}
        await socket.send(json.dumps({"type": "config", "audio": audio, "interim_results": True}))
        await self._ready.wait()
        while True:
            order = await self._orders.get()
            if self._fatal is not None:
                await asyncio.Event().wait()
            if order is END:
                await socket.send('{"type":"end_of_stream"}')
                self._sentinel = self._extended = time.monotonic()
                # What is left is to listen.
                await asyncio.Event().wait()
            elif isinstance(order, int):
                await socket.send(json.dumps({"type": "flush", "id": str(order)}))
                self._flushes.append((order, time.monotonic()))
            else:
                size = min(FRAME_BYTES, self._limits["max_frame_bytes"])
                for at in range(0, len(order), size):
                    frame = order[at : at + size]
                    self._sent_bytes += len(frame)
                    await socket.send(frame)
                    self._spoke = time.monotonic()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                text = await socket.recv()
                self._heard = time.monotonic()
                self._probed = None
                message = None
                if isinstance(text, str):
                    with suppress(ValueError, RecursionError):
                        message = json.loads(text)
                if isinstance(message, dict) and isinstance(message.get("type"), str):
                    self._hear(message)
                else:
                    self._events.put_nowait({"what": "other"})
        except websockets.ConnectionClosed:
            return

    def _hear(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        match message["type"]:
            case "ready":
                limits = message.get("limits") or {}
                self._limits |= {name: limits[name] for name in USUAL if isinstance(limits.get(name), int)}
                self._spoke = now
                self._ready.set()
                self._events.put_nowait({"what": "ready"})
            case "partial" | "final" as what:
                self._result(what, message)
            case "progress":
                self._extended = now
            case "flushed":
                self._extended = now
                if self._flushes:
                    self._events.put_nowait({"what": "flushed", "number": self._flushes.pop(0)[0]})
            case "error":
                told = {"code": message.get("code"), "text": message.get("message")}
                told |= {"fatal": message.get("fatal"), "retryable": message.get("retryable")}
                # A fatal one is raised in the end, by those who raise.
                if not (self._raises and message.get("fatal") is True):
                    self._events.put_nowait({"what": "error"} | told)
                if message.get("fatal") is True:
                    self._fatal = (now, str(message.get("code")))
            case "session_ended":
                raise self._ended(message)
            case "keepalive_ack":
                pass
            case _:
                self._events.put_nowait({"what": "other"})

    def _result(self, what: str, message: dict[str, Any]) -> None:
        segment = message.get("segment_id")
        if segment in self._finals:
            return
        if what == "final":
            self._extended = time.monotonic()
            self._finals.add(segment)
        names = ("segment_id", "text", "start_ms", "end_ms")
        self._events.put_nowait({"what": what} | {name: message.get(name) for name in names})

    def _ended(self, message: dict[str, Any]) -> Ended:
        if self._fatal is not None:
            return Ended("error", self._fatal[1], closes=True)
        sent_ms = self._sent_bytes // 32
        answers = self._sentinel is not None and message.get("audio_received_ms", 0) >= sent_ms
        agrees = message.get("finals", 0) >= len(self._finals)
        if message.get("complete") is not True:
            return Ended("incomplete", str(message.get("reason")), closes=True)
        if not answers or not agrees:
            return Ended("incomplete", "protocol_violation", closes=True)
        return Ended("complete", "completed", closes=True)

    async def _watch(self, socket: ClientConnection) -> None:
        """Every timer of the session, looked at often enough."""
        configured = time.monotonic()
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            limit = {name: value / 1000 for name, value in self._limits.items() if name.endswith("_ms")}
            if self._fatal is not None:
                if now > self._fatal[0] + limit["close_ms"]:
                    raise Ended("error", self._fatal[1], closes=True)
                continue
            if not self._ready.is_set():
                if now > min(max(self._extended, configured) + READY_S, configured + READY_AT_MOST_S):
                    raise Ended("error", "ready_timeout")
                continue
            if self._flushes and now > max(self._flushes[0][1], self._extended) + limit["flush_ms"]:
                self._events.put_nowait({"what": "flush_failed", "number": self._flushes.pop(0)[0]})
            if self._sentinel is not None:
                if now > self._extended + limit["drain_ms"]:
                    raise Ended("incomplete", "drain_timeout")
                continue
            await self._keep_alive(socket, now, limit)

    async def _keep_alive(self, socket: ClientConnection, now: float, limit: dict[str, float]) -> None:
        message: dict[str, Any] | None = None
        if self._probed is not None and now > self._probed + limit["idle_timeout_ms"]:
            raise Ended("incomplete", "connection_lost")
        if self._probed is None and now > self._heard + limit["idle_timeout_ms"]:
            self._probed = now
            self._probes += 1
            message = {"type": "keepalive", "seq": self._probes}
        elif now >= self._spoke + limit["keepalive_interval_ms"] and self._orders.empty():
            message = {"type": "keepalive"}
        if message is not None:
            self._spoke = now
            await socket.send(json.dumps(message))


async def stream(url: str, audio: Path, pace: float, token: str | None) -> int:
    """Streams a file; 0 if everything was transcribed."""
    with wave.open(str(audio)) as file:
        pcm = file.readframes(file.getnframes())
    session = Session()
    await session.start(url, token)

    async def feed() -> None:
        began = time.monotonic()
        for index, at in enumerate(range(0, len(pcm), FRAME_BYTES)):
            await session.push(pcm[at : at + FRAME_BYTES])
            await asyncio.sleep(max(0.0, began + (index + 1) * FRAME_S / pace - time.monotonic()))
        await session.end()

    feeding = asyncio.create_task(feed())
    async for event in session.events():
        if event["what"] == "final":
            print(event["text"])
        elif event["what"] == "error":
            print(f"error: {event['code']}", file=sys.stderr)
    feeding.cancel()
    with suppress(asyncio.CancelledError, ValueError):
        await feeding
    await session.left()
    print(session.ended(), file=sys.stderr)
    return 0 if session.ended()["outcome"] == "complete" else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--driver", action="store_true")
    parser.add_argument("--raises", action="store_true", help="with --driver: what is not complete is raised")
    parser.add_argument("--pace", type=float, default=4.0)
    parser.add_argument("--token")
    arguments = parser.parse_args()
    if arguments.driver:
        sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "drivers" / "python"))
        from lastword_driver import run

        run(Session(raises=arguments.raises), f"client_python on websockets {websockets.__version__}")
        return 0
    if arguments.url is None or arguments.audio is None:
        parser.error("a URL and --audio, or --driver")
    return asyncio.run(stream(arguments.url, arguments.audio, arguments.pace, arguments.token))


if __name__ == "__main__":
    sys.exit(main())
