"""A Job that has run to its end is done: it is not missing when it is gone, and does not run again."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.model.drift import Status
from driftd.model.health import HealthState
from driftd.model.plan import Mode
from driftd.reconcile.reconciler import PassResult
from driftd.sandbox.controllers.settings import FAIL_ANNOTATION
from tests.support.world import World, config_map, deployment, statuses, until
from tests.support.worlds import OpenWorld

PATH = "/apis/batch/v1/namespaces/web/jobs/migrate"


def job(*, ttl: int | None = 0, command: str = "migrate", fails: bool = False, starts: bool = True) -> str:
    return f"""\
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
spec:
  backoffLimit: 0
  suspend: {"false" if starts else "true"}
  {"" if ttl is None else f"ttlSecondsAfterFinished: {ttl}"}
  template:
    metadata:
      annotations: {{{FAIL_ANNOTATION if fails else "example.com/note"}: "true"}}
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: shop/web:1
          command: [{command}]
"""


async def ended(world: World) -> None:
    async def has_ended() -> bool:
        status = (await world.request("GET", PATH))["status"]
        return bool(status.get("conditions"))

    await until(has_ended, "the end of the job")


async def collect(world: World) -> None:
    """What the TTL controller does."""
    await world.request("DELETE", f"{PATH}?propagationPolicy=Background")


async def run_again(world: World) -> PassResult:
    world.requests.received.clear()
    world.restart()
    return await world.run()


async def test_a_job_that_was_seen_complete_is_done_although_it_is_gone(open_world: OpenWorld) -> None:
    """In sync, after a restart too; another manifest of the same name is another run."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"job.yaml": job()})
        await world.run()
        await ended(world)
        await world.run()
        await collect(world)
        for _ in range(2):
            result = await run_again(world)
            assert statuses(result.report)["Job/migrate"] is Status.IN_SYNC
            assert result.report.in_sync
            assert world.requests.writes == []
        await world.store.prune()
        assert (await run_again(world)).report.in_sync
        assert await world.incidents() == {}
        await world.commit({"job.yaml": job(command="migrate-again")})
        again = await run_again(world)
        assert again.action is not None
        assert [str(applied.ref) for applied in again.action.written] == ["Job.batch/web/migrate"]


async def test_a_job_that_has_failed_and_is_gone_is_unhealthy_and_does_not_run_again(open_world: OpenWorld) -> None:
    """To try it for ever would be worse; people are told."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"job.yaml": job(fails=True)})
        await world.run()
        await ended(world)
        await world.run()
        await collect(world)
        result = await run_again(world)
        assert world.requests.writes == []
        (health,) = result.health
        assert health.state is HealthState.DEGRADED
        assert health.message.startswith("it has failed, and is gone since: ")
        assert "Job.batch/web/migrate" in (await world.incidents())["unhealthy"]


async def test_a_job_that_removes_itself_and_was_not_seen_to_end_is_unknown(open_world: OpenWorld) -> None:
    """It may have done its work while driftd was away. Without a TTL, somebody has deleted it, and it is put back."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"job.yaml": job(starts=False)})
        await world.run()
        await collect(world)
        result = await run_again(world)
        assert statuses(result.report)["Job/migrate"] is Status.UNKNOWN
        assert world.requests.writes == []
        await world.commit({"job.yaml": job(ttl=None, starts=False)})
        await world.run()
        await collect(world)
        assert (await run_again(world)).report.in_sync
        assert world.requests.writes


@pytest.mark.parametrize("app", [{"mode": Mode.OBSERVE}, {"mode": Mode.HEAL, "deploys": False}])
async def test_a_job_that_removes_itself_is_taken_to_have_run_where_others_deploy(
    open_world: OpenWorld, app: dict[str, Any]
) -> None:
    """It had gone before driftd came. As long as nothing of the app is there, it is missing like the rest."""
    async with open_world(**app) as world:
        await world.commit({"job.yaml": job()})
        result = await run_again(world)
        assert statuses(result.report)["Job/migrate"] is Status.MISSING
        await world.apply("Deployment", deployment())
        await world.apply("ConfigMap", config_map(a="1"))
        result = await run_again(world)
        assert result.report.in_sync
        (done,) = [one for one in result.report.verdicts if one.ref.kind == "Job"]
        assert "is taken to have run it" in (done.health_message or "")
        assert world.requests.writes == []


async def test_a_job_that_had_run_and_gone_before_driftd_came_to_deploy_does_not_run_again(
    open_world: OpenWorld,
) -> None:
    """All else of the app was there at the first look; a changed manifest is another run."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"job.yaml": job()})
        await world.apply("Deployment", deployment())
        await world.apply("ConfigMap", config_map(a="1"))
        for _ in range(2):
            result = await run_again(world)
            assert result.report.in_sync
            assert world.requests.writes == []
        await world.delete("ConfigMap")
        assert {str(one.ref) for one in (await run_again(world)).action.written} == {"ConfigMap/web/web"}
        await world.commit({"job.yaml": job(command="migrate-again")})
        assert {str(one.ref) for one in (await run_again(world)).action.written} == {"Job.batch/web/migrate"}


async def test_the_end_of_a_job_that_is_collected_at_once_is_seen_by_the_watches(open_world: OpenWorld) -> None:
    """With a TTL of zero it is gone before the next pass: the last version that was watched counts."""
    async with open_world(mode=Mode.HEAL) as world, world.engine() as engine:
        await world.commit({"job.yaml": job()})
        engine.request_full_pass("web")

        async def is_gone() -> bool:
            await ended(world)
            await collect(world)
            return True

        await until(lambda: any(path.startswith(PATH) for _, path in world.requests.received), "the write of the job")
        await until(is_gone, "the job to be collected")
        engine.request_full_pass("web")

        async def is_done() -> bool:
            report = await world.store.last_report("web")
            return report is not None and statuses(report).get("Job/migrate") is Status.IN_SYNC and report.in_sync

        await until(is_done, "the job to be done")
        posted = [path for method, path in world.requests.received if method == "PATCH" and path.startswith(PATH)]
        assert len([path for path in posted if "dryRun" not in path]) == 1
