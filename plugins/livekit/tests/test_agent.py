"""A real ``AgentSession`` and the framework's own adapter over the plugin, against the real server."""

from __future__ import annotations

import agent_events
import lastword_server
from lastword_server import FIXTURES, frames
from livekit.agents import APIConnectOptions, stt
from livekit.plugins import lastword
from peers import Peer, scripted

NAME = "plain-0081.wav"


async def test_an_agent_session_hears_the_recording(whisper_url: str) -> None:
    audio = frames(FIXTURES / "wavs" / NAME)
    said = lastword_server.heard(NAME)
    async with lastword.STT(url=whisper_url) as speech:
        lines = await agent_events.agent_events(speech, audio, is_done=lambda text: text == said)
    kinds = [line.split(" '")[0] for _, line in lines]
    assert kinds[0] == "user_state_changed speaking"
    assert "user_input_transcribed interim" in kinds
    assert f"user_input_transcribed final {said!r}" in [line for _, line in lines]
    assert kinds.index("user_state_changed listening") > kinds.index("user_state_changed speaking")


async def test_the_events_are_the_same_at_the_pace_of_speech_and_faster(whisper_url: str) -> None:
    audio = frames(FIXTURES / "wavs" / NAME)
    async with lastword.STT(url=whisper_url, interim_results=False) as speech:
        both = [await agent_events.stream_events(speech, audio, fast=fast) for fast in (False, True)]
    # The moment at which the input ends is the reader's, not the stream's.
    slow, fast = ([line for _, line in lines if line != "(the input ends)"] for lines in both)
    assert slow == fast
    assert fast[-1] == "(the iterator ends: complete)"


async def test_the_fallback_adapter_takes_over_from_a_server_that_refuses(whisper_url: str) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.until("config")
        await peer.error("overloaded", retryable=True)
        await peer.close(1013)
        await peer.until_gone()

    async with (
        scripted(refuses) as server,
        lastword.STT(url=server.url) as first,
        lastword.STT(url=whisper_url) as second,
    ):
        adapter = stt.FallbackAdapter([first, second], max_retry_per_stt=0)
        stream = adapter.stream(conn_options=APIConnectOptions(max_retry=0))

        def push(event: stt.AvailabilityChangedEvent) -> None:
            # Now: the adapter does not say again what it gave to the one that failed.
            if event.stt is first and not event.available:
                for frame in frames(FIXTURES / "wavs" / NAME):
                    stream.push_frame(frame)
                stream.end_input()

        adapter.on("stt_availability_changed", push)
        texts = [
            event.alternatives[0].text async for event in stream if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
        ]
        await stream.aclose()
        await adapter.aclose()
    assert texts == [lastword_server.heard(NAME)]
