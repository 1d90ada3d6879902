"""A history of its own for every test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import store_world as world

from driftd.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the test's database is. DRIFTD_TEST_STORE_URL puts all of them on another one, emptied before each test."""
    elsewhere = os.environ.get("DRIFTD_TEST_STORE_URL")
    if elsewhere:
        world.empty(elsewhere)
        return elsewhere
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock=lambda: world.T0)
    yield opened
    await opened.close()
