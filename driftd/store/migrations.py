"""Bringing a database to the schema that this driftd knows.

A new database is made whole from `schema.py`. An older one goes forward one version at a time, by the function that
`MIGRATIONS` holds for the version it leads to; all of it in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert, inspect, select, text, update

from driftd.model.errors import StoreError
from driftd.store.schema import SCHEMA_VERSION, metadata, schema_version

Migration = Callable[[Connection], None]


def _with_standings(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE reports ADD COLUMN standing VARCHAR(32) NOT NULL DEFAULT ''"))


MIGRATIONS: Mapping[int, Migration] = {2: _with_standings}


def bring_up_to_date(
    connection: Connection,
    place: str,
    *,
    target: int = SCHEMA_VERSION,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> None:
    """Make the tables, or migrate them. `place` is how the user knows this database.

    Raises: StoreError: a newer driftd wrote this database, or it holds somebody else's tables of the same names.
    """
    present = set(inspect(connection).get_table_names())
    if schema_version.name not in present:
        foreign = sorted(present & set(metadata.tables))
        if foreign:
            raise StoreError(
                f"{place}: has a table {foreign[0]!r} that is not driftd's: "
                "give driftd a database of its own (store.url)"
            )
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=target))
        return
    version = connection.execute(select(schema_version.c.version)).scalar_one()
    if version > target:
        raise StoreError(
            f"{place}: was written by a newer driftd (schema {version}; this one knows {target}): "
            "upgrade driftd, or point store.url at another database"
        )
    for step in range(version + 1, target + 1):
        migrations[step](connection)
        connection.execute(update(schema_version).values(version=step))
