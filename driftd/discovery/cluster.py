"""Asking a cluster what its deployers deploy to it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from driftd.discovery.argo import APPLICATION, deployed_by_application
from driftd.discovery.deployed import DeployedApp, NotJudged, Object, Unsupported, app_name, name_of, section
from driftd.discovery.flux import GIT_REPOSITORY, KUSTOMIZATION, deployed_by_kustomization, variable_sources
from driftd.discovery.helm import HELM_RELEASE, STORAGE_LABELS, InstalledRelease, Release, decode_release, installed
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_each, list_objects
from driftd.live.cluster import ClusterView
from driftd.model.deployer import Deployer
from driftd.model.errors import KubeError, NotFound, UnknownKind
from driftd.model.resource import ResourceRef

Found = DeployedApp | InstalledRelease | NotJudged


def name_of_app(found: Found) -> str:
    return found.name if isinstance(found, NotJudged) else found.app.name


async def deployed_apps(view: ClusterView, deployers: Collection[Deployer]) -> list[Found]:
    """What these deployers deploy to a cluster, by name. One that is not installed deploys nothing.

    What cannot be read is among it as `NotJudged`. Raises: KubeError: discovery failed.
    """
    found: list[Found] = []
    if Deployer.ARGO in deployers:
        applications, unread = await _listed(view, APPLICATION)
        found += [*unread, *(each for body in applications for each in deployed_by_application(body, view.name))]
    if Deployer.FLUX in deployers:
        found += await _deployed_by_flux(view)
    helm_releases, unread = await _listed(view, HELM_RELEASE) if Deployer.FLUX in deployers else ([], [])
    found += unread
    if helm_releases or Deployer.HELM in deployers:
        found += await _installed_by_helm(view, helm_releases, others=Deployer.HELM in deployers)
    return sorted(found, key=name_of_app)


async def _listed(view: ClusterView, kind: tuple[str, str]) -> tuple[list[dict[str, Any]], list[NotJudged]]:
    """All objects of a kind; none where the cluster does not serve it. What cannot be read is told."""
    try:
        resource = await _resource(view, kind)
        return ((await list_objects(view.cluster, resource, None)).items if resource is not None else []), []
    except KubeError as error:
        return [], [NotJudged(kind[1].lower(), f"what it deploys cannot be read: {error}")]


async def _resource(view: ClusterView, kind: tuple[str, str]) -> ApiResource | None:
    """The kind in the cluster's preferred version; None where it does not serve it. Raises: KubeError."""
    try:
        return (await view.discovery()).find_kind(*kind)
    except UnknownKind:
        return None


async def _deployed_by_flux(view: ClusterView) -> list[DeployedApp | NotJudged]:
    repositories, _ = await _listed(view, GIT_REPOSITORY)  # of one that cannot be read, each Kustomization tells
    by_name = {name_of(body): body for body in repositories}
    bodies, unread = await _listed(view, KUSTOMIZATION)
    variables = await _variables(view, {ref for body in bodies for ref, _ in variable_sources(body)})
    deployed = (each for body in bodies for each in deployed_by_kustomization(body, by_name, variables, view.name))
    return [*unread, *deployed]


async def _installed_by_helm(view: ClusterView, helm_releases: Sequence[Object], *, others: bool) -> list[Found]:
    """What Helm has installed: for the HelmReleases of Flux, and with `others` also what is nobody's else."""
    found: list[Found] = []
    releases: list[Release] = []
    for kind in ("Secret", "ConfigMap"):
        try:
            resource = (await view.discovery()).find_kind("", kind)
            stored = await list_each(view.cluster, resource, None, _release, label_selector=STORAGE_LABELS)
        except KubeError as error:
            if others:
                found.append(NotJudged("release", f"what Helm has installed cannot be read: {error}"))
            continue
        releases += [each for each in stored.items if isinstance(each, Release)]
        found += [each for each in stored.items if isinstance(each, NotJudged)]
    apps = installed(releases, helm_releases, view.name)
    return found + [each for each in apps if others or name_of_app(each).startswith("helmrelease/")]


def _release(stored: dict[str, Any]) -> Release | NotJudged:
    try:
        return decode_release(stored)
    except Unsupported as error:
        return NotJudged(app_name("release", stored), str(error))


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
