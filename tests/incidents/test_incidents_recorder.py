"""The recorder: passes open, change and resolve incidents, and people are notified of each transition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.incidents.findings import PassRecord
from driftd.incidents.recorder import Recorder
from driftd.model.drift import Status
from driftd.model.health import Health, HealthState
from driftd.model.incident import IncidentType
from driftd.model.operation import Operation
from driftd.model.plan import Action, Trigger
from driftd.model.report import Report
from driftd.model.resource import Manifest, digest
from driftd.model.revision import Revision
from driftd.store import HistoryKind, Store
from tests.support.samples import (
    T0,
    action,
    ailing,
    drifted,
    failed,
    hold,
    manifest,
    operation,
    report,
    revision,
    verdict,
    wrote,
)

IN_SYNC = report(verdict(Status.IN_SYNC))
DRIFTED = report(drifted())
UNKNOWN = report(verdict(Status.UNKNOWN))
BROKEN = report(error="app/bad.yaml:3:1: not YAML")


class Passes:
    """A recorder, a store, and its notifications: `drift opened`, `drift resolved (healed)` and so on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wakes = 0
        self.time = T0
        self.pass_again_in: timedelta | None = None
        self.declares = "1"
        self.recorder = Recorder(store, ["chat"], self.now, self._woken, monotonic=self.monotonic)

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def monotonic(self) -> float:
        return (self.time - T0).total_seconds()

    def _woken(self) -> None:
        self.wakes += 1

    async def record(
        self,
        before: Report,
        after: Report | None = None,
        *,
        health: Sequence[Health] = (),
        action: Action | None = None,
        trigger: Trigger = Trigger.HEAL,
        writes: Sequence[Operation] = (),
        **more: Any,
    ) -> list[str]:
        """Records one pass, in which the action wrote what differed before; returns its notifications."""
        count = len(await self.notifications())
        outcomes = {applied.ref: applied.outcome for applied in action.applied} if action is not None else {}
        own = [operation(one, outcomes[one.ref], trigger) for one in before.drifted if one.ref in outcomes]
        writes = [*writes, *own]
        after = after or before
        manifests = {v.ref: self.manifest(v.ref.name) for v in after.verdicts if v.status is not Status.ORPHANED}
        if after.revision is not None:
            await self.store.record_revision("web", after.revision, digest(manifests.values()), [*manifests.values()])
        unread = {v.ref for v in after.verdicts if v.status is Status.UNKNOWN}
        unverified = tuple([one for one in writes if one.ref in unread])
        record = PassRecord(
            after, tuple(health), action, tuple([one for one in writes if one not in unverified]),
            unverified=unverified, **{"declared": manifests.get, **more},
        )  # fmt: skip
        self.pass_again_in = await self.recorder.record_pass(record)
        return (await self.notifications())[count:]

    def manifest(self, name: str = "web") -> Manifest:
        """What Git declares of an object now."""
        return manifest("ConfigMap", name, data={"a": self.declares}).in_namespace("web")

    async def notifications(self, app: str = "web") -> list[str]:
        entries = [e for e in await self.store.history(app, 500) if e.kind is HistoryKind.INCIDENT]
        return [
            f"{e.details['type']} {e.details['event']}"
            + (f" ({e.details['resolution']})" if e.details["resolution"] else "")
            for e in reversed(entries)
        ]

    async def open(self, app: str = "web") -> set[IncidentType]:
        return {incident.type for incident in await self.store.open_incidents(app)}


@pytest.fixture
async def passes(tmp_path: Path) -> AsyncIterator[Passes]:
    store = await Store.open(f"sqlite:///{tmp_path / 'history.db'}", clock=lambda: T0)
    yield Passes(store)
    await store.close()


async def test_drift_is_notified_once_and_its_resolution_once(passes: Passes) -> None:
    """However many passes find it; each notification wakes the dispatcher."""
    assert await passes.record(DRIFTED) == ["drift opened"]
    assert await passes.record(DRIFTED) == []
    passes.time += timedelta(seconds=10)
    assert await passes.record(report(drifted(live="another"))) == ["drift changed"]
    assert await passes.record(IN_SYNC) == ["drift resolved (reverted)"]
    assert await passes.record(IN_SYNC) == []
    assert passes.wakes == 3


async def test_many_edits_in_a_row_are_one_message(passes: Passes) -> None:
    """The first is sent at once; later ones within seconds are combined, and another pass is requested for them."""
    assert await passes.record(DRIFTED) == ["drift opened"]
    for value in ("a", "b", "c"):
        assert await passes.record(report(drifted(live=value))) == []
    assert passes.pass_again_in is not None
    passes.time += passes.pass_again_in
    assert await passes.record(report(drifted(live="c"))) == ["drift changed"]
    assert passes.pass_again_in is None
    (incident,) = await passes.store.open_incidents("web")
    assert [field.live for field in incident.resources[0].fields] == ["c"]


async def test_a_resolution_is_notified_at_once(passes: Passes) -> None:
    """However recent the last change is."""
    assert await passes.record(DRIFTED) == ["drift opened"]
    assert await passes.record(report(drifted(live="another"))) == []
    assert await passes.record(IN_SYNC) == ["drift resolved (reverted)"]


async def test_nobody_is_notified_before_enrichment_is_done(passes: Passes) -> None:
    """The report is stored, and the notification comes with the lines in Git."""
    assert await passes.record(DRIFTED, settled=False) == []
    last = await passes.store.last_report("web")
    assert last is not None
    assert [verdict.status for verdict in last.drifted] == [Status.DRIFTED]
    assert await passes.record(DRIFTED) == ["drift opened"]


async def test_drift_that_is_gone_before_enrichment_is_done_is_still_notified(passes: Passes) -> None:
    """With its opening and its resolution: a change for a moment is reported, too."""
    assert await passes.record(DRIFTED, settled=False) == []
    assert await passes.record(IN_SYNC) == ["drift opened", "drift resolved (reverted)"]
    assert await passes.record(IN_SYNC) == []


async def test_a_command_and_the_daemon_that_find_the_same_open_one_incident(passes: Passes) -> None:
    """`driftd rollback` and the daemon's own pass may record it at the same time; people are notified once."""
    other = Recorder(passes.store, ["chat"], passes.now, lambda: None, monotonic=passes.monotonic)
    held = hold()
    await asyncio.gather(
        *(
            recorder.record_pass(PassRecord(IN_SYNC, hold=held))
            for recorder in (passes.recorder, other, passes.recorder, other)
        )
    )
    assert await passes.notifications() == ["rollback opened"]


async def test_drift_that_is_healed_within_one_pass_is_opened_and_resolved(passes: Passes) -> None:
    """People are notified of a quick repair, with its drift."""
    assert await passes.record(DRIFTED, IN_SYNC, action=action(wrote())) == ["drift opened", "drift resolved (healed)"]
    last = [e for e in await passes.store.history("web") if e.kind is HistoryKind.VERDICT]
    assert await passes.open() == set()
    assert all(entry.details["in_sync"] for entry in last)


async def test_the_objects_of_a_new_revision_are_no_drift(passes: Passes) -> None:
    """The pass that deploys a commit finds everything missing, and nobody is notified."""
    missing = report(verdict(Status.MISSING))
    assert await passes.record(missing, IN_SYNC, action=action(wrote()), trigger=Trigger.SYNC) == []


async def test_the_failed_part_of_a_rollout_is_drift(passes: Passes) -> None:
    """Only this part: the rest was the commit."""
    before = report(verdict(Status.MISSING, "a"), verdict(Status.MISSING, "b"))
    after = report(verdict(Status.IN_SYNC, "a"), verdict(Status.MISSING, "b"))
    notifications = await passes.record(before, after, action=action(wrote("a"), failed("b")), trigger=Trigger.SYNC)
    assert notifications == ["drift opened", "sync_failed opened"]
    (incident,) = [i for i in await passes.store.open_incidents("web") if i.type is IncidentType.DRIFT]
    assert [v.ref.name for v in incident.resources] == ["b"]


async def test_a_commit_that_declares_what_is_live_accepts_the_drift(passes: Passes) -> None:
    """The edit went into Git."""
    await passes.record(DRIFTED)
    passes.declares = "by hand"
    assert await passes.record(report(verdict(Status.IN_SYNC), number=2)) == ["drift resolved (accepted)"]


async def test_a_commit_in_between_that_changed_nothing_accepts_nothing(passes: Passes) -> None:
    """Somebody reverted it later, manually: that is the resolution."""
    await passes.record(DRIFTED)
    assert await passes.record(report(drifted(), number=2)) == []
    assert await passes.record(report(verdict(Status.IN_SYNC), number=2)) == ["drift resolved (reverted)"]


@pytest.mark.parametrize("blind", [UNKNOWN, BROKEN], ids=["unknown", "broken"])
async def test_an_unreadable_cluster_or_source_resolves_nothing(passes: Passes, blind: Report) -> None:
    """An API server that is down, or manifests that do not parse, end no drift, no bad health and no failed sync."""
    await passes.record(DRIFTED, health=[ailing()], action=action(failed()))
    assert await passes.open() == {IncidentType.DRIFT, IncidentType.UNHEALTHY, IncidentType.SYNC_FAILED}
    notifications = await passes.record(blind)
    assert [line for line in notifications if "resolved" in line] == []
    assert await passes.open() >= {IncidentType.DRIFT, IncidentType.UNHEALTHY, IncidentType.SYNC_FAILED}


async def test_a_heal_that_cannot_be_verified_is_not_called_healed(passes: Passes) -> None:
    """The write succeeded, the read after it did not."""
    assert await passes.record(DRIFTED, UNKNOWN, action=action(wrote())) == ["drift opened"]
    assert await passes.record(UNKNOWN) == []
    assert await passes.record(IN_SYNC, writes=(operation(drifted()),)) == ["drift resolved (healed)"]


async def test_a_failed_sync_is_open_until_a_retry_succeeds(passes: Passes) -> None:
    """The same failure is notified once; a pass that does not retry does not resolve it."""
    assert "sync_failed opened" in await passes.record(DRIFTED, action=action(failed()))
    assert await passes.record(DRIFTED, action=action(failed())) == []
    assert await passes.record(DRIFTED) == []
    assert await passes.record(DRIFTED, action=action(failed(error="quota exceeded"))) == ["sync_failed changed"]
    notifications = await passes.record(DRIFTED, IN_SYNC, action=action(wrote()))
    assert notifications == ["drift resolved (healed)", "sync_failed resolved (healed)"]


async def test_a_failed_sync_is_resolved_if_nothing_is_left_to_apply(passes: Passes) -> None:
    """An orphan is drift, but no plan fails because of it."""
    await passes.record(DRIFTED, action=action(failed()))
    notifications = await passes.record(report(verdict(Status.ORPHANED, "old"), number=2))
    assert "sync_failed resolved (superseded)" in notifications


async def test_a_bad_revision_without_a_rollback_is_notified_once_and_stays_open(passes: Passes) -> None:
    """Nothing differs from Git, and yet somebody has to act."""
    why = "not healthy within 10m: Deployment.apps/web/web: 0 of 1 replicas are available; there is no good revision"
    assert await passes.record(IN_SYNC, rollback_refused=why) == ["sync_failed opened"]
    assert await passes.record(IN_SYNC, rollback_refused=why.replace("0 of 1", "1 of 2")) == []
    (incident,) = await passes.store.open_incidents("web")
    assert incident.message == f"{revision().short} (Change number 1) is bad: {why}"
    assert await passes.record(report(verdict(Status.IN_SYNC), number=2)) == ["sync_failed resolved (superseded)"]


async def test_manifests_that_do_not_parse_are_an_incident_until_they_do(passes: Passes) -> None:
    """With the position of the error; another error is a change."""
    assert await passes.record(BROKEN) == ["source opened"]
    assert await passes.record(BROKEN) == []
    assert await passes.record(report(error="app/bad.yaml:9:1: not YAML")) == ["source changed"]
    notifications = await passes.record(
        report(drifted(), number=2), report(verdict(Status.IN_SYNC), number=2), action=action(wrote())
    )
    assert "source resolved (superseded)" in notifications


async def test_a_source_that_was_never_fetched_is_no_incident_of_its_apps(
    passes: Passes,
) -> None:
    """One cause, one notification; and it resolves nothing."""
    assert await passes.record(report(error="cannot reach git.example.com", number=None)) == []
    await passes.record(BROKEN)
    assert await passes.record(report(error="cannot reach git.example.com", number=None)) == []
    assert await passes.open() == {IncidentType.SOURCE}


async def test_bad_health_is_an_incident_until_it_is_over(passes: Passes) -> None:
    """Another count is no change; another state is."""
    assert await passes.record(IN_SYNC, health=[ailing(message="0 of 2")]) == ["unhealthy opened"]
    assert await passes.record(IN_SYNC, health=[ailing(message="1 of 2")]) == []
    passes.time += timedelta(seconds=10)
    assert await passes.record(IN_SYNC, health=[ailing(HealthState.PROGRESSING)]) == ["unhealthy changed"]
    assert await passes.record(IN_SYNC) == ["unhealthy resolved (recovered)"]


async def test_a_rollback_is_an_incident_until_the_hold_ends(passes: Passes) -> None:
    """Its message has both revisions, the reason, and what will end it."""
    assert await passes.record(UNKNOWN, hold=hold()) == [], "not done yet"
    assert await passes.record(DRIFTED, IN_SYNC, action=action(wrote()), hold=hold(), trigger=Trigger.SYNC) == [
        "rollback opened"
    ]
    (incident,) = await passes.store.open_incidents("web")
    assert incident.revision == revision(2).sha
    assert incident.message == (
        "rolled back from 22222222 to 11111111 (Change number 1): not healthy within 10m; "
        "held there until what Git declares changes"
    )
    assert await passes.record(IN_SYNC, hold=hold()) == []
    assert await passes.record(report(error="not YAML"), hold=hold()) == ["source opened"]
    notifications = await passes.record(
        report(verdict(Status.IN_SYNC), number=3), action=action(wrote()), trigger=Trigger.SYNC
    )
    assert "rollback resolved (superseded)" in notifications


class Source:
    """The part of a source's state that a recorder reads."""

    name = repository = "shop"
    asked_remote = True

    def __init__(self) -> None:
        self.revision: Revision | None = revision()
        self.error: str | None = None
        self.failures = 0

    def fails(self, error: str = "cannot reach git.example.com") -> Source:
        self.error, self.failures = error, self.failures + 1
        return self

    def works(self) -> Source:
        self.error, self.failures = None, 0
        return self


async def test_a_source_that_fails_twice_is_notified_once_and_its_recovery_once(passes: Passes) -> None:
    """One failure is a blip. The message has the revision that stays in use."""
    source: Any = Source()
    await passes.recorder.record_fetch(source.fails())
    assert await passes.notifications("source/shop") == []
    for reason in ("cannot reach git.example.com", "timed out", "cannot reach git.example.com"):
        await passes.recorder.record_fetch(source.fails(reason))
    assert await passes.notifications("source/shop") == ["source opened"]
    (incident,) = await passes.store.open_incidents("source/shop")
    assert incident.message == "cannot reach git.example.com; 11111111 stays in use"
    await passes.recorder.record_fetch(source.works())
    await passes.recorder.record_fetch(source.works())
    assert await passes.notifications("source/shop") == ["source opened", "source resolved (recovered)"]


async def test_a_fetch_that_did_not_ask_the_remote_says_nothing_of_it(passes: Passes) -> None:
    """A commit that is mirrored is there, whether the remote answers or not."""
    source: Any = Source()
    for _ in range(2):
        await passes.recorder.record_fetch(source.fails())
    other: Any = Source()
    other.asked_remote = False
    await passes.recorder.record_fetch(other.works())
    assert await passes.notifications("source/shop") == ["source opened"]
    await passes.recorder.record_fetch(source.works())
    assert await passes.notifications("source/shop") == ["source opened", "source resolved (recovered)"]
