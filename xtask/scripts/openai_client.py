"""Transcribes the fixture WAVs with PyPI's openai client against the reference server, and holds the words to account.

It knows nothing of Lastword's own protocol: it speaks HTTP only.
Exit code 0: every answer was well formed and the word error rate is within the bound.
"""

import argparse
import sys
from pathlib import Path

import openai

from reference_server import edits, references, running_server

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

    rows = references(options.audio, options.files)
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
        for name, text in rows:
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


if __name__ == "__main__":
    sys.exit(main())
