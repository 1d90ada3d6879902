"""One database behind an asyncio interface: every call runs in a thread, in its own transaction.

A single thread writes, in the order of the calls; two threads read, and never wait for a write. Several processes may
share the database: write transactions are serializable. On SQLite they take the write lock as they begin (a read
transaction that turns into a write fails at once when another process wrote in between); on PostgreSQL they run as
SERIALIZABLE and are retried on a conflict.

A write is durable when its call returns: SQLite runs in WAL mode with `synchronous=FULL`, since NORMAL may lose the
last commits in a power failure.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from driftd.model.errors import StoreError
from driftd.store.server_connections import TIMEOUTS, ServerConnections
from driftd.store.upgrade import bring_up_to_date

T = TypeVar("T")

_BUSY_TIMEOUT = 10.0

_ANSWER_SECONDS = 120.0
"""For one transaction of a server, which may delete a lot."""
"""Maximum number of seconds that a write waits for one of another process."""

_DISTRUST_SECONDS = 15.0
"""For how long after a failed write others that succeed say nothing: on a full disk a small one may still fit."""

_WRITES = "driftd_writes"

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization failure, deadlock, and the unique
# violation that a concurrent insert may show in place of the first.
_CONFLICTS = frozenset({"40001", "40P01", "23505"})


_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_DAMAGED = (
    "the file is damaged, or no SQLite database: stop driftd, and put a backup in its place (with no -wal and -shm "
    "beside it); or move it away to begin anew, without its history, holds and good revisions"
)


class _DatabaseRefused(StoreError):
    """The database itself failed, and not what was asked of it."""


class Database:
    """An open database. `place` is its path, or its URL without the password, for error messages."""

    def __init__(self, engine: Engine, place: str, writer: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
        self.place = place
        self._engine = engine
        self._write_error: str | None = None
        self._write_failed_at = 0.0
        self._file = _identity(engine.url)
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._connections = ServerConnections(engine) if engine.dialect.name != "sqlite" else None
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
        """Open the database at a SQLAlchemy URL; create or migrate it where needed.

        Raises: StoreError: the URL or its driver is not supported, the path cannot be written, the server does not
            answer, or a newer driftd wrote the database.
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
            await database._bring_up_to_date()  # noqa: SLF001 (one of its own)
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, on one snapshot of the database. Raises: StoreError."""
        return await self._answered(self._readers, lambda: self._transaction(self._for_reads, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, which is durable when this returns. Raises: StoreError: nothing was written.

        `work` is run again when the transaction was rolled back for a conflict: it must have no other effects.
        """
        try:
            result = await self._answered(self._writer, lambda: self._write(work))
        except _DatabaseRefused as e:
            self._write_error, self._write_failed_at = str(e), monotonic()
            raise
        if self._write_error is not None and monotonic() - self._write_failed_at >= _DISTRUST_SECONDS:
            self._write_error = None
        return result

    @property
    def write_error(self) -> str | None:
        """Why the database cannot be written; None once a write has succeeded, some time after the last that failed."""
        return self._write_error

    async def close(self) -> None:
        """Finish the running calls, then close the connections. May be called again."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()

    async def _bring_up_to_date(self) -> None:
        def call() -> None:
            self._translating(lambda: bring_up_to_date(self._for_reads, self._for_writes, self.place))

        await self._submit(self._writer, call)

    async def _submit(self, executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        try:
            future = asyncio.get_running_loop().run_in_executor(executor, call)
        except RuntimeError as e:
            raise StoreError(f"{self.place}: the store is closed") from e
        return await future

    async def _answered(self, executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        """As `_submit`, but no server is waited for without end: what has gone silent would look like calm."""
        if self._connections is None:
            return await self._submit(executor, call)
        waiting = asyncio.create_task(self._submit(executor, call))
        try:
            done, _ = await asyncio.wait({waiting}, timeout=_ANSWER_SECONDS)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        if done:
            return waiting.result()
        waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # which it has in a moment
        self._connections.hang_up()
        raise _DatabaseRefused(f"{self.place}: the database did not answer within {_ANSWER_SECONDS:.0f} s")

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Raises: StoreError: also where the file is not the one that was opened: what goes into that one is lost."""
        if _identity(self._engine.url) != self._file:
            raise _DatabaseRefused(f"{self.place}: the file was removed or replaced meanwhile: restart driftd")
        return self._transaction(self._for_writes, work)

    def _transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            with engine.begin() as connection:
                return work(connection)

        return self._translating(lambda: _retrying_conflicts(attempt))

    def _translating(self, call: Callable[[], T]) -> T:
        """The result of `call`. Raises: StoreError: in place of the database's own errors."""
        try:
            return call()
        except SQLAlchemyError as e:
            raise _DatabaseRefused(f"{self.place}: {_explain(e)}") from None  # PostgreSQL's own text quotes rows
        except self._driver_error as e:  # as it looks whether a connection works that was hung up meanwhile
            raise _DatabaseRefused(f"{self.place}: the connection was lost ({type(e).__name__})") from None
        # A document that is no JSON, one that a migration cannot unpack, or a column that SQLite has in another type.
        except (ValueError, TypeError, zlib.error) as e:
            raise StoreError(f"{self.place}: a record that does not fit: {type(e).__name__}") from None


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
        return url.set(query={}).render_as_string(hide_password=True)  # the query may hold a password, too
    return "sqlite in memory" if _in_memory(url) else str(url.database)


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _connect(url: URL, place: str) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True}  # an error must not quote values
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _BUSY_TIMEOUT}
        options["pool_reset_on_return"] = None  # every transaction is ended where it began
        if _in_memory(url):
            options["poolclass"] = StaticPool
            options["connect_args"]["check_same_thread"] = False
    else:
        options["pool_pre_ping"] = True  # the server may have restarted since
        options["connect_args"] = {key: value for key, value in TIMEOUTS.items() if key not in url.query}
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


def _identity(url: URL) -> tuple[int, int] | None:
    """What tells the file of a database from any other of its name; None where it is not there, or is no file."""
    if url.get_backend_name() != "sqlite" or _in_memory(url):
        return None
    try:
        status = Path(str(url.database)).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _claim_file(path: Path) -> None:
    """Create the file, readable by its owner only: SQLite gives its -wal and -shm files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as e:
        raise StoreError(
            f"{path}: the history cannot be written there ({e.strerror}): "
            "point store.url at a path that driftd may write"
        ) from e


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # _begin_sqlite writes BEGIN
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # The change of mode does not wait for another process that opens the same new file.
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
    return isinstance(error, sqlite3.OperationalError) and _primary_code(error) == sqlite3.SQLITE_BUSY


def _primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its details; 0 where the error is of its Python module."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICTS


_retrying_conflicts = Retrying(
    retry=retry_if_exception(_is_conflict),
    stop=stop_after_attempt(12),
    wait=wait_random_exponential(multiplier=0.01, max=0.5),
    reraise=True,
)


def _explain(error: SQLAlchemyError) -> str:
    """The first line of the database's message: further ones may quote the row."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    if isinstance(error.orig, sqlite3.Error) and _primary_code(error.orig) in _DAMAGE:
        return _DAMAGED
    if _is_busy(error.orig or error):
        return f"another process has kept the database locked for {_BUSY_TIMEOUT:.0f} s: try again"
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
