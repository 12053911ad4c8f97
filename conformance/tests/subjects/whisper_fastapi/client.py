"""The client: a stream object with `push`, `flush`, `end` and `close` that is iterated for finals; and a command on top."""

import argparse
import asyncio
import contextlib
import json
import sys
import wave

import websockets

KEEPALIVE_EVERY_S = 1.0
FRAME_MS = 100
READY_WITHIN_S = 10
SILENT_FOR_S = 15


class Incomplete(Exception):
    """The session ended, or never began, and something may be missing from what was heard."""


class Failed(Incomplete):
    """The session never began: nothing was heard at all."""


def tell(text):
    """What becomes of an error of the service where the application has not said what should."""
    print(f"the service told an error: {text}", file=sys.stderr)


class Stream:
    """A session. Iterate over it for the finals; the iteration ends when the service said that the session has ended.

    Raises Incomplete from the iteration where the service did not say so, and Failed where the session never began. An error
    of the service that ends nothing goes to `on_error`, as its text.
    """

    SENTINEL = object()

    def __init__(self, url, language=None, as_it_was=False, on_error=tell):
        self.url, self.language, self.as_it_was, self.on_error = url, language, as_it_was, on_error
        self.input = asyncio.Queue()
        self.output = asyncio.Queue()
        self.ended = False
        self.began = False
        self.last = None
        self.failed = None
        self.patience = None
        self.task = asyncio.create_task(self.run())

    def push(self, audio):
        """Hands over whole samples."""
        if self.ended:
            raise ValueError("the stream was ended; there is nowhere for this audio to go")
        self.input.put_nowait(audio)

    def flush(self):
        """This wire has no flush. As it was, a sentinel stood for one."""
        if self.as_it_was:
            self.input.put_nowait(self.SENTINEL)

    def end(self):
        """The input is over. The results go on to the last one."""
        if self.ended:
            return
        self.ended = True
        # As it was, nobody was told: whoever iterates was expected to close.
        if not self.as_it_was:
            self.input.put_nowait(self.SENTINEL)

    async def close(self):
        """Gives the session up."""
        if self.as_it_was:
            self.input.put_nowait(self.SENTINEL)
            await asyncio.sleep(0.1)
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def __aiter__(self):
        while (final := await self.output.get()) is not None:
            yield final
        if self.failed:
            raise self.failed

    async def run(self):
        try:
            async with websockets.connect(self.url, max_size=2**20, close_timeout=2) as socket:
                try:
                    await self.session(socket)
                finally:
                    await socket.close(1000)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            self.failed = (Incomplete if self.began else Failed)(f"the connection failed: {error}")
        except Incomplete as error:
            self.failed = error
        finally:
            self.output.put_nowait(None)

    async def session(self, socket):
        config = {"language": self.language, "sample_rate": 16_000, "task": "transcribe"}
        await socket.send(json.dumps(config))
        await self.until_ready(socket)
        self.sent_at = asyncio.get_running_loop().time()
        helpers = [asyncio.create_task(self.send(socket)), asyncio.create_task(self.keep_alive(socket))]
        try:
            await self.receive(socket)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def until_ready(self, socket):
        async with asyncio.timeout(READY_WITHIN_S):
            async for text in socket:
                message = read(text)
                if message.get("type") == "ready":
                    self.began = True
                    return
                if message.get("type") == "error":
                    raise Failed(f"the service refused: {message.get('message')}")
        raise Failed("the service closed before it was ready")

    async def send(self, socket):
        while True:
            item = await self.input.get()
            over = item is self.SENTINEL
            await socket.send(json.dumps({"type": "end_of_stream"}) if over else item)
            self.sent_at = asyncio.get_running_loop().time()
            if over and not self.as_it_was:
                self.sent_at = None
                self.wait_from_now()
                return

    async def keep_alive(self, socket):
        """While the input pauses, and not after the end."""
        while self.sent_at is not None:
            await asyncio.sleep(KEEPALIVE_EVERY_S)
            if self.sent_at is not None and asyncio.get_running_loop().time() - self.sent_at >= KEEPALIVE_EVERY_S:
                await socket.send(json.dumps({"type": "keepalive"}))

    async def receive(self, socket):
        """To `session_ended`. After the end of the input a service that says nothing for long is gone."""
        try:
            async with asyncio.timeout(None) as self.patience:
                await self.messages(socket)
        except TimeoutError:
            raise Incomplete(f"the service said nothing for {SILENT_FOR_S} s after the end") from None
        except websockets.ConnectionClosed as closed:
            raise Incomplete(f"the service closed without session_ended ({closed})") from None

    def wait_from_now(self):
        """The sentinel was sent, or something came after it."""
        if self.patience is not None and not self.as_it_was:
            self.patience.reschedule(asyncio.get_running_loop().time() + SILENT_FOR_S)

    async def messages(self, socket):
        while True:
            message = read(await socket.recv())
            if self.sent_at is None:
                self.wait_from_now()
            match message.get("type"):
                case "final" if message != self.last:
                    # Finals have no numbers; one with the same words at the same time is the same one.
                    self.last = message
                    self.output.put_nowait(message)
                case "error":
                    self.on_error(str(message.get("message", "")))
                case "session_ended":
                    if not self.ended and not self.as_it_was:
                        raise Incomplete("the service ended the session before the audio was over")
                    # The transcript is whole now; the closing handshake may take its time.
                    self.output.put_nowait(None)
                    return


def read(text):
    """A message; what is none is one without a type."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


async def transcribe(options):
    stream = Stream(options.url, options.language, options.as_it_was)
    with wave.open(options.audio) as recording:
        audio = recording.readframes(recording.getnframes())

    async def feed():
        size = 32 * FRAME_MS
        for at in range(0, len(audio), size):
            stream.push(audio[at : at + size])
            await asyncio.sleep(FRAME_MS / 1000 / options.speed)
        stream.end()

    feeding = asyncio.create_task(feed())
    try:
        async for final in stream:
            print(final.get("text", ""), flush=True)
    except Incomplete as error:
        print(f"incomplete: {error}", file=sys.stderr)
        return 1
    finally:
        feeding.cancel()
    return 0


def main():
    parser = argparse.ArgumentParser(description="Transcribes a WAV file (16 kHz, mono, 16 bit).")
    parser.add_argument("url")
    parser.add_argument("--audio", required=True, metavar="FILE.wav")
    parser.add_argument("--language")
    parser.add_argument("--speed", type=float, default=4.0, help="times real time")
    parser.add_argument("--as-it-was", action="store_true", help="with the faults that it had")
    sys.exit(asyncio.run(transcribe(parser.parse_args())))


if __name__ == "__main__":
    main()
