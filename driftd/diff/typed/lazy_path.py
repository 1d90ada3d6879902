"""A path as a linked list, made into tuples on demand: few walks find a difference, and only those need paths."""

from __future__ import annotations

from driftd.diff.typed.schema import ItemIdentity, Schema
from driftd.model.path import DocumentPath, FieldPath, Segment

LazyPath = tuple["LazyPath | None", Segment | ItemIdentity, str | int | None, Schema | None]
"""Parent, last segment, the segment's position in the document, and the type of a map list.

The position is None for undeclared values. If the type of a map list is given, the segment is an item's identity.
"""


def resolve_paths(location: LazyPath | None) -> tuple[FieldPath, DocumentPath]:
    """The field path, and the document path of the value or of its nearest declared ancestor."""
    path: list[Segment] = []
    at: list[str | int] = []
    while location is not None:
        location, segment, position, map_list = location
        path.append(segment if map_list is None else map_list.list_key(segment))  # type: ignore[arg-type]  # an identity
        if position is not None:
            at.append(position)
    return tuple(reversed(path)), tuple(reversed(at))
