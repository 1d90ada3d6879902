"""The mirror of one source: what Git has, kept on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from driftd.git.address import Transport
from driftd.git.blame import Blame
from driftd.git.commits import existing_commit, history, revision_of
from driftd.git.deadline import Deadline, TimedOut, in_thread
from driftd.git.environment import Login, login
from driftd.git.errors import CommandFailed, advice, condensed
from driftd.git.fetch import Fetch, key_of
from driftd.git.mirror_folder import MirrorFolder, Resolved, State
from driftd.git.path_history import Step, blobs, boundary, steps
from driftd.git.paths import clean_path
from driftd.git.revision_tree import RevisionTree
from driftd.git.runner import NoRepository, Shell, create, opened
from driftd.git.source import GitSource
from driftd.model.errors import GitError, RefNotFound, SourceUnreachable
from driftd.model.revision import GitLine, Revision

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_READING = 60.0
_DEEPENING = 20.0
_READERS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="git-read")


class _Damaged(GitError):
    """The repository of the mirror has lost something that it needs."""


class Mirror:
    """A bare mirror of a source in a folder, made when it is first fetched, and made anew when it is damaged.

    All methods may be called at the same time, and from several processes with one folder: fetches follow each other,
    reading waits for nobody. When a call is cancelled, the Git behind it is killed.
    """

    def __init__(self, source: GitSource, folder: Path) -> None:
        self.source = source
        self._folder = MirrorFolder(folder)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"git-{source.name}")
        self._blame = Blame()
        self._no_deeper: frozenset[str] = frozenset()

    async def fetch(self) -> Revision:
        """Asks the remote for the source's reference and gives its commit. What was there stays when this fails.

        Raises: SourceUnreachable; RefNotFound: the remote does not have the reference (any more); GitError: the
        folder cannot be written, the credentials cannot be read, or there is no git.
        """
        return await in_thread(self._writer, self.source.timeout, self._fetch)

    async def resolve(self) -> Revision:
        """The commit that the last fetch of the source's reference gave. Raises: RefNotFound: there was none."""
        return await self._read(self._resolve)

    async def revision(self, sha: str) -> Revision:
        """A commit that the mirror has, by its hash or the beginning of it. Raises: RefNotFound."""
        return await self._read(lambda shell: revision_of(shell, existing_commit(shell, sha), sha))

    async def tree(self, sha: str, path: str = "") -> RevisionTree:
        """The files of a commit. `path` is the app's folder, or its one file; the empty string is the root.

        Raises: PathNotFound: the commit has no such path, or it leads out of the repository; RefNotFound.
        """
        wanted = clean_path(path)
        return await self._read(
            lambda shell: RevisionTree.open(self._folder, shell, existing_commit(shell, sha), wanted)
        )

    def at(self, sha: str) -> RevisionTree:
        """The files of a commit that the mirror has, by its full hash, to be read by path: costs nothing yet.

        Unlike `tree` it does not look at what files there are, which takes the longer the more there are.
        """
        return RevisionTree(sha, "", sha, self._folder)

    async def blame(self, sha: str, lines: Mapping[str, Collection[int]]) -> dict[str, dict[int, GitLine]]:
        """Who wrote these lines of files, as a commit has them. Lines count from 1; those past the end are left out.

        A file that the commit does not have is left out. A line that is older than the history that the remote gave (a
        shallow one) has no commit. Raises: PathNotFound: a path leads out of the repository; RefNotFound.
        """
        wanted = {clean_path(file): numbers for file, numbers in lines.items()}
        found = {
            file: known
            for file, numbers in wanted.items()
            if (known := self._blame.kept(sha, file, numbers)) is not None
        }
        rest = {file: numbers for file, numbers in wanted.items() if file not in found}

        def blamed(shell: Shell) -> tuple[dict[str, dict[int, GitLine]], bool]:
            answer = self._blame.files(shell, existing_commit(shell, sha), rest)
            return answer, any(line.commit is None for lines in answer.values() for line in lines.values())

        return found | await self._deep(blamed) if rest else found

    async def log(self, sha: str, paths: Sequence[str], limit: int) -> list[Revision]:
        """The last commits up to `sha` that touched one of these paths, newest first. Raises: RefNotFound."""
        wanted = [clean_path(path) for path in paths]

        def logged(shell: Shell) -> tuple[list[Revision], bool]:
            found = history(shell, sha, wanted, limit)
            return found, not boundary(shell).isdisjoint(commit.sha for commit in found)

        return await self._deep(logged)

    async def steps(self, sha: str, path: str, limit: int) -> list[Step]:
        """As `log`, for one path, with the files that each of these commits has otherwise. Raises: RefNotFound."""
        wanted = clean_path(path)

        def stepped(shell: Shell) -> tuple[list[Step], bool]:
            found = steps(shell, sha, wanted, limit)
            return found, not boundary(shell).isdisjoint(step.revision.sha for step in found)

        return await self._deep(stepped)

    async def blobs(self, wanted: Iterable[str], most: int) -> dict[str, bytes]:
        """The contents of blobs by their hashes, in this order, until they are more than `most` bytes.

        Raises: GitError: the mirror does not have one.
        """
        names = list(wanted)
        return await self._read(lambda shell: blobs(shell, names, most))

    async def _deep(self, work: Callable[[Shell], tuple[T, bool]]) -> T:
        """The answer of `work`, which also says whether more history would make another one: then the remote is asked
        for all that it has. Where it has no more, or cannot be reached, it is not asked again before a new commit.
        """

        def reading(shell: Shell) -> tuple[T, frozenset[str]]:
            answer, cut_off = work(shell)
            return answer, boundary(shell) if cut_off else frozenset()

        answer, missing = await self._read(reading)
        if not missing or missing == self._no_deeper:
            return answer
        if await in_thread(self._writer, min(self.source.timeout, _DEEPENING), self._deepen):
            answer, _ = await self._read(reading)
        return answer

    def _deepen(self, deadline: Deadline) -> bool:
        """Whether more of the history is there afterwards. Never a reason to fail: what is newer is known."""
        try:
            with self._folder.exclusive(deadline), opened(self._folder.repository, deadline) as shell:
                before = boundary(shell)
                if before and before != self._no_deeper:
                    self._no_deeper = before
                    credentials = login(self.source, self._folder.global_config)
                    Fetch(self.source, shell, shell.logged_in(credentials)).deepen()
                deeper = boundary(shell) != before or not before
        except GitError as error:
            _log.warning("git history is shallow and could not be deepened", source=self.source.name, error=str(error))
            return False
        if deeper:
            self._blame.forget_what_was_cut_off()
        return deeper

    async def _read(self, work: Callable[[Shell], T]) -> T:
        def reading(deadline: Deadline) -> T:
            try:
                with opened(self._folder.repository, deadline) as shell:
                    return work(shell)
            except NoRepository as error:
                raise RefNotFound(f"{self.source}: {self.source.ref} was not fetched yet") from error

        return await in_thread(_READERS, _READING, reading)

    def _resolve(self, shell: Shell) -> Revision:
        state = self._state()
        resolved = state.refs.get(key_of(self.source.ref)) if state else None
        if resolved is None:
            raise RefNotFound(f"{self.source}: {self.source.ref} was not fetched yet")
        return revision_of(shell, existing_commit(shell, resolved.sha), resolved.name)

    def _state(self) -> State | None:
        """What the folder holds, if it is of this source's address."""
        state = self._folder.state()
        return state if state is not None and state.url == self.source.address.url else None

    def _fetch(self, deadline: Deadline) -> Revision:
        with self._folder.exclusive(deadline):
            self._folder.clear()
            credentials = login(self.source, self._folder.global_config)
            try:
                resolved = self._update(deadline, credentials)
            except TimedOut as error:
                raise SourceUnreachable(
                    f"{self.source}: {error}: check that the server can be reached from here; "
                    "if the repository is large, raise the source's timeout"
                ) from error
            except CommandFailed as error:
                raise self._unreachable(error) from error
            with opened(self._folder.repository, deadline) as shell:
                return revision_of(shell, resolved.sha, resolved.name)

    def _update(self, deadline: Deadline, credentials: Login) -> Resolved:
        state = self._state()
        if state is None or self._folder.suspect:
            return self._rebuild(deadline, credentials)
        try:
            with opened(self._folder.repository, deadline) as shell:
                return self._into(Fetch(self.source, shell, shell.logged_in(credentials)), state)
        except (NoRepository, _Damaged) as error:
            _log.warning("git mirror is damaged and built anew", source=self.source.name, error=str(error))
            return self._rebuild(deadline, credentials)

    def _into(self, fetch: Fetch, state: State) -> Resolved:
        """Fetches into the repository that is there. Raises: _Damaged, and what Fetch.run raises."""
        before = state.refs.get(key_of(self.source.ref))
        try:
            resolved = fetch.run(before)
        except CommandFailed as error:
            if fetch.is_sound(after=error):
                raise
            raise _Damaged(str(error)) from error
        if before != resolved:
            self._no_deeper = frozenset()
            if before is not None and not fetch.follows(before.sha, resolved.sha):
                _log.info("git reference was rewritten", source=self.source.name, old=before.sha, new=resolved.sha)
            self._folder.remember(replace(state, refs={**state.refs, key_of(self.source.ref): resolved}))
            fetch.keep_in_order()
        return resolved

    def _rebuild(self, deadline: Deadline, credentials: Login) -> Resolved:
        incoming = self._folder.incoming()
        address = self.source.address
        lends = self.source.borrow and address.transport is Transport.FILE
        create(incoming, deadline, address.path if lends else None)
        with opened(incoming, deadline) as shell:
            resolved = Fetch(self.source, shell, shell.logged_in(credentials)).run(None)
        self._folder.install(incoming)
        self._folder.remember(State(address.url, {key_of(self.source.ref): resolved}))
        self._no_deeper = frozenset()
        self._blame.forget_what_was_cut_off()
        return resolved

    def _unreachable(self, error: CommandFailed) -> SourceUnreachable:
        hint = advice(error.stderr)
        return SourceUnreachable(f"{self.source}: {condensed(error.stderr)}" + (f" ({hint})" if hint else ""))


def mirror_of(source: GitSource, cache: Path) -> Mirror:
    """The mirror of a source, in a folder of its own below `cache`: another address is another folder."""
    name = hashlib.sha256(f"{source.url}\n{source.ref}".encode()).hexdigest()[:12]
    return Mirror(source, cache / f"{source.name}-{name}")
