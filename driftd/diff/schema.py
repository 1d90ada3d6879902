"""The cluster's own types, out of its OpenAPI v3 documents."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Any

from driftd.model.path import Scalar

_REF = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
_DURATION = "io.k8s.apimachinery.pkg.apis.meta.v1.Duration"
_GO_TYPES = (
    "io.k8s.api.",
    "io.k8s.apimachinery.",
    "io.k8s.apiextensions-apiserver.",
    "io.k8s.kube-aggregator.",
)
_OPEN = frozenset({
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
})  # fmt: skip


_EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
"""What every embedded resource may have, whether its schema names it or not."""


class ListType(Enum):
    """How the items of a list are told apart (`x-kubernetes-list-type`)."""

    ATOMIC = "atomic"
    SET = "set"
    MAP = "map"


class ScalarType(Enum):
    """What a scalar means, where its spelling may vary."""

    PLAIN = "plain"
    QUANTITY = "quantity"
    DURATION = "duration"
    TIME = "date-time"
    BYTES = "byte"
    INT_OR_STRING = "int-or-string"


class Schema:
    """The type of one value. Children are resolved when they are asked for, and kept.

    `go_type` is the name of the Go type behind it, or None for what a CRD describes: the API server reads and writes
    the first through a struct, which drops some zero values, and keeps the second as it is.
    """

    def __init__(self, raw: Mapping[str, Any], components: Mapping[str, Any]) -> None:
        name: str | None = None
        merged: dict[str, Any] = dict(raw)
        seen: set[str] = set()
        while True:
            target = merged.pop("$ref", None)
            all_of = merged.get("allOf")
            if target is None and isinstance(all_of, list) and len(all_of) == 1 and "$ref" in all_of[0]:
                del merged["allOf"]
                target = all_of[0]["$ref"]
            if not isinstance(target, str) or not target.startswith(_REF) or target in seen:
                break
            seen.add(target)
            name = target.removeprefix(_REF)
            merged = {**components.get(name, {}), **merged}
        self._raw = merged
        self._components = components
        self._name = name
        self._children: dict[str, Schema | None] = {}
        self.go_type = name if name is not None and name.startswith(_GO_TYPES) else None

    @cached_property
    def type(self) -> str | None:
        """`object`, `array`, `string`, `integer`, `number`, `boolean`, or None where several are allowed."""
        value = self._raw.get("type")
        return value if isinstance(value, str) else None

    @cached_property
    def scalar(self) -> ScalarType:
        raw = self._raw
        if self._name == _QUANTITY:
            return ScalarType.QUANTITY
        if self._name == _DURATION:
            return ScalarType.DURATION
        if raw.get("format") == "int-or-string" or raw.get("x-kubernetes-int-or-string"):
            # controller-gen writes a quantity as an int-or-string with the quantity's own pattern.
            return ScalarType.QUANTITY if "[KMGTPE]i" in str(raw.get("pattern", "")) else ScalarType.INT_OR_STRING
        for kind in (ScalarType.TIME, ScalarType.BYTES):
            if raw.get("format") == kind.value:
                return kind
        return ScalarType.PLAIN

    @property
    def whole_seconds(self) -> bool:
        """Whether a time loses its fraction of a second when it is stored."""
        return self._name == _TIME

    @cached_property
    def list_type(self) -> ListType:
        declared = self._raw.get("x-kubernetes-list-type")
        if declared == "map" and self.list_keys:
            return ListType.MAP
        return ListType.SET if declared == "set" else ListType.ATOMIC

    @cached_property
    def list_keys(self) -> tuple[str, ...]:
        return tuple(self._raw.get("x-kubernetes-list-map-keys", ()))

    @cached_property
    def atomic(self) -> bool:
        """Whether the value has one owner as a whole, whatever is in it."""
        if self.type == "array":
            return self.list_type is ListType.ATOMIC
        return self._raw.get("x-kubernetes-map-type") == "atomic" or (
            self.type not in ("object", None) and "properties" not in self._raw
        )

    @cached_property
    def open(self) -> bool:
        """Whether fields that the schema does not name are kept (`x-kubernetes-preserve-unknown-fields` and kin)."""
        raw = self._raw
        if raw.get("x-kubernetes-preserve-unknown-fields"):
            return True
        if self._name in _OPEN or "additionalProperties" in raw:
            return True
        if "properties" in raw:
            return False
        # What a CRD calls an object and does not describe is pruned; of any other type nothing is known.
        return self._name is not None or self.type != "object"

    @cached_property
    def is_map(self) -> bool:
        """A map from any string to one type, as labels are: Go drops an empty one, and keeps an empty struct."""
        return "properties" not in self._raw and isinstance(self._raw.get("additionalProperties"), Mapping)

    @property
    def default(self) -> Any:
        """The value that the API server puts where none is given, or None."""
        return self._raw.get("default")

    def child(self, key: str) -> Schema | None:
        """The type of one field, or None where the schema says nothing of it."""
        slot = "" if self.is_map else key  # a map has one type for all its keys
        try:
            return self._children[slot]
        except KeyError:
            pass
        raw = self._raw.get("properties", {}).get(key)
        if raw is None:
            raw = self._raw.get("additionalProperties")
        if raw is None and key in _EMBEDDED and self._raw.get("x-kubernetes-embedded-resource"):
            raw = _EMBEDDED[key]
        child = Schema(raw, self._components) if isinstance(raw, Mapping) else None
        self._children[slot] = child
        return child

    @cached_property
    def items(self) -> Schema | None:
        raw = self._raw.get("items")
        return Schema(raw, self._components) if isinstance(raw, Mapping) else None

    def key_default(self, key: str) -> Scalar:
        """The default of one of the keys of a map list (`protocol: TCP`), or None."""
        return self._key_defaults.get(key)

    @cached_property
    def _key_defaults(self) -> Mapping[str, Scalar]:
        return {key: self._key_default(key) for key in self.list_keys}

    def _key_default(self, key: str) -> Scalar:
        child = self.items.child(key) if self.items else None
        default = child.default if child else None
        return default if isinstance(default, str | int | float | bool) else None


class Schemas:
    """The types of one OpenAPI v3 document, that is of one API group and version."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
        self._names: dict[tuple[str, str, str], str] = {}
        for name, raw in self._components.items():
            for gvk in raw.get("x-kubernetes-group-version-kind", ()):
                key = (gvk.get("group", ""), gvk.get("version", ""), gvk.get("kind", ""))
                self._names.setdefault(key, name)
        self._schemas: dict[str, Schema] = {}

    def of(self, group: str, version: str, kind: str) -> Schema | None:
        """The type of a kind, or None if the document has none."""
        name = self._names.get((group, version, kind))
        if name is None:
            return None
        if name not in self._schemas:
            self._schemas[name] = Schema({"$ref": _REF + name}, self._components)
        return self._schemas[name]
