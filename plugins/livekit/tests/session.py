"""A session under a clock of the test's own, and what goes in and out of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from livekit.plugins.lastword.messages import Limits, encode
from livekit.plugins.lastword.outcome import Event, Outcome, Violation
from livekit.plugins.lastword.protocol import Session, State
from livekit.plugins.lastword.queue import Queue

SECOND = 32_000


class Wire:
    """A session and what goes in and out of it, at ``now``."""

    def __init__(self, **limits: int) -> None:
        self.now = 100.0
        self.queue = Queue()
        self.session = Session({}, self.queue, self.now)
        self.sent: list[dict[str, Any] | int] = []
        self.limits = asdict(Limits()) | limits

    def pump(self, *, accept: bool = True) -> list[dict[str, Any] | int]:
        """Gives messages to the transport until it takes no more; audio as its length."""
        began = len(self.sent)
        while (message := self.session.poll_message()) is not None:
            self.sent.append(json.loads(message) if isinstance(message, str) else len(message))
            if not accept:
                break
            self.session.transmitted(self.now)
        return self.sent[began:]

    def say(self, kind: str, **members: Any) -> None:
        """The server says something."""
        self.session.receive_text(self.now, encode(kind, **members))

    def begin(self) -> None:
        """From the start to Streaming."""
        self.pump()
        config = {
            "audio": {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1},
            "interim_results": True,
            "vad_events": False,
        }
        self.say("ready", session_id="s", protocol="lastword.v1", config=config, limits=self.limits)
        self.events()

    def to(self, seconds: float) -> None:
        """Lets time pass to ``seconds`` after the start, with every timer at its moment."""
        end = 100.0 + seconds
        while (at := self.session.deadline()) is not None and at <= end:
            self.now = max(at, self.now)
            self.session.timeout(self.now)
            self.pump()
        self.now = end

    def events(self) -> list[Event]:
        """All events that came."""
        events: list[Event] = []
        while (event := self.session.poll_event()) is not None:
            events.append(event)
        return events

    def violations(self) -> list[str]:
        """The requirements that the server broke."""
        return [event.requirement for event in self.events() if isinstance(event, Violation)]

    def final(self, segment_id: int, text: str = "a") -> None:
        """The server sends a final."""
        self.say("final", segment_id=segment_id, text=text, start_ms=0, end_ms=1, channel=0)

    def ended(self, **members: Any) -> None:
        """The server ends a session of one second and one final."""
        account = {
            "reason": "completed",
            "complete": True,
            "audio_received_ms": 1_000,
            "audio_processed_ms": 1_000,
            "rejected_frames": 0,
            "finals": 1,
        }
        self.say("session_ended", **(account | members))

    def outcome(self) -> Outcome:
        """How it ended."""
        assert self.session.outcome is not None
        return self.session.outcome

    def drain(self) -> None:
        """A second of audio, and its end."""
        self.begin()
        self.queue.push(bytes(SECOND))
        self.queue.end()
        self.pump()
        assert self.session.state is State.DRAINING
