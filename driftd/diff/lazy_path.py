"""Where a walk is, at next to no cost: few walks find anything, and only those need a path."""

from __future__ import annotations

from driftd.diff.schema import ItemIdentity, Schema
from driftd.model.path import DocumentPath, FieldPath, Segment

LazyPath = tuple["LazyPath | None", Segment | ItemIdentity, str | int | None, Schema | None]
"""The place above, the segment that leads from there to here, where that stands in the document, and a list's type.

The position is None below what is not declared. With the type of a map list, the segment is an item's identity in it.
"""


def resolve_paths(trail: LazyPath | None) -> tuple[FieldPath, DocumentPath]:
    """The path of a place, and where it, or its nearest declared ancestor, stands in the document."""
    path: list[Segment] = []
    at: list[str | int] = []
    while trail is not None:
        trail, segment, position, keyed = trail
        path.append(segment if keyed is None else keyed.list_key(segment))  # type: ignore[arg-type]  # see Trail
        if position is not None:
            at.append(position)
    return tuple(reversed(path)), tuple(reversed(at))
