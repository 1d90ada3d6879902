"""The local mirror of one source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from driftd.git.address import Transport
from driftd.git.blame import BlameCache
from driftd.git.cat_file import read_blobs
from driftd.git.commits import history, read_revision, resolve_commit, shallow_boundary
from driftd.git.deadline import Deadline, TimedOut, run_in_thread
from driftd.git.environment import RemoteAccess, remote_access
from driftd.git.errors import CommandFailed, advice, asks_for_login, other_object_format, summarize
from driftd.git.fetch import RefFetcher, ref_key
from driftd.git.held_files import as_files
from driftd.git.mirror_folder import MirrorFolder, MirrorState, ResolvedRef
from driftd.git.path_history import PathChange, path_changes
from driftd.git.paths import validate_path
from driftd.git.revision_tree import RevisionTree
from driftd.git.runner import GitRunner, NoRepository, create_repository, open_repository
from driftd.git.source import GitSource
from driftd.model.errors import GitError, RefNotFound, SourceUnreachable
from driftd.model.revision import GitLine, Revision

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_READ_SECONDS = 60.0
_DEEPEN_SECONDS = 20.0
_READERS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="git-read")


class _DamagedRepository(GitError):
    """The mirror's repository lacks objects or references, or cannot be read."""


class Mirror:
    """A bare mirror of a source in a folder: created by the first fetch, rebuilt when it is damaged.

    All methods may be called concurrently, also from several processes on one folder: fetches are serialized, reads
    take no lock. Cancelling a call kills the Git that it runs.
    """

    def __init__(self, source: GitSource, folder: Path) -> None:
        self.source = source
        self._folder = MirrorFolder(folder)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"git-{source.name}")
        self._blame = BlameCache()
        self._exhausted_boundary: frozenset[str] = frozenset()

    async def fetch(self) -> Revision:
        """Fetches the source's reference and returns its commit. A failure leaves the mirror as it was.

        Raises: SourceUnreachable; RefNotFound: the remote does not have the reference (any more); GitError: the
        folder cannot be written, the credentials cannot be read, or git is not installed.
        """
        return await run_in_thread(self._writer, self.source.timeout, self._fetch)

    async def resolve(self) -> Revision:
        """The commit of the source's reference as last fetched. Raises: RefNotFound: it never was."""
        return await self._read(self._resolve)

    async def revision(self, sha: str) -> Revision:
        """A commit of the mirror by its full or abbreviated hash. Raises: RefNotFound."""
        return await self._read(lambda git: read_revision(git, resolve_commit(git, sha), sha))

    async def tree(self, sha: str, path: str = "") -> RevisionTree:
        """The files of a commit. `path` is the app's folder, or its one file; the empty string is the root.

        Raises: PathNotFound: the commit has no such path, or it leads out of the repository; RefNotFound.
        """
        path = validate_path(path)
        return await self._read(lambda git: RevisionTree.open(self._folder, git, resolve_commit(git, sha), path))

    def tree_at(self, sha: str) -> RevisionTree:
        """The files of a commit, to be read by path. `sha` is a full hash. Runs no Git yet.

        Unlike `tree` it does not list the files, which takes time in proportion to their number.
        """
        return RevisionTree(sha, "", sha, self._folder)

    async def blame(self, sha: str, lines: Mapping[str, Collection[int]]) -> dict[str, dict[int, GitLine]]:
        """The commits that last changed these lines of files, as of commit `sha`. Line numbers start at 1; those past
        the end of a file are left out, and so are files that the commit does not have.

        A line that is older than the history of a shallow remote has no commit.
        Raises: PathNotFound: a path leads out of the repository; RefNotFound.
        """
        numbers_by_file = {validate_path(file): numbers for file, numbers in lines.items()}
        cached = {
            file: blamed
            for file, numbers in numbers_by_file.items()
            if (blamed := self._blame.cached(sha, file, numbers)) is not None
        }
        rest = {file: numbers for file, numbers in numbers_by_file.items() if file not in cached}

        def blame(git: GitRunner) -> tuple[dict[str, dict[int, GitLine]], bool]:
            blamed = self._blame.blame_files(git, resolve_commit(git, sha), rest)
            return blamed, any(line.commit is None for lines in blamed.values() for line in lines.values())

        return cached | await self._read_history(blame) if rest else cached

    async def log(self, sha: str, paths: Sequence[str], limit: int) -> list[Revision]:
        """The last `limit` commits up to `sha` that changed one of these paths, newest first. Raises: RefNotFound."""
        paths = [validate_path(path) for path in paths]

        def log(git: GitRunner) -> tuple[list[Revision], bool]:
            commits = history(git, sha, paths, limit)
            return commits, not shallow_boundary(git).isdisjoint(commit.sha for commit in commits)

        return await self._read_history(log)

    async def path_changes(self, sha: str, path: str, limit: int) -> list[PathChange]:
        """As `log`, for one path, with the files in which these commits differ. Raises: RefNotFound."""
        path = validate_path(path)

        def read(git: GitRunner) -> tuple[list[PathChange], bool]:
            changes = path_changes(git, sha, path, limit)
            return changes, not shallow_boundary(git).isdisjoint(change.revision.sha for change in changes)

        return await self._read_history(read)

    async def read_blobs(self, blobs: Iterable[str], max_bytes: int) -> dict[str, bytes]:
        """The contents of blobs by their hashes, in this order, until they exceed `max_bytes`.

        Raises: GitError: the mirror lacks one.
        """
        names = list(blobs)
        return await self._read(lambda git: read_blobs(git, names, max_bytes))

    async def _read_history(self, work: Callable[[GitRunner], tuple[T, bool]]) -> T:
        """The result of `work`, which also returns whether the shallow boundary cuts it off: then the mirror is
        deepened and `work` runs again. A remote that has no more history, or cannot be reached, is not asked again
        before the next new commit.
        """

        def read(git: GitRunner) -> tuple[T, frozenset[str]]:
            result, cut_off = work(git)
            return result, shallow_boundary(git) if cut_off else frozenset()

        result, boundary = await self._read(read)
        if not boundary or boundary == self._exhausted_boundary:
            return result
        if await run_in_thread(self._writer, min(self.source.timeout, _DEEPEN_SECONDS), self._deepen):
            result, _ = await self._read(read)
        return result

    def _deepen(self, deadline: Deadline) -> bool:
        """Whether the mirror has more history afterwards. A failure is only logged: newer history can be read."""
        try:
            with self._folder.locked(deadline), open_repository(self._folder.repository, deadline) as git:
                before = shallow_boundary(git)
                if before and before != self._exhausted_boundary:
                    self._exhausted_boundary = before
                    with as_files(self.source) as source:
                        access = remote_access(source, self._folder.global_config)
                        RefFetcher(source, git, git.with_access(access)).deepen()
                deeper = shallow_boundary(git) != before or not before
        except GitError as error:
            _log.warning("git history is shallow and could not be deepened", source=self.source.name, error=str(error))
            return False
        if deeper:
            self._blame.invalidate_truncated()
        return deeper

    async def _read(self, work: Callable[[GitRunner], T]) -> T:
        def read(deadline: Deadline) -> T:
            try:
                with open_repository(self._folder.repository, deadline) as git:
                    return work(git)
            except NoRepository as error:
                raise RefNotFound(f"{self.source}: {self.source.ref} was not fetched yet") from error

        return await run_in_thread(_READERS, _READ_SECONDS, read)

    def _resolve(self, git: GitRunner) -> Revision:
        state = self._state()
        resolved = state.refs.get(ref_key(self.source.ref)) if state else None
        if resolved is None:
            raise RefNotFound(f"{self.source}: {self.source.ref} was not fetched yet")
        return read_revision(git, resolve_commit(git, resolved.sha), resolved.name)

    def _state(self) -> MirrorState | None:
        """The folder's state, unless it was fetched from another address."""
        state = self._folder.load_state()
        return state if state is not None and state.url == self.source.address.url else None

    def _fetch(self, deadline: Deadline) -> Revision:
        try:
            return self._fetch_locked(deadline)
        except OSError as error:  # a full disk, mostly
            raise GitError(f"{self._folder.root}: the mirror's folder cannot be written: {error.strerror}") from error

    def _fetch_locked(self, deadline: Deadline) -> Revision:
        with self._folder.locked(deadline):
            self._folder.remove_leftovers()
            try:
                with as_files(self.source) as source:
                    resolved = self._update(deadline, remote_access(source, self._folder.global_config))
            except TimedOut as error:
                raise SourceUnreachable(
                    f"{self.source}: {error}: check that the server can be reached from here; "
                    "if the repository is large, raise the source's timeout"
                ) from error
            except CommandFailed as error:
                raise self._unreachable(error) from error
            with open_repository(self._folder.repository, deadline) as git:
                return read_revision(git, resolved.sha, resolved.name)

    def _update(self, deadline: Deadline, access: RemoteAccess) -> ResolvedRef:
        state = self._state()
        if state is None or self._folder.is_suspect:
            return self._rebuild(deadline, access)
        try:
            with open_repository(self._folder.repository, deadline) as git:
                return self._fetch_into(RefFetcher(self.source, git, git.with_access(access)), state)
        except (NoRepository, _DamagedRepository) as error:
            _log.warning("git mirror is damaged and built anew", source=self.source.name, error=str(error))
            return self._rebuild(deadline, access)

    def _fetch_into(self, fetcher: RefFetcher, state: MirrorState) -> ResolvedRef:
        """Fetches into the existing repository. Raises: _DamagedRepository; as `RefFetcher.fetch`."""
        before = state.refs.get(ref_key(self.source.ref))
        try:
            resolved = fetcher.fetch(before)
        except CommandFailed as error:
            if other_object_format(error) is None and fetcher.is_intact(failure=error):
                raise
            raise _DamagedRepository(str(error)) from error
        if before != resolved:
            self._exhausted_boundary = frozenset()
            if before is not None and not fetcher.is_ancestor(before.sha, resolved.sha):
                _log.info("git reference was rewritten", source=self.source.name, old=before.sha, new=resolved.sha)
            self._folder.save_state(replace(state, refs={**state.refs, ref_key(self.source.ref): resolved}))
            fetcher.repack()
        return resolved

    def _rebuild(self, deadline: Deadline, access: RemoteAccess) -> ResolvedRef:
        try:
            incoming, resolved = self._build(deadline, access)
        except CommandFailed as error:
            if (object_format := other_object_format(error)) is None:
                raise
            incoming, resolved = self._build(deadline, access, object_format)
        self._folder.install(incoming)
        self._folder.save_state(MirrorState(self.source.address.url, {ref_key(self.source.ref): resolved}))
        self._exhausted_boundary = frozenset()
        self._blame.invalidate_truncated()
        return resolved

    def _build(self, deadline: Deadline, access: RemoteAccess, object_format: str = "sha1") -> tuple[Path, ResolvedRef]:
        """A new repository with what the source's reference is now, in a temporary folder."""
        incoming = self._folder.new_repository_folder()
        address = self.source.address
        borrows = self.source.borrow and address.transport is Transport.FILE
        create_repository(incoming, deadline, address.path if borrows else None, object_format)
        with open_repository(incoming, deadline) as git:
            return incoming, RefFetcher(self.source, git, git.with_access(access)).fetch(None)

    def _unreachable(self, error: CommandFailed) -> SourceUnreachable:
        hint = (asks_for_login(error.stderr) and self.source.why_no_login) or advice(error.stderr)
        return SourceUnreachable(f"{self.source}: {summarize(error.stderr)}" + (f" ({hint})" if hint else ""))


def mirror_of(source: GitSource, cache: Path) -> Mirror:
    """The mirror of a source in its own folder below `cache`: one folder per address and reference."""
    name = hashlib.sha256(f"{source.url}\n{source.ref}".encode(errors="surrogateescape")).hexdigest()[:12]
    return Mirror(source, cache / f"{source.name}-{name}")
