"""The files of one revision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from driftd.git.cat_file import ObjectInfo, object_infos, read_objects
from driftd.git.deadline import Deadline
from driftd.git.errors import CommandFailed
from driftd.git.export import export_entries
from driftd.git.mirror_folder import MirrorFolder
from driftd.git.paths import SUBMODULE_MODE, SYMLINK_MODE, TreeEntry, normalize_path, parse_ls_tree, resolve_path
from driftd.git.runner import GitRunner, NoRepository, OutputTooLarge, open_repository
from driftd.model.errors import GitError, PathNotFound

_READ_SECONDS = 120.0
_MAX_BYTES = 256 << 20
_MAX_FILES, _MAX_DEPTH = 200_000, 100
_UNREADABLE_KINDS = {
    "symlink": "a link that leads out of the repository",
    "dangling": "a link that leads nowhere",
    "loop": "a link that leads in a circle",
    "notdir": "a link through something that is no folder",
    "tree": "a folder",
}
_LINKS = {**_UNREADABLE_KINDS, "tree": "a link to a folder"}
_UNREADABLE_MODES = (b"120000 ", b"160000 ")


class MirrorDamaged(GitError):
    """The mirror lacks what it should have. The next fetch builds it anew, once its folder is marked as suspect."""


@dataclass(frozen=True, slots=True)
class RevisionFile:
    """A file of a revision; `path` is relative to the repository's root.

    The `blob` of a symlink to a file in the repository is that file's; any other symlink has its own blob, and cannot
    be read.
    """

    path: str
    blob: str
    mode: int

    @property
    def is_symlink(self) -> bool:
        return self.mode == SYMLINK_MODE


@dataclass(frozen=True, slots=True)
class RevisionTree:
    """The files of one revision. `path` is the app's folder, or its one file, after following symlinks.

    `oid` identifies the content of `path`, and of the targets of symlinks in it: equal for equal content. The methods
    block, and may be called from any thread.
    """

    sha: str
    path: str
    oid: str
    folder: MirrorFolder
    _blobs: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The blobs of listed files: Git looks these up faster than paths."""
    _listing: bytes | None = field(default=None, repr=False, compare=False)
    """The output of `git ls-tree -r` for `path`, if it was run."""

    @classmethod
    def open(cls, folder: MirrorFolder, git: GitRunner, sha: str, path: str) -> RevisionTree:
        """Blocking. `sha` is a full hash. Raises: PathNotFound."""
        resolved = resolve_path(git, sha, path)
        oid, listing = resolved.oid, None
        if resolved.kind == "tree":
            listing = _listing(git, oid)
            if listing.startswith(b"120000 ") or b"\0120000 " in listing:
                oid = _oid_with_symlinks(git, sha, oid, _symlinks(_blobs_below(resolved.path, parse_ls_tree(listing))))
        return cls(sha, resolved.path, oid, folder, _listing=listing)

    def without_listing(self) -> RevisionTree:
        """The same tree without its listing, which takes memory."""
        return RevisionTree(self.sha, self.path, self.oid, self.folder)

    def files(self, under: str | None = None) -> list[RevisionFile]:
        """The files in a folder and below it, or the one file at that path; by default those of `path`.

        Sorted by path; regular files and symlinks, no submodules. Raises: PathNotFound.
        """
        with self._open() as git:
            path = self.path if under is None else normalize_path(under)
            if path == self.path and self._listing is not None:
                entries = _blobs_below(path, parse_ls_tree(self._listing))
            else:
                entries = _list_entries(git, self.sha, path)
            infos = _follow_symlinks(git, self.sha, _symlinks(entries))
            targets = {info.name: info for info in infos if info.kind == "blob"}
        files = []
        for entry in entries:
            target = targets.get(f"{self.sha}:{entry.path}")
            blob = target.oid if target and target.oid else entry.oid
            files.append(RevisionFile(entry.path, blob, entry.mode))
            if target or entry.mode != SYMLINK_MODE:
                self._blobs[entry.path] = blob
        return sorted(files, key=lambda file: file.path)

    def unreadable(self, under: str | None = None) -> dict[str, str]:
        """What a folder has besides files that can be read, and what each is: submodules, and links to no file.

        Raises: PathNotFound.
        """
        with self._open() as git:
            path = self.path if under is None else normalize_path(under)
            listing = self._listing if path == self.path else None
            if listing is None:
                resolved = resolve_path(git, self.sha, path)
                path = resolved.path
                listing = _listing(git, resolved.oid) if resolved.kind == "tree" else b""
            if not any(listing.startswith(mode) or b"\0" + mode in listing for mode in _UNREADABLE_MODES):
                return {}
            prefix = f"{path}/" if path else ""
            entries = parse_ls_tree(listing)
            found = {
                f"{prefix}{entry.path}": "a submodule, which driftd does not fetch"
                for entry in entries
                if entry.mode == SUBMODULE_MODE
            }
            for info in _follow_symlinks(git, self.sha, _symlinks(_blobs_below(path, entries))):
                if info.kind != "blob":
                    found[info.name.removeprefix(f"{self.sha}:")] = _LINKS.get(info.kind, f"a link to a {info.kind}")
        return found

    def read(self, files: Iterable[str]) -> dict[str, bytes]:
        """The contents of files by path, anywhere in the repository. Symlinks in it are followed.

        Raises: PathNotFound: there is no such file, or a symlink leads out; GitError: they exceed 256 MiB in all.
        """
        paths = list(dict.fromkeys(files))
        contents: dict[str, bytes] = {}
        if not paths:
            return contents
        with self._open() as git:
            remaining = iter(paths)
            left = _MAX_BYTES

            def take(info: ObjectInfo, chunks: Iterator[bytes]) -> None:
                nonlocal left
                file = next(remaining)
                if info.kind != "blob":
                    raise self._read_error(git, file, info)
                left -= info.size
                if left < 0:
                    raise GitError(f"{file}: more than {_MAX_BYTES >> 20} MiB of manifests to read at once")
                contents[file] = b"".join(chunks)

            read_objects(git, [self._object_name(git, file) for file in paths], take)
        return contents

    def export(self, to: Path, under: str = "") -> None:
        """Writes the revision, or one folder of it, below `to`, each file at its path from the repository's root.

        Writes files, folders and symlinks to some of these; never `.git`. Git's filters, hooks and line end conversion
        do not apply. A file that already exists is an error.
        Raises: PathNotFound; GitError: it exceeds 1 GiB, or cannot be written.
        """
        with self._open() as git:
            entries = _list_entries(git, self.sha, normalize_path(under), "-l")
            infos = _follow_symlinks(git, self.sha, _symlinks(entries))
            links = {info.name for info in infos if info.kind in ("blob", "tree")}
            export_entries(git, to, [e for e in entries if e.mode != SYMLINK_MODE or f"{self.sha}:{e.path}" in links])

    @contextmanager
    def _open(self) -> Iterator[GitRunner]:
        """Opens the mirror. Damage found while reading is recorded, so that the next fetch repairs it."""
        try:
            with open_repository(self.folder.repository, Deadline(_READ_SECONDS)) as git:
                yield git
        except (CommandFailed, NoRepository) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> MirrorDamaged:
        with suppress(PermissionError):  # a process that may only read tells its caller, who records it
            self.folder.mark_suspect()
        return MirrorDamaged(f"the mirror in {self.folder.root} is damaged, and built anew by the next fetch: {reason}")

    def _object_name(self, git: GitRunner, file: str) -> str:
        """A file's name for `git cat-file --batch`: one line, so a path with a line break is replaced by its hash."""
        path = normalize_path(file)
        if path in self._blobs:
            return self._blobs[path]
        return resolve_path(git, self.sha, path).oid if "\n" in path else f"{self.sha}:{path}"

    def _read_error(self, git: GitRunner, file: str, info: ObjectInfo) -> GitError:
        if info.kind != "missing":
            return PathNotFound(f"{file} is {_UNREADABLE_KINDS.get(info.kind, info.kind)}")
        resolved = resolve_path(git, self.sha, normalize_path(file))  # raises PathNotFound, unless the object is lost
        return self._damaged(f"{file}: object {resolved.oid} is missing")


def _list_entries(git: GitRunner, sha: str, path: str, *options: str) -> list[TreeEntry]:
    """The blobs at or below a path. The option `-l` adds sizes, for which Git opens each object."""
    resolved = resolve_path(git, sha, path)
    if resolved.kind == "tree":
        return _blobs_below(resolved.path, parse_ls_tree(_listing(git, resolved.oid, *options)))
    if not options:
        return [TreeEntry(resolved.path, resolved.kind, resolved.oid, resolved.mode, None)]
    return parse_ls_tree(git.run("ls-tree", *options, "-z", sha, "--", resolved.path))


def _listing(git: GitRunner, oid: str, *options: str) -> bytes:
    """The output of `git ls-tree -r` for a tree.

    Raises: OutputTooLarge: a few trees that contain each other can stand for more files than any machine holds.
    """
    listing = git.run("ls-tree", "-r", *options, "-z", oid)
    if listing.count(b"\0") > _MAX_FILES:
        raise OutputTooLarge(f"the folder has more than {_MAX_FILES} files: name a smaller one")
    if max(map(_depth, listing.split(b"\0"))) > _MAX_DEPTH:
        raise OutputTooLarge(f"the folder has more than {_MAX_DEPTH} folders inside of each other")
    return listing


def _depth(record: bytes) -> int:
    return record.count(b"/")


def _blobs_below(path: str, entries: Iterable[TreeEntry]) -> list[TreeEntry]:
    prefix = f"{path}/" if path else ""
    return [
        TreeEntry(f"{prefix}{entry.path}", entry.kind, entry.oid, entry.mode, entry.size)
        for entry in entries
        if entry.kind == "blob"
    ]


def _symlinks(entries: Iterable[TreeEntry]) -> list[TreeEntry]:
    return [entry for entry in entries if entry.mode == SYMLINK_MODE]


def _follow_symlinks(git: GitRunner, sha: str, links: Sequence[TreeEntry]) -> list[ObjectInfo]:
    names = [f"{sha}:{link.path}" for link in links if "\n" not in link.path]
    return object_infos(git, names) if names else []


def _oid_with_symlinks(git: GitRunner, sha: str, oid: str, links: Sequence[TreeEntry]) -> str:
    """The identity of a tree with symlinks: their targets may be outside of it, and change without it."""
    lines = [oid, *(f"{info.kind} {info.oid}" for info in _follow_symlinks(git, sha, links))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
