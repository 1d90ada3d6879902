"""Random manual edits: each a JSON patch, and the fields that differ as a result."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import item_key
from driftd.model.path import FieldPath, SetValue, format_path

JsonObject = dict[str, Any]
Pointer = tuple[str | int, ...]

_SERVER_OWNED = (
    "metadata.uid", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp",
    "metadata.managedFields", "metadata.name", "metadata.namespace", "metadata.selfLink", "status", "apiVersion",
    "kind", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds", "spec.clusterIP", "spec.clusterIPs",
    "spec.selector.matchLabels.controller-uid", "spec.volumeName",
)  # fmt: skip
_LEFT_ALONE = ("caBundle", "nodePort", "last-applied-configuration", "restartedAt", "deployment.kubernetes.io",
               "deprecated.daemonset", "kubernetes.io/metadata.name", "batch.kubernetes.io")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """A manual change. `paths` are the fields that differ; `traceless` if it leaves no owner."""

    name: str
    patch: list[JsonObject]
    paths: tuple[str, ...]
    traceless: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """The number of an edit, and an existing object for owner references (a dangling one gets the object deleted)."""

    number: int
    owner: JsonObject


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a live object."""

    value: Any
    schema: Schema | None
    path: FieldPath
    pointer: Pointer

    @property
    def text(self) -> str:
        return format_path(self.path)

    @property
    def json_pointer(self) -> str:
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.pointer)


def nodes(value: Any, schema: Schema | None, path: FieldPath = (), pointer: Pointer = ()) -> Iterator[Node]:
    """All values that may be edited, including those in atomic lists."""
    text = format_path(path)
    if text in _SERVER_OWNED or any(mark in text for mark in _LEFT_ALONE):
        return
    if path:
        yield Node(value, schema, path, pointer)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from nodes(item, schema.child(key) if schema else None, (*path, key), (*pointer, key))
    elif isinstance(value, list):
        items = schema.items if schema else None
        keys = [item_key(item, schema) for item in value] if schema and schema.list_type is ListType.MAP else []
        for index, item in enumerate(value):
            if keys:
                if keys.count(keys[index]) > 1:
                    continue
                yield from nodes(item, items, (*path, keys[index]), (*pointer, index))
            elif schema is not None and schema.list_type is ListType.SET:
                continue
            else:
                yield from nodes(item, items, (*path, index), (*pointer, index))


def random_edit(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    """An edit of a random kind, or None if it does not apply to the object. The server may still refuse it."""
    return chance.choice(_KINDS)(chance, live, schema, turn)


def _change_scalar(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    candidates = [node for node in nodes(live, schema) if not isinstance(node.value, dict | list | None)]
    if not candidates:
        return None
    node = chance.choice(candidates)
    value: Any
    match node.value:
        case bool():
            value = not node.value
        case int():
            value = node.value + chance.choice((1, 1, 7))
        case float():
            value = node.value + 1.5
        case str():
            value = _other_text(chance, node, turn.number)
        case _:
            return None
    paths = (node.text,)
    holder = node.path[:-1]
    if holder and not isinstance(holder[-1], str | int) and node.path[-1] in dict(getattr(holder[-1], "keys", ())):
        paths = (format_path(holder), format_path(holder[:-1]))  # a key: one item is removed, another added
    return Edit("change a value", [{"op": "replace", "path": node.json_pointer, "value": value}], paths)


def _other_text(chance: random.Random, node: Node, number: int) -> str:
    others = {
        "imagePullPolicy": ("Always", "Never", "IfNotPresent"), "protocol": ("UDP", "TCP", "SCTP"),
        "restartPolicy": ("OnFailure", "Never", "Always"), "dnsPolicy": ("Default", "ClusterFirst"),
        "terminationMessagePolicy": ("File", "FallbackToLogsOnError"), "scheme": ("HTTP", "HTTPS"),
        "failurePolicy": ("Ignore", "Fail"), "sideEffects": ("None", "NoneOnDryRun"), "type": ("NodePort", "Recreate"),
        "sessionAffinity": ("ClientIP", "None"), "internalTrafficPolicy": ("Local", "Cluster"), "effect": ("NoExecute", "NoSchedule"),
        "operator": ("Exists", "Equal", "In", "NotIn"), "reclaimPolicy": ("Retain", "Delete"), "matchPolicy": ("Exact", "Equivalent"),
    }  # fmt: skip
    choices = [text for text in others.get(str(node.path[-1]), ()) if text != node.value]
    if choices:
        return str(chance.choice(choices))
    if node.schema is not None and node.schema.scalar.value == "quantity":
        return f"{number + 3}Mi"
    if node.schema is not None and node.schema.scalar.value == "byte":
        return "aGFuZA=="
    if node.value.endswith("s") and node.value[:-1].isdigit():
        return f"{number + 11}s"
    return str(chance.choice((f"{node.value}-x{number}", f"hand{number}", f"{node.value}{number}")))


def _remove_field(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    candidates = [node for node in nodes(live, schema) if isinstance(node.path[-1], str) and len(node.path) > 1]
    if not candidates:
        return None
    node = chance.choice(candidates)
    return Edit("remove a field", [{"op": "remove", "path": node.json_pointer}], (node.text,), traceless=True)


def _remove_item(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    candidates = [n for n in nodes(live, schema) if isinstance(n.value, list) and n.value]
    if not candidates:
        return None
    node = chance.choice(candidates)
    index = chance.randrange(len(node.value))
    path = node.path
    is_map = node.schema is not None and node.schema.list_type is ListType.MAP
    if is_map and node.schema is not None:
        path = (*path, item_key(node.value[index], node.schema))
    elif node.schema is not None and node.schema.list_type is ListType.SET:
        path = (*path, SetValue(node.value[index]))
    patch = [{"op": "remove", "path": f"{node.json_pointer}/{index}"}]
    atomic_rest = not is_map and len(node.value) > 1
    return Edit("remove an item", patch, (format_path(path),), traceless=not atomic_rest)


def _reorder(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    candidates = [
        n for n in nodes(live, schema)
        if isinstance(n.value, list) and len(n.value) > 1 and n.schema is not None
        and n.schema.list_type is not ListType.SET
    ]  # fmt: skip
    if not candidates:
        return None
    node = chance.choice(candidates)
    value = list(reversed(node.value))
    traceless = node.schema is not None and node.schema.list_type is ListType.MAP
    return Edit("reorder", [{"op": "replace", "path": node.json_pointer, "value": value}], (node.text,), traceless)


def _add_map_entry(map_path: Pointer, name: str) -> Callable[..., Edit | None]:
    def edit(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
        key = f"{name}-{turn.number}" if chance.random() < 0.5 else f"hand.example.com/{name}-{turn.number}"
        holder: Any = live
        for part in map_path[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict):
            return None
        if map_path == ("data",):
            key = f"{name}-{turn.number}"
            if live.get("kind") not in ("ConfigMap", "Secret"):
                return None
        value = "aGFuZA==" if live.get("kind") == "Secret" and map_path == ("data",) else "by-hand"
        pointer = "/" + "/".join(map_path)
        if isinstance(holder.get(map_path[-1]), dict):
            escaped = key.replace("/", "~1")
            patch = [{"op": "add", "path": f"{pointer}/{escaped}", "value": value}]
        else:
            patch = [{"op": "add", "path": pointer, "value": {key: value}}]
        return Edit(f"add to {'.'.join(map_path)}", patch, (format_path((*map_path, key)),))

    return edit


def _pod(live: JsonObject) -> Pointer | None:
    return {
        "Deployment": ("spec", "template", "spec"), "DaemonSet": ("spec", "template", "spec"),
        "StatefulSet": ("spec", "template", "spec"), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    }.get(live["kind"])  # fmt: skip


def _add_to_pod(
    name: str, items: Callable[[int], Any], key: Callable[[int], str], list_name: str
) -> Callable[..., Edit | None]:
    def edit(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
        pod = _pod(live)
        if pod is None:
            return None
        holder: Any = live
        for part in pod:
            holder = holder[part]
        path = ".".join(pod)
        pointer = "/" + "/".join(pod)
        if list_name in ("env", "ports"):
            index = chance.randrange(len(holder["containers"]))
            path += f".containers[name={holder['containers'][index]['name']}]"
            pointer += f"/containers/{index}"
            holder = holder["containers"][index]
        item = items(turn.number)
        if isinstance(holder.get(list_name), list):
            front = chance.random() < 0.3
            patch = [{"op": "add", "path": f"{pointer}/{list_name}/{0 if front else '-'}", "value": item}]
        else:
            patch = [{"op": "add", "path": f"{pointer}/{list_name}", "value": [item]}]
        return Edit(name, patch, (f"{path}.{list_name}{key(turn.number)}",))

    return edit


def _add_scalar(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    """Adds an absent optional field of an existing struct: a number, a flag or a text."""
    if schema is None:
        return None
    candidates = [
        (n, name) for n in nodes(live, schema)
        if isinstance(n.value, dict) and n.schema is not None and "properties" in n.schema._raw
        for name in n.schema._raw["properties"] if name not in n.value
    ]  # fmt: skip
    candidates = [(n, name) for n, name in candidates if n.path != ("metadata",)]
    if not candidates:
        return None
    node, name = chance.choice(candidates)
    child = node.schema.child(name) if node.schema else None
    text = format_path((*node.path, name))
    if child is None or text in _SERVER_OWNED or any(mark in text for mark in _LEFT_ALONE):
        return None
    value = {
        "boolean": True,
        "integer": chance.choice((1, 5, 30)),
        "string": chance.choice(("hand", "1Mi", "/hand")),
    }.get(child.type or "")
    if value is None:
        return None
    patch = [{"op": "add", "path": f"{node.json_pointer}/{name.replace('/', '~1')}", "value": value}]
    return Edit("add a field", patch, (text,))


def _suspend(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    if live["kind"] not in ("CronJob", "Job"):
        return None
    return Edit("suspend", [{"op": "add", "path": "/spec/suspend", "value": True}], ("spec.suspend",))


def _finalizer(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    if live["metadata"].get("finalizers") or live["kind"] == "Namespace":
        return None
    value = f"hand.example.com/f{turn.number}"
    patch = [{"op": "add", "path": "/metadata/finalizers", "value": [value]}]
    return Edit("add a finalizer", patch, (format_path(("metadata", "finalizers", SetValue(value))),))


def _owner(chance: random.Random, live: JsonObject, schema: Schema | None, turn: Turn) -> Edit | None:
    if live["metadata"].get("ownerReferences") or not live["metadata"].get("namespace"):
        return None
    patch = [{"op": "add", "path": "/metadata/ownerReferences", "value": [turn.owner]}]
    return Edit("add an owner", patch, (f"metadata.ownerReferences[uid={turn.owner['uid']}]",))


_KINDS: tuple[Callable[..., Edit | None], ...] = (
    _change_scalar, _change_scalar, _change_scalar, _remove_field, _remove_field, _remove_item, _reorder, _add_scalar,
    _add_scalar, _add_map_entry(("metadata", "labels"), "label"),
    _add_map_entry(("metadata", "annotations"), "note"), _add_map_entry(("data",), "key"),
    _add_to_pod("add a variable", lambda n: {"name": f"HAND_{n}", "value": "x"}, lambda n: f"[name=HAND_{n}]", "env"),
    _add_to_pod("add a port", lambda n: {"containerPort": 40000 + n}, lambda n: f"[containerPort={40000 + n},protocol=TCP]", "ports"),
    _add_to_pod("add a container", lambda n: {"name": f"hand-{n}", "image": "hand"}, lambda n: f"[name=hand-{n}]", "containers"),
    _add_to_pod("add a volume", lambda n: {"name": f"hand-{n}", "emptyDir": {}}, lambda n: f"[name=hand-{n}]", "volumes"),
    _add_to_pod("add a toleration", lambda n: {"key": f"hand-{n}", "operator": "Exists"}, lambda _: "", "tolerations"),
    _suspend, _finalizer, _owner,
)  # fmt: skip
