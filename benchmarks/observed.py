"""The daemon under measurement: its process, memory and CPU, and the verdicts in its store."""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.driftd_process import Driftd

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes: current, and peak."""

    now: int
    peak: int


class Daemon(Driftd):
    """A daemon whose process can be inspected."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the daemon does not run")
        return self._process.pid

    @property
    def store(self) -> Path:
        return self.folder / "driftd.db"

    def wait_ready(self, within: float) -> None:
        """Waits until every app has had a pass. Raises: RuntimeError: the daemon ended, or `within` seconds passed."""
        end = time.monotonic() + within
        url = f"{self.url}/readyz"
        while not _answers(url):
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the daemon ended: {self.log.read_text()[-2000:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"the daemon is not ready after {within:.0f} s: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def memory(self) -> Memory:
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":" in line
        )
        return Memory(*(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")))

    def cpu(self) -> float:
        """Seconds of CPU so far, including those of child processes (Git)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / _TICK


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # the daemon's own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


class StoreProbe:
    """Reads the daemon's SQLite file without blocking the daemon (WAL)."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)
        self._version = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def has_changed(self) -> bool:
        """Whether anything was committed since the last call. Reads the shared index only, without a query."""
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        previous, self._version = self._version, version
        return version != previous

    def positions(self, app: str) -> dict[str, int]:
        """The position of each object's verdict, by `NAMESPACE/NAME` (of one kind)."""
        rows = self._connection.execute(
            "SELECT position, json_extract(document, '$.ref.namespace'), json_extract(document, '$.ref.name')"
            " FROM verdicts WHERE app = ?",
            (app,),
        )
        return {f"{namespace}/{name}": position for position, namespace, name in rows}

    def verdict(self, app: str, position: int) -> bytes:
        """The stored document of the verdict at a position; empty if there is none."""
        row = self._connection.execute(
            "SELECT document FROM verdicts WHERE app = ? AND position = ?", (app, position)
        ).fetchone()
        return bytes(row[0]) if row is not None else b""
