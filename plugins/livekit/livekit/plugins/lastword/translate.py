"""What a server says, as the framework's speech events. Owns the translation; knows nothing of sockets or of order."""

from __future__ import annotations

import time
from collections.abc import Iterator

from livekit.agents import LanguageCode, stt
from livekit.agents.types import TimedString

from .messages import Final, Partial, Ready, SpeechEnded, SpeechStarted, Word
from .options import Options


class Translator:
    """For one stream, over all its connections."""

    def __init__(self, options: Options) -> None:
        self.session_id = ""
        """The server's name for the session."""
        self._options = options
        self._ready: Ready | None = None
        self._speaking = False

    def begin(self, ready: Ready) -> None:
        """A session begins: what is in force in it."""
        self._ready, self.session_id = ready, self._options.redact(ready.session_id)

    def translate(
        self, event: Partial | Final | SpeechStarted | SpeechEnded, offset_s: float, start_time: float
    ) -> Iterator[stt.SpeechEvent]:
        """The events for one message.

        Speech begins and ends where the server says so, or, where it says nothing, with the results. ``offset_s`` is
        where the connection's audio begins in the stream, ``start_time`` when by the wall's clock.
        """
        vad_events = self._ready is not None and self._ready.vad_events
        if isinstance(event, SpeechStarted):
            yield from self._start_speech(event.start_ms, start_time)
        elif isinstance(event, SpeechEnded):
            yield from self._end_speech(event.end_ms, start_time)
        elif isinstance(event, Partial):
            if not vad_events:
                yield from self._start_speech(event.start_ms, start_time)
            yield self._transcript(stt.SpeechEventType.INTERIM_TRANSCRIPT, self._data(event, offset_s))
        else:
            if event.text and not vad_events:
                yield from self._start_speech(event.start_ms, start_time)
            data = self._data(event, offset_s)
            data.confidence = event.confidence or 0.0
            data.speaker_id = event.speaker
            yield self._transcript(stt.SpeechEventType.FINAL_TRANSCRIPT, data)
            if not vad_events:
                yield from self._end_speech(event.end_ms, start_time)

    def end(self) -> Iterator[stt.SpeechEvent]:
        """The connection is over: whoever waits for the end of speech is told, should the server not have said it."""
        if self._speaking:
            self._speaking = False
            yield stt.SpeechEvent(
                type=stt.SpeechEventType.END_OF_SPEECH, request_id=self.session_id, speech_end_time=time.time()
            )

    def usage(self, audio_s: float) -> stt.SpeechEvent:
        """So much more audio was used."""
        return stt.SpeechEvent(
            type=stt.SpeechEventType.RECOGNITION_USAGE,
            request_id=self.session_id,
            recognition_usage=stt.RecognitionUsage(audio_duration=audio_s),
        )

    def _start_speech(self, ms: int, start_time: float) -> Iterator[stt.SpeechEvent]:
        if not self._speaking:
            self._speaking = True
            yield stt.SpeechEvent(
                type=stt.SpeechEventType.START_OF_SPEECH,
                request_id=self.session_id,
                speech_start_time=_on_the_wall(ms, start_time),
            )

    def _end_speech(self, ms: int, start_time: float) -> Iterator[stt.SpeechEvent]:
        if self._speaking:
            self._speaking = False
            yield stt.SpeechEvent(
                type=stt.SpeechEventType.END_OF_SPEECH,
                request_id=self.session_id,
                speech_end_time=_on_the_wall(ms, start_time),
            )

    def _transcript(self, kind: stt.SpeechEventType, data: stt.SpeechData) -> stt.SpeechEvent:
        return stt.SpeechEvent(type=kind, request_id=self.session_id, alternatives=[data])

    def _data(self, result: Partial | Final, offset_s: float) -> stt.SpeechData:
        in_force = self._ready.language if self._ready is not None else None
        return stt.SpeechData(
            language=LanguageCode(result.language or in_force or self._options.language or ""),
            text=result.text,
            start_time=result.start_ms / 1_000 + offset_s,
            end_time=result.end_ms / 1_000 + offset_s,
            words=None if result.words is None else [_timed(word, offset_s) for word in result.words],
        )


def _on_the_wall(ms: int, start_time: float) -> float:
    """A moment of the stream by the wall's clock; audio that was sent faster than spoken is not in the future."""
    return min(start_time + ms / 1_000, time.time())


def _timed(word: Word, offset_s: float) -> TimedString:
    timed = TimedString(
        word.text,
        start_time=word.start_ms / 1_000 + offset_s,
        end_time=word.end_ms / 1_000 + offset_s,
        start_time_offset=offset_s,
    )
    if word.confidence is not None:
        timed.confidence = word.confidence
    return timed
