"""Lastword plugin for LiveKit Agents: speech-to-text over any server that speaks ``lastword.v1``.

``STT`` streams, and transcribes whole recordings through ``/v1/audio/transcriptions``. A stream always ends, and says
whether anything was lost.
"""

from livekit.agents import Plugin

from .log import logger
from .outcome import FlushEnded, Outcome
from .stream import BufferFullError, SpeechStream
from .stt import STT
from .version import __version__

__all__ = ["STT", "BufferFullError", "FlushEnded", "Outcome", "SpeechStream", "__version__"]


class LastwordPlugin(Plugin):
    """Registers this package with the framework."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(LastwordPlugin())
