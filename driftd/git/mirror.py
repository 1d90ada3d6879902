"""The local mirror of one source."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import structlog

from driftd.git.address import Transport
from driftd.git.commits import read_revision, resolve_commit, shallow_boundary
from driftd.git.deadline import Deadline, TimedOut, run_in_thread
from driftd.git.environment import RemoteAccess, remote_access
from driftd.git.errors import CommandFailed, advice, asks_for_login, other_object_format, summarize
from driftd.git.fetch import RefFetcher, ref_key
from driftd.git.held_files import as_files
from driftd.git.mirror_folder import MirrorState, ResolvedRef
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.runner import GitRunner, NoRepository, create_repository, open_repository
from driftd.git.source import GitSource
from driftd.model.errors import GitError, RefNotFound, SourceUnreachable
from driftd.model.revision import Revision

_log = structlog.get_logger(__name__)


class _DamagedRepository(GitError):
    """The mirror's repository lacks objects or references, or cannot be read."""


class Mirror(MirroredCommits):
    """A bare mirror of a source in a folder: created by the first fetch, rebuilt when it is damaged.

    Fetches are serialized, also those of several processes on one folder.
    """

    def __init__(self, source: GitSource, folder: Path) -> None:
        super().__init__(source.name, f"{source}: {source.ref}", source.timeout, folder)
        self.source = source

    async def fetch(self) -> Revision:
        """Fetches the source's reference and returns its commit. A failure leaves the mirror as it was.

        Raises: SourceUnreachable; RefNotFound: the remote does not have the reference (any more); GitError: the
        folder cannot be written, the credentials cannot be read, or git is not installed.
        """
        return await run_in_thread(self._writer, self.source.timeout, self._fetch)

    async def resolve(self) -> Revision:
        return await self._read(self._resolve)

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
