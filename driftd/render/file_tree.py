"""The input of rendering: the files of a repository at one revision, or of a plain folder on disk."""

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
    """One file: `path` is relative to the repository's root, `blob` identifies its content."""

    @property
    def path(self) -> str: ...
    @property
    def blob(self) -> str: ...


class FileTree(Protocol):
    """The files of a repository at one revision. Paths are relative to its root, with `/`, and never lead out."""

    @property
    def path(self) -> str:
        """The app's folder (or its one file); the empty string is the root."""

    @property
    def oid(self) -> str:
        """Identifies the content of `path`: equal for equal content."""

    def files(self, under: str | None = None) -> Sequence[TreeFile]:
        """The files in a folder and below it, or the one file at that path; by default those of the app."""

    def unreadable(self, under: str | None = None) -> Mapping[str, str]:
        """What a folder has besides files that can be read, and what each is: submodules, and links to no file."""

    def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
        """The contents of files by path. Raises: PathNotFound."""

    def export(self, to: Path, under: str = "") -> None:
        """Writes a folder below `to`, at its path from the root; no symlink in it leads out of `to`."""


class TracedTree:
    """Records which paths of a tree are read, whether they exist or not."""

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
    def paths_read(self) -> tuple[str, ...]:
        """The paths that were read, without those below another one."""
        return tuple(sorted(path for path in self._paths if self._paths.isdisjoint(_parents(path))))

    def files(self, under: str | None = None) -> Sequence[TreeFile]:
        folder = self.path if under is None else under
        self._paths.add(folder)
        prefix = f"{folder}/" if folder else ""
        if prefix not in self._listed:
            self._listed += (prefix,)
        return self._tree.files(under)

    def unreadable(self, under: str | None = None) -> Mapping[str, str]:
        self._paths.add(self.path if under is None else under)
        return self._tree.unreadable(under)

    def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
        paths = list(files)
        self._paths.update([path for path in paths if not path.startswith(self._listed)])
        return self._tree.read(paths)

    def export(self, to: Path, under: str = "") -> None:
        self._paths.add(under)
        self._tree.export(to, under)


def _parents(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file of a FolderTree."""

    path: str
    blob: str


class FolderTree:
    """The FileTree of a plain folder: `root` takes the place of the repository, `path` is the app's folder in it.

    Symlinks to a file inside `root` are read as that file; others are listed, but cannot be read and are not exported.
    A `.git` folder is ignored.
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
        paths = [start] if start.is_file() else sorted(start.rglob("*"))
        return [self._file(path) for path in paths if self._is_content(path)]

    def unreadable(self, under: str | None = None) -> Mapping[str, str]:
        found = {}
        for file in self.files(under):
            path = self.root / file.path
            if not self._is_inside(path):
                found[file.path] = "a link that leads out of the repository"
            elif not path.is_file():
                found[file.path] = "a link to a folder" if path.is_dir() else "a link that leads nowhere"
        return found

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
        absolute = self.root / path
        if not self._is_inside(absolute):
            raise PathNotFound(f"{path} leads out of the repository")
        if not absolute.exists():
            raise PathNotFound(f"there is no {path}")
        return absolute
