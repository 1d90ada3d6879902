"""The cluster's types, from its OpenAPI v3 documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

from driftd.model.path import ListKey, Scalar

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
_GVK = "x-kubernetes-group-version-kind"
_FREE_FORM = frozenset({
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
})  # fmt: skip


_EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
"""Fields of every embedded resource, whether its schema has them or not."""


_EMPTY: Mapping[str, Any] = {}
_ANY: frozenset[type] = frozenset({str, int, float, bool, dict, list})
_PYTHON_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
}

ItemIdentity = Scalar | tuple[Scalar, ...]
"""The values of a map list's keys in one item, in the schema's order; for a single key, just its value."""


class ListType(Enum):
    """How the items of a list are identified (`x-kubernetes-list-type`)."""

    ATOMIC = "atomic"
    SET = "set"
    MAP = "map"


class ScalarType(Enum):
    """The formats of scalars; other than plain ones have several spellings of one value."""

    PLAIN = "plain"
    QUANTITY = "quantity"
    DURATION = "duration"
    TIME = "date-time"
    BYTES = "byte"
    INT_OR_STRING = "int-or-string"


class Schema:
    """The type of one value. Parsed on construction; the types of its fields and items on demand.

    Attributes:
        type: `object`, `array`, `string`, `integer`, `number`, `boolean`, or None if several are allowed.
        accepted_types: The Python classes of valid values. A float with an integral value is also a valid integer.
        go_type: The name of its Go type, or None for types of a CRD: the API server decodes the former into structs,
            which drop some zero values, and stores the latter as they are.
        whole_seconds: Whether a time is stored without its fraction of a second.
        whole_millis: Whether a quantity is rounded up to thousandths, as in a `ResourceList`.
        atomic: Whether the value is owned as a whole.
        preserves_unknown_fields: Whether fields that the schema does not have are stored
            (`x-kubernetes-preserve-unknown-fields`, `additionalProperties`, free-form types).
        is_map: Whether it is a map from any string to one type, such as labels. Go drops an empty map and keeps an
            empty struct.
        custom: Whether the value is of a custom resource and of no Go type of Kubernetes.
        default: The value that the API server sets if none is given, or None.
        enclosing_kind: The name of the innermost enclosing type that is a kind (a Pod, not its spec), or None: some
            defaults apply to a Pod, and not to a template of one.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        components: Mapping[str, Any],
        enclosing_kind: str | None = None,
        *,
        in_map: bool = False,
        in_custom: bool = True,
    ) -> None:
        merged, name = _resolved(raw, components)
        kind = merged.get("type")
        self._raw = merged
        self._components = components
        self._children: dict[str, Schema] = {}
        self.type: str | None = kind if isinstance(kind, str) else None
        self.scalar = _scalar(merged, name)
        self.accepted_types = _accepted_types(self.type, self.scalar)
        self.go_type = name if name is not None and name.startswith(_GO_TYPES) else None
        self.custom = in_custom and self.go_type is None
        self.within = name if _GVK in merged else enclosing_kind
        self.whole_seconds = name == _TIME
        self.whole_millis = in_map and name == _QUANTITY
        self.list_keys: tuple[str, ...] = tuple(merged.get("x-kubernetes-list-map-keys", ()))
        self.list_type = _list_type(merged, self.list_keys)
        self.atomic: bool = (
            self.list_type is ListType.ATOMIC
            if self.type == "array"
            else merged.get("x-kubernetes-map-type") == "atomic"
            or (self.type not in ("object", None) and "properties" not in merged)
        )
        self.preserves_unknown_fields = _preserves_unknown_fields(merged, name)
        self.is_map = "properties" not in merged and isinstance(merged.get("additionalProperties"), Mapping)
        self.default: Any = merged.get("default")

    def child(self, key: str) -> Schema | None:
        """The type of one field, or None if the schema does not have it."""
        cached = self._children.get(key)
        if cached is not None:
            return cached
        raw = self._raw.get("properties", _EMPTY).get(key)
        if raw is None:
            raw = self._raw.get("additionalProperties")
            if isinstance(raw, Mapping):
                return self._additional  # one type for any number of keys: not cached by key
        if raw is None and key in _EMBEDDED and self._raw.get("x-kubernetes-embedded-resource"):
            raw = _EMBEDDED[key]
        if not isinstance(raw, Mapping):
            return None
        child = self._children[key] = Schema(raw, self._components, self.within, in_custom=self.custom)
        return child

    @cached_property
    def _additional(self) -> Schema:
        raw = self._raw["additionalProperties"]
        return Schema(raw, self._components, self.within, in_map=True, in_custom=self.custom)

    @cached_property
    def items(self) -> Schema | None:
        raw = self._raw.get("items")
        if not isinstance(raw, Mapping):
            return None
        return Schema(raw, self._components, self.within, in_custom=self.custom)

    def identities(self, items: Iterable[Any]) -> list[ItemIdentity]:
        """The identity of each item of a map list; an omitted key has its default (`protocol: TCP`)."""
        if len(self.list_keys) != 1:
            return [tuple(self._key_values(item)) for item in items]
        name = self.list_keys[0]
        identities: list[ItemIdentity] = []
        for item in items:
            value = item.get(name) if item.__class__ is dict else None
            # The common case: the key is a name.
            identities.append(value if value.__class__ is str and value else self._key_values(item)[0])
        return identities

    def list_key(self, identity: ItemIdentity) -> ListKey:
        """The path segment of an identity."""
        names = self.list_keys
        values = identity if isinstance(identity, tuple) else (identity,)
        return ListKey(tuple(zip(names, values, strict=True)))

    def _key_values(self, item: Any) -> list[Scalar]:
        if not isinstance(item, dict):
            return [None] * len(self.list_keys)
        values: list[Scalar] = []
        for name, default in self._key_defaults:
            value = item.get(name)
            if value is None or value == "":
                value = value if default is None else default
            values.append(value if isinstance(value, str | int | float) else None)
        return values

    @cached_property
    def _key_defaults(self) -> tuple[tuple[str, Scalar], ...]:
        return tuple([(key, self._key_default(key)) for key in self.list_keys])

    def _key_default(self, key: str) -> Scalar:
        child = self.items.child(key) if self.items else None
        default = child.default if child else None
        return default if isinstance(default, str | int | float) else None


def _resolved(raw: Mapping[str, Any], components: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A schema merged with the schemas that it references, and the name of the last of these."""
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
            return merged, name
        seen.add(target)
        name = target.removeprefix(_REF)
        merged = {**components.get(name, {}), **merged}


def _scalar(raw: Mapping[str, Any], name: str | None) -> ScalarType:
    if name == _QUANTITY:
        return ScalarType.QUANTITY
    if name == _DURATION or raw.get("format") == "duration":
        return ScalarType.DURATION
    if raw.get("format") == "int-or-string" or raw.get("x-kubernetes-int-or-string"):
        # controller-gen writes a quantity as an int-or-string with the pattern of quantities.
        return ScalarType.QUANTITY if "[KMGTPE]i" in str(raw.get("pattern", "")) else ScalarType.INT_OR_STRING
    for kind in (ScalarType.TIME, ScalarType.BYTES):
        if raw.get("format") == kind.value:
            return kind
    return ScalarType.PLAIN


def _accepted_types(kind: str | None, scalar: ScalarType) -> frozenset[type]:
    if kind is None:
        return _ANY
    if scalar in (ScalarType.INT_OR_STRING, ScalarType.QUANTITY):
        return frozenset({str, int, float})
    return _PYTHON_TYPES.get(kind, _ANY - {bool})


def _list_type(raw: Mapping[str, Any], keys: tuple[str, ...]) -> ListType:
    declared = raw.get("x-kubernetes-list-type")
    if declared == "map" and keys:
        return ListType.MAP
    return ListType.SET if declared == "set" else ListType.ATOMIC


def _preserves_unknown_fields(raw: Mapping[str, Any], name: str | None) -> bool:
    if raw.get("x-kubernetes-preserve-unknown-fields"):
        return True
    if name in _FREE_FORM or "additionalProperties" in raw:
        return True
    if "properties" in raw:
        return False
    # The API server prunes an object that a CRD does not describe further; other types are unknown.
    return name is not None or raw.get("type") != "object"


class Schemas:
    """The types of one OpenAPI v3 document, which is one API group and version."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
        self._names: dict[tuple[str, str, str], str] = {}
        for name, raw in self._components.items():
            for gvk in raw.get(_GVK, ()):
                key = (gvk.get("group", ""), gvk.get("version", ""), gvk.get("kind", ""))
                self._names.setdefault(key, name)
        self._schemas: dict[str, Schema] = {}

    def of(self, group: str, version: str, kind: str) -> Schema | None:
        """The type of a kind, or None if the document does not have it."""
        name = self._names.get((group, version, kind))
        if name is None:
            return None
        if name not in self._schemas:
            self._schemas[name] = Schema({"$ref": _REF + name}, self._components)
        return self._schemas[name]
