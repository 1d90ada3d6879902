"""A pytest plugin that counts the tests that ran, so that a tier that did not run does not count as passed.

`python -m tests.support.tally --require MARK FILE…` adds up the files of `--tally` and ends with the line
`N passed, N failed`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import CONTROLPLANE, TIERS

_OUTCOMES = ("passed", "failed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("driftd")
    group.addoption("--tally", type=Path, metavar="FILE", help="write how many tests ran, as JSON")
    group.addoption(
        "--require",
        action="append",
        default=[],
        choices=tuple(TIERS),
        metavar="MARK",
        help=f"fail unless tests with this mark ran and none of them was skipped ({', '.join(TIERS)})",
    )
    group.addoption(
        "--require-controlplane",
        action="append_const",
        dest="require",
        const=CONTROLPLANE,
        help=f"the same as --require {CONTROLPLANE}",
    )


class Tally:
    """Counts tests by outcome: all of them, and those of each tier."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.tiers: dict[str, Counter[str]] = {mark: Counter() for mark in TIERS}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # a test counts once by its call, or by a setup that ended it; a failed teardown counts in addition
        if report.when != "call" and report.passed:
            return
        self.all[report.outcome] += 1
        for mark, counts in self.tiers.items():
            if mark in report.keywords:
                counts[report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        file: Path | None = config.option.tally
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(self.document(), indent=2) + "\n")
        if session.exitstatus in (0, 5) and not all(_ran(self.tiers[mark]) for mark in config.option.require):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        for mark in dict.fromkeys(config.option.require):
            counts, title = self.tiers[mark], TIERS[mark].title
            terminalreporter.write_line(_summary(title, counts))
            if not _ran(counts):
                terminalreporter.write_line(f"ERROR: tests {title} must run, and none may be skipped.", red=True)

    def document(self) -> dict[str, dict[str, int]]:
        return {
            name: {outcome: counts[outcome] for outcome in _OUTCOMES}
            for name, counts in {"all": self.all, **self.tiers}.items()
        }


def _ran(counts: Mapping[str, int]) -> bool:
    return counts["passed"] + counts["failed"] > 0 and counts["skipped"] == 0


def _summary(title: str, counts: Mapping[str, int]) -> str:
    return f"{title[0].upper()}{title[1:]}: {', '.join(f'{counts[outcome]} {outcome}' for outcome in _OUTCOMES)}"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # under xdist only the process that collects the reports counts
        config.pluginmanager.register(Tally(), "driftd-tally")


def add_up(files: Sequence[Path], required: Collection[str]) -> int:
    """Print the sum of these tallies.

    Returns: 1 where a tally is missing or empty, a test failed, or a required tier did not run or was skipped in part.
    """
    total: Counter[str] = Counter()
    tiers: dict[str, Counter[str]] = {mark: Counter() for mark in TIERS}
    complete = True
    for file in files:
        if not file.exists():
            print(f"{file} is missing: those tests did not run.")
            complete = False
            continue
        tally = json.loads(file.read_text())
        complete = complete and sum(tally["all"].values()) > 0
        total.update(tally["all"])
        for mark, counts in tiers.items():
            counts.update(tally[mark])
    for mark in required:
        if not _ran(tiers[mark]):
            print(f"Required, but not run in full: {_summary(TIERS[mark].title, tiers[mark])}")
            complete = False
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}", flush=True)
    return 0 if complete and not total["failed"] else 1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.tally")
    parser.add_argument("--require", action="append", default=[], choices=tuple(TIERS), metavar="MARK")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    return add_up(options.files, options.require)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
