"""The stand-in recogniser: what it hears depends on the samples alone."""

import math
from array import array

RATE_HZ = 16_000
BLOCK = RATE_HZ // 100
LOUD = BLOCK * 130.0**2
BLOCKS_PER_WORD = 20
SILENT_BLOCKS = 50
SYLLABLES = "ba be bo da de do fa fe fo ka ke ko la le lo ma me mo na ne no ra re ro sa se so ta te to".split()


class Hearing:
    """Cuts speech at pauses of half a second."""

    def __init__(self):
        self.rest = b""
        self.heard = 0  # Samples.
        self.start = self.end = None
        self.words = []
        self.energies = []

    def feed(self, audio):
        """The segments that are complete now."""
        self.rest += audio
        done = []
        while len(self.rest) >= 2 * BLOCK:
            block, self.rest = self.rest[: 2 * BLOCK], self.rest[2 * BLOCK :]
            self.hear(block, BLOCK, done)
        return done

    def finish(self):
        """The segment that was open at the end, if there was one."""
        done = []
        if self.rest:
            length = len(self.rest) // 2
            self.hear(self.rest.ljust(2 * BLOCK, b"\0"), length, done)
            self.rest = b""
        self.cut(done)
        return done

    def hear(self, block, length, done):
        samples = array("h", block[: len(block) // 2 * 2])
        energy = sum(sample * sample for sample in samples)
        start, self.heard = self.heard, self.heard + length
        if energy >= LOUD:
            if self.start is None:
                self.start = start
            self.end = self.heard
            self.energies.append(energy)
            if len(self.energies) == BLOCKS_PER_WORD:
                self.take_word()
        elif self.end is not None and self.heard - self.end >= SILENT_BLOCKS * BLOCK:
            self.cut(done)

    def take_word(self):
        loudness = round(4 * math.log2(1 + sum(self.energies) / len(self.energies)))
        self.words.append(SYLLABLES[loudness % 30] + SYLLABLES[(loudness // 30 + len(self.words)) % 30])
        self.energies = []

    def cut(self, done):
        if len(self.energies) >= BLOCKS_PER_WORD // 4:
            self.take_word()
        if self.words:
            times = {"start": round(self.start / RATE_HZ, 3), "end": round(self.end / RATE_HZ, 3)}
            done.append({"type": "final", "text": " ".join(self.words), **times, "confidence": math.log(0.8)})
        self.start, self.end, self.words, self.energies = None, None, [], []
