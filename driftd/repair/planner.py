"""From verdicts to a plan: what is written, why, and not too often."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.live.mapping import RestMapping
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.drift import Change, Verdict
from driftd.model.operation import Operation, Plan, PlannedWrite
from driftd.model.plan import SYSTEM_ACTOR, Action, Trigger
from driftd.model.report import Report
from driftd.model.resource import Manifest
from driftd.policy.backoff import HealBackoff
from driftd.policy.borders import Borders
from driftd.policy.decide import acts_unasked, repairable
from driftd.repair.target import Target

_TRIGGERS = {CommandKind.SYNC: Trigger.SYNC, CommandKind.ROLLBACK: Trigger.ROLLBACK}


class Planner:
    """Plans the repairs of one app. What driftd does by itself is slowed down by a backoff per difference."""

    def __init__(self, app: App, borders: Borders, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._app = app
        self._borders = borders
        self._now = now
        self._monotonic = monotonic
        self._backoff = HealBackoff()
        self._backoff_digest = ""

    def plan(self, target: Target, report: Report, mapping: RestMapping, command: Command | None = None) -> Plan | None:
        """What has to be written now. None: nothing, or all of it has to wait."""
        if command is None and not acts_unasked(self._app.mode, target.hold):
            return None
        verdicts = tuple([verdict for verdict in repairable(report) if self._borders.outside(verdict.ref) is None])
        if command is None:
            verdicts = self._due(target, verdicts)
        manifests = {item.manifest.ref: item.manifest for item in mapping.mapped}
        by_ref = {verdict.ref: verdict for verdict in verdicts}
        # In the order of the manifests; nothing is ever written to an object that does not differ.
        ordered = [(by_ref[ref], manifest) for ref, manifest in manifests.items() if ref in by_ref]
        if not ordered:
            return None
        plan = Plan(
            id=uuid.uuid4().hex,
            app=self._app.name,
            trigger=_trigger(target, command),
            revision=target.desired.revision.sha,
            by=command.by if command else SYSTEM_ACTOR,
            writes=(),
        )
        return _with_writes(plan, ordered, report.cluster, self._now())

    def record(self, action: Action) -> None:
        """Takes in an action: a deployment that succeeded starts the backoff anew."""
        if action.trigger is Trigger.SYNC and not action.failed:
            self._backoff.reset()

    def requeue_after(self, report: Report) -> timedelta | None:
        """How long until the first repair that has to wait is due; None where none has to."""
        return self._backoff.wait(report.drifted, self._elapsed())

    def _due(self, target: Target, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        if self._backoff_digest != target.desired.digest:  # a new revision does not wait for an old fight
            self._backoff_digest = target.desired.digest
            self._backoff.reset()
        due = self._backoff.due(verdicts, self._elapsed())
        if due:
            self._backoff.record(due, self._elapsed())
        return due

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=self._monotonic())


def _trigger(target: Target, command: Command | None) -> Trigger:
    if command is not None:
        return _TRIGGERS[command.kind]
    if not target.is_new:
        return Trigger.HEAL
    return Trigger.SYNC if target.hold is None else Trigger.ROLLBACK


def _with_writes(plan: Plan, ordered: list[tuple[Verdict, Manifest]], cluster: str, now: datetime) -> Plan:
    writes = tuple([_write(plan, verdict, manifest, cluster, now) for verdict, manifest in ordered])
    return Plan(plan.id, plan.app, plan.trigger, plan.revision, plan.by, writes)


def _write(plan: Plan, verdict: Verdict, manifest: Manifest, cluster: str, now: datetime) -> PlannedWrite:
    fields = tuple([field for field in verdict.fields if not field.of_pods])
    operation = Operation(
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
    )
    # Server-side apply alone would leave the fields that somebody added.
    return PlannedWrite(operation, manifest, tuple([f.path for f in fields if f.change is Change.ADDED]))
