"""Sessions whose breach looks like another one."""

from builder import LIMITS, SMALL, heater, ready

ALIKE = {}


def trace(name, note):
    def keep(build):
        ALIKE[name] = (note, build)
        return build
    return keep


def draining(t, **changes):
    """A session with two seconds of speech, after the sentinel."""
    return heater(t.start(**changes).speech()).end_of_stream()


# Breaches that look like another one

@trace("STA-S1--second-config-applied", "A second config asks for partials, and they come.")
def _(t):
    t.start({"interim_results": False}, config={"interim_results": False}).config(interim_results=True).wait(5)
    t.error("invalid_state").speech()
    heater(t).finish()


@trace("STA-S1--second-config-silences", "A second config forgoes partials, and none come any more.")
def _(t):
    t.start().speech().partial(0, 1, "turn", 200, 600).partial(0, 2, "turn on", 200, 800)
    t.partial(0, 3, "turn on the", 200, 1000).final(0, "turn on the garage heater", 200, 1800)
    t.flush("a").wait(5).flushed("a").config(interim_results=False).wait(5).error("invalid_state").speech(2000).final(1, "and close the door", 2000, 3800).finish(4000, 2)


@trace("STA-S1--second-config-brings-events", "A second config asks for speech events, and they come.")
def _(t):
    t.start().config(vad_events=True).wait(5).error("invalid_state").server(type="speech_started", start_ms=0, channel=0)
    heater(t.speech()).finish()


@trace("FIN-S1--partial-after-final-unwanted", "Where no partials are wanted one comes after the final of its segment.")
def _(t):
    t.start({"interim_results": False}, config={"interim_results": False}).speech()
    t.final(0, "turn on the garage heater", 200, 1800).partial(0, 9, "turn", 200, 1800).finish()


@trace("CFG-S10--words-promised", "words are said to be in force, and no final has any.")
def _(t):
    heater(t.start({"words": True}, config={"words": True}).speech()).finish()


@trace("CFG-S10--events-promised", "Speech events are said to be in force, and none comes.")
def _(t):
    heater(t.start({"vad_events": True}, config={"vad_events": True}).speech()).finish()


@trace("CFG-S10--translated-nothing", "task translate is asked for, and transcribe is in force and not listed.")
def _(t):
    heater(t.start({"task": "translate"}, config={"task": "transcribe"}).speech()).finish()


@trace("CFG-S6--no-second-fits", "Two hundred channels are accepted, of which not one second fits into a frame.")
def _(t):
    audio = {"encoding": "pcm_s16le", "sample_rate_hz": 16000, "channels": 200}
    t.open().config(audio=audio).wait(5).server(ready({"audio": audio})).finish(0, 0)


@trace("CFG-S3--endpointing-missing-and-asked", "ready.config has no endpointing, though some was asked for.")
def _(t):
    config = {name: value for name, value in ready()["config"].items() if name != "endpointing"}
    heater(t.open().config(endpointing={"silence_ms": 800}).wait(5).server({**ready(), "config": config}).speech()).finish()


@trace("LIM-S1--text-limit-too-low", "A text limit below the minimum is announced, and longer texts are taken.")
def _(t):
    t.start(limits={**LIMITS, "max_text_bytes": 1000}).client(type="keepalive", seq=1, x_pad="x" * 1000).wait(5).ack(1)
    heater(t.speech()).finish()


@trace("TIM-1--seconds", "Times are whole seconds.")
def _(t):
    t.start().speech(4000).partial(0, 1, "turn on the", 200, 1000).final(0, "turn on the heater", 0, 2).flush("f").wait(5)
    t.flushed("f").speech(2000).final(1, "and close the door", 4, 5).finish(6000, 2)


@trace("TIM-1--from-the-flush", "Times are counted from the last flush.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("f").speech(2000).final(1, "and close the door", 300, 1700)
    t.finish(4000, 2)


@trace("TIM-1--from-the-segment", "Times are counted from the start of each segment.")
def _(t):
    t.start().speech(4000).final(0, "turn on the heater", 0, 1600).final(1, "and close the door", 0, 1500).finish(4000, 2)


@trace("TIM-S1--beyond-with-late-audio", "A final ends beyond the audio, and audio after the sentinel was refused by the book.")
def _(t):
    t.start().speech().end_of_stream().audio(times=5, pace_ms=1).error("audio_after_end").wait(50)
    t.final(0, "turn on the heater", 200, 2300).ended(rejected=5).hang_up()


@trace("END-S4--late-audio-in-progress", "Progress counts audio after the sentinel.")
def _(t):
    heater(t.start().speech()).end_of_stream().audio(times=5, pace_ms=1).error("audio_after_end").wait(50).progress(1, 2300)
    t.ended(rejected=0, received=2500).hang_up()


@trace("STA-S3--early-flush-first", "A flush between config and ready is handled before the audio ahead of it.")
def _(t):
    t.open().config().audio(times=20, pace_ms=1).flush("f").wait(50).server(ready()).flushed("f").wait(5)
    t.final(0, "turn on the garage heater", 200, 1800).finish()


@trace("END-S8--another-reason", "A session that completed is given a reason of its own, and closed with 1000.")
def _(t):
    draining(t).wait(50).ended(reason="done").hang_up()


@trace("KA-S2--too-short-after-audio", "The idle timer takes half of the time, after audio too.")
def _(t):
    heater(t.start(limits=SMALL).speech()).wait(1500).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("KA-S7--audio-is-no-activity", "The idle timer runs from ready, whatever audio comes.")
def _(t):
    heater(t.start(limits=SMALL).speech()).wait(1000).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("CLO-S3--close-before-config-ignored", "A Close before config is passed over, and the config timer ends the session.")
def _(t):
    t.open().close(1000).wait(3000).error("config_timeout", True, True).eof()


@trace("END-S5--loses-the-final", "A second sentinel is answered, and the segment that was open is lost.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).end_of_stream().end_of_stream().wait(5)
    t.error("duplicate_end_of_stream").wait(50).ended(finals=0).hang_up()


@trace("FIN-S2--lost-in-every-session", "A final is lost, also where a second sentinel came, for plain sessions lose theirs.")
def _(t):
    t.control(ok=False, answered=True).start().speech().partial(0, 1, "turn on", 200, 900).end_of_stream().end_of_stream()
    t.wait(5).error("duplicate_end_of_stream").wait(50).ended(finals=0).hang_up()


def noise(t, times):
    """Bad messages every 900 ms, each answered at once; at most eight may come, for the tenth would end the session."""
    for _ in range(times):
        t.wait(899).client("{").error("bad_message")
    return t


@trace("KA-S7--malformed-keeps-alive-on-a-slow-machine", "Malformed messages keep a session alive, on a machine where every bound is five times as long.")
def _(t):
    t.lines[0]["time_scale_percent"] = 500
    noise(t.start(limits=SMALL), 9).wait(2990).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("KA-S2--thrice-as-long", "The idle timer takes three times as long, and malformed messages have no part in it.")
def _(t):
    noise(t.start(limits=SMALL), 9).wait(1000).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("AUD-S2--accepted-and-activity", "Broken frames are taken for audio, and so they keep a session alive.")
def _(t):
    t.start(limits=SMALL)
    for _ in range(9):
        t.audio(bytes=3, pace_ms=898)
    t.wait(3000).error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("FIN-S6--before-a-second-config", "Unwanted partials come, before a second config asks for them and after.")
def _(t):
    t.start({"interim_results": False}, config={"interim_results": False}).speech().partial(0, 1, "turn on", 200, 900)
    t.config(interim_results=True).wait(5).error("invalid_state").partial(0, 2, "turn on the", 200, 1000)
    t.final(0, "turn on the heater", 200, 1800).finish()


@trace("KA-S6--none-at-all", "No keepalive is acknowledged, neither one between config and ready nor one after it.")
def _(t):
    t.open().config().keepalive(7).wait(50).server(ready()).speech()
    heater(t).keepalive(8).finish()


@trace("FLU-S2--none-at-all", "No flush is answered, neither one between config and ready nor one after it.")
def _(t):
    t.open().config().flush("early").wait(50).server(ready(limits=SMALL)).flush("later").wait(3000)
    t.error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("STA-S3--early-flush-lost", "A flush between config and ready is not answered; one after it is.")
def _(t):
    t.open().config().flush("early").wait(50).server(ready()).flush("later").wait(5).flushed("later").speech()
    heater(t).finish()


@trace("KA-S2--never-idle-without-audio", "A session that never had audio is not ended: it has no finals that could take a while.")
def _(t):
    t.start(limits=SMALL).gave_up(3000 + 4000 + 800).control()


@trace("KA-S2--finals-thrice-as-late", "The idle timer takes three times as long, and the last final comes with it.")
def _(t):
    t.start(limits=SMALL).speech().partial(0, 1, "turn on", 200, 900).wait(9000).final(0, "turn on the garage heater", 200, 1800)
    t.error("idle_timeout", True, True).ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("AUD-S1--every-frame-refused", "The format that must work is confirmed in ready, and then every frame of it is refused.")
def _(t):
    t.start().audio().error("invalid_audio").audio(times=19).finish(0, 0, rejected=20, complete=False)


@trace("END-S5--fails", "A second sentinel ends the session by a fatal error.")
def _(t):
    heater(t.start().speech()).end_of_stream().end_of_stream().flush("past").wait(5).error("invalid_state", True)
    t.ended(complete=False, reason="invalid_state").hang_up(4409)


@trace("END-S5--loses-what-no-partial-showed", "The same speech has a final less where a second sentinel comes.")
def _(t):
    heater(t.open(label="once", speech="a").config().wait(5).server(ready()).speech()).finish()
    t.on(1).open(label="twice", speech="a").config().wait(5).server(ready()).speech().end_of_stream().end_of_stream().wait(5)
    t.error("duplicate_end_of_stream").wait(50).ended(finals=0).hang_up()


@trace("SEC-S1--good-header-not-enough", "A client with a good header is refused for want of a token.")
def _(t):
    t.open(authorization="good").config().wait(2).error("unauthenticated", True).hang_up(4401)
    heater(t.on(1).open(authorization="none").config(token="right-token").wait(2).server(ready()).speech()).finish()


@trace("SEC-S3--drops-behind-a-bad-message", "A bad message is answered, and over deep nesting right behind it the connection is dropped.")
def _(t):
    t.start().speech().client("hello")
    t.ms -= 1
    t.error("bad_message")
    t.ms -= 1
    t.client('{"type":"flush","id":' + "[" * 200 + "]" * 200 + "}").eof()


@trace("ERR-1--never-retryable", "No error says whether it is retryable; each is the answer to something all the same, the tenth included.")
def _(t):
    heater(t.start().speech()).client(type="update", id="u", language="de").wait(5)
    t.server(type="error", code="unsupported_option", message="not served", fatal=False, id="u")
    for _ in range(9):
        t.client("{").server(type="error", code="bad_message", message="no message", fatal=False)
    t.client("{").wait(5).server(type="error", code="bad_message", message="the tenth", fatal=True, retryable=False)
    t.ended(complete=False, reason="bad_message").hang_up(4400)


@trace("AUD-S3--fails", "The server fails at an empty binary message; more had been sent by then.")
def _(t):
    t.control().start().audio(bytes=0, pace_ms=0).speech(400).keepalive(1).wait(5).error("internal", True, True)
    t.ended(0, 0, complete=False, reason="internal").hang_up(1011)


@trace("KA-S6--fails", "The server fails at a keepalive; a flush had been sent by then.")
def _(t):
    t.control().start().speech(400).keepalive(1).flush("f").wait(5).error("internal", True, True)
    t.ended(400, 0, complete=False, reason="internal").hang_up(1011)


@trace("KA-S5--stops-reading", "Behind a keepalive that came after the sentinel nothing is answered any more.")
def _(t):
    heater(t.start().speech()).end_of_stream().keepalive(5).client(type="hello").end_of_stream().wait(1500)
    t.ended().hang_up()


@trace("END-S4--stops-reading", "Behind audio that came after the sentinel nothing is answered any more.")
def _(t):
    heater(t.start().speech()).audio(bytes=641).error("invalid_audio").end_of_stream().audio(pace_ms=0).end_of_stream().wait(1500)
    t.ended(rejected=1, complete=False).hang_up()


@trace("FLU-S2--forgotten-though-progress-came", "A flush is forgotten after some progress, and the session is ended as idle.")
def _(t):
    t.start(limits={**SMALL, "idle_timeout_ms": 6000}).speech().flush("f").wait(500).progress(1, 2000).wait(6000)
    t.error("idle_timeout", True, True).ended(2000, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("TIM-S1--beyond-and-said-twice", "Ends lie beyond the audio, and the same word is said twice: nothing is told again.")
def _(t):
    t.start().speech().final(0, "yes", 200, 1900).final(1, "yes", 900, 2900).finish(2000, 2)


@trace("MSG-1--no-frame", "What comes in place of the final is no WebSocket frame, and nothing behind it can be read.")
def _(t):
    t.start().speech().end_of_stream().wait(300).eof(how="unreadable")


@trace("CLO-S1--no-frame", "What comes in place of Close is no WebSocket frame.")
def _(t):
    heater(t.start().speech()).end_of_stream().wait(5).ended().eof(how="unreadable")


@trace("MSG-1--all-in-binary", "Results and the end come as binary messages; what they said is not missed on top of that.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).end_of_stream().wait(300)
    t.event("server", audio={"bytes": 90, "head": "7b2274"}).event("server", audio={"bytes": 90, "head": "7b2274"}).hang_up(1000)


@trace("MSG-2--says-keepalive", "The server sends a keepalive of its own.")
def _(t):
    heater(t.start().server(type="keepalive").speech()).finish()


@trace("ERR-1--id-of-an-earlier-flush", "An error repeats the id of a flush that was answered before.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("f").client(type="hello").wait(5).error("unknown_type", id="f").finish()


@trace("END-S2--fails-at-every-end", "The server fails whenever a stream ends: no session completes.")
def _(t):
    t.control(ok=False, answered=True).start().speech().end_of_stream().wait(5).error("internal", True, True)
    t.ended(finals=0, complete=False, reason="internal").hang_up(1011).control(ok=False, answered=True)


@trace("TIM-1--silence-left-out", "Only speech is counted: what was said behind four seconds of silence ends in them.")
def _(t):
    heater(t.open(label="prompt", speech="heater").config().wait(5).server(ready()).speech()).finish()
    t.on(1).open(label="delayed", speech="heater").config().wait(5).server(ready()).speech(6000)
    heater(t).finish(6000)


@trace("END-S2--words-of-another-session", "Each session is given the words of the one before.")
def _(t):
    for conn, (label, text) in enumerate((("first", "turn on the garage heater"), ("again", "good morning to all"))):
        t.on(conn).open(label=label, speech="heater").config().wait(5).server(ready()).speech()
        t.final(0, text, 200, 1800).finish()


@trace("KA-S6--unanswered-until-idle", "A keepalive is not acknowledged, and long after that the session is ended as idle.")
def _(t):
    t.start(limits=SMALL).speech().keepalive(0).wait(3000).error("idle_timeout", True, True)
    t.ended(2000, 0, complete=False, reason="idle_timeout").hang_up(4408)
