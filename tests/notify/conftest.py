"""A history, a receiver and an address for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import notify_world as world
import pytest

from driftd.process.supervisor import Supervisor
from driftd.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    made = Supervisor()
    yield made
    await made.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[world.Receiver]:
    started = world.Receiver()
    await started.start()
    yield started
    await started.stop()
