"""Copies of the plugin's stream that are broken in one way each, as such clients are found broken in the wild.

Owns the faults. None of this is shipped: the tests must catch every one of them (``test_mutants``).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import aiohttp
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, APIError, NotGivenOr, stt
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import lastword

from livekit.plugins.lastword.messages import Error, Final
from livekit.plugins.lastword.outcome import Outcome
from livekit.plugins.lastword.protocol import Session
from livekit.plugins.lastword.queue import End


class Mutant(lastword.SpeechStream):
    """A stream with a fault. ``caught_by`` names checks that must fail on it."""

    caught_by: ClassVar[tuple[str, ...]] = ()


class KeepaliveInTheGather(Mutant):
    """Reads, writes and keeps alive in one gather, whose third task never ends: the stream outlives its session."""

    caught_by = ("session_ended_and_no_close", "ideal")

    async def _drive(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        async def keep_alive() -> None:
            while not ws.closed:
                await asyncio.sleep(1)
                await ws.ping()

        await asyncio.gather(super()._drive(ws, session), keep_alive())


class ReturnsAtTheLastResult(Mutant):
    """Takes the first final after its sentinel for the end."""

    caught_by = ("more_results_after_the_sentinel",)

    def _tell_events(self, session: Session) -> None:
        while (event := session.poll_event()) is not None:
            kept, session._events = session._events, type(session._events)([event])
            super()._tell_events(session)
            session._events = kept
            if isinstance(event, Final) and session.sentinel_sent and session.outcome is None:
                session.outcome = Outcome("complete", "completed")


class FlushIsTheEnd(Mutant):
    """Maps the framework's flush sentinel to the end of the stream."""

    caught_by = ("flush_is_no_end", "flush_then_end")

    async def _feed(self) -> None:
        async for item in self._input_ch:
            if not isinstance(item, rtc.AudioFrame):
                break
            self._queue.push(bytes(item.data.cast("b")))
            self._changed()
        self._queue.end()
        self._changed()


class NeverSaysTheEnd(Mutant):
    """The input ends, and nobody is told: client and server wait for each other."""

    caught_by = ("ideal", "session_ended_and_no_close")

    async def _feed(self) -> None:
        await super()._feed()
        self._queue._items = type(self._queue._items)(item for item in self._queue._items if not isinstance(item, End))


class EndIsAFlushToo(Mutant):
    """The framework's ``end_input`` as it comes: a flush that nobody asked for, before the end."""

    caught_by = ("ideal",)

    def end_input(self) -> None:
        stt.RecognizeStream.end_input(self)


class EndsTwice(Mutant):
    """Sends a second sentinel when it leaves."""

    caught_by = ("silence_after_the_sentinel", "final_late_with_progress")

    async def _write(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        transmitted = session.transmitted

        def again(now: float) -> None:
            transmitted(now)
            if session.sentinel_sent:
                self._again = asyncio.ensure_future(ws.send_str(json.dumps({"type": "end_of_stream"})))

        session.transmitted = again  # type: ignore[method-assign]
        await super()._write(ws, session)


class KeepsAliveAfterTheEnd(Mutant):
    """Its keepalives do not stop at the sentinel."""

    caught_by = ("silence_after_the_sentinel", "final_late_with_progress")

    async def _write(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        async def keep_alive() -> None:
            while True:
                await asyncio.sleep(0.3)
                await ws.send_str(json.dumps({"type": "keepalive"}))

        await asyncio.gather(super()._write(ws, session), keep_alive())


class RedialsAfterTheEnd(Mutant):
    """Leaves the retryable bit as it is, whether the sentinel was sent or not."""

    caught_by = ("close_before_the_final", "reset_after_the_sentinel")

    def _conclude(self, session: Session) -> None:
        try:
            super()._conclude(session)
        except APIError as error:
            error.retryable = session.outcome is not None and session.outcome.retryable
            raise

    def _may_redial(self) -> bool:
        self._sentinel_sent = False
        self._queue.ended = False
        return super()._may_redial()


class SwallowsErrors(Mutant):
    """Logs what the server complains about, and ends as if nothing had been."""

    caught_by = ("fatal_error_then_open", "error_that_is_not_fatal")

    def _complaint(self, error: Error) -> None:
        pass

    def _conclude(self, session: Session) -> None:
        self.outcome = session.outcome


class TakesACloseForSuccess(Mutant):
    """A socket that closes with 1000 after the sentinel is a transcript that is whole."""

    caught_by = ("close_before_the_final",)

    def _conclude(self, session: Session) -> None:
        outcome = session.outcome
        if outcome is not None and outcome.close_code == 1000 and session.sentinel_sent:
            session.outcome = Outcome("complete", "completed")
        super()._conclude(session)


class WaitsForTheClose(Mutant):
    """Ends when the socket does, not when the session does."""

    caught_by = ("session_ended_and_no_close",)

    async def _drive(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        await super()._drive(ws, session)
        while not ws.closed and (await ws.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            pass


class WaitsForTheHandshake(Mutant):
    """Ends when its own Close has been answered."""

    caught_by = ("session_ended_and_no_close",)

    async def _run(self) -> None:
        await super()._run()
        await asyncio.wait(self._closing)


class DrainsForAFixedTime(Mutant):
    """Waits as long as was announced for the last final and a little more, whatever the server says meanwhile."""

    caught_by = ("final_late_with_progress",)

    def _new_session(self) -> Session:
        session = super()._new_session()
        session._extend_bounds = lambda now: None  # type: ignore[method-assign]
        # Who gives up at the very moment waited too short by one clock (END-C4) and long enough by another (PRG-C1).
        bound, a_little_ms = session._bound, 250
        session._bound = lambda now, ms: bound(now, ms + a_little_ms)  # type: ignore[method-assign]
        return session


class DiesOfGarbage(Mutant):
    """Parses what comes without a thought for what it is."""

    caught_by = ("garbage",)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        receive = session.receive_text

        def careless(now: float, text: str) -> None:
            json.loads(text)["type"]
            receive(now, text)

        session.receive_text = careless  # type: ignore[method-assign]
        await super()._read(ws, session)


class TellsFinalsTwice(Mutant):
    """Passes on whatever final comes."""

    caught_by = ("double_final",)

    def _new_session(self) -> Session:
        session = super()._new_session()
        session._finals.add = lambda segment_id: None  # type: ignore[method-assign]
        return session


class SendsBeforeReady(Mutant):
    """Does not wait for `ready`."""

    caught_by = ("slow_ready",)

    async def _write(self, ws: aiohttp.ClientWebSocketResponse, session: Session) -> None:
        await ws.send_str(str(session.poll_message()))
        session.transmitted(asyncio.get_running_loop().time())
        await ws.send_bytes(bytes(640))
        await super()._write(ws, session)


class TrustsADeadLine(Mutant):
    """Never asks whether the server lives."""

    caught_by = ("half_open",)

    def _new_session(self) -> Session:
        session = super()._new_session()
        session._probe = lambda now: session._heard(now)  # type: ignore[method-assign]
        return session


class ForgetsTheGap(Mutant):
    """After a reconnection the rest of the transcript is called the whole."""

    caught_by = ("reset_mid_stream",)

    def _conclude(self, session: Session) -> None:
        self._gap = False
        super()._conclude(session)


class StartsTimesOver(Mutant):
    """After a reconnection times begin at zero again."""

    caught_by = ("reset_mid_stream",)

    async def _dial(self) -> aiohttp.ClientWebSocketResponse:
        self.start_time_offset = 0.0
        return await super()._dial()


class CountsAsTheFramework(Mutant):
    """Only a final starts its attempts over: a stream in which nobody speaks gives up some day."""

    caught_by = ("each_lived_before_it_was_lost",)

    def _may_redial(self) -> bool:
        self._session = None
        return super()._may_redial()


class LosesAFlush(Mutant):
    """Sends a flush only if audio waits."""

    caught_by = ("flush_is_no_end",)

    def flush(self) -> None:
        if self._queue.audio_bytes:
            super().flush()


class FailsWithAnUnansweredFlush(Mutant):
    """A flush that is not answered passes unnoticed."""

    caught_by = ("unanswered_flush",)

    def _flush_ended(self, flush: Any) -> None:
        pass


def of(mutant: type[Mutant]) -> type[lastword.STT]:
    """An STT whose streams have this fault."""

    class MutantStt(lastword.STT):
        def stream(
            self,
            *,
            language: NotGivenOr[str] = NOT_GIVEN,
            conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        ) -> lastword.SpeechStream:
            return mutant(stt=self, options=self._options, conn_options=conn_options)

    return MutantStt


ALL = Mutant.__subclasses__()
