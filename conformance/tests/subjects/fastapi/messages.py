"""What a client may say: reading a text message, and the `config` in force. Knows no session and no clock."""

import json
import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import RATE_HZ

MODEL = "made-up-words"


class BadMessage(Exception):
    """A text message that is answered with `bad_message`; `param` names the member at fault, if there is one."""

    def __init__(self, reason, param=None):
        super().__init__(reason)
        self.param = param


class Fatal(Exception):
    """What ends the session with a fatal error."""

    def __init__(self, code, reason, param=None):
        super().__init__(reason)
        self.code, self.param = code, param


def read_json(text):
    """The object in a text message (I-JSON with the limits of section 9.1)."""

    def pairs(members):
        if len({name for name, _ in members}) < len(members):
            raise ValueError("a name stands twice")
        return dict(members)

    def integer(digits):
        if len(digits) > 17 or abs(int(digits)) >= 2**53:
            raise ValueError("an integer is too large")
        return int(digits)

    def fraction(digits):
        if not math.isfinite(float(digits)):
            raise ValueError("a number is too large")
        return float(digits)

    def no_constant(name):
        raise ValueError(f"{name} is no JSON")

    def depth(value):
        if isinstance(value, str):
            value.encode("utf-8")  # A lone surrogate is a ValueError.
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, dict):
            "".join(value).encode("utf-8")
        return max(map(depth, inner), default=0) + isinstance(value, (dict, list))

    try:
        hooks = {"object_pairs_hook": pairs, "parse_int": integer, "parse_float": fraction, "parse_constant": no_constant}
        message = json.loads(text, **hooks)
        if depth(message) > 16:
            raise ValueError("nesting is deeper than 16")
    except (ValueError, RecursionError):
        raise BadMessage("the text is no I-JSON within the limits of section 9.1") from None
    if not isinstance(message, dict):
        raise BadMessage("the message is no JSON object")
    if not isinstance(message.get("type"), str):
        raise BadMessage("the member type is missing or no string", "type")
    return message


Tag = Annotated[str, Field(pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$")]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class AudioRequest(Strict):
    encoding: Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus"] | None = None
    sample_rate_hz: Annotated[int, Field(ge=1)] | None = None
    channels: Annotated[int, Field(ge=1)] | None = None


class EndpointingRequest(Strict):
    mode: Literal["vad", "none"] | None = None
    silence_ms: Annotated[int, Field(ge=1, le=60_000)] | None = None
    max_segment_ms: Annotated[int, Field(ge=1_000, le=600_000)] | None = None


class ConfigRequest(Strict):
    audio: AudioRequest | None = None
    endpointing: EndpointingRequest | None = None
    interim_results: bool | None = None
    language: Tag | None = None
    languages: list[Tag] | None = None
    keyterms: list[str] | None = None
    words: bool | None = None
    vad_events: bool | None = None
    model: str | None = None
    task: Literal["transcribe", "translate"] | None = None
    token: str | None = None
    required: list[str] | None = None
    sample_rate: None = None
    sample_rate_hz: None = None
    encoding: None = None
    channels: None = None


NOT_SERVED = ("language", "languages", "keyterms", "words", "vad_events")
PATHS = {name for name in ConfigRequest.model_fields if name not in {"sample_rate", *AudioRequest.model_fields}}
PATHS |= {f"audio.{name}" for name in AudioRequest.model_fields}
PATHS |= {f"endpointing.{name}" for name in EndpointingRequest.model_fields}


def effective_config(message):
    """What is in force for a `config`, and what of it is ignored.

    Raises Fatal.
    """
    try:
        asked = ConfigRequest.model_validate({name: value for name, value in message.items() if name != "type"})
    except ValidationError as error:
        path = ".".join(part for part in error.errors()[0]["loc"] if isinstance(part, str) and part[:1].islower())
        raise Fatal("invalid_config", f"{path} has a wrong type or an impossible value", path) from None
    audio, endpointing = asked.audio or AudioRequest(), asked.endpointing or EndpointingRequest()
    for name, served in (("encoding", "pcm_s16le"), ("sample_rate_hz", RATE_HZ), ("channels", 1)):
        if getattr(audio, name) not in (None, served):
            raise Fatal("unsupported_audio", f"audio.{name}: only {served} is served", f"audio.{name}")
    if asked.model not in (None, MODEL):
        raise Fatal("unknown_model", "there is no such model here", "model")
    ignored = [name for name in NOT_SERVED if getattr(asked, name)]
    if asked.task == "translate":
        ignored.append("task")
    for path in asked.required or ():
        if path not in PATHS or path in ignored:
            raise Fatal("unsupported_option", "a required option is not served", path)
    for prefix, part in (("", asked), ("audio.", audio), ("endpointing.", endpointing)):
        ignored += [prefix + name for name, value in part.model_extra.items() if value is not None and name[:2] != "x_"]
    config = {
        "audio": {"encoding": "pcm_s16le", "sample_rate_hz": RATE_HZ, "channels": 1},
        "interim_results": asked.interim_results is not False,
        "words": False,
        "vad_events": False,
        "endpointing": {
            "mode": endpointing.mode or "vad",
            "silence_ms": endpointing.silence_ms or 500,
            "max_segment_ms": endpointing.max_segment_ms or 30_000,
        },
        "model": MODEL,
        "task": "transcribe",
    }
    return config, ignored
