"""The driver protocol of `lastword certify client --driver`, version 1, for clients in Python.

Needs Python 3.11 or later. Owns the lines on standard input and output, and nothing of any client. A client is adapted by a class with the methods of
`Client`; `run(client, name)` then obeys the harness until it says quit. Nothing here repairs a client: there are no
timeouts, no retries and no calls that the harness did not ask for. What a client raises is passed on as its answer, whatever
it is; what it raises where nobody stands to catch it ends its application, and so the driver.
"""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol

VERSION = 1
# The calls that a `close` does not wait for: an application cancels from wherever it likes.
_OVERTAKEN = ("push", "flush", "end")


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
        """The client's own iterator, each event as the object that stands in `told`. Its end is the end of the session.

        What it raises ends it, too: that is told as the end, and `ended` is not asked.
        """

    def ended(self) -> dict[str, Any]:
        """After the iterator ended: `outcome` (complete, incomplete, error, cancelled), and `code` where there is one."""

    async def left(self) -> int:
        """After the end, when the client has closed: how many tasks, threads or sockets of the session are left."""


def run(client: Client, name: str, lacks: list[str] | None = None) -> None:
    """Obeys the harness until it says quit or goes away. `name` is the client with its version."""
    driver = _Driver(client, name, lacks or [])
    with asyncio.Runner() as runner:
        try:
            runner.run(driver.obey())
        except BaseException:
            # A task of the client has ended the application. What the loop cancels on its way out is not the client's word.
            driver.is_over = True
            raise


class _Driver:
    """One client, and the one task in which an application would call it."""

    def __init__(self, client: Client, name: str, lacks: list[str]) -> None:
        self._client = client
        self._hello = {"version": VERSION, "client": name, "lacks": lacks}
        self._orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        # The call that has not come back.
        self._under_way: str | None = None
        self.is_over = False
        self._beside: set[asyncio.Task[None]] = set()

    async def obey(self) -> None:
        loop = asyncio.get_running_loop()
        application = asyncio.current_task()
        assert application is not None

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(self._take, json.loads(line), application)
            loop.call_soon_threadsafe(self._take, None, application)

        # A thread of its own: standard input is not everywhere something that an event loop can wait for.
        threading.Thread(target=read, daemon=True).start()
        while not self.is_over:
            try:
                order = await self._orders.get()
            except asyncio.CancelledError as error:
                # A client that cancels its application's task, as groups of tasks do.
                if not self.is_over:
                    _say({"told": {"what": "error", "text": _words(error)}})
                continue
            if order is not None:
                await self._carry_out(order)
        for task in self._beside:
            task.cancel()

    def _take(self, order: dict[str, Any] | None, application: "asyncio.Task[Any]") -> None:
        """What cannot wait for the call that is under way is done beside it; all else in its order."""
        what = "quit" if order is None else order["do"]
        if what == "quit":
            self.is_over = True
            if self._under_way is None:
                self._orders.put_nowait(None)
            else:
                application.cancel()
        elif order is not None and (
            (what == "close" and self._under_way in _OVERTAKEN) or (what == "report" and self._under_way is not None)
        ):
            self._go(self._carry_out_beside(order))
        else:
            self._orders.put_nowait(order)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _carry_out(self, order: dict[str, Any]) -> None:
        self._under_way = order["do"]
        await self._carry_out_beside(order)
        self._under_way = None

    async def _carry_out_beside(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "hello":
                _say({"hello": self._hello})
            case "report":
                await self._report()
            case what:
                failed = await self._call(what, order)
                if self.is_over:
                    return
                _say({"returned": {"number": order["number"], "what": what} | _failed(failed)})
                if what == "start":
                    if failed is None:
                        self._go(self._tell())
                    else:
                        # There is nothing to iterate over: that is its end.
                        _say({"told": {"what": "ended"} | _raised(failed)})

    async def _call(self, what: str, order: dict[str, Any]) -> BaseException | None:
        client = self._client
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
        except BaseException as error:  # noqa: BLE001 - whatever a client raises is its answer
            return error
        return None

    async def _tell(self) -> None:
        try:
            async for event in self._client.events():
                _say({"told": event})
            ended = {"what": "ended"} | self._client.ended()
        except BaseException as error:  # noqa: BLE001 - the same
            ended = {"what": "ended"} | _raised(error)
        if not self.is_over:
            _say({"told": ended})

    async def _report(self) -> None:
        left: dict[str, Any]
        try:
            left = {"count": await self._client.left()}
        except BaseException as error:  # noqa: BLE001 - the same
            left = {"text": _words(error)}
        if not self.is_over:
            _say({"told": {"what": "left"} | left})


def _say(line: dict[str, Any]) -> None:
    # Half a surrogate pair is no JSON. The words of a client are not the place to fail at that.
    text = json.dumps(line, ensure_ascii=False, default=str)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


def _failed(error: BaseException | None) -> dict[str, str]:
    return {} if error is None else {"failed": _words(error)}


def _raised(error: BaseException) -> dict[str, Any]:
    """The end of a session whose iterator raised, in the words of the exception and with the members that say why."""
    said: dict[str, Any] = {"outcome": "error", "raised": True, "text": _words(error)}
    for name, kind in (("code", str), ("retryable", bool)):
        value = getattr(error, name, None)
        if isinstance(value, kind):
            said[name] = value
    return said


def _words(error: BaseException) -> str:
    try:
        words = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception that cannot be told is still one
        words = type(error).__name__
    # A group says how many it holds, and not which.
    return "; ".join([words, *map(_words, getattr(error, "exceptions", ()))])
