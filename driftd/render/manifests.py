"""From the documents of a file to the objects they declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from driftd.model.errors import RenderError
from driftd.model.path import DocumentPath, format_path
from driftd.model.resource import Json, JsonObject, Manifest, Source
from driftd.render.documents import DEFAULT, Limits, read_documents
from driftd.render.line_numbers import lines_of
from driftd.render.rendering import Objects

_LEAVE_OUT = "if this file is not meant for the cluster, name it in a .driftdignore file"


def read_manifests(data: bytes, file: str, limits: Limits = DEFAULT) -> Objects:
    """The manifests of a YAML or JSON file. Pure: the same bytes under the same name always give the same.

    `List` objects (any kind of list that has `items`) are taken apart.
    """
    try:
        documents = read_documents(data, file, limits)
    except RenderError as error:
        return Objects(errors=(error,))
    manifests: list[Manifest] = []
    errors: list[RenderError] = []
    for document in documents:
        objects = list(objects_of(document.value))
        lines = [document.line]
        if objects != [((), document.value)]:
            lines = lines_of(data, file, document.start, [at for at, _ in objects], limits)
        for (at, body), line in zip(objects, lines, strict=True):
            source = Source(file, line, document.start, at)
            try:
                manifests.append(Manifest.of(checked(body), source))
            except NotAnObject as error:
                [wrong] = lines_of(data, file, document.start, [(*at, *error.path)], limits)
                where = RenderError(str(error), file=file, line=wrong)
                where.__cause__ = error
                errors.append(where)
    return Objects(tuple(manifests), tuple(errors))


class NotAnObject(ValueError):
    """The value is no Kubernetes object that could be applied; `path` is where in it that shows."""

    def __init__(self, message: str, path: DocumentPath = ()) -> None:
        self.path = path
        super().__init__(message)


def objects_of(value: Json, at: DocumentPath = ()) -> Iterator[tuple[DocumentPath, Json]]:
    """The value itself, or the items of a list of objects, and where in the value they are.

    As in Kubernetes' `unstructured`, an object that has `items` is a list whatever its kind, and gives items that
    name neither apiVersion nor kind its own (`DeploymentList` holds Deployments).
    """
    items = value.get("items") if isinstance(value, dict) and (value.get("apiVersion") or value.get("kind")) else None
    if not isinstance(items, list):
        yield at, value
        return
    for index, item in enumerate(items):
        typed = item
        if isinstance(item, dict) and not item.get("apiVersion") and not item.get("kind"):
            kind = value.get("kind")
            item_kind = kind.removesuffix("List") if isinstance(kind, str) else None
            typed = {"apiVersion": value.get("apiVersion"), "kind": item_kind or None, **item}
        yield from objects_of(typed, (*at, "items", index))


def checked(body: Json) -> JsonObject:
    """The object as kubectl would send it: labels and annotations that are null become empty strings.

    Raises: NotAnObject: it could not be applied.
    """
    if not isinstance(body, dict):
        raise NotAnObject(f"this is {_kind_of(body)}, not a Kubernetes object; {_LEAVE_OUT}")
    missing = [key for key in ("apiVersion", "kind") if not body.get(key)]
    if len(missing) == 2:
        raise NotAnObject(f"this has no apiVersion and no kind, so it is not a Kubernetes object; {_LEAVE_OUT}")
    if missing:
        raise NotAnObject(f"the object has no {missing[0]}")
    for key in ("apiVersion", "kind"):
        _wants_text(body[key], (key,))
    if "sops" in body:
        raise NotAnObject(f"the {body['kind']} is encrypted with SOPS, and driftd cannot decrypt it", ("sops",))
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise NotAnObject(f"the {body['kind']} has no metadata, and so no name", ("metadata",))
    _check_name(body["kind"], metadata)
    texts = {key: _texts(metadata[key], key) for key in ("labels", "annotations") if metadata.get(key) is not None}
    if all(metadata[key] == value for key, value in texts.items()):
        return body
    return {**body, "metadata": {**metadata, **texts}}


def _check_name(kind: str, metadata: Mapping[str, Any]) -> None:
    for key in ("name", "namespace", "generateName"):
        if metadata.get(key) is not None:
            _wants_text(metadata[key], ("metadata", key))
    if metadata.get("name"):
        return
    if metadata.get("generateName"):
        message = f"the {kind} has generateName and no name: each apply would make another one; give it a name"
        raise NotAnObject(message, ("metadata", "generateName"))
    raise NotAnObject(f"the {kind} has no metadata.name", ("metadata", "name"))


def _texts(value: Json, key: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise NotAnObject(f"metadata.{key} must be a map of strings, not {_kind_of(value)}", ("metadata", key))
    for name, text in value.items():
        if text is not None:
            _wants_text(text, ("metadata", key, name))
    return {name: text or "" for name, text in value.items()}


def _wants_text(value: Json, path: DocumentPath) -> None:
    if not isinstance(value, str):
        raise NotAnObject(f"{format_path(path)} must be a string, not {_kind_of(value)}: quote it", path)


def _kind_of(value: Json) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a map"
        case _:
            return "null"
