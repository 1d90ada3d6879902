"""Probing, field by field: whether a zero value is stored, and which default is set."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.zero_values.server import Server
from tools.zero_values.types import Field, Types

Path = tuple[str | int, ...]
_SPOTS = 3
_SKIPPED_TOP = ("status", "apiVersion", "kind")
_PERSONAL = frozenset({
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames",
})  # fmt: skip
_DERIVED = frozenset({
    ("io.k8s.api.core.v1.Container", "imagePullPolicy"),
    ("io.k8s.api.core.v1.Container", "volumeMounts"),
    ("io.k8s.api.core.v1.PodSpec", "tolerations"),
    ("io.k8s.api.core.v1.ReplicationControllerSpec", "selector"),
    ("io.k8s.api.core.v1.ServicePort", "nodePort"),
    ("io.k8s.api.core.v1.ServicePort", "targetPort"),
    ("io.k8s.api.core.v1.ServiceSpec", "clusterIP"),
    ("io.k8s.api.core.v1.ServiceSpec", "clusterIPs"),
    ("io.k8s.api.core.v1.ServiceSpec", "healthCheckNodePort"),
    ("io.k8s.api.core.v1.LimitRangeItem", "default"),
    ("io.k8s.api.core.v1.LimitRangeItem", "defaultRequest"),
    ("io.k8s.api.core.v1.ResourceRequirements", "requests"),
    ("io.k8s.api.networking.v1.NetworkPolicySpec", "policyTypes"),
    ("io.k8s.api.resource.v1.DeviceTaint", "timeAdded"),
})  # fmt: skip
"""Fields whose default depends on other fields or on allocation (see `driftd/diff/typed/defaults.py`)."""
_SERVER_METADATA = frozenset({
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "name",
    "namespace", "resourceVersion", "selfLink", "uid", "generateName",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seed:
    """An object that the server accepts, the object as stored, and the path of its collection."""

    collection: str
    struct: str
    body: dict[str, Any]
    answer: dict[str, Any]


@dataclass(slots=True)
class Findings:
    """Observations by (type, field). A field may have several defaults, depending on other fields."""

    kept: set[tuple[str, str]] = field(default_factory=set)
    dropped: set[tuple[str, str]] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)
    defaults: dict[tuple[str, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    reached: set[str] = field(default_factory=set)
    kinds: frozenset[str] = frozenset()

    def default(self, at: tuple[str, str], value: Any) -> None:
        itself = at[1] in ("status", "metadata") or (at[1] in ("apiVersion", "kind") and at[0] in self.kinds)
        excluded = itself or at in _DERIVED or not _is_constant(value)
        if not excluded and value not in self.defaults[at]:
            self.defaults[at].append(value)


class Prober:
    """Explores from seeds: inserts every struct wherever it is allowed, and probes each of its fields."""

    def __init__(self, server: Server, types: Types) -> None:
        self._server = server
        self._types = types
        self._asked: dict[tuple[str, str], int] = defaultdict(int)
        self._placed: dict[str, int] = defaultdict(int)
        self.findings = Findings(kinds=frozenset(types.kinds.values()))

    def explore(self, collection: str, struct: str, body: dict[str, Any]) -> bool:
        """Probes everything that can be reached from a seed. Returns whether the server accepts the seed."""
        todo = [body]
        accepted = False
        while todo:
            candidate = todo.pop()
            answer = self._server.dry_run_create(collection, candidate)
            if answer is None:
                continue
            accepted = True
            seed = Seed(collection, struct, candidate, answer)
            for path, name, value in _structs(candidate, struct, self._types):
                self.findings.reached.add(name)
                self._defaults(seed, path, name, value)
                for member in self._types.fields(name):
                    if _uninteresting(path, member.name):
                        continue
                    self._zero(seed, path, name, member)
                    if member.struct is not None and member.name not in value:
                        todo.extend(self._variations(seed, path, name, member))
        return accepted

    def _zero(self, seed: Seed, path: Path, struct: str, member: Field) -> None:
        at = (struct, member.name)
        if member.zero is None or self._asked[at] >= _SPOTS or at in self.findings.kept | self.findings.dropped:
            return
        self._asked[at] += 1
        before = _at(seed.answer, path)
        changed = copy.deepcopy(seed.body)
        _at(changed, path)[member.name] = copy.deepcopy(member.zero)
        answer = self._server.dry_run_create(seed.collection, changed)
        if answer is None:
            self.findings.refused.add(at)
            return
        after = _at(answer, path)
        if not isinstance(after, dict):
            return
        value = after.get(member.name)
        if value is None:
            self.findings.dropped.add(at)
        elif value == member.zero and isinstance(value, bool) == isinstance(member.zero, bool):
            if (
                isinstance(before, dict)
                and before.get(member.name) == member.zero
                and member.name not in _at(seed.body, path)
            ):
                self.findings.default(at, value)  # stored whether or not it was in the request
            self.findings.kept.add(at)
        else:
            self.findings.default(at, value)

    def _defaults(self, seed: Seed, path: Path, struct: str, value: Mapping[str, Any]) -> None:
        answer = _at(seed.answer, path)
        if not isinstance(answer, dict) or struct in _PERSONAL or struct.endswith("Status"):
            return
        for name, default in answer.items():
            if name not in value and default is not None and not _uninteresting(path, name):
                self.findings.default((struct, name), default)

    def _variations(self, seed: Seed, path: Path, struct: str, member: Field) -> Iterator[dict[str, Any]]:
        """The seed with another struct: in addition to the others, or in place of all that are not required."""
        if member.struct is None or self._placed[member.struct] >= _SPOTS:
            return
        required = {f.name for f in self._types.fields(struct) if f.required}
        minimal = self._types.example(member)
        empty: Any = [{}] if member.repeated else {}
        for example in (minimal, empty) if minimal != empty else (minimal,):
            for alone in (False, True):
                changed = copy.deepcopy(seed.body)
                target = _at(changed, path)
                if alone:
                    for name in [n for n in target if n not in required and n not in ("name", "metadata")]:
                        del target[name]
                target[member.name] = copy.deepcopy(example)
                if self._server.dry_run_create(seed.collection, changed) is not None:
                    self._placed[member.struct] += 1
                    yield changed
                    return


def _structs(body: Any, struct: str, types: Types, path: Path = ()) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    yield path, struct, body
    for name, value in body.items():
        member = types.field(struct, name)
        if member is None or member.struct is None or _uninteresting(path, name):
            continue
        if member.repeated and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _structs(item, member.struct, types, (*path, name, index))
        elif not member.repeated and isinstance(value, dict):
            yield from _structs(value, member.struct, types, (*path, name))


def _uninteresting(path: Path, name: str) -> bool:
    if not path:
        return name in _SKIPPED_TOP
    return path[-1] == "metadata" and name in _SERVER_METADATA


def _is_constant(value: Any) -> bool:
    """Whether a value can be a general default: not an address or a name that was generated for this object."""
    text = json.dumps(value)
    return len(text) <= 400 and not any(mark in text for mark in ("10.96.", "kube-api-access-", "controller-uid"))


def _at(body: Any, path: Path) -> Any:
    for part in path:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return None
    return body
