"""The manifests of revisions, as sets. Each object is stored once, in however many sets it is.

A commit that changes one file of thousands adds that file's objects, and a list of digests.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import orjson
from sqlalchemy import ColumnElement, Connection, delete, exists, insert, select

from driftd.model.errors import ManifestsNotKept
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
    """The manifests of a set, packed, in the order in which they were declared.

    Raises: ManifestsNotKept; DamagedSet: some of it cannot be read, or is not what was stored.
    """
    try:
        placed = codec.PLACED.validate_json(_document(connection, digest))
    except ValueError as error:
        raise DamagedSet(digest) from error
    return _manifests(connection, digest, placed)


class DamagedSet(ManifestsNotKept):
    """A set that cannot be read, for want of the named objects or, where there are none, of its list."""

    def __init__(self, digest: str, objects: Collection[str] = ()) -> None:
        super().__init__(f"the stored manifests of {digest[:12]} were damaged, and have been set aside")
        self.objects = objects


def set_aside(connection: Connection, digest: str) -> bool:
    """Delete a set if it is damaged, with the objects that are: what Git declares can be stored anew.

    Returns: False: it is not, or not any more.
    """
    try:
        read(connection, digest)
    except DamagedSet as damaged:
        connection.execute(delete(manifest_sets).where(manifest_sets.c.digest == digest))
        for batch in _batches(list(damaged.objects)):
            connection.execute(delete(manifests).where(manifests.c.digest.in_(batch)))
        return True
    except ManifestsNotKept:
        return False
    return False


def _document(connection: Connection, digest: str) -> bytes:
    document = connection.execute(
        select(manifest_sets.c.document).where(manifest_sets.c.digest == digest)
    ).scalar_one_or_none()
    if document is None:
        raise ManifestsNotKept(
            f"the manifests of {digest[:12]} are not kept: only current and good revisions keep theirs"
        )
    return bytes(document)


def _manifests(connection: Connection, digest: str, placed: Sequence[codec.Placed]) -> tuple[Manifest, ...]:
    packed: dict[str, bytes] = {}
    for batch in _batches(list({entry.digest for entry in placed})):
        rows = connection.execute(select(manifests).where(manifests.c.digest.in_(batch)))
        packed |= {row.digest: row.packed for row in rows}
    found = [_manifest(entry, packed.get(entry.digest)) for entry in placed]
    damaged = {entry.digest for entry, manifest in zip(placed, found, strict=True) if manifest is None}
    if damaged:
        raise DamagedSet(digest, damaged)
    return tuple([manifest for manifest in found if manifest is not None])


def difference(
    connection: Connection, digest: str, others: Collection[bytes]
) -> tuple[tuple[Manifest, ...], set[bytes]]:
    """The manifests of a set whose digests are not among `others`, and which of these are not in the set.

    Raises: ManifestsNotKept; DamagedSet: what differs cannot be read.
    """
    document = _document(connection, digest)
    try:
        listed = orjson.loads(document)
        digests = [bytes.fromhex(entry["digest"]) for entry in listed]
        placed = [
            codec.PLACED_ONE.validate_python(entry)
            for entry, name in zip(listed, digests, strict=True)
            if name not in others
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedSet(digest) from error
    return _manifests(connection, digest, placed), {*others}.difference(digests)


def keep_only(connection: Connection, digests: Collection[str]) -> int:
    """Delete the other sets, and the objects without a set. Returns: the number of deleted sets.

    One whose list cannot be read keeps no object: it is set aside once it is needed.
    """
    stored = connection.execute(select(manifest_sets.c.digest)).scalars().all()
    unused = [digest for digest in stored if digest not in digests]
    for batch in _batches(unused):
        connection.execute(delete(manifest_sets).where(manifest_sets.c.digest.in_(batch)))
    if unused:
        declared: set[str] = set()
        for document in connection.execute(select(manifest_sets.c.document)).scalars():
            with suppress(ValueError):
                declared |= {entry.digest for entry in codec.PLACED.validate_json(document)}
        objects = connection.execute(select(manifests.c.digest)).scalars().all()
        for batch in _batches([name for name in objects if name not in declared]):
            connection.execute(delete(manifests).where(manifests.c.digest.in_(batch)))
    return len(unused)


def _packed(manifest: Manifest) -> PackedObject:
    content = manifest.packed(DictionaryBuilder()).content
    assert isinstance(content, PackedObject)  # noqa: S101  # it was packed
    return content


def _manifest(placed: codec.Placed, data: bytes | None) -> Manifest | None:
    """A manifest of a set; None where its object is not there, or not what its digest says."""
    if data is None:
        return None
    try:
        packed = PackedObject(bytes(data), bytes.fromhex(placed.digest))
        read = replace(Manifest.of(packed.body, placed.source), undetermined=placed.undetermined)
        is_whole = read.digest == packed.digest
    except (ValueError, LookupError, TypeError, AttributeError, zlib.error):  # whatever damage may make of it
        return None
    return replace(read, content=packed) if is_whole else None


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _BATCH_SIZE] for start in range(0, len(names), _BATCH_SIZE))
