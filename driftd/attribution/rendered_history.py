"""What Kustomize and Helm made of an app before."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, DeclarationTrail, DeclaredSet, EarlierDeclarations
from driftd.git.mirror import Mirror
from driftd.model.errors import DriftdError
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision
from driftd.render.app import RenderOptions, render
from driftd.render.file_tree import TracedTree

_ONE_BY_ONE = 4
"""So many commits are rendered one after the other: of those before, only where something must have changed."""

_MOST = 24
"""So many older commits are rendered for one question, each of which takes a program's run."""

_KEPT = 64


@dataclass(frozen=True, slots=True)
class _RenderedCommit:
    """What a commit declared, and the paths of the repository that it was made from."""

    declared: DeclaredSet
    made_from: tuple[str, ...]


class RenderedHistory:
    """The history of what one app is rendered to.

    What a commit gave is kept, and with each new commit only that one is rendered: what it is made from tells which
    commits count, its own folder and the bases or values files elsewhere.
    """

    def __init__(self, mirror: Mirror, path: str, options: RenderOptions, namespace: str | None) -> None:
        self._mirror = mirror
        self._path = path
        self._options = options
        self._namespace = namespace
        self._made_from: tuple[str, ...] = ()
        self._commits: tuple[str, list[Revision]] = ("", [])
        self._kept: OrderedDict[str, _RenderedCommit] = OrderedDict()

    async def earlier_declarations(self, sha: str, objects: Collection[Manifest], reach: int) -> EarlierDeclarations:
        """What the `reach` commits before declared of these objects of a revision. Raises: GitError.

        Older ones than the first few are halved: between two commits that declare the same of these objects nothing is
        looked for. So a change that was taken back again may be passed over there.
        """
        commits = await self._commits_of(sha)
        seen = await self._look(commits[: reach + 1], [one.ref for one in objects])
        history = {}
        for one in objects:
            trail = DeclarationTrail(one)
            for position in sorted(seen):
                manifest = seen[position].of(one.ref)
                if manifest is not None or seen[position].whole:
                    trail.add(position, position, commits[position], manifest)
            history[one.ref] = trail.found
        return history

    async def _look(self, commits: Sequence[Revision], refs: Sequence[ResourceRef]) -> Mapping[int, DeclaredSet]:
        """What some of these commits declared, by their position."""
        seen: dict[int, DeclaredSet] = {}

        async def at(position: int) -> DeclaredSet:
            if position not in seen:
                seen[position] = (await self._rendered(commits[position].sha)).declared
            return seen[position]

        last = len(commits) - 1
        for position in range(1, min(last, _ONE_BY_ONE) + 1):
            await at(position)
        spans = [(_ONE_BY_ONE, last)] if last > _ONE_BY_ONE else []
        while spans and len(seen) < _ONE_BY_ONE + _MOST:
            newer, older = spans.pop()
            if _differ(await at(newer), await at(older), refs) and older - newer > 1:
                middle = (newer + older) // 2
                spans += [(middle, older), (newer, middle)]
        return seen

    async def _commits_of(self, sha: str) -> list[Revision]:
        if self._commits[0] == sha:
            return self._commits[1]
        if self._made_from:
            commits = await self._mirror.log(sha, self._made_from, MAX_COMMITS + 1)
            if commits and self._commits[1] and commits[0].sha == self._commits[1][0].sha:
                self._commits = (sha, commits)  # nothing that it is made from has changed
                return commits
        self._made_from = (await self._rendered(sha)).made_from
        self._commits = (sha, await self._mirror.log(sha, self._made_from, MAX_COMMITS + 1))
        return self._commits[1]

    async def _rendered(self, sha: str) -> _RenderedCommit:
        if sha not in self._kept:
            fresh = await self._render(sha)
            self._kept[sha] = fresh
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(sha)
        return self._kept[sha]

    async def _render(self, sha: str) -> _RenderedCommit:
        latest = next(reversed(self._kept.values()), None)
        try:
            tree = TracedTree(await self._mirror.tree(sha, self._path))
            rendering = await asyncio.to_thread(render, tree, self._options)
        except DriftdError:
            return _RenderedCommit(DeclaredSet((), self._namespace, whole=False), (self._path,))
        # Most objects stay the same from commit to commit, and are kept once.
        manifests = [_the_same(manifest, latest) or manifest for manifest in rendering.manifests]
        return _RenderedCommit(DeclaredSet(manifests, self._namespace, whole=not rendering.errors), tree.paths_read)


def _the_same(manifest: Manifest, before: _RenderedCommit | None) -> Manifest | None:
    known = before.declared.of(manifest.ref) if before is not None else None
    return known if known is not None and known == manifest else None


def _differ(one: DeclaredSet, other: DeclaredSet, refs: Iterable[ResourceRef]) -> bool:
    return not (one.whole and other.whole) or any(_body(one, ref) != _body(other, ref) for ref in refs)


def _body(declared: DeclaredSet, ref: ResourceRef) -> object:
    manifest = declared.of(ref)
    return manifest.body if manifest is not None else None
