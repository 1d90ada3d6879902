"""A cache of dry-run results by manifest and version of the object."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

import orjson

from driftd.kube.discovery import ApiResource
from driftd.kube.objects import apply
from driftd.kube.rest_client import Cluster
from driftd.model.drift import FIELD_MANAGER
from driftd.model.resource import JsonObject, Manifest, ResourceRef

_MAX_ENTRIES = 4096
"""Maximum number of cached results, the latest ones."""

_TTL_SECONDS = 300.0
"""Seconds for which a result is valid: admission and defaults may change without the object."""

_Key = tuple[ResourceRef, str, bytes, str, str]


class DryRunCache:
    """Dry-runs on one API server, cached by manifest and version of the object.

    Objects that differ are assessed again by every full pass, and each dry-run costs the API server milliseconds.
    """

    def __init__(self, cluster: Cluster, now: Callable[[], float] = monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._results: OrderedDict[_Key, tuple[float, bytes]] = OrderedDict()

    async def dry_run(self, manifest: Manifest, resource: ApiResource, live: JsonObject) -> JsonObject:
        """The object as applying a manifest would make it, admission included. `live` is the object as it was read.

        If the result has another version than `live`, the object has changed meanwhile. Raises: KubeError.
        """
        key = (manifest.ref, manifest.api_version, manifest.digest, *_version(live))
        cached_at, packed = self._results.get(key, (None, b""))
        if cached_at is not None and self._now() - cached_at < _TTL_SECONDS:
            cached: JsonObject = orjson.loads(zlib.decompress(packed))
            return cached
        result: JsonObject = await apply(
            self._cluster, resource, manifest.body, field_manager=FIELD_MANAGER, force=True, dry_run=True
        )
        if _version(result) == _version(live):
            self._results[key] = (self._now(), zlib.compress(orjson.dumps(result), 1))
            self._results.move_to_end(key)
            if len(self._results) > _MAX_ENTRIES:
                self._results.popitem(last=False)
        return result


def _version(body: JsonObject) -> tuple[str, str]:
    metadata = body["metadata"]
    return str(metadata.get("uid")), str(metadata.get("resourceVersion"))
