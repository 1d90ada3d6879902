"""Parsing of requests: path, query and body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import yaml
from starlette.requests import Request

from driftd.sandbox import protobuf
from driftd.sandbox.document import Object
from driftd.sandbox.reads import ListOptions
from driftd.sandbox.status import ApiError, Cause, bad_request, invalid_options, unsupported_media_type
from driftd.sandbox.watch import WatchOptions
from driftd.sandbox.writes import APPLY_PATCH, PATCHES, WriteOptions

_NAMESPACE_SUBRESOURCES = {"status", "finalize"}
_TRUE = {"true", "1"}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class _YamlLoader(yaml.CSafeLoader):
    """Reads YAML timestamps as strings, as Kubernetes does."""


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed resource path."""

    group: str
    version: str
    plural: str
    namespace: str | None
    name: str | None
    subresource: str


def parse_path(path: str) -> Target | None:
    """Returns: None for a path that is not a resource's, such as that of a group or version."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace: str | None = None
    of_namespace = group == "" and (len(rest) == 2 or (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES))
    if rest[0] == "namespaces" and len(rest) > 1 and not of_namespace:
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        return None
    padded: list[str | None] = [*rest, None, None]
    return Target(group, version, str(padded[0]), namespace, padded[1], padded[2] or "")


def verb_of(request: Request, target: Target) -> str:
    """The request's verb as in Kubernetes' authorization."""
    if request.method in ("GET", "HEAD"):
        if target.name is not None:
            return "get"
        return "watch" if request.query_params.get("watch") in _TRUE else "list"
    if request.method == "DELETE":
        return "delete" if target.name is not None else "deletecollection"
    return _VERBS.get(request.method, request.method.lower())


def list_options(request: Request) -> ListOptions:
    query = request.query_params
    try:
        limit = int(query.get("limit") or 0)
    except ValueError as error:
        raise bad_request(f"limit is no number: {query['limit']}") from error
    return ListOptions(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        limit=limit,
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
    )


def watch_options(request: Request) -> WatchOptions:
    query = request.query_params
    initial = query.get("sendInitialEvents")
    timeout = query.get("timeoutSeconds")
    return WatchOptions(
        listing=list_options(request),
        bookmarks=query.get("allowWatchBookmarks") in _TRUE,
        initial_events=None if initial is None else initial in _TRUE,
        timeout=float(timeout) if timeout and timeout.isdigit() and timeout != "0" else 1800.0,
    )


def write_options(request: Request, *, subresource: str = "", apply: bool = False, kind: str = "") -> WriteOptions:
    """Raises: ApiError (422): invalid or conflicting options."""
    query = request.query_params
    manager = query.get("fieldManager", "")
    dry_run = query.getlist("dryRun")
    causes: list[Cause] = []
    if any(value != "All" for value in dry_run):
        causes.append(Cause.unsupported("dryRun", list(dry_run), ["All"]))
    if len(manager) > 128:
        causes.append(Cause("FieldValueTooLong", "Too long: may not be more than 128 bytes", "fieldManager"))
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        causes.append(Cause.unsupported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    if apply and not manager:
        causes.append(Cause.required("fieldManager", "is required for apply patch"))
    if request.method == "PATCH" and not apply and "force" in query:
        causes.append(Cause.forbidden("force", "may not be specified for non-apply patch"))
    if causes:
        raise invalid_options(kind or "CreateOptions", causes)
    return WriteOptions(
        manager=manager or user_agent_manager(request),
        dry_run=bool(dry_run),
        validation=validation,
        force=query.get("force") in _TRUE,
        subresource=subresource,
    )


def user_agent_manager(request: Request) -> str:
    """The default field manager: the user agent up to the first slash."""
    return request.headers.get("user-agent", "").split("/")[0][:128] or "unknown"


async def body_object(request: Request) -> Object:
    """The object of a POST or PUT. Raises: ApiError: 415 for another media type, 400 for an invalid body."""
    media = request.headers.get("content-type", "application/json").split(";")[0].strip()
    accepted = ["application/json", "application/yaml", protobuf.MEDIA_TYPE]
    if media == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode(await request.body())
        except (ValueError, LookupError) as error:
            raise bad_request(f"error decoding protobuf: {error}") from error
    if media not in accepted:
        raise unsupported_media_type(accepted)
    value = _parse(await request.body(), yaml_too=media == "application/yaml")
    if not isinstance(value, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body is not an object")
    return value


async def body_patch(request: Request) -> tuple[str, Any]:
    """Returns: the media type of a patch, and the patch."""
    media = request.headers.get("content-type", "").split(";")[0].strip()
    if media not in PATCHES:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    return media, _parse(await request.body(), yaml_too=media == APPLY_PATCH)


async def delete_options(request: Request) -> Object:
    """The body of a DELETE, or its query parameters if it has no body."""
    content = await request.body()
    if content:
        value = _parse(content, yaml_too=False)
        return dict(value) if isinstance(value, dict) else {}
    options: Object = {}
    query = request.query_params
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        options["orphanDependents"] = query["orphanDependents"] in _TRUE
    if "dryRun" in query:
        options["dryRun"] = query.getlist("dryRun")
    return options


def _parse(content: bytes, *, yaml_too: bool) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if not yaml_too:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    try:
        return yaml.load(content, Loader=_YamlLoader)  # noqa: S506  # a subclass of the safe loader
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error
