"""Asking a cluster what its deployers deploy to it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import monotonic
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


Kind = tuple[str, str]
"""A group and a kind."""

ListKind = Callable[[Kind], Awaitable[Sequence[Object]]]
"""All objects of a kind; none where the cluster does not serve it. Raises: KubeError: they cannot be read."""


async def deployed_apps(view: ClusterView, deployers: Collection[Deployer]) -> list[Found]:
    """What these deployers deploy to a cluster, by name. One that is not installed deploys nothing.

    What cannot be read is among it as `NotJudged`. Raises: KubeError: discovery failed.
    """

    listed = _listing(view)
    found: list[Found] = list(await apps_from_git(view, deployers))
    helm_releases, unread = await _read(listed, HELM_RELEASE) if Deployer.FLUX in deployers else ([], [])
    found += unread
    if helm_releases or Deployer.HELM in deployers:
        found += await _installed_by_helm(view, helm_releases, others=Deployer.HELM in deployers)
    return sorted(found, key=name_of_app)


async def apps_from_git(view: ClusterView, deployers: Collection[Deployer]) -> list[DeployedApp | NotJudged]:
    """The same, of what comes from Git: nothing of Helm's is read. Raises: KubeError: discovery failed."""
    return await deployed_from_git(view, deployers, _listing(view), VariableSources(view))


def _listing(view: ClusterView) -> ListKind:
    async def listed(kind: Kind) -> Sequence[Object]:
        resource = await find_resource(view, kind)
        return (await list_objects(view.cluster, resource, None)).items if resource is not None else []

    return listed


async def deployed_from_git(
    view: ClusterView, deployers: Collection[Deployer], listed: ListKind, variable_data: VariableSources
) -> list[DeployedApp | NotJudged]:
    """The same, of what comes from Git: by Argo CD's Applications and Flux' Kustomizations, as `listed` has them."""
    found: list[DeployedApp | NotJudged] = []
    if Deployer.ARGO in deployers:
        applications, unread = await _read(listed, APPLICATION)
        found += [*unread, *(each for body in applications for each in deployed_by_application(body, view.name))]
    if Deployer.FLUX in deployers:
        repositories, _ = await _read(listed, GIT_REPOSITORY)  # of one that cannot be read, each Kustomization tells
        by_name = {name_of(body): body for body in repositories}
        bodies, unread = await _read(listed, KUSTOMIZATION)
        variables = await variable_data.read({ref for body in bodies for ref, _ in variable_sources(body)})
        deployed = (each for body in bodies for each in deployed_by_kustomization(body, by_name, variables, view.name))
        found += [*unread, *deployed]
    return found


def kinds_of(deployers: Collection[Deployer]) -> tuple[Kind, ...]:
    """The kinds that say what these deployers deploy from Git."""
    argo = (APPLICATION,) if Deployer.ARGO in deployers else ()
    return (*argo, GIT_REPOSITORY, KUSTOMIZATION) if Deployer.FLUX in deployers else argo


async def _read(listed: ListKind, kind: Kind) -> tuple[Sequence[Object], list[NotJudged]]:
    """All objects of a kind; what cannot be read is told."""
    try:
        return await listed(kind), []
    except KubeError as error:
        return [], [NotJudged(kind[1].lower(), f"what it deploys cannot be read: {error}")]


async def find_resource(view: ClusterView, kind: Kind) -> ApiResource | None:
    """The kind in the cluster's preferred version; None where it does not serve it. Raises: KubeError."""
    try:
        return (await view.discovery()).find_kind(*kind)
    except UnknownKind:
        return None


async def _installed_by_helm(view: ClusterView, helm_releases: Sequence[Object], *, others: bool) -> list[Found]:
    """What Helm has installed: for the HelmReleases of Flux, and with `others` all other releases."""
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


class VariableSources:
    """The ConfigMaps and Secrets that Flux takes variables from, each cached for `max_age` seconds."""

    def __init__(self, view: ClusterView, max_age: float = 0.0) -> None:
        self._view = view
        self._max_age = max_age
        self._read: dict[ResourceRef, tuple[float, Mapping[str, str]]] = {}

    async def read(self, refs: Collection[ResourceRef]) -> Mapping[ResourceRef, Mapping[str, str]]:
        """Their data; what is not there, or cannot be read, is left out."""
        for ref in refs:
            known = self._read.get(ref)
            if known is None or monotonic() - known[0] >= self._max_age:
                self._read.pop(ref, None)
                if (data := await self._data_of(ref)) is not None:
                    self._read[ref] = (monotonic(), data)
        return {ref: self._read[ref][1] for ref in refs if ref in self._read}

    async def _data_of(self, ref: ResourceRef) -> Mapping[str, str] | None:
        try:
            resource = (await self._view.discovery()).find_kind(ref.group, ref.kind)
            body = await self._view.cluster.request("GET", resource.path(ref.namespace, ref.name))
        except (NotFound, KubeError):
            return None
        return _data(body, is_secret=ref.kind == "Secret")


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
