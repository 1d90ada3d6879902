"""Bulk loading of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from driftd.process.garbage_collector import gc_paused
from driftd.sandbox.document import Object
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.status import bad_request, invalid
from driftd.sandbox.store import CollectionKey, Name
from driftd.sandbox.strategy import prepare_create
from driftd.sandbox.world import World

_NAMESPACES = ("", "namespaces")


def load(world: World, objects: Iterable[Mapping[str, Any]], manager: str) -> int:
    """Loads objects without events. See `Sandbox.load`."""
    with gc_paused():
        return _load(world, objects, manager)


def _load(world: World, objects: Iterable[Mapping[str, Any]], manager: str) -> int:
    loader = _BulkLoader(world, manager)
    batches: dict[CollectionKey, list[tuple[Name, Object]]] = {}
    for obj in objects:
        key, name, stored = loader.prepare(dict(obj))
        batches.setdefault(key, []).append((name, stored))
    namespaces = {name[0] for batch in batches.values() for name, _ in batch if name[0]}
    declared = {name[1] for name, _ in batches.get(_NAMESPACES, ())}
    for namespace in sorted(namespaces - declared):
        if world.store.get(_NAMESPACES, ("", namespace)) is None:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            key, name, stored = loader.prepare(body)
            batches.setdefault(key, []).append((name, stored))
    for key, batch in batches.items():
        world.store.load(key, batch)
    return sum(len(batch) for batch in batches.values())


class _BulkLoader:
    def __init__(self, world: World, manager: str) -> None:
        self._world = world
        self._manager = manager
        self._owned: dict[bytes, list[Object]] = {}

    def prepare(self, obj: Object) -> tuple[CollectionKey, Name, Object]:
        group, slash, version = str(obj.get("apiVersion", "")).partition("/")
        if not slash:
            group, version = "", group
        kind = self._world.registry.of_kind(group, str(obj.get("kind")))
        if kind is None or kind.resource.version != version:
            raise bad_request(f"the sandbox does not serve {obj.get('kind')} in {obj.get('apiVersion')}")
        decoded, _ = kind.decode(obj)
        name = decoded["metadata"].get("name")
        if not name:
            raise invalid(group, kind.resource.kind, "", kind.mistakes(decoded, None))
        if kind.resource.namespaced:
            decoded["metadata"].setdefault("namespace", "default")
        stored = prepare_create(kind, decoded, self._world.clock(), self._world.addresses)
        if "status" in obj:
            stored["status"] = decoded["status"]
        if not stored["metadata"].get("managedFields"):
            stored["metadata"]["managedFields"] = self._owners(kind, decoded)
        return kind.resource.key, (stored["metadata"].get("namespace", ""), name), stored

    def _owners(self, kind: Kind, obj: Object) -> list[Object]:
        shape = orjson.dumps([kind.resource.api_version, kind.resource.kind, _shape(obj)])
        entries = self._owned.get(shape)
        if entries is None:
            owned = kind.merger("").update(kind.empty(), obj, self._manager, self._world.clock())
            entries = self._owned[shape] = owned["metadata"].get("managedFields", [])
        return entries


def _shape(value: Any) -> Any:
    """The part of an object that determines ownership: keys, and values in lists, which may be keys of items."""
    if isinstance(value, dict):
        return {key: _shape(child) for key, child in value.items()}
    if isinstance(value, list):
        return value
    return 0
