"""Rendering the revisions of an app, each only where its inputs have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.desired.state import Desired
from driftd.git.mirror import Mirror
from driftd.git.revision_tree import RevisionTree
from driftd.model.app import App
from driftd.model.errors import GitError, PathNotFound
from driftd.model.revision import Revision
from driftd.render.app import Rendering, RenderKind, render
from driftd.render.file_tree import TracedTree
from driftd.render.parser import Parser


@dataclass
class _CachedRendering:
    """A rendering of one revision with the paths of its inputs; `input_ids` are loaded at the first comparison."""

    rendering: Rendering
    tree: RevisionTree
    paths_read: tuple[str, ...]
    input_ids: Mapping[str, str | None] | None = None


class Renderer:
    """Renders revisions of one app. A commit that changes none of its inputs costs a comparison of their ids.

    With a caching `parser`, a commit that changes a plain file costs that file.
    """

    def __init__(self, app: App, mirror: Mirror, parser: Parser | None = None) -> None:
        self._app = app
        self._mirror = mirror
        self._parser = parser
        self._last: _CachedRendering | None = None

    async def desired(self, revision: Revision) -> Desired:
        """The manifests of a revision. Raises: GitError: the path does not exist."""
        tree = await self._mirror.tree(revision.sha, self._app.path)
        if self._last is None or not await self._is_unchanged(tree, self._last):
            traced = TracedTree(tree)
            rendering = await asyncio.to_thread(self._render, traced)
            # A program that failed once may not fail again.
            cacheable = rendering.kind is RenderKind.YAML or not rendering.errors
            self._last = _CachedRendering(rendering, tree.without_listing(), traced.paths_read) if cacheable else None
        else:
            rendering = self._last.rendering
        return Desired.of(revision, rendering)

    def _render(self, tree: TracedTree) -> Rendering:
        rendering = render(tree, self._app.rendering, self._parser)
        return rendering if self._last is None else rendering.sharing(self._last.rendering.manifests)

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
