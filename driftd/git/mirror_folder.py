"""The folder that a mirror is kept in: a bare repository, what was last fetched into it, and a lock for who writes.

repository.git/   the bare repository
state.json        the address it was fetched from, and what each reference was resolved to
suspect           there when a reader met damage: the next fetch builds the repository anew
lock              locked while somebody fetches
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driftd.git.deadline import Deadline, TimedOut
from driftd.model.errors import GitError

_PAUSE = 0.05
_LEFT_OVER = ("incoming", "outgoing")
_KILLED_LEAVES = (
    "*.lock",
    "refs/**/*.lock",
    "objects/**/tmp_*",
    "objects/pack/.tmp-*",
    "objects/pack/*.keep",
    "objects/**/*.lock",
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A reference as it was when it was last fetched: the name that it came to, and the commit."""

    name: str
    sha: str


@dataclass(frozen=True, slots=True)
class State:
    """What a mirror holds. `refs` is by reference, so that a changed configuration does not answer for the old one."""

    url: str
    refs: Mapping[str, Resolved] = field(default_factory=dict)


class MirrorFolder:
    """The folder of one mirror. Reading takes no lock: files are replaced as a whole."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.repository = self.root / "repository.git"
        self.global_config = self.root / "gitconfig"
        self._state = self.root / "state.json"
        self._suspect = self.root / "suspect"

    @contextmanager
    def exclusive(self, deadline: Deadline) -> Iterator[None]:
        """Holds the lock, between threads and processes. It ends with the process that holds it, however that ends.

        Raises: GitError: the folder cannot be written, or another has held the lock for all of the time.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise GitError(f"{self.root}: the mirror's folder cannot be written: {error.strerror}") from error
        try:
            self._wait(lock, deadline)
            deadline.renew()
            yield
        finally:
            os.close(lock)

    def _wait(self, lock: int, deadline: Deadline) -> None:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    deadline.check()
                except TimedOut as error:
                    raise TimedOut(
                        f"{self.root}: another driftd has been fetching into this mirror for {deadline.seconds:g} s"
                    ) from error
                time.sleep(_PAUSE)
            except OSError as error:
                raise GitError(f"{self.root}: the mirror's folder cannot be locked: {error.strerror}") from error
            else:
                return

    def clear(self) -> None:
        """Removes what a killed Git or driftd left; only under the lock.

        Should a Git of a killed driftd still be alive, it fails: what the mirror holds is told by state.json alone.
        """
        for prefix in _LEFT_OVER:
            for folder in self.root.glob(f"{prefix}-*"):
                shutil.rmtree(folder, ignore_errors=True)
        for pattern in _KILLED_LEAVES:
            for file in self.repository.glob(pattern):
                file.unlink(missing_ok=True)

    def state(self) -> State | None:
        """What was last fetched, or None: nothing, or nothing that can still be understood."""
        try:
            document: Any = json.loads(self._state.read_bytes())
            return State(document["url"], {key: Resolved(**value) for key, value in document["refs"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def remember(self, state: State) -> None:
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        temporary.replace(self._state)

    @property
    def suspect(self) -> bool:
        """Whether a reader met damage in the repository."""
        return self._suspect.exists()

    def mark_suspect(self) -> None:
        self._suspect.touch()

    def incoming(self) -> Path:
        """Where a new repository is built, beside the old one."""
        return self.root / f"incoming-{os.getpid()}-{time.monotonic_ns()}"

    def install(self, repository: Path) -> None:
        """Puts a newly built repository into the place of the old one."""
        old = self.root / f"outgoing-{os.getpid()}-{time.monotonic_ns()}"
        self._state.unlink(missing_ok=True)
        if self.repository.exists():
            self.repository.rename(old)
        repository.rename(self.repository)
        self._suspect.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
