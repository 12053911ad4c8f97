"""Prints what an agent gets for a recording: the events of a stream, at the pace of speech or faster, and a real
``AgentSession`` that listens through this plugin. Owns nothing but the printing; ``test_agent`` holds it to account.

    python tests/agent_events.py FILE.wav [--url ws://..] [--fast]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import lastword_server
from livekit import rtc
from livekit.agents import Agent, AgentSession, UserInputTranscribedEvent, stt, utils
from livekit.agents.voice.io import AudioInput
from livekit.plugins import lastword

FRAME_MS = 20


async def paced(frames: list[rtc.AudioFrame], *, fast: bool) -> AsyncIterator[rtc.AudioFrame]:
    """Each frame when it would have been spoken, or at once."""
    began = time.monotonic()
    spoken_s = 0.0
    for frame in frames:
        spoken_s += frame.duration
        if not fast:
            await asyncio.sleep(max(began + spoken_s - time.monotonic(), 0))
        yield frame


async def stream_events(speech: lastword.STT, frames: list[rtc.AudioFrame], *, fast: bool) -> list[tuple[float, str]]:
    """The events of one stream, each with the time since the first frame, as a line."""
    began = time.monotonic()
    lines: list[tuple[float, str]] = []
    async with speech.stream() as stream:

        async def push() -> None:
            async for frame in paced(frames, fast=fast):
                stream.push_frame(frame)
            lines.append((time.monotonic() - began, "(the input ends)"))
            stream.end_input()

        pushing = asyncio.create_task(push())
        async for event in stream:
            lines.append((time.monotonic() - began, describe(event)))
        await pushing
        assert stream.outcome is not None
        lines.append((time.monotonic() - began, f"(the iterator ends: {stream.outcome.kind})"))
    return lines


def describe(event: stt.SpeechEvent) -> str:
    """An event as a line."""
    if event.recognition_usage is not None:
        return f"{event.type.value} {event.recognition_usage.audio_duration:.3f} s"
    if not event.alternatives:
        return event.type.value
    data = event.alternatives[0]
    line = f"{event.type.value} [{data.language}] {data.start_time:.2f}-{data.end_time:.2f} s {data.text!r}"
    if data.words:
        words = " ".join(f"{word}@{float(word.start_time or 0):.2f}" for word in data.words)
        line += f" ({data.confidence:.2f}) {words}"
    return line


class Recording(AudioInput):
    """A recording as what an agent hears; silence follows it, as in a room."""

    def __init__(self, frames: list[rtc.AudioFrame]) -> None:
        super().__init__(label="recording")
        silence = utils.audio.silence_frame(FRAME_MS / 1_000, frames[0].sample_rate)
        self._paced = paced(frames + [silence] * 500, fast=False)

    async def __anext__(self) -> rtc.AudioFrame:
        return await anext(self._paced)


async def agent_events(
    speech: lastword.STT, frames: list[rtc.AudioFrame], *, is_done: Callable[[str], bool]
) -> list[tuple[float, str]]:
    """What a real agent session says of its user until ``is_done`` says so of what was transcribed."""
    began = time.monotonic()
    lines: list[tuple[float, str]] = []
    done = asyncio.Event()
    session: AgentSession[None] = AgentSession(stt=speech, vad=None, turn_handling={"turn_detection": "stt"})

    def transcribed(event: UserInputTranscribedEvent) -> None:
        kind = "final" if event.is_final else "interim"
        lines.append((time.monotonic() - began, f"user_input_transcribed {kind} {event.transcript!r}"))
        if event.is_final and is_done(event.transcript):
            done.set()

    session.on("user_input_transcribed", transcribed)
    session.on(
        "user_state_changed",
        lambda event: lines.append((time.monotonic() - began, f"user_state_changed {event.new_state}")),
    )
    session.input.audio = Recording(frames)
    await session.start(agent=Agent(instructions="listen"), record=False)
    try:
        await asyncio.wait_for(done.wait(), 30)
    finally:
        await session.aclose()
    lines.append((time.monotonic() - began, "(the session is closed)"))
    return lines


async def show(path: Path, url: str, *, fast: bool) -> None:
    """Prints both."""
    frames = lastword_server.frames(path, FRAME_MS)
    async with utils.http_context.open(), lastword.STT(url=url) as speech:
        print(f"{path.name}, {'as fast as it goes' if fast else 'at the pace of speech'}, a stream:")
        for at, line in await stream_events(speech, frames, fast=fast):
            print(f"  {at:6.3f} s  {line}")
        print(f"{path.name}, at the pace of speech, an AgentSession:")
        for at, line in await agent_events(speech, frames, is_done=lambda text: bool(text)):
            print(f"  {at:6.3f} s  {line}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Prints what an agent gets for a recording.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", help="a server that runs; without it one is started")
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    if options.url is not None:
        asyncio.run(show(options.file, options.url, fast=options.fast))
        return
    with lastword_server.running() as url:
        asyncio.run(show(options.file, url, fast=options.fast))


if __name__ == "__main__":
    main()
