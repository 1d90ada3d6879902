"""Git's side of a look: what a source has, and what an app declares there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from driftd.desired.state import Desired
from driftd.git.mirror import Mirror, mirror_of
from driftd.git.source import GitSource
from driftd.model.app import App
from driftd.model.resource import Manifest
from driftd.model.revision import Revision

OnFirstBatch = Callable[[Sequence[Manifest]], None]


class DesiredStateProvider(Protocol):
    """Whoever fetches and renders."""

    def mirror(self, source: GitSource) -> Mirror:
        """What this machine keeps of a source: the same one each time."""

    async def fetch(self, source: GitSource) -> Revision:
        """Asks the remote for the source's reference. Raises: GitError."""

    async def desired(
        self, source: GitSource, app: App, revision: Revision, on_first_batch: OnFirstBatch | None = None
    ) -> Desired:
        """What an app declares at a revision that was fetched. `seen` may be given some of it before, from a thread.

        Raises: GitError, where the path is not there.
        """

    def steal_work(self) -> None:
        """Says that nobody needs the processor as much: it may be used for parsing."""


class InProcessProvider:
    """Git's side in this process, with its mirrors below a folder."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._mirrors: dict[GitSource, Mirror] = {}

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
        on_first_batch: OnFirstBatch | None = None,  # noqa: ARG002  # too late for that
    ) -> Desired:
        from driftd.desired.renderer import Renderer  # noqa: PLC0415  # it loads what reads YAML

        return await Renderer(app, self.mirror(source)).desired(revision)

    def steal_work(self) -> None:
        """It is used as it is."""
