"""The manifests of revisions, as sets. Each object is stored once, in however many sets it is.

A commit that changes one file of thousands adds that file's objects, and a list of digests.
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

_BATCH_SIZE = 500
"""Maximum number of values in one statement: databases have limits."""


def is_kept(digest: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the set of a digest (a column of the outer query) is kept."""
    return exists().where(manifest_sets.c.digest == digest)


def keep(connection: Connection, digest: str, declared: Sequence[Manifest]) -> None:
    """Write a set, unless it is stored already."""
    if connection.execute(select(exists().where(manifest_sets.c.digest == digest))).scalar_one():
        return
    by_digest = {manifest.digest.hex(): manifest for manifest in declared}
    stored: set[str] = set()
    for batch in _batches(list(by_digest)):
        stored |= set(connection.execute(select(manifests.c.digest).where(manifests.c.digest.in_(batch))).scalars())
    rows = [
        {"digest": name, "packed": _packed(manifest).standalone}
        for name, manifest in by_digest.items()
        if name not in stored
    ]
    if rows:
        connection.execute(insert(manifests), rows)
    placed = tuple([codec.Placed(each.digest.hex(), each.source, each.undetermined) for each in declared])
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
    for batch in _batches(list({entry.digest for entry in placed})):
        rows = connection.execute(select(manifests).where(manifests.c.digest.in_(batch)))
        packed |= {row.digest: row.packed for row in rows}
    return tuple([_manifest(entry, packed[entry.digest]) for entry in placed])


def difference(
    connection: Connection, digest: str, others: Collection[bytes]
) -> tuple[tuple[Manifest, ...], set[bytes]]:
    """The manifests of a set whose digests are not among `others`, and which of these are not in the set.

    Raises: StoreError: it is not kept.
    """
    listed = orjson.loads(_document(connection, digest))
    digests = [bytes.fromhex(entry["digest"]) for entry in listed]
    placed = [
        codec.PLACED_ONE.validate_python(entry)
        for entry, name in zip(listed, digests, strict=True)
        if name not in others
    ]
    return _manifests(connection, placed), {*others}.difference(digests)


def keep_only(connection: Connection, digests: Collection[str]) -> int:
    """Delete the other sets, and the objects without a set. Returns: the number of deleted sets."""
    stored = connection.execute(select(manifest_sets.c.digest)).scalars().all()
    unused = [digest for digest in stored if digest not in digests]
    for batch in _batches(unused):
        connection.execute(delete(manifest_sets).where(manifest_sets.c.digest.in_(batch)))
    if unused:
        declared: set[str] = set()
        for document in connection.execute(select(manifest_sets.c.document)).scalars():
            declared |= {entry.digest for entry in codec.PLACED.validate_json(document)}
        objects = connection.execute(select(manifests.c.digest)).scalars().all()
        for batch in _batches([name for name in objects if name not in declared]):
            connection.execute(delete(manifests).where(manifests.c.digest.in_(batch)))
    return len(unused)


def _packed(manifest: Manifest) -> PackedObject:
    content = manifest.packed(DictionaryBuilder()).content
    assert isinstance(content, PackedObject)  # noqa: S101  # it was packed
    return content


def _manifest(placed: codec.Placed, data: bytes) -> Manifest:
    packed = PackedObject(bytes(data), bytes.fromhex(placed.digest))
    return replace(Manifest.of(packed.body, placed.source), content=packed, undetermined=placed.undetermined)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _BATCH_SIZE] for start in range(0, len(names), _BATCH_SIZE))
