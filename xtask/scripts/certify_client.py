"""Certifies a client through its driver and holds the verdicts to what is expected, case by case.

Everything after `--` is the command of the driver; `--mutant NAME` behind it drives a broken copy of the client.
Exit code 0: every case passes but those of `--open`, every broken copy fails the case meant for it with the requirement
that it breaks, and further runs bring the same verdicts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CERTIFY_S = 900


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", type=Path, required=True, help="the lastword program")
    parser.add_argument("--cases", type=int, required=True, help="how many cases there are")
    parser.add_argument("--open", action="append", default=[], help="a case that is NOT_TESTED, whatever the client does")
    parser.add_argument("--not-applicable", type=int, default=0, help="how many cases the client's dialect has nothing of")
    parser.add_argument("--dialect", help="what the client speaks, where it is not version 1")
    parser.add_argument("--runs", type=int, default=1, help="how often all cases run")
    parser.add_argument("--jobs", type=int, default=4, help="how many clients run side by side")
    parser.add_argument("--broken", action="append", default=[], metavar="NAME:CASE:ID", help="a broken copy")
    parser.add_argument("--only", action="append", default=[], help="run only this case; may be given more than once")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    certified = Certified(options)
    is_right = certified.right()
    with ThreadPoolExecutor(options.jobs) as pool:
        caught = list(pool.map(lambda broken: certified.broken(*broken.split(":")), options.broken))
    if caught:
        print(f"{sum(caught)} of {len(caught)} broken copies caught by name")
    return int(not is_right or not all(caught))


class Certified:
    """One client, as it is and broken."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def right(self) -> bool:
        """All cases, as often as was asked for."""
        only = [word for case in self.options.only for word in ("--only", case)]
        code, report = self.certify(self.options.command, *only)
        verdicts = vector(report)
        counts = Counter(verdicts.values())
        opened = {case for case, verdict in verdicts.items() if verdict == "NOT_TESTED"}
        passed = self.options.cases - len(self.options.open) - self.options.not_applicable
        is_right = code == 0 and counts["PASS"] == passed and opened == set(self.options.open)
        is_right &= len(verdicts) == self.options.cases
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"{len(verdicts)} cases at level 1: {told}; exit code {code}")
        for case, verdict in verdicts.items():
            if verdict not in ("PASS", "NOT_APPLICABLE"):
                print(f"  {verdict} {case}{': unexpected' * (case not in self.options.open)}")
        if self.options.runs > 1:
            others = [vector(self.certify(self.options.command, *only)[1]) for _ in range(self.options.runs - 1)]
            equal = 1 + sum(other == verdicts for other in others)
            print(f"{self.options.runs} runs: {equal} equal verdict vectors")
            for at, other in enumerate(others, 2):
                for case in sorted(verdicts.keys() | other.keys()):
                    if verdicts.get(case) != other.get(case):
                        print(f"  run {at}: {other.get(case)} {case}, not {verdicts.get(case)}")
            is_right &= equal == self.options.runs
        return is_right

    def broken(self, name: str, case: str, requirement: str) -> bool:
        """The case that is meant for a broken copy, which must fail with its requirement."""
        code, report = self.certify([*self.options.command, "--mutant", name], "--only", case)
        failed = [one for one in report["cases"] if one["id"] == case and one["failed"]]
        found = sorted({finding["requirement"] for one in failed for finding in one["findings"]})
        is_caught = code == 1 and requirement in found
        how = "caught" if is_caught else "NOT CAUGHT"
        print(f"{name}: {how} in {case}, {requirement} of {', '.join(found) or 'nothing'}")
        return is_caught

    def certify(self, command: list[str], *more: str) -> tuple[int, dict]:
        """The exit code and the report of one certification."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            whole = [self.options.harness, "certify", "client", "--quiet", "--driver", *more, "--json", report]
            whole += ["--dialect", self.options.dialect] if self.options.dialect else []
            whole += ["--jobs", str(self.options.jobs), "--", *command]
            ended = subprocess.run(whole, capture_output=True, text=True, timeout=CERTIFY_S, check=False)
            if not report.exists():
                raise SystemExit(f"the harness left no report: {ended.stderr}")
            if ended.returncode not in (0, 1):
                print(ended.stdout, file=sys.stderr)
            return ended.returncode, json.loads(report.read_text(encoding="utf-8"))


def vector(report: dict) -> dict[str, str]:
    """The verdict of every case."""
    return {case["id"]: case["verdict"] for case in report["cases"]}


if __name__ == "__main__":
    sys.exit(main())
