"""The kinds of sources, and the mirror of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from driftd.artifacts.mirror import artifact_mirror
from driftd.artifacts.source import ArtifactSource
from driftd.git.built_mirror import BuiltCommit, BuiltMirror
from driftd.git.deadline import run_in_thread
from driftd.git.mirror import mirror_of as git_mirror
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.paths import normalize_path
from driftd.git.revision_tree import RevisionTree
from driftd.git.source import GitSource
from driftd.model.errors import GitError, PathNotFound, RefNotFound
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Mount:
    """What another repository adds: what is in its folder `from_path`, at `to_path`; or of these `files` those that are
    there.
    """

    source: GitSource
    to_path: str
    from_path: str = ""
    files: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ComposedSource:
    """A source with files of other repositories in it.

    `applied` is what was applied of each, the base's first, with blanks between.
    """

    base: GitSource | ArtifactSource
    mounts: tuple[Mount, ...]
    applied: str = ""

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def address(self) -> str:
        return " and ".join(str(source.address) for source in (self.base, *(mount.source for mount in self.mounts)))

    @property
    def timeout(self) -> float:
        return self.base.timeout

    def at(self, applied: str) -> ComposedSource:
        """The same source at other commits."""
        return replace(self, applied=applied)

    def __str__(self) -> str:
        return f"{self.base} with {', '.join(str(mount.source) for mount in self.mounts)}"


Source = GitSource | ArtifactSource | ComposedSource


class Mirrors(Protocol):
    """The mirrors of sources, and the way to fetch into them."""

    def mirror(self, source: Source) -> MirroredCommits:
        """The mirror of a source: the same object for each call."""

    async def fetch(self, source: Source) -> Revision:
        """Fetches what the source refers to. Raises: GitError."""


def mirror_of(source: Source, cache: Path, others: Mirrors) -> MirroredCommits:
    """The mirror of a source in its own folder below `cache`. `others` are those of what a source is composed of."""
    match source:
        case GitSource():
            return git_mirror(source, cache)
        case ArtifactSource():
            return artifact_mirror(source, cache)
        case ComposedSource():
            identity = f"{source.base.address}\n" + "\n".join(
                f"{mount.source.url}\n{mount.to_path}\n{mount.from_path}\n{mount.files}" for mount in source.mounts
            )
            name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:12]
            return _ComposedMirror(source, cache / f"{source.name}-{name}", others)


async def revision_at(source: Source, commit: str, mirrors: Mirrors) -> tuple[Source, Revision]:
    """What was applied of a source, fetched if need be, and the source that it was found in.

    The remote is asked only for what is not mirrored. Raises: GitError.
    """
    mirror = mirrors.mirror(source)
    try:
        return source, await mirror.revision(commit)
    except GitError:  # it is not mirrored, or the mirror is damaged: then the fetch builds it anew
        pass
    if isinstance(source, GitSource):
        await mirrors.fetch(source)
        try:
            return source, await mirror.revision(commit)
        except RefNotFound:  # it is in the history of its reference no more
            pass
    source = source.at(commit)
    return source, await mirrors.fetch(source)


class _ComposedMirror(BuiltMirror):
    """Puts the files of several sources together."""

    def __init__(self, source: ComposedSource, folder: Path, mirrors: Mirrors) -> None:
        super().__init__(source.name, str(source), source.timeout, folder)
        self._source = source
        self._mirrors = mirrors

    async def fetch(self) -> Revision:
        """The commit of what was applied of each source. Raises: GitError."""
        try:
            return await self.revision(self._source.applied)
        except GitError:
            pass  # it was not made yet, or the mirror is damaged
        first, *others = self._source.applied.split(" ")
        base, revision = await revision_at(self._source.base, first, self._mirrors)
        files: dict[str, bytes] = {}
        latest, names = revision, [revision.ref]
        for mount, commit in zip(self._source.mounts, others, strict=True):
            source, added = await revision_at(mount.source, commit, self._mirrors)
            files |= await self._files(mount, source, added)
            latest = max(latest, added, key=lambda one: one.time)
            names.append(f"{source.name}@{added.short}")
        name = f"{names[0]} with {', '.join(names[1:])}"
        built = BuiltCommit(
            applied=self._source.applied,
            name=name,
            author=latest.author,
            time=latest.time,
            subject=f"{name}: {latest.subject}",
            files=files,
            base=(self._mirrors.mirror(base).repository, revision.sha),
        )
        return await run_in_thread(self._writer, self._timeout, lambda deadline: self._make(deadline, built))

    async def _files(self, mount: Mount, source: Source, revision: Revision) -> dict[str, bytes]:
        """The files that a repository adds, by their new paths. Raises: GitError."""
        mirror = self._mirrors.mirror(source)
        tree = (
            mirror.tree_at(revision.sha)
            if mount.files is not None
            else await mirror.tree(revision.sha, mount.from_path)
        )
        return await run_in_thread(self._writer, self._timeout, lambda _: _read(tree, mount))


def _read(tree: RevisionTree, mount: Mount) -> dict[str, bytes]:
    prefix = f"{mount.to_path}/" if mount.to_path else ""
    if mount.files is None:
        base = f"{tree.path}/" if tree.path else ""
        unreadable = tree.unreadable()
        contents = tree.read([file.path for file in tree.files() if file.path not in unreadable])
        return {f"{prefix}{path.removeprefix(base)}": content for path, content in contents.items()}
    found = {}
    for file in mount.files:
        try:
            path = normalize_path(file)
            found[f"{prefix}{path}"] = tree.read([path])[path]
        except PathNotFound:
            continue  # whoever needs it says so
    return found
