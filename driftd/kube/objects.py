"""Reading and writing objects, as the API server has them: decoded JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from driftd.kube.discovery import ApiResource
from driftd.kube.errors import NoSuchPath
from driftd.kube.rest_client import Cluster
from driftd.model.errors import Forbidden, Gone, Invalid, KubeError, NotFound, UnknownKind
from driftd.process.garbage_collector import OBJECTS_PER_YIELD, gc_paused

FIELD_MANAGER = "driftd"
_EXPORTED = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"})
_APPLY_PATCH = "application/apply-patch+yaml"  # the server reads JSON under it too, JSON being YAML
_LIST_RESTARTS = 3
_LIST_TIMEOUT = 60.0
_PAGE = 500
"""Objects of a list that are asked for at once."""

T = TypeVar("T")

Key = tuple[str | None, str]
"""The namespace and the name of an object, which are its own among those of its kind."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Every object of one collection at one `resource_version`, from which a watch can go on."""

    items: list[T] = field(repr=False)  # may be Secrets
    resource_version: str


async def get(cluster: Cluster, resource: ApiResource, namespace: str | None, name: str) -> dict[str, Any] | None:
    """One object, or None when there is none of that name.

    Where `get` is not allowed, `list` will do: `get` on every kind would open exec and proxies (docs/adr/0008).
    Raises: UnknownKind: the server does not serve the kind (any more). KubeError: it could not be read.
    """
    try:
        found = await cluster.request("GET", resource.path(namespace, name))
    except NoSuchPath as error:
        raise _not_served(resource) from error
    except NotFound:
        return None
    except Forbidden as refused:
        return await _the_one_listed(cluster, resource, namespace, name, refused)
    return _an_object(found, resource)


async def _the_one_listed(
    cluster: Cluster, resource: ApiResource, namespace: str | None, name: str, refused: Forbidden
) -> dict[str, Any] | None:
    query = {"fieldSelector": f"metadata.name={name}"}
    try:
        answer = await cluster.request("GET", resource.path(namespace), query=query)
    except KubeError:
        raise refused from None  # what was asked for is what the user has to allow
    for item in answer.get("items") or []:
        item["apiVersion"], item["kind"] = resource.api_version, resource.kind
        return _an_object(item, resource)
    return None


async def list_objects(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    *,
    label_selector: str | None = None,
    page_size: int = _PAGE,
) -> Listing[dict[str, Any]]:
    """The whole collection, of one namespace or of all (None), page by page, as of one moment.

    Where the server has forgotten that moment midway (410), the list starts anew, at last without pages.

    Raises: UnknownKind: the server does not serve the kind. KubeError: it could not be read as a whole.
    """
    return await list_each(
        cluster, resource, namespace, lambda item: item, label_selector=label_selector, page_size=page_size
    )


async def list_each(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    made_of: Callable[[dict[str, Any]], T],
    *,
    label_selector: str | None = None,
    page_size: int = _PAGE,
    on_page: Callable[[list[T]], None] | None = None,
    begun: Awaitable[Any] | None = None,
) -> Listing[T]:
    """As `list_objects`, of what is `made_of` each object: no more than a page of them is ever held decoded.

    `on_page` is given what was made of each page once it is there, and again of those of a list that starts anew.
    `begun` is the first page of this very list, if somebody has asked for it (`begin_list`).
    """
    for restart in range(_LIST_RESTARTS + 1):
        limit = page_size if restart < _LIST_RESTARTS else 0
        try:
            with gc_paused():
                return await _list_pages(cluster, resource, namespace, made_of, label_selector, limit, on_page, begun)
        except NoSuchPath as error:
            raise _not_served(resource) from error
        except Gone:
            if not limit:
                raise
            begun = None
    raise AssertionError("unreachable: the last attempt returns or raises")


def start_list(cluster: Cluster, resource: ApiResource, namespace: str | None) -> asyncio.Task[Any]:
    """Asks for the first page of a collection, for who does not know yet all that it wants of it. See `list_as`."""
    return asyncio.create_task(_asked(cluster, resource, namespace, {"limit": str(_PAGE)}))


async def apply(
    cluster: Cluster,
    resource: ApiResource,
    manifest: Mapping[str, Any],
    *,
    field_manager: str = FIELD_MANAGER,
    force: bool = True,
    dry_run: bool = False,
    field_validation: str = "Warn",
    warnings: list[str] | None = None,
) -> dict[str, Any]:
    """Server-side apply of a complete object; returns it as the server then has it.

    `force` takes fields over from other managers. `dry_run` asks the server, admission included, and changes nothing.
    `warnings` receives the server's remarks (unknown fields with "Warn", deprecated versions).

    Raises: Conflict: another manager owns a field, and no `force`. Invalid, Forbidden, NotFound (its namespace),
        UnknownKind, KubeError.
    """
    namespace, name = _identity(resource, manifest)
    query = {"fieldManager": field_manager, "force": str(force).lower(), "fieldValidation": field_validation}
    return await _write(
        cluster,
        resource,
        "PATCH",
        resource.path(namespace, name),
        query,
        _of_git(manifest),
        dry_run=dry_run,
        content_type=_APPLY_PATCH,
        idempotent=True,  # the same apply twice is one apply
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
    """Creates an object. Raises: Conflict: it is there already (reason "AlreadyExists"); as `apply` otherwise."""
    namespace, _ = _identity(resource, manifest)
    query = {"fieldManager": field_manager}
    return await _write(cluster, resource, "POST", resource.path(namespace), query, manifest, dry_run=dry_run)


async def update(
    cluster: Cluster,
    resource: ApiResource,
    manifest: Mapping[str, Any],
    *,
    field_manager: str = FIELD_MANAGER,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Replaces an object. With its metadata.resourceVersion set, only if nobody has changed it since.

    Raises: Conflict: somebody has. NotFound: it is gone. As `apply` otherwise.
    """
    namespace, name = _identity(resource, manifest)
    query = {"fieldManager": field_manager}
    return await _write(cluster, resource, "PUT", resource.path(namespace, name), query, manifest, dry_run=dry_run)


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
    """Deletes an object; False when there was none. It may live on until its finalizers are done.

    `uid` and `resource_version` are preconditions: delete that very object, as it was seen.

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
        raise _not_served(resource) from error
    except NotFound:
        return False
    return True


async def _list_pages(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    made_of: Callable[[dict[str, Any]], T],
    label_selector: str | None,
    limit: int,
    on_page: Callable[[list[T]], None] | None,
    begun: Awaitable[Any] | None,
) -> Listing[T]:
    query = {"limit": str(limit)} if limit else {}
    if label_selector:
        query["labelSelector"] = label_selector
    items: list[T] = []
    while True:
        page = await (begun or _asked(cluster, resource, namespace, query))
        begun = None
        listed, metadata = _page(page, cluster, resource)
        del page
        before = len(items)
        for count, item in enumerate(listed):
            if count % OBJECTS_PER_YIELD == OBJECTS_PER_YIELD - 1:
                await asyncio.sleep(0)
            items.append(made_of(item))
        del listed  # before the next page is decoded
        if on_page is not None:
            on_page(items[before:])
        token = metadata.get("continue")
        if not token:
            return Listing(items, str(metadata.get("resourceVersion") or ""))
        query["continue"] = token


async def _asked(cluster: Cluster, resource: ApiResource, namespace: str | None, query: Mapping[str, str]) -> Any:
    return await cluster.request("GET", resource.path(namespace), query=query, timeout=_LIST_TIMEOUT)


def _page(page: Any, cluster: Cluster, resource: ApiResource) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The objects of one page, and its own metadata. Raises: KubeError: it is no page of a list."""
    listed = page.get("items") if isinstance(page, dict) else None
    if not isinstance(listed, list | None) or not isinstance(page, dict) or "metadata" not in page:
        raise KubeError(f"cluster {cluster.name}: the list of {resource} is not a list")
    for item in listed or ():
        if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
            raise KubeError(f"cluster {cluster.name}: the list of {resource} holds something that is no object")
        # Lists of built-in kinds leave these two out of their items.
        item["apiVersion"], item["kind"] = resource.api_version, resource.kind
    return listed or [], page["metadata"] or {}


async def _write(
    cluster: Cluster,
    resource: ApiResource,
    method: str,
    path: str,
    query: Mapping[str, str],
    manifest: Mapping[str, Any],
    *,
    dry_run: bool,
    content_type: str = "application/json",
    idempotent: bool = False,
    warnings: list[str] | None = None,
) -> dict[str, Any]:
    try:
        written = await cluster.request(
            method,
            path,
            query={**query, "dryRun": "All"} if dry_run else query,
            body=manifest,
            content_type=content_type,
            idempotent=idempotent,
            warnings=warnings,
        )
    except NoSuchPath as error:
        raise _not_served(resource) from error
    return _an_object(written, resource)


def _of_git(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A manifest without what was exported along with it: of another object's life, for which an apply is refused."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping) or not _EXPORTED & metadata.keys():
        return manifest
    return {**manifest, "metadata": {key: value for key, value in metadata.items() if key not in _EXPORTED}}


def _identity(resource: ApiResource, manifest: Mapping[str, Any]) -> tuple[str | None, str]:
    metadata = manifest.get("metadata") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not name or (resource.namespaced and not namespace):
        raise Invalid(f"{resource.kind} {name or '(no name)'}: needs a {'namespace' if name else 'name'} to be written")
    return (str(namespace) if resource.namespaced else None), str(name)


def _an_object(answer: Any, resource: ApiResource) -> dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("metadata"), dict):
        raise KubeError(f"the API server answered with something that is no {resource.kind}")
    return answer


def _not_served(resource: ApiResource) -> UnknownKind:
    return UnknownKind(f"the cluster does not serve {resource.kind} of {resource.api_version} (any more)")
