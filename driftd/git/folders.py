"""The folders of a commit that a pattern matches, read level by level: only as much of the repository as that takes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from driftd.git.cat_file import ObjectInfo, object_infos, read_objects
from driftd.git.folder_pattern import FolderPattern
from driftd.git.paths import SUBMODULE_MODE, SYMLINK_MODE
from driftd.git.runner import GitRunner, OutputTooLarge
from driftd.model.errors import GitError

MAX_FOLDERS = 2000
"""Of one pattern: more would be a mistake of somebody, or an attack, rather than apps."""

_MAX_BYTES = 64 << 20
_FOLDER_MODE = 0o040000
_LINK_PROBLEMS = {
    "symlink": "it is a link that leads out of the repository",
    "dangling": "it is a link that leads nowhere",
    "loop": "it is a link that leads in a circle",
    "notdir": "it is a link through something that is no folder",
}
_SPECIAL = frozenset("*{}\\")
"""What means something else in a path of the configuration."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by its path, or why what a pattern matches at this path can be no app's folder."""

    path: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One name in a folder."""

    path: str
    mode: int


def list_folders(
    git: GitRunner, sha: str, pattern: FolderPattern, exclude: Collection[FolderPattern] = ()
) -> list[Folder]:
    """The folders of a commit that a pattern matches and none of `exclude` covers, sorted by path.

    A link to a folder of the repository is one; files are left out.
    Raises: OutputTooLarge: there are more than `MAX_FOLDERS`, or the folders on the way are too large to be read.
    """
    level, problems = [pattern.start], list[Folder]()
    depth = len(pattern.start.split("/")) if pattern.start else 0
    for count in range(depth + 1, len(pattern.folders) + 1):
        so_far = FolderPattern("/".join(pattern.folders[:count]))
        matching = [
            entry
            for entry in _entries(git, sha, level)
            if so_far.wildcards(entry.path) is not None and not any(one.covers(entry.path) for one in exclude)
        ]
        found = _as_folders(git, sha, matching)
        problems += [folder for folder in found if folder.problem is not None]
        level = [folder.path for folder in found if folder.problem is None]
        if len(level) + len(problems) > MAX_FOLDERS:
            raise OutputTooLarge(f"{pattern.text} matches more than {MAX_FOLDERS} folders: narrow it, or exclude some")
    return sorted([*map(Folder, level), *problems], key=lambda folder: folder.path)


def _as_folders(git: GitRunner, sha: str, entries: Sequence[_Entry]) -> list[Folder]:
    """Those of the entries that are folders, or might have been meant as one."""
    problems = {entry.path: _problem_of(entry) for entry in entries}
    links = [entry.path for entry in entries if entry.mode == SYMLINK_MODE and problems[entry.path] is None]
    infos = object_infos(git, [f"{sha}:{path}" for path in links]) if links else []
    targets = {path: info.kind for path, info in zip(links, infos, strict=True)}
    found: dict[str, Folder] = {}
    for entry in entries:
        path, kind = entry.path, targets.get(entry.path)
        problem = problems[path] if kind is None else _LINK_PROBLEMS.get(kind)
        if entry.mode in (_FOLDER_MODE, SUBMODULE_MODE) or kind == "tree" or problem is not None:
            found.setdefault(path, Folder(path, problem))
    return list(found.values())


def _problem_of(entry: _Entry) -> str | None:
    """What is wrong with a folder before any link is followed."""
    if entry.mode not in (_FOLDER_MODE, SYMLINK_MODE, SUBMODULE_MODE):
        return None
    name = entry.path.rpartition("/")[2]
    if not name.isprintable():
        return "its name has characters that cannot be printed"
    if found := sorted(_SPECIAL.intersection(name)):
        return f"its name has a {found[0]}, which means something else in a path"
    return "it is a submodule, which driftd does not fetch" if entry.mode == SUBMODULE_MODE else None


def _entries(git: GitRunner, sha: str, folders: Sequence[str]) -> list[_Entry]:
    """What is in these folders; nothing in those that are not there."""
    entries: list[_Entry] = []
    remaining = iter(folders)
    left = _MAX_BYTES

    def take(info: ObjectInfo, chunks: Iterator[bytes]) -> None:
        nonlocal left
        folder = next(remaining)
        if info.kind != "tree":
            return
        left -= info.size
        if left < 0:
            raise OutputTooLarge(f"{folder or 'the root'} has too many files to look for folders among them")
        entries.extend(_parse_tree(b"".join(chunks), folder, len(sha) // 2))

    if folders:
        read_objects(git, [f"{sha}:{folder}" for folder in folders], take)
    return entries


def _parse_tree(data: bytes, folder: str, oid_length: int) -> Iterator[_Entry]:
    """Source: Git's format of trees: `MODE NAME\\0OID`, with the raw bytes of the object's hash. Raises: GitError."""
    start = 0
    while start < len(data):
        end = data.find(b"\0", start)
        mode, blank, name = data[start : max(end, start)].partition(b" ")
        if end < 0 or not blank:
            raise GitError(f"{folder or 'the root'} is no folder that Git can have made: the mirror may be damaged")
        path = os.fsdecode(name)
        yield _Entry(f"{folder}/{path}" if folder else path, int(mode, 8))
        start = end + 1 + oid_length
