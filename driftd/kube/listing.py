"""LIST: a whole collection, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from driftd.kube.answers import checked_page
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
_MAX_PAGES = 10_000

T = TypeVar("T")


class _BrokenPages(KubeError):
    """The pages of a list do not make one list."""


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

    If that version expires midway (410), or if the pages do not make one list, the list restarts, the last time without
    pages.

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
        except (Gone, _BrokenPages):
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
    pages = _Pages(resource)
    while True:
        page = await (first_page or _request_page(cluster, resource, namespace, query))
        first_page = None
        objects, metadata = checked_page(page, resource, namespace)
        del page
        pages.add(objects, metadata)
        before = len(items)
        for count, item in enumerate(objects):
            if count % OBJECTS_PER_YIELD == OBJECTS_PER_YIELD - 1:
                await asyncio.sleep(0)
            items.append(transform(item))
        del objects  # before the next page is decoded
        if on_page is not None:
            on_page(items[before:])
        if not pages.token:
            pages.require_complete()
            return ObjectList(items, pages.resource_version)
        query["continue"] = pages.token


class _Pages:
    """The pages of one list so far: that they go on, are of one version, and hold each object once."""

    def __init__(self, resource: ApiResource) -> None:
        self.token = ""
        self.resource_version = ""
        self._resource = resource
        self._uids: set[str] = set()
        self._tokens: set[str] = set()
        self._announced: int | None = None

    def add(self, objects: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> None:
        """Takes in a page. Raises: KubeError: it does not belong to those before."""
        version, token, remaining = (metadata.get(key) for key in ("resourceVersion", "continue", "remainingItemCount"))
        if not version or not isinstance(version, str) or not isinstance(token, str | None):
            raise KubeError(f"the API server sent a list of {self._resource} without a resourceVersion")
        before = len(self._uids)
        self._uids.update([item["metadata"]["uid"] for item in objects])
        if len(self._uids) - before != len(objects) or token in self._tokens:
            raise _BrokenPages(f"the API server sent the same part of the list of {self._resource} twice")
        if self.resource_version not in ("", version):
            raise _BrokenPages(f"the API server sent pages of two lists of {self._resource}")
        if len(self._tokens) >= _MAX_PAGES:
            raise KubeError(f"the API server sends pages of {self._resource} without an end")
        self.resource_version, self.token = version, token or ""
        if token:
            self._tokens.add(token)
        if isinstance(remaining, int):
            self._announced = len(self._uids) + remaining

    def require_complete(self) -> None:
        """Raises: KubeError: there were fewer objects than a page announced."""
        if self._announced is not None and len(self._uids) < self._announced:
            missing = self._announced - len(self._uids)
            raise _BrokenPages(f"the API server ended the list of {self._resource} {missing} objects too early")


async def _request_page(
    cluster: Cluster, resource: ApiResource, namespace: str | None, query: Mapping[str, str]
) -> Any:
    return await cluster.request("GET", resource.path(namespace), query=query, timeout=_TIMEOUT)
