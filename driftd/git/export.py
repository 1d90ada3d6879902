"""Writing a revision to a folder on disk, for tools that want one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from driftd.git.cat_file import Answer, contents
from driftd.git.paths import LINK, Entry
from driftd.git.runner import Shell
from driftd.model.errors import GitError

_MOST_BYTES = 1 << 30
_EXECUTABLE = 0o100
_NEVER = ("", ".", "..", ".git")

_Writer = Callable[[Path, Entry, Iterator[bytes]], None]


def write(shell: Shell, to: Path, listed: Sequence[Entry]) -> None:
    """Writes these files and links. The caller has left out the links that lead nowhere, or out.

    Links come last: while files are written there is none that one of them could be written through.
    Raises: GitError.
    """
    entries = [entry for entry in listed if not _is_forbidden(entry.path)]
    if sum(entry.size or 0 for entry in entries) > _MOST_BYTES:
        raise GitError(f"the revision is larger than {_MOST_BYTES >> 30} GiB: name a smaller folder")
    try:
        to.mkdir(parents=True, exist_ok=True)
        _write(shell, to, [entry for entry in entries if entry.mode != LINK], _file)
        _write(shell, to, [entry for entry in entries if entry.mode == LINK], _link)
    except OSError as error:
        raise GitError(f"{to}: the revision cannot be written: {error}") from error


def _is_forbidden(path: str) -> bool:
    return any(part.lower() in _NEVER for part in PurePosixPath(path).parts) or path.startswith("/")


def _write(shell: Shell, to: Path, entries: Sequence[Entry], one: _Writer) -> None:
    waiting = iter(entries)

    def take(answer: Answer, parts: Iterator[bytes]) -> None:
        entry = next(waiting)
        if answer.kind != "blob":
            raise GitError(f"{entry.path}: object {entry.oid} is {answer.kind}")
        target = to / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        one(target, entry, parts)

    if entries:
        contents(shell, [entry.oid for entry in entries], take)


def _file(target: Path, entry: Entry, parts: Iterator[bytes]) -> None:
    mode = 0o755 if entry.mode & _EXECUTABLE else 0o644
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        file.writelines(parts)


def _link(target: Path, entry: Entry, parts: Iterator[bytes]) -> None:  # noqa: ARG001  # written as files are
    target.symlink_to(os.fsdecode(b"".join(parts)))
