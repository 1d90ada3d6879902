"""The detector: verdicts on the objects of one app."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment, Assessor, SchemaAnswers, is_refusal
from driftd.detect.deletion import with_deleted_namespaces
from driftd.detect.pods import with_pods
from driftd.diff.compare import Comparison, unknown_verdict
from driftd.diff.explain import Explanation
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import get
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.app import App
from driftd.model.drift import Verdict
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError, KubeError
from driftd.model.report import Report, Verdicts
from driftd.model.resource import JsonObject


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

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The schemas of some kinds."""
        return await self._assessor.schemas(resources)

    @property
    def _assessor(self) -> Assessor:
        return Assessor(self.view, self.comparison, self.app.engine)

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
        return self.comparison.explain(
            item.manifest, live, schema, status_is_server_owned=item.resource.has_status, dry_run=dry_run
        )

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
