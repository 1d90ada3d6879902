"""What taking out an added field would really do: the API server, or admission, may put another value in its place.

`kubectl scale` where Git leaves the replicas out is such a field: taken out, it would become 1. Nobody has chosen that.
Or it leaves something behind that the API server had set because of it: a NetworkPolicy with rules for `egress` is one
for Egress, and once the rules are gone, nothing may go out any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from time import monotonic

import structlog

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.kube.objects import json_patch
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Change, FieldDrift, Verdict
from driftd.model.errors import Forbidden, Invalid
from driftd.model.path import FieldPath, PathSet, format_path
from driftd.model.resource import Json, JsonObject, ResourceRef
from driftd.repair.object_patch import restoring_patch
from driftd.repair.object_writer import Judge

log = structlog.get_logger(__name__)

_TTL_SECONDS = 300.0
"""Seconds for which an answer is valid: what a type defaults to changes seldom."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Why a field is left as it is, and when that was found, in seconds of the monotonic clock."""

    why: str
    at: float


class RemovalCheck:
    """Asks the API server, by dry-runs, which added fields would have a value again if they were taken out.

    One request for each object with added fields that is about to be written. What comes back is known for five
    minutes.
    """

    def __init__(self, view: ClusterView, judge: Judge) -> None:
        self._view = view
        self._judge = judge
        self._answers: dict[ResourceRef, dict[FieldPath, _Answer]] = {}

    def known(self, ref: ResourceRef) -> Mapping[FieldPath, str]:
        """The added fields of an object that are known to come back, with whom they are left to, and why."""
        oldest = monotonic() - _TTL_SECONDS
        return {path: answer.why for path, answer in self._answers.get(ref, {}).items() if answer.at > oldest}

    async def chosen_anew(
        self, verdict: Verdict, fields: tuple[FieldDrift, ...], item: MappedManifest, reader: Reader
    ) -> AbstractSet[FieldPath]:
        """The added ones of `fields` that are not to be taken out, if all of `fields` were put right: those that would
        have a value again, and all but metadata, if something would be left behind that does not differ from Git yet.

        `verdict` is that on the object, of which `fields` are to be put right. None of them, if the API server refuses
        that: then it will refuse the write, too, and say why.
        Raises: Conflict: the object has changed since it was judged. KubeError: the API server could not be asked.
        """
        ref = item.manifest.ref
        live = (await reader.read([item]))[ref].body
        if live is None:
            return set()  # it is gone, or cannot be read: so the write will find
        try:
            found = await self._found(verdict, fields, item, live)
        except (Invalid, Forbidden):
            return set()
        now = monotonic()
        known = {path: answer for path, answer in self._answers.get(ref, {}).items() if now - answer.at < _TTL_SECONDS}
        self._answers[ref] = known | {path: _Answer(why, now) for path, why in found.items()}
        for path in found:
            log.info("field left as it is: others would be wrong without it", object=str(ref), field=format_path(path))
        return found.keys()

    async def _found(
        self, verdict: Verdict, fields: tuple[FieldDrift, ...], item: MappedManifest, live: JsonObject
    ) -> Mapping[FieldPath, str]:
        """The added ones of `fields` that are not to be taken out, with whom they are left to, and why."""
        resource, ref = item.resource, item.manifest.ref
        assert resource is not None  # noqa: S101  # the object is there
        schema = await self._view.schema(resource)
        declared = normalise_manifest(item.manifest.body, status_is_server_owned=resource.has_status).body
        operations = await asyncio.to_thread(restoring_patch, live, declared, fields, schema)
        if not operations:
            return {}
        answer = await json_patch(self._view.cluster, resource, ref.namespace, ref.name, operations, dry_run=True)
        added = [field.path for field in fields if field.change is Change.ADDED]
        locator = Locator(answer, schema)
        located = {path: locator.locate(path) for path in added}
        again = {path: it.value for path, it in located.items() if it is not None and it.value not in ({}, [], "")}
        found = {path: _why(value) for path, value in again.items()}
        before = PathSet(each.path for each in verdict.fields)
        after = (await self._judge(item, answer)).fields
        behind = [format_path(each.path) for each in after if not before.overlaps(each.path)]
        if not behind:
            return found
        return dict.fromkeys([path for path in added if path[0] != "metadata"], _why_left(behind)) | found


def _why_left(behind: Sequence[str]) -> str:
    them = ", ".join(behind)
    return f"people: without it, what came with it would be left behind, which Git does not declare either: {them}"


def _why(value: Json) -> str:
    """Texts and structures are not quoted: there may be a secret in them."""
    would = f"be {json.dumps(value)}" if isinstance(value, bool | int | float) else "have another value"
    return f"the API server: taken out, it would {would}, which Git does not declare either"
