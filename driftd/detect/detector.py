"""Verdicts on the objects of one app: what is declared against what is live."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment, Assessor, SchemaAnswers
from driftd.detect.pods import with_pods
from driftd.diff.compare import Comparison, unknown
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


@dataclass(frozen=True, slots=True)
class Detector:
    """Assesses the objects of one app. It reads and never writes (with the `server` engine: dry-runs)."""

    app: App
    view: ClusterView
    comparison: Comparison

    async def assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        """Each declared object against the live one, and workloads against their pods."""
        return await with_pods(await self._assessor.assess(items, reader), reader, self.view)

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The types of some kinds."""
        return await self._assessor.schemas(resources)

    @property
    def _assessor(self) -> Assessor:
        return Assessor(self.view, self.comparison, self.app.engine)

    async def explain(self, one: MappedManifest) -> list[Explanation]:
        """Every field of one object, and what is said of it.

        Raises: DriftdError: it is not there, or cannot be read or judged.
        """
        if one.resource is None or one.error is not None:
            raise DriftdError(one.error or f"{one.manifest.ref}: the cluster does not serve such objects")
        ref = one.manifest.ref
        live = await get(self.view.cluster, one.resource, ref.namespace, ref.name)
        if live is None:
            raise DriftdError(f"{ref} is missing: Git declares it, and it is not in the cluster")
        asks = self.app.engine is Engine.SERVER
        answer = await self.view.dry_runs.dry_run(one.manifest, one.resource, live) if asks else None
        schema = await self.view.schema(one.resource)
        return self.comparison.explain(
            one.manifest, live, schema, status_is_server_owned=one.resource.has_status, dry_run=answer
        )

    def report(self, desired: Desired, verdicts: Sequence[Verdict], now: datetime) -> Report:
        return Report(
            app=self.app.name,
            cluster=self.view.name,
            revision=desired.revision,
            verdicts=verdicts if isinstance(verdicts, Verdicts) else tuple(verdicts),
            time=now,
            error=desired.error,
        )

    def unreadable(self, desired: Desired, error: KubeError, now: datetime) -> Report:
        """The report where the cluster as a whole cannot be asked: nothing is known of any object."""
        return self.report(desired, [unknown(manifest, str(error)) for manifest in desired.manifests], now)
