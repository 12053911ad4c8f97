"""The service: `/ws/transcribe`, and `POST /transcribe` for whole recordings.

One task reads and answers, one decodes, so that a long decode holds nothing up.
"""

import argparse
import asyncio
import io
import json
import wave
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, File, HTTPException, UploadFile, WebSocket, WebSocketDisconnect

from hearing import RATE_HZ, Hearing

SERVED_TASKS = ("transcribe",)
CONFIG_WITHIN_S = 10


class Refused(Exception):
    """What the client is told, in words that are meant for it."""


class Session:
    def __init__(self, websocket, options):
        self.websocket, self.options = websocket, options
        self.hearing = Hearing()
        self.queue = asyncio.Queue()
        self.output = asyncio.Queue()
        self.ended = False
        self.late_told = False

    async def run(self):
        tasks = [asyncio.create_task(work) for work in (self.write(), self.read(), self.decode())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def write(self):
        """Ends with the last message; the Close follows it."""
        with suppress(WebSocketDisconnect, RuntimeError):
            while (message := await self.output.get()) is not None:
                await self.websocket.send_text(json.dumps(message))
            await self.websocket.close(1000)

    async def read(self):
        """Reads to the end of the connection; what comes after `end_of_stream` is answered, not taken."""
        configured = False
        while True:
            event = await self.websocket.receive()
            if event["type"] == "websocket.disconnect":
                return
            try:
                if event.get("bytes") is not None:
                    self.on_audio(event["bytes"], configured)
                else:
                    configured = self.on_text(event["text"], configured)
            except Refused as refused:
                self.say_error(str(refused))
            except Exception as error:
                # As it was, the client saw what only the log should see.
                as_it_was = f"{error!r} in {__file__}"
                self.say_error(as_it_was if self.options.as_it_was else "the message cannot be handled")

    def on_audio(self, audio, configured):
        if not configured:
            raise Refused("audio came before the configuration")
        if self.ended:
            if not self.options.as_it_was and not self.late_told:
                self.late_told = True
                raise Refused("audio after end_of_stream is not transcribed")
            return
        if len(audio) % 2:
            raise Refused("the audio is not whole 16-bit samples")
        self.queue.put_nowait(audio)

    def on_text(self, text, configured):
        message = read(text, self.options)
        kind = message.get("type")
        if kind is None:
            if configured:
                raise Refused("the session is configured already")
            configure(message)
            self.output.put_nowait({"type": "ready"})
            return True
        if not configured:
            raise Refused("the first message is the configuration, without `type`")
        if kind == "end_of_stream":
            if self.ended and self.options.as_it_was:
                return True
            if self.ended:
                raise Refused("end_of_stream came before")
            self.ended = True
            self.queue.put_nowait(None)
        elif kind != "keepalive":
            raise Refused("there is no such message")
        return True

    async def decode(self):
        while (audio := await self.queue.get()) is not None:
            await self.tell(self.hearing.feed(audio))
        await self.tell(self.hearing.finish())
        self.output.put_nowait({"type": "session_ended", "message": "the last final was sent"})
        self.output.put_nowait(None)
        await asyncio.Event().wait()  # The writer says when the session is over.

    async def tell(self, finals):
        for final in finals:
            await asyncio.sleep(self.options.cost_ms / 1000)
            self.output.put_nowait(final)

    def say_error(self, text):
        self.output.put_nowait({"type": "error", "message": text})


def read(text, options):
    if options.as_it_was:
        return json.loads(text)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("the text is no JSON") from None
    if not isinstance(message, dict):
        raise Refused("the message is no JSON object")
    return message


def configure(message):
    rate, task = message.get("sample_rate", RATE_HZ), message.get("task") or "transcribe"
    if isinstance(rate, bool) or not isinstance(rate, int) or rate != RATE_HZ:
        raise Refused(f"sample_rate: only {RATE_HZ} is served")
    if task not in SERVED_TASKS:
        raise Refused("task: only transcribe is served")
    if not isinstance(message.get("language"), str | None):
        raise Refused("language is a string or null")


def transcribed(content):
    """The answer to a whole recording."""
    try:
        with wave.open(io.BytesIO(content)) as recording:
            if (recording.getnchannels(), recording.getsampwidth(), recording.getframerate()) != (1, 2, RATE_HZ):
                raise Refused(f"send one channel of 16-bit PCM at {RATE_HZ} Hz")
            audio = recording.readframes(recording.getnframes())
    except (wave.Error, EOFError):
        raise Refused("the file is no WAV file") from None
    hearing = Hearing()
    finals = hearing.feed(audio) + hearing.finish()
    segments = [{name: final[name] for name in ("text", "start", "end", "confidence")} for final in finals]
    text = " ".join(final["text"] for final in finals)
    return {"text": text, "segments": segments, "language": "en", "duration": round(len(audio) / 2 / RATE_HZ, 3)}


def application(options):
    app = FastAPI()

    @app.websocket("/ws/transcribe")
    async def transcribe_stream(websocket: WebSocket):
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await Session(websocket, options).run()

    @app.post("/transcribe")
    async def transcribe(file: UploadFile = File()):
        content = await file.read()
        try:
            return await asyncio.to_thread(transcribed, content)
        except Refused as refused:
            raise HTTPException(400, str(refused)) from None

    return app


def main():
    parser = argparse.ArgumentParser(description="A transcription service that speaks the dialect whisper-fastapi.")
    parser.add_argument("port", type=int)
    parser.add_argument("--as-it-was", action="store_true", help="with the faults that it had")
    parser.add_argument("--cost-ms", type=int, default=0, help="how long a segment takes to decode")
    options = parser.parse_args()
    uvicorn.run(application(options), host="127.0.0.1", port=options.port, log_level="warning", ws="websockets-sansio")


if __name__ == "__main__":
    main()
