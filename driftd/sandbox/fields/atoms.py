"""Types for merging, converted from OpenAPI as the API server does.

Source: kube-openapi, "schemaconv"; structured-merge-diff, "schema".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNTYPED = "untyped"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_RAW = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_PRIMITIVES = {"integer": "numeric", "number": "numeric", "boolean": "boolean"}


@dataclass(slots=True, eq=False)
class ListType:
    atomic: bool
    element: Ref
    keys: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class MapType:
    """`fields` are the declared ones; other keys have the type `element`, or are not allowed if it is None."""

    fields: Mapping[str, Ref]
    element: Ref | None
    atomic: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def type_of(self, key: str) -> Ref | None:
        return self.fields.get(key) or self.element


class Atom:
    """The allowed kinds of a value: scalar, list, map, or several of them for an untyped value."""

    __slots__ = ("_only", "list", "map", "scalar")

    def __init__(
        self, *, scalar: str | None = None, list_: ListType | None = None, map_: MapType | None = None
    ) -> None:
        self.scalar = scalar
        self.list = list_
        self.map = map_
        self._only: tuple[Atom, Atom, Atom] | None = None

    def for_value(self, value: Any) -> Atom:
        """The atom narrowed to the kind of `value`; itself for null and for a value of a wrong type.

        Results are cached, so that equal ones are the same object.
        """
        if value is None:
            return self
        if self._only is None:
            single = sum(part is not None for part in (self.scalar, self.list, self.map)) == 1
            self._only = (
                self if single or self.scalar is None else Atom(scalar=self.scalar),
                self if single or self.list is None else Atom(list_=self.list),
                self if single or self.map is None else Atom(map_=self.map),
            )
        if isinstance(value, dict):
            return self._only[2]
        return self._only[1] if isinstance(value, list) else self._only[0]


class Ref:
    """A type, by name or inline, resolved on first use, because types may be recursive."""

    __slots__ = ("_atom", "_atomic", "_name", "_schema", "_types")

    def __init__(self, types: Types, schema: Mapping[str, Any] | None, *, name: str | None = None) -> None:
        self._types = types
        self._schema = schema
        self._name = name
        self._atomic = schema.get("x-kubernetes-map-type") if schema and name else None
        self._atom: Atom | None = None

    def resolve(self) -> Atom:
        if self._atom is None:
            if self._name is None:
                self._atom = self._types.parse(self._schema or {})
            else:
                self._atom = _relate(self._types.atom(self._name), self._atomic)
        return self._atom


class Types:
    """The named types of a set of OpenAPI v3 component schemas."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], *, preserve_unknown: bool = False) -> None:
        self._schemas = schemas
        self._preserve_unknown = preserve_unknown
        self._atoms: dict[str, Atom] = {}
        untyped, deduced = Ref(self, None, name="__untyped_atomic_"), Ref(self, None, name="__untyped_deduced_")
        self._untyped, self._deduced = untyped, deduced
        self._atoms["__untyped_atomic_"] = Atom(
            scalar=UNTYPED, list_=ListType(True, untyped), map_=MapType({}, untyped, atomic=True)
        )
        self._atoms["__untyped_deduced_"] = Atom(
            scalar=UNTYPED, list_=ListType(True, untyped), map_=MapType({}, deduced)
        )

    @property
    def deduced(self) -> Ref:
        """The type of an object without a schema: maps merge, lists are atomic."""
        return self._deduced

    def ref(self, name: str) -> Ref:
        return Ref(self, None, name=name)

    def atom(self, name: str) -> Atom:
        atom = self._atoms.get(name)
        if atom is None:
            if name == _QUANTITY:
                atom = Atom(scalar=UNTYPED)
            elif name == _RAW:
                atom = self._atoms["__untyped_atomic_"]
            else:
                atom = self.parse(self._schemas[name])
            self._atoms[name] = atom
        return atom

    def parse(self, schema: Mapping[str, Any]) -> Atom:
        kind = schema.get("type")
        if kind is None:
            return Atom(scalar=UNTYPED, list_=self._list(schema), map_=self._map(schema))
        if kind == "object":
            return Atom(map_=self._map(schema))
        if kind == "array":
            return Atom(list_=self._list(schema))
        if kind == "string":
            return Atom(scalar="string" if schema.get("format", "") in ("", "byte") else UNTYPED)
        return Atom(scalar=_PRIMITIVES.get(kind, UNTYPED))

    def _ref_of(self, schema: Mapping[str, Any], *, preserve: bool) -> Ref:
        target = schema.get("$ref")
        if target is None and len(schema.get("allOf", ())) == 1:
            target = schema["allOf"][0].get("$ref")
        if target is not None:
            return Ref(self, schema, name=target.rsplit("/", 1)[-1])
        if preserve and "x-kubernetes-preserve-unknown-fields" not in schema:
            schema = {**schema, "x-kubernetes-preserve-unknown-fields": True}
        return Ref(self, schema)

    def _map(self, schema: Mapping[str, Any]) -> MapType:
        preserve = self._preserve_unknown or schema.get("x-kubernetes-preserve-unknown-fields") is True
        properties: Mapping[str, Any] = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        element: Ref | None = None
        if additional is None:
            element = self._deduced if preserve or not properties else None
        elif additional is True:
            element = self._deduced
        elif additional is not False:
            element = self._ref_of(additional, preserve=preserve)
        return MapType(
            fields={name: self._ref_of(member, preserve=preserve) for name, member in properties.items()},
            element=element,
            atomic=schema.get("x-kubernetes-map-type") == "atomic",
            defaults={name: member["default"] for name, member in properties.items() if "default" in member},
        )

    def _list(self, schema: Mapping[str, Any]) -> ListType:
        items = schema.get("items")
        preserve = self._preserve_unknown or schema.get("x-kubernetes-preserve-unknown-fields") is True
        element = self._ref_of(items, preserve=preserve) if items is not None else self._untyped
        kind = schema.get("x-kubernetes-list-type")
        if kind is not None:
            keys = tuple(schema.get("x-kubernetes-list-map-keys", ())) if kind == "map" else ()
            return ListType(kind == "atomic", element, keys)
        if "merge" in schema.get("x-kubernetes-patch-strategy", "").split(","):
            key = schema.get("x-kubernetes-patch-merge-key")
            return ListType(False, element, (key,) if key else ())
        return ListType(True, element)


def _relate(atom: Atom, relationship: str | None) -> Atom:
    """A reference may override whether the map that it refers to is atomic."""
    if relationship is None or atom.map is None:
        return atom
    shape = atom.map
    other = MapType(shape.fields, shape.element, atomic=relationship == "atomic", defaults=shape.defaults)
    return Atom(scalar=atom.scalar, list_=atom.list, map_=other)
