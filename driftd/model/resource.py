"""What identifies an object, and what Git declares about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from driftd.model.packing import NOTHING_IN_COMMON, Dictionary, Samples
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
class Packed:
    """An object as JSON, packed: some tens of microseconds whenever it is looked at, for a tenth of the memory."""

    data: bytes
    digest: bytes
    dictionary: Dictionary = NOTHING_IN_COMMON

    @classmethod
    def of(cls, body: JsonObject, samples: Samples) -> Packed:
        """Packs an object like those of `samples`."""
        raw = json.dumps(body, separators=(",", ":")).encode()
        packed = cls(samples.dictionary.pack(raw), _digest(body), samples.dictionary)
        samples.add(raw)
        return packed

    @property
    def body(self) -> dict[str, Any]:
        """The object, made anew."""
        decoded: dict[str, Any] = json.loads(self.dictionary.unpack(self.data))
        return decoded

    @property
    def alone(self) -> bytes:
        """The object packed with nothing in common, to be kept by itself."""
        if self.dictionary is NOTHING_IN_COMMON:
            return self.data
        return NOTHING_IN_COMMON.pack(self.dictionary.unpack(self.data))


class ManifestKey(NamedTuple):
    """What two copies of one declaration share: content, place in Git and namespace."""

    digest: bytes
    source: Source
    namespace: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as Git declares it, read as kubectl would read it.

    `content` is the object as it was read, or packed; `body` gives it, in the namespace of `ref`. Manifests are copied
    on their way: `same_as` compares them, identity does not.
    """

    ref: ResourceRef
    api_version: str
    content: JsonObject | Packed
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
        return cls(ref=ref, api_version=api_version, content=body, source=source)

    @property
    def body(self) -> JsonObject:
        content = self.content
        if not isinstance(content, Packed):
            return content
        body = content.body
        if body["metadata"].get("namespace") != self.ref.namespace:
            body["metadata"] = _in_namespace(body["metadata"], self.ref.namespace)
        return body

    @property
    def digest(self) -> bytes:
        """A hash of the object as it was read (32 bytes): the namespace that it was placed in does not count."""
        content = self.content
        return content.digest if isinstance(content, Packed) else _digest(content)

    @property
    def key(self) -> ManifestKey:
        """Cheap for a packed manifest; any other is hashed each time."""
        return ManifestKey(self.digest, self.source, self.ref.namespace)

    def same_as(self, other: Manifest) -> bool:
        """Whether both are the same declaration: equal keys, or the very same object, which needs no hash."""
        return self is other or self.key == other.key

    def packed(self, samples: Samples) -> Manifest:
        """The same manifest in little memory, like those of its kind that `samples` has, while nobody looks at it."""
        return self if isinstance(self.content, Packed) else replace(self, content=Packed.of(self.content, samples))

    def as_packed(self) -> Manifest:
        """A packed manifest in the namespace that it names itself, wherever it was placed; others as they are."""
        content = self.content
        if not isinstance(content, Packed):
            return self
        return replace(self, ref=replace(self.ref, namespace=content.body["metadata"].get("namespace") or None))

    def in_namespace(self, namespace: str | None) -> Manifest:
        """The same manifest with its namespace set (or, for None, taken away), in `ref` and in `body` alike."""
        content = self.content
        if not isinstance(content, Packed) and content["metadata"].get("namespace") != namespace:
            content = {**content, "metadata": _in_namespace(content["metadata"], namespace)}
        if self.ref.namespace == namespace and content is self.content:
            return self
        return replace(self, ref=replace(self.ref, namespace=namespace), content=content)


def group_of(api_version: str) -> str:
    """`apps/v1` is of the group `apps`, `v1` of the core group, which is written as the empty string."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def digest(manifests: Iterable[Manifest]) -> str:
    """A hash of what a set of manifests declares, whatever commit, file or order it came from (64 hex digits)."""
    return hashlib.sha256(b"".join(sorted([manifest.digest for manifest in manifests]))).hexdigest()


def _digest(body: JsonObject) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).digest()


def _in_namespace(metadata: JsonObject, namespace: str | None) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key != "namespace"}
    return kept if namespace is None else {**kept, "namespace": namespace}
