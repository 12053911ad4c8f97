"""A streaming speech-to-text server of protocol version 1 (subprotocol `lastword.v1`) on FastAPI and uvicorn.

For each connection one task reads, one decodes and one writes, all on one event loop: a client that does not read never
stops the server from reading, only a full audio buffer does.
"""

import argparse
import asyncio
import hmac
import json
import uuid
from contextlib import suppress
from enum import Enum

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from engine import RATE_HZ, Engine
from messages import BadMessage, Fatal, effective_config, read_json

PROTOCOL = "lastword.v1"
CONFIG_TIMEOUT_S = 3
CUT_AFTER_S = 30
LIMITS = {
    "idle_timeout_ms": 3_000,
    "keepalive_interval_ms": 1_000,
    "ready_ms": 10_000,
    "flush_ms": 5_000,
    "drain_ms": 15_000,
    "close_ms": 2_000,
    "progress_interval_ms": 2_000,
    "max_step_ms": 30_000,
    "max_frame_bytes": 64_000,
    "max_text_bytes": 65_536,
    "max_session_ms": 3_600_000,
    "max_buffered_audio_ms": 30_000,
}
PROGRESS_EVERY_S = LIMITS["progress_interval_ms"] / 4000
BUFFER_SAMPLES = LIMITS["max_buffered_audio_ms"] * RATE_HZ // 1000
# Fatal errors: close code, retryable.
FATAL = {
    "config_timeout": (4408, True),
    "invalid_config": (4400, False),
    "unsupported_option": (4422, False),
    "unsupported_audio": (4422, False),
    "unknown_model": (4404, False),
    "unauthenticated": (4401, False),
    "bad_message": (4400, False),
    "message_too_large": (1009, False),
    "idle_timeout": (4408, True),
    "max_duration": (4410, True),
    "going_away": (1001, True),
    "internal": (1011, True),
}


# ----------------------------------------------------------------------------------------------------------- a session


class State(Enum):
    AWAIT_CONFIG = 1
    STREAMING = 2
    DRAINING = 3
    FAILING = 4  # A fatal error waits for the finals that come before it.
    ENDED = 5


class Session:
    """One connection after the upgrade. Its `config` is handled in the reading task, so Configuring is no state."""

    def __init__(self, websocket, options, by_header):
        self.websocket, self.options, self.by_header = websocket, options, by_header
        self.loop = asyncio.get_running_loop()
        self.state = State.AWAIT_CONFIG
        self.engine = None
        self.engine_task = None
        self.output = asyncio.Queue()
        self.told = set()  # The errors that are told once.
        self.head = b""
        self.bad_messages = self.rejected_frames = self.rejected_before_end = self.finals = self.progress_seq = 0
        self.open_flushes = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self.last_sent = self.loop.time()
        self.timer = self.loop.call_later(CONFIG_TIMEOUT_S, self.fail, "config_timeout", "no config came in time")
        self.life = None

    async def run(self):
        writer = asyncio.create_task(self.write())
        reader = asyncio.create_task(self.read())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer, self.engine_task, self.timer, self.life):
                if task is not None:
                    task.cancel()

    async def read(self):
        while True:
            await self.reading.wait()
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self.state in (State.FAILING, State.ENDED):
                continue
            try:
                if (audio := message.get("bytes")) is not None:
                    self.on_audio(audio)
                else:
                    await self.on_text(message["text"])
            except BadMessage as bad:
                self.bad_messages += 1
                if self.bad_messages == 10:
                    self.fail("bad_message", f"the tenth bad message: {bad}", bad.param)
                else:
                    self.refuse("bad_message", str(bad), param=bad.param)
            except Fatal as fatal:
                self.fail(fatal.code, str(fatal), fatal.param)

    async def write(self):
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            while True:
                item = await self.output.get()
                async with asyncio.timeout(CUT_AFTER_S):
                    if isinstance(item, int):
                        await self.websocket.close(item)
                        return
                    await self.websocket.send_text(json.dumps(item))

    # -- what arrives

    def on_audio(self, audio):
        if not audio:
            return
        if self.state is State.DRAINING:
            self.refuse_frame("audio_after_end", "audio after end_of_stream was discarded")
        elif len(audio) > LIMITS["max_frame_bytes"]:
            self.rejected_frames += 1
            raise Fatal("message_too_large", "the binary message is longer than max_frame_bytes")
        elif self.state is State.AWAIT_CONFIG:
            self.refuse_frame("invalid_state", "audio before config was discarded")
        elif len(audio) % 2:
            self.refuse_frame("invalid_audio", "the frame is not whole samples and was discarded")
        else:
            if len(self.head) < 4:
                self.head += audio[: 4 - len(self.head)]
                if self.head in (b"RIFF", b"OggS"):
                    reason = "the audio begins like a container file; raw samples are expected"
                    self.send({"type": "warning", "code": "container_in_raw_audio", "message": reason})
            self.engine.push(audio)
            if self.engine.queued >= BUFFER_SAMPLES:
                self.reading.clear()
            self.touch()

    async def on_text(self, text):
        if len(text.encode()) > LIMITS["max_text_bytes"]:
            raise Fatal("message_too_large", "the text message is longer than max_text_bytes")
        message = read_json(text)
        kind = message["type"]
        name = None
        if kind in ("flush", "update"):
            name = message.get("id")
            if not isinstance(name, str) or not 1 <= len(name.encode()) <= 128:
                raise BadMessage("id must be a string of 1 to 128 bytes", "id")
        elif kind == "keepalive":
            seq = message.get("seq")
            if seq is not None and (type(seq) is not int or seq < 0):
                raise BadMessage("seq must be an integer from 0 on", "seq")
        self.touch()
        if kind not in ("config", "keepalive", "flush", "update", "end_of_stream"):
            self.refuse("unknown_type", "the server does not know messages of this type")
        elif self.state is State.AWAIT_CONFIG and kind != "config":
            self.refuse("invalid_state", f"{kind} came before config", name)
        elif self.state is State.AWAIT_CONFIG:
            await self.configure(message)
        elif kind == "keepalive":
            if self.state is State.STREAMING and seq is not None:
                self.send({"type": "keepalive_ack", "seq": seq})
        elif kind == "end_of_stream" and self.state is State.STREAMING:
            self.state, self.rejected_before_end = State.DRAINING, self.rejected_frames
            self.touch()
            self.engine.mark(self.complete)
        elif kind == "end_of_stream":
            self.refuse("duplicate_end_of_stream", "end_of_stream came before")
        elif kind == "config" or self.state is State.DRAINING:
            self.refuse("invalid_state", f"{kind} may not come here", name)
        elif kind == "flush":
            self.open_flushes += 1
            self.touch()
            self.engine.mark(lambda: self.flushed(name))
        else:
            self.refuse("unsupported_option", "update is not served", name)

    async def configure(self, message):
        if self.options.token is not None:
            given = message.get("token")
            good = isinstance(given, str) and same(given, self.options.token)
            if not good and (given is not None or not self.by_header):
                raise Fatal("unauthenticated", "the credentials are missing or wrong")
        config, ignored = effective_config(message)
        self.timer.cancel()
        # Loading takes its time, and nothing is read meanwhile: what arrives early is handled after `ready`.
        loaded = self.loop.time() + self.options.ready_ms / 1000
        while (left := loaded - self.loop.time()) > 0:
            await asyncio.sleep(min(left, 0.25))
            self.tick()
        self.engine = Engine(config, self.options.cost_ms, self.result, self.tick)
        self.engine_task = asyncio.create_task(self.engine.run())
        self.engine_task.add_done_callback(self.engine_ended)
        self.state = State.STREAMING
        self.send({
            "type": "ready",
            "session_id": uuid.uuid4().hex,
            "protocol": PROTOCOL,
            "config": config,
            "limits": LIMITS,
            "capabilities": {"encodings": ["pcm_s16le"], "sample_rates_hz": [RATE_HZ], "max_channels": 1, "update": False},
            "ignored": ignored,
        })
        end = ("max_duration", "the session reached max_session_ms")
        self.life = self.loop.call_later(LIMITS["max_session_ms"] / 1000, self.fail_unless_draining, *end)
        self.touch()

    def touch(self):
        """Something counts as activity, or what made the idle timer stand still is over."""
        if self.state is not State.AWAIT_CONFIG:
            self.timer.cancel()
            if self.state is State.STREAMING and not self.open_flushes and self.reading.is_set():
                wait_s = LIMITS["idle_timeout_ms"] / 1000
                self.timer = self.loop.call_later(wait_s, self.fail, "idle_timeout", "nothing came for idle_timeout_ms")

    # -- what the engine tells

    def result(self, result):
        self.finals += result["type"] == "final"
        self.send(result)

    def tick(self):
        """A step of the engine: room in its buffer, and progress if something is owed."""
        if self.engine is not None and not self.reading.is_set() and self.engine.queued < BUFFER_SAMPLES:
            self.reading.set()
            self.touch()
        owes = self.state is not State.STREAMING or self.open_flushes or not self.reading.is_set()
        if owes and self.loop.time() - self.last_sent >= PROGRESS_EVERY_S:
            self.progress_seq += 1
            processed_ms = self.engine.processed * 1000 // RATE_HZ if self.engine is not None else 0
            self.send({"type": "progress", "seq": self.progress_seq, "audio_processed_ms": processed_ms})

    def flushed(self, name):
        self.open_flushes -= 1
        self.send({"type": "flushed", "id": name})
        self.touch()

    def complete(self):
        self.send_session_ended("completed", self.rejected_before_end == 0)
        self.end(1000)

    def engine_ended(self, task):
        if not task.cancelled() and self.state is not State.ENDED:
            self.close_failed("internal", "the recogniser failed", None)

    # -- what is sent

    def fail_unless_draining(self, code, reason):
        if self.state is State.STREAMING:
            self.fail(code, reason)

    def fail(self, code, reason, param=None):
        """Ends the session by a fatal error, after the finals of the audio that was accepted."""
        if self.state is State.AWAIT_CONFIG:
            self.close_failed(code, reason, param)
        elif self.state in (State.STREAMING, State.DRAINING):
            self.state = State.FAILING
            self.touch()
            self.reading.set()
            self.engine.mark(lambda: self.close_failed(code, reason, param))

    def close_failed(self, code, reason, param):
        close_code, retryable = FATAL[code]
        self.send_error(code, reason, True, retryable, param=param)
        if self.engine is not None:
            self.send_session_ended(code, False)
        self.end(close_code)

    def end(self, close_code):
        self.state = State.ENDED
        self.timer.cancel()
        self.output.put_nowait(close_code)

    def send_session_ended(self, reason, complete):
        self.send({
            "type": "session_ended",
            "reason": reason,
            "complete": complete,
            "audio_received_ms": self.engine.accepted * 1000 // RATE_HZ,
            "audio_processed_ms": self.engine.processed * 1000 // RATE_HZ,
            "rejected_frames": self.rejected_frames,
            "finals": self.finals,
        })

    def refuse_frame(self, code, reason):
        self.rejected_frames += 1
        if code not in self.told:
            self.told.add(code)
            self.refuse(code, reason)

    def refuse(self, code, reason, name=None, param=None):
        self.send_error(code, reason, False, False, name, param)

    def send_error(self, code, reason, fatal, retryable, name=None, param=None):
        error = {"type": "error", "code": code, "message": reason, "fatal": fatal, "retryable": retryable}
        self.send(error | ({"id": name} if name is not None else {}) | ({"param": param} if param is not None else {}))

    def send(self, message):
        self.last_sent = self.loop.time()
        self.output.put_nowait(message)


# ------------------------------------------------------------------------------------------------------------ the server


def same(given, secret):
    return hmac.compare_digest(given.encode(), secret.encode())


def application(options, sessions):
    app = FastAPI()

    @app.websocket("/{path:path}")
    async def listen(websocket: WebSocket):
        offered = websocket.scope["subprotocols"]
        shown = websocket.headers.getlist("authorization")
        if offered and PROTOCOL not in offered:
            text = f"only the subprotocol {PROTOCOL} is served\n"
            return await websocket.send_denial_response(PlainTextResponse(text, 400))
        if options.token is not None and shown:
            scheme, _, token = shown[0].partition(" ")
            if len(shown) > 1 or scheme.lower() != "bearer" or not same(token.strip(), options.token):
                return await websocket.send_denial_response(PlainTextResponse("the credentials are wrong\n", 401))
        await websocket.accept(PROTOCOL if offered else None)
        session = Session(websocket, options, bool(shown))
        sessions.add(session)
        try:
            await session.run()
        finally:
            sessions.discard(session)

    return app


class Server(uvicorn.Server):
    """uvicorn, except that sessions are told of a shutdown before their connections are."""

    def __init__(self, config, sessions):
        super().__init__(config)
        self.sessions = sessions

    async def shutdown(self, sockets=None):
        for session in list(self.sessions):
            if session.state is State.AWAIT_CONFIG:
                session.fail("going_away", "the server shuts down")
            else:
                session.fail_unless_draining("going_away", "the server shuts down")
        with suppress(TimeoutError):
            async with asyncio.timeout(6):
                while self.sessions:
                    await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def main():
    parser = argparse.ArgumentParser(description="A streaming speech-to-text server of protocol version 1.")
    parser.add_argument("port", type=int)
    parser.add_argument("--token", help="demand this credential")
    parser.add_argument("--ready-ms", type=int, default=0, help="time from config to ready")
    parser.add_argument("--cost-ms", type=int, default=700, help="time that decoding one segment takes (default 700)")
    options = parser.parse_args()
    sessions = set()
    limits = {"ws_max_size": 1 << 20, "ws_ping_interval": None, "ws_per_message_deflate": False}
    config = uvicorn.Config(application(options, sessions), port=options.port, log_level="warning", **limits)
    Server(config, sessions).run()


if __name__ == "__main__":
    main()
