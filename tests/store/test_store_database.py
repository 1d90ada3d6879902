"""The database itself: where it is, who may read it, what it survives."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import store_world as world
from sqlalchemy import create_engine, inspect, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from driftd.model.errors import StoreError
from driftd.store import Store
from driftd.store.schema import SCHEMA_VERSION, metadata, schema_version


def _environment() -> dict[str, str]:
    """A process of its own finds what this one does, and the tests' nouns."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_redaction_key_is_made_once_and_kept(url):
    """Two processes, and every later start, hash Secret values by the same key."""
    first, second = await asyncio.gather(Store.open(url), Store.open(url))
    keys = await asyncio.gather(*(s.redaction_key() for s in (first, second, first, second)))
    await first.close()
    await second.close()
    again = await Store.open(url)
    assert {*keys, await again.redaction_key()} == {keys[0]}
    assert len(keys[0]) == 32
    await again.close()


async def test_a_new_file_is_readable_by_its_owner_only(tmp_path: Path):
    """The database holds what Git holds, Secrets included."""
    store = await Store.open(f"sqlite:///{tmp_path}/new/folder/history.db")
    await store.redaction_key()
    files = sorted((tmp_path / "new/folder").iterdir())
    assert [f.name for f in files] == ["history.db", "history.db-shm", "history.db-wal"]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    await store.close()


async def test_every_commit_is_on_the_disk_before_the_call_returns(tmp_path: Path):
    """In WAL mode only synchronous=FULL (2) keeps the last commits through a power failure."""
    store = await Store.open(f"sqlite:///{tmp_path}/history.db")
    pragmas = await store._database.read(
        lambda c: [
            c.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    )
    assert pragmas == ["wal", 2, 1, 10_000]
    await store.close()


@pytest.mark.parametrize("make", ["a folder", "a file as parent", "not a database"])
async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, make: str):
    """The error says which path, and what to change."""
    path = tmp_path / "history.db"
    if make == "a folder":
        path.mkdir()
    elif make == "a file as parent":
        path.write_text("")
        path = path / "history.db"
    else:
        path.write_text("apiVersion: v1\nkind: ConfigMap\n" * 100)
    with pytest.raises(StoreError) as caught:
        await Store.open(f"sqlite:///{path}")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "of no version"])
async def test_a_damaged_file_is_left_as_it_is_and_the_error_says_what_to_do(tmp_path: Path, damage: str):
    """To begin anew by itself would release every hold."""
    path = tmp_path / "history.db"
    store = await Store.open(f"sqlite:///{path}")
    await store.record_report(world.report(*[world.verdict(str(number)) for number in range(100)]))
    await store.close()
    if damage == "cut off":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "overwritten":
        path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM schema_version")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"history.db.*damaged.*put a backup in its place"):
        await Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


async def test_a_damaged_redaction_key_is_replaced(tmp_path: Path):
    """An empty one would make the hashes of short secrets easy to guess."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    store = await Store.open(url)
    key = await store.redaction_key()
    for damaged in (b"", "text", b"short"):
        with closing(sqlite3.connect(tmp_path / "history.db")) as connection, connection:
            connection.execute("UPDATE keys SET value = ?", [damaged])
        made = await store.redaction_key()
        assert len(made) == 32
        assert made not in (key, damaged)
        assert await store.redaction_key() == made
    await store.close()


@pytest.mark.parametrize(
    "bad", ["nonsense", "mysql://localhost/x", "sqlite+nodriver:///x", "postgresql+nodriver://h/x"]
)
async def test_a_url_that_is_no_database_of_ours_is_refused(bad: str, tmp_path: Path, monkeypatch):
    """Whatever is wrong with the URL, the user reads a sentence about it, and no file is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"store\.url|driver"):
        await Store.open(bad)
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    "login", ["driftd:canary-password@127.0.0.1:9/driftd", "127.0.0.1:9/d?password=canary-password"]
)
async def test_the_password_of_an_unreachable_server_is_not_told(login: str):
    """Errors name the server without its password."""
    with pytest.raises(StoreError) as caught:
        await Store.open(f"postgresql+psycopg://{login}")
    assert "canary-password" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


async def test_a_database_of_a_newer_driftd_is_refused(url):
    """An older driftd does not touch what it does not understand."""
    await (await Store.open(url)).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(update(schema_version).values(version=SCHEMA_VERSION + 6))
    engine.dispose()
    with pytest.raises(StoreError, match=f"newer driftd .schema {SCHEMA_VERSION + 6}"):
        await Store.open(url)


async def test_somebody_elses_tables_are_left_alone(url: str):
    """A database that has a table called history, but is not driftd's, is not written to."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE history (x INTEGER)"))
    with pytest.raises(StoreError, match="history"):
        await Store.open(url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == ["history"]
    engine.dispose()


async def test_a_closed_store_says_so(store: Store):
    """No call hangs or half-works after the end."""
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.redaction_key()


async def test_another_process_may_write_at_the_same_time(url):
    """The daemon and a command share one history: nothing is lost, nothing fails."""
    store = await Store.open(url)
    script = f"""
import asyncio
from driftd.store import Store
import store_world as world

async def main():
    store = await Store.open({url!r})
    for number in range(60):
        digest, manifests = world.declared(number)
        await store.record_revision("theirs", world.revision(number), digest, manifests)
        await store.record_report(world.report(world.verdict(), app="shared", minute=number))
    await store.close()

asyncio.run(main())
"""
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env=_environment(), stderr=subprocess.PIPE
    )
    for number in range(60):
        digest, manifests = world.declared(number)
        await store.record_revision("ours", world.revision(number), digest, manifests)
        await store.record_report(world.report(world.verdict("other"), app="shared", minute=number))
    _, errors = await other.communicate()
    assert other.returncode == 0, errors.decode()
    assert len(await store.revisions("ours", limit=100)) == 60
    assert len(await store.revisions("theirs", limit=100)) == 60
    last = await store.last_report("shared")
    assert last is not None
    assert len(last.verdicts) == 1
    await store.close()


async def test_a_kill_in_the_middle_of_writing_loses_nothing_that_was_accepted(tmp_path: Path):
    """Whatever a killed process had said was recorded is there, and the database opens."""
    url = f"sqlite:///{tmp_path}/history.db"
    script = f"""
import asyncio
from driftd.store import Store
import store_world as world

async def main():
    store = await Store.open({url!r})
    for number in range(100000):
        digest, manifests = world.declared(number)
        await store.record_revision("web", world.revision(number), digest, manifests)
        print(number, flush=True)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env=_environment(), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    accepted = -1
    while accepted < 40:
        accepted = int(await process.stdout.readline())
    process.kill()
    rest = (await process.stdout.read()).split()
    await process.wait()
    accepted = int(rest[-1]) if rest else accepted
    store = await Store.open(url)
    known = {record.revision.sha for record in await store.revisions("web", limit=100_000)}
    assert {world.revision(number).sha for number in range(accepted + 1)} <= known
    await store.close()


async def test_a_failing_write_leaves_no_trace_and_quotes_no_value(store: Store):
    """A record that cannot be stored is an error without the record's content."""
    with pytest.raises(StoreError) as caught:
        await store.record_report(world.report(world.verdict("canary\ud800secret", world.Status.DRIFTED)))
    assert "canary" not in str(caught.value)
    assert await store.last_report("web") is None
    assert await store.history("web") == []


def test_the_schema_is_plain_sql_for_both_databases():
    """No column or index needs SQLite: the tables compile for PostgreSQL too."""
    ddl = "".join(str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in metadata.sorted_tables)
    assert "BIGSERIAL" in ddl
    assert "TIMESTAMP WITH TIME ZONE" in ddl


def test_sqlite_itself_finds_the_file_whole(tmp_path: Path):
    """`PRAGMA integrity_check` and `foreign_key_check` agree after a life of inserts and deletes."""

    async def live() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/history.db", clock=lambda: world.T0)
        for number in range(5):
            digest, manifests = world.declared(number)
            await store.record_revision("web", world.revision(number), digest, manifests)
            await store.record_report(world.report(*(world.verdict(str(i)) for i in range(10 - number)), minute=number))
        await store.prune()
        await store.close()

    asyncio.run(live())
    connection = sqlite3.connect(tmp_path / "history.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_nothing_is_written_into_a_file_that_is_not_there_any_more(tmp_path: Path, how: str):
    """It would be lost with the process, and nobody would know until then. Put back, it is written again."""
    file, away = tmp_path / "history.db", tmp_path / "away.db"
    store = await Store.open(f"sqlite:///{file}")
    await store.record_report(world.report(world.verdict()))
    file.rename(away)
    if how == "replaced":
        file.write_bytes(b"")
    with pytest.raises(StoreError, match="was removed or replaced meanwhile: restart driftd"):
        await store.record_report(world.report(world.verdict(), minute=1))
    assert "restart driftd" in str(store.write_error)
    away.replace(file)
    await store.record_report(world.report(world.verdict(), minute=2))
    await store.close()
