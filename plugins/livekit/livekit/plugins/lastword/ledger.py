"""What a session keeps in mind: waits that progress extends, flushes that are open, segments that have their final.

Knows no message and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Bound:
    """A wait that progress extends by its whole length, up to a cap. Spec: PRG-C1."""

    whole_s: float
    at: float
    latest: float = float("inf")

    def restart(self, now: float) -> None:
        """Progress: the whole wait begins again."""
        self.at = min(now + self.whole_s, self.latest)


@dataclass
class OpenFlush:
    """A flush that was sent and not answered."""

    id: str
    bound: Bound | None = None
    failed: bool = False


@dataclass
class Finals:
    """Which segments have their final. Ids rise by one, so only those beyond a gap are kept one by one."""

    below: int = 0
    above: set[int] = field(default_factory=set)
    received: int = 0

    def __contains__(self, segment_id: int) -> bool:
        return segment_id < self.below or segment_id in self.above

    def add(self, segment_id: int) -> None:
        """The final of this segment came."""
        self.above.add(segment_id)
        # A server that leaves ids out must not make this grow: the lowest gap then counts as used.
        while self.below in self.above or len(self.above) > 1_024:
            self.below = min(self.above) + 1
            self.above.discard(self.below - 1)
