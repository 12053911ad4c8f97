"""What the checks that certify share: one certification with its report, and its certificate held against it.

Owns the command line of the harness up to the subject. It must not know which verdicts are expected.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

VERIFY_S = 60
# Of a case that was judged again; what was not run stands in no trace.
JUDGED_AGAIN = re.compile(r"traces of (\d+) cases were judged again to the same verdicts: (\d+) passed, (\d+) failed")


def certify(harness: Path, role: str, words: list, subject: list, limit_s: int) -> tuple[int, dict]:
    """The exit code and the report of one certification; `words` are the options behind the role."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [harness, "certify", role, "--quiet", *words, "--json", report, "--", *subject]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        if not report.exists():
            raise SystemExit(f"the harness left no report: {ended.stderr}")
        if ended.returncode not in (0, 1):
            print(ended.stdout, file=sys.stderr)
        return ended.returncode, json.loads(report.read_text(encoding="utf-8"))


def holds(harness: Path, certificate: Path, report: dict) -> bool:
    """Whether `lastword verify` comes, without the subject, to as many cases passed and failed as the report."""
    command = [harness, "verify", certificate]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_S, check=False)
    found = JUDGED_AGAIN.search(ended.stdout)
    counts = report["counts"]
    said = (len(report["cases"]), counts["pass"] + counts["non_strict"], counts["failed"] + counts["known"])
    is_same = ended.returncode == 0 and found is not None and tuple(map(int, found.groups())) == said
    if is_same:
        print(f"{certificate.name}: verified, {said[1]} of {said[0]} cases passed and {said[2]} failed, as in the run")
    else:
        print(f"{certificate.name}: NOT VERIFIED, the run said {said}: {ended.stdout}{ended.stderr}")
    return is_same


def new_file(path: Path) -> Path:
    """The path, with a folder and without a file that an earlier run left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path
