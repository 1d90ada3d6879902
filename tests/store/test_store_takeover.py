"""The database that all configurations of a user shared becomes that of one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import store_world as world

from driftd.model.errors import StoreError
from driftd.model.plan import Hold
from driftd.store import Store
from driftd.store.takeover import take_over


async def history_of(file: Path, app: str) -> int:
    store = await Store.open(f"sqlite:///{file}")
    entries = await store.history(app)
    await store.close()
    return len(entries)


@pytest.fixture
async def shared(tmp_path: Path) -> Path:
    """A database that knows the app of `store_world`."""
    file = tmp_path / "driftd.db"
    store = await Store.open(f"sqlite:///{file}", clock=lambda: world.T0)
    await store.set_hold(Hold("web", "1" * 40, "2" * 40, "d" * 64, "not healthy", "driftd", world.T0))
    await store.close()
    return file


async def test_the_shared_database_goes_on_as_that_of_the_first_configuration_with_its_apps(shared, tmp_path):
    """Its holds too; a second configuration gets one of its own."""
    take_over(shared, tmp_path / "first.db", {"web", "another"})
    assert not shared.exists()
    assert await history_of(tmp_path / "first.db", "web") == 1
    take_over(shared, tmp_path / "second.db", {"web"})
    assert not (tmp_path / "second.db").exists()


async def test_a_configuration_without_any_of_its_apps_leaves_the_shared_database_alone(shared, tmp_path):
    """Else the history and the holds of another configuration would be lost to it."""
    take_over(shared, tmp_path / "new.db", {"unheard-of"})
    assert await history_of(shared, "web") == 1
    assert not (tmp_path / "new.db").exists()


async def test_a_database_of_its_own_is_never_replaced(shared, tmp_path):
    """Not by an older driftd's, made again in between."""
    own = tmp_path / "own.db"
    own.write_bytes(b"its own")
    take_over(shared, own, {"web"})
    assert own.read_bytes() == b"its own"
    assert shared.exists()


async def test_a_shared_database_in_use_is_not_taken_from_under_the_other_process(shared, tmp_path):
    """It would go on writing where nobody reads; the message says what to do."""
    store = await Store.open(f"sqlite:///{shared}")
    with pytest.raises(StoreError, match=r"Stop the driftd that uses it, or name the file in store\.url"):
        take_over(shared, tmp_path / "own.db", {"web"})
    assert len(await store.history("web")) == 1
    await store.close()


def test_a_foreign_database_at_that_place_is_left_alone(tmp_path):
    """Nothing in it is of driftd."""
    shared = tmp_path / "driftd.db"
    with closing(sqlite3.connect(shared)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    take_over(shared, tmp_path / "own.db", {"web"})
    assert shared.exists()
