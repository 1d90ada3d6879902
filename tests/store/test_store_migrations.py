"""Older databases: brought along without loss, whatever wrote them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import store_world as world
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, inspect, select, text

from driftd.model.drift import Status
from driftd.model.errors import StoreError
from driftd.model.incident import IncidentType
from driftd.model.revision import RevisionState
from driftd.store import HistoryKind, Store, VerdictFilter, upgrade
from driftd.store.schema import SCHEMA_VERSION, alembic_version, metadata, schema_version

DATA = Path(__file__).parent / "data"
OLD = {"schema-1-first": 1, "schema-1": 1, "schema-2": 2}


def old_rows(dump: str) -> sqlite3.Connection:
    """A database in memory as an older driftd wrote it."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript((DATA / f"{dump}.sql").read_text())
    return connection


def lay(dump: str, url: str) -> None:
    """Puts such a database where the test wants it. On PostgreSQL its schema is made, and the rows are copied."""
    if url.startswith("sqlite"):
        target = sqlite3.connect(url.removeprefix("sqlite:///"))
        target.executescript((DATA / f"{dump}.sql").read_text())
        target.close()
        return
    source = old_rows(dump)
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade.migrate(connection, 0, OLD[dump])
        connection.execute(text("DROP TABLE alembic_version"))
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if not source.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table.name]).fetchone():
                connection.execute(text(f"DROP TABLE {table.name}"))
                continue
            rows = [_in_utc(dict(row)) for row in source.execute(f"SELECT * FROM {table.name}")]
            connection.execute(table.delete())
            if rows:
                connection.execute(table.insert(), rows)
            if "id" in table.c and table.name in ("revisions", "history", "deliveries"):
                connection.execute(text(f"SELECT setval('{table.name}_id_seq', (SELECT max(id) FROM {table.name}))"))
    engine.dispose()


def _in_utc(row: dict[str, Any]) -> dict[str, Any]:
    times = ("time", "first_seen", "applied_at", "decided_at", "resolved", "accepted", "due", "finished")
    return {key: f"{value}+00:00" if key in times and value else value for key, value in row.items()}


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.mark.parametrize("dump", OLD)
async def test_an_older_store_is_brought_along_without_loss(url: str, dump: str):
    """Report, revisions, manifests, hold, history, incidents and the outbox are what they were."""
    lay(dump, url)
    before = old_rows(dump)
    store = await Store.open(url, clock=lambda: world.T0)
    report = await store.last_report("web")
    assert report is not None
    assert [(v.ref.name, v.status) for v in report.verdicts] == [
        ("web", Status.DRIFTED), ("quiet", Status.IN_SYNC), ("shop", Status.IN_SYNC), ("gone", Status.MISSING),
        ("lost", Status.UNKNOWN),
    ]  # fmt: skip
    assert [repr(f.live) for f in report.verdicts[0].fields] == ["5", "1.0", "True"]
    assert (report.cluster, report.revision, report.time) == (
        "prod",
        world.revision(2, "Change 2"),
        world.T0 + 2 * world.MINUTE,
    )
    unreached = await store.last_report("empty")
    assert unreached is not None
    assert unreached.error == "Git was never reached"
    assert await store.redaction_key() == before.execute("SELECT value FROM keys").fetchone()["value"]
    records = await store.revisions("web")
    assert [(r.revision.subject, r.state) for r in records] == [
        ("Change 2", RevisionState.SEEN), ("Change 1", RevisionState.GOOD)
    ]  # fmt: skip
    for number, record in ((2, records[0]), (1, records[1])):
        manifests = await store.manifests(record.digest)
        assert [(m.ref.kind, m.body["spec"]) for m in manifests] == [
            ("Deployment", {"replicas": number}), ("Service", {"ports": [80]})
        ]  # fmt: skip
        assert manifests[0].source.at == ("items", 0)
    hold = await store.hold("web")
    assert hold is not None
    assert hold.revision == records[1].revision.sha
    for app in ("web", "empty"):
        old = before.execute("SELECT summary, details FROM history WHERE app = ? ORDER BY id DESC", [app]).fetchall()
        assert [(e.summary, e.details) for e in await store.history(app)] == [
            (row["summary"], json.loads(zlib.decompress(row["details"]))) for row in old
        ]
    assert {i.id for i in await store.open_incidents()} == {"incident-1", "incident-3"}
    assert (await store.claim_deliveries(world.T0 + world.MINUTE))[0].notification.id == "n-1"
    assert {channel: b.pending for channel, b in (await store.backlog()).items()} == {"slack": 2, "audit": 3}
    await store.close()


@pytest.mark.parametrize("dump", OLD)
async def test_an_older_store_can_be_asked_as_a_new_one(url: str, dump: str):
    """The columns are filled from the documents; what was not recorded then is left open."""
    lay(dump, url)
    store = await Store.open(url)
    [drifted] = await store.verdicts(VerdictFilter(kind="Deployment", manager="helm"))
    assert (drifted.app, drifted.verdict.ref.name, drifted.since) == ("web", "web", world.T0 + 2 * world.MINUTE)
    assert drifted.verdict.health is None
    [namespace] = await store.verdicts(VerdictFilter(group="", kind="Namespace"))
    assert namespace.verdict.ref.namespace is None
    by = [v.verdict.ref.name for v in await store.verdicts(VerdictFilter(manager="kubectl"))]
    assert by == ([] if dump == "schema-1-first" else ["gone"])  # nobody was named then
    summaries = await store.app_summaries()
    assert summaries["web"].statuses == {
        Status.DRIFTED: 1, Status.IN_SYNC: 2, Status.MISSING: 1, Status.UNKNOWN: 1
    }  # fmt: skip
    assert (summaries["web"].cluster, summaries["web"].revision) == ("prod", world.revision(2).sha)
    assert (summaries["empty"].cluster, summaries["empty"].error) == ("staging", "Git was never reached")
    [healed] = await store.incidents(open=False)
    assert (healed.id, healed.type) == ("incident-2", IncidentType.UNHEALTHY)
    assert [i.id for i in await store.incidents(since=world.T0 + world.MINUTE)] == [
        "incident-3", "incident-2", "incident-1"
    ]  # fmt: skip
    await store.close()


@pytest.mark.parametrize("dump", OLD)
async def test_an_older_store_goes_on_being_used(url: str, dump: str):
    """The next report changes what has changed, and what follows from an earlier state is refused."""
    lay(dump, url)
    store = await Store.open(url)
    report = await store.last_report("web")
    assert report is not None
    version = (await store.app_state("web", world.revision(2).sha)).version
    later = world.report(*report.verdicts[1:], world.verdict("new"), minute=5)
    await store.record_report(later, version)
    assert await store.last_report("web") == later
    stored = {v.verdict.ref.name: v.since for v in await store.verdicts(VerdictFilter(app="web"))}
    assert stored["quiet"] == world.T0 + 2 * world.MINUTE
    assert stored["new"] == world.T0 + 5 * world.MINUTE
    assert (await store.history("web"))[0].kind is HistoryKind.VERDICT
    await store.release_hold("web")
    await store.record_revision("web", world.revision(9), *world.declared(9))
    await store.prune()
    await store.close()


@pytest.mark.parametrize("dump", [None, *OLD])
async def test_a_migrated_database_equals_a_new_one(url: str, dump: str | None, engine: Engine):
    """Table by table, down to nullability, defaults and the conditions of indexes."""
    if dump is None:
        with engine.begin() as connection:
            upgrade.migrate(connection, 0)
    else:
        lay(dump, url)
    await (await Store.open(url)).close()
    with engine.connect() as connection:
        # of an empty default Alembic makes a difference on SQLite; there, the new database below is compared
        options = {"compare_type": True, "compare_server_default": engine.dialect.name != "sqlite"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        versions = [connection.execute(select(column)).scalars().all() for column in
                    (schema_version.c.version, alembic_version.c.version_num)]  # fmt: skip
        assert versions == [[SCHEMA_VERSION], [upgrade.revision(SCHEMA_VERSION)]]
        migrated = _described(engine)
    if engine.dialect.name == "sqlite":
        await (await Store.open(f"{url}.new")).close()
        new = create_engine(f"{url}.new")
        assert migrated == _described(new)
        new.dispose()


def _described(engine: Engine) -> dict[str, Any]:
    """The tables with their columns, keys and indexes, as the database describes them."""
    found = inspect(engine)
    return {
        name: (
            sorted((c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(name)),
            found.get_pk_constraint(name)["constrained_columns"],
            [(k["constrained_columns"], k["referred_table"], k["options"]) for k in found.get_foreign_keys(name)],
            sorted(
                (i["name"], i["column_names"], i["unique"], *sorted(map(str, i.get("dialect_options", {}).values())))
                for i in found.get_indexes(name)
            ),
            sorted(u["column_names"] for u in found.get_unique_constraints(name)),
        )
        for name in found.get_table_names()
    }  # fmt: skip


def test_every_schema_version_has_one_migration():
    """In one line, so that each older store has one way to go."""
    scripts = ScriptDirectory(str(upgrade._MIGRATIONS))
    assert [s.revision for s in reversed(list(scripts.walk_revisions()))] == [
        upgrade.revision(version) for version in range(1, SCHEMA_VERSION + 1)
    ]


async def test_an_older_driftd_refuses_a_migrated_store(url: str, engine: Engine):
    """It reads the number in `schema_version`, which it knows from its own time."""
    lay("schema-2", url)
    await (await Store.open(url)).close()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalar_one() > 2


async def test_a_migration_that_fails_leaves_the_store_as_it_was(url: str, engine: Engine):
    """All steps are one transaction: the driftd that wrote it can open it again."""
    lay("schema-1", url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reports SET frame = document FROM verdicts WHERE verdicts.position = 0"))
    before = _described(engine)
    with pytest.raises(StoreError):
        await Store.open(url)
    assert _described(engine) == before
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalar_one() == 1


@pytest.mark.parametrize("dump", [None, "schema-1"])
async def test_two_processes_open_the_same_database_at_once(url: str, dump: str | None):
    """One of them creates or migrates it, and the other ones wait for it."""
    if dump is not None:
        lay(dump, url)
    script = f"""
import asyncio, sys
from driftd.store import Store
async def main():
    store = await Store.open({url!r})
    print((await store.redaction_key()).hex())
    await store.close()
sys.stdin.read()
asyncio.run(main())
"""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    answers = await asyncio.gather(*(process.communicate(b"") for process in processes))
    assert [errors.decode() for _, errors in answers] == [""] * 3
    assert len({answer for answer, _ in answers}) == 1


def test_opening_a_store_that_is_up_to_date_imports_no_alembic(tmp_path: Path):
    """It takes as long as SQLAlchemy itself; creating a new store does without it too."""
    script = f"""
import asyncio, sys
from driftd.store import Store
async def main():
    for _ in range(2):
        store = await Store.open("sqlite:///{tmp_path}/history.db")
        await store.close()
asyncio.run(main())
print([name for name in ("alembic", "mako") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "[]\n"


async def test_a_large_report_is_filled_in_batches(tmp_path: Path):
    """Every row gets its columns, also behind the first thousand."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    lay("schema-2", url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 5 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO verdicts "
                "SELECT app, i, document FROM verdicts, n WHERE position = 0 AND app = 'web'"
            )
        )
    engine.dispose()
    store = await Store.open(url)
    assert (await store.app_summaries(["web"]))["web"].statuses[Status.DRIFTED] == 2497
    await store.close()
