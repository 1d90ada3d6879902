"""Brings a database to the schema that this driftd works with.

A new database is created from `schema.py`. An older one goes through the migrations of Alembic, all of them in one
transaction. Alembic is imported for that only: opening an up-to-date database takes one query.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, insert, inspect, select, text, update

from driftd.model.errors import StoreError
from driftd.store.schema import SCHEMA_VERSION, alembic_version, metadata, schema_version

_MIGRATIONS = Path(__file__).with_name("migrations")

_LOCK = 0x64726966
"""The key of the advisory lock on PostgreSQL: any number that other users of the same database do not use."""


def bring_up_to_date(reads: Engine, writes: Engine, place: str) -> None:
    """Create the tables, or migrate them. `place` names the database for users.

    Raises: StoreError: a newer driftd wrote this database, or it has foreign tables of the same names.
    """
    with reads.begin() as connection:
        if _version(connection, place) == SCHEMA_VERSION:
            return
    with _exclusive(writes) as connection:
        version = _version(connection, place)  # another process may have been first
        if version is None:
            metadata.create_all(connection)
            connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))
            _stamp(connection, SCHEMA_VERSION)
        elif version < SCHEMA_VERSION:
            migrate(connection, version)


def migrate(connection: Connection, version: int, target: int = SCHEMA_VERSION) -> None:
    """Run the migrations after `version` (0: an empty database) up to `target`."""
    from alembic import command  # noqa: PLC0415 (takes as long to import as SQLAlchemy itself)
    from alembic.config import Config  # noqa: PLC0415

    if version and not inspect(connection).has_table(alembic_version.name):
        _stamp(connection, version)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision(target))
    connection.execute(update(schema_version).values(version=target))
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreError("the store's rows do not refer to each other as they should: it was left as it was")


def revision(version: int) -> str:
    """Alembic's name of a schema version."""
    return f"{version:04}"


def _version(connection: Connection, place: str) -> int | None:
    """The version of a database's schema, None for an empty database. Raises: StoreError."""
    present = set(inspect(connection).get_table_names())
    if schema_version.name not in present:
        foreign = sorted(present & set(metadata.tables))
        if foreign:
            raise StoreError(
                f"{place}: has a table {foreign[0]!r} that is not driftd's: "
                "give driftd a database of its own (store.url)"
            )
        return None
    versions = connection.execute(select(schema_version.c.version)).scalars().all()
    if len(versions) != 1 or not isinstance(versions[0], int):
        raise StoreError(
            f"{place}: does not say which driftd wrote it, so it is damaged: put a backup in its place, or move it away"
        )
    version: int = versions[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{place}: was written by a newer driftd (schema {version}; this one knows {SCHEMA_VERSION}): "
            "upgrade driftd, or point store.url at another database"
        )
    return version


def _stamp(connection: Connection, version: int) -> None:
    alembic_version.create(connection)
    connection.execute(insert(alembic_version).values(version_num=revision(version)))


@contextmanager
def _exclusive(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other process's migration overlaps."""
    if engine.dialect.name == "sqlite":
        # SQLite changes a table by replacing it, and dropping one would delete the rows that refer to it.
        # Source: https://www.sqlite.org/lang_altertable.html#otheralter
        with engine.connect() as connection:
            raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
            raw.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
            finally:
                raw.execute("PRAGMA foreign_keys = ON")
        return
    # A transaction that saw the database as of its beginning would not see what the process before it has created.
    # Set on the connection: of an engine made from another one, the other one's level would count.
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        yield connection
