"""What a right client does against each misbehaving server, as functions that any STT can be held to.

Owns the scripts and the claims; ``test_behaviour`` runs them on the plugin, ``test_mutants`` on broken copies of it.
The servers announce the limits: large ones where a message must bring the end, small ones where only a bound can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import listening
from listening import Heard, MakeStt, listen, silence, tasks_of_the_plugin
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, stt
from losses import each_lived_before_it_was_lost
from peers import LARGE_LIMITS, SMALL_LIMITS, Peer, Script, ScriptedServer, scripted

Check = Callable[[MakeStt], Awaitable[None]]

CLIP = [silence(100) for _ in range(5)]
# From a fatal error to the application. Spec: ERR-C1.
TOLD_S = 1.0


async def run(make: MakeStt, *scripts: Script, flush: bool = False) -> tuple[ScriptedServer, Heard]:
    """One stream of half a second against the scripts."""
    async with scripted(*scripts) as server, make(url=server.url) as speech:
        heard = await listen(speech, CLIP, flush=flush)
        assert tasks_of_the_plugin() == []
    return server, heard


def ended_with(heard: Heard, kind: str, code: str) -> None:
    """The outcome is this one, and the iterator says so."""
    outcome = heard.stream.outcome
    assert outcome is not None
    assert (outcome.kind, outcome.code) == (kind, code)
    assert (heard.error is None) == (kind == "complete")


def one_sentinel_and_nothing_after_it(peer: Peer) -> None:
    """Exactly one, last."""
    assert peer.types() == ["config", "audio", "end_of_stream"]
    assert peer.audio_ms == 500


async def ideal(make: MakeStt) -> None:
    """Audio, one sentinel, a final, the end."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    server, heard = await run(make, script)
    one_sentinel_and_nothing_after_it(server.peer)
    ended_with(heard, "complete", "completed")
    assert heard.finals() == ["hello"]
    assert heard.usage_s() == 0.5


async def session_ended_and_no_close(make: MakeStt) -> None:
    """The iterator ends by the message: the socket is closed only after it has, and no timer is near."""
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await over.wait()
        await peer.until_gone()

    async with scripted(script) as server, make(url=server.url) as speech:
        heard = await listen(speech, CLIP, at_end=over.set)
        assert tasks_of_the_plugin() == []
    ended_with(heard, "complete", "completed")
    one_sentinel_and_nothing_after_it(server.peer)
    assert server.peer.close_code == 1000


async def final_late_with_progress(make: MakeStt) -> None:
    """The final comes 3 s after the sentinel, three times the announced drain; progress held it open. No keepalive."""

    async def script(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS | {"max_step_ms": 30_000})
        await peer.until("end_of_stream")
        reading = asyncio.create_task(peer.until_gone())
        for seq in range(1, 31):
            await asyncio.sleep(0.1)
            await peer.send("progress", seq=seq, audio_processed_ms=min(seq * 16, 499))
        await peer.final(text="late")
        await peer.session_ended()
        await reading

    server, heard = await run(make, script)
    assert heard.finals() == ["late"]
    ended_with(heard, "complete", "completed")
    one_sentinel_and_nothing_after_it(server.peer)


async def more_results_after_the_sentinel(make: MakeStt) -> None:
    """A final, a partial and another final after the sentinel: the last result is known only by `session_ended`."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final(0, "first")
        await peer.send("partial", segment_id=1, revision=1, text="se", start_ms=1, end_ms=2, channel=0)
        await asyncio.sleep(0.2)
        await peer.final(1, "second")
        await peer.final(2, "")
        await peer.session_ended(finals=3)
        await peer.until_gone()

    _, heard = await run(make, script)
    assert heard.finals() == ["first", "second", ""]
    ended_with(heard, "complete", "completed")


async def close_before_the_final(make: MakeStt) -> None:
    """A closed socket proves nothing, whatever its code; and after the sentinel nothing is dialled again."""
    for code in (1000, 1011):

        async def script(peer: Peer, code: int = code) -> None:
            await peer.begin()
            await peer.until("end_of_stream")
            await peer.close(code)
            await peer.until_gone()

        server, heard = await run(make, script)
        assert len(server.peers) == 1
        assert isinstance(heard.error, APIConnectionError)
        assert not heard.error.retryable
        ended_with(heard, "incomplete", "closed")


async def reset_after_the_sentinel(make: MakeStt) -> None:
    """Nor when the connection breaks."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        peer.reset()

    server, heard = await run(make, script)
    assert len(server.peers) == 1
    assert isinstance(heard.error, APIConnectionError)
    assert not heard.error.retryable
    ended_with(heard, "incomplete", "connection_lost")


async def reset_mid_stream(make: MakeStt) -> None:
    """Before the sentinel it is dialled again, times go on, and the gap is told: never success."""

    async def breaks(peer: Peer) -> None:
        await peer.begin()
        while peer.audio_ms < 200:
            await peer.next()
        await peer.final(text="one")
        await asyncio.sleep(0.1)
        peer.reset()

    async def serves(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final(text="two")
        await peer.session_ended()
        await peer.until_gone()

    async with scripted(breaks, serves) as server, make(url=server.url) as speech:
        more = [silence(100)] * 2

        def push_the_rest(stream: stt.RecognizeStream, event: stt.SpeechEvent) -> None:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT and event.alternatives[0].text == "one":
                asyncio.get_running_loop().call_later(0.3, finish, stream)

        def finish(stream: stt.RecognizeStream) -> None:
            for frame in more:
                stream.push_frame(frame)
            stream.end_input()

        heard = await listen(speech, [silence(100)] * 2, end=False, on_event=push_the_rest)
    assert heard.finals() == ["one", "two"]
    first, second = (event.alternatives[0] for event in heard.events if event.alternatives)
    assert second.start_time >= first.end_time
    assert second.start_time - first.start_time >= 0.2
    assert heard.usage_s() == 0.4
    ended_with(heard, "incomplete", "not_complete")
    assert not heard.api_error().retryable
    assert [told.recoverable for told in heard.errors] == [True, False]


async def fatal_error_then_open(make: MakeStt) -> None:
    """It is told at once, ends within `close_ms`, and a final refusal is not asked again."""
    told_at: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS)
        await peer.error("quota_exceeded")
        told_at.append(time.monotonic())
        await peer.until_gone()

    server, heard = await run(make, script)
    assert len(server.peers) == 1
    error = heard.error
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (402, False)
    assert heard.errors, "the error was not told"
    assert heard.errors[0].timestamp - time.time() + time.monotonic() - told_at[0] < TOLD_S
    ended_with(heard, "error", "quota_exceeded")


async def retryable_error_then_service(make: MakeStt) -> None:
    """A fatal error with the retryable bit, before anything was sent: the next connection has it all."""

    async def refuses(peer: Peer) -> None:
        await peer.until("config")
        await peer.error("overloaded", retryable=True, retry_after_ms=10)
        await peer.close(1013)
        await peer.until_gone()

    async def serves(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    server, heard = await run(make, refuses, serves)
    assert len(server.peers) == 2
    assert server.peers[1].audio_ms == 500
    ended_with(heard, "complete", "completed")


async def error_that_is_not_fatal(make: MakeStt) -> None:
    """It is told, and ends nothing."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.error("invalid_audio", fatal=False)
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    _, heard = await run(make, script)
    ended_with(heard, "complete", "completed")
    assert [(str(told.error), told.recoverable) for told in heard.errors] != []
    assert heard.errors[0].recoverable


async def silence_after_the_sentinel(make: MakeStt) -> None:
    """Given up after the announced drain, not before, and incomplete."""
    waited_from: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS)
        await peer.until("end_of_stream")
        waited_from.append(time.monotonic())
        await peer.until_gone()

    server, heard = await run(make, script)
    assert isinstance(heard.error, APITimeoutError)
    assert not heard.error.retryable
    assert heard.ended_at - waited_from[0] >= 0.9
    ended_with(heard, "incomplete", "drain_timeout")
    one_sentinel_and_nothing_after_it(server.peer)
    assert server.peer.close_code == 1002


async def garbage(make: MakeStt) -> None:
    """Garbage, arrays, binary and unknown types end nothing."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        for text in ("", "{", "[]", '["final"]', '{"type":"x_later"}', '{"type":"final"}', "[" * 10_000):
            await peer.ws.send_str(text)
        await peer.ws.send_bytes(b"\x00\x01")
        await peer.until("end_of_stream")
        await peer.final()
        await peer.ws.send_bytes(b"")
        await peer.session_ended()
        await peer.until_gone()

    _, heard = await run(make, script)
    assert heard.finals() == ["hello"]
    ended_with(heard, "complete", "completed")


async def double_final(make: MakeStt) -> None:
    """The second is not told."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final(0, "once")
        await peer.final(0, "twice")
        await peer.session_ended(finals=2)
        await peer.until_gone()

    _, heard = await run(make, script)
    assert heard.finals() == ["once"]


async def final_after_session_ended(make: MakeStt) -> None:
    """What comes after the last word is nobody's."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final(0, "in time")
        await peer.session_ended()
        await peer.final(1, "too late")
        await peer.until_gone()

    _, heard = await run(make, script)
    assert heard.finals() == ["in time"]
    ended_with(heard, "complete", "completed")


async def half_open(make: MakeStt) -> None:
    """A server that reads and says nothing is asked, then lost: retryable, before the end of the input."""

    async def script(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS)
        await peer.until_gone()

    async with scripted(script) as server, make(url=server.url) as speech:
        heard = await listen(speech, CLIP, end=False, conn_options=APIConnectOptions(max_retry=0))
    assert isinstance(heard.error, APIConnectionError)
    ended_with(heard, "incomplete", "connection_lost")
    asked = [message for message in server.peer.said if message["type"] == "keepalive" and "seq" in message]
    assert asked == [{"type": "keepalive", "seq": 1}]
    plain = [message for message in server.peer.said if message["type"] == "keepalive"]
    assert len(plain) > 3


async def flush_is_no_end(make: MakeStt) -> None:
    """A flush is a flush; the audio after it arrives, and then one sentinel."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        flush = await peer.until("flush")
        await peer.final(0, "before")
        await peer.send("flushed", id=flush["id"])
        await peer.until("end_of_stream")
        await peer.final(1, "after")
        await peer.session_ended(finals=2)
        await peer.until_gone()

    async with scripted(script) as server, make(url=server.url) as speech:

        def push_more(stream: stt.RecognizeStream, event: stt.SpeechEvent) -> None:
            if event.alternatives and event.alternatives[0].text == "before":
                for frame in CLIP:
                    stream.push_frame(frame)
                stream.end_input()

        answered: list[bool] = []
        speech.on("flushed", lambda _stream, flush: answered.append(flush.answered))
        heard = await listen(speech, CLIP, flush=True, end=False, on_event=push_more)
    assert heard.error is None
    assert answered == [True]
    assert heard.finals() == ["before", "after"]
    assert server.peer.types() == ["config", "audio", "flush", "audio", "end_of_stream"]
    assert server.peer.audio_ms == 1_000


async def flush_then_end(make: MakeStt) -> None:
    """A flush that the end follows at once is sent, and so is the end, each once."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        flush = await peer.until("flush")
        await peer.until("end_of_stream")
        await peer.final()
        await peer.send("flushed", id=flush["id"])
        await peer.session_ended()
        await peer.until_gone()

    server, heard = await run(make, script, flush=True)
    ended_with(heard, "complete", "completed")
    assert server.peer.types() == ["config", "audio", "flush", "end_of_stream"]


async def unanswered_flush(make: MakeStt) -> None:
    """It fails for its caller, and the stream goes on to its end."""

    async def script(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS | {"idle_timeout_ms": 60_000})
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    async with scripted(script) as server, make(url=server.url) as speech:
        failed = asyncio.Event()
        speech.on("error", lambda _told: failed.set())
        stream = speech.stream()
        stream.push_frame(silence(100))
        stream.flush()
        await asyncio.wait_for(failed.wait(), listening.HANG_S)
        stream.end_input()
        texts = [event.alternatives[0].text async for event in stream if event.alternatives]
        await stream.aclose()
    assert texts == ["hello"]


async def never_ready(make: MakeStt) -> None:
    """Given up when the time for `ready` is over: a timeout that may be tried again; nothing but `config` was sent."""

    async def script(peer: Peer) -> None:
        await peer.until_gone()

    async with scripted(script) as server, make(url=server.url) as speech:
        heard = await listen(speech, CLIP, conn_options=APIConnectOptions(max_retry=0))
    assert isinstance(heard.error, APITimeoutError)
    ended_with(heard, "error", "ready_timeout")
    assert server.peer.types() == ["config"]


async def closes_at_once(make: MakeStt) -> None:
    """Every time: dialled again a bounded number of times, each later, and then told."""

    async def script(peer: Peer) -> None:
        await peer.close(1011)

    server, heard = await run(make, script)
    assert len(server.peers) == 3
    assert isinstance(heard.error, APIError)
    ended_with(heard, "error", "closed_before_ready")


async def slow_ready(make: MakeStt) -> None:
    """What was pushed, and the end, wait for `ready`: nothing leaves before it."""

    async def script(peer: Peer) -> None:
        await peer.until("config")
        early = asyncio.ensure_future(peer.ws.receive())
        await asyncio.sleep(0.5)
        assert not early.done(), "something was sent before `ready`"
        early.cancel()
        await asyncio.gather(early, return_exceptions=True)
        peer.said.clear()
        await peer.ready(LARGE_LIMITS)
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    server, heard = await run(make, script)
    ended_with(heard, "complete", "completed")
    assert server.peer.types() == ["audio", "end_of_stream"]


ALL: list[Check] = [
    ideal,
    session_ended_and_no_close,
    final_late_with_progress,
    more_results_after_the_sentinel,
    close_before_the_final,
    reset_after_the_sentinel,
    reset_mid_stream,
    fatal_error_then_open,
    retryable_error_then_service,
    error_that_is_not_fatal,
    silence_after_the_sentinel,
    garbage,
    double_final,
    final_after_session_ended,
    half_open,
    flush_is_no_end,
    flush_then_end,
    unanswered_flush,
    never_ready,
    closes_at_once,
    slow_ready,
    each_lived_before_it_was_lost,
]
