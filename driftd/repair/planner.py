"""Acting on what a pass found: whether, why, on what, and not too often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.live.api_reader import Reader
from driftd.live.cache_reader import CacheReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import RestMapping
from driftd.model.app import App
from driftd.model.drift import Change, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.plan import Action, Mode, Plan, Trigger
from driftd.model.report import Report
from driftd.model.resource import JsonObject, ResourceRef
from driftd.policy.backoff import HealBackoff
from driftd.policy.decide import Decision, decide, sync_decision
from driftd.repair.executor import Executor, manifests_to_apply
from driftd.repair.target import Target
from driftd.store.store import Store

SYSTEM_ACTOR = "driftd"


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asked for. `to` is the revision of a rollback (None: the last good one), `release` ends a hold."""

    trigger: Trigger
    by: str
    to: str | None = None
    release: bool = False


class Repair:
    """Puts back what differs in one app, where its mode or a person says so."""

    def __init__(self, app: App, view: ClusterView, store: Store, now: Callable[[], datetime]) -> None:
        self._app = app
        self._view = view
        self._store = store
        self._now = now
        self._backoff = HealBackoff()
        self._healed = ""

    async def act(
        self, target: Target, report: Report, placement: RestMapping, reader: Reader, command: Command | None
    ) -> Action | None:
        """Writes what has to be written now, and records it. None: there is nothing, or it has to wait."""
        decision = self._decision(report, target, command)
        if not decision.act_on:
            return None
        trigger = _trigger(target, command)
        act_on = decision.act_on
        if command is None:
            if self._healed != target.desired.digest:  # what is new is not made to wait for an old fight
                self._healed = target.desired.digest
                self._backoff.reset()
            act_on = self._backoff.due(act_on, self._now())
            if not act_on:
                return None
            self._backoff.record(act_on, self._now())
        plan = Plan(
            app=self._app.name,
            trigger=trigger,
            revision=target.desired.revision.sha,
            manifests=manifests_to_apply(act_on, placement.mapped),
            by=command.by if command else SYSTEM_ACTOR,
        )
        wrote = reader.record_write if isinstance(reader, CacheReader) else _forget
        action = await Executor(self._view, self._app, self._now, wrote).run(plan, _extra_fields(act_on))
        await self._store.record_action(action)
        if trigger is Trigger.SYNC and not action.failed:
            self._backoff.reset()  # a deployment is no fight
        return action

    def wait(self, report: Report, now: datetime) -> timedelta | None:
        """How long until the first of what has to wait is due; None where nothing has to."""
        return self._backoff.wait(report.drifted, now)

    def _decision(self, report: Report, target: Target, ask: Command | None) -> Decision:
        rolled_back = target.hold is not None and target.hold.by == SYSTEM_ACTOR and self._app.mode is not Mode.OBSERVE
        if ask is not None or rolled_back:
            return sync_decision(report)
        return decide(self._app.mode, report)


def _trigger(target: Target, ask: Command | None) -> Trigger:
    if ask is not None:
        return ask.trigger
    return Trigger.SYNC if target.is_new else Trigger.HEAL


def _extra_fields(verdicts: Sequence[Verdict]) -> dict[ResourceRef, list[FieldPath]]:
    """The fields that somebody added: server-side apply alone would leave them."""
    return {
        verdict.ref: [drift.path for drift in verdict.fields if drift.change is Change.ADDED and not drift.of_pods]
        for verdict in verdicts
        if verdict.status is Status.DRIFTED
    }


def _forget(_ref: ResourceRef, _body: JsonObject) -> None:
    """Straight from the API server there is nothing to remember: the next reading asks it again."""
