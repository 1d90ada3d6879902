"""Jobs and Pods that have run to their end: one that is gone after it is done, and is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from driftd.detect.assessor import Assessment
from driftd.diff.compare import unknown_verdict
from driftd.health.runs import removes_itself, run_state, runs_to_an_end
from driftd.model.app import App
from driftd.model.drift import Status
from driftd.model.health import Health, HealthState
from driftd.model.plan import Mode
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

_PRESUMED = "it removes itself once it has finished: whoever deploys it is taken to have run it"

LastSeen = Callable[[ResourceRef], JsonObject | None]
"""The last version of a Job or Pod that the watches saw being deleted; None where they saw none."""


def _unseen(_ref: ResourceRef) -> JsonObject | None:
    """Without watches, nobody saw anything."""
    return None


class Runs:
    """What is known of the runs of one app. It is in the store: a run is not repeated because driftd was restarted."""

    def __init__(self, app: App, store: Store, now: Callable[[], datetime]) -> None:
        self._deployed_by_others = is_deployed_by_others(app)
        self._app = app.name
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
        if self._deployed_by_others:
            assessments = with_presumed(assessments, self._known)
        seen = [run for one in concerned if (run := self._seen(one, last_seen)) is not None]
        seen += await self._found_deployed(assessments)
        if seen:
            await self._store.record_runs(self._app, seen)
            self._known = {**self._known, **{run.ref: run for run in seen}}
        return [self._resolved(one, self._known) for one in assessments]

    async def by_earlier(self, assessments: list[Assessment]) -> list[Assessment]:
        """The same of assessments by earlier manifests; nothing is recorded. Raises: StoreError."""
        missing = [one for one in assessments if one.verdict.status is Status.MISSING]
        if not any(runs_to_an_end(one.verdict.ref) for one in missing):
            return assessments
        known = await self._store.runs(self._app)
        return [self._resolved(one, known) for one in assessments]

    async def _found_deployed(self, assessments: list[Assessment]) -> list[Run]:
        """Jobs that somebody else has run before driftd came to deploy the app: all else that it declares is there.

        They are recorded as complete at the very first pass, so that driftd does not run them a second time.
        """
        assert self._known is not None  # noqa: S101  # `resolve` has read it
        gone = _removed_by_themselves(assessments, self._known)
        missing = [one for one in assessments if one.verdict.status is Status.MISSING]
        is_there = any(one.live is not None for one in assessments)
        if self._deployed_by_others or not gone or not is_there or len(missing) > len(gone):
            return []
        if await self._store.last_report(self._app) is not None:
            return []
        done = RunState.COMPLETE
        return [Run(one.verdict.ref, _digest(one), done, "as the app was found deployed", self._now()) for one in gone]

    def _seen(self, assessment: Assessment, last_seen: LastSeen) -> Run | None:
        """What is new about a run, as long as it is that of the declared manifest."""
        assert self._known is not None  # noqa: S101  # `resolve` has read it
        verdict, digest = assessment.verdict, _digest(assessment)
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
        return _done(assessment, state, _GONE[run.state] + (f": {run.message}" if run.message else ""))


def is_deployed_by_others(app: App) -> bool:
    """Whether driftd brings in nothing of what an app declares."""
    return not app.deploys or app.mode is Mode.OBSERVE


def with_presumed(assessments: list[Assessment], known: Mapping[ResourceRef, Run]) -> list[Assessment]:
    """The assessments of an app that others deploy, in which no Job is missing that removes itself and is not known.

    Unless nothing else of the app is there: then it was not deployed yet.
    """
    gone = {one.verdict.ref for one in _removed_by_themselves(assessments, known)}
    if len(assessments) > len(gone) and all(one.live is None for one in assessments):
        return assessments
    return [_done(one, HealthState.HEALTHY, _PRESUMED) if one.verdict.ref in gone else one for one in assessments]


def _removed_by_themselves(assessments: list[Assessment], known: Mapping[ResourceRef, Run]) -> list[Assessment]:
    """Missing Jobs that declare to be removed once they have finished, and of whose run nothing is known."""
    missing = [one for one in assessments if one.verdict.status is Status.MISSING and runs_to_an_end(one.verdict.ref)]
    unknown = [one for one in missing if (run := known.get(one.verdict.ref)) is None or run.digest != _digest(one)]
    return [one for one in unknown if removes_itself(one.mapped.manifest.body)]


def _digest(assessment: Assessment) -> str:
    return assessment.mapped.manifest.digest.hex()


def _done(assessment: Assessment, state: HealthState, message: str) -> Assessment:
    ref = assessment.verdict.ref
    verdict = replace(assessment.verdict, status=Status.IN_SYNC, health=state, health_message=message)
    return replace(assessment, verdict=verdict, health=Health(ref, state, message))
