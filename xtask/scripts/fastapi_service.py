"""Certifies the whisper-fastapi service in its dialect, as it was and mended, and looks at what the harness makes of both.

Exit code 0: the mended one keeps everything that its wire can show, of the other exactly its faults are named and laid to it,
and both certificates hold.
"""

import argparse
import sys
from pathlib import Path

from certified import certify, holds, new_file

CERTIFY_S = 600
# It takes frames after the end and drops them, and tells its client the text of an exception.
FAULTS = ["END-S4", "SEC-S4"]


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", type=Path, required=True, help="the lastword program")
    parser.add_argument("--service", type=Path, required=True, help="the service's program")
    parser.add_argument("--certificates", type=Path, required=True, help="the folder for the certificates")
    options = parser.parse_args()
    wrong = 0
    for what, more, exit_code, broken in (("mended", [], 0, []), ("as it was", ["--as-it-was"], 1, FAULTS)):
        certificate = new_file(options.certificates / f"service-{what.replace(' ', '-')}.cert")
        words = ["--no-transcripts", "--dialect", "whisper-fastapi", "--certificate", certificate]
        service = [sys.executable, options.service, "{port}", "--cost-ms", "200", *more]
        code, report = certify(options.harness, "server", words, service, CERTIFY_S)
        found = sorted({one["id"] for one in report["requirements"] if one["verdict"] in GRAVE})
        blamed = {
            (finding["requirement"], finding["culprit"])
            for case in report["cases"]
            if case["failed"]
            for finding in case["findings"]
        }
        level = report["level"].get("level") or "not certified"
        told = ", ".join(f"{culprit}'s {requirement}" for requirement, culprit in sorted(blamed))
        print(f"{what}: exit code {code}, {level}, broken: {told or 'nothing'}")
        wrong += (code, found, blamed) != (exit_code, broken, {(requirement, "server") for requirement in broken})
        wrong += not holds(options.harness, certificate, report)
    return int(wrong > 0)


GRAVE = {"FAIL", "DEADLOCK", "LIVELOCK", "HUNG"}


if __name__ == "__main__":
    sys.exit(main())
