"""Dry-runs: the same question about the same object has the same answer, for a while."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

import orjson

from driftd.kube.discovery import ApiResource
from driftd.kube.objects import FIELD_MANAGER, apply
from driftd.kube.rest_client import Cluster
from driftd.model.resource import JsonObject, Manifest, ResourceRef

_MAX_ENTRIES = 4096
"""So many answers are kept, the latest."""

_TTL_SECONDS = 300.0
"""Seconds for which an answer is believed: admission and defaults may change without the object."""

_Key = tuple[ResourceRef, str, bytes, str, str]


class DryRunCache:
    """Asks one API server, and remembers by manifest and by version of the object.

    What differs is judged again by every look at everything, and each answer costs the API server milliseconds.
    """

    def __init__(self, cluster: Cluster, now: Callable[[], float] = monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._known: OrderedDict[_Key, tuple[float, bytes]] = OrderedDict()

    async def dry_run(self, manifest: Manifest, resource: ApiResource, live: JsonObject) -> JsonObject:
        """What applying a manifest would make of its object, admission included. `live` is the object as it was read.

        Where the answer is of another version than `live`, that has changed meanwhile. Raises: KubeError.
        """
        key = (manifest.ref, manifest.api_version, manifest.digest, *_version(live))
        asked_at, packed = self._known.get(key, (None, b""))
        if asked_at is not None and self._now() - asked_at < _TTL_SECONDS:
            known: JsonObject = orjson.loads(zlib.decompress(packed))
            return known
        answer: JsonObject = await apply(
            self._cluster, resource, manifest.body, field_manager=FIELD_MANAGER, force=True, dry_run=True
        )
        if _version(answer) == _version(live):
            self._known[key] = (self._now(), zlib.compress(orjson.dumps(answer), 1))
            self._known.move_to_end(key)
            if len(self._known) > _MAX_ENTRIES:
                self._known.popitem(last=False)
        return answer


def _version(body: JsonObject) -> tuple[str, str]:
    metadata = body["metadata"]
    return str(metadata.get("uid")), str(metadata.get("resourceVersion"))
