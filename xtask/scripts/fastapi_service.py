"""Certifies the whisper-fastapi service in its dialect, as it was and mended, and looks at what the harness makes of both.

Exit code 0: the mended one keeps everything that its wire can show, and of the other exactly its faults are named.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CERTIFY_S = 600
# It takes frames after the end and drops them, and tells its client the text of an exception.
FAULTS = ["END-S4", "SEC-S4"]


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", type=Path, required=True, help="the lastword program")
    parser.add_argument("--service", type=Path, required=True, help="the service's program")
    options = parser.parse_args()
    wrong = 0
    for what, more, exit_code, broken in (("mended", [], 0, []), ("as it was", ["--as-it-was"], 1, FAULTS)):
        code, report = certify(options.harness, [sys.executable, options.service, "{port}", "--cost-ms", "200", *more])
        found = sorted({one["id"] for one in report["requirements"] if one["verdict"] in GRAVE})
        level = report["level"].get("level") or "not certified"
        print(f"{what}: exit code {code}, {level}, broken: {', '.join(found) or 'nothing'}")
        wrong += (code, found) != (exit_code, broken)
    return int(wrong > 0)


GRAVE = {"FAIL", "DEADLOCK", "LIVELOCK", "HUNG"}


def certify(harness: Path, service: list) -> tuple[int, dict]:
    """The exit code and the report of one certification."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [harness, "certify", "server", "--quiet", "--no-transcripts", "--dialect", "whisper-fastapi"]
        command += ["--json", report, "--", *service]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=CERTIFY_S, check=False)
        if not report.exists():
            raise SystemExit(f"the harness left no report: {ended.stderr}")
        return ended.returncode, json.loads(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
