"""Kubernetes' own types, from the server's OpenAPI documents, and how Go encodes their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_REF = "#/components/schemas/"
_SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "1",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": 1,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "2026-01-01T00:00:00Z",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "2026-01-01T00:00:00.000000Z",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "1s",
}
_GO = ("io.k8s.api.", "io.k8s.apimachinery.", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator.")
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a type. `struct` is the name of its type, or of its items' type (`repeated`)."""

    name: str
    kind: str
    struct: str | None
    repeated: bool
    required: bool
    raw: Mapping[str, Any]

    @property
    def zero(self) -> Any:
        """The zero value in JSON; None for types that are not probed (quantities, times)."""
        return {"boolean": False, "integer": 0, "number": 0, "string": "", "array": [], "object": {}}.get(self.kind)


class Types:
    """The types of all documents."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self._components: dict[str, Any] = {}
        self.kinds: dict[tuple[str, str], str] = {}
        for document in documents.values():
            for name, raw in document.get("components", {}).get("schemas", {}).items():
                self._components[name] = raw
                for gvk in raw.get("x-kubernetes-group-version-kind", ()):
                    api_version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
                    self.kinds[api_version, gvk["kind"]] = name

    def fields(self, struct: str) -> Iterator[Field]:
        raw = self._components[struct]
        required = set(raw.get("required", ()))
        for name, member in raw.get("properties", {}).items():
            yield self._field(name, member, name in required)

    def field(self, struct: str, name: str) -> Field | None:
        member = self._components[struct].get("properties", {}).get(name)
        return self._field(name, member, False) if member is not None else None

    def minimal(self, struct: str, depth: int = 0) -> dict[str, Any]:
        """A value with all required fields, filled with values that most fields accept."""
        return {
            field.name: self.example(field, depth + 1)
            for field in self.fields(struct)
            if field.required and depth < _MAX_DEPTH
        }

    def example(self, field: Field, depth: int = 0) -> Any:
        if field.struct is not None:
            value: Any = self.minimal(field.struct, depth)
            return [value] if field.repeated else value
        name, resolved = self._resolve(field.raw)
        if name in _SCALARS:
            return _SCALARS[name]
        if resolved.get("enum"):
            return resolved["enum"][0]
        if resolved.get("format") == "byte":
            return "YQ=="
        if field.kind == "array":
            return ["a"]
        return {"boolean": True, "integer": 1, "number": 1, "string": "a", "object": {"a": "b"}}.get(field.kind)

    def _field(self, name: str, member: Mapping[str, Any], required: bool) -> Field:
        target, raw = self._resolve(member)
        kind = "other" if target in _SCALARS or raw.get("format") == "int-or-string" else str(raw.get("type", "other"))
        struct, repeated = (target if raw.get("properties") else None), False
        if kind == "array":
            inner, items = self._resolve(raw.get("items", {}))
            struct, repeated = (inner if items.get("properties") else None), True
        if struct is not None and not struct.startswith(_GO):
            struct = None
        return Field(name, kind, struct, repeated, required, member)

    def _resolve(self, raw: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
        all_of = raw.get("allOf")
        reference = raw.get("$ref") or (all_of[0].get("$ref") if all_of and len(all_of) == 1 else None)
        if reference is None:
            return None, raw
        name = reference.removeprefix(_REF)
        return name, {**self._components.get(name, {}), **{k: v for k, v in raw.items() if k != "allOf"}}
