"""Looking at an app: what is declared against what is live, with Git's side of every difference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from driftd.attribution.blame import attribute
from driftd.attribution.history import Past
from driftd.attribution.lag import find_lag
from driftd.desired.state import Desired
from driftd.detect.assessor import Judge, Judged, SchemaAnswers
from driftd.detect.pods import with_pods
from driftd.diff.compare import Comparison, unknown
from driftd.diff.explain import Explanation
from driftd.git.mirror import Mirror
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import get
from driftd.live.api_reader import DirectReader, Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import Wanted, place
from driftd.model.app import App
from driftd.model.drift import Engine, Verdict
from driftd.model.errors import DriftdError, KubeError
from driftd.model.report import Report, Verdicts
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Survey:
    """Makes the reports on one app. Reads, and never writes (with the `server` engine: dry-runs)."""

    app: App
    view: ClusterView
    mirror: Mirror
    comparison: Comparison
    past: Past = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "past", Past(self.app, self.mirror))

    async def check(self, desired: Desired, now: datetime, reader: DirectReader | None = None) -> Report:
        """The report of one look at the cluster, straight from the API server. `reader` may have begun with it."""
        try:
            wanted = await place(desired.manifests, self.app, self.view)
        except KubeError as error:
            return self.unreadable(desired, error, now)
        judged = await self.judge(wanted, reader or DirectReader(self.view.cluster))
        return self.report(desired, await self.told(desired.revision, judged), now)

    async def judge(self, wanted: Sequence[Wanted], reader: Reader) -> list[Judged]:
        """Each object that is wanted against the live one, and workloads against their pods."""
        judged = await with_pods(await self._judge.judge(wanted, reader), reader, self.view)
        self.past.saw(judged)
        return judged

    async def told(self, revision: Revision, judged: Sequence[Judged]) -> tuple[Verdict, ...]:
        """The verdicts with Git's side: those that only lag said to be so, and the lines of what differs."""
        found = await find_lag(judged, self.comparison, self.past, revision)
        return await attribute(found, self.mirror, revision.sha)

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The types of some kinds."""
        return await self._judge.schemas(resources)

    @property
    def _judge(self) -> Judge:
        return Judge(self.view, self.comparison, self.app.engine)

    async def explain(self, one: Wanted) -> list[Explanation]:
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
        answer = await self.view.dry_runs.ask(one.manifest, one.resource, live) if asks else None
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
