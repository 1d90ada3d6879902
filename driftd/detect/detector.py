"""The detector: verdicts on the objects of one app."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment, Assessor, SchemaAnswers
from driftd.detect.deletion import with_deleted_namespaces
from driftd.detect.pods import with_pods
from driftd.diff.compare import Comparison, unknown_verdict
from driftd.diff.explain import Explanation
from driftd.diff.rules.conditions import counts_replicas
from driftd.kube.discovery import ApiResource
from driftd.kube.errors import is_refusal
from driftd.kube.objects import get
from driftd.live.admission import Admission
from driftd.live.api_reader import Reader
from driftd.live.autoscalers import AutoscalerReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.app import App
from driftd.model.drift import Verdict
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError, KubeError
from driftd.model.path import FieldPath
from driftd.model.plan import Mode
from driftd.model.report import Report, Verdicts
from driftd.model.resource import JsonObject
from driftd.policy.decide import Left, with_left


@dataclass(frozen=True, slots=True)
class Detector:
    """Assesses the objects of one app. It only reads (with the `server` engine, by dry-runs, too)."""

    app: App
    view: ClusterView
    comparison: Comparison

    async def assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        """Compares each declared object with the live one, and workloads with their pods."""
        assessments = await self._assessor.assess(items, reader)
        return await with_deleted_namespaces(await with_pods(assessments, reader, self.view), self.view)

    async def judge(self, item: MappedManifest, live: JsonObject | None) -> Verdict:
        """The verdict on one object as it has just been read, without its pods."""
        return await self._assessor.judge(item, live)

    async def assess_past(self, item: MappedManifest, versions: Sequence[JsonObject | None]) -> list[Assessment]:
        """Compares a declared object with versions that it had, without its pods."""
        return await self._assessor.assess_past(item, versions)

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The schemas of some kinds."""
        return await self._assessor.schemas(resources)

    @property
    def _assessor(self) -> Assessor:
        claims = self.app.deploys and self.app.mode is not Mode.OBSERVE
        return Assessor(self.view, self.comparison, self.app.engine, claims)

    async def explain(self, item: MappedManifest) -> list[Explanation]:
        """Every field of one object with its verdict.

        Raises: DriftdError: it does not exist, or cannot be read or assessed.
        """
        if item.resource is None or item.error is not None:
            raise DriftdError(item.error or f"{item.manifest.ref}: the cluster does not serve such objects")
        ref = item.manifest.ref
        live = await get(self.view.cluster, item.resource, ref.namespace, ref.name)
        if live is None:
            raise DriftdError(f"{ref} is missing: Git declares it, and it is not in the cluster")
        dry_run = None
        if self.app.engine is Engine.SERVER:
            try:
                dry_run = await self.view.dry_runs.dry_run(item.manifest, item.resource, live)
            except KubeError as error:
                if not is_refusal(error):
                    raise
        schema = await self.view.schema(item.resource)
        sides = (item.manifest, live, schema)
        has_status = item.resource.has_status
        verdict = self.comparison.verdict(*sides, status_is_server_owned=has_status, dry_run=dry_run)
        around = await self._assessor.surroundings(
            verdict, item.resource, live, AutoscalerReader(self.view), Admission(self.view)
        )
        explain = partial(
            self.comparison.explain, *sides,
            status_is_server_owned=has_status, dry_run=dry_run, autoscaler=around.autoscaler,
        )  # fmt: skip
        explanations = explain(admission=around.admission and around.admission_unread is None)
        reasons: dict[FieldPath, str] = {}
        if around.admission_unread is not None:
            certain = {each.path for each in explain(admission=True) if each.differs}
            reason = f"whether admission set it could not be read: {around.admission_unread}"
            reasons = {each.path: reason for each in explanations if each.differs and each.path not in certain}
        if around.autoscaler_unread is not None:
            unread = f"whether an autoscaler sets it could not be read: {around.autoscaler_unread}"
            reasons |= {each.path: unread for each in verdict.fields if counts_replicas(each)}
        explanations = [
            replace(each, verdict="unknown", rule=reasons[each.path]) if each.path in reasons else each
            for each in explanations
        ]
        if self.app.mode is Mode.OBSERVE:
            return explanations
        if around.autoscaler is not None:
            verdict = self.comparison.verdict(*sides, status_is_server_owned=has_status, autoscaler=around.autoscaler)
        marked = with_left(verdict, Left(), deploys=self.app.deploys)
        left = {one.path: marked.left_to or one.left_to for one in marked.fields}
        return [replace(each, left_to=left.get(each.path)) if each.differs else each for each in explanations]

    def report(self, desired: Desired, verdicts: Sequence[Verdict], now: datetime) -> Report:
        return Report(
            app=self.app.name,
            cluster=self.view.name,
            revision=desired.revision,
            verdicts=verdicts if isinstance(verdicts, Verdicts) else tuple(verdicts),
            time=now,
            error=desired.error,
            hooks=desired.hooks,
        )

    def unreadable(self, desired: Desired, error: KubeError, now: datetime) -> Report:
        """The report if the cluster as a whole cannot be read: every object is unknown."""
        return self.report(desired, [unknown_verdict(manifest, str(error)) for manifest in desired.manifests], now)
