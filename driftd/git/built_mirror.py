"""Mirrors whose commits driftd makes itself, of what comes from elsewhere than a Git repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from driftd.git.commits import read_revision, resolve_commit
from driftd.git.deadline import Deadline
from driftd.git.environment import remote_access
from driftd.git.mirror_folder import MirrorState, ResolvedRef
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.runner import GitRunner, NoRepository, create_repository, open_repository
from driftd.git.source import GitSource
from driftd.model.errors import GitError, PathNotFound
from driftd.model.revision import Revision
from driftd.model.text import has_control_character

_MAX_KEPT = 20
"""Commits of one mirror. Other apps may need other versions; what is gone is fetched again."""

_BASE = "refs/driftd/base"
_FETCH = ("--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--depth=1", "--update-shallow")


@dataclass(frozen=True, slots=True)
class BuiltCommit:
    """A commit to be made: files by their paths, on top of those of `base`, which is a commit of another mirror.

    The same content, author, time and text make the same commit. `name` is what it is called, `applied` what a deployer
    calls it.
    """

    applied: str
    name: str
    author: str
    time: datetime
    subject: str
    files: Mapping[str, bytes] = field(repr=False)
    base: tuple[Path, str] | None = None


class BuiltMirror(MirroredCommits):
    """A mirror of commits that driftd makes. Each is found by what a deployer says that it has applied, too."""

    has_history = False

    async def revision(self, sha: str) -> Revision:
        """The commit that was made for what a deployer has applied, or one by its hash. Raises: RefNotFound."""

        def read(git: GitRunner) -> Revision:
            if (made := self._made().get(_key(sha))) is not None:
                return read_revision(git, resolve_commit(git, made.sha), made.name)
            return read_revision(git, resolve_commit(git, sha), sha)

        return await self._read(read)

    def _made(self) -> Mapping[str, ResolvedRef]:
        state = self._folder.load_state()
        return state.refs if state is not None and not self._folder.is_suspect else {}

    def _make(self, deadline: Deadline, commit: BuiltCommit) -> Revision:
        """Makes a commit. Blocking. Raises: GitError."""
        try:
            with self._folder.locked(deadline):
                self._folder.remove_leftovers()
                if self._folder.is_suspect or not self._folder.repository.exists():
                    incoming = self._folder.new_repository_folder()
                    create_repository(incoming, deadline)
                    self._folder.install(incoming)
                with open_repository(self._folder.repository, deadline) as git:
                    return self._make_in(git, commit)
        except NoRepository:
            self._folder.mark_suspect()  # it is built anew the next time
            raise
        except OSError as error:
            raise GitError(f"{self._folder.root}: the mirror's folder cannot be written: {error.strerror}") from error

    def _make_in(self, git: GitRunner, commit: BuiltCommit) -> Revision:
        key = _key(commit.applied)
        tree = self._base_tree(git, commit.base) if commit.base is not None else None
        git.run("fast-import", "--quiet", "--force", stdin=b"".join(_stream(commit, _ref(key), tree)))
        sha = git.run("rev-parse", "--verify", _ref(key)).decode().strip()
        made = {name: ref for name, ref in self._made().items() if name != key}
        dropped = list(made)[: max(0, len(made) + 1 - _MAX_KEPT)]
        kept = {name: ref for name, ref in made.items() if name not in dropped}
        self._folder.save_state(MirrorState(self._title, {**kept, key: ResolvedRef(commit.name, sha)}))
        for old in dropped:
            git.run("update-ref", "-d", _ref(old))
        if dropped:
            git.run("gc", "--quiet", "--prune=now")
        return read_revision(git, sha, commit.name)

    def _base_tree(self, git: GitRunner, base: tuple[Path, str]) -> str:
        """The tree of a commit of another mirror on this machine, with all that is in it."""
        repository, sha = base
        access = remote_access(GitSource("base", str(repository), allow_file=True), self._folder.global_config)
        git.with_access(access).run("fetch", *_FETCH, "--end-of-options", str(repository), f"+{sha}:{_BASE}")
        return git.run("rev-parse", "--verify", f"{sha}^{{tree}}").decode().strip()


def checked_path(path: str) -> str:
    """A file's path as a commit can have it. Raises: PathNotFound: it leads out, or is Git's own."""
    parts = path.split("/")
    if has_control_character(path) or path.startswith(('"', "/")) or not all(parts):
        raise PathNotFound(f"{path!r} is no path that a file can have")
    if any(part in (".", "..") or part.lower() == ".git" for part in parts):
        raise PathNotFound(f"{path!r} leads out of the folder, or is Git's own")
    return path


def _key(applied: str) -> str:
    return hashlib.sha256(applied.encode(errors="surrogateescape")).hexdigest()[:16]


def _ref(key: str) -> str:
    return f"refs/driftd/made-{key}"


def _stream(commit: BuiltCommit, ref: str, tree: str | None) -> Iterator[bytes]:
    """The commit as `git fast-import` reads it."""
    author = "".join(character for character in commit.author if character not in "<>\n").strip() or "unknown"
    who = f"{author} <> {int(commit.time.timestamp())} +0000"
    subject = commit.subject.encode()
    yield f"commit {ref}\nauthor {who}\ncommitter {who}\ndata {len(subject)}\n".encode() + subject + b"\n"
    yield b"deleteall\n" if tree is None else f'M 040000 {tree} ""\n'.encode()
    for path, content in sorted(commit.files.items()):
        yield f"M 100644 inline {checked_path(path)}\ndata {len(content)}\n".encode() + content + b"\n"
    yield b"\n"
