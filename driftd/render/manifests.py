"""The manifests in the documents of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftd.model.errors import RenderError
from driftd.model.hook import Hook, hook_of, hook_when
from driftd.model.ignore_annotation import ANNOTATION, annotation_mistake
from driftd.model.path import DocumentPath, format_path
from driftd.model.resource import Json, JsonObject, Manifest, Source
from driftd.model.stand_in import FILE_STAND_INS, stand_in
from driftd.render.rendering import RenderedPart
from driftd.render.yaml.documents import DEFAULT_LIMITS, RawDocument, ReadLimits, read_yaml, split_documents
from driftd.render.yaml.line_numbers import lines_in

_API_VERSION = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
"""Source: `ParseGroupVersion` in apimachinery; a group is a DNS subdomain, a version a DNS label."""
_KIND = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_LONGEST = 253 + 1 + 63
"""Of an apiVersion, and so of a kind."""

_IGNORE_HINT = "if this file is not meant for the cluster, name it in a .driftdignore file"


NO_MANIFEST = b"+argocd:skip-file-rendering"
"""Of a file among manifests that has none. Source: argo-cd, docs/user-guide/directory.md."""


def read_manifests(data: bytes, file: str, limits: ReadLimits = DEFAULT_LIMITS) -> RenderedPart:
    """The manifests of a YAML or JSON file. Pure: a function of content and path.

    `List` objects (any kind of list that has `items`) are flattened. Hooks are no manifests, and neither is a file that
    says of itself that it is none.
    """
    if NO_MANIFEST in data:
        return RenderedPart()
    if data.startswith(FILE_STAND_INS) and (what := stand_in(data)) is not None:
        return RenderedPart(errors=(RenderError(f"this is {what}, not the file that it stands for", file=file),))
    try:
        parts = [_read_document(raw, file, limits) for raw in split_documents(data, file, limits)]
    except RenderError as error:
        return RenderedPart(errors=(error,))
    return RenderedPart(
        tuple([manifest for part in parts for manifest in part.manifests]),
        tuple([error for part in parts for error in part.errors]),
        tuple([hook for part in parts for hook in part.hooks]),
    )


def _read_document(raw: RawDocument, file: str, limits: ReadLimits) -> RenderedPart:
    """What one document declares. It is parsed a second time where lines within it are asked for, and never more often.

    Raises: RenderError: it cannot be parsed.
    """
    value, index = (raw.value, 0) if raw.is_json else read_yaml(raw, file, limits)
    if value is None:
        return RenderedPart()
    objects = list(flatten_lists(value))
    outcomes = [_outcome(body) for _, body in objects]
    if objects == [((), value)] and not isinstance(outcomes[0], InvalidObject):
        lines = [raw.line_at(index)]
    else:
        places = [
            (*at, *outcome.path) if isinstance(outcome, InvalidObject) else at
            for (at, _), outcome in zip(objects, outcomes, strict=True)
        ]
        _, lines = lines_in(raw, file, places, limits)
    manifests: list[Manifest] = []
    hooks: list[Hook] = []
    errors: list[RenderError] = []
    for (at, body), outcome, line in zip(objects, outcomes, lines, strict=True):
        source = Source(file, line, raw.line, at)
        if isinstance(outcome, InvalidObject):
            located = RenderError(str(outcome), file=file, line=line)
            located.__cause__ = outcome
            errors.append(located)
        elif (hook := hook_of(body, source)) is not None:
            hooks.append(hook)
        else:
            manifests.append(Manifest.of(outcome, source))
    return RenderedPart(tuple(manifests), tuple(errors), tuple(hooks))


def _outcome(body: Json) -> JsonObject | InvalidObject:
    """The object as it would be sent, or why it could not be; a hook as it is."""
    try:
        return body if hook_when(body) is not None else validate_object(body)
    except InvalidObject as error:
        return error


class InvalidObject(ValueError):
    """The value is not a Kubernetes object that could be applied; `path` is the invalid field."""

    def __init__(self, message: str, path: DocumentPath = ()) -> None:
        self.path = path
        super().__init__(message)


def flatten_lists(value: Json, at: DocumentPath = ()) -> Iterator[tuple[DocumentPath, Json]]:
    """The value itself, or the items if it is a list of objects, each with its path in the value.

    As in Kubernetes' `unstructured`, an object that has `items` is a list whatever its kind, and items with neither
    apiVersion nor kind take theirs from the list (a `DeploymentList` has Deployments).
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
        yield from flatten_lists(typed, (*at, "items", index))


def validate_object(body: Json) -> JsonObject:
    """The object as kubectl would send it: null labels and annotations become empty strings.

    Raises: InvalidObject: it could not be applied.
    """
    if not isinstance(body, dict):
        raise InvalidObject(f"this is {_describe_type(body)}, not a Kubernetes object; {_IGNORE_HINT}")
    missing = [key for key in ("apiVersion", "kind") if not body.get(key)]
    if len(missing) == 2:
        raise InvalidObject(f"this has no apiVersion and no kind, so it is not a Kubernetes object; {_IGNORE_HINT}")
    if missing:
        raise InvalidObject(f"the object has no {missing[0]}")
    _check_type(body)
    if "sops" in body:
        raise InvalidObject(f"the {body['kind']} is encrypted with SOPS, and driftd cannot decrypt it", ("sops",))
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidObject(f"the {body['kind']} has no metadata, and so no name", ("metadata",))
    _check_name(body["kind"], metadata)
    texts = {key: _string_map(metadata[key], key) for key in ("labels", "annotations") if metadata.get(key) is not None}
    _check_ignored(texts.get("annotations", {}), body["kind"])
    if all(metadata[key] == value for key, value in texts.items()):
        return body
    return {**body, "metadata": {**metadata, **texts}}


def _check_type(body: Mapping[str, Any]) -> None:
    """Both become steps of addresses at the API server: `a/b/c` and `../v1` would lead elsewhere."""
    for key, pattern, example in (
        ("apiVersion", _API_VERSION, "VERSION or GROUP/VERSION, as v1 and apps/v1 are"),
        ("kind", _KIND, "a word, as ConfigMap is"),
    ):
        _require_string(body[key], (key,))
        if len(body[key]) > _LONGEST or not pattern.fullmatch(body[key]):
            raise InvalidObject(f"{key} must be {example}", (key,))


def _check_name(kind: str, metadata: Mapping[str, Any]) -> None:
    for key in ("name", "namespace", "generateName"):
        if metadata.get(key) is not None:
            _require_string(metadata[key], ("metadata", key))
            _check_step(metadata[key], key)
    if metadata.get("name"):
        return
    raise InvalidObject(f"the {kind} has no metadata.name", ("metadata", "name"))


def _check_step(text: str, key: str) -> None:
    """Source: `IsValidPathSegmentName` in apimachinery, which holds for the names of all kinds."""
    if text in (".", "..") or "/" in text or "%" in text:
        raise InvalidObject(f"metadata.{key} must not have / or % in it, nor be . or ..", ("metadata", key))


def _check_ignored(annotations: Mapping[str, str], kind: str) -> None:
    """What a wrong path was meant to protect would be healed: so the object is left alone."""
    text = annotations.get(ANNOTATION)
    if text is not None and (what := annotation_mistake(text, kind)) is not None:
        raise InvalidObject(f"{ANNOTATION}: {what}", ("metadata", "annotations", ANNOTATION))


def _string_map(value: Json, key: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidObject(f"metadata.{key} must be a map of strings, not {_describe_type(value)}", ("metadata", key))
    for name, text in value.items():
        if text is not None:
            _require_string(text, ("metadata", key, name))
    return {name: text or "" for name, text in value.items()}


def _require_string(value: Json, path: DocumentPath) -> None:
    if not isinstance(value, str):
        raise InvalidObject(f"{format_path(path)} must be a string, not {_describe_type(value)}: quote it", path)


def _describe_type(value: Json) -> str:
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
