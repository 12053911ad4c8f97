"""Sessions that break one requirement each. The name of a trace is the requirement, two dashes, and what happens."""

from builder import CONFIG, LIMITS, SMALL, heater, ready
from broken_end import END
from broken_stuck import STUCK
from broken_provoked import PROVOKED

BROKEN = {}


def trace(name, note):
    def keep(build):
        BROKEN[name] = (note, build)
        return build
    return keep


def spoken(t, config=None, **changes):
    """A session with two seconds of speech and its final, before the sentinel."""
    t.start(config, **changes).speech(2000)
    return heater(t)


# Connection and version

@trace("CON-1--offered-not-selected", "The server serves version 1 but selects no subprotocol.")
def _(t):
    heater(t.open(selected=None).config().wait(5).server(ready()).speech()).finish()


@trace("CON-S1--strange-protocol-accepted", "A client that offers only another protocol is let in.")
def _(t):
    heater(t.open(offered=["strange.v9"], selected=None).config().wait(5).server(ready()).speech()).finish()


@trace("CON-1--offer-refused", "An upgrade that offers lastword.v1 is refused; one that offers nothing is served.")
def _(t):
    t.event(refused={"status": 426, "offered": ["lastword.v1"], "authorization": "none"})
    heater(t.on(1).open(offered=[], selected=None).config().wait(5).server(ready()).speech()).finish()


@trace("CON-S1--wrong-status", "A client that offers only another protocol is refused with 404.")
def _(t):
    t.event(refused={"status": 404, "offered": ["strange.v9"], "authorization": "none"})
    heater(t.on(1).open().config().wait(5).server(ready()).speech()).finish()


@trace("CON-S2--refused", "A client that offers no protocol is refused.")
def _(t):
    t.event(refused={"status": 400, "offered": [], "authorization": "none"})
    heater(t.on(1).open().config().wait(5).server(ready()).speech()).finish()


@trace("SEC-S1--wrong-header-let-in", "A wrong header is let in where a wrong token is refused.")
def _(t):
    t.open(authorization="wrong").config().wait(5).error("unauthenticated", True).hang_up(4401)


@trace("SEC-S1--wrong-header-wrong-status", "A wrong header is refused with 404.")
def _(t):
    t.event(refused={"status": 404, "offered": ["lastword.v1"], "authorization": "wrong"})
    heater(t.on(1).open(authorization="good").config().wait(5).server(ready()).speech()).finish()


@trace("CON-S2--selected-unoffered", "The server selects a protocol that was not offered.")
def _(t):
    heater(t.open(offered=[]).config().wait(5).server(ready()).speech()).finish()


@trace("CON-S3--waits-for-ever", "No config comes and the server does not mind.")
def _(t):
    t.open().gave_up(11600).control()


@trace("CON-S3--closes-without-error", "No config comes; the server closes with the right code but says no error.")
def _(t):
    t.open().wait(10000).hang_up(4408)


@trace("CON-S3--too-soon", "The server gives a client only a third of a second for its config.")
def _(t):
    t.open().wait(330).error("config_timeout", True, True).hang_up(4408)


@trace("VER-1--other-protocol", "ready says that it speaks another version.")
def _(t):
    spoken(t, protocol="lastword.v2").finish()


@trace("VER-3--extension-refused", "A config with an x_ member is refused.")
def _(t):
    t.open().config(x_trace="abc").wait(5).error("invalid_config", True, param="x_trace").hang_up(4400)


# Configuration

@trace("CFG-S1--no-answer", "config is never answered, while other sessions are served.")
def _(t):
    t.open().config().gave_up(10600).control()


@trace("CFG-S1--closed-without-answer", "The server closes instead of answering config.")
def _(t):
    t.open().config().wait(20).hang_up(1000)


@trace("CFG-S1--late", "ready comes 14 s after config, without progress.")
def _(t):
    heater(t.open().config().wait(14000).server(ready()).speech()).finish()


@trace("CFG-S2--ready-twice", "ready comes twice.")
def _(t):
    heater(t.start().server(ready()).speech()).finish()


@trace("CFG-S2--partial-before-ready", "A partial comes before ready.")
def _(t):
    t.open().config().partial(0, 1, "hello", 0, 0).server(ready()).speech()
    heater(t).finish()


@trace("CFG-S3--endpointing-missing", "ready.config has no endpointing.")
def _(t):
    config = {name: value for name, value in CONFIG.items() if name != "endpointing"}
    message = {**ready(), "config": config}
    heater(t.open().config().wait(5).server(message).speech()).finish()


@trace("CFG-S4--default-changed", "An option that config left out has another value than its default.")
def _(t):
    t.start({}, config={"interim_results": False}).speech().final(0, "turn on the garage heater", 200, 1800).finish()


@trace("CFG-S5--clamped", "An impossible value is clamped.")
def _(t):
    t.open().config(endpointing={"silence_ms": 0}).wait(5)
    heater(t.server(ready({"endpointing": {"mode": "vad", "silence_ms": 1, "max_segment_ms": 30000}})).speech()).finish()


@trace("CFG-S5--param-missing", "An impossible value is refused without saying which.")
def _(t):
    t.open().config(interim_results="yes").wait(5).error("invalid_config", True).hang_up(4400)


@trace("CFG-S6--format-replaced", "44,100 Hz is asked for and 16,000 Hz is served.")
def _(t):
    heater(t.open().config(audio={"sample_rate_hz": 44100}).wait(5).server(ready()).speech()).finish()


@trace("CFG-S6--wrong-code", "A format that is not served is refused as unknown_model.")
def _(t):
    t.open().config(audio={"channels": 2}).wait(5).error("invalid_config", True, param="audio.channels").hang_up(4400)


@trace("CFG-S7--unknown-model-accepted", "A model that nobody has is accepted.")
def _(t):
    heater(t.open().config(model="no-such-model").wait(5).server(ready()).speech()).finish()


@trace("CFG-S8--top-level-ignored", "A sample rate at top level is ignored.")
def _(t):
    heater(t.open().config(sample_rate=48000).wait(5).server(ready(ignored=["sample_rate"])).speech()).finish()


@trace("CFG-S9--required-ignored", "A required option is listed in ignored.")
def _(t):
    t.open().config(keyterms=["heater"], required=["keyterms"]).wait(5).server(ready(ignored=["keyterms"])).speech()
    heater(t).finish()


@trace("CFG-S10--not-listed", "An option that the server does not serve is not listed in ignored.")
def _(t):
    heater(t.open().config(words=True).wait(5).server(ready(capabilities={"words": False})).speech()).finish()


@trace("CFG-S10--refused", "An option that is not required fails the session.")
def _(t):
    t.open().config(keyterms=["heater"]).wait(5).error("unsupported_option", True, param="keyterms").hang_up(4422)


@trace("CFG-S12--other-value", "Endpointing has another value than the one asked for.")
def _(t):
    heater(t.start({"endpointing": {"silence_ms": 800}}).speech()).finish()


@trace("STA-S2--flush-before-config-unanswered", "A flush before config gets no answer.")
def _(t):
    t.open().flush("f").wait(50).config().wait(5).server(ready()).speech()
    heater(t).finish()


@trace("STA-S2--audio-before-config-counted", "Audio before config is counted as accepted.")
def _(t):
    t.open().audio(times=2).config().wait(5).server(ready()).speech()
    heater(t).finish(received=2200, rejected=2)


@trace("STA-S3--early-flush-refused", "A flush between config and ready is refused for being early.")
def _(t):
    t.open().config().flush("f").wait(50).server(ready()).error("invalid_state", id="f").speech()
    heater(t).finish()


@trace("STA-S3--early-audio-dropped", "Audio between config and ready is dropped.")
def _(t):
    t.open().config().audio(times=3).server(ready()).speech()
    heater(t).finish(received=2000)


@trace("UPD-S1--unanswered", "An update is never answered.")
def _(t):
    heater(t.start().client(type="update", id="u", language="de").speech()).finish()


# Audio

@trace("AUD-S1--default-refused", "The one format that everybody must serve is refused.")
def _(t):
    t.open().config(audio={"encoding": "pcm_s16le", "sample_rate_hz": 16000, "channels": 1}).wait(5)
    t.error("unsupported_audio", True, param="audio").hang_up(4422)


@trace("AUD-S2--unanswered", "A frame of an odd number of bytes is dropped without a word.")
def _(t):
    heater(t.start().audio(bytes=641).speech()).finish(rejected=1, complete=False)


@trace("AUD-S2--phase-shifted", "A frame of an odd number of bytes is accepted but for its last byte.")
def _(t):
    t.start().audio(bytes=3201).error("invalid_audio").speech()
    heater(t).finish(received=2100, rejected=0)


@trace("AUD-S2--answered-twice", "Each broken frame is answered, not only the first.")
def _(t):
    t.start().audio(bytes=641).error("invalid_audio").audio(bytes=643).error("invalid_audio").speech()
    heater(t).finish(rejected=2, complete=False)


@trace("AUD-S3--empty-ends", "An empty binary message is taken for the end.")
def _(t):
    heater(t.start().speech()).audio(bytes=0).wait(100).ended().hang_up()


@trace("AUD-S3--empty-counted", "Empty binary messages are counted as rejected.")
def _(t):
    heater(t.start().audio(bytes=0, times=2).speech()).finish(rejected=2)


@trace("AUD-S4--short-frames-dropped", "Frames of one sample are not accepted.")
def _(t):
    t.start().audio(bytes=2, times=320, pace_ms=0).speech()
    heater(t).finish(received=2000)


@trace("AUD-S5--content-ends", "A frame whose bytes look like a command ends the stream.")
def _(t):
    heater(t.start().speech()).audio(bytes=640, head="7b227479").wait(100).ended(received=2020).hang_up()


@trace("AUD-S5--a-word-ends", "A frame that holds what ends the stream in another protocol ends it here.")
def _(t):
    heater(t.start().speech()).audio(bytes=640, head="454e445f").wait(100).ended(received=2020).hang_up()


@trace("BP-S1--fails-when-full", "The server fails when its buffer is full, where plain sessions work.")
def _(t):
    t.control().start(limits={**LIMITS, "max_buffered_audio_ms": 1000}).audio(times=40, pace_ms=1)
    t.error("internal", True, True).ended(4000, 0, 200, complete=False, reason="internal").hang_up(1011)


@trace("BP-S1--reads-no-further", "A server whose buffer was full never reads again, where plain sessions work.")
def _(t):
    t.control().start(limits={**LIMITS, "max_buffered_audio_ms": 1000}).audio(times=40, pace_ms=1).end_of_stream()
    t.gave_up(16600).control()


@trace("BP-S1--flood-ends", "A client that sends faster than the server works is cut off.")
def _(t):
    t.start(limits={**LIMITS, "max_buffered_audio_ms": 1000}).audio(times=40, pace_ms=1)
    t.error("overloaded", True, True, retry_after_ms=1000).ended(4000, 0, 200, complete=False, reason="overloaded").hang_up(1013)


@trace("BP-S2--dropped-in-silence", "Half of the audio is never processed, and nothing is said.")
def _(t):
    heater(t.start().speech()).finish(received=2000, processed=1000, complete=False)


# Results and time

@trace("FIN-S1--partial-after-final", "A partial bears the number of a final segment.")
def _(t):
    spoken(t).partial(0, 3, "turn on", 200, 900).finish()


@trace("FIN-S1--second-final", "A segment gets two finals.")
def _(t):
    spoken(t).final(0, "turn off the light", 1800, 2000).finish(finals=2)


@trace("FIN-S3--cumulative", "Each final repeats the ones before it.")
def _(t):
    t.start().speech(4000).final(0, "turn on the heater", 200, 1500)
    t.final(1, "turn on the heater and close the door", 200, 3500).finish(4000, 2)


@trace("FIN-S4--gap", "A segment number is left out.")
def _(t):
    t.start().speech(4000).final(0, "turn on the heater", 200, 1500).final(2, "close the door", 1800, 3500).finish(4000, 2)


@trace("FIN-S4--revision", "The revision does not rise.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 800).partial(0, 1, "turn on the", 200, 1000)
    t.final(0, "turn on the garage heater", 200, 1800).finish()


@trace("FIN-S5--outer-space", "A final begins with a space.")
def _(t):
    t.start().speech().final(0, " turn on the heater", 200, 1800).finish()


@trace("FIN-S5--empty-partial", "A partial is empty.")
def _(t):
    t.start().speech().partial(0, 1, "", 200, 400).final(0, "turn on the heater", 200, 1800).finish()


@trace("FIN-S6--partials-unwanted", "Partials come though interim_results is false.")
def _(t):
    t.start({"interim_results": False}, config={"interim_results": False}).speech()
    t.partial(0, 1, "turn on", 200, 800).final(0, "turn on the heater", 200, 1800).finish()


@trace("FIN-S8--log-probability", "confidence is a log probability.")
def _(t):
    t.start().speech().final(0, "turn on the heater", 200, 1800, confidence=-0.31).finish()


@trace("TIM-1--fraction", "A time is not an integer.")
def _(t):
    t.start().speech().final(0, "turn on the heater", 200.5, 1800).finish()


@trace("TIM-S1--beyond-the-audio", "A final ends where no audio has been sent yet.")
def _(t):
    t.start().speech().final(0, "turn on the heater", 200, 2600).finish()


@trace("TIM-S1--backwards", "A final ends before it starts.")
def _(t):
    t.start().speech().final(0, "turn on the heater", 1800, 200).finish()


@trace("TIM-S2--falling", "Finals do not come in the order of their times.")
def _(t):
    t.start().speech(4000).final(0, "close the door", 2200, 3500).final(1, "turn on the heater", 200, 1500).finish(4000, 2)


@trace("TIM-S3--word-outside", "A word lies outside its final.")
def _(t):
    words = [{"text": "turn", "start_ms": 200, "end_ms": 500}, {"text": "on", "start_ms": 500, "end_ms": 1900}]
    config = {"words": True}
    t.start(config, config=config).speech().final(0, "turn on", 200, 1800, words=words).finish()


@trace("VAD-S1--not-alternating", "speech_ended comes without speech_started.")
def _(t):
    config = {"vad_events": True}
    t.start(config, config=config).speech().server(type="speech_ended", end_ms=1800, channel=0)
    heater(t).finish()


@trace("VAD-S1--final-first", "The final of a speech comes before its end.")
def _(t):
    config = {"vad_events": True}
    t.start(config, config=config).server(type="speech_started", start_ms=0, channel=0).speech()
    heater(t).server(type="speech_ended", end_ms=1800, channel=0).finish()


@trace("VAD-S1--left-open", "The session ends in the middle of a speech.")
def _(t):
    config = {"vad_events": True}
    heater(t.start(config, config=config).speech().server(type="speech_started", start_ms=1900, channel=0)).finish()


@trace("VAD-S2--unwanted", "Speech events come though nobody asked.")
def _(t):
    t.start().server(type="speech_started", start_ms=100, channel=0).speech()
    heater(t).finish()


# Keepalive

@trace("KA-S1--interval-too-long", "The keepalive interval is more than a third of the idle timeout.")
def _(t):
    spoken(t, limits={**LIMITS, "keepalive_interval_ms": 15000}).finish()


@trace("KA-S2--never-idle", "An idle session is never ended.")
def _(t):
    heater(t.start(limits=SMALL).speech()).gave_up(3000 + 4000 + 800).control()


@trace("KA-S2--closed-without-a-word", "An idle session is closed without error and session_ended.")
def _(t):
    t.start(limits=SMALL).wait(3000).hang_up(4408)


@trace("KA-S2--too-soon", "A session is ended as idle after half of the time.")
def _(t):
    t.start(limits=SMALL).wait(1500).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("KA-S3--keepalives-in-vain", "A session is ended as idle in spite of its keepalives.")
def _(t):
    t.start(limits=SMALL)
    for _ in range(3):
        t.wait(900).keepalive()
    t.wait(900).error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("KA-S5--acknowledged-after-end", "A keepalive after the sentinel is acknowledged.")
def _(t):
    heater(t.start().speech()).end_of_stream().keepalive(9).wait(20).ack(9).wait(60).ended().hang_up()


@trace("KA-S5--error-after-end", "A keepalive after the sentinel is answered by an error.")
def _(t):
    heater(t.start().speech()).end_of_stream().keepalive().wait(20).error("invalid_state").wait(60).ended().hang_up()


@trace("KA-S6--unanswered", "A keepalive with seq is not acknowledged.")
def _(t):
    heater(t.start().keepalive(1).speech()).finish()


@trace("KA-S6--out-of-order", "Keepalives are acknowledged out of order.")
def _(t):
    heater(t.start().keepalive(1).keepalive(2).wait(5).ack(2).ack(1).speech()).finish()


@trace("KA-S6--never", "A keepalive is never acknowledged, and the session hangs.")
def _(t):
    t.start(limits=SMALL).keepalive(1).gave_up(2100).control()


@trace("KA-S7--empty-frames-keep-alive", "Empty binary messages keep an idle session alive.")
def _(t):
    t.start(limits=SMALL).audio(bytes=0, times=8, pace_ms=900).gave_up(700).control()


@trace("KA-S7--flush-is-no-activity", "A session is ended as idle a second after a flush.")
def _(t):
    t.start(limits=SMALL).wait(2000).flush("f").wait(5).flushed("f").wait(1000).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


# Progress

@trace("PRG-S1--silent-drain", "The server drains for 6 s without a word, and could have spoken.")
def _(t):
    t.start().speech().end_of_stream().wait(3000).control().wait(3000)
    t.final(0, "turn on the garage heater", 200, 1800).ended().hang_up()


@trace("PRG-S2--jump", "Progress is not numbered one by one.")
def _(t):
    t.start().speech().end_of_stream().wait(1500).progress(1, 900).wait(1500).progress(3, 1800).wait(500)
    t.final(0, "turn on the garage heater", 200, 1800).ended().hang_up()


@trace("PRG-S3--falls", "audio_processed_ms falls.")
def _(t):
    t.start().speech().end_of_stream().wait(1500).progress(1, 1800).wait(1500).progress(2, 900).wait(500)
    t.final(0, "turn on the garage heater", 200, 1800).ended().hang_up()


@trace("PRG-S3--ahead", "audio_processed_ms is ahead of the audio.")
def _(t):
    t.start().speech().end_of_stream().wait(1500).progress(1, 2600).wait(500)
    t.final(0, "turn on the garage heater", 200, 1800).ended().hang_up()


@trace("PRG-S4--runs-in-place", "Progress is told for ever, and nothing moves.")
def _(t):
    t.start().speech().end_of_stream()
    for seq in range(1, 20):
        t.wait(1900).progress(seq, 1000)
    t.gave_up(500).control()


# Messages

@trace("MSG-1--binary", "The server sends a binary message.")
def _(t):
    spoken(t).event("server", audio={"bytes": 4, "head": "00010203"}).finish()


@trace("MSG-2--key-twice", "A message has a key twice.")
def _(t):
    spoken(t).server('{"type":"progress","seq":1,"seq":1,"audio_processed_ms":0}').finish()


@trace("MSG-2--array", "A message is no object of its schema.")
def _(t):
    spoken(t).server('{"type":"warning","code":"max_duration_soon"}').finish()


@trace("MSG-3--odd-form-refused", "A message with spaces, another order and escapes is not understood.")
def _(t):
    spoken(t).client('{ "id" : "f\\u0031", "type" : "flush" }').wait(5).error("bad_message").flushed("f1").finish()


@trace("MSG-3--sentinel-of-another-form", "A sentinel with a space and an escape is taken no notice of.")
def _(t):
    t.control()
    heater(t.start().speech()).client('{"type" : "end\\u005fof_stream"}').wait(3000)
    t.error("idle_timeout", True, True).ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("MSG-S4--unanswered", "A text that is no JSON is not answered.")
def _(t):
    heater(t.start().client("hello").speech()).finish()


@trace("MSG-S4--wrong-code", "A text that is no JSON is answered with another code.")
def _(t):
    heater(t.start().client("hello").wait(5).error("invalid_state").speech()).finish()


@trace("MSG-S5--unknown-type-ends", "A message of an unknown type ends the session.")
def _(t):
    t.start().client(type="hello").wait(5).error("unknown_type", True)
    t.ended(0, 0, complete=False, reason="unknown_type").hang_up(4400)


@trace("MSG-S6--param-missing", "A flush without id is refused without saying what is missing.")
def _(t):
    heater(t.start().client(type="flush").wait(5).error("bad_message").speech()).finish()


@trace("MSG-S7--tenth-not-fatal", "The tenth bad message is taken like the ninth.")
def _(t):
    t.start()
    for _ in range(10):
        t.client("{").wait(5).error("bad_message")
    heater(t.speech()).finish()


# Security

@trace("SEC-S1--two-messages", "A missing and a wrong token get different messages.")
def _(t):
    t.open().config().wait(5).error("unauthenticated", True, message="no token").hang_up(4401)
    t.on(1).open().config(token="wrong-token").wait(5).error("unauthenticated", True, message="bad token").hang_up(4401)


@trace("SEC-S1--config-checked-first", "A wrong token is not the first thing that is checked.")
def _(t):
    t.open().config().wait(5).error("unauthenticated", True).hang_up(4401)
    t.on(1).open().config(token="wrong-token", interim_results=1).wait(5)
    t.error("invalid_config", True, param="interim_results").hang_up(4400)


@trace("SEC-S2--token-repeated", "A message repeats the token.")
def _(t):
    t.open().config(token="sesame-4711").wait(5)
    t.error("unauthenticated", True, message="token sesame-4711 is not known").hang_up(4401)


@trace("SEC-S3--dies-of-depth", "A deeply nested message kills the session.")
def _(t):
    t.start().client('{"type":"flush","id":' + "[" * 200 + "]" * 200 + "}").wait(5).eof(how="reset")


@trace("SEC-S4--stack-trace", "An error message holds a stack trace.")
def _(t):
    trace = 'Traceback (most recent call last): File "/srv/app/server.py", line 7, in handle'
    heater(t.start().client("hello").wait(5).error("bad_message", message=trace).speech()).finish()


# Limits

@trace("LIM-S1--below-minimum", "A limit is below its minimum.")
def _(t):
    spoken(t, limits={**LIMITS, "max_text_bytes": 1000}).finish()


@trace("LIM-S1--missing", "A limit is missing.")
def _(t):
    limits = {name: value for name, value in LIMITS.items() if name != "close_ms"}
    spoken(t, limits=limits).finish()


@trace("LIM-S2--oversize-accepted", "A frame above the limit is accepted.")
def _(t):
    heater(t.start().audio(bytes=64002).speech()).finish(received=4000)


@trace("LIM-S2--legal-frame-refused", "A frame of exactly the limit is refused.")
def _(t):
    t.start().audio(bytes=64000).error("message_too_large", True)
    t.ended(0, 0, complete=False, reason="message_too_large").hang_up(1009)


@trace("LIM-S3--oversize-unanswered", "A text above the limit is passed over.")
def _(t):
    heater(t.start(limits={**LIMITS, "max_text_bytes": 4096}).client(type="flush", id="f", x_pad="x" * 4096).speech()).finish()


# Judged where it shows, and SHOULDs

@trace("KA-S4--idle-while-draining", "A drain longer than the idle timeout is ended as idle.")
def _(t):
    t.start(limits=SMALL).speech().end_of_stream()
    for seq in range(1, 3):
        t.wait(1500).progress(seq, 600 * seq)
    heater(t).error("idle_timeout", True, True).ended(processed=1200, complete=False, reason="idle_timeout").hang_up(4408)


@trace("KA-S4--idle-while-flushing", "A session is ended as idle while the server works on a flush.")
def _(t):
    t.start(limits=SMALL).speech().flush("f").wait(1500).progress(1, 600).wait(1500).progress(2, 1200).wait(20)
    heater(t).error("idle_timeout", True, True).ended(processed=2000, complete=False, reason="idle_timeout").hang_up(4408)


@trace("FLU-S2--forgotten", "A flush is forgotten, and the session is ended as idle.")
def _(t):
    heater(t.start(limits=SMALL).speech()).flush("f").wait(3000).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("CON-S4--no-retry-after", "A server without a slot does not say when to come again.")
def _(t):
    t.event(refused={"status": 503})


@trace("ERR-S5--no-retry-after", "rate_limited does not say when to come again.")
def _(t):
    t.open().config().wait(5).error("rate_limited", True, True).hang_up(4429)


@trace("CFG-S11--unknown-option-not-listed", "An unknown option is ignored and not listed.")
def _(t):
    t.start({"colour": "red"}).finish(0, 0)


@trace("AUD-S6--container-not-noticed", "A WAV header is transcribed in silence.")
def _(t):
    heater(t.start().audio(head="52494646").speech()).finish(2100)


@trace("END-S4--transcribed", "Audio after the sentinel is transcribed.")
def _(t):
    heater(t.start().speech()).end_of_stream().speech(1000).error("audio_after_end").wait(50)
    t.final(1, "and close the door", 2050, 2900).ended(3000, 2).hang_up()


BROKEN.update(END)
BROKEN.update(STUCK)
BROKEN.update(PROVOKED)
