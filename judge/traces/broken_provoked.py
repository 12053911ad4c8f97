"""Sessions that go wrong at one special message, where plain sessions work."""

from builder import LIMITS, SMALL, heater, ready

PROVOKED = {}


def trace(name, note):
    def keep(build):
        PROVOKED[name] = (note, build)
        return build
    return keep


def draining(t, **changes):
    """A session with two seconds of speech, after the sentinel."""
    return heater(t.start(**changes).speech()).end_of_stream()


def fails(t, **counters):
    """The server gives up as its own failure."""
    return t.error("internal", True, True).ended(complete=False, reason="internal", **counters).hang_up(1011)


# A close, or a failure of the server's own, at a message that it must be able to take

@trace("CON-S2--refused-alone", "A client that offers no protocol is refused, and only a control session is served.")
def _(t):
    t.control().event(refused={"status": 400, "offered": [], "authorization": "none"})


@trace("STA-S2--audio-before-config-closes", "Audio before config closes the connection, before config is answered.")
def _(t):
    t.control().open().audio().config().wait(5).hang_up(1008)


@trace("STA-S2--fatal-before-config", "A keepalive before config ends the session, and config had been sent by then.")
def _(t):
    t.control().open().keepalive(1).config().wait(5).error("invalid_state", True).hang_up(4409)


@trace("CFG-S5--fails-at-wrong-type", "The server fails at an option of the wrong type.")
def _(t):
    t.open().config(audio={"sample_rate_hz": "16000"}).wait(5).error("internal", True, True).hang_up(1011).control()


@trace("CFG-S5--closes-at-wrong-type", "The server closes at an option of the wrong type.")
def _(t):
    t.control().open().config(audio={"sample_rate_hz": "16000"}).wait(5).hang_up(1011)


@trace("MSG-S5--unknown-type-closes", "The server closes at a message of an unknown type.")
def _(t):
    t.control()
    heater(t.start().speech()).client("{").wait(5).error("bad_message").client(type="hello").wait(5).hang_up(1011)


@trace("MSG-S4--closed-1007", "The server closes with 1007 at a text that is no JSON, though it is good UTF-8.")
def _(t):
    heater(t.start().speech()).client("hello").wait(5).hang_up(1007)


@trace("MSG-S4--dropped", "The server drops the connection at a text that is no JSON.")
def _(t):
    heater(t.start().speech()).client("hello").wait(5).eof(how="reset")


@trace("MSG-S4--fails", "The server fails at a text that is no JSON.")
def _(t):
    fails(heater(t.start().speech()).client("hello").wait(5)).control()


@trace("MSG-S4--first-is-fatal", "The first bad message ends the session.")
def _(t):
    t.start().client("{").client("{").wait(5).error("bad_message", True)
    t.ended(0, 0, complete=False, reason="bad_message").hang_up(4400)


@trace("MSG-S4--silent-until-idle", "Ten bad messages get no answer, and the session is ended as idle.")
def _(t):
    t.start(limits=SMALL)
    for _ in range(10):
        t.client("{")
    t.wait(3000).error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("MSG-S4--answered-twice", "Each bad message is answered twice, the ones with a member at fault too.")
def _(t):
    t.start().client("hello").client(type="flush", id=7).client(type="keepalive", seq="1").wait(5)
    for param in (None, "id", "seq"):
        for _ in range(2):
            t.error("bad_message", **({"param": param} if param else {}))
    heater(t.speech()).finish()


@trace("MSG-S4--duplicate-key-acknowledged", "A number beyond the range is taken, and repeated.")
def _(t):
    t.start().client('{"type":"keepalive","seq":123456789012345678901}').wait(5)
    heater(t.server('{"type":"keepalive_ack","seq":123456789012345678901}').speech()).finish()


@trace("MSG-S6--float-acknowledged", "A keepalive whose seq is no integer is acknowledged.")
def _(t):
    heater(t.start().client('{"type":"keepalive","seq":1.0}').wait(5).ack(1).speech()).finish()


@trace("MSG-S6--number-flushed", "A flush whose id is no string is served.")
def _(t):
    heater(t.start().client(type="flush", id=7).wait(5).flushed("7").speech()).finish()


@trace("MSG-S7--ninth-is-fatal", "The ninth bad message ends the session.")
def _(t):
    t.start()
    for _ in range(8):
        t.client("{").wait(2).error("bad_message")
    t.client("{").client("{").wait(5).error("bad_message", True)
    t.ended(0, 0, complete=False, reason="bad_message").hang_up(4400)


@trace("MSG-S5--answered-as-bad", "An unknown type is answered as a bad message, and a flush without id rightly.")
def _(t):
    t.start().client("{").client(type="hello").client(type="flush").wait(5)
    t.error("bad_message").error("bad_message").error("bad_message", param="id")
    heater(t.speech()).finish()


@trace("UPD-S1--unknown-type", "An update is taken for a message of an unknown type, also after the sentinel.")
def _(t):
    heater(t.start().client(type="update", id="u", language="de").wait(5).error("unknown_type").speech()).end_of_stream()
    t.client(type="update", id="late").wait(5).error("unknown_type").wait(50).ended().hang_up()


@trace("KA-S6--unknown-type", "A keepalive is taken for a message of an unknown type.")
def _(t):
    heater(t.start().keepalive(1).wait(5).error("unknown_type").speech()).finish()


@trace("FLU-S2--unknown-type", "A flush is taken for a message of an unknown type.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).error("unknown_type").finish()


@trace("MSG-3--odd-config-not-recognised", "A config of another form is not recognised, and the server gives up waiting.")
def _(t):
    t.control().open().client('{ "type" : "config" }').wait(3000).error("config_timeout", True, True).hang_up(4408)


@trace("STA-S1--second-ready", "A second config is answered with a second ready.")
def _(t):
    heater(t.start().speech()).config(interim_results=False).wait(5).server(ready({"interim_results": False}))
    t.finish(0, 0)


@trace("STA-S3--early-keepalive-lost", "A keepalive between config and ready is not acknowledged.")
def _(t):
    t.open().config().keepalive(7).wait(50).server(ready()).speech()
    heater(t).keepalive(8).wait(5).ack(8).finish()


@trace("STA-S3--early-refused", "Whatever comes between config and ready is refused, the sentinel too.")
def _(t):
    t.open().config().audio(times=3).end_of_stream().wait(50).server(ready(limits=SMALL))
    t.error("invalid_state").error("invalid_state").wait(3000).error("idle_timeout", True, True)
    t.ended(0, 0, rejected=3, complete=False, reason="idle_timeout").hang_up(4408)


@trace("STA-S3--sentinel-first", "The sentinel between config and ready is handled before the audio ahead of it.")
def _(t):
    t.open().config().audio(times=3).end_of_stream().wait(50).server(ready()).error("audio_after_end")
    t.ended(0, 0, rejected=3).hang_up()


@trace("END-S1--early-sentinel-lost", "A sentinel between config and ready is lost, and the session is ended as idle.")
def _(t):
    t.open().config().audio(times=3).end_of_stream().wait(50).server(ready(limits=SMALL))
    t.wait(3000).error("idle_timeout", True, True).ended(300, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("END-S2--ended-as-idle", "The sentinel is ignored, and the session is ended as idle.")
def _(t):
    heater(t.start(limits=SMALL).speech()).end_of_stream().wait(3000).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("END-S2--general", "A session without audio never ends, and neither does a plain one.")
def _(t):
    t.control(ok=False, answered=True).start().end_of_stream().gave_up(16600).control(ok=False, answered=True)


@trace("END-S5--dropped", "The connection is dropped at a second sentinel.")
def _(t):
    draining(t).end_of_stream().wait(5).eof(how="reset")


@trace("END-S5--passed-over", "A second sentinel gets no answer, and what came behind it does.")
def _(t):
    draining(t).end_of_stream().flush("late").wait(5).error("invalid_state", id="late").wait(50).ended().hang_up()


@trace("END-S5--taken-for-a-wrong-state", "A second sentinel is answered with another code, and the keepalives before it are ignored.")
def _(t):
    draining(t).keepalive(1).keepalive().end_of_stream().wait(5).error("invalid_state").wait(1500).progress(1, 1500)
    t.wait(500).ended().hang_up()


@trace("END-S6--fails", "The server fails at a sentinel without audio.")
def _(t):
    t.control().start().end_of_stream().wait(5).error("internal", True, True)
    t.ended(0, 0, complete=False, reason="internal").hang_up(1011)


@trace("END-S6--closes", "The server just closes at a sentinel without audio.")
def _(t):
    t.start().end_of_stream().wait(5).hang_up(1000)


@trace("END-S3--each-end-twice", "session_ended comes twice, and a second sentinel had its error.")
def _(t):
    draining(t).end_of_stream().wait(5).error("duplicate_end_of_stream").wait(50).ended().ended().hang_up()


@trace("END-S3--last-final-of-the-comparison", "The last final comes after session_ended: late, not lost.")
def _(t):
    def session(conn, label, flush, silence_ms, late):
        t.on(conn).open(label=label, speech="heater.wav").config().wait(5).server(ready()).speech(3000)
        t.final(0, "turn on the heater", 200, 1400)
        if flush:
            t.flush("f").wait(50).final(1, "and close the door", 1700, 2900).flushed("f")
        t.speech(silence_ms).end_of_stream().wait(50)
        if not flush and not late:
            t.final(1, "and close the door", 1700, 2900)
        t.ended(3000 + silence_ms, 1 if late else 2)
        if late:
            t.final(1, "and close the door", 1700, 2900)
        t.hang_up()
    session(0, "ended", False, 0, True)
    session(1, "flushed", True, 0, False)
    session(2, "padded", False, 2000, False)


@trace("END-S9--never-counts-refused", "No refused frame is ever counted, of whatever sort.")
def _(t):
    t.open().audio(times=2).config().wait(5).server(ready()).audio(bytes=641).error("invalid_audio").speech()
    heater(t).finish(rejected=0, complete=False)


@trace("AUD-S2--not-counted", "A broken frame is answered and not counted, those before config are.")
def _(t):
    t.open().audio(times=2).config().wait(5).server(ready()).audio(bytes=641).error("invalid_audio").speech()
    heater(t).finish(rejected=2, complete=False)


@trace("STA-S2--not-counted", "Frames before config are not counted, a broken one is.")
def _(t):
    t.open().audio(times=2).config().wait(5).server(ready()).audio(bytes=641).error("invalid_audio").speech()
    heater(t).finish(rejected=1, complete=False)


@trace("AUD-S3--empty-answered", "Empty frames are answered as invalid, each time.")
def _(t):
    t.start()
    for _ in range(3):
        t.audio(bytes=0, pace_ms=5).audio(bytes=641, pace_ms=5)
    for _ in range(4):
        t.error("invalid_audio")
    heater(t.speech()).finish(rejected=3, complete=False)


@trace("AUD-S4--short-and-command-dropped", "Short frames are not accepted, whatever they hold; long ones are.")
def _(t):
    t.start().audio(bytes=48, head="7b227479", times=2).audio(bytes=48, times=2).audio(bytes=64000).speech()
    heater(t, 2100).finish(received=4000)


@trace("AUD-S5--command-dropped", "Frames that look like a command are dropped, other short ones are not.")
def _(t):
    t.start().audio(bytes=48, head="7b227479", times=2).audio(bytes=48, times=2).speech()
    heater(t).finish(received=2003)


@trace("END-S10--after-a-pause", "The server ends the stream after a pause, and takes the rest for late.")
def _(t):
    heater(t.start().speech()).speech(500).error("audio_after_end").flush("f").wait(5).error("invalid_state", id="f")
    t.wait(50).ended(rejected=5).hang_up()


@trace("END-S10--idle-as-completed", "An idle session is called completed, and empty frames had come.")
def _(t):
    heater(t.start(limits=SMALL).speech()).audio(bytes=0).wait(2900).ended().hang_up()


@trace("FLU-1--later-flush-refused", "A flush is taken for the end, so that the next one is refused.")
def _(t):
    heater(t.start().speech()).flush("a").flush("b").wait(5).error("invalid_state", id="b").wait(50).ended().hang_up()


@trace("FLU-S5--in-place-of-the-right-id", "A flush is answered with another id.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("flush-1").finish()


@trace("MSG-2--answers-malformed", "flushed without an id, and an acknowledgement whose seq is no integer.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).server(type="flushed").keepalive(1).wait(5)
    t.server('{"type":"keepalive_ack","seq":1.0}').finish()


@trace("LIM-S2--dropped-in-silence", "A frame above the limit is dropped, and the session goes on until it is idle.")
def _(t):
    heater(t.start(limits=SMALL).speech()).audio(bytes=64002).wait(3000).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("LIM-S3--accepted", "A text above the limit is taken, and its keepalive acknowledged.")
def _(t):
    t.start(limits={**LIMITS, "max_text_bytes": 4096}).client(type="keepalive", seq=12, x_pad="x" * 4096).wait(5).ack(12)
    heater(t.speech()).finish()


@trace("CLO-S2--general", "A refused config is not followed by a Close, and neither is any other end.")
def _(t):
    t.control(ok=False, answered=True).open().config(interim_results=1).wait(5).error("invalid_config", True, param="interim_results")
    t.gave_up(2600).control(ok=False, answered=True)


@trace("END-S11--completed-after-fatal", "A session that failed is called completed and complete, and closed with 1000.")
def _(t):
    heater(t.start().speech()).error("internal", True, True).ended().hang_up(1000)


@trace("KA-S2--stays-though-silent", "Empty frames come, then nothing; the session never ends.")
def _(t):
    t.start(limits={**SMALL, "drain_ms": 1000}).audio(bytes=0, times=3, pace_ms=900).gave_up(9000).control()


@trace("KA-S2--closed-4408", "An idle session is closed with the right code and not another word, after broken frames.")
def _(t):
    t.start(limits=SMALL).audio(bytes=641).error("invalid_audio").wait(2900).hang_up(4408)


@trace("KA-S7--unknown-type-is-no-activity", "A session is ended as idle a second after a message of an unknown type.")
def _(t):
    t.start(limits=SMALL).wait(2000).client(type="hello").wait(5).error("unknown_type").wait(1000)
    t.error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("SEC-S3--hangs", "A deeply nested message is never answered, and nothing else is.")
def _(t):
    t.start().client('{"type":"flush","id":' + "[" * 200 + "]" * 200 + "}").keepalive(1).gave_up(11100).control()


@trace("FLU-1--unheard-after-flush", "Audio after a flush is counted and not heard, though the same speech is without a flush.")
def _(t):
    t.open(label="straight", speech="twice").config().wait(5).server(ready()).speech(4000)
    t.final(0, "turn on the heater", 200, 1400).final(1, "turn on the heater", 2200, 3400).finish(4000, 2)
    t.on(1).open(label="resumed", speech="twice").config().wait(5).server(ready()).speech(2000).flush("f").wait(5)
    t.final(0, "turn on the heater", 200, 1400).flushed("f").speech(2000).finish(4000)
