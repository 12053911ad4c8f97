"""The stand-in recogniser: energy endpointing, and one made-up word for each 250 ms of voiced audio."""

import math
import sys
from array import array
from itertools import pairwise

from messages import RATE_HZ

BLOCK_SAMPLES = 160
BLOCK_BYTES = 2 * BLOCK_SAMPLES
VOICED_ENERGY = BLOCK_SAMPLES * (0.004 * 32_768) ** 2
BLOCKS_PER_WORD = 25
LEAST_BLOCKS = 5  # A rest of voiced audio shorter than this gives no word.
WORDS = (
    "amber birch cedar delta ember fjord grove heron inlet jolly kayak lemon maple north ocean pearl quiet river "
    "stone tulip umber vivid willow xenon yield zebra acorn basil cliff daisy eagle"
).split()


class Recogniser:
    """Turns audio into results. They depend on the samples only, never on frame sizes, on time or on what follows."""

    def __init__(self, endpointing, interim_results):
        self.silence_samples = endpointing["silence_ms"] * RATE_HZ // 1000 if endpointing["mode"] == "vad" else math.inf
        self.max_segment_samples = endpointing["max_segment_ms"] * RATE_HZ // 1000
        self.interim_results = interim_results
        self.rest = bytearray()
        self.received_samples = 0
        self.processed_samples = 0
        self.next_segment_id = 0
        self.segment = None

    def feed(self, audio):
        self.received_samples += len(audio) // 2
        self.rest += audio
        results = []
        whole = len(self.rest) - len(self.rest) % BLOCK_BYTES
        for at in range(0, whole, BLOCK_BYTES):
            self.hear(self.rest[at : at + BLOCK_BYTES], results)
        del self.rest[:whole]
        return results

    def finish(self):
        """The results still due for all audio so far. An incomplete block is heard as if silence followed it."""
        results = []
        if self.rest:
            self.hear(self.rest.ljust(BLOCK_BYTES, b"\0"), results)
            self.rest.clear()
        self.end_segment(results)
        return results

    def hear(self, block, results):
        samples = array("h", bytes(block))
        if sys.byteorder == "big":
            samples.byteswap()
        start = self.processed_samples
        self.processed_samples = min(start + BLOCK_SAMPLES, self.received_samples)
        energy = sum(sample * sample for sample in samples)
        if energy >= VOICED_ENERGY:
            if self.segment is None:
                self.segment = Segment(start)
            segment = self.segment
            segment.add(energy, samples, self.processed_samples)
            if segment.blocks == BLOCKS_PER_WORD:
                segment.take_word()
                if self.interim_results:
                    self.identify(segment)
                    segment.revision += 1
                    results.append(segment.result("partial", revision=segment.revision))
        if (segment := self.segment) is not None and (
            self.processed_samples - segment.end >= self.silence_samples
            or self.processed_samples - segment.start + BLOCK_SAMPLES > self.max_segment_samples
        ):
            self.end_segment(results)

    def end_segment(self, results):
        segment, self.segment = self.segment, None
        if segment is None:
            return
        if segment.blocks >= LEAST_BLOCKS:
            segment.take_word()
        if segment.words:  # A click that gave no word was never a segment.
            self.identify(segment)
            results.append(segment.result("final"))

    def identify(self, segment):
        if segment.id is None:
            segment.id = self.next_segment_id
            self.next_segment_id += 1


class Segment:
    def __init__(self, start):
        self.id, self.revision, self.words = None, 0, []
        self.start, self.end = start, start
        self.blocks, self.energy, self.crossings = 0, 0, 0

    def add(self, energy, samples, end):
        self.blocks, self.energy, self.end = self.blocks + 1, self.energy + energy, end
        self.crossings += sum((a < 0) != (b < 0) for a, b in pairwise(samples))

    def take_word(self):
        loudness = round(math.log2(self.energy / self.blocks))
        pitch = self.crossings // (2 * self.blocks)
        self.words.append(WORDS[(5 * pitch + loudness) % len(WORDS)])
        self.blocks, self.energy, self.crossings = 0, 0, 0

    def result(self, kind, **more):
        times = {"start_ms": self.start * 1000 // RATE_HZ, "end_ms": self.end * 1000 // RATE_HZ}
        return {"type": kind, "segment_id": self.id, **more, "text": " ".join(self.words), **times, "channel": 0}
