"""Fetching a reference into a mirror's bare repository, and repacking it. The caller holds the mirror's lock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from driftd.git.errors import CommandFailed, advice
from driftd.git.mirror_folder import ResolvedRef
from driftd.git.remote_refs import FULL_HASH_LENGTHS, FetchTarget, RemoteRefs, match_ref, ref_not_found, target_of
from driftd.git.runner import GitRunner
from driftd.git.source import GitSource, Ref, RefKind, is_hash, is_ref_name
from driftd.model.errors import GitError, RefNotFound

_log = structlog.get_logger(__name__)

_MAX_PACKS = 30
_REF_NOT_FOUND = re.compile(
    r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE
)
_DAMAGE = re.compile(
    r"object|corrupt|packfile|pack file|index file|unable to read|inflate|bad tree|delta|refs/driftd", re.IGNORECASE
)
_ALL_REFS = ("+refs/heads/*:refs/driftd/all/heads/*", "+refs/tags/*:refs/driftd/all/tags/*")


def ref_key(ref: Ref) -> str:
    """A name for a reference that is safe as a file name and as part of a Git reference."""
    return f"{ref.kind}-{hashlib.sha256(ref.value.encode(errors='surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class RefFetcher:
    """Fetches a source into a repository. `local` runs Git without access to the remote, `remote` with it."""

    source: GitSource
    local: GitRunner
    remote: GitRunner

    def fetch(self, before: ResolvedRef | None) -> ResolvedRef:
        """Fetches the source's reference and returns its commit. `before` is the result of the last fetch.

        Raises: RefNotFound; TimedOut; CommandFailed: the remote is at fault, or the repository is damaged.
        """
        ref = self.source.ref
        if ref.kind is RefKind.COMMIT and before is not None and self._is_commit(before.sha):
            return before  # a commit does not change: nothing to fetch
        target = self._target(ref)
        if target is None:
            return self._resolve_among_all_refs(ref)
        try:
            self._fetch(f"+{target.remote}:refs/driftd/{ref_key(ref)}")
        except CommandFailed as error:
            if not _REF_NOT_FOUND.search(error.stderr):
                raise
            if is_hash(target.remote):
                return self._resolve_among_all_refs(ref)
            raise ref_not_found(ref, self._remote_refs(), self.source) from error
        resolved = self._resolved(ref, target)
        if ref.kind is RefKind.HEAD:
            same = before is not None and before.sha == resolved.sha
            return before if before and same else ResolvedRef(self._remote_refs().default or "HEAD", resolved.sha)
        return resolved

    def deepen(self) -> None:
        """Fetches the history beyond the shallow boundary, if the remote has it by now. No reference changes.

        Raises: as `fetch`.
        """
        target = self._target(self.source.ref)
        self._fetch(*((f"+{target.remote}",) if target else _ALL_REFS), options=("--unshallow",))

    def repack(self) -> None:
        """Combines packs once there are many. Never drops an object: older revisions stay readable."""
        if sum(1 for _ in (self.local.repository / "objects" / "pack").glob("*.pack")) <= _MAX_PACKS:
            return
        try:
            self.local.run("repack", "--geometric=2", "-d", "-q")
            self.local.run("pack-refs", "--all")
        except GitError as error:
            # The mirror works with many packs too, only more slowly.
            _log.warning("git mirror could not be repacked", source=self.source.name, error=str(error))

    def is_intact(self, failure: CommandFailed) -> bool:
        """Whether the repository is undamaged, after a failure that damage may have caused."""
        if advice(failure.stderr) and not _DAMAGE.search(failure.stderr):
            return True  # plainly the remote's failure: fsck would cost time with every failed fetch
        return self.local.succeeds("fsck", "--connectivity-only", "--no-dangling", "--no-reflogs", "--no-progress")

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is in the history of `new`."""
        return self.local.succeeds("merge-base", "--is-ancestor", old, new)

    def _resolved(self, ref: Ref, target: FetchTarget) -> ResolvedRef:
        try:
            out = self.local.run("rev-parse", "--verify", "--quiet", f"refs/driftd/{ref_key(ref)}^{{commit}}")
        except CommandFailed as error:
            if not self.local.succeeds("cat-file", "-e", f"refs/driftd/{ref_key(ref)}"):
                raise
            raise RefNotFound(f"{self.source}: {ref} is not a commit") from error
        return ResolvedRef(target.name, out.decode().strip())

    def _resolve_among_all_refs(self, ref: Ref) -> ResolvedRef:
        """The commit of a full or abbreviated hash, found by fetching all branches and tags.

        A server may refuse to send a commit by its hash, and none resolves an abbreviated one.
        """
        self._fetch(*_ALL_REFS)
        try:
            sha = (
                self.local.run("rev-parse", "--verify", "--end-of-options", f"{ref.value}^{{commit}}").decode().strip()
            )
        except CommandFailed as error:
            if "ambiguous" in error.stderr:
                raise RefNotFound(
                    f"{self.source}: {ref.value} is the beginning of several commits: give more of it"
                ) from error
            raise ref_not_found(ref, self._remote_refs(), self.source) from error
        self.local.run("update-ref", f"refs/driftd/{ref_key(ref)}", sha)
        return ResolvedRef(sha, sha)

    def _is_commit(self, sha: str) -> bool:
        return len(sha) in FULL_HASH_LENGTHS and self.local.succeeds("cat-file", "-e", f"{sha}^{{commit}}")

    def _target(self, ref: Ref) -> FetchTarget | None:
        match ref.kind:
            case RefKind.HEAD:
                return FetchTarget("HEAD", "HEAD")
            case RefKind.BRANCH | RefKind.TAG:
                return target_of(ref.kind, ref.value)
            case RefKind.SEMVER:
                from driftd.git.version_range import SemverRange  # noqa: PLC0415  # slow to import, and few refs are ranges

                tag = SemverRange.parse(ref.value).highest(filter(is_ref_name, self._remote_refs("--tags").tags))
                if tag is None:
                    raise RefNotFound(f"{self.source}: no tag is a version in {ref.value!r}: {self._remote_refs()}")
                return target_of(RefKind.TAG, tag)
            case _ if is_hash(ref.value) and len(ref.value) in FULL_HASH_LENGTHS:
                return FetchTarget(ref.value, ref.value)
            case RefKind.ANY:
                return match_ref(ref.value, self._remote_refs(), self.source)
            case _:
                return None

    def _remote_refs(self, *options: str) -> RemoteRefs:
        return RemoteRefs.ls_remote(self.remote, self.source.address.url, *options)

    def _fetch(self, *refspecs: str, options: Sequence[str] = ()) -> None:
        self.remote.run(
            "fetch",
            *options,
            "--quiet",
            "--force",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--update-shallow",
            "--end-of-options",
            self.source.address.url,
            *refspecs,
        )
