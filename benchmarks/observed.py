"""The daemon under observation: a process of its own, its memory, its CPU, and what it records in its store."""

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
    """Bytes: resident now, and at the most until now."""

    now: int
    peak: int


class Daemon(Driftd):
    """A daemon whose process can be looked at."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the daemon does not run")
        return self._process.pid

    @property
    def store(self) -> Path:
        return self.folder / "driftd.db"

    def wait_ready(self, within: float) -> None:
        """Returns when every app has had a pass. Raises: RuntimeError: it ended, or takes longer than that."""
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
        """Seconds of CPU until now, those of the programs that it ran (Git) included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / _TICK


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # the daemon's own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


class StoreProbe:
    """Reads the daemon's SQLite file beside it, without ever holding it up (WAL lets readers be)."""

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
        """Whether anything was committed since this was asked last. Costs a look at the shared index, no query."""
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        previous, self._version = self._version, version
        return version != previous

    def positions(self, app: str) -> dict[str, int]:
        """Where the verdict of each object is kept, by `NAMESPACE/NAME` (of one kind)."""
        rows = self._connection.execute(
            "SELECT position, json_extract(document, '$.ref.namespace'), json_extract(document, '$.ref.name')"
            " FROM verdicts WHERE app = ?",
            (app,),
        )
        return {f"{namespace}/{name}": position for position, namespace, name in rows}

    def verdict(self, app: str, position: int) -> bytes:
        """The verdict at a position, as the store keeps it; empty where there is none just now."""
        row = self._connection.execute(
            "SELECT document FROM verdicts WHERE app = ? AND position = ?", (app, position)
        ).fetchone()
        return bytes(row[0]) if row is not None else b""
