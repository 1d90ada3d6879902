"""The commit that an app is compared with: the one that its source's reference leads to, or one that was deployed."""

from __future__ import annotations

from dataclasses import replace

from driftd.cli.checked_apps import CheckedApp
from driftd.desired.provider import DesiredStateProvider
from driftd.model.errors import RefNotFound
from driftd.model.revision import Revision


async def at_its_commit(
    checked: CheckedApp, fetched: Revision, provider: DesiredStateProvider
) -> tuple[CheckedApp, Revision]:
    """The app at its own commit: in the history of its reference, which was `fetched`, or else fetched for itself.

    Raises: GitError: the repository does not have it any more.
    """
    if checked.commit is None:
        return checked, fetched
    try:
        return checked, await provider.mirror(checked.source).revision(checked.commit)
    except RefNotFound:
        alone = replace(checked, source=checked.source.at(checked.commit))
        return alone, await provider.fetch(alone.source)
