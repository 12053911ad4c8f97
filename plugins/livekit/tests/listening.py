"""Runs a stream to its end and keeps what it said. Owns the bound of a test, which is no verdict: reaching it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt
from livekit.plugins import lastword

# Nothing in these tests takes so long, unless it hangs.
HANG_S = 20.0
QUICK_RETRY = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5)

MakeStt = Callable[..., lastword.STT]


@dataclass
class Heard:
    """What came of a stream."""

    stream: lastword.SpeechStream
    events: list[stt.SpeechEvent] = field(default_factory=list)
    error: BaseException | None = None
    ended_at: float = 0.0
    errors: list[stt.STTError] = field(default_factory=list)
    """The ``error`` events of the STT."""

    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event.type.value for event in self.events]

    def finals(self) -> list[str]:
        """The texts of the finals, in order."""
        final = stt.SpeechEventType.FINAL_TRANSCRIPT
        return [event.alternatives[0].text for event in self.events if event.type is final]

    def usage_s(self) -> float:
        """All usage together."""
        return sum(event.recognition_usage.audio_duration for event in self.events if event.recognition_usage)

    def api_error(self) -> APIError:
        """The error it ended with."""
        assert isinstance(self.error, APIError), repr(self.error)
        return self.error


def silence(ms: int, rate: int = 16_000) -> rtc.AudioFrame:
    """Audio that a scripted server does not listen to anyway."""
    samples = rate * ms // 1_000
    return rtc.AudioFrame(bytes(2 * samples), rate, 1, samples)


async def listen(
    speech: lastword.STT,
    audio: list[rtc.AudioFrame],
    *,
    flush: bool = False,
    end: bool = True,
    conn_options: APIConnectOptions = QUICK_RETRY,
    on_event: Callable[[stt.RecognizeStream, stt.SpeechEvent], None] | None = None,
    at_end: Callable[[], None] | None = None,
) -> Heard:
    """Pushes all audio before the stream's task has had its first step, ends, and takes the events to their end."""
    stream = speech.stream(conn_options=conn_options)
    heard = Heard(stream)
    speech.on("error", heard.errors.append)

    async def take() -> None:
        try:
            async for event in stream:
                heard.events.append(event)
                if on_event is not None:
                    on_event(stream, event)
        except Exception as error:
            heard.error = error
        heard.ended_at = time.monotonic()
        if at_end is not None:
            at_end()

    try:
        for frame in audio:
            stream.push_frame(frame)
        if flush:
            stream.flush()
        if end:
            stream.end_input()
        await asyncio.wait_for(take(), HANG_S)
    finally:
        speech.off("error", heard.errors.append)
        await stream.aclose()
    return heard


def tasks_of_the_plugin() -> list[str]:
    """The tasks that live now and are the plugin's or the framework's, by name."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("lastword", "STT"))]
