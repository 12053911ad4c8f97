"""What the application has given and the transport has not: audio in order with flushes and the end.

Owns the cutting of audio into frames. Knows nothing of states, clocks or sockets. It outlives a connection, so what was
not sent before a loss is sent after it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SAMPLE_RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2
BYTES_PER_SECOND = SAMPLE_RATE_HZ * BYTES_PER_SAMPLE
# A frame is at least this long unless a flush or the end follows it, and at most the other. Spec: AUD-C1, AUD-C2.
MIN_FRAME_BYTES = BYTES_PER_SECOND * 20 // 1_000
MAX_FRAME_BYTES = BYTES_PER_SECOND * 100 // 1_000


def bytes_to_ms(count: int) -> int:
    """Whole milliseconds of audio in so many bytes."""
    return count * 1_000 // BYTES_PER_SECOND


@dataclass(frozen=True)
class Flush:
    """A flush of the application, with the id it has on the wire."""

    id: str


@dataclass(frozen=True)
class End:
    """The end of the input."""


class Queue:
    """In the order of the application's calls. Drops nothing; the caller bounds what it pushes. Spec: BP-C1."""

    def __init__(self) -> None:
        self._items: deque[bytearray | Flush | End] = deque()
        self._next_flush = 0
        self.ended = False
        self.audio_bytes = 0
        """Bytes that wait."""
        self.taken_bytes = 0
        """Bytes that were given to a transport, of all connections together."""

    @property
    def open_flushes(self) -> int:
        """Flushes that wait."""
        return sum(isinstance(item, Flush) for item in self._items)

    def push(self, audio: bytes) -> None:
        """Whole samples, any number."""
        if not audio or self.ended:
            return
        self.audio_bytes += len(audio)
        last = self._items[-1] if self._items else None
        if isinstance(last, bytearray):
            last.extend(audio)
        else:
            self._items.append(bytearray(audio))

    def flush(self) -> None:
        """A flush, behind all that was pushed; also when nothing was. Spec: FLU-C1."""
        if not self.ended:
            self._items.append(Flush(f"flush-{self._next_flush}"))
            self._next_flush += 1

    def end(self) -> None:
        """The end, behind everything. A second time nothing happens. Spec: END-C2."""
        if not self.ended:
            self.ended = True
            self._items.append(End())

    def take(self, max_frame_bytes: int) -> bytes | Flush | End | None:
        """The next thing to send: audio shorter than a frame waits for more, or for what follows it. Spec: AUD-C3."""
        if not self._items:
            return None
        first = self._items[0]
        if not isinstance(first, bytearray):
            self._items.popleft()
            return first
        if len(self._items) == 1 and len(first) < MIN_FRAME_BYTES:
            return None
        limit = min(MAX_FRAME_BYTES, max_frame_bytes // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE)
        frame = bytes(first[:limit])
        del first[:limit]
        if not first:
            self._items.popleft()
        self.audio_bytes -= len(frame)
        self.taken_bytes += len(frame)
        return frame
