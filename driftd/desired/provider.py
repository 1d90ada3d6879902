"""Providers of the desired state: the revision of a source, and what an app declares at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from driftd.desired.sources import Source, mirror_of
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import App
from driftd.model.resource import Manifest
from driftd.model.revision import Revision

if TYPE_CHECKING:
    from driftd.desired.renderer import Renderer, RenderTree
    from driftd.render.parser import Parser

OnFirstBatch = Callable[[Sequence[Manifest]], None]
"""Called, from any thread, with the first manifests of an app while the others are still being parsed."""


class DesiredStateProvider(Protocol):
    """Fetches and renders."""

    def mirror(self, source: Source) -> MirroredCommits:
        """The local mirror of a source: the same object for each call."""

    async def fetch(self, source: Source) -> Revision:
        """Fetches the source's reference from the remote. Raises: GitError."""

    async def desired(
        self,
        source: Source,
        app: App,
        revision: Revision,
        capabilities: CapabilitiesSource | None = None,
        on_first_batch: OnFirstBatch | None = None,
    ) -> Desired:
        """What an app declares at a fetched revision. `on_first_batch` may be called before this returns.

        Only for a chart the cluster is asked for its `capabilities`; without them, Helm's defaults apply.
        Raises: GitError: the path does not exist; RenderError; KubeError: of `capabilities`.
        """

    def steal_work(self) -> None:
        """Offers the spare CPU time of this process to the worker: files may be sent back for parsing."""


class InProcessProvider:
    """Provides the desired state in this process, with its mirrors below a folder; `render_tree` may use others.

    The last rendering of each app is cached: a commit that changes none of its inputs costs a comparison of their ids.
    With a caching `parser`, a commit costs the plain files that it changes.
    """

    def __init__(self, cache: Path, parser: Parser | None = None, render_tree: RenderTree | None = None) -> None:
        self._cache = cache
        self._parser = parser
        self._render_tree = render_tree
        self._mirrors: dict[Source, MirroredCommits] = {}
        self._renderers: dict[tuple[Source, App], Renderer] = {}

    def mirror(self, source: Source) -> MirroredCommits:
        if source not in self._mirrors:
            self._mirrors[source] = mirror_of(source, self._cache, self)
        return self._mirrors[source]

    async def fetch(self, source: Source) -> Revision:
        return await self.mirror(source).fetch()

    async def desired(
        self,
        source: Source,
        app: App,
        revision: Revision,
        capabilities: CapabilitiesSource | None = None,
        on_first_batch: OnFirstBatch | None = None,  # noqa: ARG002  # nothing is parsed in batches
    ) -> Desired:
        if (source, app) not in self._renderers:
            from driftd.desired.renderer import Renderer, render_in_thread  # noqa: PLC0415  # it imports the YAML parser

            render_tree = self._render_tree or render_in_thread
            self._renderers[source, app] = Renderer(app, self.mirror(source), self._parser, render_tree)
        return await self._renderers[source, app].desired(revision, capabilities)

    def steal_work(self) -> None:
        """Does nothing: there is no worker."""
