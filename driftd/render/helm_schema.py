"""The JSON schemas of a chart's values, which Helm compiles together with all that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from driftd.model.errors import RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json
from driftd.render import chart_archive
from driftd.render.yaml.documents import read_documents
from driftd.render.yaml.line_numbers import lines_of

SCHEMA_FILE = "values.schema.json"

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DIALECTS = ("http://json-schema.org/", "https://json-schema.org/")
"""Helm has these itself."""


def require_local_schemas(root: Path, folder: str) -> None:
    """Refuses schemas of a chart, and of the charts in it, that refer to anything but themselves.

    Helm would read any file of the machine, and ask any server. `folder` is the chart's, below `root`.

    Raises: RenderError: with the file in the repository and, unless it is packed, the line.
    """
    for path in sorted((root / folder).rglob(SCHEMA_FILE)):
        if path.is_file():
            _require_local(path.read_bytes(), path.relative_to(root).as_posix())
    for path in sorted((root / folder).rglob("*.tgz")):
        if path.is_file():
            _require_local_in_archive(path.read_bytes(), path.relative_to(root).as_posix())


def _require_local(data: bytes, file: str) -> None:
    for document, path in _foreign_references(data, file):
        [line] = lines_of(data, file, document, [path])
        raise RenderError(_message(path), file=file, line=line)


def _require_local_in_archive(data: bytes, file: str) -> None:
    try:
        for path, content in chart_archive.read(data):
            if path.name == SCHEMA_FILE:
                for _, at in _foreign_references(content, file):
                    raise RenderError(f"{path}: {_message(at)}", file=file)
            elif path.suffix == ".tgz":
                _require_local_in_archive(content, file)
    except chart_archive.UnreadableArchive as error:
        raise RenderError(str(error), file=file) from error


def _foreign_references(data: bytes, file: str) -> Iterator[tuple[int, DocumentPath]]:
    """The document, and the path in it, of each reference that leads out of a schema."""
    try:
        documents = read_documents(data, file)
    except RenderError:
        return  # Helm refuses it, too
    for document in documents:
        for path, address in _references(document.value):
            if not address.startswith("#"):
                yield document.start, path


def _message(path: DocumentPath) -> str:
    return f"{path[-1]} leads out of the schema: Helm would fetch it, and driftd reads nothing but the repository"


def _references(value: Json, at: DocumentPath = ()) -> Iterator[tuple[DocumentPath, str]]:
    """Every address that compiling a schema would load, with its path in the schema."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _references(each, (*at, index))
    if isinstance(value, dict):
        for key, each in value.items():
            is_dialect = key == "$schema" and not str(each).startswith(_DIALECTS)
            if isinstance(each, str) and (is_dialect or key in _REFERENCES):
                yield (*at, key), each
            else:
                yield from _references(each, (*at, key))
