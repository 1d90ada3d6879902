"""Asking a cluster what its deployers deploy to it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from driftd.discovery.argo import APPLICATION, deployed_by_application
from driftd.discovery.deployed import DeployedApp, NotJudged, Object, name_of, section
from driftd.discovery.flux import GIT_REPOSITORY, KUSTOMIZATION, deployed_by_kustomization, variable_sources
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_objects
from driftd.live.cluster import ClusterView
from driftd.model.deployer import Deployer
from driftd.model.errors import KubeError, NotFound, UnknownKind
from driftd.model.resource import ResourceRef


async def deployed_apps(view: ClusterView, deployers: Collection[Deployer]) -> list[DeployedApp | NotJudged]:
    """What these deployers deploy to a cluster, by name. One that is not installed deploys nothing.

    What cannot be read is among it as `NotJudged`. Raises: KubeError: discovery failed.
    """
    found: list[DeployedApp | NotJudged] = []
    if Deployer.ARGO in deployers:
        found += await _each(view, APPLICATION, lambda body: deployed_by_application(body, view.name))
    if Deployer.FLUX in deployers:
        found += await _deployed_by_flux(view)
    return sorted(found, key=lambda each: each.app.name if isinstance(each, DeployedApp) else each.name)


async def _each(
    view: ClusterView,
    kind: tuple[str, str],
    deployed_by: Callable[[Object], Iterable[DeployedApp | NotJudged]],
) -> list[DeployedApp | NotJudged]:
    try:
        resource = await _resource(view, kind)
        listed = await list_objects(view.cluster, resource, None) if resource is not None else None
    except KubeError as error:
        return [NotJudged(kind[1].lower(), f"what it deploys cannot be read: {error}")]
    return [each for body in listed.items for each in deployed_by(body)] if listed is not None else []


async def _resource(view: ClusterView, kind: tuple[str, str]) -> ApiResource | None:
    """The kind in the cluster's preferred version; None where it does not serve it. Raises: KubeError."""
    try:
        return (await view.discovery()).find_kind(*kind)
    except UnknownKind:
        return None


async def _deployed_by_flux(view: ClusterView) -> list[DeployedApp | NotJudged]:
    repositories: dict[str, Object] = {}
    try:
        if (resource := await _resource(view, GIT_REPOSITORY)) is not None:
            repositories = {name_of(body): body for body in (await list_objects(view.cluster, resource, None)).items}
    except KubeError:
        pass  # each Kustomization says so
    bodies: list[Object] = []

    def keep(body: Object) -> Iterable[DeployedApp | NotJudged]:
        bodies.append(body)
        return ()

    failed = await _each(view, KUSTOMIZATION, keep)
    variables = await _variables(view, {ref for body in bodies for ref, _ in variable_sources(body)})
    return [
        *failed,
        *(each for body in bodies for each in deployed_by_kustomization(body, repositories, variables, view.name)),
    ]


async def _variables(view: ClusterView, refs: Collection[ResourceRef]) -> Mapping[ResourceRef, Mapping[str, str]]:
    """The data of ConfigMaps and Secrets; what is not there, or cannot be read, is left out."""
    found = {}
    for ref in refs:
        try:
            resource = (await view.discovery()).find_kind(ref.group, ref.kind)
            body = await view.cluster.request("GET", resource.path(ref.namespace, ref.name))
        except (NotFound, KubeError):
            continue
        found[ref] = _data(body, is_secret=ref.kind == "Secret")
    return found


def _data(body: Any, *, is_secret: bool) -> dict[str, str]:
    data = section(body, "data")
    if not is_secret:
        return {key: str(value) for key, value in data.items()}
    decoded = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(str(value)).decode()
        except (binascii.Error, ValueError):
            continue
    return decoded
