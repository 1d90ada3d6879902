"""One database, driven from asyncio: every call runs in a thread, in a transaction of its own.

Writes go through a single thread, so they land in the order in which they were asked for; reads have two of their
own and never wait for a write. Several processes may share the database: a write transaction is serialisable
everywhere. On SQLite it takes the write lock as it begins (a read that becomes a write later fails at once when
another process wrote in between); on PostgreSQL it runs as SERIALIZABLE and is tried again on a conflict.

What a call has returned from is on the disk: SQLite runs in WAL mode with `synchronous=FULL`, since NORMAL may lose
the last commits when the power fails.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from driftd.model.errors import StoreError
from driftd.store.migrations import bring_up_to_date

T = TypeVar("T")

_BUSY_TIMEOUT = 10.0
"""Seconds for which a write waits for another process's."""

_WRITES = "driftd_writes"

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization failure, deadlock, and the unique
# violation that a concurrent insert may show in place of the first.
_CONFLICTS = frozenset({"40001", "40P01", "23505"})


class Database:
    """An open database. `place` is its path, or its URL without the password."""

    def __init__(self, engine: Engine, place: str, writer: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
        self.place = place
        self._engine = engine
        self._writer = writer
        self._readers = readers
        if engine.dialect.name == "sqlite":
            self._for_writes = engine.execution_options(**{_WRITES: True})
            self._for_reads = engine
        else:
            self._for_writes = engine.execution_options(isolation_level="SERIALIZABLE")
            self._for_reads = engine.execution_options(isolation_level="REPEATABLE READ")

    @classmethod
    async def open(cls, address: str) -> Database:
        """Open, and where needed make or migrate, the database at a SQLAlchemy URL.

        Raises: StoreError: no such kind of database, its driver is not installed, its path cannot be written, its
            server does not answer, or a newer driftd wrote it.
        """
        url = _parse(address)
        place = _place(url)
        writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="driftd-store-write")
        in_memory = url.get_backend_name() == "sqlite" and _in_memory(url)
        readers = writer if in_memory else ThreadPoolExecutor(max_workers=2, thread_name_prefix="driftd-store-read")
        try:
            database = await asyncio.get_running_loop().run_in_executor(
                writer, lambda: cls(_connect(url, place), place, writer, readers)
            )
        except BaseException:
            writer.shutdown(wait=False)
            readers.shutdown(wait=False)
            raise
        try:
            await database.write(lambda connection: bring_up_to_date(connection, place))
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that sees one state of the database. Raises: StoreError."""
        return await self._submit(self._readers, lambda: self._transaction(self._for_reads, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that is on the disk when this returns, or never happened. Raises: StoreError.

        `work` may run more than once, each time on a rolled-back state: it has no other effects.
        """
        return await self._submit(self._writer, lambda: self._transaction(self._for_writes, work))

    async def close(self) -> None:
        """Wait for what is under way and let the database go. May be called again."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    async def _submit(self, executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        try:
            future = asyncio.get_running_loop().run_in_executor(executor, call)
        except RuntimeError as e:
            raise StoreError(f"{self.place}: the store is closed") from e
        return await future

    def _transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            with engine.begin() as connection:
                return work(connection)

        try:
            return _on_conflict_again(attempt)
        except SQLAlchemyError as e:
            raise StoreError(f"{self.place}: {_explain(e)}") from e
        except ValueError as e:  # a document that cannot be written as JSON, or not be read as what it should be
            raise StoreError(f"{self.place}: a record that does not fit: {type(e).__name__}") from e


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as e:
        raise StoreError(
            "store.url is not a database URL: write sqlite:////var/lib/driftd/driftd.db or "
            "postgresql+psycopg://user@host/driftd"
        ) from e
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"store.url: {url.get_backend_name()!r} is not supported: use sqlite or postgresql+psycopg")
    return url


def _place(url: URL) -> str:
    if url.get_backend_name() != "sqlite":
        return url.render_as_string(hide_password=True)
    return "sqlite in memory" if _in_memory(url) else str(url.database)


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _connect(url: URL, place: str) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True}  # an error must not quote what was to be stored
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _BUSY_TIMEOUT}
        options["pool_reset_on_return"] = None  # every use of a connection ends its own transaction
        if _in_memory(url):
            options["poolclass"] = StaticPool
            options["connect_args"]["check_same_thread"] = False
    else:
        options["pool_pre_ping"] = True  # the server may have restarted since
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as e:
        raise StoreError(
            f"{place}: the driver for this database is not installed: pip install 'driftd[postgresql]' "
            "(and write the URL as postgresql+psycopg://…)"
        ) from e
    if engine.dialect.name == "sqlite":
        if not _in_memory(url):
            _claim_file(Path(str(url.database)))
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _claim_file(path: Path) -> None:
    """Make the file, readable by its owner only: SQLite gives the files beside it (-wal, -shm) the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as e:
        raise StoreError(
            f"{path}: the history cannot be written there ({e.strerror}): "
            "point store.url at a path that driftd may write"
        ) from e


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours to say: see _begin_sqlite
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # Another process that opens the same new file at this moment makes the change of mode fail without waiting.
    retrying = Retrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_delay(_BUSY_TIMEOUT),
        wait=wait_random_exponential(0.01, 0.2),
        reraise=True,
    )
    retrying(connection.execute, "PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICTS


_on_conflict_again = Retrying(
    retry=retry_if_exception(_is_conflict),
    stop=stop_after_attempt(12),
    wait=wait_random_exponential(multiplier=0.01, max=0.5),
    reraise=True,
)


def _explain(error: SQLAlchemyError) -> str:
    """The database's own first line: further ones may quote the row."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    if _is_busy(error.orig or error):
        return f"another process has kept the database locked for {_BUSY_TIMEOUT:.0f} s: try again"
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
