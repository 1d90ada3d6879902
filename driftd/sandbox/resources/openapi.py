"""OpenAPI v3 documents: Kubernetes' own without the paths that the sandbox does not serve, and those of CRDs."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from driftd.sandbox.document import Object
from driftd.sandbox.resources.custom import CustomKind, published_schema
from driftd.sandbox.resources.registry import Registry

_ITEM = re.compile(r"(?:/namespaces/\{namespace\})?/(?P<plural>[a-z0-9]+)(?:/\{name\}(?:/(?P<sub>[a-z]+))?)?$")
_REFERENCE = re.compile(rb'"#/components/schemas/([^"]+)"')
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")


class OpenApi:
    """Documents by path (`apis/apps/v1`), built on first use and cached until a CRD changes them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._builtin: dict[str, bytes] = {}
        self._custom: dict[str, tuple[tuple[int, ...], bytes]] = {}

    def index(self) -> Object:
        paths = {}
        for path in self._paths():
            content = self.document(path)
            digest = hashlib.sha512(content or b"").hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def document(self, path: str) -> bytes | None:
        """The document as JSON; None if there is none."""
        custom = [kind for kind in self._registry.custom_kinds() if _path(kind) == path]
        if custom:
            return self._custom_document(path, custom)
        if path not in self._builtin:
            document = self._registry.builtin.documents.get(path)
            if document is None or path not in self._paths():
                return None
            self._builtin[path] = orjson.dumps(self._served_document(path, document))
        return self._builtin[path]

    def _paths(self) -> list[str]:
        paths = dict.fromkeys(_path(kind) for kind in self._registry.kinds())
        return list(paths)

    def _served_document(self, path: str, document: Any) -> Object:
        """The real document without the paths that are not served."""
        kinds = {kind.resource.plural: kind.resource for kind in self._registry.kinds() if _path(kind) == path}
        paths = {}
        for url, methods in document["paths"].items():
            match = _ITEM.fullmatch(url.removeprefix(f"/{path}"))
            resource = kinds.get(match["plural"]) if match else None
            if resource and match and (not match["sub"] or match["sub"] in resource.subresources):
                paths[url] = methods
        return {**document, "paths": paths}

    def _custom_document(self, path: str, kinds: list[CustomKind]) -> bytes:
        key = tuple(sorted(id(kind) for kind in kinds))
        cached = self._custom.get(path)
        if cached is not None and cached[0] == key:
            return cached[1]
        schemas: Object = {}
        paths: Object = {}
        for kind in kinds:
            resource = kind.resource
            name = ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
            gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
            schemas[name] = {**published_schema(kind.schema), "x-kubernetes-group-version-kind": [gvk]}
            schemas[f"{name}List"] = _list_schema(name, gvk)
            namespace = "/namespaces/{namespace}" if resource.namespaced else ""
            paths[f"/{path}{namespace}/{resource.plural}/{{name}}"] = _item_path(name, gvk)
        schemas.update(self._referenced_schemas(orjson.dumps([schemas, paths])))
        version = self._registry.builtin.version["gitVersion"]
        document = {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes CRD Swagger", "version": version},
            "paths": paths,
            "components": {"schemas": schemas},
        }
        content = orjson.dumps(document)
        self._custom[path] = key, content
        return content

    def _referenced_schemas(self, content: bytes) -> Object:
        """The built-in schemas that a document refers to, transitively."""
        schemas: Object = {}
        todo = [content]
        while todo:
            for match in _REFERENCE.finditer(todo.pop()):
                name = match[1].decode()
                if name not in schemas and name in self._registry.builtin.schemas:
                    schemas[name] = self._registry.builtin.schemas[name]
                    todo.append(orjson.dumps(schemas[name]))
        return schemas


def _path(kind: Any) -> str:
    return f"apis/{kind.resource.api_version}" if kind.resource.group else f"api/{kind.resource.version}"


def _list_schema(name: str, gvk: Object) -> Object:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
            "metadata": {"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"}]},
        },
        "x-kubernetes-group-version-kind": [{**gvk, "kind": gvk["kind"] + "List"}],
    }


def _item_path(name: str, gvk: Object) -> Object:
    """The part of a path item by which kubectl detects server-side field validation."""
    schema = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}
    answer = {
        "200": {
            "description": "OK",
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
        }
    }
    parameters = [
        {"name": parameter, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for parameter in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    common = {"responses": answer, "x-kubernetes-group-version-kind": gvk}
    return {
        "get": {**common, "x-kubernetes-action": "get"},
        "patch": {
            **common,
            "parameters": parameters,
            "requestBody": {"content": {media: {"schema": schema} for media in _PATCHES}},
            "x-kubernetes-action": "patch",
        },
    }
