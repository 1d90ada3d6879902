"""The commit that an app is compared with: the one that its source's reference leads to, or one that was deployed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from driftd.cli.checked_apps import CheckedApp
from driftd.desired.next_deployment import read_next
from driftd.desired.provider import DesiredStateProvider
from driftd.desired.sources import Source, revision_at
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.model.app import App
from driftd.model.errors import GitError, RefNotFound
from driftd.model.next_deployment import PendingRevision
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one check has fetched: each source once, however many apps it has."""

    provider: DesiredStateProvider
    _revisions: dict[Source, Revision] = field(default_factory=dict)

    async def revision(self, source: Source) -> Revision:
        """The commit of a source's reference. Raises: GitError."""
        if source not in self._revisions:
            self._revisions[source] = await self.provider.fetch(source)
        return self._revisions[source]

    async def at_its_commit(self, checked: CheckedApp) -> tuple[CheckedApp, Revision]:
        """The app at its own commit: in the history of its reference, or else fetched for itself.

        Raises: GitError: the repository does not have it any more.
        """
        revision = await self.revision(checked.source)
        if checked.commit is None:
            return checked, revision
        try:
            return checked, await self.provider.mirror(checked.source).revision(checked.commit)
        except RefNotFound:
            alone = replace(checked, source=checked.source.at(checked.commit))
            return alone, await self.revision(alone.source)


async def next_deployment(
    checked: CheckedApp, deployed: Revision, provider: DesiredStateProvider, capabilities: CapabilitiesSource
) -> tuple[PendingRevision | None, Desired | None]:
    """What an app's deployer has yet to deploy, and what it declares, as far as that can be read."""
    if checked.next is None:
        return None, None

    async def render(app: App, revision: Revision) -> Desired:
        return await provider.desired(checked.source, app, revision, capabilities)

    if (commit := checked.next.pending.revision) is not None:
        with suppress(GitError):  # then it cannot be read, and that is said
            await revision_at(checked.source, commit, provider)
    return await read_next(checked.next, deployed.sha, provider.mirror(checked.source), render)
