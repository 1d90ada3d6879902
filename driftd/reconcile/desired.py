"""What Git declares for an app: the manifests of a revision, as they were rendered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property

from driftd.git.mirror import Mirror
from driftd.model.resource import Manifest, digest
from driftd.model.revision import Revision
from driftd.reconcile.app import App
from driftd.render.app import Rendering, render
from driftd.render.parsed import ParsedFiles


@dataclass(frozen=True)
class Desired:
    """The manifests of one revision as they were rendered. `errors` are those that could not be."""

    revision: Revision
    manifests: tuple[Manifest, ...]
    errors: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A hash of what is declared, whatever commit, file or order it came from."""
        return digest(self.manifests)

    @property
    def error(self) -> str | None:
        """What is wrong with the app's folder as a whole, or None."""
        return "\n".join(self.errors) or None


class Renderer:
    """Renders revisions of one app. What the same tree gave is kept: a commit that does not touch it costs nothing.

    With `parsed`, one that touches a file costs that file, and what is kept is packed.
    """

    def __init__(self, app: App, mirror: Mirror, parsed: ParsedFiles | None = None) -> None:
        self._app = app
        self._mirror = mirror
        self._parsed = parsed
        self._last: tuple[str, Rendering] | None = None

    async def desired(self, revision: Revision) -> Desired:
        """The manifests of a revision. Raises: GitError, where the path is not there; RenderError."""
        tree = await self._mirror.tree(revision.sha, self._app.path)
        # Kustomize and Helm may look at other folders of the same revision.
        if self._last is not None and self._last[1].kind == "yaml" and self._last[0] == tree.oid:
            rendering = self._last[1]
        else:
            rendering = await asyncio.to_thread(render, tree, self._app.rendering, self._parsed)
            self._last = (tree.oid, rendering)
        return Desired(revision, rendering.manifests, tuple([str(error) for error in rendering.errors]))
