"""A store of its own for every test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import store_world as world

from driftd.store import Store
from tests.support import POSTGRESQL
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that all tests of the session share (under xdist: one for each worker)."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=getattr(pytest.mark, POSTGRESQL))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the test's database is: there is nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'history.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    database = server.new_database()
    yield database
    server.drop_database(database)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock=lambda: world.T0)
    yield opened
    await opened.close()
