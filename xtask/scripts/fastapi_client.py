"""Has the mended client of the whisper-fastapi service transcribe fixture WAVs through the reference server.

The client knows nothing of Lastword. Exit code 0: it ended by itself with 0 for every file, the word error rate is within the
bound, and `POST /transcribe` heard the same.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

from reference_server import edits, references, running_server

CLIENT_S = 120
# The fixture model makes few errors on these files; a server that mangles audio makes far more.
MAX_WORD_ERROR_RATE = 0.25


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=Path, required=True, help="the lastword-server program")
    parser.add_argument("--model", type=Path, required=True, help="a model in whisper.cpp's format")
    parser.add_argument("--audio", type=Path, required=True, help="folder with WAVs and refs.tsv")
    parser.add_argument("--client", type=Path, required=True, help="the client's program")
    parser.add_argument("--files", type=int, default=6, help="how many of the files to transcribe")
    options = parser.parse_args()
    rows = references(options.audio, options.files)
    with running_server(options.server, options.model) as address:
        streamed, posted, words = 0, 0, 0
        for name, text in rows:
            path = options.audio / name
            heard = streamed_words(options.client, f"ws://{address}/ws/transcribe", path)
            whole = posted_words(f"http://{address}/transcribe", path)
            said = text.lower().split()
            streamed, posted, words = streamed + edits(said, heard), posted + edits(said, whole), words + len(said)
            print(f"{name}: {' '.join(heard)}")
    rates = (streamed / words, posted / words)
    print(f"{len(rows)} files, {words} words, word error rate {rates[0]:.1%} streamed, {rates[1]:.1%} posted")
    if max(rates) > MAX_WORD_ERROR_RATE:
        print(f"word error rate above {MAX_WORD_ERROR_RATE:.0%}", file=sys.stderr)
        return 1
    return 0


def streamed_words(client: Path, url: str, path: Path) -> list[str]:
    """What the client prints for one file. It must end by itself."""
    command = [sys.executable, client, url, "--audio", path]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_S, check=False)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the client did not end with {path.name} within {CLIENT_S} s") from None
    if ended.returncode != 0:
        raise SystemExit(f"the client ended with {ended.returncode} for {path.name}: {ended.stderr.strip()}")
    return ended.stdout.lower().split()


def posted_words(url: str, path: Path) -> list[str]:
    """What the server hears in a whole file."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=CLIENT_S) as answer:
        document = json.load(answer)
    if sorted(document) != ["duration", "language", "segments", "text"] or document["duration"] <= 0:
        raise SystemExit(f"the answer for {path.name} is not what clients of /transcribe read: {document}")
    return document["text"].lower().split()


if __name__ == "__main__":
    sys.exit(main())
