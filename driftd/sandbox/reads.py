"""The verbs get and list, with selectors, pages and resource versions."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from dataclasses import dataclass

from driftd.sandbox.document import Object
from driftd.sandbox.resources.custom import CustomKind
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.selectors import Match, field_selector, label_selector, selected_name
from driftd.sandbox.status import ApiError, bad_request, expired, not_found
from driftd.sandbox.store import Name
from driftd.sandbox.world import World

_SNAPSHOTS = 64
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter."
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query parameters of a list or watch."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    match: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    objects: list[Object]
    resource_version: int
    continue_token: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that a list or watch selects."""

    namespace: str | None
    name: str | None
    labels: Match | None
    fields: Match | None

    @property
    def is_unfiltered(self) -> bool:
        return self.labels is None and self.fields is None

    def selects(self, obj: Object | None) -> bool:
        if obj is None or (self.namespace is not None and obj["metadata"].get("namespace", "") != self.namespace):
            return False
        if self.name is not None and obj["metadata"]["name"] != self.name:
            return False
        return (self.labels is None or self.labels(obj)) and (self.fields is None or self.fields(obj))


class Reads:
    """Reads objects of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._snapshots: OrderedDict[int, list[Object]] = OrderedDict()
        self._next_snapshot = 0

    def get(self, kind: Kind, name: Name) -> Object:
        obj = self._world.store.get(kind.resource.key, name)
        if obj is None:
            raise not_found(kind.resource.group, kind.resource.plural, name[1])
        return in_version(kind, obj)

    def selection(self, kind: Kind, namespace: str | None, options: ListOptions) -> Selection:
        resource = kind.resource
        extra = kind.selectable if isinstance(kind, CustomKind) else None
        return Selection(
            namespace,
            selected_name(options.fields),
            label_selector(options.labels),
            field_selector(options.fields, resource.group, resource.kind, extra),
        )

    def list_page(self, kind: Kind, namespace: str | None, options: ListOptions) -> ListPage:
        """One page of a list. Raises: ApiError: 410 if the page's snapshot has expired."""
        selection = self.selection(kind, namespace, options)
        if options.continue_token:
            return self._next_page(kind, options)
        self._check_version(options)
        objects = self.select(kind, selection)
        if not options.limit or len(objects) <= options.limit:
            return ListPage(objects, self._world.store.revision)
        return self._page(objects, 0, options.limit, self._world.store.revision, exact=selection.is_unfiltered)

    def select(self, kind: Kind, selection: Selection) -> list[Object]:
        collection = self._world.store.collection(kind.resource.key)
        if selection.name is not None and selection.namespace is not None:
            obj = collection.objects.get((selection.namespace, selection.name))
            return [in_version(kind, obj)] if obj is not None and selection.selects(obj) else []
        objects = (obj for _, obj in collection.in_namespace(selection.namespace))
        if not selection.is_unfiltered:
            return [in_version(kind, obj) for obj in objects if selection.selects(obj)]
        return [in_version(kind, obj) for obj in objects]

    def _page(self, objects: list[Object], start: int, limit: int, revision: int, *, exact: bool) -> ListPage:
        end = start + limit
        if end >= len(objects):
            return ListPage(objects[start:], revision)
        self._next_snapshot += 1
        self._snapshots[self._next_snapshot] = objects
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        token = {"v": "meta.k8s.io/v1", "rv": revision, "start": end, "snapshot": self._next_snapshot, "exact": exact}
        encoded = base64.urlsafe_b64encode(json.dumps(token).encode()).rstrip(b"=").decode()
        return ListPage(objects[start:end], revision, encoded, len(objects) - end if exact else None)

    def _next_page(self, kind: Kind, options: ListOptions) -> ListPage:
        try:
            padded = options.continue_token + "=" * (-len(options.continue_token) % 4)
            token = json.loads(base64.urlsafe_b64decode(padded))
            start, snapshot, revision = int(token["start"]), int(token["snapshot"]), int(token["rv"])
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request("continue key is not valid: illegal base64 data") from error
        if options.resource_version and options.resource_version != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        objects = self._snapshots.get(snapshot)
        if objects is None or revision < self._world.store.collection(kind.resource.key).oldest:
            raise expired(_TOO_OLD)
        return self._page(objects, start, options.limit or len(objects), revision, exact=bool(token.get("exact")))

    def _check_version(self, options: ListOptions) -> None:
        requested, revision = options.resource_version, self._world.store.revision
        if not requested or requested == "0":
            return
        if not requested.isdigit():
            raise invalid_version(requested)
        if int(requested) > revision:
            raise too_large(int(requested), revision)
        if options.match == "Exact" and int(requested) != revision:
            raise expired(f"The resourceVersion for the provided list is too old: only {revision} is kept")


def in_version(kind: Kind, obj: Object) -> Object:
    """A stored object in the requested version: the sandbox converts only apiVersion."""
    version = kind.resource.api_version
    return obj if obj["apiVersion"] == version else {**obj, "apiVersion": version}


def invalid_version(requested: str) -> ApiError:
    return bad_request(f'Invalid value: "{requested}": strconv.ParseUint: parsing "{requested}": invalid syntax')


def too_large(requested: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504, "Timeout", f"Timeout: Too large resource version: {requested}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1}, headers={"Retry-After": "1"},
    )  # fmt: skip
