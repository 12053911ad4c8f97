"""The stand-in recogniser of this server: hears 10 ms blocks, and takes a stated time for each segment that it decodes.

What it hears depends on the samples alone. How long it takes depends on the options alone.
"""

import asyncio
import math
from array import array
from dataclasses import dataclass, field
from operator import mul

RATE_HZ = 16_000
BLOCK_SAMPLES = RATE_HZ // 100
LOUD = BLOCK_SAMPLES * 130.0**2  # The energy of a block that holds speech.
BLOCKS_PER_WORD = 20
TICK_S = 0.25
VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"


@dataclass
class Segment:
    """A stretch of speech that has no final yet. Positions are in samples of the stream."""

    start: int
    end: int = 0
    id: int | None = None
    revision: int = 0
    words: list = field(default_factory=list)
    blocks: int = 0
    energy: float = 0.0
    turns: int = 0

    def add(self, samples, energy, end):
        self.blocks, self.energy, self.end = self.blocks + 1, self.energy + energy, end
        self.turns += sum(map(lambda a, b: (a < 0) is not (b < 0), samples, samples[1:]))
        if self.blocks == BLOCKS_PER_WORD:
            self.take_word()

    def take_word(self):
        loudness, pitch = round(2 * math.log2(1 + self.energy / self.blocks)), self.turns // (2 * self.blocks)
        pair = (CONSONANTS[loudness % 14], VOWELS[pitch % 5], CONSONANTS[(loudness + pitch) % 14], VOWELS[loudness % 5])
        self.words.append("".join(pair))
        self.blocks, self.energy, self.turns = 0, 0.0, 0

    def result(self, kind):
        times = {"start_ms": self.start * 1000 // RATE_HZ, "end_ms": self.end * 1000 // RATE_HZ}
        return {"type": kind, "segment_id": self.id, "text": " ".join(self.words), **times, "channel": 0}


class Engine:
    """Works off audio and marks in the order they were queued. `emit` takes results, `tick` is called while it decodes."""

    def __init__(self, config, cost_ms, emit, tick):
        endpointing = config["endpointing"]
        by_silence = endpointing["mode"] == "vad"
        self.silence = endpointing["silence_ms"] * RATE_HZ // 1000 if by_silence else math.inf
        self.longest = endpointing["max_segment_ms"] * RATE_HZ // 1000
        self.interim_results = config["interim_results"]
        self.cost_s, self.emit, self.tick = cost_ms / 1000, emit, tick
        self.queue = asyncio.Queue()
        self.queued = 0  # Samples in the queue.
        self.rest = b""
        self.accepted = self.heard = self.processed = 0  # Samples.
        self.segment = None
        self.segments = 0

    def push(self, audio):
        """Queues whole samples."""
        self.accepted += len(audio) // 2
        self.queued += len(audio) // 2
        self.queue.put_nowait(audio)

    def mark(self, then):
        """Calls `then` when all audio before has its finals."""
        self.queue.put_nowait(then)

    async def run(self):
        while True:
            item = await self.queue.get()
            if callable(item):
                if self.rest:
                    await self.hear(self.rest.ljust(2 * BLOCK_SAMPLES, b"\0"), len(self.rest) // 2)
                    self.rest = b""
                await self.decode()
                item()
                continue
            self.queued -= len(item) // 2
            audio = self.rest + item
            whole = len(audio) - len(audio) % (2 * BLOCK_SAMPLES)
            for at in range(0, whole, 2 * BLOCK_SAMPLES):
                await self.hear(audio[at : at + 2 * BLOCK_SAMPLES], BLOCK_SAMPLES)
            self.rest = audio[whole:]
            self.tick()
            await asyncio.sleep(0)

    async def hear(self, block, length):
        samples = array("h", block)
        energy = sum(map(mul, samples, samples))
        start, self.heard = self.heard, self.heard + length
        segment = self.segment
        if energy >= LOUD:
            if segment is None:
                segment = self.segment = Segment(start)
            before = len(segment.words)
            segment.add(samples, energy, self.heard)
            if len(segment.words) > before and self.interim_results:
                self.name(segment)
                segment.revision += 1
                self.emit({**segment.result("partial"), "revision": segment.revision})
        if segment is None:
            self.processed = self.heard
        elif self.heard - segment.end >= self.silence or self.heard - segment.start + BLOCK_SAMPLES > self.longest:
            await self.decode()

    async def decode(self):
        """Ends the open segment, if there is one, after the time that decoding takes."""
        segment, self.segment = self.segment, None
        if segment is not None:
            if segment.blocks >= BLOCKS_PER_WORD // 4:
                segment.take_word()
            if segment.words:  # Else it was a click.
                await self.work()
                self.name(segment)
                self.emit({**segment.result("final"), "confidence": 0.5})
        self.processed = self.heard

    async def work(self):
        """Takes its time, in steps of which each works off an equal share of the audio."""
        steps = math.ceil(self.cost_s / TICK_S)
        first = self.processed
        for step in range(1, steps + 1):
            await asyncio.sleep(self.cost_s / steps)
            self.processed = first + (self.heard - first) * step // steps
            self.tick()

    def name(self, segment):
        if segment.id is None:
            segment.id = self.segments
            self.segments += 1
