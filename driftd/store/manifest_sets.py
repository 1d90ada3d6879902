"""What revisions declare: sets of manifests, whose objects are kept once, however many sets have them.

So a commit that touches one file of thousands costs the store that one, and a list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import orjson
from sqlalchemy import ColumnElement, Connection, delete, exists, insert, select

from driftd.model.errors import StoreError
from driftd.model.packing import DictionaryBuilder
from driftd.model.resource import Manifest, PackedObject
from driftd.store import codec
from driftd.store.schema import manifest_sets, manifests

_AT_A_TIME = 500
"""So many values stand in one statement: databases have limits."""


def is_kept(digest: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the set of a digest (a column of a query around it) is kept."""
    return exists().where(manifest_sets.c.digest == digest)


def keep(connection: Connection, digest: str, declared: Sequence[Manifest]) -> None:
    """Write a set, unless it is there."""
    if connection.execute(select(exists().where(manifest_sets.c.digest == digest))).scalar_one():
        return
    by_digest = {manifest.digest.hex(): manifest for manifest in declared}
    known: set[str] = set()
    for some in _some(list(by_digest)):
        known |= set(connection.execute(select(manifests.c.digest).where(manifests.c.digest.in_(some))).scalars())
    rows = [
        {"digest": name, "packed": _packed(manifest).standalone}
        for name, manifest in by_digest.items()
        if name not in known
    ]
    if rows:
        connection.execute(insert(manifests), rows)
    placed = tuple([codec.Placed(manifest.digest.hex(), manifest.source) for manifest in declared])
    connection.execute(insert(manifest_sets).values(digest=digest, document=codec.PLACED.dump_json(placed)))


def read(connection: Connection, digest: str) -> tuple[Manifest, ...]:
    """The manifests of a set, packed, in the order in which they were declared. Raises: StoreError: it is not kept."""
    return _manifests(connection, codec.PLACED.validate_json(_document(connection, digest)))


def _document(connection: Connection, digest: str) -> bytes:
    document = connection.execute(
        select(manifest_sets.c.document).where(manifest_sets.c.digest == digest)
    ).scalar_one_or_none()
    if document is None:
        raise StoreError(f"the manifests of {digest[:12]} are not kept: only current and good revisions keep theirs")
    return bytes(document)


def _manifests(connection: Connection, placed: Sequence[codec.Placed]) -> tuple[Manifest, ...]:
    packed: dict[str, bytes] = {}
    for some in _some(list({one.digest for one in placed})):
        rows = connection.execute(select(manifests).where(manifests.c.digest.in_(some)))
        packed |= {row.digest: row.packed for row in rows}
    return tuple([_manifest(one, packed[one.digest]) for one in placed])


def difference(
    connection: Connection, digest: str, others: Collection[bytes]
) -> tuple[tuple[Manifest, ...], set[bytes]]:
    """The manifests of a set whose digests are not among `others`, and which of these are not in the set.

    Raises: StoreError: it is not kept.
    """
    listed = orjson.loads(_document(connection, digest))
    digests = [bytes.fromhex(one["digest"]) for one in listed]
    placed = [
        codec.PLACED_ONE.validate_python(one) for one, name in zip(listed, digests, strict=True) if name not in others
    ]
    return _manifests(connection, placed), {*others}.difference(digests)


def keep_only(connection: Connection, digests: Collection[str]) -> int:
    """Delete the other sets, and the objects that no set has any more. Returns: how many sets went."""
    stored = connection.execute(select(manifest_sets.c.digest)).scalars().all()
    unused = [digest for digest in stored if digest not in digests]
    for some in _some(unused):
        connection.execute(delete(manifest_sets).where(manifest_sets.c.digest.in_(some)))
    if unused:
        declared: set[str] = set()
        for document in connection.execute(select(manifest_sets.c.document)).scalars():
            declared |= {one.digest for one in codec.PLACED.validate_json(document)}
        objects = connection.execute(select(manifests.c.digest)).scalars().all()
        for some in _some([name for name in objects if name not in declared]):
            connection.execute(delete(manifests).where(manifests.c.digest.in_(some)))
    return len(unused)


def _packed(manifest: Manifest) -> PackedObject:
    content = manifest.content
    return content if isinstance(content, PackedObject) else PackedObject.of(content, DictionaryBuilder())


def _manifest(placed: codec.Placed, data: bytes) -> Manifest:
    packed = PackedObject(bytes(data), bytes.fromhex(placed.digest))
    return replace(Manifest.of(packed.body, placed.source), content=packed)


def _some(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _AT_A_TIME] for start in range(0, len(names), _AT_A_TIME))
