"""The driver protocol of `lastword certify client --driver`, version 1, for clients in Python.

Owns the lines on standard input and output, and nothing of any client. A client is adapted by a class with the methods of
`Client`; `run(client, name)` then obeys the harness until it says quit. Nothing here repairs a client: there are no
timeouts, no retries and no calls that the harness did not ask for.
"""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any, Protocol

VERSION = 1


class Client(Protocol):
    """What a client's public interface is asked for."""

    async def start(self, url: str, token: str | None) -> None:
        """Connect and begin a session; it need not be ready when this returns."""

    async def push(self, pcm: bytes) -> None:
        """Hand over audio: 16 kHz, mono, signed 16 bit little endian. Raises what the client raises."""

    async def flush(self, number: int) -> None:
        """Ask for the finals of what was handed over; the number comes back in `flushed` or `flush_failed`."""

    async def end(self) -> None:
        """The input is over."""

    async def close(self) -> None:
        """Cancel."""

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """The client's own iterator, each event as the object that stands in `told`. Its end is the end of the session."""

    def ended(self) -> dict[str, Any]:
        """After the iterator ended: `outcome` (complete, incomplete, error, cancelled), and `code` where there is one."""

    async def left(self) -> int:
        """After the end, when the client has closed: how many tasks, threads or sockets of the session are left."""


def run(client: Client, name: str, lacks: list[str] | None = None) -> None:
    """Obeys the harness until it says quit or goes away. `name` is the client with its version."""
    asyncio.run(_obey(client, name, lacks or []))


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _obey(client: Client, name: str, lacks: list[str]) -> None:
    orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(orders.put_nowait, None)

    # A thread of its own: standard input is not everywhere something that an event loop can wait for.
    threading.Thread(target=read, daemon=True).start()
    telling: asyncio.Task[None] | None = None
    while (order := await orders.get()) is not None and order["do"] != "quit":
        match order["do"]:
            case "hello":
                _say({"hello": {"version": VERSION, "client": name, "lacks": lacks}})
            case "report":
                _say({"told": {"what": "left", "count": await client.left()}})
            case what:
                failed = await _call(client, what, order)
                _say({"returned": {"number": order["number"], "what": what} | failed})
                if what == "start" and not failed:
                    telling = asyncio.create_task(_tell(client))
    if telling is not None:
        telling.cancel()


async def _call(client: Client, what: str, order: dict[str, Any]) -> dict[str, str]:
    try:
        match what:
            case "start":
                await client.start(order["url"], order.get("token"))
            case "push":
                await client.push(base64.b64decode(order["pcm_s16le_base64"]))
            case "flush":
                await client.flush(order["number"])
            case "end":
                await client.end()
            case "close":
                await client.close()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        return {"failed": f"{type(error).__name__}: {error}"}
    return {}


async def _tell(client: Client) -> None:
    async for event in client.events():
        _say({"told": event})
    _say({"told": {"what": "ended"} | client.ended()})
