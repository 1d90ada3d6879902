"""The line of a file that declares a field.

Positions are not kept when manifests are read, since drift is rare and fields are many: the document is parsed again
when a line is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.errors import RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json, Source
from driftd.render.documents import DEFAULT_LIMITS, RawDocument, ReadLimits, read_yaml, split_documents
from driftd.render.json_stream import skeleton
from driftd.render.positions import Positions


def line_of(data: bytes, source: Source, path: DocumentPath) -> int:
    """The 1-based line in `data`, the content of `source.file`, that declares `path` of the object at `source`.

    A map entry is on the line of its key, a list item where it starts; an undeclared path is on the line of its nearest
    declared ancestor. A value from an alias or a merge is on the line of its anchor's content. Fields of an object
    that Kustomize or Helm rendered have no lines of their own: the result is `source.line`.

    Raises: RenderError: `source` was not read from `data`.
    """
    if source.origin != "yaml":
        return source.line
    return lines_of(data, source.file, source.document, [(*source.at, *path)])[0]


def lines_of(
    data: bytes, file: str, document: int, paths: Sequence[DocumentPath], limits: ReadLimits = DEFAULT_LIMITS
) -> list[int]:
    """The lines of several paths in the document that starts on line `document`, which is parsed once.

    Raises: RenderError: as in `line_of`.
    """
    # Two JSON values may start on one line: the one that declares most of the paths is meant.
    candidates = [
        lines_in(raw, file, paths, limits) for raw in split_documents(data, file, limits) if raw.line == document
    ]
    if not candidates:
        raise RenderError("no document starts here: the file is not the one that was read", file=file, line=document)
    return max(candidates, key=lambda candidate: candidate[0])[1]


def lines_in(raw: RawDocument, file: str, paths: Sequence[DocumentPath], limits: ReadLimits) -> tuple[int, list[int]]:
    """The number of steps of the paths that this document declares, and the paths' lines. Raises: RenderError."""
    positions: Positions = {}
    if raw.is_json:
        root, positions = skeleton(raw.text)
        start = 0
    else:
        root, start = read_yaml(raw, file, limits, positions)
    found = [_last_declared(root, positions, start, path) for path in paths]
    return sum(depth for depth, _ in found), raw.lines_at([index for _, index in found])


def _last_declared(value: Json, positions: Positions, index: int, path: DocumentPath) -> tuple[int, int]:
    """The number of steps of `path` that are declared, and the position of the last of these."""
    for depth, step in enumerate(path):
        entries = positions.get(id(value), {})
        if step not in entries:
            return depth, index
        index = entries[step]
        value = value[step]
    return len(path), index
