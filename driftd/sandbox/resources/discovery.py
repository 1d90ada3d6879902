"""Discovery documents, aggregated and unaggregated."""

from __future__ import annotations

import re

from driftd.sandbox.document import Object
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.resources.registry import Registry

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_SUBRESOURCE_VERBS = ["get", "patch", "update"]


class Discovery:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def _groups(self) -> dict[str, dict[str, list[Kind]]]:
        """Kinds by group and version, the preferred version first."""
        groups: dict[str, dict[str, list[Kind]]] = {group: {} for group in self._registry.builtin.groups}
        for kind in self._registry.kinds():
            groups.setdefault(kind.resource.group, {}).setdefault(kind.resource.version, []).append(kind)
        return {
            group: dict(sorted(versions.items(), key=lambda pair: _priority(pair[0]), reverse=True))
            for group, versions in groups.items()
            if versions
        }

    def aggregated(self, *, core: bool) -> Object:
        """`/api` (the core group) or `/apis` as an APIGroupDiscoveryList."""
        items = []
        for group, versions in self._groups().items():
            if (group == "") != core:
                continue
            described = [
                {"version": version, "resources": [_aggregated(kind) for kind in kinds], "freshness": "Current"}
                for version, kinds in versions.items()
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": described})
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}

    def core_versions(self) -> Object:
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}

    def serves(self, group: str, version: str) -> bool:
        return version in self._groups().get(group, {})

    def group_list(self) -> Object:
        groups = [_group(name, list(versions)) for name, versions in self._groups().items() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Object | None:
        versions = self._groups().get(name)
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))} if versions and name else None

    def resources(self, group: str, version: str) -> Object | None:
        kinds = self._groups().get(group, {}).get(version)
        if kinds is None:
            return None
        entries = [entry for kind in kinds for entry in _legacy(kind)]
        api_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def _priority(version: str) -> tuple[int, int, int]:
    """v2 before v1 before v1beta2 before v1beta1 before v1alpha1.

    Source: k8s.io/apimachinery/pkg/version, "CompareKubeAwareVersionStrings".
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0)
    stage = {None: 2, "beta": 1, "alpha": 0}[match[2]]
    return (stage, int(match[1]), int(match[3] or 0))


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _aggregated(kind: Kind) -> Object:
    resource = kind.resource
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {"subresource": name, "responseKind": _response(kind, name), "verbs": _SUBRESOURCE_VERBS}
            for name in resource.subresources
        ]
    return entry


def _response(kind: Kind, subresource: str) -> Object:
    if subresource == "scale":
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    return {"group": kind.resource.group, "version": kind.resource.version, "kind": kind.resource.kind}


def _legacy(kind: Kind) -> list[Object]:
    resource = kind.resource
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    entries = [entry]
    for name in resource.subresources:
        sub: Object = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
        if name == "scale":
            sub.update(group="autoscaling", version="v1", kind="Scale")
        else:
            sub["kind"] = resource.kind
        entries.append({**sub, "verbs": _SUBRESOURCE_VERBS})
    return entries
