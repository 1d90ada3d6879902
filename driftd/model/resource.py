"""What identifies an object, and what Git declares about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from driftd.model.path import DocumentPath

Json = Any
"""A decoded JSON value: dict, list, str, int, float, bool or None."""

JsonObject = Mapping[str, Any]
"""A decoded JSON object. Never changed after it was made: copy before you edit."""


@dataclass(frozen=True, slots=True, order=True)
class ResourceRef:
    """The identity of an object, without its version: `apps/v1` and `apps/v1beta2` name the same Deployment.

    `namespace` is None for a cluster-scoped object, and for a manifest that names none until the cluster's
    discovery has told whether its kind has one.
    """

    group: str
    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind}/{self.namespace}/{self.name}" if self.namespace else f"{kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where in Git an object is declared.

    `file` is relative to the repository's root, `line` counts from 1. `document` is the line on which its YAML
    document starts (past the `---`), and `at` is where in that document the object is: `()` unless it came out of a
    `List`. `origin` says how exact that is: "yaml" to the line of each field, "kustomize" and "helm" to the file
    that the object was made from.
    """

    file: str
    line: int
    document: int = 1
    at: DocumentPath = ()
    origin: str = "yaml"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as Git declares it, read as kubectl would read it."""

    ref: ResourceRef
    api_version: str
    body: JsonObject
    source: Source

    @classmethod
    def of(cls, body: JsonObject, source: Source) -> Manifest:
        """The manifest of a complete object, that is one with apiVersion, kind and metadata.name."""
        metadata = body["metadata"]
        api_version: str = body["apiVersion"]
        ref = ResourceRef(
            group=group_of(api_version),
            kind=body["kind"],
            namespace=metadata.get("namespace") or None,
            name=metadata["name"],
        )
        return cls(ref=ref, api_version=api_version, body=body, source=source)

    def in_namespace(self, namespace: str | None) -> Manifest:
        """The same manifest with its namespace set (or, for None, taken away), in `ref` and in `body` alike."""
        if self.ref.namespace == namespace and self.body["metadata"].get("namespace") == namespace:
            return self
        metadata = {k: v for k, v in self.body["metadata"].items() if k != "namespace"}
        if namespace is not None:
            metadata["namespace"] = namespace
        return replace(self, ref=replace(self.ref, namespace=namespace), body={**self.body, "metadata": metadata})


def group_of(api_version: str) -> str:
    """`apps/v1` is of the group `apps`, `v1` of the core group, which is written as the empty string."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def digest(manifests: Iterable[Manifest]) -> str:
    """A hash of what a set of manifests declares, whatever commit, file or order it came from (64 hex digits)."""
    lines = sorted(
        json.dumps(manifest.body, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for manifest in manifests
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
