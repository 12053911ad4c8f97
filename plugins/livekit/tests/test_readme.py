"""What the README shows is what works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutants
import pytest
from lastword_server import FIXTURES, frames

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = [block.split("```")[0] for block in README.split("```python\n")[1:]]


def _run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    return names


async def test_the_agent_is_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[dict[str, Any]] = []

    class Context:
        room = None

    names = _run(EXAMPLES[0])
    real = names["AgentSession"]

    class Session(real):  # type: ignore[misc, valid-type]
        def __init__(self, **options: Any) -> None:
            # What the language model and the voice are is not this plugin's to know, and asks for keys.
            sessions.append(options)
            super().__init__(**{name: value for name, value in options.items() if name not in ("llm", "tts")})

        async def start(self, **_options: Any) -> None:
            pass

    names["AgentSession"] = Session
    await names["entrypoint"](Context())
    assert sessions[0]["stt"].provider == "Lastword"


async def test_the_recording_is_transcribed(scripted_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTWORD_URL", scripted_url)
    text = await _run(EXAMPLES[1])["transcribe"](frames(FIXTURES / "wavs" / "plain-0081.wav"))
    assert text.split()


def test_the_number_of_broken_copies_is_the_one_told() -> None:
    assert f"catch {len(mutants.ALL)} broken copies" in README
