"""Writing a revision to a folder on disk, for programs that read files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from driftd.git.cat_file import ObjectInfo, read_objects
from driftd.git.paths import SYMLINK_MODE, TreeEntry
from driftd.git.runner import GitRunner
from driftd.model.errors import GitError

_MAX_BYTES = 1 << 30
_EXECUTABLE = 0o100
_FORBIDDEN_NAMES = ("", ".", "..", ".git")

_Writer = Callable[[Path, TreeEntry, Iterator[bytes]], None]


def export_entries(git: GitRunner, to: Path, entries: Sequence[TreeEntry]) -> None:
    """Writes files and symlinks. The caller has excluded symlinks that are dangling or lead out of the repository.

    Symlinks are written last, so that no file can be written through one. Raises: GitError.
    """
    entries = [entry for entry in entries if not _is_forbidden(entry.path)]
    if sum(entry.size or 0 for entry in entries) > _MAX_BYTES:
        raise GitError(f"the revision is larger than {_MAX_BYTES >> 30} GiB: name a smaller folder")
    try:
        to.mkdir(parents=True, exist_ok=True)
        _write(git, to, [entry for entry in entries if entry.mode != SYMLINK_MODE], _write_file)
        _write(git, to, [entry for entry in entries if entry.mode == SYMLINK_MODE], _write_symlink)
    except OSError as error:
        raise GitError(f"{to}: the revision cannot be written: {error}") from error


def _is_forbidden(path: str) -> bool:
    return any(part.lower() in _FORBIDDEN_NAMES for part in PurePosixPath(path).parts) or path.startswith("/")


def _write(git: GitRunner, to: Path, entries: Sequence[TreeEntry], write: _Writer) -> None:
    remaining = iter(entries)

    def take(info: ObjectInfo, chunks: Iterator[bytes]) -> None:
        entry = next(remaining)
        if info.kind != "blob":
            raise GitError(f"{entry.path}: object {entry.oid} is {info.kind}")
        target = to / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, entry, chunks)

    if entries:
        read_objects(git, [entry.oid for entry in entries], take)


def _write_file(target: Path, entry: TreeEntry, chunks: Iterator[bytes]) -> None:
    mode = 0o755 if entry.mode & _EXECUTABLE else 0o644
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        file.writelines(chunks)


def _write_symlink(target: Path, entry: TreeEntry, chunks: Iterator[bytes]) -> None:  # noqa: ARG001  # a _Writer
    target.symlink_to(os.fsdecode(b"".join(chunks)))
