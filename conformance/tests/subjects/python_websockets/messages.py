"""What arrives: strict reading of control messages (section 9.1) and the check of `config` (section 2)."""

import json
import math
import re

RATE_HZ = 16_000
MODEL = "stand-in"
ENCODINGS = {"pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus"}


class BadMessage(Exception):
    """A text message that is no well-formed control message; `param` names the member at fault, if there is one."""

    def __init__(self, reason, param=None):
        super().__init__(reason)
        self.param = param


def parse_message(text):
    """The object in a text message, which is I-JSON within the limits of section 9.1 and has a string `type`."""
    try:
        hooks = {"parse_int": integer, "parse_float": number, "parse_constant": refuse}
        message = json.loads(text, object_pairs_hook=unique, **hooks)
        check_strings_and_depth(message, 1)
    except (ValueError, RecursionError):
        raise BadMessage("the message is not I-JSON within the limits of section 9.1") from None
    if type(message) is not dict:
        raise BadMessage("the message is not a JSON object")
    if type(message.get("type")) is not str:
        raise BadMessage("the member type is missing or is not a string", "type")
    return message


def unique(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name appears twice")
    return members


def integer(digits):
    if len(digits) > 17 or abs(int(digits)) > 2**53 - 1:
        raise ValueError("an integer is out of range")
    return int(digits)


def number(digits):
    if not math.isfinite(value := float(digits)):
        raise ValueError("a number is out of range")
    return value


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def check_strings_and_depth(value, depth):
    if isinstance(value, str):
        value.encode()  # A lone surrogate raises UnicodeEncodeError, which is a ValueError.
    elif isinstance(value, (dict, list)):
        if depth > 16:
            raise ValueError("nesting is deeper than 16")
        for inner in value:
            check_strings_and_depth(inner, depth + 1)
        if isinstance(value, dict):
            for inner in value.values():
                check_strings_and_depth(inner, depth + 1)


def member(message, name, kind, required=False, possible=lambda value: True):
    """A member of a control message other than `config`; null means absent."""
    value = message.get(name)
    if value is None and not required:
        return None
    if type(value) is not kind or not possible(value):
        raise BadMessage(f"the member {name} is missing or wrong", name)
    return value


class Refused(Exception):
    """A `config` that is answered with a fatal error."""

    def __init__(self, code, message, param=None):
        super().__init__(message)
        self.code, self.param = code, param


AUDIO_MEMBERS = {"encoding", "sample_rate_hz", "channels"}
ENDPOINTING_MEMBERS = {"mode", "silence_ms", "max_segment_ms"}
MISPLACED = ("sample_rate", "sample_rate_hz", "encoding", "channels")
NOT_SERVED = {"language", "languages", "keyterms", "words", "vad_events"}
SERVED = {"audio", "endpointing", "model", "task", "interim_results", "token", "required"}
SERVED_PATHS = SERVED | {f"audio.{n}" for n in AUDIO_MEMBERS} | {f"endpointing.{n}" for n in ENDPOINTING_MEMBERS}


def check_config(message):
    """The effective configuration and the ignored options of a `config`; raises Refused."""
    for name in MISPLACED:
        if message.get(name) is not None:
            raise Refused("invalid_config", f"{name} belongs into the object audio", name)
    audio = option(message, "audio", dict, {})
    encoding = option(audio, "audio.encoding", str, "pcm_s16le", lambda v: v in ENCODINGS)
    rate_hz = option(audio, "audio.sample_rate_hz", int, RATE_HZ, lambda v: v > 0)
    channels = option(audio, "audio.channels", int, 1, lambda v: v > 0)
    endpointing = option(message, "endpointing", dict, {})
    effective = {
        "audio": {"encoding": encoding, "sample_rate_hz": rate_hz, "channels": channels},
        "interim_results": option(message, "interim_results", bool, True),
        "words": False,
        "vad_events": False,
        "endpointing": {
            "mode": option(endpointing, "endpointing.mode", str, "vad", lambda v: v in {"vad", "none"}),
            "silence_ms": option(endpointing, "endpointing.silence_ms", int, 500, lambda v: v > 0),
            "max_segment_ms": option(endpointing, "endpointing.max_segment_ms", int, 30_000, lambda v: v >= 10),
        },
        "model": option(message, "model", str, MODEL),
        "task": "transcribe",
    }
    asked = {
        "language": option(message, "language", str, None, is_language_tag),
        "languages": option(message, "languages", list, [], lambda v: all(map(is_language_tag, v))),
        "keyterms": option(message, "keyterms", list, [], lambda v: all(type(term) is str for term in v)),
        "words": option(message, "words", bool, False),
        "vad_events": option(message, "vad_events", bool, False),
        "task": option(message, "task", str, "transcribe", lambda v: v in {"transcribe", "translate"}) == "translate",
    }
    option(message, "token", str, None)
    required = option(message, "required", list, [], lambda v: all(type(path) is str for path in v))

    for name, served in (("encoding", "pcm_s16le"), ("sample_rate_hz", RATE_HZ), ("channels", 1)):
        if effective["audio"][name] != served:
            raise Refused("unsupported_audio", "only pcm_s16le, 16000 Hz, one channel is served", f"audio.{name}")
    if effective["model"] != MODEL:
        raise Refused("unknown_model", "there is no such model here", "model")
    ignored = [name for name, value in asked.items() if value]
    for path in required:
        if path not in SERVED_PATHS or path in ignored:
            raise Refused("unsupported_option", "a required option is not served", path)
    ignored += unknown(message, SERVED | NOT_SERVED | {"type"}, "")
    ignored += unknown(audio, AUDIO_MEMBERS, "audio.") + unknown(endpointing, ENDPOINTING_MEMBERS, "endpointing.")
    return effective, ignored


def option(holder, path, kind, default, possible=lambda value: True):
    value = holder.get(path.rpartition(".")[2])
    if value is None:
        return default
    if type(value) is not kind or not possible(value):
        raise Refused("invalid_config", f"{path} has a wrong type or an impossible value", path)
    return value


def unknown(holder, known, prefix):
    return [prefix + name for name, value in holder.items() if name not in known and value is not None]


def is_language_tag(text):
    return type(text) is str and re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", text) is not None
