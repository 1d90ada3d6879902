"""What of a rendering Git alone does not determine: what another rendering of the same files has otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from driftd.model.path import DocumentPath
from driftd.model.resource import Json, Manifest, Undetermined
from driftd.render.rendering import RenderedPart


def with_undetermined(part: RenderedPart, other: RenderedPart) -> RenderedPart:
    """A rendered part whose manifests say in what they differ from those of another rendering."""
    others = {manifest.ref: manifest for manifest in other.manifests}
    return replace(part, manifests=tuple([_compared(each, others.get(each.ref)) for each in part.manifests]))


def _compared(manifest: Manifest, other: Manifest | None) -> Manifest:
    if other is None:
        return replace(manifest, undetermined=(Undetermined((), optional=True),))
    differing = tuple(_differing(manifest.body, other.body, ()))
    return replace(manifest, undetermined=differing) if differing else manifest


def _differing(value: Json, other: Json, at: DocumentPath) -> Iterator[Undetermined]:
    """The positions at which two values differ: as deep as possible, and not below a list of another length."""
    if isinstance(value, dict) and isinstance(other, dict):
        only_here, only_there = value.keys() - other.keys(), other.keys() - value.keys()
        if only_here and only_there:
            yield Undetermined(at)  # perhaps one member under another key
            return
        for key in sorted(only_here | only_there):
            yield Undetermined((*at, key), optional=True)
        for key, each in value.items():
            if key in other:
                yield from _differing(each, other[key], (*at, key))
    elif isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        for index, (each, counterpart) in enumerate(zip(value, other, strict=True)):
            yield from _differing(each, counterpart, (*at, index))
    elif value != other or isinstance(value, bool) != isinstance(other, bool):
        yield Undetermined(at)
