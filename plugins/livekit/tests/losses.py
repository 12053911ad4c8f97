"""What a stream makes of connections that live and are lost. A check takes the STT to be checked, right or broken."""

from __future__ import annotations

import asyncio

from listening import MakeStt, listen
from livekit.agents import APIConnectOptions
from peers import SMALL_LIMITS, Peer, scripted


async def each_lived_before_it_was_lost(make: MakeStt) -> None:
    """One retry is allowed, and three connections break one after the other, each older than the idle timeout."""

    async def lives(peer: Peer) -> None:
        await peer.begin(SMALL_LIMITS)
        reading = asyncio.create_task(peer.until_gone())
        await asyncio.sleep(1.1)
        await peer.ws.close(code=1011)
        await reading

    async def serves(peer: Peer) -> None:
        await peer.begin()
        await peer.final(text="")
        await peer.until("end_of_stream")
        await peer.session_ended()
        await peer.until_gone()

    async with scripted(lives, lives, lives, serves) as server, make(url=server.url) as speech:
        heard = await listen(
            speech,
            [],
            end=False,
            conn_options=APIConnectOptions(max_retry=1, retry_interval=0.01),
            on_event=lambda stream, _event: stream.end_input(),
        )
    assert heard.error is None
    assert len(server.peers) == 4
    # No audio was sent to those that broke, so nothing is missing.
    assert heard.stream.outcome is not None
    assert (heard.stream.outcome.kind, heard.stream.outcome.code) == ("complete", "completed")
