"""Deselects the tests that need what lies beside the checkout and is missing, and reports their number."""

from __future__ import annotations

import os
from typing import Any

import pytest


def deselect_unless_required(config: pytest.Config, mark: str, title: str, missing: str | None) -> None:
    """To be called by a plugin's `pytest_configure`: deselects the tests with a mark where something is `missing`.

    `title` completes "NOT RUN: 5 tests". With CI=true or `--require MARK` they are kept, to fail.
    """
    required = os.environ.get("CI") == "true" or mark in config.getoption("require", [])
    if missing is not None and not required:
        config.pluginmanager.register(_Deselection(mark, title, missing), f"driftd-{mark}")


class _Deselection:
    def __init__(self, mark: str, title: str, reason: str) -> None:
        self._mark = mark
        self._title = title
        self._reason = reason
        self._count = 0

    @property
    def _key(self) -> str:
        """The key of the number of deselected tests in the output of an xdist worker."""
        return f"deselected_{self._mark}"

    @pytest.hookimpl(trylast=True)  # after `-m` and `-k`
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        deselected = [item for item in items if item.get_closest_marker(self._mark)]
        if not deselected:
            return
        self._count = len(deselected)
        items[:] = [item for item in items if not item.get_closest_marker(self._mark)]
        config.hook.pytest_deselected(items=deselected)
        if hasattr(config, "workeroutput"):
            config.workeroutput[self._key] = self._count

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Every xdist worker collects all tests, so the count of one is the total."""
        self._count = max(self._count, getattr(node, "workeroutput", {}).get(self._key, 0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._count:
            terminalreporter.write_line(f"NOT RUN: {self._count} tests {self._title}: {self._reason}.", yellow=True)
