"""A folder of a repository, as rendering sees it: a tree of files at one revision, or a plain folder on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from driftd.model.errors import PathNotFound


class TreeFile(Protocol):
    """One file: `path` is relative to the repository's root, `blob` names its content."""

    @property
    def path(self) -> str: ...
    @property
    def blob(self) -> str: ...


class FileTree(Protocol):
    """The files of a repository at one state. All paths are relative to its root, with `/`, and never leave it."""

    @property
    def path(self) -> str:
        """The app's folder (or its one file); the empty string is the root."""

    @property
    def oid(self) -> str:
        """What the content of `path` is known by: the same for the same content."""

    def files(self, under: str | None = None) -> Sequence[TreeFile]:
        """The files in a folder and all below it, or the one file of that path; by default those of the app."""

    def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
        """The contents of files by path. Raises: PathNotFound."""

    def export(self, to: Path, under: str = "") -> None:
        """Write what is under a folder to `to`, at its path from the root; no link in it leads out of `to`."""


class TracedTree:
    """A tree that remembers which of its paths were looked at, whether or not there was anything."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self._paths: set[str] = set()
        self._listed: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self._tree.path

    @property
    def oid(self) -> str:
        return self._tree.oid

    @property
    def made_from(self) -> tuple[str, ...]:
        """The paths that were looked at, without those that are below another one."""
        return tuple(sorted(path for path in self._paths if self._paths.isdisjoint(_above(path))))

    def files(self, under: str | None = None) -> Sequence[TreeFile]:
        listed = self.path if under is None else under
        self._paths.add(listed)
        below = f"{listed}/" if listed else ""
        if below not in self._listed:
            self._listed += (below,)
        return self._tree.files(under)

    def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
        wanted = list(files)
        self._paths.update([path for path in wanted if not path.startswith(self._listed)])
        return self._tree.read(wanted)

    def export(self, to: Path, under: str = "") -> None:
        self._paths.add(under)
        self._tree.export(to, under)


def _above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file of a FolderTree."""

    path: str
    blob: str


class FolderTree:
    """The FileTree of a plain folder: `root` stands for the repository, `path` for the app's folder in it.

    Links that lead to a file inside `root` are read as that file; others are listed, but cannot be read and are not
    exported. A `.git` folder is as if it were not there.
    """

    def __init__(self, root: Path, path: str = "") -> None:
        self.root = root.resolve()
        self.path = "" if path in ("", ".") else str(PurePosixPath(path))
        self._inside(self.path)

    @property
    def oid(self) -> str:
        lines = (f"{file.path}\0{file.blob}" for file in self.files())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def files(self, under: str | None = None) -> Sequence[FolderFile]:
        start = self._inside(self.path if under is None else under)
        found = [start] if start.is_file() else sorted(start.rglob("*"))
        return [self._file(path) for path in found if self._is_content(path)]

    def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
        contents = {}
        for file in files:
            path = self._inside(file)
            if not path.is_file():
                raise PathNotFound(f"there is no file {file}")
            contents[file] = path.read_bytes()
        return contents

    def export(self, to: Path, under: str = "") -> None:
        for file in self.files(under):
            source, target = self.root / file.path, to / file.path
            if self._is_inside(source) and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def _file(self, path: Path) -> FolderFile:
        readable = self._is_inside(path) and path.is_file()
        data = path.read_bytes() if readable else os.fsencode(path.readlink())
        return FolderFile(path.relative_to(self.root).as_posix(), hashlib.sha256(data).hexdigest())

    def _is_content(self, path: Path) -> bool:
        return (path.is_file() or path.is_symlink()) and ".git" not in path.relative_to(self.root).parts

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)

    def _inside(self, path: str) -> Path:
        found = self.root / path
        if not self._is_inside(found):
            raise PathNotFound(f"{path} leads out of the repository")
        if not found.exists():
            raise PathNotFound(f"there is no {path}")
        return found
