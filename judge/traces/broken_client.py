"""Runs of a client that break one requirement of a client each. The harness is the server here."""

from builder import SMALL, Trace, heater, ready

LIMITS = {**SMALL, "flush_ms": 2000, "drain_ms": 3000, "close_ms": 1000, "progress_interval_ms": 500}
CLIENT = {}


def trace(name, note):
    def keep(build):
        CLIENT[name] = (note, build)
        return build
    return keep


class Run(Trace):
    """A run of a client: as a program, or driven call by call."""

    def __init__(self, note, expect):
        super().__init__(note, expect, subject="client")
        self.calls = 0

    def program(self, **given):
        return self.event(started={"driven": False, **given})

    def driven(self):
        return self.event(started={"driven": True}).call("start")

    def connected(self, **changes):
        return self.open().config().wait(5).server(ready(limits=LIMITS, **changes))

    def begun(self):
        """A driven session with two seconds of speech and its final."""
        self.driven().connected().told("ready").call("push").speech().returned("push")
        heater(self)
        return self.told("final", segment_id=0, text="turn on the garage heater", start_ms=200, end_ms=1800)

    def streamed(self):
        """The same of a program, whose input is then over."""
        return heater(self.program().connected().speech()).input(2000, "file")

    def call(self, what):
        self.calls += 1
        return self.event(called={"number": self.calls, "what": what})

    def returned(self, what, failed=None):
        return self.event(returned={"number": self.calls, "what": what, **({"failed": failed} if failed else {})})

    def told(self, what, **more):
        return self.event(told={"what": what, **more})

    def input(self, ms, by="driver"):
        return self.event(input_ended={"known_by": by, "audio_ms": ms})

    def end(self, ms=2000):
        return self.call("end").input(ms).end_of_stream()

    def exits(self, code=0):
        return self.wait(20).event(exited={"code": code})

    def leaves(self, code=1000, exit=0):
        """The client's Close, the answer to it, and its exit."""
        return self.close(code).close(code, by="server").exits(exit)

    def over(self, outcome="complete", **more):
        """The end of a driven session, with nothing left of it."""
        return self.told("ended", outcome=outcome, **more).close().close(by="server").told("left", count=0).exits()

    def lost(self, *connections):
        """Connections that live for 1.5 s, longer than the idle timeout, and are reset; 0.3 s lie between them."""
        for conn in connections:
            self.wait(300).on(conn).open().config().wait(5)
            self.server(ready(limits={**LIMITS, "idle_timeout_ms": 1000, "keepalive_interval_ms": 300}))
            self.speech(1500).eof("server", "reset")
        return self

    def waits(self, ms, alive=True):
        """So long nothing happens but keepalives."""
        for _ in range(int(ms) // 900):
            self.wait(899)
            if alive:
                self.keepalive()
        return self.wait(ms % 900)

    def flow(self, waiting=0, unread=0, unsent=0):
        """What is on its way: of the client's to the harness, at the client, and in the harness."""
        on_its_way = {"unacknowledged_bytes": 0, "unread_bytes": unread, "unsent_bytes": unsent, "waiting_bytes": waiting}
        return self.event(transport=on_its_way)

    def given_up(self, after_ms):
        return self.event(gave_up={"after_ms": after_ms})


# From the connection to `ready`

@trace("CON-C1--waits-for-the-upgrade", "The upgrade is never answered, and the client waits on.")
def _(t):
    t.program().event(reads=False).wait(28_000).given_up(28_000)


@trace("CON-C2--waits-for-ready", "`ready` never comes, and the client waits on.")
def _(t):
    t.program().open().config().wait(17000).given_up(17000)


@trace("CON-C3--close-is-fine", "The server closes before `ready`, and the client takes it for a good end.")
def _(t):
    t.program().open().config().close(1011, by="server").close(1011).exits(0)


@trace("CFG-C1--no-config", "The client connects and sends no config.")
def _(t):
    t.program().open().wait(12000).given_up(12000)


@trace("CFG-C2--audio-before-ready", "The client sends audio before it has received `ready`.")
def _(t):
    t.program().open().config().audio().server(ready(limits=LIMITS)).speech(1900).input(2000, "file").end_of_stream()
    heater(t).ended().leaves()


@trace("STA-C1--early-end-forgotten", "The input was over before `ready`, and the client forgets it.")
def _(t):
    t.driven().open().config().call("end").returned("end").input(0).wait(500).server(ready(limits=LIMITS)).told("ready")
    t.waits(2700).given_up(100)


@trace("UPD-C1--uncalled", "The client sends an update, and the server has not the capability.")
def _(t):
    heater(t.program().connected().client(type="update", id="u", language="en").speech()).input(2000, "file")
    t.end_of_stream().ended().leaves()


# Audio

@trace("AUD-1--half-samples", "A frame ends in the middle of a sample.")
def _(t):
    heater(t.program().connected().audio(3201).speech(1900)).input(2000, "file").end_of_stream().ended().leaves()


@trace("AUD-C1--tiny-frames", "Frames of 5 ms.")
def _(t):
    t.program().connected().audio(160, times=40, pace_ms=4).input(200, "file").end_of_stream().ended(200, 0).leaves()


@trace("AUD-C3--tail-kept", "The client never sends the last 300 ms of its input.")
def _(t):
    heater(t.program().connected().speech()).input(2300, "file").end_of_stream().ended().leaves()


@trace("LIM-C1--frame-too-large", "A frame is larger than the server said that it takes.")
def _(t):
    t.program().connected().audio(67200).input(2100, "file").end_of_stream().ended(2100, 0).leaves()


@trace("BP-C1--dropped", "The client drops what its caller hands over before `ready`, once it holds 2 s of it.")
def _(t):
    t.program().open().config().wait(5000).server(ready(limits=LIMITS)).audio(times=20, pace_ms=1).input(5000, "file")
    heater(t.end_of_stream()).ended().leaves()


@trace("BP-C2--reads-nothing-while-it-writes", "One loop reads and writes. While its send is blocked it reads nothing, until the server reads.")
def _(t):
    t.program().connected().speech(4000)
    for _ in range(2):
        t.event(reads=False).flow(waiting=12_000).wait(700).flow(waiting=40_000).wait(1500).flow(waiting=40_000)
        t.partial(0, 1, "turn on the", 200, 1000)
        for _ in range(2):
            t.flow(waiting=40_000, unread=131_072, unsent=125_184).wait(2500)
        t.event(reads=True).wait(15).flow(waiting=14_000, unread=90_112, unsent=120_064).speech(1000).flow()
    t.speech(2000).final(0, "turn on the garage heater", 200, 1800)
    t.input(8000, "file").end_of_stream().ended(8000, 1).leaves()


@trace("BP-C2--lock-step", "The client sends half a second of audio and waits for a result before it sends more.")
def _(t):
    t.program().connected()
    for revision in range(1, 5):
        t.speech(500).waits(2500).partial(0, revision, "turn on the", 200, 500 * revision)
    t.speech(500).final(0, "turn on the garage heater", 200, 1800)
    t.input(2500, "file").end_of_stream().ended(2500, 1).leaves()


# Results

@trace("FIN-C1--lost", "The last final is not delivered.")
def _(t):
    t.begun().end().final(1, "please", 1800, 2000).ended(finals=2).over()


@trace("TIM-C1--times-restart", "The client dials again in the middle, and its times begin at 0 once more.")
def _(t):
    t.begun().eof("server", "reset").wait(500).on(1).connected().speech()
    heater(t).told("final", segment_id=0, text="turn on the garage heater", start_ms=200, end_ms=1800)
    t.end(4000).ended().over("incomplete")


# Keepalives

@trace("KA-C1--silent", "The application hands over nothing for 4 s, and the client sends nothing.")
def _(t):
    t.begun().wait(4000).call("push").audio().returned("push").end(2100).ended(2100).over()


@trace("KA-C3--after-the-end", "Keepalives go on after the sentinel.")
def _(t):
    t.streamed().end_of_stream().wait(900).keepalive().wait(100).ended().leaves()


@trace("KA-C4--half-open", "Nothing comes from the server any more, and the client does not notice.")
def _(t):
    t.begun().event(reads=False).wait(20_000).given_up(20_000)


@trace("KA-C5--cannot-be-sent", "The transport fails while nothing is handed over, and nobody is told.")
def _(t):
    t.begun().eof("server", "reset").wait(13_000).given_up(13_000)


# Flushes

@trace("FLU-C1--swallowed", "A flush of the application never reaches the wire, and its caller waits on.")
def _(t):
    t.begun().call("flush").waits(4500).given_up(0)


@trace("FLU-C1--one-of-two", "The second flush, with nothing between, is not sent.")
def _(t):
    t.begun().call("flush").flush("f").flushed("f").told("flushed", number=t.calls).call("flush").end().ended().over()


@trace("FLU-C2--ends-too", "A flush of the application sends the sentinel as well.")
def _(t):
    t.begun().call("flush").flush("f").end_of_stream().flushed("f").told("flushed", number=t.calls).ended().over()


@trace("FLU-C3--never-told", "A flush is never answered, and its caller is never told.")
def _(t):
    t.begun().call("flush").flush("f").waits(4500).given_up(0)


# The end

@trace("END-C1--never-sent", "The input is over, keepalives go on, and the sentinel never comes.")
def _(t):
    t.streamed().waits(3600).given_up(0)


@trace("END-C2--twice", "The sentinel is sent twice.")
def _(t):
    t.streamed().end_of_stream().end_of_stream().ended().leaves()


@trace("END-C3--waits-on", "session_ended has come, and the client waits for something that nobody owes it.")
def _(t):
    t.streamed().end_of_stream().ended().wait(3000).given_up(3000)


@trace("END-C3--waits-for-its-handshake", "The iterator ends only when the client's own closing handshake is over.")
def _(t):
    t.begun().end().ended().close().wait(3000).eof("client", "reset").told("ended", outcome="complete").exits()


@trace("END-C4--own-bound", "The client waits 1 s for session_ended, less than the server announced.")
def _(t):
    t.streamed().end_of_stream().wait(1000).leaves(exit=1)


@trace("END-C5--cut-is-complete", "The server closes without session_ended, and the client calls it complete.")
def _(t):
    t.streamed().end_of_stream().close(1011, by="server").close(1011).exits(0)


@trace("END-C6--audio-after-the-end", "Audio follows the sentinel.")
def _(t):
    t.streamed().end_of_stream().audio().error("audio_after_end").ended(rejected=1).leaves(exit=1)


@trace("END-C6--accepted", "The application hands over audio after the end, and is told that all is well.")
def _(t):
    t.begun().end().call("push").returned("push").ended().over()


@trace("END-C7--incomplete-is-complete", "session_ended says that something is missing, and the client calls it complete.")
def _(t):
    t.streamed().end_of_stream().ended(complete=False, reason="going_away").leaves(exit=0)


@trace("END-C8--early-end-is-complete", "session_ended comes before the sentinel, and the client calls it complete.")
def _(t):
    heater(t.program().connected().speech()).ended().leaves(exit=0)


@trace("END-C9--own-timer", "Whenever session_ended comes, the client ends at the same time after its sentinel.")
def _(t):
    for conn, word_ms in ((0, 4000), (1, 5400)):
        t.on(conn).streamed().end_of_stream()
        since = t.ms
        for number in range(1, word_ms // 500):
            t.wait(499).progress(number, 1800)
        t.ms = since + word_ms
        t.ended()
        t.ms = since + 5700
        t.leaves()


@trace("PRG-C1--not-extended", "Progress does not extend the wait for session_ended.")
def _(t):
    t.streamed().end_of_stream()
    for number in range(1, 7):
        t.wait(499).progress(number, 1800)
    t.wait(100).leaves(exit=1)


# Messages and errors

@trace("MSG-C1--garbage-ends", "The client ends its session over a message that is none.")
def _(t):
    heater(t.program().connected().speech()).server("\u0000 no {json").wait(10).leaves(1002, exit=1)


@trace("ERR-C1--swallowed", "A fatal error comes, and the application never learns which.")
def _(t):
    t.begun().error("internal", fatal=True, retryable=True).ended(complete=False, reason="internal").over("error")


@trace("ERR-C2--swallowed", "An error that ends nothing comes, and the application is not told.")
def _(t):
    t.begun().error("bad_message").end().ended().over()


@trace("ERR-C3--reset-is-complete", "The transport fails while the client sends, and it calls the session complete.")
def _(t):
    heater(t.program().connected().speech()).eof("server", "reset").exits(0)


# The close, and what follows

@trace("CLO-C1--closes-at-once", "The client closes as soon as it has sent the sentinel.")
def _(t):
    t.streamed().end_of_stream().wait(5).leaves(exit=1)


@trace("CLO-C2--1000-is-complete", "A Close with 1000 comes without session_ended, and the client calls it complete.")
def _(t):
    t.streamed().end_of_stream().close(1000, by="server").close(1000).exits(0)


@trace("CLO-C3--second-end-fails", "A second end fails.")
def _(t):
    t.begun().end().call("end").returned("end", failed="the input has ended already").ended().over()


@trace("CLO-C4--handshake-for-ever", "The client's Close is never answered, and the client never lets go.")
def _(t):
    t.streamed().end_of_stream().ended().event(reads=False).wait(8000).given_up(8000)


@trace("CLO-C5--other-code", "The client closes with 1001.")
def _(t):
    t.streamed().end_of_stream().ended().leaves(1001)


@trace("REC-C1--no-pause", "The client dials sixteen times within 2 s.")
def _(t):
    t.program()
    for conn in range(16):
        t.on(conn).event(refused={"status": 503}).wait(99)
    t.exits(1)


@trace("REC-C2--after-a-fatal-error", "The client dials again after an error that is fatal and not retryable.")
def _(t):
    t.program().open().config().error("unsupported_audio", fatal=True).close(4422, by="server").close(4422).wait(500)
    t.on(1).event(refused={"status": 503}).exits(1)


@trace("REC-C3--after-the-sentinel", "The client dials again although it has sent its sentinel.")
def _(t):
    t.streamed().end_of_stream().eof("server", "reset").wait(500).on(1).event(refused={"status": 503}).exits(1)


@trace("REC-C4--gap-is-complete", "The client dials again in the middle and calls the session complete.")
def _(t):
    heater(t.program().connected().speech()).eof("server", "reset").wait(500)
    heater(t.on(1).connected().speech()).input(4000, "file").end_of_stream().ended().leaves(exit=0)


@trace("REC-C5--three-attempts-for-ever", "The client dials again three times, however long each connection lived.")
def _(t):
    t.program(audio_ms=240_000).lost(0, 1, 2, 3).exits(1)


@trace("REC-C5--time-for-the-whole-session", "The client dials again for 5 s from its start, however long each connection lived.")
def _(t):
    t.driven().lost(0, 1, 2).told("ended", outcome="incomplete").told("left", count=0).exits()


# Security

@trace("SEC-C1--in-the-url", "The credential stands in the URL.")
def _(t):
    t.program().open(url="/v1/listen?token=right-token").config().wait(5).server(ready(limits=LIMITS)).speech()
    heater(t).input(2000, "file").end_of_stream().ended().leaves()


@trace("SEC-C2--crash", "The client's process dies of a text that it did not expect.")
def _(t):
    t.program().connected().speech().final(0, "\u202e\U0001f525 \u0000", 200, 1800).eof("client", "reset")
    t.event(exited={"signal": 6})
