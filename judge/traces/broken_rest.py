"""Sessions that break a requirement about keepalives, progress, messages, secrets or limits."""

from builder import LIMITS, SMALL, heater, ready, spoken

REST = {}


def trace(name, note):
    def keep(build):
        REST[name] = (note, build)
        return build
    return keep


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


@trace("CON-S4--waits-in-silence", "Sessions are told nothing until others end.")
def _(t):
    for conn in (0, 1):
        t.on(conn).start()
    for conn in (2, 3):
        t.on(conn).open().config()
    t.wait(6000)
    for served, waiting in ((0, 2), (1, 3)):
        t.on(served).keepalive(1).wait(5).ack(1).wait(500).finish(0, 0)
        t.on(waiting).wait(5).server(ready()).wait(50)
    for conn in (2, 3):
        t.on(conn).finish(0, 0)


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
