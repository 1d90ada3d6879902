"""The apps that `driftd check` finds in a cluster: what other deployers deploy there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from driftd.cli.checked_apps import CheckedApp, CheckRequest
from driftd.cli.live_side import LazyClusters
from driftd.cli.output import Format
from driftd.discovery.deployed import DeployedApp, NotJudged
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.deployer import Deployer
from driftd.model.errors import DriftdError
from driftd.model.report import Report

_SAY_WHAT = "say what to check by --repo PATH_OR_URL, or --config FILE (there is no driftd.yaml here)"


async def discovered_apps(request: CheckRequest, output: Format) -> tuple[list[CheckedApp], list[Report]]:
    """What is deployed to the cluster of a request, and reports on what of it cannot be judged.

    Raises: DriftdError: the cluster cannot be asked, nothing was found, or not the apps that the request names.
    """
    if request.repo is not None or request.config is not None:
        raise DriftdError("--discover checks what other deployers deploy: it does not go with --repo or --config")
    if request.revision or request.worktree:
        raise DriftdError("--discover compares with what was deployed: it does not go with --revision or --worktree")
    access = ClusterAccess(None, request.kubeconfig, request.context)
    async with LazyClusters(output) as clusters:
        try:
            view = await clusters.connect(access)
        except DriftdError as error:
            if request.discover:
                raise
            raise DriftdError(f"{_SAY_WHAT}; nor can a cluster be asked what is deployed to it: {error}") from error
        from driftd.discovery.cluster import deployed_apps  # noqa: PLC0415  # slow to import, and few checks need it

        found = await deployed_apps(view, request.discover or tuple(Deployer))
    if not found:
        names = " and ".join(deployer.product for deployer in request.discover or Deployer)
        raise DriftdError(f"nothing in cluster {view.name} is deployed by {names}: {_SAY_WHAT}")
    found = _named(found, request.names)
    apps = [_checked(each, access, request) for each in found if isinstance(each, DeployedApp)]
    return apps, [_not_judged(each, view.name) for each in found if isinstance(each, NotJudged)]


def _named(found: Sequence[DeployedApp | NotJudged], names: Sequence[str]) -> list[DeployedApp | NotJudged]:
    """Those with these names, in full or without the kind and the namespace. Raises: DriftdError: there is none."""
    by_name = {each.app.name if isinstance(each, DeployedApp) else each.name: each for each in found}
    chosen: dict[str, DeployedApp | NotJudged] = {}
    for name in names:
        matching = {full: each for full, each in by_name.items() if full == name or full.endswith(f"/{name}")}
        if not matching:
            raise DriftdError(f"there is no app {name!r} in the cluster (there are: {', '.join(by_name)})")
        chosen |= matching
    return list((chosen or by_name).values())


def _checked(deployed: DeployedApp, access: ClusterAccess, request: CheckRequest) -> CheckedApp:
    app = replace(deployed.app, engine=request.engine or deployed.app.engine)
    if request.allow_empty:
        app = replace(app, rendering=replace(app.rendering, allow_empty=True))
    return CheckedApp(app, deployed.source, access, commit=deployed.commit, ignore=deployed.ignore)


def _not_judged(each: NotJudged, cluster: str) -> Report:
    return Report(each.name, cluster, None, (), datetime.now(UTC), error=each.reason)
