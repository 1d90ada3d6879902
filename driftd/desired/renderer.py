"""Rendering an app, revision after revision."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.desired.state import Desired
from driftd.git.mirror import Mirror
from driftd.git.tree import RevisionTree
from driftd.model.app import App
from driftd.model.errors import GitError, PathNotFound
from driftd.model.revision import Revision
from driftd.render.app import Rendering, RenderKind, render
from driftd.render.parsed import Parser
from driftd.render.tree import TracedTree


@dataclass
class _CachedRendering:
    """A rendering of one revision, with the paths that it was made from, and their contents once somebody asked."""

    rendering: Rendering
    tree: RevisionTree
    made_from: tuple[str, ...]
    contents: Mapping[str, str | None] | None = None


class Renderer:
    """Renders revisions of one app. A commit that touches nothing of what it is made from costs a look at that.

    With a `parser` that knows files again, one that touches a plain file costs that file.
    """

    def __init__(self, app: App, mirror: Mirror, parser: Parser | None = None) -> None:
        self._app = app
        self._mirror = mirror
        self._parser = parser
        self._last: _CachedRendering | None = None

    async def desired(self, revision: Revision) -> Desired:
        """The manifests of a revision. Raises: GitError, where the path is not there."""
        tree = await self._mirror.tree(revision.sha, self._app.path)
        if self._last is None or not await self._is_unchanged(tree, self._last):
            traced = TracedTree(tree)
            rendering = await asyncio.to_thread(self._render, traced)
            # A program that failed once may not fail again.
            lasts = rendering.kind is RenderKind.YAML or not rendering.errors
            self._last = _CachedRendering(rendering, tree.unread(), traced.made_from) if lasts else None
        else:
            rendering = self._last.rendering
        return Desired.of(revision, rendering)

    def _render(self, tree: TracedTree) -> Rendering:
        rendering = render(tree, self._app.rendering, self._parser)
        return rendering if self._last is None else rendering.sharing(self._last.rendering.manifests)

    async def _is_unchanged(self, tree: RevisionTree, last: _CachedRendering) -> bool:
        """Whether a revision has the same content as the last one, wherever that one was made from."""
        if tree == last.tree:
            return True
        if last.contents is None:
            try:
                last.contents = await self._contents(last.tree, last.made_from)
            except GitError:
                return False  # it is not there any more, or damaged: what counts is whether the new one can be read
        return await self._contents(tree, last.made_from) == last.contents

    async def _contents(self, tree: RevisionTree, paths: Iterable[str]) -> Mapping[str, str | None]:
        """What the content of some paths of a revision is known by; None where there is nothing.

        Bases, values files and rules of what to leave out stand elsewhere than the app's own folder.
        """
        found: dict[str, str | None] = {}
        for path in paths:
            try:
                found[path] = tree.oid if path == tree.path else (await self._mirror.tree(tree.sha, path)).oid
            except PathNotFound:
                found[path] = None
        return found
