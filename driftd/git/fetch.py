"""A mirror's bare repository: fetching one reference into it, and keeping it in good order. Under the lock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from driftd.git.errors import CommandFailed, advice
from driftd.git.mirror_folder import Resolved
from driftd.git.remote_refs import FULL_HASH, Listing, Target, missing, named, typed
from driftd.git.runner import Shell
from driftd.git.source import GitSource, Ref, RefKind, is_hash, is_name
from driftd.model.errors import GitError, RefNotFound

_log = structlog.get_logger(__name__)

_MOST_PACKS = 30
_NOT_THERE = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)
_SOUNDS_DAMAGED = re.compile(
    r"object|corrupt|packfile|pack file|index file|unable to read|inflate|bad tree|delta|refs/driftd", re.IGNORECASE
)
_EVERYTHING = ("+refs/heads/*:refs/driftd/all/heads/*", "+refs/tags/*:refs/driftd/all/tags/*")


def key_of(ref: Ref) -> str:
    """A name for what was fetched for a reference: as a file's name, however the reference is called."""
    return f"{ref.kind}-{hashlib.sha256(ref.value.encode(errors='surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of a source into a repository. `local` runs Git there, `remote` may also log in."""

    source: GitSource
    local: Shell
    remote: Shell

    def run(self, before: Resolved | None) -> Resolved:
        """Fetches what the source's reference is now, and gives the commit. `before` is what it was last time.

        Raises: RefNotFound; TimedOut; CommandFailed: the remote is at fault, or the repository is damaged.
        """
        ref = self.source.ref
        if ref.kind is RefKind.COMMIT and before is not None and self._is_commit(before.sha):
            return before  # a commit does not change: there is nothing to ask for
        target = self._target(ref)
        if target is None:
            return self._from_everything(ref)
        try:
            self._fetch(f"+{target.remote}:refs/driftd/{key_of(ref)}")
        except CommandFailed as error:
            if not _NOT_THERE.search(error.stderr):
                raise
            if is_hash(target.remote):
                return self._from_everything(ref)
            raise missing(ref, self._listing(), self.source) from error
        resolved = self._resolved(ref, target)
        if ref.kind is RefKind.HEAD:
            same = before is not None and before.sha == resolved.sha
            return before if before and same else Resolved(self._listing().default or "HEAD", resolved.sha)
        return resolved

    def deepen(self) -> None:
        """Fetches the history that a shallow remote did not give before, as far as it has it by now.

        Raises: as `run`. The references stay as they are.
        """
        target = self._target(self.source.ref)
        self._fetch(*((f"+{target.remote}",) if target else _EVERYTHING), deepening=("--unshallow",))

    def keep_in_order(self) -> None:
        """Joins packs once there are many. Never drops an object: an older revision may be asked for."""
        if sum(1 for _ in (self.local.repository / "objects" / "pack").glob("*.pack")) <= _MOST_PACKS:
            return
        try:
            self.local.run("repack", "--geometric=2", "-d", "-q")
            self.local.run("pack-refs", "--all")
        except GitError as error:
            # The mirror works as well with many packs, if more slowly.
            _log.warning("git mirror could not be repacked", source=self.source.name, error=str(error))

    def is_sound(self, after: CommandFailed) -> bool:
        """Whether all is well with the repository itself, after a failure that may have come from it."""
        if advice(after.stderr) and not _SOUNDS_DAMAGED.search(after.stderr):
            return True  # it is plainly the remote's: the thorough look costs time with every failed fetch
        return self.local.succeeds("fsck", "--connectivity-only", "--no-dangling", "--no-reflogs", "--no-progress")

    def follows(self, old: str, new: str) -> bool:
        """Whether `new` has `old` in its history."""
        return self.local.succeeds("merge-base", "--is-ancestor", old, new)

    def _resolved(self, ref: Ref, target: Target) -> Resolved:
        try:
            out = self.local.run("rev-parse", "--verify", "--quiet", f"refs/driftd/{key_of(ref)}^{{commit}}")
        except CommandFailed as error:
            if not self.local.succeeds("cat-file", "-e", f"refs/driftd/{key_of(ref)}"):
                raise
            raise RefNotFound(f"{self.source}: {ref} is not a commit") from error
        return Resolved(target.name, out.decode().strip())

    def _from_everything(self, ref: Ref) -> Resolved:
        """The commit that a hash or the beginning of one names, among all branches and tags.

        A server may refuse to hand out a commit by its hash, and none resolves a beginning.
        """
        self._fetch(*_EVERYTHING)
        try:
            sha = (
                self.local.run("rev-parse", "--verify", "--end-of-options", f"{ref.value}^{{commit}}").decode().strip()
            )
        except CommandFailed as error:
            if "ambiguous" in error.stderr:
                raise RefNotFound(
                    f"{self.source}: {ref.value} is the beginning of several commits: give more of it"
                ) from error
            raise missing(ref, self._listing(), self.source) from error
        self.local.run("update-ref", f"refs/driftd/{key_of(ref)}", sha)
        return Resolved(sha, sha)

    def _is_commit(self, sha: str) -> bool:
        return len(sha) in FULL_HASH and self.local.succeeds("cat-file", "-e", f"{sha}^{{commit}}")

    def _target(self, ref: Ref) -> Target | None:
        match ref.kind:
            case RefKind.HEAD:
                return Target("HEAD", "HEAD")
            case RefKind.BRANCH | RefKind.TAG:
                return named(ref.kind, ref.value)
            case RefKind.SEMVER:
                from driftd.git.version_range import VersionRange  # noqa: PLC0415  # few refs are ranges, and it loads long

                tag = VersionRange.parse(ref.value).highest(filter(is_name, self._listing("--tags").tags))
                if tag is None:
                    raise RefNotFound(f"{self.source}: no tag is a version in {ref.value!r}: {self._listing()}")
                return named(RefKind.TAG, tag)
            case _ if is_hash(ref.value) and len(ref.value) in FULL_HASH:
                return Target(ref.value, ref.value)
            case RefKind.ANY:
                return typed(ref.value, self._listing(), self.source)
            case _:
                return None

    def _listing(self, *only: str) -> Listing:
        return Listing.of(self.remote, self.source.address.url, *only)

    def _fetch(self, *refspecs: str, deepening: Sequence[str] = ()) -> None:
        self.remote.run(
            "fetch",
            *deepening,
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
