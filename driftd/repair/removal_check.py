"""What taking out an added field would really do: the API server, or admission, may put another value in its place.

`kubectl scale` where Git leaves the replicas out is such a field: taken out, it would become 1. Nobody has chosen that.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from time import monotonic

import structlog

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.kube.objects import json_patch
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import Forbidden, Invalid
from driftd.model.path import FieldPath, format_path
from driftd.model.resource import JsonObject, ResourceRef
from driftd.repair.object_patch import object_patch
from driftd.repair.restored_object import restored_object

log = structlog.get_logger(__name__)

_TTL_SECONDS = 300.0
"""Seconds for which an answer is valid: what a type defaults to changes seldom."""


class RemovalCheck:
    """Asks the API server, by dry-runs, which added fields would have a value again if they were taken out.

    One request for each object with added fields that is about to be written; none for fields that are known to come
    back, which are asked about again after five minutes.
    """

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._chosen_anew: dict[tuple[ResourceRef, FieldPath], float] = {}

    async def chosen_anew(
        self, fields: tuple[FieldDrift, ...], item: MappedManifest, reader: Reader
    ) -> AbstractSet[FieldPath]:
        """The added ones of `fields` that would have a value again, if all of `fields` were put right.

        None of them, if the API server refuses that: then it will refuse the write, too, and say why.
        Raises: Conflict: the object has changed since it was judged. KubeError: the API server could not be asked.
        """
        ref, added = item.manifest.ref, [field.path for field in fields if field.change is Change.ADDED]
        now = monotonic()
        self._chosen_anew = {key: at for key, at in self._chosen_anew.items() if now - at < _TTL_SECONDS}
        known = {path for path in added if (ref, path) in self._chosen_anew}
        if len(known) == len(added):
            return known
        live = (await reader.read([item]))[ref].body
        if live is None:
            return set()  # it is gone, or cannot be read: so the write will find
        try:
            found = await self._without(fields, item, live)
        except (Invalid, Forbidden):
            return known
        for path in found:
            log.info(
                "field left as it is: taken out, it would have another value", object=str(ref), field=format_path(path)
            )
            self._chosen_anew[ref, path] = now
        return found

    async def _without(self, fields: tuple[FieldDrift, ...], item: MappedManifest, live: JsonObject) -> set[FieldPath]:
        resource, ref = item.resource, item.manifest.ref
        assert resource is not None  # noqa: S101  # the object is there
        schema = await self._view.schema(resource)
        declared = normalise_manifest(item.manifest.body, status_is_server_owned=resource.has_status).body
        operations = object_patch(live, restored_object(live, declared, fields, schema))
        if not operations:
            return set()
        answer = await json_patch(self._view.cluster, resource, ref.namespace, ref.name, operations, dry_run=True)
        added = [field.path for field in fields if field.change is Change.ADDED]
        locator = Locator(answer, schema)
        located = {path: locator.locate(path) for path in added}
        return {path for path, there in located.items() if there is not None and there.value not in ({}, [], "")}
