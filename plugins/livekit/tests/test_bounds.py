"""The bounds of a session, to the moment, under a clock of the test's own: nothing is waited for."""

from __future__ import annotations

from session import SECOND, Wire

from livekit.plugins.lastword.outcome import FlushEnded, Violation
from livekit.plugins.lastword.protocol import State


def test_ready_has_ten_seconds_from_the_moment_config_was_taken() -> None:
    wire = Wire()
    wire.pump(accept=False)
    wire.now += 5
    wire.session.transmitted(wire.now)
    assert wire.session.deadline() == wire.now + 10
    wire.to(15)
    assert (wire.outcome().code, wire.outcome().retryable) == ("ready_timeout", True)
    assert wire.session.close_code == 1002


def test_progress_extends_ready_to_sixty_seconds_in_all() -> None:
    wire = Wire()
    wire.pump()
    for seq in range(1, 7):
        wire.to(seq * 9)
        wire.say("progress", seq=seq, audio_processed_ms=0)
    wire.to(59.9)
    assert wire.session.outcome is None
    wire.to(60)
    assert wire.outcome().code == "ready_timeout"


def test_keepalives_are_due_an_interval_after_ready_and_after_the_last_audio() -> None:
    wire = Wire(idle_timeout_ms=100_000)
    wire.begin()
    wire.to(9.9)
    assert wire.pump() == []
    wire.to(10)
    assert wire.sent[1:] == [{"type": "keepalive"}]
    wire.to(15)
    wire.queue.push(bytes(SECOND))
    wire.pump()
    wire.to(24.9)
    assert len([item for item in wire.sent if isinstance(item, dict)]) == 2
    wire.to(25)
    assert wire.sent[-1] == {"type": "keepalive"}


def test_none_is_due_while_the_transport_takes_nothing() -> None:
    wire = Wire(idle_timeout_ms=100_000)
    wire.begin()
    wire.queue.push(bytes(SECOND))
    wire.pump(accept=False)
    deadline = wire.session.deadline()
    assert deadline == 200.0


def test_a_server_that_fell_silent_is_asked_and_then_given_up() -> None:
    wire = Wire(idle_timeout_ms=30_000)
    wire.begin()
    wire.to(30)
    assert wire.sent[-1] == {"type": "keepalive", "seq": 1}
    wire.to(59)
    assert wire.session.outcome is None
    wire.to(60)
    assert (wire.outcome().code, wire.outcome().retryable) == ("connection_lost", True)


def test_one_keepalive_asks_where_two_would_follow_each_other_closely() -> None:
    wire = Wire(idle_timeout_ms=10_000, keepalive_interval_ms=9_500)
    wire.begin()
    wire.to(11)
    assert wire.sent[1:] == [{"type": "keepalive", "seq": 1}]


def test_results_that_were_not_asked_for_are_not_told() -> None:
    wire = Wire()
    wire.pump()
    audio = {"encoding": "pcm_s16le", "sample_rate_hz": 16_000, "channels": 1}
    config = {"audio": audio, "interim_results": False, "vad_events": False}
    wire.say("ready", session_id="s", protocol="lastword.v1", config=config, limits=wire.limits)
    wire.events()
    wire.say("partial", segment_id=0, revision=1, text="a", start_ms=0, end_ms=1, channel=0)
    wire.say("speech_started", start_ms=0, channel=0)
    assert [type(event) for event in wire.events()] == [Violation, Violation]


def test_its_answer_is_a_sign_of_life() -> None:
    wire = Wire(idle_timeout_ms=30_000)
    wire.begin()
    wire.to(31)
    wire.say("keepalive_ack", seq=1)
    wire.say("keepalive_ack", seq=1)
    assert wire.violations() == ["KA-S6"]
    wire.to(89)
    assert wire.session.outcome is None
    assert {"type": "keepalive", "seq": 2} in wire.sent
    wire.to(91)
    assert wire.outcome().code == "connection_lost"


def test_the_drain_has_its_whole_bound_and_progress_restarts_it() -> None:
    wire = Wire(drain_ms=15_000)
    wire.drain()
    wire.to(14)
    wire.say("progress", seq=1, audio_processed_ms=500)
    wire.to(28)
    wire.final(0)
    wire.to(42)
    assert wire.session.outcome is None
    wire.to(43)
    assert (wire.outcome().kind, wire.outcome().code) == ("incomplete", "drain_timeout")


def test_progress_that_stands_still_extends_only_for_max_step_ms() -> None:
    wire = Wire(drain_ms=15_000, max_step_ms=30_000)
    wire.drain()
    for seq in range(1, 9):
        wire.to(seq * 5)
        wire.say("progress", seq=seq, audio_processed_ms=0)
    # The last that counted came at 30 s.
    wire.to(44.9)
    assert wire.session.outcome is None
    wire.to(45)
    assert wire.outcome().code == "drain_timeout"


def test_repeated_progress_and_unknown_types_extend_nothing() -> None:
    wire = Wire(drain_ms=15_000)
    wire.drain()
    wire.say("progress", seq=1, audio_processed_ms=10)
    wire.to(10)
    wire.say("progress", seq=1, audio_processed_ms=10)
    wire.say("x_custom")
    wire.session.receive_binary(wire.now)
    wire.to(14.9)
    assert wire.session.outcome is None
    wire.to(15)
    assert wire.outcome().code == "drain_timeout"


def test_a_sentinel_that_is_not_taken_has_a_bound_too() -> None:
    wire = Wire(idle_timeout_ms=30_000)
    wire.begin()
    wire.queue.end()
    wire.pump(accept=False)
    wire.to(59)
    assert wire.session.outcome is None
    wire.to(60)
    assert wire.outcome().code == "connection_lost"


def test_a_flush_that_is_not_answered_fails_and_the_session_goes_on() -> None:
    wire = Wire(flush_ms=5_000)
    wire.begin()
    wire.queue.flush()
    wire.queue.flush()
    wire.pump()
    wire.say("flushed", id="flush-0")
    wire.to(4)
    assert wire.events() == [FlushEnded("flush-0", answered=True)]
    wire.to(6)
    flushes = [event for event in wire.events() if isinstance(event, FlushEnded)]
    assert flushes == [FlushEnded("flush-1", answered=False)]
    wire.say("flushed", id="flush-1")
    wire.say("flushed", id="flush-1")
    assert wire.violations() == ["FLU-S5"]
    assert wire.session.state is State.STREAMING


def test_progress_extends_a_flush_and_standing_still_counts_from_the_flush() -> None:
    wire = Wire(flush_ms=5_000, max_step_ms=30_000)
    wire.begin()
    wire.to(25)
    wire.say("x_sign_of_life")
    wire.to(40)
    wire.queue.flush()
    wire.pump()
    wire.to(44)
    wire.say("progress", seq=1, audio_processed_ms=0)
    wire.to(48.9)
    assert wire.events() == []
    wire.to(49)
    assert FlushEnded("flush-0", answered=False) in wire.events()


def test_a_flush_that_is_refused_or_cut_off_fails_once() -> None:
    wire = Wire()
    wire.begin()
    wire.queue.flush()
    wire.queue.flush()
    wire.pump()
    wire.say("error", code="invalid_state", message="", fatal=False, retryable=False, id="flush-0")
    assert FlushEnded("flush-0", answered=False) in wire.events()
    assert wire.session.open_flushes == 1
    wire.session.lost(wire.now, "reset")
    wire.session.lost(wire.now, "again")
    assert wire.events() == [FlushEnded("flush-1", answered=False)]
