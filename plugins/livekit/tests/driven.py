"""The plugin as a client of the driver protocol, on the real livekit-agents without an agent.

Owns the way from the harness's calls to the plugin's public interface and back: what the README's application would
call, and what it would be told. It repairs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import mutants
import psutil  # type: ignore[import-untyped]
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIError, stt, utils
from livekit.plugins import lastword

from livekit.plugins.lastword.queue import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

_RESULTS = {
    stt.SpeechEventType.INTERIM_TRANSCRIPT: "partial",
    stt.SpeechEventType.FINAL_TRANSCRIPT: "final",
}
# The closing handshake, which has a bound of its own. [CLO-C4]
_CLOSING = "lastword.close"
# What a transport that was closed needs to let its socket go.
_TURNS_OF_THE_LOOP = 10


class Driven:
    """One stream of the plugin, or of a broken copy of it, called as the harness asks."""

    def __init__(self, mutant: str | None, max_retry: int) -> None:
        broken = {mutant.__name__: mutant for mutant in mutants.ALL}
        self._conn_options = replace(DEFAULT_API_CONNECT_OPTIONS, max_retry=max_retry)
        self._make = lastword.STT if mutant is None else mutants.of(broken[mutant])
        self._http = contextlib.AsyncExitStack()
        self._port: int | None = None
        self._before: set[asyncio.Task[Any]] = set()
        # `None`: the iterator ended.
        self._told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._flushes: deque[int] = deque()
        self._raised: Exception | None = None
        self._closed = False

    async def start(self, url: str, token: str | None) -> None:
        """Begins a stream with the options of the README's application: none but how often it dials again."""
        self._port = urlsplit(url).port
        # As an agent's job does.
        await self._http.enter_async_context(utils.http_context.open())
        self._before = asyncio.all_tasks()
        speech = self._make(url=url, token=token) if token is not None else self._make(url=url)
        speech.on("error", self._complained)
        speech.on("flushed", self._flushed)
        self._stream = speech.stream(conn_options=self._conn_options)

    async def push(self, pcm: bytes) -> None:
        """As the README's application, which may be faster than real time."""
        await self._stream.wait_for_room()
        self._stream.push_frame(rtc.AudioFrame(pcm, SAMPLE_RATE_HZ, 1, len(pcm) // BYTES_PER_SAMPLE))

    async def flush(self, number: int) -> None:
        """The framework's flush has no name: they are answered in their order."""
        self._stream.flush()
        self._flushes.append(number)

    async def end(self) -> None:
        """The end of the input."""
        self._stream.end_input()

    async def close(self) -> None:
        """A cancellation."""
        self._closed = True
        await self._stream.aclose()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What the stream yields, and what its STT emits, in the order of coming."""
        self._before.add(asyncio.create_task(self._listen(), name="the application"))
        while (told := await self._told.get()) is not None:
            yield told

    def ended(self) -> dict[str, Any]:
        """How the iteration ended. Which error it was, and how a cancelled stream ended, the stream's outcome says."""
        outcome = self._stream.outcome
        kind = None if outcome is None else outcome.kind
        if self._raised is not None:
            ended = {"outcome": "incomplete" if kind == "incomplete" else "error", "text": str(self._raised)}
        else:
            ended = {"outcome": kind or "incomplete" if self._closed else "complete"}
        return ended if outcome is None else ended | {"code": outcome.code}

    async def left(self) -> int:
        """Tasks and sockets, once the closing handshake is over."""
        mine = {asyncio.current_task(), *self._before}
        if closing := [task for task in asyncio.all_tasks() if task.get_name() == _CLOSING]:
            await asyncio.wait(closing)
        for _ in range(_TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task not in mine]
        connections = psutil.Process().net_connections("tcp")
        sockets = [one for one in connections if one.raddr and one.raddr.port == self._port]
        for one in (*tasks, *sockets):
            print("left:", one, file=sys.stderr)
        await self._http.aclose()
        return len(tasks) + len(sockets)

    async def _listen(self) -> None:
        try:
            async for event in self._stream:
                self._told.put_nowait(_result(event))
        except Exception as error:
            self._raised = error
        self._told.put_nowait(None)

    def _complained(self, event: stt.STTError) -> None:
        body = event.error.body if isinstance(event.error, APIError) else None
        if isinstance(body, dict) and "code" in body:
            told = {"what": "error", "code": body["code"], "retryable": body["retryable"]}
            told |= {"fatal": body.get("fatal", not event.recoverable)}
        else:
            # One that is not the server's.
            told = {"what": "other"}
        self._told.put_nowait(told | {"text": str(event.error)})

    def _flushed(self, _stream: lastword.SpeechStream, flush: lastword.FlushEnded) -> None:
        what = "flushed" if flush.answered else "flush_failed"
        self._told.put_nowait({"what": what, "number": self._flushes.popleft()})


def _result(event: stt.SpeechEvent) -> dict[str, Any]:
    if event.type not in _RESULTS:
        return {"what": "other"}
    data = event.alternatives[0]
    times = {"start_ms": round(data.start_time * 1_000), "end_ms": round(data.end_time * 1_000)}
    return {"what": _RESULTS[event.type], "text": data.text} | times
