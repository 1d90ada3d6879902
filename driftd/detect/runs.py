"""Jobs and Pods that have run to their end: one that is gone after it is done, and is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from driftd.detect.assessor import Assessment
from driftd.diff.compare import unknown_verdict
from driftd.health.runs import removes_itself, run_state, runs_to_an_end
from driftd.model.drift import Status
from driftd.model.health import Health, HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.model.run import Run, RunState

if TYPE_CHECKING:  # `driftd check` detects too, and needs no store: SQLAlchemy is slow to import
    from driftd.store.store import Store

_AS_DECLARED = (Status.IN_SYNC, Status.IGNORED)

_GONE = {RunState.COMPLETE: "it was complete, and is gone since", RunState.FAILED: "it has failed, and is gone since"}

_IN_DOUBT = (
    "it was running when it was last seen, and is gone: it may have finished and removed itself. driftd does not run "
    "it again; apply it by hand, or change its manifest"
)

LastSeen = Callable[[ResourceRef], JsonObject | None]
"""The last version of a Job or Pod that the watches saw being deleted; None where they saw none."""


def _unseen(_ref: ResourceRef) -> JsonObject | None:
    """Without watches, nobody saw anything."""
    return None


class Runs:
    """What is known of the runs of one app. It is in the store: a run is not repeated because driftd was restarted."""

    def __init__(self, app: str, store: Store, now: Callable[[], datetime]) -> None:
        self._app = app
        self._store = store
        self._now = now
        self._known: Mapping[ResourceRef, Run] | None = None

    async def resolve(self, assessments: list[Assessment], last_seen: LastSeen = _unseen) -> list[Assessment]:
        """The assessments, in which what has run to its end is not missing. Raises: StoreError."""
        concerned = [one for one in assessments if runs_to_an_end(one.verdict.ref)]
        if not concerned:
            return assessments
        missing = any(one.verdict.status is Status.MISSING for one in concerned)
        if self._known is None or missing:  # another process may have seen more
            self._known = await self._store.runs(self._app)
        seen = [run for one in concerned if (run := self._seen(one, last_seen)) is not None]
        if seen:
            await self._store.record_runs(self._app, seen)
            self._known = {**self._known, **{run.ref: run for run in seen}}
        return [self._resolved(one, self._known) for one in assessments]

    def _seen(self, assessment: Assessment, last_seen: LastSeen) -> Run | None:
        """What is new about a run, as long as it is that of the declared manifest."""
        assert self._known is not None  # noqa: S101  # `resolve` has read it
        verdict, digest = assessment.verdict, assessment.mapped.manifest.digest.hex()
        known = self._known.get(verdict.ref)
        known = known if known is not None and known.digest == digest else None
        if verdict.status in _AS_DECLARED:
            live = assessment.live
        elif verdict.status is Status.MISSING and known is not None and known.state is RunState.RUNNING:
            live = last_seen(verdict.ref)
        else:
            return None
        found = run_state(verdict.ref, live) if live is not None else None
        if found is None or (known is not None and known.state is found[0]):
            return None
        return Run(verdict.ref, digest, *found, self._now())

    @staticmethod
    def _resolved(assessment: Assessment, known: Mapping[ResourceRef, Run]) -> Assessment:
        verdict, manifest = assessment.verdict, assessment.mapped.manifest
        run = known.get(verdict.ref) if verdict.status is Status.MISSING else None
        if run is None or run.digest != manifest.digest.hex():
            return assessment
        if run.state is RunState.RUNNING:
            in_doubt = removes_itself(manifest.body)
            return replace(assessment, verdict=unknown_verdict(manifest, _IN_DOUBT)) if in_doubt else assessment
        state = HealthState.DEGRADED if run.state is RunState.FAILED else HealthState.HEALTHY
        message = _GONE[run.state] + (f": {run.message}" if run.message else "")
        done = replace(verdict, status=Status.IN_SYNC, health=state, health_message=message)
        return replace(assessment, verdict=done, health=Health(verdict.ref, state, message))
