"""Live objects as compressed JSON: the entries of the live cache."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson

from driftd.model.packing import CompressionDictionary, DictionaryBuilder
from driftd.model.resource import JsonObject, ResourceRef

_MAX_DECODED = 64
"""Maximum number of objects of a cluster that are kept decoded: each takes some twenty kilobytes."""

_DECODED_SECONDS = 5.0
"""How long an object is kept decoded."""


class CachedObject:
    """One live object: either complete or, like a PartialObjectMetadata, `metadata_only`.

    Of the latter only the metadata without annotations and managedFields is held: enough for existence, version and
    owners of the object; not enough to compare it.
    """

    __slots__ = (
        "_content", "_dictionary", "_packed", "field_owners", "generation", "metadata_only", "ref", "resource_version",
    )  # fmt: skip

    def __init__(
        self,
        ref: ResourceRef,
        content: JsonObject,
        dictionary: CompressionDictionary | None = None,
        *,
        metadata_only: bool = False,
    ) -> None:
        self.ref = ref
        self.resource_version = str(content["metadata"]["resourceVersion"])
        self.metadata_only = metadata_only
        self.field_owners = 0 if metadata_only else hash(orjson.dumps(field_owners(content)))
        """A hash of managedFields without entries for the status; 0 for metadata only."""
        self.generation = generation(content)
        self._content: JsonObject | None = None
        raw = orjson.dumps(_partial_metadata(content) if metadata_only else content)
        self._dictionary = dictionary
        # A copy: orjson's bytes keep their write buffer, several times the size of the metadata.
        self._packed = dictionary.pack(raw) if dictionary is not None else bytes(memoryview(raw))

    def is_as(self, other: CachedObject) -> bool:
        """Whether nothing but its status has been written since another version of the object."""
        return self.field_owners == other.field_owners and self.generation == other.generation

    @property
    def size(self) -> int:
        """Compressed size in bytes."""
        return len(self._packed)

    @property
    def object(self) -> JsonObject:
        """The complete object, including managedFields. Do not modify it.

        Raises: LookupError: only metadata is held, which must not be compared.
        """
        if self.metadata_only:
            raise LookupError(f"{self.ref} has only its metadata cached")
        return self.metadata

    @property
    def metadata(self) -> JsonObject:
        """Whatever is held: at least apiVersion, kind and the partial metadata."""
        if self._content is not None:
            return self._content
        raw = self._packed if self._dictionary is None else self._dictionary.unpack(self._packed)
        content: JsonObject = orjson.loads(raw)
        return content

    def keep_decoded(self, content: JsonObject | None) -> None:
        """Keeps the decoded object for the next reads; None releases it."""
        if not self.metadata_only:
            self._content = content

    def __repr__(self) -> str:
        return f"CachedObject({self.ref})"


class DecodedCache:
    """The latest changed objects of a cluster in decoded form, for a few seconds: a pass is about to read them."""

    def __init__(self) -> None:
        self._entries: deque[CachedObject] = deque()
        self._expiry: asyncio.TimerHandle | None = None

    def add(self, cached: CachedObject, content: JsonObject) -> None:
        if len(self._entries) == _MAX_DECODED:
            self._entries.popleft().keep_decoded(None)
        self._entries.append(cached)
        cached.keep_decoded(content)
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(_DECODED_SECONDS, self.clear)

    def clear(self) -> None:
        """Releases all decoded objects; their compressed form stays."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        while self._entries:
            self._entries.popleft().keep_decoded(None)


class Packer:
    """Makes the cache entries of one kind, with the compression dictionary that they share."""

    def __init__(self) -> None:
        self._samples = DictionaryBuilder()

    def pack(self, ref: ResourceRef, content: JsonObject) -> CachedObject:
        """An entry with the complete object."""
        cached = CachedObject(ref, content, self._samples.dictionary)
        self._samples.add(orjson.dumps(content))
        return cached

    def pack_metadata(self, ref: ResourceRef, content: JsonObject) -> CachedObject:
        """An entry with metadata only, uncompressed: it is short enough."""
        return CachedObject(ref, content, metadata_only=True)


def generation(content: JsonObject) -> int:
    """The number that counts the changes of an object's spec; 0 for kinds without one."""
    number: int = content["metadata"].get("generation") or 0
    return number


def field_owners(content: JsonObject) -> list[Any]:
    """The managedFields entries of an object, without those of its status subresource."""
    managed = content["metadata"].get("managedFields") or ()
    return [entry for entry in managed if entry.get("subresource") != "status"]


def _partial_metadata(content: JsonObject) -> dict[str, Any]:
    metadata = {k: v for k, v in content["metadata"].items() if k not in ("annotations", "managedFields")}
    return {"apiVersion": content.get("apiVersion"), "kind": content.get("kind"), "metadata": metadata}
