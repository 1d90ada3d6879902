"""A day in which nothing drifts, however deployers leave, delete and run what Git declares: nobody hears of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from driftd.model.drift import Status
from driftd.model.plan import Mode
from tests.reconcile.dialect import (
    ARGO,
    CASES,
    CHANGED,
    EACH_TIME,
    GENERATED,
    HELM,
    HELM_HOOK,
    PASSING,
    POST_SYNC,
    PRE_SYNC,
    Case,
    collect,
    create,
    files,
    finish,
)
from tests.support.world import World, create_world, statuses

_MINUTES = 10
"""Between two passes: 144 a day."""

_RESTARTS = (4, 13, 19)
"""Hours at which driftd is started anew."""


class Day:
    """The looks of driftd at a world in the course of a day, with everything that it has written."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.writes: list[str] = []
        self.not_in_sync: list[Any] = []

    async def look(self) -> None:
        before = len(self.world.requests.received)
        result = await self.world.run()
        received = self.world.requests.received[before:]
        writing = ("POST", "PUT", "PATCH", "DELETE")
        self.writes += [f"{method} {path}" for method, path in received if method in writing and "dryRun" not in path]
        if not result.report.in_sync:
            self.not_in_sync.append(
                (result.report.error, [one for one in result.report.verdicts if one.status not in _FINE])
            )

    async def pass_with(self, events: dict[int, Callable[[], Awaitable[None]]]) -> None:
        """24 hours. `events` happen at their hours."""
        for minute in range(0, 24 * 60, _MINUTES):
            hour, rest = divmod(minute, 60)
            if not rest and hour in _RESTARTS:
                self.world.restart()
            if not rest and hour in events:
                await events[hour]()
            await self.look()
            self.world.clock.advance(minutes=_MINUTES)


_FINE = (Status.IN_SYNC, Status.IGNORED)


class Happenings:
    """What happens in the cluster and in Git, by others than driftd."""

    def __init__(self, world: World, *, deploys: bool) -> None:
        self.world = world
        self.deploys = deploys

    def by_hour(self) -> dict[int, Callable[[], Awaitable[None]]]:
        return {
            2: self.deploy_anew,
            3: self.end_job,
            6: self.end_hook,
            9: self.work_on_what_is_theirs,
            12: self.leave_git,
            15: self.change_job,
            16: self.end_job_of_driftd,
            17: self.deploy_anew,
            18: self.end_hook,
        }

    async def deploy_anew(self) -> None:
        """Hooks come; one stays, and the others are gone before or after the next look."""
        await create(self.world, PRE_SYNC, ARGO)
        await finish(self.world, "before")
        await collect(self.world, "before")
        await collect(self.world, "after")
        await create(self.world, POST_SYNC, ARGO)
        await create(self.world, GENERATED, ARGO)
        await create(self.world, HELM_HOOK, HELM, applies=False)
        await finish(self.world, "upgrade")

    async def end_hook(self) -> None:
        await collect(self.world, "upgrade")

    async def end_job(self) -> None:
        await finish(self.world, "passing")
        await collect(self.world, "passing")

    async def work_on_what_is_theirs(self) -> None:
        for case in CASES:
            await case.change(self.world)

    async def leave_git(self) -> None:
        self.world.repository.remove(*(f"app/{case.file}" for case in CASES if case.leaves))
        await self.world.commit({}, "Declare less")

    async def change_job(self) -> None:
        """Where driftd does not deploy it, it has run and is gone before the next look."""
        await self.world.commit({Case(CHANGED).file: json.dumps(CHANGED)}, "Migrate once more")
        if not self.deploys:
            await create(self.world, CHANGED, ARGO)
            await self.end_job()

    async def end_job_of_driftd(self) -> None:
        if self.deploys:
            await self.end_job()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "app",
    [{"mode": Mode.OBSERVE, "deploys": False}, {"mode": Mode.HEAL, "deploys": False}, {"mode": Mode.HEAL}],
    ids=["observe", "heal beside a deployer", "heal and deploy"],
)
@pytest.mark.parametrize("seen", [True, False], ids=["the job is seen", "the job has gone before"])
async def test_a_day_of_every_deployers_dialect_is_a_quiet_one(tmp_path: Path, app: dict[str, Any], seen: bool) -> None:
    """No message in 24 hours, nothing written, and no hook and no Job run a second time."""
    deploys = app.get("deploys", True)
    others = [] if deploys else [Case(EACH_TIME, ARGO)]  # driftd itself deploys nothing without a name
    async with create_world(tmp_path, list(files(*others).items()), **app) as world:
        for case in (*CASES, *others):
            await case.deploy(world)
        await finish(world, "passing")
        if not seen:
            await collect(world, "passing")
        day = Day(world)
        happening = Happenings(world, deploys=deploys).by_hour()
        if not seen:
            del happening[3]
        await day.pass_with(happening)
        assert day.not_in_sync == []
        assert await world.incident_events() == []
        again = [f"PATCH /apis/batch/v1/namespaces/web/jobs/{PASSING['metadata']['name']}"] if deploys else []
        assert [write.partition("?")[0] for write in day.writes] == again, "what Git has changed is run, and once"
        report = (await world.run()).report
        assert len(report.hooks) == 4 + len(others)
        assert statuses(report)["Job/passing"] is Status.IN_SYNC
