"""Acting on what a pass found: whether, why, on what, and not too often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.live.api_reader import Reader
from driftd.live.cache_reader import CachedReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import Placement
from driftd.model.app import App
from driftd.model.drift import Change, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.plan import Action, Mode, Plan, Trigger
from driftd.model.report import Report
from driftd.model.resource import JsonObject, ResourceRef
from driftd.policy.backoff import Fights
from driftd.policy.decide import Decision, decide, sync_decision
from driftd.repair.executor import Executor, to_apply
from driftd.repair.target import Target
from driftd.store.store import Store

BY_ITSELF = "driftd"


@dataclass(frozen=True, slots=True)
class Ask:
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
        self._fights = Fights()
        self._healed = ""

    async def act(
        self, target: Target, report: Report, placement: Placement, reader: Reader, ask: Ask | None
    ) -> Action | None:
        """Writes what has to be written now, and records it. None: there is nothing, or it has to wait."""
        decision = self._decision(report, target, ask)
        if not decision.act_on:
            return None
        trigger = _trigger(target, ask)
        act_on = decision.act_on
        if ask is None:
            if self._healed != target.desired.digest:  # what is new is not made to wait for an old fight
                self._healed = target.desired.digest
                self._fights.forget()
            act_on = self._fights.due(act_on, self._now())
            if not act_on:
                return None
            self._fights.healed(act_on, self._now())
        plan = Plan(
            app=self._app.name,
            trigger=trigger,
            revision=target.desired.revision.sha,
            manifests=to_apply(act_on, placement.wanted),
            by=ask.by if ask else BY_ITSELF,
        )
        wrote = reader.wrote if isinstance(reader, CachedReader) else _forget
        action = await Executor(self._view, self._app, self._now, wrote).run(plan, _extra_fields(act_on))
        await self._store.record_action(action)
        if trigger is Trigger.SYNC and not action.failed:
            self._fights.forget()  # a deployment is no fight
        return action

    def wait(self, report: Report, now: datetime) -> timedelta | None:
        """How long until the first of what has to wait is due; None where nothing has to."""
        return self._fights.wait(report.drifted, now)

    def _decision(self, report: Report, target: Target, ask: Ask | None) -> Decision:
        rolled_back = target.hold is not None and target.hold.by == BY_ITSELF and self._app.mode is not Mode.OBSERVE
        if ask is not None or rolled_back:
            return sync_decision(report)
        return decide(self._app.mode, report)


def _trigger(target: Target, ask: Ask | None) -> Trigger:
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
