"""The line of a file that declares a field.

Positions are not kept when manifests are read, since drift is rare and fields are many: the document is parsed again
when a line is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from driftd.model.errors import RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json, Source
from driftd.render.yaml.documents import DEFAULT_LIMITS, RawDocument, ReadLimits, read_yaml, split_documents
from driftd.render.yaml.json_stream import skeleton
from driftd.render.yaml.positions import Positions


def field_lines(data: bytes, fields: Sequence[tuple[Source, DocumentPath]]) -> list[int]:
    """The 1-based lines in `data`, the content of one file, that declare fields of the objects at these sources.

    A map entry is on the line of its key, a list item where it starts; an undeclared path is on the line of its nearest
    declared ancestor. A value from an alias or a merge is on the line of its anchor's content. Fields of an object
    that Kustomize or Helm rendered have no lines of their own, nor has a source that was not read from `data`: they are
    on `source.line`. However many the fields, each document is parsed once.
    """
    lines = [source.line for source, _ in fields]
    by_document = defaultdict[int, list[int]](list)
    for index, (source, _) in enumerate(fields):
        if source.origin == "yaml":
            by_document[source.document].append(index)
    if not by_document:
        return lines
    file = fields[0][0].file
    try:
        documents = split_documents(data, file, DEFAULT_LIMITS)
    except RenderError:
        return lines
    raws = defaultdict[int, list[RawDocument]](list)
    for raw in documents:
        raws[raw.line].append(raw)
    for document, indexes in by_document.items():
        if document not in raws:
            continue
        paths = [(*fields[index][0].at, *fields[index][1]) for index in indexes]
        with suppress(RenderError):
            for index, line in zip(indexes, _best(raws[document], file, paths, DEFAULT_LIMITS), strict=True):
                lines[index] = line
    return lines


def lines_of(
    data: bytes, file: str, document: int, paths: Sequence[DocumentPath], limits: ReadLimits = DEFAULT_LIMITS
) -> list[int]:
    """The lines of several paths in the document that starts on line `document`, which is parsed once.

    Raises: RenderError: no document starts there, or it cannot be parsed.
    """
    raws = [raw for raw in split_documents(data, file, limits) if raw.line == document]
    if not raws:
        raise RenderError("no document starts here: the file is not the one that was read", file=file, line=document)
    return _best(raws, file, paths, limits)


def _best(raws: Sequence[RawDocument], file: str, paths: Sequence[DocumentPath], limits: ReadLimits) -> list[int]:
    """The lines of the paths in the document that declares most of them: two JSON values may start on one line."""
    candidates = [lines_in(raw, file, paths, limits) for raw in raws]
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
