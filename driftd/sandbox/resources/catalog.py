"""Resources and the built-in kinds of Kubernetes, as described by a real API server."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from driftd.sandbox.fields.atoms import Types
from driftd.sandbox.resources.codec import Codec

_UNSERVED = {"resource.k8s.io", "storagemigration.k8s.io", "events.k8s.io"}
_VERBS = frozenset({"create", "get", "list"})
_SUBRESOURCES = ("status", "scale")
REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
"""What a client asks about itself: created, answered, and not kept."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    definition: str = ""
    """The OpenAPI name of its type; empty for a custom resource."""
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        """The key of its collection in the store, the same for all versions."""
        return self.group, self.plural

    @property
    def custom(self) -> bool:
        return not self.definition


@dataclass(frozen=True, slots=True)
class Builtin:
    """The built-in kinds: discovery, OpenAPI documents and how Go decodes them."""

    version: Mapping[str, Any]
    resources: tuple[Resource, ...]
    documents: Mapping[str, Mapping[str, Any]]
    schemas: Mapping[str, Mapping[str, Any]]
    types: Types
    codec: Codec
    groups: tuple[str, ...] = field(default=())
    """API groups in the discovery order of a real API server."""


@cache
def builtin() -> Builtin:
    """The dump of tools/dump_openapi.py, read once per process."""
    dump = orjson.loads(lzma.decompress((files("driftd.sandbox") / "schemas" / "kubernetes.json.xz").read_bytes()))
    schemas: dict[str, Mapping[str, Any]] = {}
    for document in dump["openapi"].values():
        schemas.update(document.get("components", {}).get("schemas", {}))
    definitions = {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in schemas.items()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    }
    resources: list[Resource] = []
    groups: list[str] = []
    for group in (*dump["discovery"]["api"]["items"], *dump["discovery"]["apis"]["items"]):
        name = group["metadata"].get("name", "")
        if name in _UNSERVED:
            continue
        groups.append(name)
        version = group["versions"][0]
        resources.extend(
            _resource(name, version["version"], entry, definitions)
            for entry in version["resources"]
            if set(entry["verbs"]) >= _VERBS or entry["resource"] in REVIEWS
        )
    return Builtin(
        version=dump["version"],
        resources=tuple(resources),
        documents=dump["openapi"],
        schemas=schemas,
        types=Types(schemas),
        codec=Codec(schemas, dump["structs"]),
        groups=tuple(groups),
    )


def _resource(
    group: str, version: str, entry: Mapping[str, Any], definitions: Mapping[tuple[str, str, str], str]
) -> Resource:
    kind = entry["responseKind"]["kind"]
    served = [sub["subresource"] for sub in entry.get("subresources", ())]
    return Resource(
        group=group,
        version=version,
        plural=entry["resource"],
        kind=kind,
        namespaced=entry["scope"] == "Namespaced",
        singular=entry["singularResource"],
        short_names=tuple(entry.get("shortNames", ())),
        categories=tuple(entry.get("categories", ())),
        subresources=tuple(name for name in _SUBRESOURCES if name in served),
        definition=definitions[group, version, kind],
        verbs=tuple(entry["verbs"]),
    )
