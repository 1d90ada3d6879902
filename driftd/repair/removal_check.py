"""What taking out an added field would really do: the API server, or admission, may put another value in its place.

`kubectl scale` where Git leaves the replicas out is such a field: taken out, it would become 1. Nobody has chosen that.
Or it leaves something behind that the API server had set because of it: a NetworkPolicy with rules for `egress` is one
for Egress, and once the rules are gone, nothing may go out any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from time import monotonic

import structlog

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.diff.typed.schema import Schema
from driftd.kube.objects import json_patch
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import FIELD_MANAGER, Change, FieldDrift, Verdict
from driftd.model.errors import Forbidden, Invalid
from driftd.model.path import FieldPath, PathSet, format_path
from driftd.model.resource import Json, JsonObject, Manifest, ResourceRef
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


@dataclass(frozen=True, slots=True)
class _Aim:
    """An object as the API server would have it."""

    body: JsonObject
    schema: Schema | None


class RemovalCheck:
    """Asks the API server, by dry-runs, which added fields would have a value again if they were taken out.

    One request for each object with added fields that is about to be written. What comes back is known for five
    minutes.
    """

    def __init__(self, view: ClusterView, judge: Judge) -> None:
        self._view = view
        self._judge = judge
        self._answers: dict[ResourceRef, tuple[bytes, dict[FieldPath, _Answer]]] = {}

    def known(self, manifest: Manifest) -> Mapping[FieldPath, str]:
        """The added fields of an object that are known to be left, by this manifest, with whom they are left to."""
        return {path: answer.why for path, answer in self._known(manifest).items()}

    def _known(self, manifest: Manifest) -> Mapping[FieldPath, _Answer]:
        oldest = monotonic() - _TTL_SECONDS
        digest, answers = self._answers.get(manifest.ref, (b"", {}))
        if digest != manifest.digest:
            return {}
        return {path: answer for path, answer in answers.items() if answer.at > oldest}

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
        answers = {**self._known(item.manifest), **{path: _Answer(why, now) for path, why in found.items()}}
        self._answers[ref] = (item.manifest.digest, answers)
        for path in found:
            log.info("field left as it is: others would be wrong without it", object=str(ref), field=format_path(path))
        return found.keys()

    async def _found(
        self, verdict: Verdict, fields: tuple[FieldDrift, ...], item: MappedManifest, live: JsonObject
    ) -> Mapping[FieldPath, str]:
        """The added ones of `fields` that are not to be taken out, with whom they are left to, and why."""
        answer = await self._without(fields, item, live)
        if answer is None:
            return {}
        added = [field for field in fields if field.change is Change.ADDED]
        locator = Locator(answer.body, answer.schema)
        # What driftd has brought in is what Git declared before: that it declares it no more is a commit's.
        located = {each.path: locator.locate(each.path) for each in added if not _is_ours(each)}
        again = {path: it.value for path, it in located.items() if it is not None and it.value not in ({}, [], "")}
        found = {path: _why(value) for path, value in again.items()}
        behind = await self._left_behind(verdict, item, answer)
        changed = tuple(field for field in fields if field.change is not Change.ADDED)
        if behind and changed and (by_changes := await self._without(changed, item, live)) is not None:
            behind -= await self._left_behind(verdict, item, by_changes)
        if not behind:
            return found
        return dict.fromkeys([each.path for each in added if each.path[0] != "metadata"], _why_left(behind)) | found

    async def _without(self, fields: tuple[FieldDrift, ...], item: MappedManifest, live: JsonObject) -> _Aim | None:
        """The object as the API server would have it, if `fields` were put right; None where that changes nothing."""
        resource, ref = item.resource, item.manifest.ref
        assert resource is not None  # noqa: S101  # the object is there
        schema = await self._view.schema(resource)
        declared = normalise_manifest(item.manifest.body, status_is_server_owned=resource.has_status).body
        operations = await asyncio.to_thread(restoring_patch, live, declared, fields, schema)
        if not operations:
            return None
        body = await json_patch(self._view.cluster, resource, ref.namespace, ref.name, operations, dry_run=True)
        return _Aim(body, schema)

    async def _left_behind(self, verdict: Verdict, item: MappedManifest, aim: _Aim) -> set[str]:
        """What would differ from Git then, and does not yet."""
        before = PathSet(each.path for each in verdict.fields)
        after = (await self._judge(item, aim.body)).fields
        return {format_path(each.path) for each in after if not before.overlaps(each.path)}


def _is_ours(field: FieldDrift) -> bool:
    return field.by is not None and field.by.manager == FIELD_MANAGER


def _why_left(behind: Iterable[str]) -> str:
    them = ", ".join(sorted(behind))
    return f"people: without it, what came with it would be left behind, which Git does not declare either: {them}"


def _why(value: Json) -> str:
    """Texts and structures are not quoted: there may be a secret in them."""
    would = f"be {json.dumps(value)}" if isinstance(value, bool | int | float) else "have another value"
    return f"the API server: taken out, it would {would}, which Git does not declare either"
