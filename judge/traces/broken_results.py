"""Sessions that break a requirement about audio, results and their times."""

from builder import LIMITS, heater, spoken

RESULTS = {}


def trace(name, note):
    def keep(build):
        RESULTS[name] = (note, build)
        return build
    return keep


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
