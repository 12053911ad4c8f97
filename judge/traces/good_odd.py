"""Sessions without a fault in which the client misbehaves, or things go wrong or cross."""

from builder import LIMITS, SMALL, heater, probes, ready

ODD = {}


def trace(name, note):
    def keep(build):
        ODD[name] = (note, build)
        return build
    return keep


@trace("odd-audio", "Empty, broken, tiny, large and command-like frames.")
def _(t):
    t.start().audio(bytes=0).audio(bytes=641).error("invalid_audio").audio(bytes=1).audio(bytes=2, times=16, pace_ms=0)
    t.audio(bytes=64000).audio(bytes=640, head="7b227479").speech()
    heater(t, 2100).finish(received=4021, rejected=2, complete=False)


@trace("wav-header", "A container at the start of raw audio is pointed out.")
def _(t):
    t.start().audio(head="52494646").server(type="warning", code="container_in_raw_audio", message="this looks like a WAV file")
    heater(t.speech()).finish(2100)


@trace("odd-messages", "Bad, unknown and misplaced messages; the session goes on.")
def _(t):
    t.start().client("{").error("bad_message").client(type="hello").error("unknown_type").client(type="flush", id=7)
    t.error("bad_message", param="id").config().error("invalid_state").client("[" * 40).error("bad_message")
    heater(t.speech()).finish()


@trace("odd-form", "Spaces, order, escapes, unknown members and extensions make no difference.")
def _(t):
    t.open().client('{ "x_trace": {"a": 1},\n "type": "con\\u0066ig", "language": null }').wait(5).server(ready()).speech()
    heater(t).client('{"id":"f", "type":"flush", "x_why": 1}').wait(5).flushed("f").finish()


@trace("tenth-bad-message", "The tenth bad message ends the session; what follows is discarded.")
def _(t):
    t.start().speech()
    for _ in range(9):
        t.client("{").error("bad_message")
    t.client("{").client("{").keepalive(1).wait(5)
    heater(t).error("bad_message", True).ended(complete=False, reason="bad_message").hang_up(4400)


@trace("update", "An update that is served, and one where updates are not.")
def _(t):
    effective = ready()["config"]
    t.start(capabilities={"update": True}).client(type="update", id="u", endpointing={"silence_ms": 300}).wait(5)
    endpointing = {"mode": "vad", "silence_ms": 300, "max_segment_ms": 30000}
    t.server(type="updated", id="u", config={**effective, "endpointing": endpointing}).finish(0, 0)
    t.on(1).start().client(type="update", id="v", language="de").wait(5).error("unsupported_option", id="v").finish(0, 0)


@trace("oversize-by-library", "A frame above the limit makes the WebSocket library close.")
def _(t):
    heater(t.start().speech()).audio(bytes=64002).close(1009, by="server")


@trace("oversize-by-session", "A frame above the limit is refused by the session layer.")
def _(t):
    heater(t.start().speech()).audio(bytes=64002).error("message_too_large", True)
    t.ended(complete=False, reason="message_too_large").hang_up(1009)


@trace("oversize-text", "A text above the limit is a bad message, or ends the session.")
def _(t):
    limits = {**LIMITS, "max_text_bytes": 4096}
    t.start(limits=limits).client(type="flush", id="f", x_pad="x" * 4096).wait(5).error("bad_message").finish(0, 0)
    t.on(1).start(limits=limits).client("x" * 5000).wait(5).error("message_too_large", True)
    t.ended(0, 0, complete=False, reason="message_too_large").hang_up(1009)
    t.on(2).start(limits=limits).client("x" * 5000).wait(5).close(1009, by="server")


@trace("flood", "40 s of audio at once: the server reads when it can, and loses nothing.")
def _(t):
    t.start(limits={**LIMITS, "max_buffered_audio_ms": 1000}).audio(times=400, pace_ms=0).end_of_stream()
    for seq in range(1, 11):
        t.wait(1000).progress(seq, 4000 * seq)
    t.final(0, "turn on the garage heater", 200, 39000).ended(40000).hang_up()


@trace("dropped-and-said", "Audio is lost to a fault of the server, and it says so.")
def _(t):
    t.start().speech().server(type="warning", code="audio_dropped", message="500 ms of audio were lost")
    heater(t).finish(2000, processed=1500, complete=False)


@trace("internal", "The recogniser fails.")
def _(t):
    heater(t.start().speech()).error("internal", True, True).ended(complete=False, reason="internal").hang_up(1011)


@trace("internal-while-configuring", "The recogniser does not start.")
def _(t):
    t.open().config().wait(300).error("internal", True, True).hang_up(1011)


@trace("going-away", "The server shuts down.")
def _(t):
    t.start().speech().server(type="warning", code="going_away", message="shutting down")
    heater(t).error("going_away", True, True).ended(complete=False, reason="going_away").hang_up(1001)


@trace("max-duration", "The session reaches its greatest length.")
def _(t):
    t.start().speech().server(type="warning", code="max_duration_soon", message="10 s left")
    heater(t).error("max_duration", True, True).ended(complete=False, reason="max_duration").hang_up(4410)


@trace("strange-fatal-code", "A fatal error of a code that nobody knows: goes by its bits.")
def _(t):
    t.start().error("moon_phase", True).ended(0, 0, complete=False, reason="moon_phase").hang_up(4499)


@trace("from-a-later-version", "Unknown types, members and codes from the server.")
def _(t):
    t.start(x_node="eu-1").server(type="mood", value="good").speech().server(type="x_stats", cpu=3)
    t.server({"type": "final", "segment_id": 0, "text": "turn on the heater", "start_ms": 200, "end_ms": 1800, "channel": 0,
              "confidence": None, "speaker": None, "x_score": 3})
    t.server(type="warning", code="strange", message="nothing to worry about").error("strange_too").finish()


@trace("idle-crosses-sentinel", "The idle timer fires just as the sentinel is under way.")
def _(t):
    t.start(limits=SMALL).wait(2990).end_of_stream().wait(5).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("idle-crosses-sentinel-on-a-slow-line", "`ready` was long under way, and the idle timer, which ran meanwhile, fires as the sentinel is.")
def _(t):
    t.open().config().wait(550).server(ready(limits=SMALL)).wait(2300).end_of_stream().wait(700)
    t.error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("idle-crosses-keepalive", "The idle timer fires just as a keepalive is under way.")
def _(t):
    t.start(limits=SMALL).wait(2995).keepalive().wait(5).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("fatal-crosses-everything", "The server fails while the client flushes, keeps alive and ends.")
def _(t):
    t.start().speech().client("{").keepalive(1).flush("f").end_of_stream().wait(1)
    heater(t).error("internal", True, True).ended(complete=False, reason="internal").hang_up(1011)


@trace("compare", "The same speech ended at once, flushed first and padded: a word is heard differently, none is lost.")
def _(t):
    def session(conn, label, flush, silence_ms, text):
        t.on(conn).open(label=label, speech="heater.wav").config().wait(5).server(ready()).speech(3000)
        if flush:
            t.flush("f").wait(50).final(0, text, 200, 2900).flushed("f")
        t.speech(silence_ms).end_of_stream().wait(50)
        if not flush:
            t.final(0, text, 200, 2900)
        t.ended(3000 + silence_ms).hang_up()
    session(0, "ended", False, 0, "turn on the garage eater")
    session(1, "flushed", True, 0, "Turn on the garage heater.")
    session(2, "padded", False, 2000, "turn on the garage heat her")


@trace("gave-up-without-control", "The harness gave up, but nothing shows that the server could have answered.")
def _(t):
    t.start().speech().end_of_stream().gave_up(20000)


@trace("gave-up-too-soon", "The harness gave up after a second.")
def _(t):
    t.start().speech().end_of_stream().gave_up(1000).control()


@trace("answered-after-all", "The harness gave up, and then the answer came, in time.")
def _(t):
    t.start().speech().end_of_stream().wait(1900).progress(1, 500).gave_up(4100).wait(10).final(0, "turn on", 200, 1800).ended()
    t.hang_up()


@trace("slow-machine", "On a machine measured to be three times slower, three times the bound is in time.")
def _(t):
    t.lines[0]["time_scale_percent"] = 300
    t.start().speech().end_of_stream().wait(5000).control(took_ms=900).wait(5000).progress(1, 900).wait(11000)
    heater(t).ended().wait(4000).hang_up()


@trace("library-close", "Bytes below the level of messages make the WebSocket library close.")
def _(t):
    heater(t.start().speech()).close(1007, by="server")


@trace("hostile-then-closed", "Garbage is answered by a close of the library.")
def _(t):
    t.start().client("\u0000\u0001").close(1002, by="server")


@trace("second-flush-id", "The same id twice: each flush has its answer.")
def _(t):
    heater(t.start().speech()).flush("f").flush("f").wait(5).flushed("f").flushed("f").finish()


@trace("never-connected", "There is nobody there.")
def _(t):
    t.event(connect_failed={"error": "connection refused"})


@trace("nothing-more", "The trace stops in the middle of a session.")
def _(t):
    heater(t.start().speech()).keepalive(3).flush("f")


@trace("constant-hangover", "The end always takes 800 ms, whatever the client sends meanwhile: slow, and no timer that hides a wait.")
def _(t):
    heater(t.start().speech()).end_of_stream().wait(800).ended().hang_up()

    def replay(t, round):
        t.open().config().wait(5).server(ready()).audio(64000, times=1 + round % 2)
        t.end_of_stream()

    def answer(t, kind, round):
        t.wait(800 - (0 if kind == "nothing" else 100 * round)).ended().hang_up()
        return True
    probes(t, replay, answer)


@trace("released-by-chance", "Work of about 900 ms ends just after some of the stimuli, and after some of them not.")
def _(t):
    heater(t.start().speech()).end_of_stream().wait(900).ended().hang_up()

    def answer(t, kind, round):
        t.wait(20 if kind != "nothing" and round > 1 else 850 + 40 * round).ended().hang_up()
        return True
    probes(t, lambda t, round: t.open().config().wait(5).server(ready()).audio(64000).end_of_stream(), answer)


@trace("probes-turned-away", "The harness gave up too soon, and its probes were turned away: nothing is decided.")
def _(t):
    heater(t.start().speech()).end_of_stream().gave_up(1000).control()
    for number in range(6):
        t.on(2000 + number).open(probe={"of": 0, "stimulus": "audio", "round": 1}).config().error("overloaded", True, True).close(1013, by="server")
@trace("heard-after-flush", "The same speech straight on, and with a flush in its middle; a word is heard differently.")
def _(t):
    t.open(label="straight", speech="twice").config().wait(5).server(ready()).speech(4000)
    t.final(0, "turn on the heater", 200, 1400).final(1, "turn on the heater", 2200, 3400).finish(4000, 2)
    t.on(1).open(label="resumed", speech="twice").config().wait(5).server(ready()).speech(2000).flush("f").wait(5)
    t.final(0, "turn on the heater", 200, 1400).flushed("f").speech(2000).final(1, "turn on the eater", 2200, 3400)
    t.finish(4000, 2)


@trace("hears-nothing", "A server that hears no words at all hears none after a flush either.")
def _(t):
    t.open(label="straight", speech="twice").config().wait(5).server(ready()).speech(4000).finish(4000, 0)
    t.on(1).open(label="resumed", speech="twice").config().wait(5).server(ready()).speech(2000).flush("f").wait(5)
    t.flushed("f").speech(2000).finish(4000, 0)


@trace("internal-by-chance", "The server fails while answers are due, and nothing shows that it works otherwise.")
def _(t):
    t.start().client("{").wait(5).error("internal", True, True).ended(0, 0, complete=False, reason="internal").hang_up(1011)
    t.on(1).start().end_of_stream().wait(5).error("internal", True, True)
    t.ended(0, 0, complete=False, reason="internal").hang_up(1011)
    t.on(2).open().config(required=["words"]).wait(5).error("internal", True, True).hang_up(1011)


@trace("early-keepalive", "A keepalive between config and ready is acknowledged after ready, in its order.")
def _(t):
    t.open().config().keepalive(7).audio(times=2).keepalive(8).wait(50).server(ready()).ack(7).ack(8).speech(1000).finish(1200, 0)


@trace("unknown-types-keep-alive", "Messages of an unknown type are activity.")
def _(t):
    t.start(limits=SMALL)
    for _ in range(4):
        t.wait(1000).client(type="hello").wait(5).error("unknown_type")
    t.finish(0, 0)


@trace("idle-crosses-everything", "The idle timer fires while a flush, an unknown type and a broken message are under way.")
def _(t):
    t.start(limits=SMALL).wait(2990).flush("f").client(type="hello").client("{").wait(5).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("bad-flush-then-good", "A bad flush and a bad keepalive are refused; good ones behind them are served.")
def _(t):
    t.start().client(type="flush", id=7).client(type="keepalive", seq="1").flush("7").keepalive(1).wait(5)
    t.error("bad_message", param="id").error("bad_message", param="seq").flushed("7").ack(1).finish(0, 0)


@trace("late-by-half", "Two second sentinels and two keepalives behind the sentinel: the server ends before it reads the last ones.")
def _(t):
    heater(t.start().speech()).end_of_stream().keepalive(1).end_of_stream().keepalive(2).end_of_stream().wait(2)
    t.error("duplicate_end_of_stream").ended().hang_up()


@trace("ids-before-config", "Before config a broken frame may be answered without an id; an update and a flush behind it are, with theirs.")
def _(t):
    t.open().audio(bytes=641).client(type="update", id="u").flush("f").wait(5).error("invalid_state")
    t.error("invalid_state", id="u").error("invalid_state", id="f").config().wait(5).server(ready()).finish(0, 0, rejected=1)


@trace("closed-1009-before-config", "A text above every limit before config makes the WebSocket library close.")
def _(t):
    t.open().client("x" * 70000).wait(5).close(1009, by="server")


@trace("second-config-partials-fade", "Few partials came before a second config that forgoes them, and none after: none is owed.")
def _(t):
    t.start().speech().partial(0, 1, "turn on", 200, 900).final(0, "turn on the heater", 200, 1800)
    t.config(interim_results=False).wait(5).error("invalid_state").speech(2000)
    t.final(1, "and close the door", 2200, 3800).finish(4000, 2)


@trace("second-config-goes-on", "Partials go on after a second config that forgoes them.")
def _(t):
    heater(t.start().speech()).partial(1, 1, "and", 2000, 2000).config(interim_results=False).wait(5).error("invalid_state")
    t.speech(2000).partial(1, 2, "and close", 2000, 3000).final(1, "and close the door", 2000, 3800).finish(4000, 2)


@trace("words-where-heard", "Words are in force; a session in which nothing is heard has none.")
def _(t):
    t.start({"words": True}, config={"words": True}).speech().final(0, "", 200, 1800).finish()


@trace("quick-words", "Many short words, finals that touch, and one that starts at 0.")
def _(t):
    t.start().speech(4000).final(0, "a b c d e f g h", 0, 400).final(1, "i j k", 400, 403).final(2, "uh", 460, 460)
    t.flush("f").wait(5).flushed("f").speech(1000).final(3, "uh", 3900, 4900).finish(5000, 4)


@trace("same-words-again", "The same words are said again after a flush, in audio of their own.")
def _(t):
    heater(t.start().speech()).flush("f").wait(5).flushed("f").speech(2000)
    t.final(1, "turn on the garage heater", 2000, 3600).finish(4000, 2)


@trace("many-channels", "Two channels are asked for and served, with a frame limit that holds a second.")
def _(t):
    audio = {"encoding": "pcm_s16le", "sample_rate_hz": 16000, "channels": 2}
    t.open().config(audio=audio).wait(5).server(ready({"audio": audio})).audio(bytes=64000).finish(1000, 0)


@trace("ready-read-late", "The client reads ready 300 ms late: the idle timer ran since it was sent.")
def _(t):
    t.open().config().wait(300).server(ready(limits=SMALL)).wait(2705).error("idle_timeout", True, True)
    t.ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("errors-in-one-heap", "Two messages with ids and one without are refused, those with ids first.")
def _(t):
    heater(t.start().speech()).end_of_stream().config().flush("f").client(type="update", id="u").wait(5)
    t.error("invalid_state").error("invalid_state", id="u").error("invalid_state", id="f").wait(50).ended().hang_up()


@trace("idle-late-on-a-slow-machine", "The idle timer fires late on a slow machine, and answers before it came late too.")
def _(t):
    t.lines[0]["time_scale_percent"] = 300
    t.start(limits=SMALL)
    for _ in range(4):
        t.wait(1500).client("{").wait(600).error("bad_message")
    t.wait(500).error("idle_timeout", True, True).ended(0, 0, complete=False, reason="idle_timeout").hang_up(4408)


@trace("upgrade-seen-late", "A client sees the upgrade 200 ms late, and the config timer takes its shortest time, a second.")
def _(t):
    t.open().wait(800).error("config_timeout", True, True).hang_up(4408)


@trace("a-line-that-stalls", "Work of 8 s with progress, on a line that stands still for 2 s each time, as long as an announced limit.")
def _(t):
    limits = {**SMALL, "progress_interval_ms": 1000, "idle_timeout_ms": 3000}

    def loading(t):
        t.open().config()
        for seq in range(1, 4):
            t.wait(950).progress(seq, 0)
        t.wait(3000).progress(4, 0)
        return t.wait(950).progress(5, 0).wait(950)
    loading(t).server(ready(limits=limits)).close(1000).close(1000, by="server")

    def answer(t, kind, round):
        for seq in range(1, 4):
            t.wait(900).progress(seq, 0)
        t.wait(3000).progress(4, 0).wait(900).server(ready(limits=limits))
        return True
    probes(t, lambda t, round: t.open().config(), answer)


@trace("refused-audio-and-a-bad-message-before-config", "Audio and a bad message before config are answered each; which error is whose, their order says.")
def _(t):
    t.open().audio(bytes=2, pace_ms=0).client(type="keepalive", seq="1").client(type="update", id="u", language="de").wait(3)
    t.error("invalid_state").error("bad_message", param="seq").error("invalid_state", id="u").close().close(1000, by="server")
    t.on(1).open().audio(bytes=2, pace_ms=0).client(type="flush").wait(3).error("invalid_state")
    t.error("bad_message", param="id").close().close(1000, by="server")
    t.on(2).open().audio(bytes=2, pace_ms=0).client(type="keepalive", seq="1").wait(3).error("invalid_state").close()
    t.close(1000, by="server")


@trace("escaped-token", "A token may be written with escapes: it is the same token.")
def _(t):
    t.open().config(token="wrong").wait(2).error("unauthenticated", True).hang_up(4401)
    t.on(1).open().client('{"type":"config","token":"right\\u002dtoken"}').wait(2).server(ready()).speech()
    heater(t).finish()


@trace("idle-with-slow-finals", "After the idle timeout the last final takes a while, and progress says so.")
def _(t):
    t.start(limits=SMALL).speech().partial(0, 1, "turn on", 200, 900).wait(3000)
    for seq in range(1, 10):
        t.wait(1999).progress(seq, 200 * seq)
    t.wait(500).final(0, "turn on the garage heater", 200, 1800).error("idle_timeout", True, True)
    t.ended(complete=False, reason="idle_timeout").hang_up(4408)


@trace("one-stall-over-all-probes", "The machine stands still while the controls are watched: they take as long as each other, and the suspect took a third.")
def _(t):
    t.start().end_of_stream().wait(810).ended(0, 0).hang_up()

    def answer(t, kind, round):
        if kind in ("half_close", "close"):
            t.eof()
            return True
        t.wait(2 if kind == "audio" else 2400)
        t.ended(0, 0).hang_up()
        return True
    probes(t, lambda t, round: t.open().config().wait(5).server(ready()).end_of_stream(), answer)


@trace("keepalives-behind-the-end", "Keepalives behind the sentinel are passed over; what comes behind them is refused.")
def _(t):
    heater(t.start().speech()).end_of_stream().keepalive(5).keepalive().client(type="hello").end_of_stream().wait(5)
    t.error("unknown_type").error("duplicate_end_of_stream").wait(50).ended().hang_up()


@trace("probes-late-together", "A flush takes 1.2 s, and on probes side by side on a busy machine as long as the idle timeout: no timer.")
def _(t):
    t.start(limits=SMALL).speech().flush("f").wait(1200)
    heater(t).flushed("f").finish()

    def replay(t, round):
        t.open().config().wait(5).server(ready(limits=SMALL)).speech().flush("f")

    def answer(t, kind, round):
        t.wait({"nothing": 3060}.get(kind, 3060 - 200 * round))
        heater(t).flushed("f")
        return True
    probes(t, replay, answer)


@trace("no-time-for-partials", "A recogniser still at work on the first audio gives no partials of the second; a config between them was refused.")
def _(t):
    t.start().speech().partial(0, 1, "turn", 200, 600).partial(0, 2, "turn on", 200, 800)
    t.partial(0, 3, "turn on the", 200, 1000).config(interim_results=False).wait(5).error("invalid_state").speech(2000)
    t.final(0, "turn on the garage heater", 200, 1800).final(1, "and close the door", 2000, 3800).finish(4000, 2)
