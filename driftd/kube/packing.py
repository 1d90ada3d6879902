"""Live objects as compact bytes: what is held of each, and how it is packed and unpacked."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson

from driftd.model.packing import CompressionDictionary, DictionaryBuilder
from driftd.model.resource import JsonObject, ResourceRef

_AT_HAND, _FOR = 64, 5.0
"""So many objects are held decoded, and for so many seconds: each takes some twenty kilobytes."""


class CachedObject:
    """One live object, held whole or in outline.

    The outline is its metadata without annotations and managedFields: enough to know that it is there, in which
    version, and who owns it; not enough to compare it.
    """

    __slots__ = ("_content", "_dictionary", "_packed", "field_owners", "is_whole", "ref", "resource_version")

    def __init__(
        self,
        ref: ResourceRef,
        content: JsonObject,
        dictionary: CompressionDictionary | None = None,
        *,
        whole: bool = True,
    ) -> None:
        self.ref = ref
        self.resource_version = str(content["metadata"]["resourceVersion"])
        self.is_whole = whole
        self.field_owners = hash(orjson.dumps(field_owners(content))) if whole else 0
        """Equal for two versions of an object in which the same managers own the same fields, but those of the status.

        0 where it is held in outline.
        """
        self._content: JsonObject | None = None
        raw = orjson.dumps(content if whole else _partial_metadata(content))
        self._dictionary = dictionary
        # A copy: orjson's own bytes keep the room that they were written into, several times of what an outline takes.
        self._packed = dictionary.pack(raw) if dictionary is not None else bytes(memoryview(raw))

    @property
    def size(self) -> int:
        """The bytes that it is held in."""
        return len(self._packed)

    @property
    def object(self) -> JsonObject:
        """The whole object, managedFields and all, decoded where it is not held so. Not to be edited.

        Raises: LookupError: it is held in outline only (see `is_whole`), by which nothing may be judged.
        """
        if not self.is_whole:
            raise LookupError(f"{self.ref} is held in outline only")
        return self.metadata

    @property
    def metadata(self) -> JsonObject:
        """What is held of it: at least its kind and the outline of its metadata."""
        if self._content is not None:
            return self._content
        raw = self._packed if self._dictionary is None else self._dictionary.unpack(self._packed)
        held: JsonObject = orjson.loads(raw)
        return held

    def hold(self, content: JsonObject | None) -> None:
        """Keeps the decoded object at hand for whoever asks next, until None is given: it takes a lot of room."""
        if self.is_whole:
            self._content = content

    def __repr__(self) -> str:
        return f"CachedObject({self.ref})"


class DecodedCache:
    """Those objects of a cluster that changed last, held decoded for a moment: they are about to be looked at."""

    def __init__(self) -> None:
        self._latest: deque[CachedObject] = deque()
        self._ending: asyncio.TimerHandle | None = None

    def hold(self, cached: CachedObject, content: JsonObject) -> None:
        if len(self._latest) == _AT_HAND:
            self._latest.popleft().hold(None)
        self._latest.append(cached)
        cached.hold(content)
        if self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(_FOR, self.let_go)

    def let_go(self) -> None:
        """Holds them packed only."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        while self._latest:
            self._latest.popleft().hold(None)


class Packer:
    """Packs the objects of one kind."""

    def __init__(self) -> None:
        self._samples = DictionaryBuilder()

    def pack(self, ref: ResourceRef, content: JsonObject) -> CachedObject:
        """The object with everything in it."""
        packed = CachedObject(ref, content, self._samples.dictionary)
        self._samples.add(orjson.dumps(content))
        return packed

    def pack_metadata(self, ref: ResourceRef, content: JsonObject) -> CachedObject:
        """The object in outline, which is short enough as it is."""
        return CachedObject(ref, content, whole=False)


def field_owners(content: JsonObject) -> list[Any]:
    """The entries of an object's managedFields that are about more than its status."""
    managed = content["metadata"].get("managedFields") or ()
    return [entry for entry in managed if entry.get("subresource") != "status"]


def _partial_metadata(content: JsonObject) -> dict[str, Any]:
    metadata = {k: v for k, v in content["metadata"].items() if k not in ("annotations", "managedFields")}
    return {"apiVersion": content.get("apiVersion"), "kind": content.get("kind"), "metadata": metadata}
