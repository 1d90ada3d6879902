"""Edits of any objects by hand, chosen by chance: with people's tools, under the names that these leave."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_SCALED = ("Deployment", "StatefulSet", "ReplicaSet")


@dataclass(frozen=True, slots=True)
class HandEdit:
    """A kubectl command, and the manager that it leaves on the object; None where an object is deleted."""

    resource: str
    command: tuple[str, ...]
    manager: str | None
    editor: str | None = None
    """For `kubectl edit`: what changes the file."""


def named(body: Object) -> str:
    """`Kind/NAMESPACE/NAME`, or `Kind/NAME`."""
    metadata = body["metadata"]
    return "/".join(part for part in (body["kind"], metadata.get("namespace"), metadata["name"]) if part)


def edits(objects: Iterable[Object], seed: int, count: int) -> list[HandEdit]:
    """So many edits, each of another object. All of `objects` are live."""
    bodies = list(objects)
    chance = random.Random(seed)
    scaled = {
        (body["metadata"].get("namespace"), body["spec"]["scaleTargetRef"]["name"])
        for body in bodies
        if body["kind"] == "HorizontalPodAutoscaler"
    }
    chosen = chance.sample(sorted(bodies, key=named), k=count)
    return [chance.choice(_possible(body, scaled))(body) for body in chosen]


_Make = Callable[[Object], HandEdit]


def _possible(body: Object, scaled: set[tuple[Any, Any]]) -> list[_Make]:
    kind, metadata = body["kind"], body["metadata"]
    found: list[_Make] = [_label, _annotate, _edit]
    if kind in _WORKLOADS:
        found += [_set_image, _set_env, _set_env]
    if kind in _SCALED and (metadata.get("namespace"), metadata["name"]) not in scaled:
        found += [_scale, _scale]
    if kind == "ConfigMap":
        found += [_patch_data, _patch_data]
    if kind == "Service" and (body.get("spec") or {}).get("selector"):
        found += [_patch_selector]
    if kind in ("ConfigMap", "Service", "RoleBinding", "NetworkPolicy"):
        found += [_delete]
    return found


def _on(body: Object, *command: str) -> tuple[str, ...]:
    namespace = body["metadata"].get("namespace")
    return (*command, "--namespace", namespace) if namespace else command


def _what(body: Object) -> str:
    group = body["apiVersion"].rpartition("/")[0]
    version = body["apiVersion"].rpartition("/")[2]
    kind = f"{body['kind']}.{version}.{group}" if group else body["kind"]
    return f"{kind}/{body['metadata']['name']}"


def _label(body: Object) -> HandEdit:
    return HandEdit(named(body), _on(body, "label", _what(body), "by=hand"), "kubectl-label")


def _annotate(body: Object) -> HandEdit:
    return HandEdit(named(body), _on(body, "annotate", _what(body), "example.com/note=by hand"), "kubectl-annotate")


def _edit(body: Object) -> HandEdit:
    if body["metadata"].get("finalizers"):
        return _label(body)
    added = r"s/^metadata:$/&\n  finalizers: [example.com\/by-hand]/"
    return HandEdit(named(body), _on(body, "edit", _what(body)), "kubectl-edit", f"sed -i '{added}'")


def _set_image(body: Object) -> HandEdit:
    container = body["spec"]["template"]["spec"]["containers"][0]["name"]
    return HandEdit(named(body), _on(body, "set", "image", _what(body), f"{container}=by-hand:1"), "kubectl-set")


def _set_env(body: Object) -> HandEdit:
    return HandEdit(named(body), _on(body, "set", "env", _what(body), "BY=hand"), "kubectl-set")


def _scale(body: Object) -> HandEdit:
    return HandEdit(named(body), _on(body, "scale", _what(body), "--replicas=7"), "kubectl")


def _patch(body: Object, patch: Object) -> HandEdit:
    command = ("patch", _what(body), "--type=merge", "--patch", json.dumps(patch), "--field-manager=night-shift")
    return HandEdit(named(body), _on(body, *command), "night-shift")


def _patch_data(body: Object) -> HandEdit:
    return _patch(body, {"data": {next(iter(body.get("data") or ()), "added"): "by hand"}})


def _patch_selector(body: Object) -> HandEdit:
    return _patch(body, {"spec": {"selector": {"by": "hand"}}})


def _delete(body: Object) -> HandEdit:
    return HandEdit(named(body), _on(body, "delete", _what(body)), None)
