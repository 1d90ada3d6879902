"""Paths in a commit: resolving symlinks without leaving the repository."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass

from driftd.git.runner import GitRunner
from driftd.model.errors import PathNotFound
from driftd.model.text import has_control_character

_MAX_SYMLINKS = 40
SYMLINK_MODE = 0o120000
SUBMODULE_MODE = 0o160000


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """An object of a commit: `path` has no symlink in it, `kind` is `blob` or `tree`."""

    path: str
    kind: str
    oid: str
    mode: int


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of `git ls-tree`. `size` is None without `-l`, and for objects that are no blobs."""

    path: str
    kind: str
    oid: str
    mode: int
    size: int | None


def validate_path(text: str) -> str:
    """Normalizes a user's path: relative to the repository's root, without `.`; the root is the empty string.

    Raises: PathNotFound: it is absolute, leads out of the repository, or looks like an option.
    """
    if has_control_character(text) or text.startswith("-"):
        raise PathNotFound(f"{text!r}: a path must not start with - or hold control characters")
    return normalize_path(text)


def normalize_path(text: str) -> str:
    """As `validate_path`, for names that may come from Git itself. Raises: PathNotFound."""
    path = posixpath.normpath(text) if text else ""
    if path == ".." or path.startswith(("/", "../")) or "\0" in path:
        raise PathNotFound(f"{text!r} leads out of the repository")
    return "" if path == "." else path


def parse_ls_tree(listing: bytes) -> list[TreeEntry]:
    """The entries of `git ls-tree -z`, with or without `-l`."""
    entries = []
    for record in listing.split(b"\0"):
        if record:
            fields, _, path = record.partition(b"\t")
            mode, kind, oid, *size = fields.decode().split()
            length = int(size[0]) if size and size[0].isdigit() else None  # "-", or "BAD" for a missing object
            entries.append(TreeEntry(os.fsdecode(path), kind, oid, int(mode, 8), length))
    return entries


def resolve_path(git: GitRunner, sha: str, path: str) -> ResolvedPath:
    """The object of a commit at a path, after following all symlinks on the way.

    Raises: PathNotFound: there is none, or a symlink leads out of the repository or in a circle.
    """
    current = path
    for _ in range(_MAX_SYMLINKS):
        if not current:
            tree = git.run("rev-parse", "--verify", f"{sha}^{{tree}}").decode().strip()
            return ResolvedPath("", "tree", tree, 0o40000)
        parts = current.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        entries = {entry.path: entry for entry in parse_ls_tree(git.run("ls-tree", "-t", "-z", sha, "--", *prefixes))}
        on_the_way = (entries[prefix] for prefix in prefixes if prefix in entries)
        link = next((entry for entry in on_the_way if entry.mode == SYMLINK_MODE), None)
        if link is None:
            return _resolved_entry(path, entries.get(current))
        target = os.fsdecode(git.run("cat-file", "blob", link.oid))
        rest = current[len(link.path) :].removeprefix("/")
        try:
            current = normalize_path(posixpath.join(posixpath.dirname(link.path), target, rest))
        except PathNotFound as error:
            raise PathNotFound(f"{path}: the link {link.path} leads out of the repository") from error
    raise PathNotFound(f"{path}: links lead in a circle")


def _resolved_entry(path: str, entry: TreeEntry | None) -> ResolvedPath:
    if entry is None:
        raise PathNotFound(f"there is no {path} in this revision")
    if entry.mode == SUBMODULE_MODE:
        raise PathNotFound(f"{path} is a submodule: driftd does not fetch those")
    return ResolvedPath(entry.path, entry.kind, entry.oid, entry.mode)
