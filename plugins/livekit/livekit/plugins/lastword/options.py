"""What an application asks for, and where. Owns the addresses, the credential and the ``config`` message.

A credential goes into the ``Authorization`` header or into ``config.token``, and nowhere else. Spec: SEC-C1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from .queue import SAMPLE_RATE_HZ

LISTEN_PATH = "/v1/listen"
TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"


@dataclass(frozen=True)
class Options:
    """One server and what to ask of it. Its ``repr`` shows no credential."""

    url: str
    batch_url: str
    token: str | None = field(repr=False)
    auth: Literal["header", "config"]
    language: str | None
    model: str | None
    interim_results: bool
    words: bool
    vad_events: bool
    endpointing: Literal["vad", "none"]
    silence_ms: int | None
    max_segment_ms: int | None
    keyterms: tuple[str, ...]
    buffer_s: float

    @property
    def host(self) -> str:
        """The server for an error text: no path, no query, no credential."""
        return urlsplit(self.url).netloc

    def headers(self, *, always: bool = False) -> dict[str, str]:
        """The headers of a request; ``always`` where there is no ``config`` to carry the credential."""
        if self.token is None or (self.auth == "config" and not always):
            return {}
        return {"Authorization": f"Bearer {self.token}"}

    def config(self) -> dict[str, Any]:
        """The members of the ``config`` message; those that are ``None`` are not sent."""
        endpointing = {
            "mode": self.endpointing,
            "silence_ms": self.silence_ms,
            "max_segment_ms": self.max_segment_ms,
        }
        return {
            "audio": {"encoding": "pcm_s16le", "sample_rate_hz": SAMPLE_RATE_HZ, "channels": 1},
            "language": self.language,
            "model": self.model,
            "interim_results": self.interim_results,
            "words": self.words,
            "vad_events": self.vad_events,
            "endpointing": {name: value for name, value in endpointing.items() if value is not None},
            "keyterms": list(self.keyterms) or None,
            "token": self.token if self.auth == "config" else None,
        }

    def redact(self, text: str) -> str:
        """``text`` of a server's without the credential, should the server repeat it."""
        return text.replace(self.token, "[credential]") if self.token else text


def listen_url(url: str) -> str:
    """The address of the WebSocket: ``http`` becomes ``ws``, and an address without a path gets the usual one.

    Raises ``ValueError``, which repeats nothing of a URL that may hold a credential.
    """
    parts = _split(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit(parts._replace(scheme=scheme, path=parts.path if parts.path.strip("/") else LISTEN_PATH))


def transcriptions_url(url: str) -> str:
    """The address for whole recordings beside that of the WebSocket."""
    parts = _split(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, TRANSCRIPTIONS_PATH, "", ""))


def batch_url(url: str) -> str:
    """An address for whole recordings that was given."""
    parts = _split(url)
    return urlunsplit(parts._replace(scheme={"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname) and parts.port != 0
        has_credential = parts.username is not None or parts.password is not None
    except ValueError:
        # Its text repeats what it could not read, which may be a password in the wrong place.
        is_fit, has_credential = False, False
    if not is_fit:
        raise ValueError("the URL must be ws://host[:port]/path, wss://, http:// or https://")
    if has_credential:
        raise ValueError("the URL holds a credential: give it as `token` instead")
    return parts
