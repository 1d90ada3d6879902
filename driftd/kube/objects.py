"""The verbs for single objects, as decoded JSON: get, apply, create, update, patch, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from driftd.kube.answers import checked_object, checked_page
from driftd.kube.discovery import ApiResource
from driftd.kube.errors import NoSuchPath, unknown_kind
from driftd.kube.rest_client import Cluster
from driftd.model.drift import FIELD_MANAGER
from driftd.model.errors import Forbidden, Invalid, KubeError, NotFound

_SERVER_FIELDS = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"})
_APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
_JSON_PATCH = "application/json-patch+json"

ObjectKey = tuple[str | None, str]
"""Namespace and name: unique among the objects of a kind."""


async def get(cluster: Cluster, resource: ApiResource, namespace: str | None, name: str) -> dict[str, Any] | None:
    """One object, or None if there is none of that name.

    Without permission to `get` it is read by `list`: `get` on every kind would include exec and proxies
    (docs/adr/0008).
    Raises: UnknownKind: the server does not serve the kind (any more). KubeError: it could not be read.
    """
    try:
        answer = await cluster.request("GET", resource.path(namespace, name))
    except NoSuchPath as error:
        raise unknown_kind(resource.kind, resource.api_version) from error
    except NotFound:
        return None
    except Forbidden as error:
        return await _get_by_list(cluster, resource, namespace, name, error)
    return checked_object(answer, resource, namespace, name)


async def _get_by_list(
    cluster: Cluster, resource: ApiResource, namespace: str | None, name: str, forbidden: Forbidden
) -> dict[str, Any] | None:
    query = {"fieldSelector": f"metadata.name={name}"}
    try:
        answer = await cluster.request("GET", resource.path(namespace), query=query)
    except KubeError:
        raise forbidden from None  # `get` is the permission that the user has to grant
    items, metadata = checked_page(answer, resource, namespace)
    found = next((item for item in items if item["metadata"]["name"] == name), None)
    if found is None and (items or metadata.get("continue")):
        raise KubeError(f"{resource.kind} {name!r} was asked for by a list, and the API server sent others")
    return found


async def apply(
    cluster: Cluster,
    resource: ApiResource,
    manifest: Mapping[str, Any],
    *,
    field_manager: str = FIELD_MANAGER,
    force: bool = True,
    dry_run: bool = False,
    live: Mapping[str, Any] | None = None,
    warnings: list[str] | None = None,
) -> dict[str, Any]:
    """Server-side apply: all that `field_manager` wants of an object; returns the resulting object.

    `force` takes over fields from other managers. `dry_run` includes admission and changes nothing. With `live`, only
    that version of that object is written, and none is created in its place. `warnings` receives the server's warnings
    (unknown fields, deprecated versions).

    Raises: Conflict: another manager owns a field, without `force`, or `live` is out of date. Invalid,
        Forbidden, NotFound (its namespace), UnknownKind, KubeError.
    """
    query = {"fieldManager": field_manager, "force": str(force).lower(), "fieldValidation": "Warn"}
    body = _without_server_fields(manifest)
    if live is not None:
        identity = {key: live["metadata"][key] for key in ("uid", "resourceVersion") if key in live["metadata"]}
        body = {**body, "metadata": {**body["metadata"], **identity}}
    return await _write(
        cluster,
        resource,
        "PATCH",
        _identity(resource, manifest),
        query,
        body,
        dry_run=dry_run,
        content_type=_APPLY_PATCH,
        idempotent=True,
        warnings=warnings,
    )


async def create(
    cluster: Cluster,
    resource: ApiResource,
    manifest: Mapping[str, Any],
    *,
    field_manager: str = FIELD_MANAGER,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Creates an object. Raises: Conflict: it exists (reason "AlreadyExists"); as `apply` otherwise."""
    query = {"fieldManager": field_manager}
    return await _write(cluster, resource, "POST", _identity(resource, manifest), query, manifest, dry_run=dry_run)


async def update(
    cluster: Cluster,
    resource: ApiResource,
    manifest: Mapping[str, Any],
    *,
    field_manager: str = FIELD_MANAGER,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Replaces an object; with metadata.resourceVersion set, only that version.

    Raises: Conflict: it has another version. NotFound: it does not exist. As `apply` otherwise.
    """
    query = {"fieldManager": field_manager}
    return await _write(cluster, resource, "PUT", _identity(resource, manifest), query, manifest, dry_run=dry_run)


async def json_patch(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    name: str,
    operations: Sequence[dict[str, Any]],
    *,
    field_manager: str = FIELD_MANAGER,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Executes the operations of a JSON patch (RFC 6902), all or none; returns the resulting object.

    For what server-side apply cannot do: remove a field whoever owns it. `dry_run` includes admission and changes
    nothing.

    Raises: Conflict: an operation sets another resourceVersion than the object has. Invalid: a `test` operation failed,
        or the result is not valid; NotFound, Forbidden, UnknownKind, KubeError.
    """
    query = {"fieldManager": field_manager}
    body = orjson.dumps(list(operations))
    return await _write(
        cluster, resource, "PATCH", (namespace, name), query, body, dry_run=dry_run, content_type=_JSON_PATCH
    )


async def delete(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    name: str,
    *,
    uid: str | None = None,
    resource_version: str | None = None,
    propagation: str = "Background",
    dry_run: bool = False,
) -> bool:
    """Deletes an object; False if there was none. Finalizers may keep it for longer.

    `uid` and `resource_version` are preconditions.

    Raises: Conflict: a precondition does not hold. Forbidden, UnknownKind, KubeError.
    """
    preconditions = {
        key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value is not None
    }
    options: dict[str, Any] = {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        **({"preconditions": preconditions} if preconditions else {}),
        **({"dryRun": ["All"]} if dry_run else {}),
    }
    try:
        await cluster.request("DELETE", resource.path(namespace, name), body=options)
    except NoSuchPath as error:
        raise unknown_kind(resource.kind, resource.api_version) from error
    except NotFound:
        return False
    return True


async def _write(
    cluster: Cluster,
    resource: ApiResource,
    method: str,
    key: ObjectKey,
    query: Mapping[str, str],
    body: bytes | Mapping[str, Any],
    *,
    dry_run: bool,
    content_type: str = "application/json",
    idempotent: bool = False,
    warnings: list[str] | None = None,
) -> dict[str, Any]:
    namespace, name = key
    try:
        answer = await cluster.request(
            method,
            resource.path(namespace, None if method == "POST" else name),
            query={**query, "dryRun": "All"} if dry_run else query,
            body=body,
            content_type=content_type,
            idempotent=idempotent,
            warnings=warnings,
        )
    except NoSuchPath as error:
        raise unknown_kind(resource.kind, resource.api_version) from error
    return checked_object(answer, resource, namespace, name)


def _without_server_fields(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A manifest without the metadata that an export of a live object contains, with which an apply fails."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping) or not _SERVER_FIELDS & metadata.keys():
        return manifest
    return {**manifest, "metadata": {key: value for key, value in metadata.items() if key not in _SERVER_FIELDS}}


def _identity(resource: ApiResource, manifest: Mapping[str, Any]) -> tuple[str | None, str]:
    metadata = manifest.get("metadata") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not name or (resource.namespaced and not namespace):
        raise Invalid(f"{resource.kind} {name or '(no name)'}: needs a {'namespace' if name else 'name'} to be written")
    return (str(namespace) if resource.namespaced else None), str(name)
