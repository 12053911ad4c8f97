"""Sessions without a fault: ordinary ones, and odd ones that the protocol allows."""

from builder import SMALL, heater, ready
from good_odd import ODD

GOOD = {}


def trace(name, note):
    def keep(build):
        GOOD[name] = (note, build)
        return build
    return keep


@trace("plain", "Speech, partials, a final, the end.")
def _(t):
    t.start({"language": "en"}, config={"language": "en"}).speech()
    t.partial(0, 1, "turn on", 200, 900, language="en")
    t.end_of_stream().wait(80).final(0, "Turn on the garage heater.", 200, 1800, confidence=0.93, language="en").ended().hang_up()


@trace("zero-audio", "A session without audio ends like any other.")
def _(t):
    t.start().finish(0, 0)


@trace("no-subprotocol", "A client that offers no subprotocol is served; one that offers only another is refused.")
def _(t):
    heater(t.open(offered=[], selected=None).config().wait(5).server(ready()).speech()).finish()
    t.on(1).event(refused={"status": 400})


@trace("two-segments", "Two segments on the way, one after the sentinel; the speaker repeats himself.")
def _(t):
    t.start().speech(3000).partial(0, 1, "no no", 100, 900).final(0, "no no", 100, 1200)
    t.partial(1, 1, "no", 1500, 2000).partial(1, 2, "no no", 1500, 2400).speech(2000).end_of_stream().wait(50)
    t.final(1, "no no", 1500, 2600).final(2, "", 3000, 3100).final(3, "turn it off", 3200, 4800).ended(5000, 4).hang_up()


@trace("interim-off", "No partials are asked for and none come.")
def _(t):
    t.start({"interim_results": False}, config={"interim_results": False}).speech()
    t.final(0, "turn on the garage heater", 200, 1800).finish()


@trace("words-and-vad", "Words with times, and speech events.")
def _(t):
    config = {"words": True, "vad_events": True}
    words = [{"text": "turn", "start_ms": 200, "end_ms": 500, "confidence": 0.9}, {"text": "on", "start_ms": 500, "end_ms": 800}]
    t.start(config, config=config).speech(1000).server(type="speech_started", start_ms=150, channel=0).speech(1000)
    t.server(type="speech_ended", end_ms=900, channel=0).final(0, "turn on", 200, 800, words=words).finish()


@trace("early-end", "The input ended before ready: audio, flush and sentinel wait.")
def _(t):
    t.open().config().speech(1000).flush("early").keepalive(4).end_of_stream().wait(900).server(ready()).ack(4)
    t.final(0, "turn on", 100, 900).flushed("early").wait(20).ended(1000).hang_up()


@trace("flushes", "Flushes with and without something to flush, and speech after them.")
def _(t):
    t.start().flush("nothing").wait(5).flushed("nothing").speech()
    heater(t.flush("a").wait(5)).flushed("a").flush("b").flush("c").wait(5).flushed("b").flushed("c").speech(2000)
    t.partial(1, 1, "close", 2100, 2800).final(1, "close the door", 2100, 3700).finish(4000, 2)


@trace("flush-at-the-end", "A flush is open when the sentinel comes.")
def _(t):
    t.start().speech().flush("f").end_of_stream().wait(50)
    heater(t).flushed("f").ended().hang_up()


@trace("flush-meets-speech", "The client goes on speaking while the flush is worked on; a segment begins just before it.")
def _(t):
    t.start().speech().flush("f").speech(500).final(0, "turn on the heater", 200, 1700).partial(1, 1, "and", 1950, 2300)
    t.flushed("f").speech(500).final(1, "and close the door", 1950, 2900).finish(3000, 2)


@trace("cancel", "The client cancels; what was under way arrives all the same.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).close(1000).partial(0, 2, "turn on the", 200, 1200)
    t.close(1000, by="server")


@trace("cancel-while-configuring", "The client cancels before ready.")
def _(t):
    t.open().config().wait(20).close(1001).wait(3).server(ready()).close(1001, by="server")


@trace("cancel-while-draining", "The client cancels in the drain; the answer still comes.")
def _(t):
    t.start().speech().end_of_stream().wait(10).close(1000).wait(2).final(0, "turn on the heater", 200, 1800).ended()
    t.close(1000, by="server")


@trace("client-closes-first", "After session_ended the client closes before the server.")
def _(t):
    heater(t.start().speech()).end_of_stream().wait(50).ended().close(1000).close(1000, by="server")


@trace("half-closed", "The client's half of the connection ends after the sentinel; the drain goes on.")
def _(t):
    t.start().speech().end_of_stream().eof(by="client").wait(100)
    heater(t).ended().close(1000, by="server").eof()


@trace("idle", "An idle session is ended with its finals, an error and the reason.")
def _(t):
    t.start(limits=SMALL).speech().wait(3000)
    heater(t).error("idle_timeout", True, True).ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("idle-in-spite-of-noise", "Empty, broken and unreadable messages are no activity.")
def _(t):
    t.start(limits=SMALL).audio(bytes=0).wait(500).audio(bytes=7).error("invalid_audio").wait(400).client("?")
    t.error("bad_message").wait(400).audio(bytes=0).wait(1500).error("idle_timeout", True, True)
    t.ended(0, 0, rejected=1, complete=False, reason="idle_timeout").hang_up(4408)


@trace("kept-alive", "Keepalives carry a session through silence longer than the idle timeout, before any audio.")
def _(t):
    t.start(limits=SMALL)
    for seq in range(5):
        t.wait(950).keepalive(seq).ack(seq)
    t.keepalive().speech()
    heater(t).finish()


@trace("kept-alive-by-flushes", "Any well-formed control message is activity.")
def _(t):
    t.start(limits=SMALL)
    for n in range(4):
        t.wait(1500).flush(f"f{n}").wait(3).flushed(f"f{n}")
    t.finish(0, 0)


@trace("keepalive-after-end", "Keepalives after the sentinel are ignored.")
def _(t):
    t.start().speech().end_of_stream().keepalive(7).keepalive().wait(120)
    heater(t).ended().hang_up()


@trace("slow-drain", "A drain of 50 s with progress.")
def _(t):
    t.start().speech(30000).end_of_stream()
    for seq in range(1, 26):
        t.wait(1950).progress(seq, 1100 * seq)
        if seq % 10 == 0:
            t.control()
    t.final(0, "turn on the garage heater", 200, 28000).ended(30000).hang_up()


@trace("long-step", "One step of the recogniser takes 20 s; progress is told meanwhile.")
def _(t):
    t.start().speech().end_of_stream()
    for seq in range(1, 11):
        t.wait(1900).progress(seq, 500)
    t.control().wait(900).final(0, "turn on the garage heater", 200, 1800).ended().hang_up()


@trace("slow-ready", "A model is loaded for 25 s, with progress.")
def _(t):
    t.open().config()
    for seq in range(1, 14):
        t.wait(1900).progress(seq, 0)
    heater(t.server(ready()).speech()).finish()


@trace("slow-flush", "A flush takes 9 s, with progress.")
def _(t):
    t.start().speech(10000).flush("f")
    for seq in range(1, 5):
        t.wait(1900).progress(seq, 2000 * seq)
    t.wait(1500).final(0, "turn on the garage heater", 200, 9000).flushed("f").finish(10000)


@trace("after-the-end", "Audio, a second sentinel, a flush and a config after the sentinel, all read in time.")
def _(t):
    t.start().speech().end_of_stream().audio(times=2, pace_ms=0).end_of_stream().flush("late").config().audio(bytes=0, pace_ms=0)
    t.error("audio_after_end").error("duplicate_end_of_stream").error("invalid_state", id="late").error("invalid_state").wait(90)
    heater(t).ended(rejected=2).hang_up()


@trace("after-the-end-too-late", "What is read after session_ended is discarded without an answer.")
def _(t):
    heater(t.start().speech()).end_of_stream().audio(pace_ms=0).end_of_stream().flush("late").ended().hang_up()


@trace("refused-bad-value", "An impossible value is refused by its path.")
def _(t):
    t.open().config(endpointing={"silence_ms": 0}).wait(5)
    t.error("invalid_config", True, param="endpointing.silence_ms").hang_up(4400)
    t.control()


@trace("refused-top-level", "A sample rate at top level is refused.")
def _(t):
    t.open().config(sample_rate=16000).wait(5).error("invalid_config", True, param="sample_rate").hang_up(4400)
    t.control()


@trace("refused-format", "A format that is not served is refused.")
def _(t):
    t.open().config(audio={"encoding": "opus", "sample_rate_hz": 48000}).wait(5)
    t.error("unsupported_audio", True, param="audio.encoding").hang_up(4422)
    t.control()


@trace("refused-model", "A model that nobody has is refused.")
def _(t):
    t.open().config(model="no-such-model").wait(5).error("unknown_model", True, param="model").hang_up(4404)
    t.control()


@trace("refused-required", "A required option that is not served is refused.")
def _(t):
    t.open().config(keyterms=["heater"], required=["keyterms"]).wait(5)
    t.error("unsupported_option", True, param="keyterms").hang_up(4422)
    t.control()


@trace("ignored-options", "Options that are not served or not known are listed.")
def _(t):
    t.open().config(words=True, keyterms=["heater"], colour="red", endpointing={"silence_ms": 800}).wait(5)
    endpointing = {"mode": "vad", "silence_ms": 800, "max_segment_ms": 30000}
    t.server(ready({"endpointing": endpointing}, capabilities={"words": False}, ignored=["words", "keyterms", "colour"]))
    heater(t.speech()).finish()


@trace("other-format", "8,000 Hz mu-law, served as asked.")
def _(t):
    audio = {"encoding": "mulaw", "sample_rate_hz": 8000, "channels": 1}
    t.start({"audio": audio}, config={"audio": audio}, capabilities={"encodings": ["pcm_s16le", "mulaw"]})
    t.audio(bytes=800, times=20)
    heater(t).finish()


@trace("credentials", "No token, a wrong token, a wrong header, and the right token.")
def _(t):
    for conn, config in ((0, {}), (1, {"token": "wrong-token"}), (2, {"token": "wrong-token", "interim_results": 1})):
        t.on(conn).open().config(**config).wait(5).error("unauthenticated", True, message="no valid credentials").hang_up(4401)
    t.on(3).event(refused={"status": 401})
    heater(t.on(4).start({"token": "right-token"}).speech()).finish()


@trace("overload", "A server without a slot says so, before or after config.")
def _(t):
    t.event(refused={"status": 503, "retry_after": "3"})
    t.on(1).open().config().wait(5).error("overloaded", True, True, retry_after_ms=3000).hang_up(1013)
    t.control()


@trace("config-timeout", "No config comes.")
def _(t):
    t.open().wait(9990).error("config_timeout", True, True).hang_up(4408)
    t.control()


@trace("config-crosses-timeout", "config is sent just as the server gives up on it.")
def _(t):
    t.open().wait(9990).config().wait(10).error("config_timeout", True, True).hang_up(4408)
    t.control()


@trace("before-config", "Messages before config are refused, and the session still comes.")
def _(t):
    t.open().flush("f").error("invalid_state", id="f").keepalive(1).error("invalid_state").audio(times=2)
    t.error("invalid_state").client("x").error("bad_message").end_of_stream().error("invalid_state").config().wait(5)
    heater(t.server(ready()).speech()).finish(rejected=2)


GOOD.update(ODD)
