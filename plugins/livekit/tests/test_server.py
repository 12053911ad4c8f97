"""Real livekit-agents against the real ``lastword-server``: events, times, usage, whole recordings, credentials."""

from __future__ import annotations

import asyncio
from typing import Literal

import aiohttp
import lastword_server
import pytest
from lastword_server import FIXTURES, frames
from listening import HANG_S, listen, silence, tasks_of_the_plugin
from livekit import rtc
from livekit.agents import APIConnectOptions, APIStatusError, metrics, stt
from livekit.plugins import lastword

NAME = "plain-0081.wav"
WAV = FIXTURES / "wavs" / NAME
DURATION_S = 2.163


async def test_a_clip_that_ends_before_the_tasks_first_step_is_transcribed(whisper_url: str) -> None:
    async with lastword.STT(url=whisper_url) as speech:
        heard = await listen(speech, frames(WAV))
    assert heard.error is None
    assert " ".join(heard.finals()) == lastword_server.heard(NAME)
    outcome = heard.stream.outcome
    assert outcome is not None
    assert outcome.kind == "complete"
    assert outcome.ended is not None
    assert outcome.ended.complete
    assert tasks_of_the_plugin() == []


async def test_events_come_in_their_order_with_times_words_and_language(whisper_url: str) -> None:
    async with lastword.STT(url=whisper_url, language="en") as speech:
        heard = await listen(speech, frames(WAV))
    kinds = heard.types()
    assert kinds[0] == "start_of_speech"
    assert kinds[-1] == "recognition_usage"
    assert kinds.count("start_of_speech") == kinds.count("end_of_speech") == 1
    assert kinds.count("final_transcript") == 1
    final = next(event for event in heard.events if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT)
    (data,) = final.alternatives
    assert (data.language, final.request_id != "") == ("en", True)
    assert data.words is not None
    assert " ".join(data.words) == data.text
    times = [(float(word.start_time or 0), float(word.end_time or 0)) for word in data.words]
    assert all(data.start_time <= start <= end <= data.end_time for start, end in times)
    assert times == sorted(times)
    assert 0 < data.confidence <= 1
    started = heard.events[0].speech_start_time
    assert started is not None
    assert heard.stream.start_time <= started <= heard.events[0].created_at


async def test_usage_adds_up_to_what_the_server_counted(scripted_url: str) -> None:
    collected: list[metrics.STTMetrics] = []
    long = frames(FIXTURES / "long" / "0000.wav")
    async with lastword.STT(url=scripted_url) as speech:
        speech.on("metrics_collected", collected.append)
        heard = await listen(speech, long)
    outcome = heard.stream.outcome
    assert outcome is not None
    assert outcome.ended is not None
    assert heard.usage_s() == pytest.approx(outcome.ended.audio_received_ms / 1_000)
    assert heard.types().count("recognition_usage") > 1
    assert sum(metric.audio_duration for metric in collected) == pytest.approx(heard.usage_s())


async def test_without_the_servers_speech_events_they_are_made_from_results(scripted_url: str) -> None:
    async with lastword.STT(url=scripted_url, vad_events=False, words=False) as speech:
        heard = await listen(speech, frames(WAV))
    kinds = heard.types()
    assert kinds[0] == "start_of_speech"
    assert kinds[-3:] == ["final_transcript", "end_of_speech", "recognition_usage"]
    final = next(event for event in heard.events if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT)
    assert final.alternatives[0].words is None


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (8_000, 1), (16_000, 2), (48_000, 2)])
async def test_other_rates_and_channels_are_made_fit(whisper_url: str, rate: int, channels: int) -> None:
    resampler = rtc.AudioResampler(16_000, rate, quality=rtc.AudioResamplerQuality.HIGH)
    resampled = [piece for frame in frames(WAV) for piece in resampler.push(frame)] + resampler.flush()
    audio = [_spread(frame, channels) for frame in resampled]
    async with lastword.STT(url=whisper_url) as speech:
        heard = await listen(speech, audio)
    assert heard.error is None
    # 8 kHz loses what the model listens to; that something was heard for the whole length is enough there.
    assert (" ".join(heard.finals()) == lastword_server.heard(NAME)) or (rate == 8_000 and heard.finals())
    assert heard.usage_s() == pytest.approx(DURATION_S, abs=0.02)


def _spread(frame: rtc.AudioFrame, channels: int) -> rtc.AudioFrame:
    samples = b"".join(bytes(frame.data[at : at + 1].cast("b")) * channels for at in range(len(frame.data)))
    return rtc.AudioFrame(samples, frame.sample_rate, channels, frame.samples_per_channel)


async def test_zero_audio_ends_normally(scripted_url: str) -> None:
    async with lastword.STT(url=scripted_url) as speech:
        heard = await listen(speech, [])
    assert (heard.events, heard.error) == ([], None)


async def test_a_flush_gives_the_final_and_the_stream_goes_on(whisper_url: str) -> None:
    clip = frames(WAV)
    async with lastword.STT(url=whisper_url, endpointing="none") as speech:
        stream = speech.stream()
        for frame in clip:
            stream.push_frame(frame)
        stream.flush()
        texts: list[str] = []

        async def take() -> None:
            async for event in stream:
                if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                    texts.append(event.alternatives[0].text)
                    if len(texts) == 1:
                        # Nothing but the flush can have brought the first: the endpointing is off.
                        for frame in clip:
                            stream.push_frame(frame)
                        stream.end_input()

        await asyncio.wait_for(take(), HANG_S)
        await stream.aclose()
    assert texts == [lastword_server.heard(NAME)] * 2


async def test_keepalives_hold_a_stream_without_audio(impatient_url: str) -> None:
    """The server ends a session after 3 s without a sign of life; this one is held for longer and then used."""
    async with lastword.STT(url=impatient_url) as speech:
        stream = speech.stream(conn_options=APIConnectOptions(max_retry=0))
        stream.push_frame(silence(100))
        await asyncio.sleep(4)
        for frame in frames(WAV):
            stream.push_frame(frame)
        stream.end_input()
        texts = [event.alternatives[0].text async for event in stream if event.alternatives]
        await stream.aclose()
    assert texts[-1]
    assert stream.outcome is not None
    assert stream.outcome.kind == "complete"


async def test_cancelling_leaves_nothing_behind(scripted_url: str) -> None:
    async with lastword.STT(url=scripted_url) as speech:
        stream = speech.stream()
        for frame in frames(WAV):
            stream.push_frame(frame)
        event = await asyncio.wait_for(stream.__anext__(), HANG_S)
        assert event.type is stt.SpeechEventType.START_OF_SPEECH
        await stream.aclose()
        await stream.aclose()
        assert stream.outcome is not None
        assert stream.outcome.kind == "cancelled"
        assert tasks_of_the_plugin() == []
        stream.end_input()
        with pytest.raises(RuntimeError):
            stream.push_frame(silence(20))


async def test_a_whole_recording_goes_through_the_transcriptions_endpoint(whisper_url: str) -> None:
    async with lastword.STT(url=whisper_url, language="en") as speech:
        event = await speech.recognize(frames(WAV))
    (data,) = event.alternatives
    assert event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
    assert data.text == lastword_server.heard(NAME)
    assert data.words is not None
    assert " ".join(data.words) == data.text
    assert 0 < data.start_time < data.end_time <= DURATION_S


@pytest.mark.parametrize("auth", ["header", "config"])
async def test_a_credential_is_shown_where_it_belongs(guarded_url: str, auth: Literal["header", "config"]) -> None:
    async with lastword.STT(url=guarded_url, token="open-sesame", auth=auth) as speech:
        heard = await listen(speech, frames(WAV))
        event = await speech.recognize(frames(WAV))
    assert heard.error is None
    assert heard.finals()
    assert event.alternatives[0].text


@pytest.mark.parametrize("auth", ["header", "config"])
async def test_a_wrong_credential_is_told_once_and_stands_in_no_text(
    guarded_url: str, auth: Literal["header", "config"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with lastword.STT(url=guarded_url, token="wrong-secret", auth=auth) as speech:
        heard = await listen(speech, frames(WAV))
        with pytest.raises(APIStatusError) as batch:
            # Refused before it is read, so that the line breaks while it is being sent.
            await speech.recognize(frames(FIXTURES / "long" / "0000.wav"))
    error = heard.api_error()
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (401, False)
    assert (batch.value.status_code, batch.value.retryable) == (401, False)
    seen = [repr(error), str(error), repr(batch.value), str(batch.value), caplog.text, repr(speech._options)]
    # The HTTP library's errors hold the headers that were sent.
    assert not any(isinstance(each.__context__, aiohttp.ClientError) for each in (error, batch.value))
    assert not any("wrong-secret" in text for text in seen)


async def test_a_model_that_is_not_there_is_the_frameworks_error(scripted_url: str) -> None:
    async with lastword.STT(url=scripted_url, model="nobody-has-this") as speech:
        heard = await listen(speech, frames(WAV))
        with pytest.raises(APIStatusError) as batch:
            await speech.recognize(frames(WAV))
    error = heard.api_error()
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (404, False)
    assert error.body == {"code": "unknown_model", "retryable": False, "retry_after_ms": None}
    assert batch.value.status_code == 404


async def test_nobody_there_is_a_connection_error_after_the_retries() -> None:
    async with lastword.STT(url="ws://127.0.0.1:9/v1/listen") as speech:
        heard = await listen(speech, frames(WAV))
    assert "127.0.0.1:9" in str(heard.error)
    assert len([told for told in heard.errors if told.recoverable]) == 2
    assert heard.errors[-1].recoverable is False


async def test_two_streams_at_once_do_not_mix(whisper_url: str) -> None:
    other = "plain-0003.wav"
    async with lastword.STT(url=whisper_url) as speech:
        both = await asyncio.gather(
            listen(speech, frames(WAV)), listen(speech, frames(FIXTURES / "wavs" / other, frame_ms=7))
        )
    assert [" ".join(heard.finals()) for heard in both] == [lastword_server.heard(NAME), lastword_server.heard(other)]


@pytest.mark.parametrize("url", ["ftp://a/", "ws://", "ws://user:pass@host/", "ws://user:pass", "not a url"])
def test_urls_that_cannot_work_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        lastword.STT(url=url)
    assert "pass" not in str(refused.value)


def test_addresses_are_completed() -> None:
    speech = lastword.STT(url="https://stt.example.org")
    assert speech._options.url == "wss://stt.example.org/v1/listen"
    assert speech._options.batch_url == "https://stt.example.org/v1/audio/transcriptions"
