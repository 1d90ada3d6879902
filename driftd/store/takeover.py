"""Takes over the database that all configurations of a user once shared.

It becomes the database of the first configuration that has one of its apps: holds and history go on. A single rename
does it, so there is no state between before and after.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import structlog

from driftd.model.errors import StoreError

log = structlog.get_logger(__name__)

_BUSY_SECONDS = 2.0
"""For how long a command of another process may still be using the shared database."""


def take_over(shared: Path, own: Path, apps: Collection[str]) -> None:
    """Makes the shared database that of one configuration, if it knows any of its `apps`, and there is no `own` yet.

    Raises: StoreError: another process uses it, or it cannot be read.
    """
    if own.exists() or not shared.exists():
        return
    try:
        with closing(sqlite3.connect(f"{shared.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as connection:
            if not _knows_any(connection, apps):
                return
            # Ends WAL, so that all is in one file. Refused while any other process has the database open.
            connection.execute("PRAGMA journal_mode = DELETE")
            shared.rename(own)
    except FileNotFoundError:
        return  # another process was first
    except (sqlite3.Error, OSError) as error:
        if own.exists() or not shared.exists():
            return  # another process was first
        raise StoreError(
            f"{shared}: this store of all configurations is to become {own.name}, the store of this one, but: {error}. "
            "Stop the driftd that uses it, or name the file in store.url to go on with it"
        ) from error
    log.info("store taken over", store=str(own), before=str(shared))


def _knows_any(connection: sqlite3.Connection, apps: Collection[str]) -> bool:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    known: set[str] = set()
    for table in tables & {"reports", "revisions", "holds"}:
        known |= {app for (app,) in connection.execute(f"SELECT DISTINCT app FROM {table}")}  # noqa: S608  # of the set above
    return not known.isdisjoint(apps)
