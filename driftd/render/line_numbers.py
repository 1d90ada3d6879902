"""Which line of a file declares a field.

Positions are not kept when manifests are read, since drift is rare and there are many fields: the one document is
read again when a line is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.errors import RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json, Source
from driftd.render.compose import Places
from driftd.render.documents import DEFAULT, Limits, Part, parts, read_yaml
from driftd.render.json_stream import skeleton


def line_of(data: bytes, source: Source, path: DocumentPath) -> int:
    """The 1-based line in `data`, the content of `source.file`, that declares `path` of the object at `source`.

    A map entry is on the line of its key, a list item where it starts; for what is declared nowhere it is the
    line of the nearest ancestor that is. What an alias or a merge brings in is on the line where it is written
    out. An object that Kustomize or Helm made has no such lines: the answer is `source.line`.

    Raises: RenderError: `data` is no content that `source` was read from.
    """
    if source.origin != "yaml":
        return source.line
    return lines_of(data, source.file, source.document, [(*source.at, *path)])[0]


def lines_of(
    data: bytes, file: str, document: int, paths: Sequence[DocumentPath], limits: Limits = DEFAULT
) -> list[int]:
    """The lines of several paths from the root of the document that starts on line `document`. Reads it once.

    Raises: RenderError: as in `line_of`.
    """
    # Two JSON values may start on one line: the one that declares most of what is asked for is meant.
    answers = [_lines(part, file, paths, limits) for part in parts(data, file, limits) if part.line == document]
    if not answers:
        raise RenderError("no document starts here: the file is not the one that was read", file=file, line=document)
    return max(answers, key=lambda answer: answer[0])[1]


def _lines(part: Part, file: str, paths: Sequence[DocumentPath], limits: Limits) -> tuple[int, list[int]]:
    """How many steps of the paths are declared here, and their lines."""
    places: Places = {}
    if part.is_json:
        root, places = skeleton(part.text)
        start = 0
    else:
        root, start = read_yaml(part, file, limits, places)
    steps, lines = 0, []
    for path in paths:
        depth, index = _find(root, places, start, path)
        steps += depth
        lines.append(part.line_at(index))
    return steps, lines


def _find(value: Json, places: Places, index: int, path: DocumentPath) -> tuple[int, int]:
    """How far `path` is declared, and the index of the last step that is."""
    for depth, step in enumerate(path):
        entries = places.get(id(value), {})
        if step not in entries:
            return depth, index
        index = entries[step]
        value = value[step]
    return len(path), index
