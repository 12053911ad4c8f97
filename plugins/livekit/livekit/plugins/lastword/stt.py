"""``STT``: what an agent is given. Owns the choice of options, the streams and whole recordings over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import weakref
from dataclasses import replace
from typing import Any, Literal

import aiohttp
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    LanguageCode,
    stt,
    utils,
)
from livekit.agents.types import NOT_GIVEN, NotGivenOr, TimedString
from livekit.agents.utils import AudioBuffer, is_given

from . import options as addresses
from .errors import of_refusal
from .messages import Limits, encode
from .options import Options
from .queue import SAMPLE_RATE_HZ
from .stream import SpeechStream

DEFAULT_URL = "ws://127.0.0.1:9090/v1/listen"
# The name under which every server of OpenAI's interface has its model.
USUAL_MODEL = "whisper-1"
MIN_BUFFER_S = 10.0


class STT(stt.STT[Literal["flushed"]]):
    """Speech-to-text through a server that speaks ``lastword.v1``.

    Besides the framework's events it emits ``flushed`` with a stream and a :class:`FlushEnded`, once for each flush of
    that stream that was sent.
    """

    def __init__(
        self,
        *,
        url: NotGivenOr[str] = NOT_GIVEN,
        token: NotGivenOr[str] = NOT_GIVEN,
        auth: Literal["header", "config"] = "header",
        batch_url: NotGivenOr[str] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        model: NotGivenOr[str] = NOT_GIVEN,
        interim_results: bool = True,
        words: bool = True,
        vad_events: bool = True,
        endpointing: Literal["vad", "none"] = "vad",
        silence_ms: NotGivenOr[int] = NOT_GIVEN,
        max_segment_ms: NotGivenOr[int] = NOT_GIVEN,
        keyterms: list[str] | None = None,
        buffer_s: float = 120.0,
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            url: The server, ``ws://host[:port]/path`` or ``wss://``. Default: ``LASTWORD_URL``, else this machine.
            token: A credential. Default: ``LASTWORD_TOKEN``. Never part of a URL, a log or an error.
            auth: Where a stream shows it: as ``Authorization`` header, or as ``config.token``.
            batch_url: Where whole recordings go. Default: ``/v1/audio/transcriptions`` on the same server.
            language: The spoken language as a BCP 47 tag. Default: the server's, or detection.
            model: The model by the server's own name for it.
            interim_results: Whether interim transcripts are wanted.
            words: Whether words with times are wanted.
            vad_events: Whether the server's own speech events are wanted; without them they are made from results.
            endpointing: ``none``: only ``max_segment_ms``, a flush and the end close a segment.
            silence_ms: How much silence closes a segment.
            max_segment_ms: The longest segment.
            keyterms: Words to favour, where the server serves that.
            buffer_s: How much audio may wait to be sent, at least 10 s. See ``SpeechStream.push_frame``.
            http_session: To be used instead of the framework's.

        Raises ``ValueError`` for what cannot work.
        """
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=interim_results,
                aligned_transcript="word" if words else False,
                offline_recognize=True,
                manual_flush=True,
            )
        )
        if buffer_s < MIN_BUFFER_S:
            raise ValueError(f"buffer_s must be at least {MIN_BUFFER_S}: what is pushed before `ready` waits in it")
        given = url if is_given(url) else os.environ.get("LASTWORD_URL", DEFAULT_URL)
        credential = token if is_given(token) else os.environ.get("LASTWORD_TOKEN")
        if credential is not None and not (credential.isascii() and credential.isprintable()):
            raise ValueError("the token holds characters that no HTTP header can hold")
        self._options = Options(
            url=addresses.listen_url(given),
            batch_url=addresses.batch_url(batch_url) if is_given(batch_url) else addresses.transcriptions_url(given),
            token=credential or None,
            auth=auth,
            language=language if is_given(language) else None,
            model=model if is_given(model) else None,
            interim_results=interim_results,
            words=words,
            vad_events=vad_events,
            endpointing=endpointing,
            silence_ms=silence_ms if is_given(silence_ms) else None,
            max_segment_ms=max_segment_ms if is_given(max_segment_ms) else None,
            keyterms=tuple(keyterms or ()),
            buffer_s=buffer_s,
        )
        # [LIM-C1]
        if len(encode("config", **self._options.config()).encode()) > Limits.max_text_bytes:
            raise ValueError(f"the options are longer than {Limits.max_text_bytes} bytes: give fewer keyterms")
        self._session = http_session
        self._model_in_force: str | None = None
        self._streams = weakref.WeakSet[SpeechStream]()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        """The model in use, as far as it is known."""
        return self._options.model or self._model_in_force or "unknown"

    @property
    def provider(self) -> str:
        """Lastword."""
        return "Lastword"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        """A new stream, which connects at once."""
        options = replace(self._options, language=language) if is_given(language) else self._options
        stream = SpeechStream(stt=self, options=options, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    async def __aenter__(self) -> STT:
        return self

    async def aclose(self) -> None:
        """Cancels every stream, and waits for the closing handshakes, which have a bound."""
        await asyncio.gather(*(stream.aclose() for stream in list(self._streams)))
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _http_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        form = aiohttp.FormData()
        audio = rtc.combine_audio_frames(buffer).to_wav_bytes()
        form.add_field("file", audio, filename="audio.wav", content_type="audio/wav")
        form.add_field("model", self._options.model or USUAL_MODEL)
        form.add_field("response_format", "verbose_json")
        form.add_field("timestamp_granularities[]", "segment")
        if self._options.words:
            form.add_field("timestamp_granularities[]", "word")
        spoken = language if is_given(language) else self._options.language
        if spoken:
            form.add_field("language", spoken)
        try:
            answer = await self._post(form, conn_options)
        except APIConnectionError as error:
            refusal = None if isinstance(error, APITimeoutError) else await self._refusal_of_nothing(conn_options)
            if refusal is None:
                raise
        else:
            return _event(answer, spoken)
        raise refusal

    async def _refusal_of_nothing(self, conn_options: APIConnectOptions) -> APIError | None:
        """Why a server may have cut the line while the recording was being sent, asked for again without one.

        A server that refuses before it reads breaks the line, and the HTTP library then loses the answer.
        """
        try:
            await self._post(None, conn_options)
        except APIStatusError as error:
            return error if error.status_code in (401, 403, 404, 429, 503) else None
        except APIError:
            pass
        return None

    async def _post(self, form: aiohttp.FormData | None, conn_options: APIConnectOptions) -> dict[str, Any]:
        # The answer takes as long as the recording asks for: what is bounded is connecting, and a line that is dead.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=conn_options.timeout, sock_read=_BATCH_SILENCE_S)
        failure: APIError
        try:
            async with self._http_session().post(
                self._options.batch_url,
                data=form,
                headers=self._options.headers(always=True),
                timeout=timeout,
            ) as response:
                text = await response.text()
                if response.status == 200:
                    return _object(text)
                failure = self._refusal(response.status, text, response.headers.get("x-request-id"))
        except asyncio.TimeoutError:
            failure = APITimeoutError(f"no answer from {self._options.host} in time")
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            failure = APIConnectionError(f"no answer from {self._options.host} ({type(error).__name__})")
        # Outside of the handlers: the library's errors show headers. [SEC-C1]
        raise failure

    def _refusal(self, status: int, text: str, request_id: str | None) -> APIError:
        try:
            said = json.loads(text)["error"]["message"]
        except (ValueError, LookupError, TypeError):
            return of_refusal(status)
        return APIStatusError(self._options.redact(str(said)), status_code=status, request_id=request_id)


# Decoding an hour of speech on a slow machine keeps the line silent for long.
_BATCH_SILENCE_S = 600.0


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise APIError("the server's answer is no transcription", retryable=False)
    return value


def _event(answer: dict[str, Any], spoken: str | None) -> stt.SpeechEvent:
    try:
        words = [
            TimedString(str(word["word"]), start_time=float(word["start"]), end_time=float(word["end"]))
            for word in answer.get("words") or []
        ]
        times = [float(segment[name]) for segment in answer.get("segments") or [] for name in ("start", "end")]
        end_s = float(answer.get("duration") or 0.0)
    except (LookupError, TypeError, ValueError):
        raise APIError("the server's answer is no transcription", retryable=False) from None
    data = stt.SpeechData(
        language=LanguageCode(str(answer.get("language") or spoken or "")),
        text=answer["text"],
        start_time=times[0] if times else 0.0,
        end_time=times[-1] if times else end_s,
        words=words or None,
    )
    return stt.SpeechEvent(
        type=stt.SpeechEventType.FINAL_TRANSCRIPT,
        request_id=utils.shortuuid(),
        alternatives=[data],
    )


__all__ = ["DEFAULT_URL", "SAMPLE_RATE_HZ", "STT"]
