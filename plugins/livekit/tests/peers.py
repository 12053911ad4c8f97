"""Servers made of a script: each connection is one coroutine that says what it likes, right or wrong.

Owns the sending, the noting of what came, and the ways to break a connection. What is right or wrong is the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

SMALL_LIMITS: dict[str, int] = {
    "idle_timeout_ms": 1_000,
    "keepalive_interval_ms": 100,
    "ready_ms": 1_000,
    "flush_ms": 500,
    "drain_ms": 1_000,
    "close_ms": 500,
    "progress_interval_ms": 100,
    "max_step_ms": 1_000,
    "max_frame_bytes": 32_000,
    "max_text_bytes": 65_536,
    "max_session_ms": 3_600_000,
    "max_buffered_audio_ms": 30_000,
}
# With these no timer of the client's can fire in a test: what ends, ended by a message.
LARGE_LIMITS: dict[str, int] = SMALL_LIMITS | {
    "idle_timeout_ms": 600_000,
    "keepalive_interval_ms": 200_000,
    "flush_ms": 600_000,
    "drain_ms": 600_000,
    "close_ms": 600_000,
}
BYTES_PER_MS = 32


@dataclass
class Peer:
    """The server's end of one connection."""

    ws: web.WebSocketResponse
    request: web.Request
    said: list[dict[str, Any]] = field(default_factory=list)
    """Every message of the client, audio as ``{"type": "audio"}`` with its length."""
    close_code: int | None = None

    @property
    def audio_ms(self) -> int:
        """What was received."""
        return sum(int(message["bytes"]) for message in self.said if message["type"] == "audio") // BYTES_PER_MS

    def types(self) -> list[str]:
        """The types of what came, runs of audio as one."""
        kinds = [message["type"] for message in self.said]
        return [kind for at, kind in enumerate(kinds) if kind != "audio" or at == 0 or kinds[at - 1] != "audio"]

    async def next(self) -> dict[str, Any] | None:
        """The client's next message; ``None`` for its Close and for the end of the connection."""
        message = await self.ws.receive()
        if message.type is WSMsgType.TEXT:
            self.said.append(json.loads(message.data))
        elif message.type is WSMsgType.BINARY:
            self.said.append({"type": "audio", "bytes": len(message.data)})
        else:
            if message.type is WSMsgType.CLOSE:
                self.close_code = message.data
            return None
        return self.said[-1]

    async def until(self, kind: str) -> dict[str, Any]:
        """Reads on until a message of this type."""
        while (message := await self.next()) is not None:
            if message["type"] == kind:
                return message
        raise ConnectionError(f"the client left before {kind}")

    async def until_gone(self) -> None:
        """Reads on until the client has left."""
        while await self.next() is not None:
            pass

    async def send(self, kind: str, **members: Any) -> None:
        """One message."""
        await self.ws.send_str(json.dumps({"type": kind, **members}))

    async def begin(self, limits: dict[str, int] | None = None, **config: Any) -> None:
        """Reads the config and answers it."""
        await self.until("config")
        await self.ready(limits or LARGE_LIMITS, **config)

    async def ready(self, limits: dict[str, int], **config: Any) -> None:
        """The session may start."""
        await self.send(
            "ready",
            session_id="s-1",
            protocol="lastword.v1",
            config={
                "audio": {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1},
                "interim_results": True,
                "words": False,
                "vad_events": False,
                "endpointing": {"mode": "vad", "silence_ms": 500, "max_segment_ms": 30_000},
                **config,
            },
            limits=limits,
        )

    async def final(self, segment_id: int = 0, text: str = "hello", **members: Any) -> None:
        """One final."""
        times = {"start_ms": 0, "end_ms": self.audio_ms}
        await self.send("final", segment_id=segment_id, text=text, channel=0, **(times | members))

    async def session_ended(self, **members: Any) -> None:
        """The last message, with a true account of one final unless told otherwise."""
        account = {
            "reason": "completed",
            "complete": True,
            "audio_received_ms": self.audio_ms,
            "audio_processed_ms": self.audio_ms,
            "rejected_frames": 0,
            "finals": 1,
        }
        await self.send("session_ended", **(account | members))

    async def error(self, code: str, *, fatal: bool = True, retryable: bool = False, **members: Any) -> None:
        """One error."""
        await self.send("error", code=code, message="a sentence", fatal=fatal, retryable=retryable, **members)

    async def close(self, code: int) -> None:
        """A Close, without waiting for its answer."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.ws.close(code=code), 1)

    def reset(self) -> None:
        """The connection breaks: RST, and no Close."""
        transport = self.request.transport
        assert transport is not None
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class ScriptedServer:
    """One server; the nth connection follows the nth script, and the last script serves all further ones."""

    url: str = ""
    peers: list[Peer] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        """The only connection there was."""
        assert len(self.peers) == 1, f"{len(self.peers)} connections"
        return self.peers[0]


@contextlib.asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[ScriptedServer]:
    """A server on the loopback. What a script raises, but for a client that left, fails the test."""
    server = ScriptedServer()

    async def handle(request: web.Request) -> web.StreamResponse:
        server.requests.append(request)
        ws = web.WebSocketResponse(protocols=("lastword.v1",), autoclose=False, timeout=1.0)
        await ws.prepare(request)
        peer = Peer(ws, request)
        server.peers.append(peer)
        try:
            await scripts[min(len(server.peers), len(scripts)) - 1](peer)
        except ConnectionError:
            pass
        except Exception as error:
            server.failures.append(error)
        return ws

    app = web.Application()
    app.router.add_get("/v1/listen", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    server.url = f"ws://{address[0]}:{address[1]}/v1/listen"
    try:
        yield server
    finally:
        await runner.cleanup()
    for failure in server.failures:
        raise failure
