"""The plugin against servers that misbehave, each in one way, and what only a look inside can show."""

from __future__ import annotations

import asyncio
import gc
import weakref

import checks
import pytest
from listening import HANG_S, listen, silence, tasks_of_the_plugin
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, stt
from livekit.plugins import lastword
from peers import LARGE_LIMITS, Peer, scripted

from livekit.plugins.lastword import stream as stream_module
from livekit.plugins.lastword.messages import encode
from livekit.plugins.lastword.protocol import Session


@pytest.fixture
def quick_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten seconds for `ready` are nobody's to announce: this test's session has half a second."""

    class QuickSession(Session):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, ready_ms=500)  # type: ignore[arg-type]

    monkeypatch.setattr(stream_module, "Session", QuickSession)


@pytest.mark.parametrize("check", [check for check in checks.ALL if check is not checks.never_ready])
async def test_a_right_client(check: checks.Check) -> None:
    await check(lastword.STT)


@pytest.mark.usefixtures("quick_ready")
async def test_never_ready() -> None:
    await checks.never_ready(lastword.STT)


async def test_a_second_end_sends_nothing_and_a_push_after_it_is_refused_aloud() -> None:
    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream()
        stream.push_frame(silence(500))
        stream.end_input()
        stream.end_input()
        with pytest.raises(RuntimeError, match="ended"):
            stream.push_frame(silence(20))
        with pytest.raises(RuntimeError, match="ended"):
            stream.flush()
        texts = [event.alternatives[0].text async for event in stream if event.alternatives]
        stream.end_input()
        await stream.aclose()
        stream.end_input()
    assert texts == ["hello"]
    checks.one_sentinel_and_nothing_after_it(server.peer)


async def test_cancelling_sends_a_close_and_no_sentinel() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("audio")
        await peer.send("partial", segment_id=0, revision=1, text="a", start_ms=0, end_ms=1, channel=0)
        await peer.until_gone()
        gone.set()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream()
        stream.push_frame(silence(500))
        await asyncio.wait_for(stream.__anext__(), HANG_S)
        await stream.aclose()
        assert tasks_of_the_plugin() == []
        await asyncio.wait_for(gone.wait(), HANG_S)
    assert server.peer.close_code == 1000
    assert server.peer.types() == ["config", "audio"]
    assert stream.outcome is not None
    assert stream.outcome.kind == "cancelled"


@pytest.mark.parametrize(("says", "kind"), [("", "cancelled"), ("error", "error"), ("ended", "complete")])
async def test_an_iterator_that_a_cancellation_ends_can_be_asked_how(says: str, kind: str) -> None:
    """The outcome is there when the iterator ends; an error that came first stays it, and so does the proof."""
    said = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("audio")
        if says == "error":
            await peer.error("internal", retryable=True)
        elif says == "ended":
            await peer.until("end_of_stream")
        said.set()
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        told = asyncio.Event()
        speech.on("error", lambda _told: told.set())
        stream = speech.stream()
        outcomes: list[lastword.Outcome | None] = []

        async def take() -> None:
            async for _event in stream:
                pass
            outcomes.append(stream.outcome)

        taking = asyncio.create_task(take())
        stream.push_frame(silence(500))
        if says == "ended":
            stream.end_input()
        await asyncio.wait_for(said.wait(), HANG_S)
        if says == "error":
            await asyncio.wait_for(told.wait(), HANG_S)
        elif says == "ended":
            # It has been read, and nobody has been told yet.
            session = stream._session
            assert session is not None
            account = {"audio_received_ms": 500, "audio_processed_ms": 500, "rejected_frames": 0, "finals": 0}
            session.receive_text(0.0, encode("session_ended", reason="completed", complete=True, **account))
        await stream.aclose()
        await asyncio.wait_for(taking, HANG_S)
        assert tasks_of_the_plugin() == []
    assert [outcome and outcome.kind for outcome in outcomes] == [kind]


async def test_a_cancellation_while_it_waits_to_dial_again_is_told_as_one() -> None:
    async def script(peer: Peer) -> None:
        await peer.close(1011)

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        failed = asyncio.Event()
        speech.on("error", lambda _told: failed.set())
        stream = speech.stream()
        stream.push_frame(silence(500))
        await asyncio.wait_for(failed.wait(), HANG_S)
        await stream.aclose()
    assert stream.outcome is not None
    assert stream.outcome.kind == "cancelled"


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_works_at_every_step(steps: int) -> None:
    """However far the tasks have come: no sentinel, no task left, and no waiting."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream()
        stream.push_frame(silence(500))
        for _ in range(steps * 3):
            await asyncio.sleep(0)
        await asyncio.wait_for(stream.aclose(), HANG_S)
        assert tasks_of_the_plugin() == []
    assert not any("end_of_stream" in peer.types() for peer in server.peers)


async def test_cancelling_is_quick_when_the_server_does_not_read_or_answer() -> None:
    """The closing handshake has its bound, and what could not be written does not hold the socket."""
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.begin(LARGE_LIMITS | {"close_ms": 500})
        transport = peer.request.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        stuck.set()
        await asyncio.sleep(HANG_S)

    async with scripted(script) as server, lastword.STT(url=server.url, buffer_s=3_600) as speech:
        stream = speech.stream()
        await asyncio.wait_for(stuck.wait(), HANG_S)
        for _ in range(600):
            stream.push_frame(silence(1_000))
        for _ in range(100):
            await asyncio.sleep(0.001)
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(stream.aclose(), HANG_S)
        assert asyncio.get_running_loop().time() - began < 5
        assert tasks_of_the_plugin() == []
        assert server.peers


async def test_the_buffer_is_bounded_and_says_so() -> None:
    async def script(peer: Peer) -> None:
        await peer.until("config")
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url, buffer_s=10) as speech:
        stream = speech.stream()
        for _ in range(10):
            stream.push_frame(silence(1_000))
        with pytest.raises(lastword.BufferFullError):
            stream.push_frame(silence(1_000))
        with pytest.raises(APIError) as failed:
            await asyncio.wait_for(stream.__anext__(), HANG_S)
        assert not failed.value.retryable
        assert stream.outcome is not None
        assert (stream.outcome.kind, stream.outcome.code) == ("error", "misuse")
        await stream.aclose()
    with pytest.raises(ValueError, match="buffer_s"):
        lastword.STT(buffer_s=1)


async def test_who_waits_for_room_is_never_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.session_ended(finals=0)
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url, buffer_s=10) as speech:
        stream = speech.stream()
        for _ in range(60):
            await asyncio.wait_for(stream.wait_for_room(), HANG_S)
            stream.push_frame(silence(1_000))
        stream.end_input()
        async for _ in stream:
            pass
        await asyncio.wait_for(stream.wait_for_room(), HANG_S)
        await stream.aclose()
    assert server.peer.audio_ms == 60_000


async def test_flushes_that_nobody_answers_are_bounded() -> None:
    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.session_ended(finals=0)
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream()
        for _ in range(64):
            stream.flush()
        with pytest.raises(lastword.BufferFullError):
            stream.flush()
        stream.end_input()
        async for _ in stream:
            pass
        await stream.aclose()
    assert server.peer.types().count("flush") == 64


async def test_a_server_that_says_nothing_but_results_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_UNTAKEN_EVENTS", 100)

    async def script(peer: Peer) -> None:
        await peer.begin()
        for revision in range(1, 1_000):
            await peer.send("partial", segment_id=0, revision=revision, text="a", start_ms=0, end_ms=1, channel=0)
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream(conn_options=APIConnectOptions(max_retry=0))
        failed = asyncio.Event()
        speech.on("error", lambda _told: failed.set())
        await asyncio.wait_for(failed.wait(), HANG_S)
        with pytest.raises(APIError, match="not taken"):
            [event async for event in stream]
        await stream.aclose()


async def test_a_server_that_accepts_another_protocol_is_refused() -> None:
    from aiohttp import web

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/v1/listen", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with lastword.STT(url=f"ws://127.0.0.1:{runner.addresses[0][1]}") as speech:
            heard = await listen(speech, [silence(100)])
    finally:
        await runner.cleanup()
    assert "lastword.v1" in str(heard.error)
    assert not heard.api_error().retryable


async def test_a_credential_that_the_server_repeats_is_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def script(peer: Peer) -> None:
        await peer.until("config")
        await peer.send("warning", code="w", message="you sent top-secret")
        await peer.send("error", code="forbidden", message="no entry for top-secret", fatal=True, retryable=False)
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url, token="top-secret") as speech:
        heard = await listen(speech, [silence(100)])
    assert server.requests[0].headers["Authorization"] == "Bearer top-secret"
    assert "top-secret" not in str(server.requests[0].url)
    told = [str(heard.error), repr(heard.error), caplog.text, *(str(each.error) for each in heard.errors)]
    assert not any("top-secret" in text for text in told)
    assert heard.stream.outcome is not None
    assert "top-secret" not in repr(heard.stream.outcome)


async def test_the_budget_of_attempts_is_the_plugins_own() -> None:
    """The framework starts its count over after each final: a server that breaks then would be dialled for ever."""

    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("audio")
        await peer.final()
        await peer.close(1011)
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        stream = speech.stream(conn_options=APIConnectOptions(max_retry=2, retry_interval=0.01))

        async def push() -> None:
            while True:
                stream.push_frame(silence(100))
                await asyncio.sleep(0.01)

        pushing = asyncio.create_task(push())

        async def take() -> None:
            async for _ in stream:
                pass

        with pytest.raises(APIConnectionError):
            await asyncio.wait_for(take(), HANG_S)
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        await stream.aclose()
    assert len(server.peers) == 3


async def test_nothing_is_kept_of_a_stream_that_is_over() -> None:
    async def script(peer: Peer) -> None:
        await peer.begin()
        await peer.until("end_of_stream")
        await peer.final()
        await peer.session_ended()
        await peer.until_gone()

    async with scripted(script) as server, lastword.STT(url=server.url) as speech:
        kept = weakref.ref((await listen(speech, checks.CLIP)).stream)
        gc.collect()
        assert kept() is None
        assert speech._closing == set()


async def test_the_framework_takes_it_for_what_it_is() -> None:
    speech = lastword.STT()
    capabilities = speech.capabilities
    assert (capabilities.streaming, capabilities.interim_results, capabilities.manual_flush) == (True, True, True)
    assert (capabilities.aligned_transcript, capabilities.offline_recognize) == ("word", True)
    assert speech.provider == "Lastword"
    assert isinstance(speech, stt.STT)
