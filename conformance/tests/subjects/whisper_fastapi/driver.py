"""The client of `client.py` behind the driver protocol: `lastword certify client --driver --dialect whisper-fastapi`.

Adapts `Stream` and adds nothing to it. `--mutant as-it-was` drives it with the faults that it had.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from client import Failed, Incomplete, Stream

DRIVERS = Path(__file__).resolve().parents[3] / "drivers" / "python"


class Driven:
    """What the harness may ask of a stream."""

    def __init__(self, as_it_was):
        self.as_it_was = as_it_was
        self.stream = None
        self.told = asyncio.Queue()
        self.closed = False
        self.outcome = "complete"

    async def start(self, url, token):
        self.stream = Stream(url, as_it_was=self.as_it_was, on_error=self.on_error)
        self.reading = asyncio.create_task(self.read())

    async def push(self, pcm):
        self.stream.push(pcm)

    async def flush(self, number):
        self.stream.flush()

    async def end(self):
        self.stream.end()

    async def close(self):
        self.closed = True
        await self.stream.close()

    def on_error(self, text):
        self.told.put_nowait({"what": "error", "text": text})

    async def read(self):
        """The finals, as the stream gives them; this wire numbers no segments and has its times in seconds."""
        try:
            async for final in self.stream:
                times = {"start_ms": round(1000 * final["start"]), "end_ms": round(1000 * final["end"])}
                self.told.put_nowait({"what": "final", "text": final["text"]} | times)
        except Failed:
            self.outcome = "error"
        except Incomplete:
            self.outcome = "incomplete"
        if self.closed:
            self.outcome = "cancelled"
        self.told.put_nowait(None)

    async def events(self):
        while (event := await self.told.get()) is not None:
            yield event

    def ended(self):
        return {"outcome": self.outcome}

    async def left(self):
        """When the stream's own task is over: what it started and did not end."""
        await asyncio.wait([self.stream.task])
        return sum(task.get_coro().__qualname__.startswith("Stream.") for task in asyncio.all_tasks())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutant", choices=["as-it-was"], help="with the faults that it had")
    options = parser.parse_args()
    sys.path.insert(0, str(DRIVERS))
    from lastword_driver import run

    as_it_was = options.mutant is not None
    run(Driven(as_it_was), f"the client of whisper-fastapi{' as it was' * as_it_was}")


if __name__ == "__main__":
    main()
