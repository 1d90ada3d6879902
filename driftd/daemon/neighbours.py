"""What the other apps of a configuration declare, for a command that makes a pass over one of them by itself."""

from __future__ import annotations

import asyncio

from driftd.daemon.components import Components
from driftd.live.mapping import RestMapping, map_manifests
from driftd.model.errors import DriftdError
from driftd.reconcile.other_apps import OtherApps
from driftd.store.records import ReportHeader


async def read_neighbours(made: Components, name: str) -> list[str]:
    """Makes known what the other apps of an app's cluster declare: no pass of this process would.

    Of those over which another process makes passes, and of those whose last report is of the revision at hand, the
    store has it. The others are rendered at the revision that is mirrored, and fetched only where there is none.

    Returns: a sentence for each app of which it is not known. Raises: StoreError.
    """
    known = await OtherApps(made.store, made.leases, made.declared, list(made.apps)).look()
    cluster = made.app(name).cluster
    others = [app.name for app in made.apps.values() if app.name != name and app.cluster == cluster]
    problems = await asyncio.gather(*(_read(made, other, known.get(other)) for other in others))
    return [problem for problem in problems if problem is not None]


async def _read(made: Components, name: str, known: ReportHeader | None) -> str | None:
    if known is not None and known.lease is not None and made.leases.is_renewed_elsewhere(known.lease):
        return None
    app = made.app(name)
    try:
        source = made.source(app.source)
        if source.revision is None:
            await source.resume()
        if source.revision is None:
            await source.fetch()
        if known is not None and source.revision is not None and _is_of(known, source.revision.sha, app.cluster):
            return None
        view = await made.view(app.cluster)
        desired = await source.desired(app, view.capabilities)
        made.declared.declare(app, RestMapping(await map_manifests(desired.manifests, app, view)))
    except DriftdError as error:
        return _unknown(name, str(error))
    return _unknown(name, "; ".join(desired.errors)) if desired.errors else None


def _unknown(name: str, why: str) -> str:
    return f"whether app {name} declares the same objects is not known: {why}"


def _is_of(known: ReportHeader, sha: str, cluster: str) -> bool:
    """Whether the last report has all that a revision declares."""
    return known.error is None and known.revision == sha and known.cluster == cluster
