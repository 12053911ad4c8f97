"""Sessions that are stuck, with the release probes that show for what they wait."""

from builder import LIMITS, heater, probes, ready

STUCK = {}


def trace(name, note):
    def keep(build):
        STUCK[name] = (note, build)
        return build
    return keep


def draining(t, round=0, **changes):
    """Speech and the sentinel; more speech in every second round, so that the length of the audio varies."""
    t.open().config().wait(5).server(ready(**changes)).audio(64000, times=2 if round % 2 == 0 else 1)
    return t.end_of_stream()


def suspect(t, **changes):
    """The suspect itself, watched until well after its bound."""
    heater(t.start(**changes).speech()).end_of_stream()
    return silence(t)


def silence(t, bound_ms=16600):
    t.wait(4100).control().control().control().wait(bound_ms - 4100).ping().transport().cpu()
    return t.gave_up(0)


def end(t, **more):
    t.ended(**more).hang_up()
    return True


@trace("END-S2--waits-for-audio", "session_ended comes only when one more audio frame comes after the sentinel.")
def _(t):
    def answer(t, kind, round):
        return kind == "audio" and end(t.error("audio_after_end"), rejected=1)
    probes(suspect(t), draining, answer)


@trace("END-S2--waits-for-any-message", "session_ended comes only when anything at all comes after the sentinel.")
def _(t):
    probes(suspect(t), draining, lambda t, kind, round: kind in ("audio", "end_of_stream", "keepalive") and end(t))


@trace("END-S2--waits-for-the-end-of-the-connection", "session_ended is sent when the client has gone.")
def _(t):
    def answer(t, kind, round):
        return kind in ("half_close", "close") and end(t)
    probes(suspect(t), draining, answer)


@trace("END-S2--stuck", "The session hangs after the sentinel, and nothing releases it.")
def _(t):
    def answer(t, kind, round):
        if kind in ("half_close", "close"):
            t.wait(3).eof()
            return True
        return False
    probes(suspect(t), draining, answer)


@trace("END-S7--masked-by-a-timer", "session_ended comes after a timer of 5 s, or at once after one more frame.")
def _(t):
    limits = {**LIMITS, "progress_interval_ms": 3000}
    heater(t.start(limits=limits).speech()).end_of_stream().wait(4100).control().wait(900)
    end(t)

    def answer(t, kind, round):
        t.wait(2 if kind == "audio" else 5000 - (0 if kind == "nothing" else 200 * round))
        return end(t)
    probes(t, lambda t, round: draining(t, round, limits=limits), answer)


@trace("END-S7--follows-the-idle-timeout", "session_ended comes when as much time has passed as the idle timeout takes.")
def _(t):
    limits = {**LIMITS, "idle_timeout_ms": 6000, "keepalive_interval_ms": 2000}
    heater(t.start(limits=limits).speech()).end_of_stream().wait(4100).control().wait(1900)
    end(t)

    def answer(t, kind, round):
        t.wait(6000 - (0 if kind == "nothing" else 200 * round))
        return end(t)
    probes(t, lambda t, round: draining(t, round, limits=limits), answer)


@trace("END-S2--floods-acknowledgements", "After the sentinel come acknowledgements that nobody asked for, and nothing else.")
def _(t):
    heater(t.start().speech()).keepalive(1).ack(1).end_of_stream()
    for _ in range(12):
        t.wait(350).server(type="warning", code="busy", message="still here")
    t.control().control().control().wait(300).server(type="warning", code="busy", message="still here").gave_up(10)


@trace("CFG-S1--waits-for-audio", "ready comes only when audio comes.")
def _(t):
    silence(t.open().config(), 11200)
    probes(t, lambda t, round: t.open().config(), lambda t, kind, round: kind == "audio" and bool(t.wait(1).server(ready())))


@trace("FLU-S2--waits-for-audio", "flushed comes only with the audio after the flush.")
def _(t):
    silence(heater(t.start().speech()).flush("f"), 5700)

    def replay(t, round):
        t.open().config().wait(5).server(ready()).audio(64000).flush("f")
    probes(t, replay, lambda t, kind, round: kind in ("audio", "end_of_stream") and bool(t.wait(1).flushed("f")))


@trace("CLO-S2--waits-for-the-clients-close", "The Close after session_ended comes only when the client closes.")
def _(t):
    silence(heater(t.start().speech()).end_of_stream().wait(50).ended(), 4600)

    def replay(t, round):
        t.open().config().wait(5).server(ready()).audio(64000).end_of_stream().wait(50).ended(finals=0)
    probes(t, replay, lambda t, kind, round: kind == "close" and bool(t.close(1000, by="server")))


@trace("PRG-S1--silent-before-each-ready", "Every ready takes 6 s of silence, control sessions too: no machine stands still for just as long each time.")
def _(t):
    t.open().config().wait(4100).control(ok=False, answered=False, took_ms=5000).wait(1900).server(ready()).speech()
    heater(t).finish()

    def answer(t, kind, round):
        t.wait(6000 - (0 if kind == "nothing" else 200 * round))
        if kind in ("half_close", "close"):
            t.eof()
            return True
        t.server(ready()).finish(0, 0) if kind != "end_of_stream" else end(t.server(ready()), received=0, finals=0)
        return True
    probes(t, lambda t, round: t.open().config(), answer)
