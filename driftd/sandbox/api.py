"""The HTTP side of the sandbox: routing of requests, responses and streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from driftd.sandbox.crds import check_not_terminating
from driftd.sandbox.deletion import DeleteOptions, Deletion
from driftd.sandbox.document import Object
from driftd.sandbox.reads import ListPage, Reads
from driftd.sandbox.requests import (
    Target,
    body_object,
    body_patch,
    delete_options,
    list_options,
    parse_path,
    verb_of,
    watch_options,
    write_options,
)  # fmt: skip
from driftd.sandbox.resources.catalog import REVIEWS
from driftd.sandbox.resources.custom import CustomKind
from driftd.sandbox.resources.discovery import Discovery
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.resources.openapi import OpenApi
from driftd.sandbox.resources.tables import partial, table
from driftd.sandbox.reviews import review
from driftd.sandbox.scaling import Scaling
from driftd.sandbox.status import ApiError, bad_request, method_not_allowed, no_containers, no_such_path, unauthorized
from driftd.sandbox.store import Name
from driftd.sandbox.watch import Watches, encode
from driftd.sandbox.world import World
from driftd.sandbox.writes import APPLY_PATCH, WriteResult, Writes

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_HEALTH = {"healthz", "livez", "readyz"}
_PODS = ("", "pods")
_OF_CONTAINERS = {"attach", "exec", "log", "portforward"}


class Api:
    """The ASGI application over a world. `token` is the only bearer token that it accepts."""

    def __init__(self, world: World, *, token: str, bookmark_interval: float) -> None:
        self._world = world
        self._token = token
        self.deletion = Deletion(world)
        self.reads = Reads(world)
        self.writes = Writes(world, self.deletion)
        self.watches = Watches(world, self.reads, bookmark_interval=bookmark_interval)
        self._scaling = Scaling(world, self.reads, self.writes)
        self._discovery = Discovery(world.registry)
        self._openapi = OpenApi(world.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ApiError as error:
            response = _json(error.status(), error.code, error.headers)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        first = path.strip("/").split("/")[0]
        if first in _HEALTH:
            return PlainTextResponse("ok")
        self._authenticate(request)
        target = parse_path(path)
        if target is None:
            await self._world.faults.inject("get", "", "", "")
            return self._description(request, path.strip("/"))
        verb = verb_of(request, target)
        kind = self._world.registry.find(target.group, target.version, target.plural)
        if kind is None:
            if not self._discovery.serves(target.group, target.version):
                return PlainTextResponse("404 page not found\n", 404)
            raise no_such_path()
        await self._world.faults.inject(verb, target.group, target.plural, target.namespace or "")
        return await self._resource(request, target, kind, verb)

    def _authenticate(self, request: Request) -> None:
        """A wrong token is refused; a request without one is accepted, since kubectl sends none over plain HTTP."""
        header = request.headers.get("authorization")
        if header is not None and header != f"Bearer {self._token}":
            raise unauthorized()

    def _description(self, request: Request, path: str) -> Response:
        """Version, discovery and OpenAPI."""
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if path.startswith("openapi/v3"):
            return self._schema(path.removeprefix("openapi/v3").strip("/"))
        if path == "version":
            return _json(dict(self._world.registry.builtin.version))
        parts = path.split("/")
        document: Object | None = None
        if path in ("api", "apis"):
            if _AGGREGATED in request.headers.get("accept", "").replace(" ", ""):
                return _json(self._discovery.aggregated(core=path == "api"), media_type=_AGGREGATED)
            document = self._discovery.core_versions() if path == "api" else self._discovery.group_list()
        elif parts[0] == "api" and len(parts) == 2:
            document = self._discovery.resources("", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            document = self._discovery.group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = self._discovery.resources(parts[1], parts[2])
        if document is None:
            return PlainTextResponse("404 page not found\n", 404)
        return _json(document)

    def _schema(self, path: str) -> Response:
        if not path:
            return _json(self._openapi.index())
        content = self._openapi.document(path)
        if content is None:
            raise no_such_path()
        return Response(content, media_type="application/json")

    async def _resource(self, request: Request, target: Target, kind: Kind, verb: str) -> Response:
        if kind.resource.plural in REVIEWS:
            if verb != "create":
                raise method_not_allowed()
            return _json(review(kind.resource.plural, self._world.faults, await body_object(request)), 201)
        if target.namespace is not None and not kind.resource.namespaced:
            raise no_such_path()
        if kind.resource.key == _PODS and target.subresource in _OF_CONTAINERS:
            raise no_containers(target.subresource)
        if target.subresource and target.subresource not in kind.resource.subresources:
            raise no_such_path()
        if target.name is None:
            return await self._collection(request, target, kind, verb)
        if kind.resource.namespaced and target.namespace is None:
            raise no_such_path()
        name = (target.namespace or "", target.name)
        if target.subresource == "scale":
            return await self._scale(request, kind, name, verb)
        return await self._item(request, target, kind, name, verb)

    async def _collection(self, request: Request, target: Target, kind: Kind, verb: str) -> Response:
        if verb == "watch":
            return self._watch(request, target, kind)
        if verb == "list":
            return self._list(request, target, kind)
        if verb == "create":
            body = await body_object(request)
            _check_type(kind, body)
            options = write_options(request, kind="CreateOptions")
            if kind.resource.namespaced and target.namespace is None:
                raise bad_request("an empty namespace may not be set during creation")
            check_not_terminating(self._world, kind)
            return self._write_response(request, kind, self.writes.create(kind, target.namespace or "", body, options))
        if verb == "deletecollection":
            options_ = _delete_options(await delete_options(request))
            objects = self.reads.list_page(kind, target.namespace, list_options(request)).objects
            for obj in objects:
                name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                if self._world.store.get(kind.resource.key, name) is not None:
                    self.deletion.delete(kind, name, options_)
            return self._list_response(request, kind, ListPage(objects, self._world.store.revision))
        raise method_not_allowed()

    async def _item(self, request: Request, target: Target, kind: Kind, name: Name, verb: str) -> Response:
        if verb == "get":
            return self._object_response(request, kind, self.reads.get(kind, name))
        if verb == "update":
            body = await body_object(request)
            _check_type(kind, body)
            options = write_options(request, subresource=target.subresource, kind="UpdateOptions")
            return self._write_response(request, kind, self.writes.update(kind, name, body, options))
        if verb == "patch":
            media, patch = await body_patch(request)
            options = write_options(
                request, subresource=target.subresource, apply=media == APPLY_PATCH, kind="PatchOptions"
            )
            return self._write_response(request, kind, self.writes.patch(kind, name, media, patch, options))
        if verb == "delete" and not target.subresource:
            obj, deleted = self.deletion.delete(kind, name, _delete_options(await delete_options(request)))
            return _json(_deleted_status(kind, obj) if deleted else obj)
        raise method_not_allowed()

    async def _scale(self, request: Request, kind: Kind, name: Name, verb: str) -> Response:
        if verb == "get":
            return _json(self._scaling.get(kind, name))
        if verb == "update":
            options = write_options(request, subresource="scale", kind="UpdateOptions")
            return _json(self._scaling.update(kind, name, await body_object(request), options))
        if verb == "patch":
            media, patch = await body_patch(request)
            options = write_options(request, subresource="scale", apply=media == APPLY_PATCH, kind="PatchOptions")
            return _json(self._scaling.patch(kind, name, media, patch, options))
        raise method_not_allowed()

    def _list(self, request: Request, target: Target, kind: Kind) -> Response:
        return self._list_response(request, kind, self.reads.list_page(kind, target.namespace, list_options(request)))

    def _list_response(self, request: Request, kind: Kind, listed: ListPage) -> Response:
        metadata: Object = {"resourceVersion": str(listed.resource_version)}
        if listed.continue_token:
            metadata["continue"] = listed.continue_token
        if listed.remaining is not None:
            metadata["remainingItemCount"] = listed.remaining
        form = _representation(request)
        if form == "Table":
            return _json(self._table(request, kind, listed.objects, metadata))
        if form == "PartialObjectMetadataList":
            items = [partial(obj) for obj in listed.objects]
            return _json({"kind": form, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        resource = kind.resource
        items = listed.objects if resource.custom else [_without_type(obj) for obj in listed.objects]
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        return _json({**head, "items": items}, headers=_deprecation(kind))

    def _watch(self, request: Request, target: Target, kind: Kind) -> Response:
        form = _representation(request)
        render = encode
        if form == "Table":

            def render(obj: Object) -> bytes:
                return orjson.dumps(self._table(request, kind, [obj], {"resourceVersion": _version(obj)}))
        elif form:

            def render(obj: Object) -> bytes:
                return orjson.dumps(partial(obj))

        lines: AsyncIterator[bytes] = self.watches.open(kind, target.namespace, watch_options(request), render)
        return StreamingResponse(lines, media_type="application/json")

    def _object_response(
        self, request: Request, kind: Kind, obj: Object, code: int = 200, warnings: tuple[str, ...] = ()
    ) -> Response:
        form = _representation(request)
        if form == "Table":
            obj = self._table(request, kind, [obj], {"resourceVersion": _version(obj)})
        elif form == "PartialObjectMetadata":
            obj = partial(obj)
        return _json(obj, code, headers=_deprecation(kind), warnings=warnings)

    def _write_response(self, request: Request, kind: Kind, written: WriteResult) -> Response:
        return self._object_response(request, kind, written.obj, 201 if written.created else 200, written.warnings)

    def _table(self, request: Request, kind: Kind, objects: list[Object], metadata: Object) -> Object:
        include = request.query_params.get("includeObject", "Metadata")
        return table(kind, objects, metadata, self._world.clock(), include)


def _check_type(kind: Kind, body: Object) -> None:
    resource = kind.resource
    version, name = body.get("apiVersion"), body.get("kind")
    if version and version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if name and name != resource.kind:
        raise bad_request(f'{name} in version "{resource.version}" cannot be handled as a {resource.kind}')
    body.setdefault("apiVersion", resource.api_version)
    body.setdefault("kind", resource.kind)


def _delete_options(body: Object) -> DeleteOptions:
    preconditions = body.get("preconditions") or {}
    legacy = {True: "Orphan", False: "Background", None: ""}[body.get("orphanDependents")]
    policy = body.get("propagationPolicy") or legacy
    return DeleteOptions(
        propagation=policy,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        dry_run=bool(body.get("dryRun")),
    )


def _deleted_status(kind: Kind, obj: Object) -> Object:
    resource = kind.resource
    details = {"name": obj["metadata"]["name"], "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _without_type(obj: Object) -> Object:
    """An item of a list of built-in kinds has no apiVersion and kind: the list has them."""
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}


def _representation(request: Request) -> str:
    """The representation that Accept prefers: Table, PartialObjectMetadata(List), or empty for the object itself."""
    for accepted in request.headers.get("accept", "").split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in accepted.split(";")[1:])
        if accepted.strip().startswith("application/json"):
            return (
                parameters.get("as", "") if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1" else ""
            )
    return ""


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _deprecation(kind: Kind) -> dict[str, str]:
    text = kind.deprecation if isinstance(kind, CustomKind) else None
    return {"Warning": f'299 - "{text}"'} if text else {}


def _json(
    body: Object, code: int = 200, headers: dict[str, str] | None = None, *, media_type: str = "application/json",
    warnings: tuple[str, ...] = (),
) -> Response:  # fmt: skip
    response = Response(orjson.dumps(body), code, headers={"Cache-Control": "no-cache, private", **(headers or {})})
    response.headers["Content-Type"] = media_type
    for text in warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 - "{quoted}"')
    return response
