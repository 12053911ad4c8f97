"""A streaming speech-to-text server of protocol version 1 (subprotocol `lastword.v1`), on asyncio and `websockets`.

One task for each connection reads messages and runs the timers; a second one writes, so that a client that does not
read never stops the server from reading. The recogniser is instant for one frame and runs in the reading task.
"""

import argparse
import asyncio
import hmac
import json
import logging
import math
import signal
import uuid
from contextlib import suppress
from enum import Enum

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, NegotiationError

from messages import RATE_HZ, BadMessage, Refused, check_config, member, parse_message
from recogniser import Recogniser, Segment

LOGGER = logging.getLogger("server")
PROTOCOL = "lastword.v1"
CONFIG_TIMEOUT_S = 3
DRAIN_STEP_S = 0.1
CUT_AFTER_S = 30
SHUTDOWN_S = 6
# Above the limits below, so that the session answers an oversize message; beyond this the library closes with 1009.
LIBRARY_MAX_BYTES = 1 << 20
MAX_BUFFERED_OUTPUT_BYTES = 65_536

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
    "max_buffered_output_bytes": MAX_BUFFERED_OUTPUT_BYTES,
}
CAPABILITIES = {"encodings": ["pcm_s16le"], "sample_rates_hz": [RATE_HZ], "update": False}
FATAL_CLOSE_CODES = {
    "config_timeout": 4408,
    "invalid_config": 4400,
    "unsupported_option": 4422,
    "unsupported_audio": 4422,
    "unknown_model": 4404,
    "unauthenticated": 4401,
    "bad_message": 4400,
    "message_too_large": 1009,
    "idle_timeout": 4408,
    "max_duration": 4410,
    "going_away": 1001,
    "internal": 1011,
}
RETRYABLE = {"config_timeout", "idle_timeout", "max_duration", "going_away", "internal"}

FAULTS = (
    "never-ends",
    "close-without-session-ended",
    "final-after-session-ended",
    "drop-last-final",
    "second-session-ended",
    "audio-after-end-ignored",
    "flush-ends",
    "keepalive-error-after-end",
    "waits-for-audio-after-end",
    "no-close",
)


# ------------------------------------------------------------------------------------------------------------ output


class Output:
    """The one ordered way to the client. Queueing never waits; `run` writes."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.queue = asyncio.Queue()

    def send(self, message):
        self.queue.put_nowait(json.dumps(message))

    def close(self, code):
        self.queue.put_nowait(code)

    async def run(self):
        with suppress(ConnectionClosed):
            while True:
                item = await self.queue.get()
                try:
                    async with asyncio.timeout(CUT_AFTER_S):  # The write waits while the library's buffer is full.
                        await (self.websocket.close(item) if isinstance(item, int) else self.websocket.send(item))
                except TimeoutError:
                    self.websocket.transport.abort()  # The client took nothing for so long.


# ----------------------------------------------------------------------------------------------------------- session


class State(Enum):
    AWAIT_CONFIG = 1
    STREAMING = 2
    DRAINING = 3
    ENDED = 4


class Session:
    """One connection, from the upgrade to its end. Configuring takes no time here, so it is no state."""

    def __init__(self, websocket, options):
        self.websocket, self.options, self.fault = websocket, options, options.fault
        # The closing pass is one step.
        self.limits = LIMITS | {"max_step_ms": max(LIMITS["max_step_ms"], 2 * options.drain_ms)}
        self.output = Output(websocket)
        self.clock = asyncio.get_running_loop().time
        self.state = State.AWAIT_CONFIG
        self.deadline = self.clock() + CONFIG_TIMEOUT_S
        self.session_until = self.drain_until = math.inf
        self.recogniser = None
        self.head = b""
        self.reported = set()
        self.bad_messages = self.rejected_frames = self.rejected_before_end = 0
        self.finals = self.progress_seq = self.extra_ends = 0
        self.late_frame_came = False

    async def run(self):
        writer = asyncio.create_task(self.output.run())
        try:
            while True:
                try:
                    async with asyncio.timeout_at(self.deadline):
                        message = await self.websocket.recv()
                except TimeoutError:
                    self.on_timer()
                    continue
                if self.state is not State.ENDED:  # After its Close the server reads on and discards.
                    self.on_message(message)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()

    def on_message(self, message):
        try:
            if isinstance(message, bytes):
                self.on_audio(message)
            elif len(message.encode()) > LIMITS["max_text_bytes"]:
                self.fail("message_too_large", "the text message is longer than max_text_bytes")
            else:
                self.on_control(parse_message(message))
        except BadMessage as bad:
            self.bad_messages += 1
            if self.bad_messages == 10:
                self.fail("bad_message", f"the tenth bad message: {bad}", bad.param)
            else:
                self.reject("bad_message", str(bad), param=bad.param)
        except Refused as refused:
            self.fail(refused.code, str(refused), refused.param)
        except Exception:
            LOGGER.exception("the session failed")
            self.fail("internal", "the server failed")

    def on_timer(self):
        now = self.clock()
        if self.state is State.AWAIT_CONFIG:
            self.fail("config_timeout", "no config came in time")
        elif self.state is State.STREAMING and now >= self.session_until:
            self.fail("max_duration", "the session reached max_session_ms")
        elif self.state is State.STREAMING:
            self.fail("idle_timeout", "no audio and no message came for idle_timeout_ms")
        elif self.state is State.DRAINING:
            self.drain_step(now)

    # -- audio

    def on_audio(self, audio):
        if not audio:
            return
        oversize = len(audio) > LIMITS["max_frame_bytes"]
        if self.state is State.DRAINING:
            self.late_frame_came = True
            if self.fault != "audio-after-end-ignored":
                self.reject_frame("audio_after_end", "audio after end_of_stream was discarded")
            if self.fault == "waits-for-audio-after-end" and self.deadline is None:
                self.end()
        elif oversize:
            self.rejected_frames += 1
            self.fail("message_too_large", "the binary message is longer than max_frame_bytes")
        elif self.state is State.AWAIT_CONFIG:
            self.reject_frame("invalid_state", "audio before ready was discarded")
        elif len(audio) % 2:
            self.reject_frame("invalid_audio", "the frame is not whole samples of two bytes and was discarded")
        else:
            self.touch()
            self.warn_of_container(audio)
            self.send_results(self.recogniser.feed(audio))

    def reject_frame(self, code, message):
        self.rejected_frames += 1
        if code not in self.reported:
            self.reported.add(code)
            self.reject(code, message)

    def warn_of_container(self, audio):
        if len(self.head) < 4:
            self.head += audio[: 4 - len(self.head)]
            if self.head in (b"RIFF", b"OggS"):
                text = "the audio begins like a container file; raw samples are expected"
                self.output.send({"type": "warning", "code": "container_in_raw_audio", "message": text})

    # -- control messages

    def on_control(self, message):
        kind = message["type"]
        answer_id = None
        if kind in ("flush", "update"):
            answer_id = member(message, "id", str, required=True, possible=lambda name: 1 <= len(name.encode()) <= 128)
        elif kind == "keepalive":
            member(message, "seq", int, possible=lambda seq: seq >= 0)
        elif kind not in ("config", "end_of_stream"):
            self.touch()
            return self.reject("unknown_type", "the server does not know this type of message")
        self.touch()

        if self.state is State.AWAIT_CONFIG:
            if kind == "config":
                self.configure(message)
            else:
                self.reject("invalid_state", f"{kind} came before config", answer_id)
        elif kind == "keepalive":
            self.on_keepalive(message)
        elif kind == "end_of_stream":
            self.on_end_of_stream()
        elif kind == "config" or self.state is State.DRAINING:
            self.reject("invalid_state", f"{kind} is not legal in this state", answer_id)
        elif kind == "flush" and self.fault == "flush-ends":
            self.on_end_of_stream()
        elif kind == "flush":
            self.send_results(self.recogniser.finish())
            self.output.send({"type": "flushed", "id": answer_id})
        else:
            self.reject("unsupported_option", "update is not served here", answer_id)

    def configure(self, message):
        if (token := self.options.token) is not None:
            given = message.get("token")
            by_header = given is None and self.websocket.request.headers.get_all("Authorization")
            if not by_header and not (isinstance(given, str) and same_secret(given, token)):
                raise Refused("unauthenticated", "the credentials are missing or wrong")
        config, ignored = check_config(message)
        self.recogniser = Recogniser(config["endpointing"], config["interim_results"])
        self.output.send(
            {
                "type": "ready",
                "session_id": uuid.uuid4().hex,
                "protocol": PROTOCOL,
                "config": config,
                "limits": self.limits,
                "capabilities": CAPABILITIES,
                "ignored": ignored,
            }
        )
        self.state = State.STREAMING
        self.session_until = self.clock() + LIMITS["max_session_ms"] / 1000
        self.touch()

    def on_keepalive(self, message):
        if self.state is State.DRAINING:
            if self.fault == "keepalive-error-after-end":
                self.reject("invalid_state", "keepalive after end_of_stream")
        elif message.get("seq") is not None:
            self.output.send({"type": "keepalive_ack", "seq": message["seq"]})

    def on_end_of_stream(self):
        if self.state is State.STREAMING:
            self.state = State.DRAINING
            self.rejected_before_end = self.rejected_frames
            self.drain_until = self.clock() + self.options.drain_ms / 1000
            self.drain_step(self.clock())
        elif self.fault == "second-session-ended":
            self.extra_ends += 1
        else:
            self.reject("duplicate_end_of_stream", "end_of_stream came before")

    def touch(self):
        """Something arrived that counts as activity."""
        if self.state is State.STREAMING:
            self.deadline = min(self.clock() + LIMITS["idle_timeout_ms"] / 1000, self.session_until)

    # -- the end

    def drain_step(self, now):
        """One step of the closing pass, which gives Draining the length it has with a recogniser that takes time."""
        if now < self.drain_until:
            if self.deadline is not None and now >= self.deadline:
                self.send_progress()
            self.deadline = min(now + DRAIN_STEP_S, self.drain_until)
        elif self.fault == "never-ends" or (self.fault == "waits-for-audio-after-end" and not self.late_frame_came):
            self.send_results(self.recogniser.finish())
            self.deadline = None
        else:
            self.end()

    def send_progress(self):
        self.progress_seq += 1
        processed_ms = self.recogniser.processed_samples * 1000 // RATE_HZ
        self.output.send({"type": "progress", "seq": self.progress_seq, "audio_processed_ms": processed_ms})

    def end(self):
        """Sends the last finals and ends the session as completed."""
        results, late = self.recogniser.finish(), []
        if self.fault == "drop-last-final":
            results = results[:-1]
        elif self.fault == "final-after-session-ended":
            silent = Segment(self.recogniser.received_samples)
            silent.id = self.recogniser.next_segment_id
            results, late = results[:-1], results[-1:] or [silent.result("final")]
        self.send_results(results)
        if self.fault != "close-without-session-ended":
            for _ in range(1 + self.extra_ends):
                self.send_session_ended("completed", self.rejected_before_end == 0)
        self.send_results(late)
        self.finish_with(None if self.fault == "no-close" else 1000)

    def fail(self, code, message, param=None):
        """Ends the session by a fatal error: finals, the error, `session_ended` if `ready` was sent, Close."""
        if self.state is State.ENDED:
            return
        if self.recogniser is not None:
            self.send_results(self.recogniser.finish())
        self.send_error(code, message, True, param=param)
        if self.recogniser is not None:
            self.send_session_ended(code, False)
        self.finish_with(FATAL_CLOSE_CODES[code])

    def finish_with(self, close_code):
        self.state, self.deadline = State.ENDED, None
        if close_code is not None:
            self.output.close(close_code)

    def send_session_ended(self, reason, complete):
        self.output.send(
            {
                "type": "session_ended",
                "reason": reason,
                "complete": complete,
                "audio_received_ms": self.recogniser.received_samples * 1000 // RATE_HZ,
                "audio_processed_ms": self.recogniser.processed_samples * 1000 // RATE_HZ,
                "rejected_frames": self.rejected_frames,
                "finals": self.finals,
            }
        )

    def send_results(self, results):
        for result in results:
            self.finals += result["type"] == "final"
            self.output.send(result)

    def reject(self, code, message, answer_id=None, param=None):
        self.send_error(code, message, False, answer_id, param)

    def send_error(self, code, message, fatal, answer_id=None, param=None):
        error = {"type": "error", "code": code, "message": message, "fatal": fatal}
        error["retryable"] = fatal and code in RETRYABLE
        if answer_id is not None:
            error["id"] = answer_id
        if param is not None:
            error["param"] = param
        self.output.send(error)

    def shut_down(self):
        if self.state is not State.DRAINING:
            if self.state is State.STREAMING:
                self.output.send({"type": "warning", "code": "going_away", "message": "the server shuts down"})
            self.fail("going_away", "the server shuts down")


# ------------------------------------------------------------------------------------------------------------ server


def same_secret(given, secret):
    return hmac.compare_digest(given.encode(), secret.encode())


def select_subprotocol(_protocol, offered):
    if offered and PROTOCOL not in offered:
        raise NegotiationError(f"only the subprotocol {PROTOCOL} is served")
    return PROTOCOL if offered else None


async def main(options):
    sessions = set()

    def check_authorization(connection, request):
        given = request.headers.get_all("Authorization")
        if options.token is not None and given:
            scheme, _, token = given[0].partition(" ")
            if len(given) != 1 or scheme.lower() != "bearer" or not same_secret(token.strip(), options.token):
                return connection.respond(401, "The credentials are wrong.\n")
        return None

    async def handle(websocket):
        session = Session(websocket, options)
        sessions.add(session)
        try:
            await session.run()
        finally:
            sessions.discard(session)

    async with serve(
        handle,
        options.host,
        options.port,
        select_subprotocol=select_subprotocol,
        process_request=check_authorization,
        compression=None,
        max_size=LIBRARY_MAX_BYTES,
        write_limit=(MAX_BUFFERED_OUTPUT_BYTES, MAX_BUFFERED_OUTPUT_BYTES - 1_024),
        ping_interval=None,  # The library's own timer would end sessions without an error.
        close_timeout=4,
    ) as server:
        print(f"listening on ws://{options.host}:{server.sockets[0].getsockname()[1]}", flush=True)
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
        server.close(close_connections=False)
        for session in set(sessions):
            session.shut_down()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S):
                await asyncio.shield(server.wait_closed())
        for session in set(sessions):
            session.websocket.transport.abort()


def arguments():
    parser = argparse.ArgumentParser(description="A streaming speech-to-text server of protocol version 1.")
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--token", help="demand this credential")
    parser.add_argument("--drain-ms", type=int, default=200, help="length of the closing pass (default 200)")
    parser.add_argument("--fault", choices=FAULTS, help="deviate from the protocol in this one way")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
