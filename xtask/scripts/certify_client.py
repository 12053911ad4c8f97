"""Certifies a client and holds the verdicts to what is expected, case by case, for it and for broken copies of it.

Everything after `--` is the command of its driver, or at level 0 of the program itself, with the places of the harness in it;
`--mutant NAME` behind it, or what `--breaks-with` says, runs a broken copy. Exit code 0: every case passes but those of
`--open`, every broken copy fails the case meant for it with the requirement that it breaks, nobody but the client is blamed,
further runs bring the same verdicts, and the certificate holds.
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from certified import certify, holds, new_file

CERTIFY_S = 900
# Why a case that only a driver can show says nothing at level 0.
FOR_DRIVERS = "only a driver can show it"


def main() -> int:
    """Runs the whole check and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", type=Path, required=True, help="the lastword program")
    parser.add_argument("--cases", type=int, required=True, help="how many cases there are")
    parser.add_argument("--level", type=int, choices=[0, 1], default=1, help="1: by a driver; 0: the program by itself")
    parser.add_argument("--open", action="append", default=[], help="a case that is NOT_TESTED, whatever the client does")
    parser.add_argument("--not-applicable", type=int, default=0, help="how many cases the client's dialect has nothing of")
    parser.add_argument("--dialect", help="what the client speaks, where it is not version 1")
    parser.add_argument("--runs", type=int, default=1, help="how often all cases run")
    parser.add_argument("--at-once", type=int, default=1, help="how many of those runs stand side by side")
    parser.add_argument("--jobs", type=int, default=4, help="how many clients run side by side")
    parser.add_argument("--broken", action="append", default=[], metavar="NAME:CASE:ID", help="a broken copy")
    parser.add_argument("--breaks-with", default="--mutant {name}", help="what is added to the command for a broken copy")
    parser.add_argument("--broken-runs", type=int, default=1, help="how often each broken copy runs")
    parser.add_argument("--broken-all", action="store_true", help="broken copies run all cases")
    parser.add_argument("--only", action="append", default=[], help="run only this case, broken copies also theirs")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="where the certificate of the right one is kept")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    certified = Certified(options)
    is_right = certified.right()
    with ThreadPoolExecutor(max(options.jobs, options.at_once)) as pool:
        runs = [(broken, pool.submit(certified.broken, *broken)) for broken in certified.copies() * options.broken_runs]
        seen = {broken: [] for broken, _ in runs}
        for broken, run in runs:
            seen[broken].append(run.result())
    caught = [certified.is_caught(*broken, of_runs) for broken, of_runs in seen.items()]
    if caught:
        print(f"{sum(caught)} of {len(caught)} broken copies caught by name")
    return int(not is_right or not all(caught))


class Certified:
    """One client, as it is and broken."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def right(self) -> bool:
        """All cases, as often as was asked for."""
        certificate = self.options.certificate and new_file(self.options.certificate)
        kept = ["--certificate", certificate] if certificate else []
        code, report = self.certify(self.options.command, *self.chosen(), *kept)
        verdicts = vector(report)
        counts = Counter(verdicts.values())
        for_drivers = {case["id"] for case in report["cases"] if (case["reason"] or "").startswith(FOR_DRIVERS)}
        opened = {case for case, verdict in verdicts.items() if verdict == "NOT_TESTED"} - for_drivers
        passed = self.options.cases - len(self.options.open) - self.options.not_applicable - len(for_drivers)
        is_right = code == 0 and counts["PASS"] == passed and opened == set(self.options.open)
        is_right &= len(verdicts) == self.options.cases and (self.options.level == 0 or not for_drivers)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"{len(verdicts)} cases at level {self.options.level}: {told}; exit code {code}")
        for case, verdict in verdicts.items():
            if verdict not in ("PASS", "NOT_APPLICABLE") and case not in for_drivers:
                print(f"  {verdict} {case}{': unexpected' * (case not in self.options.open)}")
        if self.options.runs > 1:
            with ThreadPoolExecutor(self.options.at_once) as pool:
                runs = [pool.submit(self.certify, self.options.command, *self.chosen()) for _ in range(self.options.runs - 1)]
            others = [vector(run.result()[1]) for run in runs]
            is_right &= are_equal("", [verdicts, *others])
        return is_right and (not certificate or holds(self.options.harness, certificate, report))

    def copies(self) -> list[tuple[str, str, str]]:
        """The broken copies: name, case and requirement of each."""
        return [tuple(broken.split(":")) for broken in self.options.broken]

    def broken(self, name: str, case: str, requirement: str) -> tuple[int, dict]:
        """One run of a broken copy: all cases, or the one that is meant for it and those that were chosen."""
        del requirement
        only = [] if self.options.broken_all else ["--only", case, *self.chosen()]
        fault = self.options.breaks_with.replace("{name}", name).split()
        return self.certify([*self.options.command, *fault], *only)

    def is_caught(self, name: str, case: str, requirement: str, runs: list[tuple[int, dict]]) -> bool:
        """Whether the case failed each time by what the client broke, and by nobody else's fault."""
        is_caught = True
        for code, report in runs:
            failed = [finding for one in report["cases"] if one["failed"] for finding in one["findings"]]
            meant = [one for one in report["cases"] if one["id"] == case and one["failed"]]
            found = sorted({(finding["requirement"], finding["culprit"]) for one in meant for finding in one["findings"]})
            is_named = code == 1 and (requirement, "client") in found
            is_named &= all(finding["culprit"] == "client" for finding in failed)
            if not is_named or report is runs[0][1]:
                how = "caught" if is_named else f"NOT CAUGHT (exit code {code})"
                told = ", ".join(f"{culprit}'s {broken}" for broken, culprit in found)
                print(f"{name}: {how} in {case}, client's {requirement} of {told or 'nothing'}")
            is_caught &= is_named
        vectors = [vector(report) for _, report in runs]
        return is_caught and (len(runs) == 1 or are_equal(f"{name}: ", vectors))

    def chosen(self) -> list[str]:
        """The options for the cases that were asked for."""
        return [word for case in self.options.only for word in ("--only", case)]

    def certify(self, command: list[str], *more: str | Path) -> tuple[int, dict]:
        """The exit code and the report of one certification."""
        words = [*more, "--jobs", str(self.options.jobs)]
        words += ["--driver"] if self.options.level == 1 else []
        words += ["--dialect", self.options.dialect] if self.options.dialect else []
        return certify(self.options.harness, "client", words, command, CERTIFY_S)


def vector(report: dict) -> dict[str, str]:
    """The verdict of every case."""
    return {case["id"]: case["verdict"] for case in report["cases"]}


def are_equal(whose: str, vectors: list[dict[str, str]]) -> bool:
    """Whether all runs brought what the first one did; says how many, and what differs."""
    first = vectors[0]
    equal = sum(other == first for other in vectors)
    print(f"{whose}{len(vectors)} runs: {equal} equal verdict vectors")
    for at, other in enumerate(vectors[1:], 2):
        for case in sorted(first.keys() | other.keys()):
            if first.get(case) != other.get(case):
                print(f"  run {at}: {other.get(case)} {case}, not {first.get(case)}")
    return equal == len(vectors)


if __name__ == "__main__":
    sys.exit(main())
