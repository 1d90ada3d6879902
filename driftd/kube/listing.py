"""LIST: a whole collection, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from driftd.kube.discovery import ApiResource
from driftd.kube.errors import NoSuchPath, unknown_kind
from driftd.kube.rest_client import Cluster
from driftd.model.errors import Gone, KubeError
from driftd.process.garbage_collector import gc_paused

OBJECTS_PER_YIELD = 64
"""Objects processed between two yields to the event loop: a few milliseconds."""

_MAX_RESTARTS = 3
_TIMEOUT = 60.0
_PAGE_SIZE = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T]):
    """Every object of one collection at one `resource_version`, from which a watch can continue."""

    items: list[T] = field(repr=False)  # may be Secrets
    resource_version: str


async def list_objects(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    *,
    label_selector: str | None = None,
    page_size: int = _PAGE_SIZE,
) -> ObjectList[dict[str, Any]]:
    """The collection of one namespace or of all (None), page by page, at one resource version.

    If that version expires midway (410), the list restarts, the last time without pages.

    Raises: UnknownKind: the server does not serve the kind. KubeError: it could not be read completely.
    """
    return await list_each(
        cluster, resource, namespace, lambda item: item, label_selector=label_selector, page_size=page_size
    )


async def list_each(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    transform: Callable[[dict[str, Any]], T],
    *,
    label_selector: str | None = None,
    page_size: int = _PAGE_SIZE,
    on_page: Callable[[list[T]], None] | None = None,
    first_page: Awaitable[Any] | None = None,
) -> ObjectList[T]:
    """As `list_objects`, with `transform` applied to each object: only one page is decoded at a time.

    `on_page` receives the transformed objects of each page, and once more those of a list that restarts.
    `first_page` is the first page of this list if it was requested before (`start_list`).
    """
    for restart in range(_MAX_RESTARTS + 1):
        limit = page_size if restart < _MAX_RESTARTS else 0
        try:
            with gc_paused():
                return await _list_pages(
                    cluster, resource, namespace, transform, label_selector, limit, on_page, first_page
                )
        except NoSuchPath as error:
            raise unknown_kind(resource.kind, resource.api_version) from error
        except Gone:
            if not limit:
                raise
            first_page = None
    raise AssertionError("unreachable: the last attempt returns or raises")


def start_list(cluster: Cluster, resource: ApiResource, namespace: str | None) -> asyncio.Task[Any]:
    """Requests the first page of a collection ahead of `list_each`, which takes it as `first_page`."""
    return asyncio.create_task(_request_page(cluster, resource, namespace, {"limit": str(_PAGE_SIZE)}))


async def _list_pages(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    transform: Callable[[dict[str, Any]], T],
    label_selector: str | None,
    limit: int,
    on_page: Callable[[list[T]], None] | None,
    first_page: Awaitable[Any] | None,
) -> ObjectList[T]:
    query = {"limit": str(limit)} if limit else {}
    if label_selector:
        query["labelSelector"] = label_selector
    items: list[T] = []
    while True:
        page = await (first_page or _request_page(cluster, resource, namespace, query))
        first_page = None
        objects, metadata = _parse_page(page, cluster, resource)
        del page
        before = len(items)
        for count, item in enumerate(objects):
            if count % OBJECTS_PER_YIELD == OBJECTS_PER_YIELD - 1:
                await asyncio.sleep(0)
            items.append(transform(item))
        del objects  # before the next page is decoded
        if on_page is not None:
            on_page(items[before:])
        token = metadata.get("continue")
        if not token:
            return ObjectList(items, str(metadata.get("resourceVersion") or ""))
        query["continue"] = token


async def _request_page(
    cluster: Cluster, resource: ApiResource, namespace: str | None, query: Mapping[str, str]
) -> Any:
    return await cluster.request("GET", resource.path(namespace), query=query, timeout=_TIMEOUT)


def _parse_page(page: Any, cluster: Cluster, resource: ApiResource) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The objects and the list metadata of one page. Raises: KubeError: it is not a page of a list."""
    items = page.get("items") if isinstance(page, dict) else None
    if not isinstance(items, list | None) or not isinstance(page, dict) or "metadata" not in page:
        raise KubeError(f"cluster {cluster.name}: the list of {resource} is not a list")
    for item in items or ():
        if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
            raise KubeError(f"cluster {cluster.name}: the list of {resource} holds something that is no object")
        # Lists of built-in kinds omit both from their items.
        item["apiVersion"], item["kind"] = resource.api_version, resource.kind
    return items or [], page["metadata"] or {}
