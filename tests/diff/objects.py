"""Objects and types to compare: real types of Kubernetes, and objects with synthetic managedFields."""

from __future__ import annotations

import copy
import json
import lzma
from functools import cache
from importlib.resources import files
from typing import Any

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.typed.schema import Schema, Schemas
from driftd.model.drift import Verdict
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source

JsonObject = dict[str, Any]
COMPARISON = Comparison(Redactor(b"0123456789abcdef0123456789abcdef"))
CREATED = "2026-03-01T10:00:00Z"
LATER = "2026-03-02T11:00:00Z"


@cache
def _documents() -> JsonObject:
    packed = files("driftd.sandbox").joinpath("schemas/kubernetes.json.xz").read_bytes()
    documents: JsonObject = json.loads(lzma.decompress(packed))["openapi"]
    return documents


@cache
def schema_of(api_version: str, kind: str) -> Schema:
    """The real type of one of Kubernetes' own kinds."""
    group, _, version = api_version.rpartition("/")
    schema = Schemas(_documents()[f"apis/{api_version}" if group else f"api/{api_version}"]).of(group, version, kind)
    assert schema is not None
    return schema


def custom_schema(spec: JsonObject, **more: JsonObject) -> Schema:
    """The type of a custom resource `example.com/v1, Kind=Thing` with that schema for its spec."""
    meta = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    thing = {
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Thing"}],
        "properties": {"metadata": meta, "spec": spec, **more},
    }
    components = {**_documents()["apis/apps/v1"]["components"]["schemas"], "com.example.v1.Thing": thing}
    schema = Schemas({"components": {"schemas": components}}).of("example.com", "v1", "Thing")
    assert schema is not None
    return schema


def thing(spec: Any) -> JsonObject:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n"}, "spec": spec}


def entry(
    manager: str, fields: JsonObject, *, operation: str = "Update", time: str | None = CREATED, **more: str
) -> JsonObject:
    """One entry of managedFields."""
    result = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}
    return {**result, "time": time} if time else result


def owned(*path: str) -> JsonObject:
    """FieldsV1 of one field."""
    fields: JsonObject = {}
    for part in reversed(path):
        fields = {part: fields}
    return fields


def merged(*parts: JsonObject) -> JsonObject:
    """Several FieldsV1 in one."""
    result: JsonObject = {}
    for part in parts:
        for key, value in part.items():
            result[key] = merged(result.get(key, {}), value)
    return result


def fields_of(value: Any, schema: Schema | None) -> JsonObject:
    """FieldsV1 of a manager that owns all of a value."""
    from driftd.diff.ownership import field_key  # noqa: PLC0415  # only here
    from driftd.diff.typed.schema import ListType  # noqa: PLC0415
    from driftd.diff.walk import item_key  # noqa: PLC0415
    from driftd.model.path import SetValue  # noqa: PLC0415

    if isinstance(value, dict) and not (schema is not None and schema.atomic):
        return {f"f:{k}": fields_of(v, schema.child(k) if schema else None) for k, v in value.items()}
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.MAP:
        return {field_key(item_key(v, schema)): {".": {}, **fields_of(v, schema.items)} for v in value}
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.SET:
        return {field_key(SetValue(v)): {} for v in value}
    return {}


def deployed(body: JsonObject, schema: Schema | None, manager: str = "flux", operation: str = "Apply") -> JsonObject:
    """The live object after its deployment: the deployer owns all of it."""
    owned = {k: v for k, v in body.items() if k not in ("apiVersion", "kind")}
    owned["metadata"] = {k: v for k, v in owned["metadata"].items() if k not in ("name", "namespace")}
    live = copy.deepcopy(body)
    live["metadata"] |= {"uid": "u", "creationTimestamp": CREATED, "generation": 1, "resourceVersion": "7"}
    live["metadata"]["managedFields"] = [
        entry(manager, fields_of(owned, schema), operation=operation, apiVersion=body["apiVersion"])
    ]
    return live


def changed_manually(live: JsonObject, fields: JsonObject, manager: str = "kubectl-edit", **more: str) -> JsonObject:
    """The same object after a manual change: `manager` owns `fields`, and the deployer does not any more."""
    after = copy.deepcopy(live)
    managed = after["metadata"].setdefault("managedFields", [])
    for other in managed:
        _remove(other["fieldsV1"], fields)
    managed.append(entry(manager, fields, time=LATER, **{"apiVersion": live["apiVersion"], **more}))
    return after


def _remove(fields: JsonObject, taken: JsonObject) -> None:
    for key, below in taken.items():
        if key not in fields or key == ".":
            continue
        if below:
            _remove(fields[key], below)
        else:
            del fields[key]


def verdict(desired: JsonObject, live: JsonObject, schema: Schema | None, **options: Any) -> Verdict:
    manifest = Manifest.of(desired, Source("app.yaml", 1))
    return COMPARISON.verdict(manifest, live, schema, **options)


def drifts(desired: JsonObject, live: JsonObject, schema: Schema | None, **options: Any) -> list[tuple[str, str]]:
    """`(path, change)` of every field that drifted; the object must be comparable."""
    result = verdict(desired, live, schema, **options)
    assert result.error is None, result.error
    return [(format_path(drift.path), str(drift.change)) for drift in result.fields]


def deployment(**container: Any) -> JsonObject:
    """A small Deployment with one container."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.25", **container}]},
            },
        },
    }


def pod_spec(body: JsonObject) -> JsonObject:
    spec: JsonObject = body["spec"]["template"]["spec"]
    return spec


DEPLOYMENT = ("apps/v1", "Deployment")
