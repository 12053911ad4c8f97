"""Transcribes the fixture WAVs with PyPI's openai client against the reference server, and holds the words to account.

Owns the start and the end of the server it is given. It knows nothing of Lastword's own protocol: it speaks HTTP only.
Exit code 0: every answer was well formed and the word error rate is within the bound.
"""

import argparse
import contextlib
import csv
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import openai

START_S = 120
REQUEST_S = 60
# The fixture model makes about 2 % errors on these files; a server that mangles audio makes far more.
MAX_WORD_ERROR_RATE = 0.15


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=Path, required=True, help="the lastword-server program")
    parser.add_argument("--model", type=Path, required=True, help="a model in whisper.cpp's format")
    parser.add_argument("--audio", type=Path, required=True, help="folder with WAVs and refs.tsv")
    parser.add_argument("--files", type=int, default=20, help="how many of the files to transcribe")
    options = parser.parse_args()

    with (options.audio / "refs.tsv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.reader(table, delimiter="\t") if row and row[0].endswith(".wav")]
    rows = rows[: options.files]
    if not rows:
        print(f"{options.audio / 'refs.tsv'} names no WAV", file=sys.stderr)
        return 1

    with running_server(options.server, options.model) as address:
        client = openai.OpenAI(
            base_url=f"http://{address}/v1",
            api_key="unused",
            timeout=REQUEST_S,
            max_retries=0,
            # A proxy of the environment is not to come between us and the loopback.
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        errors = words = 0
        for name, text, *_ in rows:
            heard = transcribe(client, options.audio / name)
            reference = text.lower().split()
            errors += edits(reference, heard.lower().split())
            words += len(reference)
            print(f"{name}: {heard}")
        check_verbose(client, options.audio / rows[0][0])

    rate = errors / words
    print(f"openai {openai.__version__}: {len(rows)} files, {words} words, word error rate {rate:.1%}")
    if rate > MAX_WORD_ERROR_RATE:
        print(f"word error rate above {MAX_WORD_ERROR_RATE:.0%}", file=sys.stderr)
        return 1
    return 0


def transcribe(client: openai.OpenAI, path: Path) -> str:
    """The text of one file, asked for in the default format."""
    with path.open("rb") as wav:
        return client.audio.transcriptions.create(model="whisper-1", file=wav).text


def check_verbose(client: openai.OpenAI, path: Path) -> None:
    """The detailed format: a duration, segments in order, and their text together."""
    with path.open("rb") as wav:
        answer = client.audio.transcriptions.create(model="whisper-1", file=wav, response_format="verbose_json")
    segments = answer.segments or []
    times = [moment for segment in segments for moment in (segment.start, segment.end)]
    together = " ".join(" ".join(segment.text for segment in segments).split())
    if float(answer.duration) <= 0 or not segments or times != sorted(times) or together != " ".join(answer.text.split()):
        raise SystemExit(f"verbose_json of {path.name} is not consistent: {answer!r}")


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


if __name__ == "__main__":
    sys.exit(main())
