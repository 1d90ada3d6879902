"""Carrying out a plan: server-side apply in order, each object verified by what the API server answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from driftd.kube.objects import FIELD_MANAGER, apply, get
from driftd.live.cluster import ClusterView
from driftd.live.mapping import GroupKind, MappedManifest, kinds_defined_by, map_manifests
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError, UnknownKind
from driftd.model.path import FieldPath
from driftd.model.plan import Action, Applied, Outcome, Plan
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.policy.waves import waves
from driftd.repair.field_removal import remove_fields

_SERVED_TIMEOUT = 15.0
"""Seconds that an API server may take to serve a CRD that was just applied."""


@dataclass(slots=True)
class Executor:
    """Applies plans to one cluster. `wrote` is called with every object as the API server answered."""

    view: ClusterView
    app: App
    now: Callable[[], datetime]
    on_write: Callable[[ResourceRef, JsonObject], None] = field(default=lambda _ref, _body: None)

    async def run(self, plan: Plan, extra: Mapping[ResourceRef, Sequence[FieldPath]] | None = None) -> Action:
        """Applies each manifest of a plan, then takes out the `extra` fields that Git does not declare.

        An object that fails is told in its outcome; the others go on, but nothing of a later wave that stands on a
        failed CRD or Namespace can succeed, and says so itself.
        """
        started = self.now()
        applied: list[Applied] = []
        brought = frozenset(kinds_defined_by(plan.manifests))
        for wave in waves(plan.manifests):
            applied += await asyncio.gather(*(self._one(manifest, brought, extra or {}) for manifest in wave))
        return Action(
            app=plan.app,
            trigger=plan.trigger,
            revision=plan.revision,
            by=plan.by,
            started=started,
            finished=self.now(),
            applied=tuple(applied),
        )

    async def _one(
        self, manifest: Manifest, brought: AbstractSet[GroupKind], extra: Mapping[ResourceRef, Sequence[FieldPath]]
    ) -> Applied:
        try:
            wanted = await self._served(manifest, brought)
            ref = wanted.manifest.ref
            assert wanted.resource is not None  # noqa: S101  # _served raises otherwise
            before = await get(self.view.cluster, wanted.resource, ref.namespace, ref.name)
            after: JsonObject = await apply(
                self.view.cluster, wanted.resource, wanted.manifest.body, field_manager=FIELD_MANAGER, force=True
            )
            if extra.get(ref):
                schema = await self.view.schema(wanted.resource)
                after = await remove_fields(self.view.cluster, wanted.resource, after, extra[ref], schema)
        except DriftdError as error:
            return Applied(manifest.ref, Outcome.FAILED, str(error))
        self.on_write(ref, after)
        return Applied(ref, _outcome(before, after))

    async def _served(self, manifest: Manifest, brought: AbstractSet[GroupKind]) -> MappedManifest:
        """The manifest with where it is served, once the API server has taken in the CRD that brings its kind."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SERVED_TIMEOUT
        while True:
            (wanted,) = await map_manifests([manifest], self.app, self.view)
            if wanted.resource is not None and wanted.error is None:
                return wanted
            if loop.time() > until or (manifest.ref.group, manifest.ref.kind) not in brought:
                raise UnknownKind(
                    wanted.error or f"the cluster does not serve {manifest.api_version} {manifest.ref.kind}"
                )
            await asyncio.sleep(0.25)
            await self.view.invalidate()


def _outcome(before: JsonObject | None, after: JsonObject) -> Outcome:
    if before is None:
        return Outcome.CREATED
    if before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion"):
        return Outcome.UNCHANGED
    return Outcome.CONFIGURED


def manifests_to_apply(verdicts: Sequence[Verdict], wanted: Iterable[MappedManifest]) -> tuple[Manifest, ...]:
    """The manifests of the objects that differ; of an object that does not, nothing is ever written."""
    differing = {v.ref for v in verdicts if v.status in (Status.DRIFTED, Status.MISSING)}
    return tuple(one.manifest for one in wanted if one.manifest.ref in differing)
