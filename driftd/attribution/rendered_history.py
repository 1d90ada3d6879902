"""Earlier declarations of an app that is rendered by Kustomize or Helm."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, DeclarationTrail, DeclaredSet, EarlierDeclarations
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import Capabilities
from driftd.model.errors import DriftdError
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision
from driftd.render.app import RenderOptions, render
from driftd.render.file_tree import TracedTree

_ALWAYS_RENDERED = 4
"""Latest commits that are all rendered. Older ones are rendered only by bisection between differing ones."""

_MAX_BISECTED = 24
"""Maximum number of older commits rendered per call, each of which runs a program."""

_MAX_CACHED_COMMITS = 64


@dataclass(frozen=True, slots=True)
class _RenderedCommit:
    """The declarations of a commit, and the paths in the repository that they were rendered from."""

    declared: DeclaredSet
    paths_read: tuple[str, ...]


class RenderedHistory:
    """The history of one app's renderings.

    Renderings are cached, so that a new commit costs one rendering. Only commits that change its inputs are searched:
    the app's own folder, and bases or values files elsewhere.
    """

    def __init__(self, mirror: MirroredCommits, path: str, options: RenderOptions, namespace: str | None) -> None:
        self._mirror = mirror
        self._path = path
        self._options = options
        self._namespace = namespace
        self._made_from: tuple[str, ...] = ()
        self._commits: tuple[str, list[Revision]] = ("", [])
        self._cached: OrderedDict[str, _RenderedCommit] = OrderedDict()

    def render_for(self, capabilities: Capabilities) -> None:
        """Renders charts for a cluster with these capabilities from now on."""
        options = self._options.for_cluster(capabilities)
        if options != self._options:
            self._options = options
            self._cached.clear()

    async def earlier_declarations(self, sha: str, objects: Collection[Manifest], reach: int) -> EarlierDeclarations:
        """What the `reach` commits before a revision declared for these of its objects. Raises: GitError.

        Commits older than the latest few are bisected: two commits that declare these objects equally are not searched
        between, so that a change that was reverted there may be missed.
        """
        commits = await self._commits_of(sha)
        rendered = await self._bisect(commits[: reach + 1], [manifest.ref for manifest in objects])
        history = {}
        for current in objects:
            trail = DeclarationTrail(current)
            for position in sorted(rendered):
                manifest = rendered[position].of(current.ref)
                if manifest is not None or rendered[position].complete:
                    trail.add(position, position, commits[position], manifest)
            history[current.ref] = trail.earlier
        return history

    async def _bisect(self, commits: Sequence[Revision], refs: Sequence[ResourceRef]) -> Mapping[int, DeclaredSet]:
        """The declarations of some of these commits, by position."""
        rendered: dict[int, DeclaredSet] = {}

        async def at(position: int) -> DeclaredSet:
            if position not in rendered:
                rendered[position] = (await self._rendered(commits[position].sha)).declared
            return rendered[position]

        last = len(commits) - 1
        for position in range(1, min(last, _ALWAYS_RENDERED) + 1):
            await at(position)
        spans = [(_ALWAYS_RENDERED, last)] if last > _ALWAYS_RENDERED else []
        while spans and len(rendered) < _ALWAYS_RENDERED + _MAX_BISECTED:
            newer, older = spans.pop()
            if _differ(await at(newer), await at(older), refs) and older - newer > 1:
                middle = (newer + older) // 2
                spans += [(middle, older), (newer, middle)]
        return rendered

    async def _commits_of(self, sha: str) -> list[Revision]:
        if self._commits[0] == sha:
            return self._commits[1]
        if self._made_from:
            commits = await self._mirror.log(sha, self._made_from, MAX_COMMITS + 1)
            if commits and self._commits[1] and commits[0].sha == self._commits[1][0].sha:
                self._commits = (sha, commits)  # its inputs are unchanged
                return commits
        self._made_from = (await self._rendered(sha)).paths_read
        self._commits = (sha, await self._mirror.log(sha, self._made_from, MAX_COMMITS + 1))
        return self._commits[1]

    async def _rendered(self, sha: str) -> _RenderedCommit:
        if sha not in self._cached:
            fresh = await self._render(sha)
            self._cached[sha] = fresh
            if len(self._cached) > _MAX_CACHED_COMMITS:
                self._cached.popitem(last=False)
        self._cached.move_to_end(sha)
        return self._cached[sha]

    async def _render(self, sha: str) -> _RenderedCommit:
        latest = next(reversed(self._cached.values()), None)
        try:
            tree = TracedTree(await self._mirror.tree(sha, self._path))
            rendering = await asyncio.to_thread(render, tree, self._options)
        except DriftdError:
            return _RenderedCommit(DeclaredSet((), self._namespace, complete=False), (self._path,))
        # Most objects stay the same from commit to commit, and are held once.
        manifests = [_shared(manifest, latest) or manifest for manifest in rendering.manifests]
        return _RenderedCommit(DeclaredSet(manifests, self._namespace, complete=not rendering.errors), tree.paths_read)


def _shared(manifest: Manifest, commit: _RenderedCommit | None) -> Manifest | None:
    """The equal manifest of another commit, or None."""
    cached = commit.declared.of(manifest.ref) if commit is not None else None
    return cached if cached is not None and cached == manifest else None


def _differ(one: DeclaredSet, other: DeclaredSet, refs: Iterable[ResourceRef]) -> bool:
    complete = one.complete and other.complete
    return not complete or any(_body(one, ref) != _body(other, ref) for ref in refs)


def _body(declared: DeclaredSet, ref: ResourceRef) -> object:
    manifest = declared.of(ref)
    return manifest.body if manifest is not None else None
