"""The folder of a mirror: a bare repository, the state of the last fetch, and a write lock.

repository.git/   the bare repository
state.json        the address that it was fetched from, and the commit of each fetched reference
suspect           exists when reading found damage: the next fetch rebuilds the repository
lock              locked during a fetch
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

_LOCK_POLL_SECONDS = 0.05
_TEMPORARY_FOLDERS = ("incoming", "outgoing")
_TEMPORARY_FILES = (
    "*.lock",
    "refs/**/*.lock",
    "objects/**/tmp_*",
    "objects/pack/.tmp-*",
    "objects/pack/*.keep",
    "objects/**/*.lock",
)


@dataclass(frozen=True, slots=True)
class ResolvedRef:
    """A reference as last fetched: the name that it resolved to (a branch, a tag or a hash), and the commit."""

    name: str
    sha: str


@dataclass(frozen=True, slots=True)
class MirrorState:
    """The state of a mirror. `refs` is by configured reference: another one has not been fetched yet."""

    url: str
    refs: Mapping[str, ResolvedRef] = field(default_factory=dict)


class MirrorFolder:
    """The folder of one mirror. Reading takes no lock: files are replaced atomically."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.repository = self.root / "repository.git"
        self.global_config = self.root / "gitconfig"
        self._state = self.root / "state.json"
        self._suspect = self.root / "suspect"

    @contextmanager
    def locked(self, deadline: Deadline) -> Iterator[None]:
        """Holds the lock across threads and processes. It is released when its process ends, however that ends.

        Raises: GitError: the folder cannot be written. TimedOut: another holder kept the lock until the deadline.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise GitError(f"{self.root}: the mirror's folder cannot be written: {error.strerror}") from error
        try:
            self._wait(lock, deadline)
            deadline.restart()
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
                time.sleep(_LOCK_POLL_SECONDS)
            except OSError as error:
                raise GitError(f"{self.root}: the mirror's folder cannot be locked: {error.strerror}") from error
            else:
                return

    def remove_leftovers(self) -> None:
        """Removes temporary files of a killed Git or driftd. The caller holds the lock.

        A Git of a killed driftd that is still running fails, without harm: only state.json says what was fetched.
        """
        for prefix in _TEMPORARY_FOLDERS:
            for folder in self.root.glob(f"{prefix}-*"):
                shutil.rmtree(folder, ignore_errors=True)
        for pattern in _TEMPORARY_FILES:
            for file in self.repository.glob(pattern):
                _remove(file)

    def load_state(self) -> MirrorState | None:
        """The state of the last fetch; None where there was none, or its file cannot be read."""
        try:
            document: Any = json.loads(self._state.read_bytes())
            return MirrorState(document["url"], {key: ResolvedRef(**value) for key, value in document["refs"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def save_state(self, state: MirrorState) -> None:
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        temporary.replace(self._state)

    @property
    def is_suspect(self) -> bool:
        """Whether reading found damage in the repository."""
        return self._suspect.exists()

    def mark_suspect(self) -> None:
        self._suspect.touch()

    def new_repository_folder(self) -> Path:
        """A temporary path in which to build a new repository."""
        return self.root / f"incoming-{os.getpid()}-{time.monotonic_ns()}"

    def install(self, repository: Path) -> None:
        """Replaces the repository by a newly built one."""
        old = self.root / f"outgoing-{os.getpid()}-{time.monotonic_ns()}"
        _remove(self._state)
        if self.repository.exists():
            self.repository.rename(old)
        repository.rename(self.repository)
        _remove(self._suspect)
        _remove(old)


def _remove(path: Path) -> None:
    """Removes whatever is there: damage has made folders of files, and the reverse."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
