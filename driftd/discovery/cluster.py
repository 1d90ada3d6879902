"""Asking a cluster what its deployers deploy to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.discovery.argo import APPLICATION, deployed_by_application
from driftd.discovery.argo_ignore import SETTINGS
from driftd.discovery.argo_logins import namespace_of_argo
from driftd.discovery.artifacts import ARTIFACT_GENERATOR, deployed_from_repository
from driftd.discovery.deployed import DeployedApp, NotJudged, Object, Unsupported, app_name, name_of
from driftd.discovery.flux import KUSTOMIZATION, deployed_by_kustomization, variable_sources
from driftd.discovery.flux_sources import GIT_REPOSITORY, OCI_REPOSITORY, Sources
from driftd.discovery.helm import HELM_RELEASE, STORAGE_LABELS, InstalledRelease, Release, decode_release, installed
from driftd.discovery.login_sources import LoginSources
from driftd.discovery.variable_sources import VariableSources
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_each, list_objects
from driftd.live.cluster import ClusterView
from driftd.model.deployer import Deployer
from driftd.model.errors import KubeError, UnknownKind
from driftd.model.resource import ResourceRef

Found = DeployedApp | InstalledRelease | NotJudged


def name_of_app(found: Found) -> str:
    return found.name if isinstance(found, NotJudged) else found.app.name


Kind = tuple[str, str]
"""A group and a kind."""

ListKind = Callable[[Kind], Awaitable[Sequence[Object]]]
"""All objects of a kind; none where the cluster does not serve it. Raises: KubeError: they cannot be read."""


async def deployed_apps(view: ClusterView, deployers: Collection[Deployer], *, credentials: bool) -> list[Found]:
    """What these deployers deploy to a cluster, by name. One that is not installed deploys nothing.

    With `credentials`, their logins to repositories are read, and used.

    What cannot be read is among it as `NotJudged`. Raises: KubeError: discovery failed.
    """

    listed = _listing(view)
    found: list[Found] = list(await apps_from_git(view, deployers, credentials=credentials))
    helm_releases, unread = await _read(listed, HELM_RELEASE) if Deployer.FLUX in deployers else ([], [])
    found += unread
    if helm_releases or Deployer.HELM in deployers:
        found += await _installed_by_helm(view, helm_releases, others=Deployer.HELM in deployers)
    return sorted(found, key=name_of_app)


async def apps_from_git(
    view: ClusterView, deployers: Collection[Deployer], *, credentials: bool
) -> list[DeployedApp | NotJudged]:
    """The same, of what comes from Git: nothing of Helm's is read. Raises: KubeError: discovery failed."""
    values = Values.of(view, credentials=credentials, max_age=0.0)
    return await deployed_from_git(view, deployers, _listing(view), values)


def _listing(view: ClusterView) -> ListKind:
    async def listed(kind: Kind) -> Sequence[Object]:
        resource = await find_resource(view, kind)
        return (await list_objects(view.cluster, resource, None)).items if resource is not None else []

    return listed


@dataclass(frozen=True, slots=True)
class Values:
    """What is read of a cluster for what its deployers' objects name: variables, and logins."""

    variables: VariableSources
    logins: LoginSources

    @classmethod
    def of(cls, view: ClusterView, *, credentials: bool, max_age: float) -> Values:
        """Those of a cluster, each read again after `max_age` seconds; logins only with `credentials`."""
        return cls(VariableSources(view, max_age), LoginSources(view, allowed=credentials, max_age=max_age))


async def deployed_from_git(
    view: ClusterView, deployers: Collection[Deployer], listed: ListKind, values: Values
) -> list[DeployedApp | NotJudged]:
    """The same, of what comes from Git: by Argo CD's Applications and Flux' Kustomizations, as `listed` has them."""
    found: list[DeployedApp | NotJudged] = []
    if Deployer.ARGO in deployers:
        applications, unread = await _read(listed, APPLICATION)
        logins = await values.logins.of_argo(applications)
        settings = {namespace: ResourceRef("", "ConfigMap", namespace, SETTINGS) for namespace in logins}
        data = await values.variables.read(settings.values())
        for body in applications:
            namespace = namespace_of_argo(body)
            found += deployed_by_application(body, view.name, logins[namespace], data.get(settings[namespace]))
        found += unread
    if Deployer.FLUX in deployers:
        objects: dict[tuple[str, str], Object] = {}
        for kind in (GIT_REPOSITORY, OCI_REPOSITORY):
            repositories, _ = await _read(listed, kind)  # of one that cannot be read, each Kustomization tells
            objects |= {(kind[1], name_of(body)): body for body in repositories}
        generators, _ = await _read(listed, ARTIFACT_GENERATOR)
        bodies, unread = await _read(listed, KUSTOMIZATION)
        bodies = [deployed_from_repository(body, generators) for body in bodies]
        variables = await values.variables.read({ref for body in bodies for ref, _ in variable_sources(body)})
        sources = Sources(objects, await values.logins.of_flux(objects.values()))
        found += [each for body in bodies for each in deployed_by_kustomization(body, sources, variables, view.name)]
        found += unread
    return found


def kinds_of(deployers: Collection[Deployer]) -> tuple[Kind, ...]:
    """The kinds that say what these deployers deploy from Git."""
    argo = (APPLICATION,) if Deployer.ARGO in deployers else ()
    flux = (GIT_REPOSITORY, OCI_REPOSITORY, ARTIFACT_GENERATOR, KUSTOMIZATION) if Deployer.FLUX in deployers else ()
    return (*argo, *flux)


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
