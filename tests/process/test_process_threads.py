"""Threads take turns as often as the work needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from driftd.process.threads import set_switch_interval


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The interval afterwards is as it was before."""
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)


def test_a_waiting_thread_gets_its_turn_sooner() -> None:
    """Python's default is 5 ms."""
    set_switch_interval(0.001)
    assert sys.getswitchinterval() == pytest.approx(0.001)
