"""The commit that an app is compared with: the one that its source's reference leads to, or one that was deployed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from driftd.cli.checked_apps import CheckedApp
from driftd.desired.provider import DesiredStateProvider
from driftd.git.source import GitSource, Ref, RefKind
from driftd.model.errors import RefNotFound
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one check has fetched: each source once, however many apps it has."""

    provider: DesiredStateProvider
    _revisions: dict[GitSource, Revision] = field(default_factory=dict)

    async def revision(self, source: GitSource) -> Revision:
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
            alone = replace(checked, source=replace(checked.source, ref=Ref(RefKind.COMMIT, checked.commit)))
            return alone, await self.revision(alone.source)
