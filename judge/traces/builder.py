"""Writes traces: a session as a few calls, one JSON line an event. Knows the wire, no rule of the judge."""

import json
from pathlib import Path

HERE = Path(__file__).parent

LIMITS = {
    "idle_timeout_ms": 30000, "keepalive_interval_ms": 10000, "ready_ms": 10000, "flush_ms": 5000, "drain_ms": 15000,
    "close_ms": 2000, "progress_interval_ms": 2000, "max_step_ms": 30000, "max_frame_bytes": 64000,
    "max_text_bytes": 65536, "max_session_ms": 3600000, "max_buffered_audio_ms": 30000,
}
SMALL = {**LIMITS, "idle_timeout_ms": 3000, "keepalive_interval_ms": 1000}
CONFIG = {
    "audio": {"encoding": "pcm_s16le", "sample_rate_hz": 16000, "channels": 1},
    "interim_results": True, "words": False, "vad_events": False,
    "endpointing": {"mode": "vad", "silence_ms": 500, "max_segment_ms": 30000},
}
FRAME_BYTES = 3200  # 100 ms


def ready(config=None, limits=None, **more):
    """A complete `ready`, with what a trace changes in it."""
    message = {"type": "ready", "session_id": "s-1", "protocol": "lastword.v1", "config": {**CONFIG, **(config or {})},
               "limits": limits or LIMITS, "capabilities": {"encodings": ["pcm_s16le"], "update": False}, "ignored": []}
    return {**message, **more}


class Trace:
    """One trace file in the making. Times are in milliseconds here."""

    def __init__(self, note, expect, subject="server"):
        self.lines = [{"lastword_trace": 1, "subject": subject, "note": note, "expect": expect}]
        self.ms = 0.0
        self.conn = 0
        self.sent = {}

    def event(self, from_=None, **what):
        line = {"t_us": int(self.ms * 1000), "conn": self.conn}
        if from_:
            line["from"] = from_
        self.lines.append({**line, **what})
        self.ms += 1
        return self

    def wait(self, ms):
        self.ms += ms
        return self

    def on(self, conn):
        self.conn = conn
        return self

    # What the harness does.
    def open(self, offered=("lastword.v1",), selected="lastword.v1", **more):
        return self.event(open={"offered": list(offered), "selected": selected, **more})

    def client(self, message=None, /, **members):
        text = message if isinstance(message, str) else json.dumps({**(message or {}), **members}, separators=(",", ":"))
        return self.event("client", text=text)

    def config(self, **members):
        return self.client(type="config", **members)

    def audio(self, bytes=FRAME_BYTES, head="0100fdff", times=1, pace_ms=99):
        for _ in range(times):
            self.event("client", audio={"bytes": bytes, "head": head} if bytes else {"bytes": 0})
            self.wait(pace_ms)
        return self

    def speech(self, ms=2000):
        return self.audio(times=ms // 100)

    def end_of_stream(self):
        return self.client(type="end_of_stream")

    def flush(self, id):
        return self.client(type="flush", id=id)

    def keepalive(self, seq=None):
        return self.client({"type": "keepalive", **({} if seq is None else {"seq": seq})})

    def close(self, code=1000, reason="", by="client"):
        return self.event(by, close={"code": code, "reason": reason})

    def gave_up(self, after_ms):
        return self.wait(after_ms).event(gave_up={"after_ms": int(after_ms)})

    def control(self, ok=True, took_ms=300, answered=None):
        conn, self.conn = self.conn, 99
        more = {} if answered is None else {"answered": answered}
        self.event(control={"ok": ok, **more, "took_ms": took_ms})
        self.conn = conn
        return self

    def ping(self, pong=True):
        self.event("client", ping=True)
        return self.event("server", pong=True) if pong else self

    def transport(self, unacknowledged=0, unread=0):
        return self.event(transport={"unacknowledged_bytes": unacknowledged, "unread_bytes": unread, "retransmits": 0})

    def cpu(self, busy_ms=0, over_ms=500, alone=True):
        return self.event(cpu={"busy_ms": busy_ms, "over_ms": over_ms, "alone": alone})

    def stimulus(self, kind):
        """The moment of a stimulus, and what makes it."""
        self.event(stimulus=kind)
        give = {"audio": self.event, "close": self.close, "end_of_stream": self.end_of_stream, "keepalive": self.keepalive}
        if kind == "audio":
            return self.event("client", audio={"bytes": FRAME_BYTES, "head": "01000200"})
        if kind == "half_close":
            return self.eof("client")
        return self if kind == "nothing" else give[kind]()

    # What the server does.
    def server(self, message=None, /, **members):
        text = message if isinstance(message, str) else json.dumps({**(message or {}), **members}, separators=(",", ":"))
        return self.event("server", text=text)

    def start(self, asked=None, **changes):
        """Open, `config`, `ready`."""
        self.open().config(**(asked or {}))
        return self.wait(5).server(ready(**changes))

    def partial(self, segment, revision, text, start, end, **more):
        return self.server(type="partial", segment_id=segment, revision=revision, text=text, start_ms=start, end_ms=end,
                           channel=0, **more)

    def final(self, segment, text, start, end, **more):
        return self.server({"type": "final", "segment_id": segment, "text": text, "start_ms": start, "end_ms": end,
                            "channel": 0, **more})

    def progress(self, seq, processed):
        return self.server(type="progress", seq=seq, audio_processed_ms=processed)

    def error(self, code, fatal=False, retryable=False, message="not this way", **more):
        return self.server(type="error", code=code, message=message, fatal=fatal, retryable=retryable, **more)

    def flushed(self, id):
        return self.server(type="flushed", id=id)

    def ack(self, seq):
        return self.server(type="keepalive_ack", seq=seq)

    def ended(self, received=2000, finals=1, processed=None, rejected=0, complete=True, reason="completed"):
        return self.server(type="session_ended", reason=reason, complete=complete, audio_received_ms=received,
                           audio_processed_ms=received if processed is None else processed, rejected_frames=rejected,
                           finals=finals)

    def hang_up(self, code=1000):
        """The server's Close and the client's answer."""
        return self.close(code, by="server").close(code)

    def eof(self, by="server", how="fin"):
        return self.event(by, eof=how)

    def finish(self, received=2000, finals=1, **counters):
        """The end of a session that goes as it should."""
        return self.end_of_stream().wait(100).ended(received, finals, **counters).hang_up()

    def write(self, path):
        path.write_text("".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in self.lines))


STIMULI = ("nothing", "audio", "end_of_stream", "keepalive", "half_close", "close")


def probes(trace, replay, answer, of=0, rounds=5, watched_ms=4000):
    """Release probes of connection `of`, one after the other: `replay(trace)` up to the debt, a silence, the stimulus, and then
    what `answer(trace, kind, round)` says; it returns whether that ends the session."""
    number = 2000
    for round in range(1, rounds + 1):
        for kind in STIMULI:
            opened = trace.on(number).open
            trace.open = lambda **more: opened(probe={"of": of, "stimulus": kind, "round": round}, **more)
            replay(trace, round)
            del trace.open
            if kind != "nothing":
                trace.wait(200 * round)
            trace.stimulus(kind)
            if not answer(trace, kind, round):
                trace.gave_up(watched_ms)
            number += 1
    return trace.on(of)


def heater(trace, start=200, segment=0):
    """Two partials and a final of one segment in the first two seconds."""
    trace.partial(segment, 1, "turn on the", start, start + 800)
    trace.partial(segment, 2, "turn on the garage", start, start + 1200)
    return trace.final(segment, "turn on the garage heater", start, start + 1600)


def spoken(t, config=None, **changes):
    """A session with two seconds of speech and its final, before the sentinel."""
    t.start(config, **changes).speech(2000)
    return heater(t)
