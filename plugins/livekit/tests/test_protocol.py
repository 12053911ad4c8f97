"""The session without a socket, under a clock of the test's own: every bound is exact, and nothing is waited for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from session import SECOND, Wire

from livekit.plugins.lastword.messages import Limits, MalformedError, Unknown, decode
from livekit.plugins.lastword.protocol import State
from livekit.plugins.lastword.queue import MAX_FRAME_BYTES


def test_nothing_leaves_before_ready_and_then_everything_in_order() -> None:
    wire = Wire()
    wire.queue.push(bytes(MAX_FRAME_BYTES + 2))
    wire.queue.flush()
    wire.queue.push(bytes(2))
    wire.queue.end()
    assert wire.pump() == [{"type": "config"}]
    wire.begin()
    sent = wire.pump()
    assert sent == [MAX_FRAME_BYTES, 2, {"type": "flush", "id": "flush-0"}, 2, {"type": "end_of_stream"}]
    assert wire.session.sentinel_sent


def test_the_sentinel_is_sent_once_and_nothing_after_it() -> None:
    wire = Wire()
    wire.drain()
    wire.queue.end()
    wire.queue.push(bytes(SECOND))
    wire.queue.flush()
    wire.to(14.9)
    assert wire.pump() == []
    assert [item for item in wire.sent if isinstance(item, dict)] == [{"type": "config"}, {"type": "end_of_stream"}]


def test_a_flush_of_nothing_is_sent_and_is_no_end() -> None:
    wire = Wire()
    wire.begin()
    wire.queue.flush()
    assert wire.pump() == [{"type": "flush", "id": "flush-0"}]
    assert wire.session.state is State.STREAMING


def test_one_message_is_at_the_transport_at_a_time() -> None:
    wire = Wire()
    wire.begin()
    wire.queue.push(bytes(SECOND))
    assert wire.pump(accept=False) == [MAX_FRAME_BYTES]
    assert wire.session.poll_message() is None


def test_only_a_true_account_after_the_sentinel_is_complete() -> None:
    wire = Wire()
    wire.drain()
    wire.final(0)
    wire.ended()
    assert wire.outcome().kind == "complete"
    assert wire.session.close_code == 1000


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"complete": False}, "not_complete"),
        ({"complete": False, "reason": "internal"}, "not_complete"),
        ({"finals": 2}, "contradiction"),
        ({"audio_received_ms": 999, "audio_processed_ms": 999}, "contradiction"),
        ({"audio_received_ms": 1_001}, "contradiction"),
        ({"complete": False, "audio_received_ms": 1_001}, "contradiction"),
        ({"rejected_frames": 1}, "contradiction"),
        ({"reason": "going_away"}, "contradiction"),
    ],
)
def test_any_other_account_is_incomplete(account: dict[str, Any], code: str) -> None:
    wire = Wire()
    wire.drain()
    wire.final(0)
    wire.ended(**account)
    assert (wire.outcome().kind, wire.outcome().code) == ("incomplete", code)


def test_an_end_before_ours_is_incomplete_and_a_violation() -> None:
    wire = Wire()
    wire.begin()
    wire.ended(audio_received_ms=0, audio_processed_ms=0, finals=0)
    assert wire.outcome().code == "ended_early"
    assert wire.violations() == ["END-S10"]


@pytest.mark.parametrize(("code", "retryable"), [(1000, True), (1011, True), (None, True), (1002, False)])
def test_a_close_without_session_ended_is_never_success(code: int | None, retryable: bool) -> None:
    wire = Wire()
    wire.drain()
    wire.session.closed(wire.now, code)
    assert (wire.outcome().kind, wire.outcome().code, wire.outcome().retryable) == ("incomplete", "closed", retryable)


def test_a_close_before_ready_is_an_error() -> None:
    wire = Wire()
    wire.pump()
    wire.session.closed(wire.now, 1000)
    assert (wire.outcome().kind, wire.outcome().code) == ("error", "closed_before_ready")


def test_a_segment_gets_one_final_and_no_partial_after_it() -> None:
    wire = Wire()
    wire.begin()
    partial = {"revision": 1, "text": "a", "start_ms": 0, "end_ms": 1, "channel": 0}
    wire.say("partial", segment_id=0, **partial)
    wire.final(0, "")
    wire.final(0)
    wire.say("partial", segment_id=0, **partial)
    wire.final(7)
    wire.final(7)
    events = wire.events()
    assert [type(event).__name__ for event in events] == [
        "Partial",
        "Final",
        "Violation",
        "Violation",
        "Final",
        "Violation",
    ]


def test_ids_with_gaps_do_not_grow_for_ever() -> None:
    wire = Wire()
    wire.begin()
    for segment_id in range(1, 20_000, 2):
        wire.final(segment_id)
    assert len(wire.session._finals.above) <= 1_024
    assert len(wire.events()) == 10_000


def test_a_fatal_error_is_told_at_once_and_ends_at_session_ended() -> None:
    wire = Wire()
    wire.drain()
    wire.say("error", code="overloaded", message="m", fatal=True, retryable=True, retry_after_ms=5)
    assert wire.session.outcome is None
    assert [type(event).__name__ for event in wire.events()] == ["Error"]
    wire.final(0)
    assert wire.violations() == ["ERR-S3"]
    wire.ended(reason="overloaded", complete=False)
    outcome = wire.outcome()
    assert (outcome.kind, outcome.code, outcome.retryable, outcome.retry_after_ms) == ("error", "overloaded", True, 5)
    assert outcome.ended is not None


@pytest.mark.parametrize("how", ["close", "loss", "close_ms", "cancel"])
def test_or_at_the_close_the_loss_or_after_close_ms(how: str) -> None:
    wire = Wire(close_ms=2_000)
    wire.begin()
    wire.say("error", code="internal", message="m", fatal=True, retryable=False)
    wire.queue.push(bytes(SECOND))
    assert wire.pump() == []
    if how == "close":
        wire.session.closed(wire.now, 1011)
    elif how == "loss":
        wire.session.lost(wire.now, "eof")
    elif how == "cancel":
        wire.session.cancel()
    else:
        wire.to(1.9)
        assert wire.session.outcome is None
        wire.to(2)
    assert (wire.outcome().kind, wire.outcome().code) == ("error", "internal")


def test_a_fatal_error_before_ready_ends_at_once() -> None:
    wire = Wire()
    wire.pump()
    wire.say("error", code="unauthenticated", message="m", fatal=True, retryable=False)
    assert (wire.outcome().kind, wire.outcome().code, wire.outcome().retryable) == ("error", "unauthenticated", False)


def test_an_error_that_is_not_fatal_ends_nothing() -> None:
    wire = Wire()
    wire.drain()
    wire.say("error", code="audio_after_end", message="m", fatal=False, retryable=False)
    assert wire.session.state is State.DRAINING


def test_nothing_has_an_effect_after_the_outcome() -> None:
    wire = Wire()
    wire.drain()
    wire.final(0)
    wire.ended()
    wire.events()
    wire.ended(complete=False)
    wire.final(1)
    wire.session.closed(wire.now, 1011)
    wire.session.cancel()
    wire.session.receive_text(wire.now, "garbage")
    wire.session.receive_binary(wire.now)
    wire.to(1_000)
    assert wire.outcome().kind == "complete"
    assert wire.events() == []
    assert wire.session.deadline() is None
    assert wire.pump() == []


def test_messages_before_ready_and_a_second_ready_are_violations() -> None:
    wire = Wire()
    wire.pump()
    wire.final(0)
    assert wire.violations() == ["CFG-S2"]
    wire.begin()
    wire.begin()
    assert wire.session.state is State.STREAMING


def test_a_ready_without_limits_has_the_defaults_and_tiny_limits_are_raised() -> None:
    wire = Wire()
    wire.pump()
    wire.say("ready", session_id="s", protocol="lastword.v1", limits={"keepalive_interval_ms": 0})
    assert wire.session.state is State.STREAMING
    assert wire.violations() == ["LIM-S1", "LIM-S1"]
    assert wire.session.limits == Limits(keepalive_interval_ms=100)


def test_another_audio_format_is_not_lived_with() -> None:
    wire = Wire()
    wire.pump()
    config = {"audio": {"encoding": "pcm_s16le", "sample_rate_hz": 8_000, "channels": 1}}
    wire.say("ready", session_id="s", protocol="lastword.v1", config=config, limits=wire.limits)
    assert (wire.outcome().code, wire.session.close_code) == ("audio_replaced", 1002)


def _random_step(wire: Wire, dice: random.Random, number: int, seqs: Iterator[int]) -> None:
    steps: list[Callable[[], object]] = [
        lambda: wire.queue.push(bytes(2 * dice.randrange(20_000))),
        wire.queue.flush,
        wire.queue.end,
        lambda: wire.pump(accept=dice.random() < 0.9),
        lambda: wire.session.transmitted(wire.now),
        lambda: wire.to(wire.now - 100 + dice.choice([0.01, 0.5, 3.0])),
        lambda: wire.final(number),
        lambda: wire.say("flushed", id=f"flush-{number}"),
        lambda: wire.say("keepalive_ack", seq=number),
        lambda: wire.say("progress", seq=dice.choice([number + 1, next(seqs)]), audio_processed_ms=number),
        lambda: wire.say("partial", segment_id=number, revision=1, text="a", start_ms=0, end_ms=1, channel=0),
        lambda: wire.say("error", code="x", message="", fatal=dice.random() < 0.1, retryable=False),
        lambda: wire.session.receive_text(wire.now, dice.choice(GARBAGE)),
        lambda: wire.session.receive_binary(wire.now),
        wire.begin,
    ]
    dice.choice(steps)()


@pytest.mark.parametrize("seed", range(200))
def test_no_server_can_make_it_crash_or_wait_for_ever(seed: int) -> None:
    """Any messages at any times, then silence: an outcome within the sum of its bounds, and one sentinel at most."""
    dice = random.Random(seed)
    wire = Wire(drain_ms=dice.choice([1_000, 15_000]), idle_timeout_ms=dice.choice([1_000, 30_000]))
    if dice.random() < 0.8:
        wire.begin()
    seqs = itertools.count(1)
    for _ in range(dice.randrange(60)):
        _random_step(wire, dice, dice.choice([0, 1, dice.randrange(10)]), seqs)
        wire.events()
    wire.queue.end()
    if wire.session.state is not State.ENDED:
        wire.session.transmitted(wire.now)
        wire.pump()
        # Ready, two idle timeouts and the drain, all in their largest form.
        wire.to(wire.now - 100 + 60 + 2 * 30 + 15 + 2)
    assert wire.session.outcome is not None
    assert wire.session.deadline() is None
    kinds = [item["type"] for item in wire.sent if isinstance(item, dict)]
    assert kinds.count("end_of_stream") <= 1
    assert "end_of_stream" not in kinds[:-1]


GARBAGE = [
    "",
    "{",
    "null",
    "[]",
    '["keepalive"]',
    "1",
    '"x"',
    "{}",
    '{"type":1}',
    '{"type":null}',
    '{"type":"x_a","a":1,"a":2}',
    '{"type":"x_a","a":NaN}',
    '{"type":"x_a","a":Infinity}',
    '{"type":"x_a","a":9007199254740992}',
    '{"type":"x_a","a":' + "9" * 5_000 + "}",
    '{"type":"x_a","a":"\\ud800"}',
    '{"type":"x_a","\\ud800":1}',
    "[" * 100_000,
    '{"a":' * 16 + "{}" + "}" * 16,
    '{"type":"final"}',
    '{"type":"final","segment_id":0,"text":"a","start_ms":0.0,"end_ms":1,"channel":0}',
    '{"type":"final","segment_id":true,"text":"a","start_ms":0,"end_ms":1,"channel":0}',
    '{"type":"final","segment_id":-1,"text":"a","start_ms":0,"end_ms":1,"channel":0}',
    '{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":1,"channel":0,"confidence":1.5}',
    '{"type":"final","segment_id":0,"text":"a","start_ms":0,"end_ms":1,"channel":0,"words":[1]}',
    '{"type":"error","code":"internal","message":"m","fatal":"true","retryable":false}',
    '{"type":"ready","limits":{"drain_ms":"1"}}',
    '{"type":"progress","seq":0,"audio_processed_ms":0}',
]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_a_violation_and_ends_nothing(text: str) -> None:
    wire = Wire()
    wire.drain()
    wire.session.receive_text(wire.now, text)
    assert wire.violations() == ["MSG-2"]
    assert wire.session.state is State.DRAINING


def test_messages_are_known_by_their_value_and_not_by_their_bytes() -> None:
    text = ' {"x_a": null, "\\u0074ype": "flushed",\n"id": "\\u00e9", "x_b": [{}] } '
    assert decode(text) == decode('{"id":"é","type":"flushed"}')
    assert decode('{"type":"later"}') == Unknown("later")
    with pytest.raises(MalformedError):
        decode('{"type":"flushed"}')
