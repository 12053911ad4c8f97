"""Starts and ends the real ``lastword-server``, and reads the fixtures as LiveKit's frames."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

from livekit import rtc

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "fixtures"


def program() -> Path:
    """The server to test against."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    path = Path(os.environ.get("LASTWORD_SERVER", target / "debug" / "lastword-server"))
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: cargo build -p lastword-server, or name it in LASTWORD_SERVER")
    return path


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[str]:
    """A server on a port that the system chose; gives its WebSocket URL, and ends it."""
    command = [str(program()), "--listen", "127.0.0.1:0", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        # It says where it listens once it does; if it dies instead, the pipe ends.
        line = server.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"{' '.join(command)} did not start: {line!r}")
        yield line.split()[2]
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise
        finally:
            assert server.stdout is not None
            server.stdout.close()


def frames(path: Path, frame_ms: int = 20) -> list[rtc.AudioFrame]:
    """A WAV of 16 bits as frames; the last one is as long as what is left."""
    with wave.open(str(path), "rb") as wav:
        assert wav.getsampwidth() == 2
        rate, channels, audio = wav.getframerate(), wav.getnchannels(), wav.readframes(wav.getnframes())
    step = rate * frame_ms // 1_000 * channels * 2
    pieces = [audio[at : at + step] for at in range(0, len(audio), step)]
    return [rtc.AudioFrame(piece, rate, channels, len(piece) // (2 * channels)) for piece in pieces]


def heard(name: str) -> str:
    """What the fixture model says to a recording, by the table beside it."""
    with (FIXTURES / "wavs" / "refs.tsv").open(encoding="utf-8", newline="") as table:
        return next(row[3] for row in csv.reader(table, delimiter="\t") if row and row[0] == name)
