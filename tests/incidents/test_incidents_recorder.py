"""What passes leave behind: one incident for each thing that is wrong, told when it begins, changes and ends."""

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
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.model.revision import Revision
from driftd.store import HistoryKind, Store
from tests.support.samples import T0, action, ailing, drifted, failed, hold, report, revision, verdict, wrote

IN_SYNC = report(verdict(Status.IN_SYNC))
DRIFTED = report(drifted())
UNKNOWN = report(verdict(Status.UNKNOWN))
BROKEN = report(error="app/bad.yaml:3:1: not YAML")


class Passes:
    """A recorder, a store, and what people were told so far: `drift opened`, `drift resolved (healed)` and so on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wakes = 0
        self.time = T0
        self.look_again: timedelta | None = None
        self.recorder = Recorder(store, ["chat"], self.now, self._woken)

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def _woken(self) -> None:
        self.wakes += 1

    async def found(
        self,
        found: Report,
        after: Report | None = None,
        *,
        health: Sequence[Health] = (),
        action: Action | None = None,
        hold: Hold | None = None,
        **more: Any,
    ) -> list[str]:
        """One pass; returns what people were told of it."""
        before = len(await self.told())
        record = PassRecord(found, after or found, tuple(health), action, hold, **more)
        self.look_again = await self.recorder.record_pass(record)
        return (await self.told())[before:]

    async def told(self, app: str = "web") -> list[str]:
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


async def test_drift_is_told_once_and_its_end_once(passes: Passes) -> None:
    """However many passes see it; each message wakes the dispatcher."""
    assert await passes.found(DRIFTED) == ["drift opened"]
    assert await passes.found(DRIFTED) == []
    passes.time += timedelta(seconds=10)
    assert await passes.found(report(drifted(live="another"))) == ["drift changed"]
    assert await passes.found(IN_SYNC) == ["drift resolved (reverted)"]
    assert await passes.found(IN_SYNC) == []
    assert passes.wakes == 3


async def test_many_edits_in_a_row_are_one_message(passes: Passes) -> None:
    """The first is told at once; what follows within seconds is told together, and the pass says when to come back."""
    assert await passes.found(DRIFTED) == ["drift opened"]
    for value in ("a", "b", "c"):
        assert await passes.found(report(drifted(live=value))) == []
    assert passes.look_again is not None
    passes.time += passes.look_again
    assert await passes.found(report(drifted(live="c"))) == ["drift changed"]
    assert passes.look_again is None
    (incident,) = await passes.store.open_incidents("web")
    assert [field.live for field in incident.resources[0].fields] == ["c"]


async def test_an_end_is_told_at_once(passes: Passes) -> None:
    """However short ago something changed."""
    assert await passes.found(DRIFTED) == ["drift opened"]
    assert await passes.found(report(drifted(live="another"))) == []
    assert await passes.found(IN_SYNC) == ["drift resolved (reverted)"]


async def test_nobody_is_told_of_half_of_what_is_about_to_be_known(passes: Passes) -> None:
    """The report is there, and the message comes with the lines of Git."""
    assert await passes.found(DRIFTED, settled=False) == []
    last = await passes.store.last_report("web")
    assert last is not None
    assert [verdict.status for verdict in last.drifted] == [Status.DRIFTED]
    assert await passes.found(DRIFTED) == ["drift opened"]


async def test_what_came_and_went_before_all_was_known_is_told_all_the_same(passes: Passes) -> None:
    """From beginning to end: whoever changes something for a moment is seen."""
    assert await passes.found(DRIFTED, settled=False) == []
    assert await passes.found(IN_SYNC) == ["drift opened", "drift resolved (reverted)"]
    assert await passes.found(IN_SYNC) == []


async def test_a_command_and_the_daemon_that_find_the_same_open_one_incident(passes: Passes) -> None:
    """`driftd rollback` and the daemon's own pass may come to it at the same moment; people hear of it once."""
    other = Recorder(passes.store, ["chat"], passes.now, lambda: None)
    held = hold()
    await asyncio.gather(
        *(
            one.record_pass(PassRecord(IN_SYNC, IN_SYNC, hold=held))
            for one in (passes.recorder, other, passes.recorder, other)
        )
    )
    assert await passes.told() == ["rollback opened"]


async def test_what_is_healed_within_one_pass_is_told_from_beginning_to_end(passes: Passes) -> None:
    """People hear of a repair that took a moment, with what was wrong."""
    assert await passes.found(DRIFTED, IN_SYNC, action=action(wrote())) == ["drift opened", "drift resolved (healed)"]
    last = [e for e in await passes.store.history("web") if e.kind is HistoryKind.VERDICT]
    assert await passes.open() == set()
    assert all(entry.details["in_sync"] for entry in last)


async def test_what_a_new_revision_brings_is_not_drift(passes: Passes) -> None:
    """The pass that deploys a commit finds everything missing, and nobody is told."""
    assert await passes.found(report(verdict(Status.MISSING)), IN_SYNC, action=action(wrote()), is_rollout=True) == []


async def test_what_is_left_of_a_planned_pass_is_drift(passes: Passes) -> None:
    """Only what is left: the rest was the commit."""
    found = report(verdict(Status.MISSING, "a"), verdict(Status.MISSING, "b"))
    after = report(verdict(Status.IN_SYNC, "a"), verdict(Status.MISSING, "b"))
    told = await passes.found(found, after, action=action(wrote("a"), failed("b")), is_rollout=True)
    assert told == ["drift opened", "sync_failed opened"]
    (incident,) = [i for i in await passes.store.open_incidents("web") if i.type is IncidentType.DRIFT]
    assert [v.ref.name for v in incident.resources] == ["b"]


async def test_a_commit_that_declares_what_is_live_accepts_the_drift(passes: Passes) -> None:
    """The edit went into Git."""
    await passes.found(DRIFTED)
    assert await passes.found(report(verdict(Status.IN_SYNC), number=2)) == ["drift resolved (accepted)"]


async def test_a_commit_in_between_that_changed_nothing_accepts_nothing(passes: Passes) -> None:
    """Somebody put it back later, by hand: that is what people are told."""
    await passes.found(DRIFTED)
    assert await passes.found(report(drifted(), number=2)) == []
    assert await passes.found(report(verdict(Status.IN_SYNC), number=2)) == ["drift resolved (reverted)"]


@pytest.mark.parametrize("blind", [UNKNOWN, BROKEN], ids=["unknown", "broken"])
async def test_what_cannot_be_read_has_not_gone_away(passes: Passes, blind: Report) -> None:
    """An API server that is down, or manifests that do not parse, end neither drift nor sickness nor a failed sync."""
    await passes.found(DRIFTED, health=[ailing()], action=action(failed()))
    assert await passes.open() == {IncidentType.DRIFT, IncidentType.UNHEALTHY, IncidentType.SYNC_FAILED}
    told = await passes.found(blind)
    assert [line for line in told if "resolved" in line] == []
    assert await passes.open() >= {IncidentType.DRIFT, IncidentType.UNHEALTHY, IncidentType.SYNC_FAILED}


async def test_a_heal_that_cannot_be_checked_is_not_called_healed(passes: Passes) -> None:
    """The write went through, the reading after it did not."""
    assert await passes.found(DRIFTED, UNKNOWN, action=action(wrote())) == ["drift opened"]
    assert await passes.found(IN_SYNC) == ["drift resolved (reverted)"]


async def test_a_failed_sync_is_told_until_a_try_succeeds_or_nothing_is_left_to_do(passes: Passes) -> None:
    """The same failure is told once; a pass that does not try does not end it."""
    assert "sync_failed opened" in await passes.found(DRIFTED, action=action(failed()))
    assert await passes.found(DRIFTED, action=action(failed())) == []
    assert await passes.found(DRIFTED) == []
    assert await passes.found(DRIFTED, action=action(failed(error="quota exceeded"))) == ["sync_failed changed"]
    told = await passes.found(DRIFTED, IN_SYNC, action=action(wrote()))
    assert told == ["drift resolved (healed)", "sync_failed resolved (healed)"]


async def test_a_failed_sync_is_over_when_what_is_left_is_nothing_to_apply(passes: Passes) -> None:
    """An orphan is drift, but no plan of ours fails over it."""
    await passes.found(DRIFTED, action=action(failed()))
    told = await passes.found(report(verdict(Status.ORPHANED, "old"), number=2))
    assert "sync_failed resolved (superseded)" in told


async def test_a_bad_revision_without_a_way_back_is_told_once_and_stays_told(passes: Passes) -> None:
    """Nothing differs from Git, and yet somebody has to look."""
    why = "not healthy within 10m: Deployment.apps/web/web: 0 of 1 replicas are available; there is no good revision"
    assert await passes.found(IN_SYNC, rollback_refused=why) == ["sync_failed opened"]
    assert await passes.found(IN_SYNC, rollback_refused=why.replace("0 of 1", "1 of 2")) == []
    (incident,) = await passes.store.open_incidents("web")
    assert incident.message == f"{revision().short} (Change number 1) is bad: {why}"
    assert await passes.found(report(verdict(Status.IN_SYNC), number=2)) == ["sync_failed resolved (superseded)"]


async def test_manifests_that_do_not_parse_are_told_until_they_do(passes: Passes) -> None:
    """With the place of the mistake; another mistake is news."""
    assert await passes.found(BROKEN) == ["source opened"]
    assert await passes.found(BROKEN) == []
    assert await passes.found(report(error="app/bad.yaml:9:1: not YAML")) == ["source changed"]
    told = await passes.found(
        report(drifted(), number=2), report(verdict(Status.IN_SYNC), number=2), action=action(wrote())
    )
    assert "source resolved (superseded)" in told


async def test_a_source_that_was_never_fetched_is_told_for_the_source_and_not_for_each_of_its_apps(
    passes: Passes,
) -> None:
    """One cause, one message; and it says nothing of what was wrong before."""
    assert await passes.found(report(error="cannot reach git.example.com", number=None)) == []
    await passes.found(BROKEN)
    assert await passes.found(report(error="cannot reach git.example.com", number=None)) == []
    assert await passes.open() == {IncidentType.SOURCE}


async def test_sickness_is_told_until_it_is_over(passes: Passes) -> None:
    """A count that goes on is no news; a state that changes is."""
    assert await passes.found(IN_SYNC, health=[ailing(message="0 of 2")]) == ["unhealthy opened"]
    assert await passes.found(IN_SYNC, health=[ailing(message="1 of 2")]) == []
    passes.time += timedelta(seconds=10)
    assert await passes.found(IN_SYNC, health=[ailing(HealthState.PROGRESSING)]) == ["unhealthy changed"]
    assert await passes.found(IN_SYNC) == ["unhealthy resolved (reverted)"]


async def test_a_rollback_is_told_and_ends_when_the_hold_does(passes: Passes) -> None:
    """By a sentence with both revisions, the reason, and what will end it."""
    assert await passes.found(UNKNOWN, hold=hold()) == [], "not done yet"
    assert await passes.found(DRIFTED, IN_SYNC, action=action(wrote()), hold=hold(), is_rollout=True) == [
        "rollback opened"
    ]
    (incident,) = await passes.store.open_incidents("web")
    assert incident.revision == revision(2).sha
    assert incident.message == (
        "rolled back from 22222222 to 11111111 (Change number 1): not healthy within 10m; "
        "held there until what Git declares changes"
    )
    assert await passes.found(IN_SYNC, hold=hold()) == []
    assert await passes.found(report(error="not YAML"), hold=hold()) == ["source opened"]
    told = await passes.found(report(verdict(Status.IN_SYNC), number=3), action=action(wrote()), is_rollout=True)
    assert "rollback resolved (superseded)" in told


class Source:
    """What a recorder sees of a source."""

    name = "shop"

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


async def test_a_source_that_fails_twice_is_told_once_and_its_return_once(passes: Passes) -> None:
    """One failure is a blip. The message names the revision that stays in use."""
    source: Any = Source()
    await passes.recorder.record_fetch(source.fails())
    assert await passes.told("source/shop") == []
    for reason in ("cannot reach git.example.com", "timed out", "cannot reach git.example.com"):
        await passes.recorder.record_fetch(source.fails(reason))
    assert await passes.told("source/shop") == ["source opened"]
    (incident,) = await passes.store.open_incidents("source/shop")
    assert incident.message == "cannot reach git.example.com; 11111111 stays in use"
    await passes.recorder.record_fetch(source.works())
    await passes.recorder.record_fetch(source.works())
    assert await passes.told("source/shop") == ["source opened", "source resolved (reverted)"]
