"""Of one app there is never more than one pass: whoever runs it holds the app's lease."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.model.errors import LeaseLost
from driftd.reconcile import leases as module
from driftd.reconcile.leases import DURATION, Leases
from driftd.store import Store


class Clocks:
    """The clock of the machine, and the one on the wall, which goes on with it and can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.ahead = timedelta(0)
        monkeypatch.setattr(module, "boottime", lambda: self.seconds)

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 8, 0, tzinfo=UTC) + timedelta(seconds=self.seconds) + self.ahead


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.fixture
async def store(tmp_path: Path, clocks: Clocks) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'history.db'}", clock=clocks.now)
    yield opened
    await opened.close()


async def test_a_lease_is_held_by_one_until_it_is_released(store: Store) -> None:
    """The other process gets the name of the holder."""
    first, second = Leases(store, "first"), Leases(store, "second")
    assert await first.acquire("web")
    assert not await second.acquire("web")
    assert second.other_holder("web") == "first"
    assert (first.holds("web"), second.holds("web")) == (True, False)
    await first.release()
    assert not first.holds("web")
    assert await second.acquire("web")


async def test_who_does_not_renew_stops_before_anybody_else_may_begin(store: Store, clocks: Clocks) -> None:
    """A process that was suspended writes nothing when it goes on."""
    first, second = Leases(store, "first"), Leases(store, "second")
    assert await first.acquire("web")
    assert not await second.acquire("web")
    clocks.seconds = DURATION.total_seconds() - 1
    assert not await second.acquire("web")
    assert not first.holds("web")
    with pytest.raises(LeaseLost):
        first.check("web")
    clocks.seconds = DURATION.total_seconds() + 1
    assert await second.acquire("web")
    assert await first.renew() == {"web"}
    assert not first.holds("web")


async def test_who_renews_keeps_it(store: Store, clocks: Clocks) -> None:
    """For as long as it likes."""
    first = Leases(store, "first")
    assert await first.acquire("web")
    for _ in range(10):
        clocks.seconds += DURATION.total_seconds() / 3
        assert await first.renew() == frozenset()
        first.check("web")


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_set_makes_no_two_holders_and_keeps_nobody_waiting(
    store: Store, clocks: Clocks, hours: int
) -> None:
    """A lease ends when it is not renewed, and not when a clock says so."""
    first, second = Leases(store, "first"), Leases(store, "second")
    assert await first.acquire("web")
    clocks.ahead = timedelta(hours=hours)
    for _ in range(10):
        assert not await second.acquire("web")
        clocks.seconds += DURATION.total_seconds() / 3
        assert await first.renew() == frozenset()
    assert not await second.acquire("web")
    clocks.seconds += DURATION.total_seconds()
    assert not first.holds("web")
    assert await second.acquire("web")


@pytest.fixture
def ended() -> str:
    """The identity of a process that has ended."""
    script = "from driftd.process.identity import process_identity; print(process_identity())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


async def test_the_lease_of_a_process_that_has_ended_here_is_taken_over_at_once(store: Store, ended: str) -> None:
    """A daemon that was killed does not keep the next one waiting."""
    assert await Leases(store, ended).acquire("web")
    assert await Leases(store).acquire("web")
