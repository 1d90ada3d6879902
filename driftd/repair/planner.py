"""From verdicts to a plan: what is written, why, and not too often."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.errors import KubeError
from driftd.model.operation import Operation, Plan, PlannedWrite
from driftd.model.plan import SYSTEM_ACTOR, Action, Mode, Trigger
from driftd.model.report import Report
from driftd.model.resource import Manifest
from driftd.policy.backoff import HealBackoff
from driftd.policy.decide import acts_unasked, repairable, restorable
from driftd.repair.removal_check import RemovalCheck
from driftd.repair.siblings import Siblings
from driftd.repair.target import Target

log = structlog.get_logger(__name__)

_RECHECK_AFTER = timedelta(seconds=1)
"""How long until it is asked again what a removal would do, where there was no answer."""

_TRIGGERS = {CommandKind.SYNC: Trigger.SYNC, CommandKind.ROLLBACK: Trigger.ROLLBACK}


class Planner:
    """Plans the repairs of one app. What driftd does by itself is slowed down by a backoff per difference."""

    def __init__(
        self,
        app: App,
        removals: RemovalCheck,
        siblings: Siblings,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._now = now
        self._monotonic = monotonic
        self._removals = removals
        self._siblings = siblings
        self._backoff = HealBackoff()
        self._backoff_digest = ""
        self._unchecked = False
        self._planned: list[Verdict] = []

    async def plan(
        self,
        target: Target,
        report: Report,
        mapping: RestMapping,
        reader: Reader,
        command: Command | None = None,
    ) -> Plan | None:
        """What has to be written now. None: nothing, or all of it has to wait.

        `reader` has the objects as they were judged.
        """
        if self._app.mode is Mode.OBSERVE or (command is None and not acts_unasked(self._app.mode, target.hold)):
            return None
        self._unchecked = False
        verdicts = repairable(report)
        if command is None:
            verdicts = self._due(target, verdicts)
        by_ref = {verdict.ref: verdict for verdict in verdicts}
        # In the order of the manifests; nothing is ever written to an object that does not differ.
        ordered = [(by_ref[ref], item) for ref, item in mapping.by_ref.items() if ref in by_ref]
        fields = await asyncio.gather(*(self._fields(verdict, item, reader) for verdict, item in ordered))
        writes = [
            (verdict, item.manifest, planned)
            for (verdict, item), planned in zip(ordered, fields, strict=True)
            if planned or verdict.status is Status.MISSING
        ]
        if not writes:
            return None
        self._planned = [verdict for verdict, _, _ in writes] if command is None else []
        plan = Plan(
            id=uuid.uuid4().hex,
            app=self._app.name,
            trigger=_trigger(self._app, target, command),
            revision=target.desired.revision.sha,
            by=command.by if command else SYSTEM_ACTOR,
            writes=(),
        )
        plan = _with_writes(plan, writes, report.cluster, self._now())
        return plan if self._app.deploys else await self._with_deployers(plan, report, mapping, reader)

    def record(self, action: Action) -> None:
        """Takes in what came of the last plan: the next heal of the same waits, and a deployment that succeeded starts
        the backoff anew."""
        self._backoff.record(self._planned, self._elapsed())
        if action.trigger is Trigger.SYNC and not action.failed:
            self._backoff.reset()

    def requeue_after(self, report: Report) -> timedelta | None:
        """How long until the first repair that has to wait is due; None where none has to."""
        waits = (self._backoff.wait(report.drifted, self._elapsed()), _RECHECK_AFTER if self._unchecked else None)
        return min((wait for wait in waits if wait is not None), default=None)

    async def _fields(self, verdict: Verdict, item: MappedManifest, reader: Reader) -> tuple[FieldDrift, ...]:
        """The fields of a drifted object to put right, without those that the API server would choose anew."""
        fields = restorable(verdict)
        if not any(field.change is Change.ADDED for field in fields):
            return fields
        try:
            chosen_anew = await self._removals.chosen_anew(verdict, fields, item, reader)
        except KubeError as error:  # what is not known is not taken out
            log.info("removal not checked: it is for the next pass", object=str(verdict.ref), error=str(error))
            self._unchecked = True
            return ()
        return tuple(field for field in fields if field.path not in chosen_anew)

    async def _with_deployers(self, plan: Plan, report: Report, mapping: RestMapping, reader: Reader) -> Plan:
        """The plan with who is to own the missing objects: whoever deploys the others."""
        if all(write.operation.status is not Status.MISSING for write in plan.writes):
            return plan
        deployer = await self._siblings.deployer(report, mapping, reader)
        return replace(plan, writes=tuple([replace(write, deployer=deployer) for write in plan.writes]))

    def _due(self, target: Target, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        if self._backoff_digest != target.desired.digest:  # a new revision does not wait for an old fight
            self._backoff_digest = target.desired.digest
            self._backoff.reset()
        return self._backoff.due(verdicts, self._elapsed())

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=self._monotonic())


def _trigger(app: App, target: Target, command: Command | None) -> Trigger:
    if command is not None:
        return _TRIGGERS[command.kind]
    if not app.deploys or not target.is_new:
        return Trigger.HEAL
    return Trigger.SYNC if target.hold is None else Trigger.ROLLBACK


def _with_writes(
    plan: Plan, writes: list[tuple[Verdict, Manifest, tuple[FieldDrift, ...]]], cluster: str, now: datetime
) -> Plan:
    planned = tuple([
        PlannedWrite(_operation(plan, verdict, fields, cluster, now), manifest) for verdict, manifest, fields in writes
    ])  # fmt: skip
    return replace(plan, writes=planned)


def _operation(plan: Plan, verdict: Verdict, fields: tuple[FieldDrift, ...], cluster: str, now: datetime) -> Operation:
    return Operation(
        id=uuid.uuid4().hex,
        app=plan.app,
        cluster=cluster,
        plan=plan.id,
        trigger=plan.trigger,
        revision=plan.revision,
        by=plan.by,
        ref=verdict.ref,
        api_version=verdict.api_version,
        fields=fields,
        planned=now,
        status=verdict.status,
        source=verdict.source,
        deleted_by=verdict.by,
        taken_from=verdict.claim if verdict.status is Status.DRIFTED else None,
    )
