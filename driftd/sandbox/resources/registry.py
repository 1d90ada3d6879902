"""The registry of served kinds: built-in ones, and those of existing CRDs."""

from __future__ import annotations

from driftd.sandbox.document import Object
from driftd.sandbox.resources.catalog import Builtin
from driftd.sandbox.resources.custom import CustomKind
from driftd.sandbox.resources.kinds import BuiltinKind, Kind

CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


class Registry:
    """The served kinds, by group, version and plural."""

    def __init__(self, builtin: Builtin) -> None:
        self.builtin = builtin
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._preferred: dict[tuple[str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        self._custom: dict[str, list[CustomKind]] = {}
        for resource in builtin.resources:
            kind = BuiltinKind(builtin, resource)
            self._kinds[resource.group, resource.version, resource.plural] = kind
            self._preferred[resource.key] = kind
            self._by_kind[resource.group, resource.kind] = kind

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._kinds.get((group, version, plural))

    def preferred(self, key: tuple[str, str]) -> Kind:
        """The kind of a collection in its storage version."""
        return self._preferred[key]

    def of_kind(self, group: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, kind))

    def kinds(self) -> list[Kind]:
        return list(self._kinds.values())

    def custom_kinds(self) -> list[CustomKind]:
        return [kind for kinds in self._custom.values() for kind in kinds]

    def served(self, key: tuple[str, str]) -> bool:
        return key in self._preferred

    def register(self, definition: Object) -> None:
        """Adds or replaces the kinds of a CRD."""
        self.unregister(definition["metadata"]["name"])
        kinds = []
        for version in definition["spec"]["versions"]:
            kind = CustomKind(self.builtin, definition, version)
            if version.get("served"):
                self._kinds[kind.resource.group, kind.resource.version, kind.resource.plural] = kind
                kinds.append(kind)
            if version.get("storage"):
                self._preferred[kind.resource.key] = kind
                self._by_kind[kind.resource.group, kind.resource.kind] = kind
        self._custom[definition["metadata"]["name"]] = kinds

    def unregister(self, name: str) -> None:
        """Removes the kinds of a CRD."""
        for kind in self._custom.pop(name, ()):
            self._kinds.pop((kind.resource.group, kind.resource.version, kind.resource.plural), None)
            self._preferred.pop(kind.resource.key, None)
            self._by_kind.pop((kind.resource.group, kind.resource.kind), None)
