"""Paths inside of a commit: where they lead, and that they do not lead out."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass

from driftd.git.command import Shell
from driftd.model.errors import PathNotFound
from driftd.model.text import has_control_character

_MOST_LINKS = 40
LINK = 0o120000
_SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Located:
    """Something that a commit has: `path` without any link in it, `kind` is `blob` or `tree`."""

    path: str
    kind: str
    oid: str
    mode: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `git ls-tree`. `size` is None for what is no blob, and where it was not asked for."""

    path: str
    kind: str
    oid: str
    mode: int
    size: int | None


def clean_path(text: str) -> str:
    """A path that a user gave, relative to the repository's root and without `.`; the root is the empty string.

    Raises: PathNotFound: it is absolute, leads out of the repository, or looks like an option.
    """
    if has_control_character(text) or text.startswith("-"):
        raise PathNotFound(f"{text!r}: a path must not start with - or hold control characters")
    return inside(text)


def inside(text: str) -> str:
    """As clean_path, for names that Git itself may have given. Raises: PathNotFound."""
    path = posixpath.normpath(text) if text else ""
    if path == ".." or path.startswith(("/", "../")) or "\0" in path:
        raise PathNotFound(f"{text!r} leads out of the repository")
    return "" if path == "." else path


def entries(listing: bytes) -> list[Entry]:
    """The entries of `git ls-tree -z`, with or without `-l`."""
    found = []
    for record in listing.split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, kind, oid, *size = facts.decode().split()
            length = int(size[0]) if size and size[0].isdigit() else None  # "-", or "BAD" for an object that is lost
            found.append(Entry(os.fsdecode(path), kind, oid, int(mode, 8), length))
    return found


def locate(shell: Shell, sha: str, path: str) -> Located:
    """What a commit has at a path, with all links on the way followed.

    Raises: PathNotFound: nothing, or a link leads out of the repository or in a circle.
    """
    wanted = path
    for _ in range(_MOST_LINKS):
        if not wanted:
            return Located("", "tree", shell.run("rev-parse", "--verify", f"{sha}^{{tree}}").decode().strip(), 0o40000)
        parts = wanted.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        known = {entry.path: entry for entry in entries(shell.run("ls-tree", "-t", "-z", sha, "--", *prefixes))}
        link = next((known[prefix] for prefix in prefixes if prefix in known and known[prefix].mode == LINK), None)
        if link is None:
            return _plain(path, known.get(wanted))
        target = os.fsdecode(shell.run("cat-file", "blob", link.oid))
        rest = wanted[len(link.path) :].removeprefix("/")
        try:
            wanted = inside(posixpath.join(posixpath.dirname(link.path), target, rest))
        except PathNotFound as error:
            raise PathNotFound(f"{path}: the link {link.path} leads out of the repository") from error
    raise PathNotFound(f"{path}: links lead in a circle")


def _plain(path: str, entry: Entry | None) -> Located:
    if entry is None:
        raise PathNotFound(f"there is no {path} in this revision")
    if entry.mode == _SUBMODULE:
        raise PathNotFound(f"{path} is a submodule: driftd does not fetch those")
    return Located(entry.path, entry.kind, entry.oid, entry.mode)
