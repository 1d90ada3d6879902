"""The controllers' API client: it writes by the rules of requests, under the field managers of real controllers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from driftd.sandbox.deletion import DeleteOptions, Deletion
from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.store import CollectionKey, Name
from driftd.sandbox.strategy import controller_of, stamp
from driftd.sandbox.world import World
from driftd.sandbox.writes import WriteOptions, Writes

MANAGER = "kube-controller-manager"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Access:
    def __init__(self, world: World, writes: Writes, deletion: Deletion) -> None:
        self._world = world
        self._writes = writes
        self._deletion = deletion

    def now(self) -> datetime:
        return self._world.clock()

    def stamp(self) -> str:
        return stamp(self._world.clock())

    def get(self, key: CollectionKey, name: Name) -> Object | None:
        """The object; None where it does not exist or is being deleted."""
        obj = self._world.store.get(key, name)
        return obj if obj is not None and not obj["metadata"].get("deletionTimestamp") else None

    def controlled_by(self, owner: Object, key: CollectionKey) -> list[Object]:
        """The objects of a collection whose controller is `owner`, by name."""
        uid = owner["metadata"]["uid"]
        objects = (self.get(k, name) for k, name in self._world.store.owned_by(uid) if k == key)
        return [obj for obj in objects if obj is not None and (controller_of(obj) or {}).get("uid") == uid]

    def create(self, key: CollectionKey, owner: Object, body: Object) -> Object:
        """Creates an object with `owner` as its controller."""
        kind = self._world.registry.preferred(key)
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        metadata = {**body["metadata"], "ownerReferences": [reference]}
        head = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind}
        namespace = owner["metadata"].get("namespace", "")
        return self._writes.create(
            kind, namespace, {**body, **head, "metadata": metadata}, WriteOptions(manager=MANAGER)
        ).obj

    def change(self, key: CollectionKey, name: Name, change: Callable[[Object], Object]) -> None:
        self._writes.replace_with(self._world.registry.preferred(key), name, change, WriteOptions(manager=MANAGER))

    def set_status(
        self, key: CollectionKey, obj: Object, status: Object, *, annotations: dict[str, str] | None = None,
        manager: str = MANAGER,
    ) -> None:  # fmt: skip
        """Writes a status (and annotations) if it differs."""
        current = obj["metadata"].get("annotations") or {}
        merged = {**current, **(annotations or {})}
        if same(obj.get("status"), status) and same(current, merged):
            return
        name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

        def change(live: Object) -> Object:
            metadata = {**live["metadata"], "annotations": merged} if merged else live["metadata"]
            return {**live, "metadata": metadata, "status": status}

        self._writes.replace_with(
            self._world.registry.preferred(key), name, change, WriteOptions(manager=manager, subresource="status")
        )

    def bind(self, pod: Object, node: str) -> Object:
        """Assigns a pod to a node. Like the scheduler's binding, it adds no entry to managedFields."""
        name = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        return self._world.store.put(("", "pods"), name, {**pod, "spec": {**pod["spec"], "nodeName": node}})

    def delete(self, key: CollectionKey, obj: Object) -> None:
        name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if self._world.store.get(key, name) is not None:
            self._deletion.delete(self._world.registry.preferred(key), name, DeleteOptions())


def template_hash(template: Object, collisions: int = 0) -> str:
    """A short hash of a pod template."""
    text = json.dumps([template, collisions], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    letters = ""
    for _ in range(10):
        number, index = divmod(number, len(_LETTERS))
        letters += _LETTERS[index]
    return letters


def pod_from(template: Object, name: Object, labels: dict[str, str] | None = None) -> Object:
    """A pod from a template. `name` is `{"name": …}` or `{"generateName": …}`."""
    metadata = {
        key: value for key, value in template["metadata"].items() if key in ("labels", "annotations", "finalizers")
    }
    merged = {**(metadata.get("labels") or {}), **(labels or {})}
    if merged:
        metadata["labels"] = merged
    return {"metadata": {**metadata, **name}, "spec": template["spec"]}


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_finished(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def with_condition(conditions: list[Object] | None, new: Object, now: str) -> list[Object]:
    """The conditions with `new` set; its transition time changes only with its status."""
    kept = list(conditions or ())
    for index, old in enumerate(kept):
        if old["type"] == new["type"]:
            transition = old.get("lastTransitionTime") if old["status"] == new["status"] else now
            kept[index] = {**new, "lastTransitionTime": transition}
            return kept
    return [*kept, {**new, "lastTransitionTime": now}]


def scaled_value(value: Any, total: int, *, up: bool) -> int:
    """An int as it is, or a percentage of `total` as a number."""
    if isinstance(value, int):
        return value
    share = int(str(value).rstrip("%")) * total
    return -(-share // 100) if up else share // 100
