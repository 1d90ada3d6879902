"""Who provides the desired state: what a source has, and what an app declares there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from driftd.desired.state import Desired
from driftd.git.mirror import Mirror, mirror_of
from driftd.git.source import GitSource
from driftd.model.app import App
from driftd.model.resource import Manifest
from driftd.model.revision import Revision

if TYPE_CHECKING:
    from driftd.desired.renderer import Renderer
    from driftd.render.parsed import Parser

OnFirstBatch = Callable[[Sequence[Manifest]], None]
"""Is called with the first manifests of an app while the others are still being parsed, from any thread."""


class DesiredStateProvider(Protocol):
    """Fetches and renders."""

    def mirror(self, source: GitSource) -> Mirror:
        """What this machine keeps of a source: the same one each time."""

    async def fetch(self, source: GitSource) -> Revision:
        """Asks the remote for the source's reference. Raises: GitError."""

    async def desired(
        self, source: GitSource, app: App, revision: Revision, on_first_batch: OnFirstBatch | None = None
    ) -> Desired:
        """What an app declares at a revision that was fetched. `on_first_batch` may be called before that.

        Raises: GitError: the path is not there; RenderError.
        """

    def steal_work(self) -> None:
        """Says that this process has CPU time to spare: it may parse files for a worker."""


class InProcessProvider:
    """Provides the desired state in this process, with its mirrors below a folder.

    Of each app the last rendering is kept: a commit that touches nothing of what it is made from costs a look at that.
    With a caching `parser`, a commit costs the plain files that it changes.
    """

    def __init__(self, cache: Path, parser: Parser | None = None) -> None:
        self._cache = cache
        self._parser = parser
        self._mirrors: dict[GitSource, Mirror] = {}
        self._renderers: dict[tuple[GitSource, App], Renderer] = {}

    def mirror(self, source: GitSource) -> Mirror:
        if source not in self._mirrors:
            self._mirrors[source] = mirror_of(source, self._cache)
        return self._mirrors[source]

    async def fetch(self, source: GitSource) -> Revision:
        return await self.mirror(source).fetch()

    async def desired(
        self,
        source: GitSource,
        app: App,
        revision: Revision,
        on_first_batch: OnFirstBatch | None = None,  # noqa: ARG002  # nothing is parsed elsewhere meanwhile
    ) -> Desired:
        if (source, app) not in self._renderers:
            from driftd.desired.renderer import Renderer  # noqa: PLC0415  # it loads what reads YAML

            self._renderers[source, app] = Renderer(app, self.mirror(source), self._parser)
        return await self._renderers[source, app].desired(revision)

    def steal_work(self) -> None:
        """There is no worker."""
