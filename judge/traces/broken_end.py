"""Sessions that break a requirement about flushes, the end, errors or the close."""

from builder import SMALL, heater, ready

END = {}


def trace(name, note):
    def keep(build):
        END[name] = (note, build)
        return build
    return keep


def draining(t, **changes):
    """A session with two seconds of speech, after the sentinel."""
    return heater(t.start(**changes).speech()).end_of_stream()


# Flush

@trace("FLU-1--flush-ends", "A flush is taken for the end.")
def _(t):
    t.start().speech()
    heater(t.flush("f")).flushed("f").ended().hang_up()


@trace("FLU-1--deaf-after-flush", "Audio after a flush is lost.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("f").speech(1000).finish(received=2000)


@trace("FLU-S1--flushed-before-final", "flushed comes before the final of the audio.")
def _(t):
    t.start().speech().flush("f").wait(5).flushed("f").wait(100).final(0, "turn on the garage heater", 200, 1800)
    t.speech(1000).finish(3000)


@trace("FLU-S2--stalled", "A flush is never answered.")
def _(t):
    t.start().speech().flush("f").gave_up(5600).control()


@trace("FLU-S2--twice", "A flush is answered twice.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("f").flushed("f").finish()


@trace("FLU-S2--out-of-order", "Flushes are answered out of order.")
def _(t):
    heater(t.start().speech()).flush("a").flush("b").wait(5).flushed("b").flushed("a").finish()


@trace("FLU-S2--nothing-to-flush", "A flush of nothing is an error.")
def _(t):
    heater(t.start().flush("f").wait(5).error("invalid_state", id="f").speech()).finish()


@trace("FLU-S3--final-again", "A flush brings the last final once more.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).final(1, "turn on the garage heater", 200, 1800).flushed("f").finish(finals=2)


@trace("FLU-S4--forgotten", "A flushed that is owed at the sentinel never comes.")
def _(t):
    t.start().speech().flush("f").end_of_stream().wait(50)
    heater(t).ended().hang_up()


@trace("FLU-S4--after-the-end", "A flushed that is owed at the sentinel comes after session_ended.")
def _(t):
    t.start().speech().flush("f").end_of_stream().wait(50)
    heater(t).ended().flushed("f").hang_up()


@trace("FLU-S5--unknown-id", "flushed comes for an id that no flush had.")
def _(t):
    heater(t.start().speech()).flushed("g").finish()


# End

@trace("END-S1--early-sentinel-refused", "A sentinel between config and ready is refused, and then the session hangs.")
def _(t):
    t.open().config().end_of_stream().wait(50).server(ready()).gave_up(15600 + 1000).control()


@trace("END-S2--never-ends", "The session never ends, while others are served.")
def _(t):
    draining(t).gave_up(16600).control()


@trace("END-S2--closes-1000-without-end", "The server closes with 1000 and does not say session_ended.")
def _(t):
    draining(t).wait(100).hang_up(1000)


@trace("END-S2--dropped-without-end", "The connection ends in the drain.")
def _(t):
    draining(t).wait(100).eof(how="reset")


@trace("END-S2--late", "session_ended comes 25 s after the sentinel, although it was told to take 15 s.")
def _(t):
    draining(t).wait(25000).ended().hang_up()


@trace("END-S2--last-final-lost", "The last final is lost when the client ends at once.")
def _(t):
    def session(conn, label, flush, silence_ms, finals):
        t.on(conn).open(label=label, speech="heater.wav").config().wait(5).server(ready()).speech(3000)
        t.final(0, "turn on the heater", 200, 1400)
        if flush:
            t.flush("f").wait(50).final(1, "and close the door", 1700, 2900).flushed("f")
        t.speech(silence_ms).end_of_stream().wait(50)
        if finals == 2 and not flush:
            t.final(1, "and close the door", 1700, 2900)
        t.ended(3000 + silence_ms, finals).hang_up()
    session(0, "ended", False, 0, 1)
    session(1, "flushed", True, 0, 2)
    session(2, "padded", False, 2000, 2)


@trace("FIN-S7--last-words-lost", "The last words of the last final are lost when the client ends at once.")
def _(t):
    def session(conn, label, flush, silence_ms, text):
        t.on(conn).open(label=label, speech="heater.wav").config().wait(5).server(ready()).speech(3000)
        if flush:
            t.flush("f").wait(50).final(0, text, 200, 2900).flushed("f")
        t.speech(silence_ms).end_of_stream().wait(50)
        if not flush:
            t.final(0, text, 200, 2900)
        t.ended(3000 + silence_ms).hang_up()
    session(0, "ended", False, 0, "turn on the garage")
    session(1, "flushed", True, 0, "turn on the garage heater now")
    session(2, "padded", False, 2000, "turn on the garage heater now")


@trace("FIN-S2--left-open", "A segment with partials gets no final.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).finish(finals=0)


@trace("END-S3--final-after-end", "A final comes after session_ended.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).end_of_stream().wait(50).ended(finals=0)
    t.final(0, "turn on the heater", 200, 1800).hang_up()


@trace("END-S3--second-end", "session_ended comes twice.")
def _(t):
    draining(t).wait(50).ended().ended().hang_up()


@trace("END-S4--unanswered", "Audio after the sentinel is passed over.")
def _(t):
    draining(t).audio(times=2).wait(1000).progress(1, 1500).wait(1000).ended(rejected=2).hang_up()


@trace("END-S4--accepted", "Audio after the sentinel is accepted.")
def _(t):
    draining(t).audio(times=2).error("audio_after_end").wait(100).ended(received=2200, rejected=0).hang_up()


@trace("END-S4--not-counted", "Audio after the sentinel is refused and not counted.")
def _(t):
    draining(t).audio(times=2).error("audio_after_end").wait(1500).progress(1, 1500).wait(1000).ended(rejected=0).hang_up()


@trace("END-S4--answered-twice", "Every frame after the sentinel is answered.")
def _(t):
    draining(t).audio(times=2).error("audio_after_end").error("audio_after_end").wait(100).ended(rejected=2).hang_up()


@trace("END-S4--fatal", "Audio after the sentinel ends the session.")
def _(t):
    draining(t).audio().error("audio_after_end", True)
    t.ended(rejected=1, complete=False, reason="audio_after_end").hang_up(4409)


@trace("END-S5--second-end", "A second sentinel is answered with a second session_ended.")
def _(t):
    # In the same millisecond: a trace that is played to a quick server must still meet its drain.
    draining(t).wait(-1).end_of_stream().wait(50).ended().ended().hang_up()


@trace("END-S5--unanswered", "A second sentinel is passed over.")
def _(t):
    draining(t).end_of_stream().wait(1500).progress(1, 1500).wait(1000).ended().hang_up()


@trace("END-S5--wrong-code", "A second sentinel is answered with another code.")
def _(t):
    draining(t).end_of_stream().wait(5).error("invalid_state").wait(1500).progress(1, 1500).wait(500).ended().hang_up()


@trace("END-S6--incomplete", "A session without audio is called incomplete.")
def _(t):
    t.start().finish(0, 0, complete=False)


@trace("END-S6--never-ends", "A session without audio never ends.")
def _(t):
    t.start().end_of_stream().gave_up(16600).control()


@trace("END-S7--waits-for-more", "The drain ends as soon as the client sends one more frame.")
def _(t):
    draining(t).wait(5000).control().wait(1000).keepalive().wait(8).ended().hang_up()


@trace("END-S8--complete-though-idle", "An idle session is called complete.")
def _(t):
    t.start(limits=SMALL).wait(3000).error("idle_timeout", True, True).ended(0, 0, reason="idle_timeout").hang_up(4408)


@trace("END-S8--complete-though-refused", "A session is called complete of which a frame was refused.")
def _(t):
    heater(t.start().audio(bytes=641).error("invalid_audio").speech()).finish(rejected=1)


@trace("END-S9--finals", "session_ended counts one final too many.")
def _(t):
    draining(t).wait(50).ended(finals=2).hang_up()


@trace("END-S9--received", "session_ended counts more audio than was sent.")
def _(t):
    draining(t).wait(50).ended(received=2001).hang_up()


@trace("END-S10--unasked", "session_ended with reason completed comes in the middle of the stream.")
def _(t):
    heater(t.start().speech()).wait(600).ended().hang_up()


@trace("END-S11--no-end-after-fatal", "A fatal error is followed by Close, without session_ended.")
def _(t):
    heater(t.start().speech()).error("internal", True, True).hang_up(1011)


@trace("END-S11--stream-closed", "The server closes in the middle of the stream.")
def _(t):
    heater(t.start().speech()).speech(500).hang_up(1011)


@trace("END-S11--wrong-reason", "session_ended gives another reason than the fatal error.")
def _(t):
    heater(t.start().speech()).error("internal", True, True).ended(complete=False, reason="going_away").hang_up(1001)


@trace("STA-S1--flushed-after-end", "A flush after the sentinel is answered as if it were legal.")
def _(t):
    draining(t).flush("late").wait(5).flushed("late").wait(50).ended().hang_up()


@trace("STA-S1--id-missing", "A flush after the sentinel is refused without its id.")
def _(t):
    draining(t).flush("late").wait(5).error("invalid_state").wait(50).ended().hang_up()


@trace("STA-S1--second-config", "A second config is passed over.")
def _(t):
    heater(t.start().config().speech()).finish()


# Errors

@trace("ERR-1--fatal-missing", "An error does not say whether it is fatal.")
def _(t):
    t.start().client("hello").wait(5).server(type="error", code="bad_message", message="no", retryable=False)
    heater(t.speech()).client("{").wait(5).error("bad_message").finish()


@trace("ERR-S1--no-error", "A session is ended by the server without an error.")
def _(t):
    heater(t.start().speech()).ended(complete=False, reason="going_away").hang_up(1001)


@trace("ERR-S2--wrong-code", "A refused config is followed by the wrong close code.")
def _(t):
    t.open().config(endpointing={"silence_ms": 0}).wait(5)
    t.error("invalid_config", True, param="endpointing.silence_ms").hang_up(1011)


@trace("ERR-S3--final-after-fatal", "A final comes after a fatal error.")
def _(t):
    t.start().speech().error("internal", True, True).final(0, "turn on the heater", 200, 1800)
    t.ended(finals=1, complete=False, reason="internal").hang_up(1011)


@trace("ERR-S3--no-close", "No Close comes after a refused config.")
def _(t):
    t.open().config(interim_results=1).wait(5).error("invalid_config", True, param="interim_results").gave_up(2600).control()


@trace("ERR-S4--closes-after-nonfatal", "A non-fatal error ends the session.")
def _(t):
    heater(t.start().speech()).client("hello").wait(5).error("bad_message").hang_up(1011)


# Close

@trace("CLO-1--completed-not-1000", "A completed session is closed with 1001.")
def _(t):
    draining(t).wait(50).ended().hang_up(1001)


@trace("CLO-1--1000-after-fatal", "A session that failed is closed with 1000.")
def _(t):
    heater(t.start().speech()).error("internal", True, True).ended(complete=False, reason="internal").hang_up(1000)


@trace("CLO-S1--dropped", "The connection is dropped after session_ended.")
def _(t):
    draining(t).wait(50).ended().eof()


@trace("CLO-S1--no-code", "The Close after session_ended has no code.")
def _(t):
    draining(t).wait(50).ended().close(None, by="server")


@trace("CLO-S2--waits-for-client", "The server waits for the client to close.")
def _(t):
    draining(t).wait(50).ended().gave_up(2600).control()


@trace("CLO-S2--late", "The server closes 6 s after session_ended.")
def _(t):
    draining(t).wait(50).ended().wait(6000).hang_up()


@trace("CLO-S3--other-code", "The client's Close is answered with another code.")
def _(t):
    heater(t.start().speech()).close(1000).close(1011, by="server")


@trace("CLO-S3--taken-for-the-end", "The client's Close is taken for the end of the stream.")
def _(t):
    heater(t.start().speech()).close(1000).wait(20).ended().close(1000, by="server")


@trace("CLO-S3--dropped", "The client's Close is answered by dropping the connection.")
def _(t):
    heater(t.start().speech()).close(1000).wait(20).eof()


@trace("CLO-S5--other-code", "The close code is not the one of the reason.")
def _(t):
    t.start(limits=SMALL).wait(3000).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4400)
