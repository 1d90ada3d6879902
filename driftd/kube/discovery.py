"""Discovery: the groups, versions and kinds that a cluster serves, also while some of them are unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from driftd.kube.rest_client import Cluster
from driftd.model.errors import ClusterUnreachable, Invalid, KubeError, UnknownKind
from driftd.model.resource import group_of

_AGGREGATED = ",".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)


@dataclass(frozen=True, slots=True)
class ApiResource:
    """One kind in one API version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]
    has_status: bool = True
    """Whether `status` is a subresource: writes to the object then leave it alone."""
    short_names: tuple[str, ...] = field(default=(), compare=False)

    def is_called(self, name: str) -> bool:
        """Whether kubectl takes `name` for this kind: `Deployment`, `deployments`, `deploy`, `deployments.apps`."""
        name, _, group = name.lower().partition(".")
        return (not group or group == self.group) and name in (self.kind.lower(), self.plural, *self.short_names)

    @property
    def api_version(self) -> str:
        """As in manifests: `apps/v1`, and `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The URL path of one object, or of the collection of one namespace or of all (None).

        Raises: Invalid: the name or the namespace is no path segment and would change the path; or a namespaced
            object has no namespace.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", self._segment("namespace", namespace)]
        elif self.namespaced and name is not None:
            raise Invalid(f"{self.kind} {name!r} needs a namespace")
        parts.append(self.plural)
        if name is not None:
            parts.append(self._segment("name", name))
        return "/".join(parts)

    def _segment(self, what: str, value: str) -> str:
        # Source: apimachinery, IsValidPathSegmentName. An empty name would address the collection.
        if value in ("", ".", "..") or "/" in value or "%" in value:
            raise Invalid(f"{self.kind}: {value!r} cannot be the {what} of an object")
        return quote(value, safe="")

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


Scope = tuple[ApiResource, str | None]
"""A kind in one namespace, or in all of them (None)."""


class Discovery:
    """A snapshot of a cluster's kinds. Load it again when a kind is missing: its CRD may be newer."""

    def __init__(self, resources: Iterable[ApiResource], failed_groups: Mapping[str, str]) -> None:
        self.resources = tuple(resources)
        self.failed_groups = dict(failed_groups)
        """The reason for each group version that could not be read (`metrics.k8s.io/v1beta1`)."""
        self._by_kind: dict[tuple[str, str], ApiResource] = {}
        self._preferred: dict[tuple[str, str], ApiResource] = {}
        for resource in self.resources:
            self._by_kind.setdefault((resource.api_version, resource.kind), resource)
            self._preferred.setdefault((resource.group, resource.kind), resource)

    @classmethod
    async def load(cls, cluster: Cluster) -> Discovery:
        """Reads everything: in two requests with aggregated discovery (1.27), else one per group version.

        Raises: KubeError: the list of groups could not be read.
        """
        documents = await asyncio.gather(
            cluster.request("GET", "/api", accept=_AGGREGATED), cluster.request("GET", "/apis", accept=_AGGREGATED)
        )
        try:
            return await cls._read(cluster, documents)
        except (KeyError, TypeError, AttributeError) as error:
            raise KubeError(
                f"cluster {cluster.name}: {cluster.server} answers discovery with something else"
            ) from error

    @classmethod
    async def _read(cls, cluster: Cluster, documents: Iterable[Mapping[str, Any]]) -> Discovery:
        """Raises: KeyError, TypeError, AttributeError: a document is none of discovery, or names no API at all: a
        cluster without the core group or without any other is none.
        """
        resources: list[ApiResource] = []
        failed: dict[str, str] = {}
        unaggregated: list[str] = []
        for document in documents:
            kind = document.get("kind")
            if kind == "APIGroupDiscoveryList":
                _parse_aggregated(document, resources, failed)
            elif kind == "APIVersions":
                unaggregated += _some(document["versions"])
            elif kind == "APIGroupList":
                unaggregated += [
                    version["groupVersion"]
                    for group in _some(document["groups"])
                    for version in _preferred_first(group)
                ]
            else:
                raise TypeError(kind)
        await _load_unaggregated(cluster, unaggregated, resources, failed)
        return cls(resources, failed)

    def find(self, api_version: str, kind: str) -> ApiResource:
        """The kind in exactly that version.

        Raises: UnknownKind: the cluster does not serve it. KubeError: unknown, since discovery of that version failed.
        """
        resource = self._by_kind.get((api_version, kind))
        if resource is not None:
            return resource
        if api_version in self.failed_groups:
            raise KubeError(f"{kind} of {api_version} cannot be looked up: {self.failed_groups[api_version]}")
        others = [r.api_version for r in self.resources if r.kind == kind and r.group == group_of(api_version)]
        hint = f"; it serves it as {', '.join(others)}" if others else "; is its CustomResourceDefinition installed?"
        raise UnknownKind(f"the cluster does not serve {kind} of {api_version}{hint}")

    def find_kind(self, group: str, kind: str) -> ApiResource:
        """The kind in the cluster's preferred version. Raises: UnknownKind, KubeError: as `find`."""
        resource = self._preferred.get((group, kind))
        if resource is not None:
            return resource
        for api_version, reason in self.failed_groups.items():
            if group_of(api_version) == group:
                raise KubeError(f"{kind} of {group} cannot be looked up: {reason}")
        raise UnknownKind(f"the cluster does not serve {kind} of {group or 'the core group'}")


def _some(listed: Any) -> list[Any]:
    """A list that is not empty. Raises: TypeError: it is something else."""
    if not isinstance(listed, list) or not listed:
        raise TypeError(type(listed))
    return listed


def _parse_aggregated(document: Mapping[str, Any], resources: list[ApiResource], failed: dict[str, str]) -> None:
    for item in _some(document["items"]):
        group = (item.get("metadata") or {}).get("name", "")
        for version in _some(item["versions"]):
            name = version["version"]
            listed = version.get("resources") or []
            if version.get("freshness") == "Stale":
                api_version = f"{group}/{name}" if group else name
                failed[api_version] = f"the backend of the APIService {name}.{group} does not answer"
            elif not listed:
                failed[f"{group}/{name}" if group else name] = "discovery names it without any kind in it"
            for resource in listed:
                kind = resource.get("responseKind") or {}
                if kind.get("kind"):
                    resources.append(
                        ApiResource(
                            group=group,
                            version=name,
                            plural=resource["resource"],
                            kind=kind["kind"],
                            namespaced=resource.get("scope") == "Namespaced",
                            verbs=frozenset(resource.get("verbs") or ()),
                            has_status=any(
                                sub.get("subresource") == "status" for sub in resource.get("subresources") or ()
                            ),
                            short_names=tuple(resource.get("shortNames") or ()),
                        )
                    )


def _preferred_first(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    preferred = (group.get("preferredVersion") or {}).get("groupVersion")
    return sorted(group.get("versions") or [], key=lambda version: bool(version["groupVersion"] != preferred))


async def _load_unaggregated(
    cluster: Cluster, api_versions: list[str], resources: list[ApiResource], failed: dict[str, str]
) -> None:
    answers = await asyncio.gather(*(_load_group_version(cluster, name) for name in api_versions))
    for api_version, answer in zip(api_versions, answers, strict=True):
        if isinstance(answer, KubeError):
            failed[api_version] = str(answer)
            continue
        group, version = group_of(api_version), api_version.rpartition("/")[2]
        listed = answer["resources"]
        names = {resource["name"] for resource in listed}
        resources += [
            ApiResource(
                group=group,
                version=version,
                plural=resource["name"],
                kind=resource["kind"],
                namespaced=bool(resource["namespaced"]),
                verbs=frozenset(resource.get("verbs") or ()),
                has_status=f"{resource['name']}/status" in names,
                short_names=tuple(resource.get("shortNames") or ()),
            )
            for resource in listed
            if "/" not in resource["name"]  # else a subresource
        ]


async def _load_group_version(cluster: Cluster, api_version: str) -> Mapping[str, Any] | KubeError:
    """The kinds of one version, or why they are not known. Raises: ClusterUnreachable."""
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        answer: Mapping[str, Any] = await cluster.request("GET", path)
    except ClusterUnreachable:
        raise
    except KubeError as error:
        return error
    is_listed = isinstance(answer, dict) and answer.get("kind") == "APIResourceList"
    if not is_listed or answer.get("groupVersion") != api_version or not isinstance(answer.get("resources"), list):
        return KubeError(f"cluster {cluster.name}: {path} is no list of the kinds of {api_version}")
    return answer
