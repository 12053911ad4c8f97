"""What the checks with foreign clients share: a reference server that runs for as long as it is needed, and what was said.

Owns the start and the end of the server it is given.
"""

import contextlib
import csv
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

START_S = 120


def references(audio: Path, files: int) -> list[tuple[str, str]]:
    """The names of the first WAVs of a folder, and what is said in each."""
    with (audio / "refs.tsv").open(encoding="utf-8", newline="") as table:
        rows = [(row[0], row[1]) for row in csv.reader(table, delimiter="\t") if row and row[0].endswith(".wav")]
    if not rows:
        raise SystemExit(f"{audio / 'refs.tsv'} names no WAV")
    return rows[:files]


@contextlib.contextmanager
def running_server(program: Path, model: Path):
    """Starts the server on a free loopback port, gives its address, and ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen([program, "--listen", address, "--recognizer", "whisper", "--model", model])
    try:
        wait_until_healthy(server, f"http://{address}/healthz")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise SystemExit("the server did not end within 20 s of SIGTERM") from None


def wait_until_healthy(server: subprocess.Popen, url: str) -> None:
    """Returns once the server answers; fails if it exits or stays silent."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the server exited with {server.returncode} before it was ready")
        with contextlib.suppress(OSError), opener.open(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"no answer from {url} within {START_S} s")


def edits(reference: list[str], heard: list[str]) -> int:
    """The least number of words to insert, delete or replace to come from one to the other."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (wanted != got))
    return row[-1]
