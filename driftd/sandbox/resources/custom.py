"""Kinds that are defined by CustomResourceDefinitions."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.fields.atoms import Ref, Types
from driftd.sandbox.fields.fieldset import FieldSet, path_of
from driftd.sandbox.fields.ownership import Merger
from driftd.sandbox.resources.catalog import Builtin, Resource
from driftd.sandbox.resources.codec import DecodeError
from driftd.sandbox.resources.kinds import ScalePaths
from driftd.sandbox.resources.structural import default, prune
from driftd.sandbox.resources.structural import mistakes as schema_mistakes
from driftd.sandbox.status import Cause, bad_request
from driftd.sandbox.validation.metadata import metadata_mistakes

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class CustomKind:
    """A custom kind in one version."""

    counts_generations = True

    def __init__(self, builtin: Builtin, definition: Object, version: Object) -> None:
        self._builtin = builtin
        spec, names = definition["spec"], definition["spec"]["names"]
        self.definition_name = definition["metadata"]["name"]
        self.storage = bool(version.get("storage"))
        self.schema: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        self.columns: list[Object] = version.get("additionalPrinterColumns") or []
        self.deprecation = _deprecation(spec, names, version) if version.get("deprecated") else None
        self.selectable = {
            field["jsonPath"].lstrip("."): tuple(field["jsonPath"].lstrip(".").split("."))
            for field in version.get("selectableFields") or ()
        }
        self._versions = {f"{spec['group']}/{v['name']}": v for v in spec["versions"] if v.get("served")}
        subresources = version.get("subresources") or {}
        self.has_status = "status" in subresources
        self.scale = _scale(subresources["scale"]) if "scale" in subresources else None
        self.resource = Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(name for name in ("status", "scale") if name in subresources),
        )

    @property
    def preserves(self) -> bool:
        return bool(self.schema.get("x-kubernetes-preserve-unknown-fields"))

    def decode(self, obj: Object) -> tuple[Object, list[str]]:
        pruned, unknown = prune(obj, self.schema)
        try:
            metadata, unknown_metadata = self._builtin.codec.decode(_META, obj.get("metadata") or {})
        except DecodeError as error:
            kind, version = self.resource.kind, self.resource.version
            raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from error
        filled: Object = default(pruned, self.schema)
        return {**filled, "metadata": metadata}, [*unknown, *(f"metadata.{field}" for field in unknown_metadata)]

    def empty(self) -> Object:
        return {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": {}}

    def mistakes(self, obj: Object, old: Object | None) -> list[Cause]:
        return [
            *metadata_mistakes(self.resource.group, obj, old, namespaced=self.resource.namespaced),
            *schema_mistakes(obj, self.schema, root=True),
        ]

    def merger(self, subresource: str) -> Merger:
        reset = FieldSet()
        if subresource == "status":
            reset = FieldSet.of(path_of("metadata"), path_of("spec"))
        elif self.has_status:
            reset = FieldSet.of(path_of("status"))
        return Merger(
            type_of=self._type_of,
            api_version=self.resource.api_version,
            subresource=subresource,
            keep=(lambda fields: fields.recursive_difference(reset)) if reset else None,
            decode=lambda obj: self.decode(obj)[0],
            empty=self.empty(),
        )

    def _type_of(self, api_version: str) -> Ref | None:
        if api_version == self.resource.api_version:
            return self._ref
        version = self._versions.get(api_version)
        return self._reference((version.get("schema") or {}).get("openAPIV3Schema") or {}) if version else None

    @cached_property
    def _ref(self) -> Ref:
        return self._reference(self.schema)

    def _reference(self, schema: Object) -> Ref:
        types = Types({**self._builtin.schemas, "custom": published_schema(schema)})
        return types.ref("custom")

    def strategic_merge(self, _live: Object, _patch: Object) -> Object | None:
        return None


def published_schema(schema: Object) -> Object:
    """A CRD's schema as the API server publishes it, with apiVersion, kind and metadata."""
    head = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": f"#/components/schemas/{_META}"}]},
    }
    body = _embedded(schema)
    return {**body, "type": "object", "properties": {**(body.get("properties") or {}), **head}}


def _embedded(schema: Any) -> Any:
    """Adds apiVersion, kind and metadata to embedded resources, whether or not their schema declares them."""
    if isinstance(schema, list):
        return [_embedded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _embedded(value) for key, value in schema.items()}
    if result.get("x-kubernetes-embedded-resource") is True:
        metadata = {"allOf": [{"$ref": f"#/components/schemas/{_META}"}]}
        head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": metadata}
        result["properties"] = {**(result.get("properties") or {}), **head}
    return result


def _scale(scale: Object) -> ScalePaths:
    def path(key: str) -> tuple[str, ...]:
        return tuple(part for part in scale[key].split(".") if part)

    return ScalePaths(
        path("specReplicasPath"),
        path("statusReplicasPath"),
        path("labelSelectorPath") if scale.get("labelSelectorPath") else None,
    )


def _deprecation(spec: Object, names: Object, version: Object) -> str:
    warning: str | None = version.get("deprecationWarning")
    return warning or f"{spec['group']}/{version['name']} {names['kind']} is deprecated"
