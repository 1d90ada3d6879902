"""The apps that `driftd check` finds in a cluster: what other deployers deploy there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.cli.checked_apps import CheckedApp, CheckRequest
from driftd.cli.discovered_revision import at_revision, deployable, previewable, with_this_repository
from driftd.cli.live_side import LazyClusters
from driftd.cli.output import Format
from driftd.git.source import GitSource
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.deployer import Deployer
from driftd.model.errors import DriftdError
from driftd.model.report import Report

if TYPE_CHECKING:
    from driftd.discovery.cluster import Found
    from driftd.discovery.deployed import DeployedApp
    from driftd.discovery.helm import InstalledRelease

_SAY_WHAT = "say what to check: --repo {}, or --config FILE (there is no driftd.yaml here)"


@dataclass(frozen=True, slots=True)
class DiscoveredApps:
    """What is deployed to a cluster: from Git, as releases of Helm, and what of it cannot be judged."""

    apps: Sequence[CheckedApp] = ()
    releases: Sequence[InstalledRelease] = ()
    not_judged: Sequence[Report] = ()
    notes: Sequence[str] = ()


async def discovered_apps(request: CheckRequest, access: ClusterAccess, output: Format, folder: Path) -> DiscoveredApps:
    """What is deployed to the cluster of a request; where it names a revision, at that one.

    What of a checkout has to be made for that is made in `folder`.
    Raises: DriftdError: the cluster cannot be asked, nothing was found, or not the apps that the request names; or the
    revision cannot be had.
    """
    if request.config is not None:
        raise DriftdError("--discover checks what other deployers deploy: it does not go with --config")
    request = with_this_repository(request)
    for option, given in (
        ("--path", request.path),
        ("--namespace", request.namespace),
        ("--values", request.values_files),
        ("--release-name", request.release_name),
    ):
        if given:
            raise DriftdError(f"{option} goes with --repo: what is deployed says it itself")
    say_what = _SAY_WHAT.format(next((name for name in request.names if _is_path(name)), "PATH_OR_URL"))
    if not request.discover and any(_is_path(name) for name in request.names):
        raise DriftdError(say_what)
    checkout = await asyncio.to_thread(deployable, request, folder) if request.repo is not None else None
    only_from_git = checkout is not None or request.previews
    deployers = request.discover or tuple(each for each in Deployer if not (only_from_git and each is Deployer.HELM))
    async with LazyClusters(output) as clusters:
        try:
            view = await clusters.connect(access)
        except DriftdError as error:
            if request.discover:
                raise
            raise DriftdError(f"{say_what}; nor can a cluster be asked what is deployed to it: {error}") from error
        from driftd.discovery import cluster  # noqa: PLC0415  # slow to import, and few checks need it
        from driftd.discovery.deployed import DeployedApp, NotJudged  # noqa: PLC0415  # as above
        from driftd.discovery.helm import InstalledRelease  # noqa: PLC0415  # as above

        asked = cluster.apps_from_git if only_from_git else cluster.deployed_apps
        deployed = await asked(view, deployers, credentials=request.deployer_credentials)
        found = {cluster.name_of_app(each): each for each in deployed}
    if not found:
        names = [deployer.product for deployer in deployers]
        raise DriftdError(f"nothing in cluster {view.name} is deployed by {' or '.join(names)}: {say_what}")
    notes: Sequence[str] = ()
    chosen = _named(found, request.names)
    if checkout is not None:
        chosen, notes = checkout.of_it(chosen, named=bool(request.names))
    if request.previews or checkout is not None:
        chosen = [previewable(each) for each in chosen]
    apps = [(each, _checked(each, access, request)) for each in chosen if isinstance(each, DeployedApp)]
    return DiscoveredApps(
        [at_revision(deployed, checked, request, checkout) for deployed, checked in apps],
        [_with_engine(each, request) for each in chosen if isinstance(each, InstalledRelease)],
        [_not_judged(each.name, view.name, each.reason) for each in chosen if isinstance(each, NotJudged)],
        notes,
    )


def _is_path(name: str) -> bool:
    """Whether somebody means a folder where the name of an app is taken."""
    return name.startswith((".", "/", "~")) or Path(name).exists()


def _named(found: dict[str, Found], names: Sequence[str]) -> list[Found]:
    """Those with these names, in full or without the kind and the namespace. Raises: DriftdError: there is none."""
    chosen: dict[str, Found] = {}
    for name in names:
        matching = {full: each for full, each in found.items() if full == name or full.endswith(f"/{name}")}
        if not matching:
            raise DriftdError(f"there is no app {name!r} in the cluster (there are: {', '.join(found)})")
        chosen |= matching
    return list((chosen or found).values())


def _checked(deployed: DeployedApp, access: ClusterAccess, request: CheckRequest) -> CheckedApp:
    app = replace(deployed.app, engine=request.engine or deployed.app.engine)
    if request.allow_empty:
        app = replace(app, rendering=replace(app.rendering, allow_empty=True))
    next_, ignore = deployed.next, deployed.ignore
    if isinstance(deployed.source, GitSource):
        return CheckedApp(app, deployed.source, access, commit=deployed.commit, ignore=ignore, next=next_)
    return CheckedApp(app, deployed.source.at(deployed.commit), access, ignore=ignore, next=next_)


def _with_engine(release: InstalledRelease, request: CheckRequest) -> InstalledRelease:
    return replace(release, app=replace(release.app, engine=request.engine or release.app.engine))


def _not_judged(name: str, cluster: str, reason: str) -> Report:
    return Report(name, cluster, None, (), datetime.now(UTC), error=reason)
