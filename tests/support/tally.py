"""A pytest plugin that counts what ran, so that a tier which did not run cannot pass for one that passed.

`python -m tests.support.tally FILE…` adds up what `--tally` wrote and ends with the line `N passed, N failed`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import POSTGRESQL, TIER

_OUTCOMES = ("passed", "failed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("driftd")
    group.addoption("--tally", type=Path, metavar="FILE", help="write how many tests ran, as JSON")
    group.addoption(
        "--require-controlplane",
        action="store_true",
        help="fail unless tests on the real control plane ran and none of them was skipped",
    )


class Tally:
    """Counts tests by outcome: all of them, those of the control plane's tier, and those on PostgreSQL."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.tier: Counter[str] = Counter()
        self.postgresql: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # a test counts by its call; its set-up counts when that is where it ended, its teardown when that broke
        if report.when != "call" and report.passed:
            return
        self.all[report.outcome] += 1
        if TIER in report.keywords:
            self.tier[report.outcome] += 1
        if POSTGRESQL in report.keywords:
            self.postgresql[report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        file: Path | None = config.option.tally
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(self.document(), indent=2) + "\n")
        if config.option.require_controlplane and not self.tier_ran and session.exitstatus in (0, 5):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if not config.option.require_controlplane:
            return
        counts = ", ".join(f"{self.tier[outcome]} {outcome}" for outcome in _OUTCOMES)
        terminalreporter.write_line(f"On the real control plane: {counts}")
        if not self.tier_ran:
            terminalreporter.write_line(
                "ERROR: tests on the real control plane must run, and none may be skipped.", red=True
            )

    @property
    def tier_ran(self) -> bool:
        return self.tier["passed"] + self.tier["failed"] > 0 and self.tier["skipped"] == 0

    def document(self) -> dict[str, dict[str, int]]:
        return {
            "all": {outcome: self.all[outcome] for outcome in _OUTCOMES},
            TIER: {outcome: self.tier[outcome] for outcome in _OUTCOMES},
            POSTGRESQL: {outcome: self.postgresql[outcome] for outcome in _OUTCOMES},
        }


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # under xdist only the one that collects the reports counts
        config.pluginmanager.register(Tally(), "driftd-tally")


def add_up(files: Sequence[Path]) -> int:
    """Print the sum of these tallies; 1 where one is missing or empty, one failed, or a required part was not run."""
    total: Counter[str] = Counter()
    parts: dict[str, Counter[str]] = {TIER: Counter(), POSTGRESQL: Counter()}
    sound = True
    for file in files:
        if not file.exists():
            print(f"{file} is missing: those tests did not run.")
            sound = False
            continue
        counts = json.loads(file.read_text())
        sound = sound and sum(counts["all"].values()) > 0
        total.update(counts["all"])
        for part, sums in parts.items():
            sums.update(counts.get(part, {}))
    for part, title in ((TIER, "the real control plane"), (POSTGRESQL, "PostgreSQL")):
        ran, left_out = parts[part]["passed"] + parts[part]["failed"], parts[part]["skipped"]
        if ran == 0 or left_out:
            print(f"On {title} {ran} tests ran, {left_out} were skipped.")
            sound = False
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}", flush=True)
    return 0 if sound and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(add_up([Path(file) for file in sys.argv[1:]]))
