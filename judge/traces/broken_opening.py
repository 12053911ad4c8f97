"""Sessions that break a requirement before their first word: the upgrade, the configuration."""

from builder import CONFIG, heater, ready, spoken

OPENING = {}


def trace(name, note):
    def keep(build):
        OPENING[name] = (note, build)
        return build
    return keep


# Connection and version

@trace("CON-1--offered-not-selected", "The server serves version 1 but selects no subprotocol.")
def _(t):
    heater(t.open(selected=None).config().wait(5).server(ready()).speech()).finish()


@trace("CON-S1--strange-protocol-accepted", "A client that offers only another protocol is let in.")
def _(t):
    heater(t.open(offered=["strange.v9"], selected=None).config().wait(5).server(ready()).speech()).finish()


@trace("CON-1--no-handshake", "The answer to the upgrade says 101 and is no handshake.")
def _(t):
    t.event(refused={"status": 101, "offered": ["lastword.v1"]})


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
