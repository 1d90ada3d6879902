"""Rendering the revisions of an app, each only where its inputs have changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from driftd.desired.state import CapabilitiesSource, Desired
from driftd.desired.stoppable import render_in_background
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.revision_tree import RevisionTree
from driftd.model.app import App, Capabilities, RenderOptions
from driftd.model.errors import GitError, PathNotFound, RenderError
from driftd.model.revision import Revision
from driftd.render.app import Rendering, RenderKind, is_chart, render
from driftd.render.file_tree import TracedTree
from driftd.render.parser import Parser, UncachedParser

RenderTree = Callable[[RevisionTree, RenderOptions, Parser], Awaitable[tuple[Rendering, tuple[str, ...]]]]
"""Renders a tree: the rendering, and the paths that were read. Raises: GitError, RenderError."""

_LONG_SECONDS = 5.0
_REST = 10
"""A rendering that took long and failed is not made again for ten times as long, unless its inputs change."""


async def render_in_thread(
    tree: RevisionTree, options: RenderOptions, parser: Parser
) -> tuple[Rendering, tuple[str, ...]]:
    """Renders in this process. See `RenderTree`."""
    traced = TracedTree(tree)
    return await render_in_background(render, traced, options, parser), traced.paths_read


@dataclass
class _CachedRendering:
    """A rendering of one revision with the paths of its inputs; `input_ids` are loaded at the first comparison.

    `until` is when it has to be made again, by the monotonic clock; None for never. `capabilities` are those of the
    cluster that a chart was rendered for.
    """

    rendering: Rendering
    tree: RevisionTree
    paths_read: tuple[str, ...]
    capabilities: Capabilities | None = None
    until: float | None = None
    input_ids: Mapping[str, str | None] | None = None


class Renderer:
    """Renders revisions of one app. A commit that changes none of its inputs costs a comparison of their ids.

    With a caching `parser`, a commit that changes a plain file costs that file.
    """

    def __init__(
        self,
        app: App,
        mirror: MirroredCommits,
        parser: Parser | None = None,
        render_tree: RenderTree = render_in_thread,
    ) -> None:
        self._app = app
        self._mirror = mirror
        self._parser = parser or UncachedParser()
        self._render_tree = render_tree
        self._last: _CachedRendering | None = None

    async def desired(self, revision: Revision, capabilities: CapabilitiesSource | None = None) -> Desired:
        """The manifests of a revision, those of a chart for a cluster with these capabilities.

        Raises: GitError: the path does not exist. KubeError: the capabilities could not be read.
        """
        tree = await self._mirror.tree(revision.sha, self._app.path)
        last = self._last
        if last is not None and not (_is_fresh(last) and await self._is_unchanged(tree, last)):
            last = None
        found = None
        if capabilities is not None and await self._is_chart(tree, last):
            found = await capabilities()
        if last is not None and last.capabilities == found:
            return Desired.of(revision, last.rendering, self._app, found)
        options = self._app.rendering if found is None else self._app.rendering.for_cluster(found)
        started = time.monotonic()
        try:
            rendering, paths_read = await self._render_tree(tree, options, self._parser)
        except RenderError as error:
            # It was stopped: what it would have read is not known, so that any change in the repository may matter.
            rendering, paths_read = Rendering(RenderKind.YAML, (), (error,)), ("",)
        else:
            if self._last is not None:
                rendering = rendering.sharing(self._last.rendering.manifests)
        cached = _cached(rendering, tree, paths_read, time.monotonic() - started)
        self._last = None if cached is None else replace(cached, capabilities=found)
        return Desired.of(revision, rendering, self._app, found)

    async def _is_chart(self, tree: RevisionTree, unchanged: _CachedRendering | None) -> bool:
        if unchanged is not None:
            return unchanged.rendering.kind is RenderKind.HELM
        return await asyncio.to_thread(is_chart, tree)

    async def _is_unchanged(self, tree: RevisionTree, last: _CachedRendering) -> bool:
        """Whether all inputs of the last rendering are the same in this revision."""
        if tree == last.tree:
            return True
        if last.input_ids is None:
            try:
                last.input_ids = await self._ids_of(last.tree, last.paths_read)
            except GitError:
                return False  # it is gone or damaged; only the new revision has to be readable
        return await self._ids_of(tree, last.paths_read) == last.input_ids

    async def _ids_of(self, tree: RevisionTree, paths: Iterable[str]) -> Mapping[str, str | None]:
        """The Git object ids of some paths of a revision; None for a path that does not exist.

        Bases, values files and ignore files may be outside of the app's own folder.
        """
        ids: dict[str, str | None] = {}
        for path in paths:
            try:
                ids[path] = tree.oid if path == tree.path else (await self._mirror.tree(tree.sha, path)).oid
            except PathNotFound:
                ids[path] = None
        return ids


def _is_fresh(last: _CachedRendering) -> bool:
    return last.until is None or time.monotonic() < last.until


def _cached(
    rendering: Rendering, tree: RevisionTree, paths_read: tuple[str, ...], seconds: float
) -> _CachedRendering | None:
    """What is kept of a rendering that took `seconds`; None if it has to be made again."""
    until = None
    if rendering.errors and (rendering.kind is not RenderKind.YAML or paths_read == ("",)):
        # A program that failed once may not fail again.
        if seconds < _LONG_SECONDS:
            return None
        until = time.monotonic() + _REST * seconds
    return _CachedRendering(rendering, tree.without_listing(), paths_read, until=until)
