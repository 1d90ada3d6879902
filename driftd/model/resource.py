"""Identities and manifests of objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from driftd.model.packing import EMPTY_DICTIONARY, CompressionDictionary, DictionaryBuilder
from driftd.model.path import DocumentPath

Json = Any
"""A decoded JSON value: dict, list, str, int, float, bool or None."""

JsonObject = Mapping[str, Any]
"""A decoded JSON object. Treated as immutable: copy it before you edit."""


@dataclass(frozen=True, slots=True, order=True)
class ResourceRef:
    """The identity of an object, without its version: `apps/v1` and `apps/v1beta2` name the same Deployment.

    `namespace` is None for a cluster-scoped object, and for a manifest that names none until discovery shows whether
    its kind is namespaced.
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
    """The position in Git where an object is declared.

    `file` is relative to the repository's root, `line` starts at 1. `document` is the first line of its YAML document
    (after the `---`), and `at` is the object's position in that document: `()` unless it is an item of a `List`.
    `origin` is the precision: "yaml" means exact lines of fields, "kustomize" and "helm" only the file that the object
    was rendered from.
    """

    file: str
    line: int
    document: int = 1
    at: DocumentPath = ()
    origin: str = "yaml"


@dataclass(frozen=True, slots=True)
class PackedObject:
    """An object as compressed JSON: a tenth of the memory, for some tens of microseconds per access."""

    data: bytes
    digest: bytes
    dictionary: CompressionDictionary = EMPTY_DICTIONARY

    @classmethod
    def of(cls, body: JsonObject, builder: DictionaryBuilder) -> PackedObject:
        """Packs an object with the dictionary of its kind, and adds it to that."""
        raw = json.dumps(body, separators=(",", ":")).encode()
        packed = cls(builder.dictionary.pack(raw), _digest(body), builder.dictionary)
        builder.add(raw)
        return packed

    @property
    def body(self) -> dict[str, Any]:
        """A new copy of the object."""
        decoded: dict[str, Any] = json.loads(self.dictionary.unpack(self.data))
        return decoded

    @property
    def standalone(self) -> bytes:
        """The object packed without a dictionary, to be stored on its own."""
        if self.dictionary is EMPTY_DICTIONARY:
            return self.data
        return EMPTY_DICTIONARY.pack(self.dictionary.unpack(self.data))


class ManifestKey(NamedTuple):
    """What two copies of one declaration share: content, place in Git and namespace."""

    digest: bytes
    source: Source
    namespace: str | None


class Undetermined(NamedTuple):
    """The position of a value that Git alone does not determine, or of a map or list whose members it does not.

    `optional` says that not every rendering has it. `()` stands for the object itself: whether it exists, and its name.
    """

    at: DocumentPath
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as Git declares it, read as kubectl would read it.

    `content` is the object as it was read, or packed; `body` gives it, in the namespace of `ref`. Manifests are copied
    on their way: `same_as` compares them, identity does not.
    """

    ref: ResourceRef
    api_version: str
    content: JsonObject | PackedObject
    source: Source
    undetermined: tuple[Undetermined, ...] = ()
    """What came out otherwise in another rendering of the same files: Git does not say what it is."""

    @classmethod
    def of(cls, body: JsonObject, source: Source) -> Manifest:
        """The manifest of a complete object, which has apiVersion, kind and metadata.name."""
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
        body = content.body if isinstance(content, PackedObject) else content
        if body["metadata"].get("namespace") == self.ref.namespace:
            return body
        return {**body, "metadata": _in_namespace(body["metadata"], self.ref.namespace)}

    @property
    def digest(self) -> bytes:
        """A hash of the object as it was read (32 bytes), without the namespace that it was placed in.

        What is undetermined does not count: each rendering of a revision has the same digest.
        """
        content = self.content
        if isinstance(content, PackedObject):
            return content.digest
        return _digest(_without(content, self.undetermined) if self.undetermined else content)

    @property
    def key(self) -> ManifestKey:
        """Cheap for a packed manifest; any other is hashed each time."""
        return ManifestKey(self.digest, self.source, self.ref.namespace)

    def same_as(self, other: Manifest) -> bool:
        """Whether both are the same declaration: the same object, which needs no hash, or equal keys."""
        return self is other or self.key == other.key

    def packed(self, builder: DictionaryBuilder) -> Manifest:
        """The same manifest in packed form, with the dictionary of its kind that `builder` builds."""
        content = self.content
        if isinstance(content, PackedObject):
            return self
        return replace(self, content=replace(PackedObject.of(content, builder), digest=self.digest))

    def with_declared_namespace(self) -> Manifest:
        """The manifest with the namespace of its own metadata, whichever it was placed in."""
        content = self.content
        body = content.body if isinstance(content, PackedObject) else content
        return replace(self, ref=replace(self.ref, namespace=body["metadata"].get("namespace") or None))

    def in_namespace(self, namespace: str | None) -> Manifest:
        """The same manifest with another namespace (for None, without one), in both `ref` and `body`.

        Its content, and so its digest, stays what was read.
        """
        return self if self.ref.namespace == namespace else replace(self, ref=replace(self.ref, namespace=namespace))


def group_of(api_version: str) -> str:
    """The API group of an apiVersion: `apps` for `apps/v1`, and the empty string (the core group) for `v1`."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def digest(manifests: Iterable[Manifest]) -> str:
    """A hash of the contents of a set of manifests, independent of commit, files and order (64 hex digits)."""
    return hashlib.sha256(b"".join(sorted([manifest.digest for manifest in manifests]))).hexdigest()


def _digest(body: JsonObject) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).digest()


def _without(body: JsonObject, undetermined: Iterable[Undetermined]) -> JsonObject:
    """A body with a placeholder in place of each value that is undetermined."""
    root: dict[str, Any] = {"": body}
    for at, _ in undetermined:
        parent: Any = root
        key: str | int = ""
        for part in at:
            parent[key] = parent = parent[key].copy()
            key = part
        parent[key] = {"undetermined": at, "kind": body["kind"]}
    masked: JsonObject = root[""]
    return masked


def _in_namespace(metadata: JsonObject, namespace: str | None) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key != "namespace"}
    return kept if namespace is None else {**kept, "namespace": namespace}
