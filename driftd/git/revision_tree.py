"""The files of one revision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from driftd.git.cat_file import Answer, answers, contents
from driftd.git.deadline import Deadline
from driftd.git.errors import CommandFailed
from driftd.git.export import write
from driftd.git.mirror_folder import MirrorFolder
from driftd.git.paths import LINK, Entry, entries, inside, locate
from driftd.git.runner import NoRepository, Shell, opened
from driftd.model.errors import GitError, PathNotFound

_READING = 120.0
_MOST_BYTES = 256 << 20
_WHY = {
    "symlink": "a link that leads out of the repository",
    "dangling": "a link that leads nowhere",
    "loop": "a link that leads in a circle",
    "notdir": "a link through something that is no folder",
    "tree": "a folder",
}


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a revision; `path` is relative to the repository's root.

    For a link to a file in the repository, `blob` is that of the file that it leads to; any other link has its own,
    and cannot be read.
    """

    path: str
    blob: str
    mode: int

    @property
    def link(self) -> bool:
        return self.mode == LINK


@dataclass(frozen=True, slots=True)
class RevisionTree:
    """The files of one revision. `path` is the app's folder, or its one file, with no link in it.

    `oid` names the content of `path`, and of what links in it lead to: the same for the same content. The methods
    block, and may be called from any thread.
    """

    sha: str
    path: str
    oid: str
    folder: MirrorFolder
    _blobs: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The blobs of files that were listed: Git finds these quicker than paths."""
    _listing: bytes | None = field(default=None, repr=False, compare=False)
    """What is below `path`, as Git lists it, if that is known."""

    @classmethod
    def open(cls, folder: MirrorFolder, shell: Shell, sha: str, path: str) -> RevisionTree:
        """Blocking. `sha` is a full hash. Raises: PathNotFound."""
        found = locate(shell, sha, path)
        oid, listing = found.oid, None
        if found.kind == "tree":
            listing = shell.run("ls-tree", "-r", "-z", oid)
            if listing.startswith(b"120000 ") or b"\0120000 " in listing:
                oid = _with_links(shell, sha, oid, _links(_below(found.path, entries(listing))))
        return cls(sha, found.path, oid, folder, _listing=listing)

    def unread(self) -> RevisionTree:
        """The same, holding nothing of what was listed."""
        return RevisionTree(self.sha, self.path, self.oid, self.folder)

    def files(self, under: str | None = None) -> list[TreeFile]:
        """The files in a folder and all below it, or the one file of that path; by default those of `path`.

        In the order of their paths; regular files and links, no submodules.
        Raises: PathNotFound.
        """
        with self._shell() as shell:
            path = self.path if under is None else inside(under)
            if path == self.path and self._listing is not None:
                listed = _below(path, entries(self._listing))
            else:
                listed = _listed(shell, self.sha, path)
            targets = {
                answer.name: answer for answer in _follow(shell, self.sha, _links(listed)) if answer.kind == "blob"
            }
        files = []
        for entry in listed:
            target = targets.get(f"{self.sha}:{entry.path}")
            blob = target.oid if target and target.oid else entry.oid
            files.append(TreeFile(entry.path, blob, entry.mode))
            if target or entry.mode != LINK:
                self._blobs[entry.path] = blob
        return sorted(files, key=lambda file: file.path)

    def read(self, files: Iterable[str]) -> dict[str, bytes]:
        """The contents of files by path, whichever folder of the repository they are in. Links in it are followed.

        Raises: PathNotFound: there is no such file, or a link leads out; GitError: it is more than 256 MiB in all.
        """
        wanted = list(dict.fromkeys(files))
        found: dict[str, bytes] = {}
        if not wanted:
            return found
        with self._shell() as shell:
            waiting = iter(wanted)
            left = _MOST_BYTES

            def take(answer: Answer, parts: Iterator[bytes]) -> None:
                nonlocal left
                file = next(waiting)
                if answer.kind != "blob":
                    raise self._unreadable(shell, file, answer)
                left -= answer.size
                if left < 0:
                    raise GitError(f"{file}: more than {_MOST_BYTES >> 20} MiB of manifests to read at once")
                found[file] = b"".join(parts)

            contents(shell, [self._name(shell, file) for file in wanted], take)
        return found

    def export(self, to: Path, under: str = "") -> None:
        """Writes the revision, or what is under a folder of it, below `to`, each file at its path from the root.

        Only files and folders, and links that lead to some of them; never `.git`, and nothing that Git would run or
        change on the way (filters, hooks, line ends). A file that is there already is an error.
        Raises: PathNotFound; GitError: it is more than 1 GiB, or cannot be written.
        """
        with self._shell() as shell:
            listed = _listed(shell, self.sha, inside(under), "-l")
            links = {a.name for a in _follow(shell, self.sha, _links(listed)) if a.kind in ("blob", "tree")}
            write(shell, to, [e for e in listed if e.mode != LINK or f"{self.sha}:{e.path}" in links])

    @contextmanager
    def _shell(self) -> Iterator[Shell]:
        """Damage that a reader meets is noted, so that the next fetch repairs it."""
        try:
            with opened(self.folder.repository, Deadline(_READING)) as shell:
                yield shell
        except (CommandFailed, NoRepository) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> GitError:
        self.folder.mark_suspect()
        return GitError(f"the mirror in {self.folder.root} is damaged, and built anew by the next fetch: {what}")

    def _name(self, shell: Shell, file: str) -> str:
        """What `git cat-file --batch` calls a file: one line, so that a name with a line break goes by its object."""
        path = inside(file)
        if path in self._blobs:
            return self._blobs[path]
        return locate(shell, self.sha, path).oid if "\n" in path else f"{self.sha}:{path}"

    def _unreadable(self, shell: Shell, file: str, answer: Answer) -> GitError:
        if answer.kind != "missing":
            return PathNotFound(f"{file} is {_WHY.get(answer.kind, answer.kind)}")
        found = locate(shell, self.sha, inside(file))  # raises PathNotFound, unless it is the object that is gone
        return self._damaged(f"{file}: object {found.oid} is missing")


def _listed(shell: Shell, sha: str, path: str, *options: str) -> list[Entry]:
    """What is below a path. With `-l` come sizes, for which Git opens each object."""
    found = locate(shell, sha, path)
    if found.kind == "tree":
        return _below(found.path, entries(shell.run("ls-tree", "-r", *options, "-z", found.oid)))
    if not options:
        return [Entry(found.path, found.kind, found.oid, found.mode, None)]
    return entries(shell.run("ls-tree", *options, "-z", sha, "--", found.path))


def _below(path: str, found: Iterable[Entry]) -> list[Entry]:
    prefix = f"{path}/" if path else ""
    return [
        Entry(f"{prefix}{entry.path}", entry.kind, entry.oid, entry.mode, entry.size)
        for entry in found
        if entry.kind == "blob"
    ]


def _links(found: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in found if entry.mode == LINK]


def _follow(shell: Shell, sha: str, links: Sequence[Entry]) -> list[Answer]:
    names = [f"{sha}:{link.path}" for link in links if "\n" not in link.path]
    return answers(shell, names) if names else []


def _with_links(shell: Shell, sha: str, oid: str, links: Sequence[Entry]) -> str:
    """The name of a tree whose links may lead out of it, to what changes without it."""
    lines = [oid, *(f"{answer.kind} {answer.oid}" for answer in _follow(shell, sha, links))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
