"""The plugin's driver for ``lastword certify client --driver -- python driver.py [options]``."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "conformance" / "drivers" / "python"))
from lastword_driver import run  # type: ignore[import-not-found]


class Plugin:
    """Says hello at once; the framework, which takes seconds to be imported, is wanted with the first call."""

    def __init__(self, mutant: str | None, max_retry: int) -> None:
        self._how = mutant, max_retry
        self._driven: Any = None

    def __getattr__(self, call: str) -> Any:
        if self._driven is None:
            from driven import Driven

            self._driven = Driven(*self._how)
        return getattr(self._driven, call)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutant", metavar="NAME", help="drive a broken copy of the plugin (mutants.py)")
    parser.add_argument("--max-retry", metavar="N", type=int, default=3, help="how often to dial again")
    options = parser.parse_args()
    names = (f"{name} {version(name)}" for name in ("livekit-plugins-lastword", "livekit-agents"))
    run(Plugin(options.mutant, options.max_retry), " on ".join(names))
