"""Restarts: a new process on the same store continues where the old one ended."""

from __future__ import annotations

import asyncio

import pytest

from driftd.model.plan import Mode, Outcome
from driftd.repair import object_writer
from driftd.store import HistoryKind
from tests.support.world import config_map
from tests.support.worlds import OpenWorld


async def test_an_open_incident_is_not_notified_again_after_a_restart(open_world: OpenWorld) -> None:
    """And its resolution is notified by the process that finds it."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        world.restart()
        await world.run()
        assert await world.incident_events() == ["drift opened"]
        world.restart(mode=Mode.HEAL)
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]


async def test_a_revision_is_good_although_the_process_was_restarted_in_between(open_world: OpenWorld) -> None:
    """The settle time starts again, the revision does not."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.run()
        world.restart()
        result = await world.settle()
        assert result.state == "good"
        record = await world.store.revision("web", world.repository.head)
        assert record is not None
        assert record.applied_at is not None


async def test_a_revision_that_was_good_is_not_deployed_again_by_a_restart(open_world: OpenWorld) -> None:
    """Nothing differs, nothing is written."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.requests.received.clear()
        world.restart()
        assert (await world.run()).action is None
        assert world.requests.writes == []


async def test_a_new_process_starts_from_the_mirrored_revision_while_git_is_unreachable(open_world: OpenWorld) -> None:
    """The mirror is on the disk."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.repository.folder.rename(world.folder / "elsewhere")
        world.source.revision = None
        await world.source.resume()
        await world.source.fetch()
        assert world.source.error is not None
        world.restart()
        assert (await world.run()).report.in_sync


async def test_without_any_revision_nothing_is_in_sync_and_the_source_has_the_error(open_world: OpenWorld) -> None:
    """The app is not notified: the source's own incident is."""
    async with open_world(mode=Mode.HEAL) as world:
        world.repository.folder.rename(world.folder / "elsewhere")
        world.source.revision = None
        await world.source.fetch()
        result = await world.run()
        assert result.report.error == world.source.error
        assert result.report.revision is None
        assert not result.report.in_sync
        assert world.requests.writes == []
        assert await world.incident_events() == []


@pytest.mark.parametrize("dies", ["record_outcomes", "record_action", "record_report"])
async def test_what_driftd_wrote_before_it_was_killed_is_attributed_to_driftd(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """The plan is stored before its writes: the heal is not attributed to anybody else."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        world.restart(mode=Mode.HEAL)

        async def killed(*_: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(world.store, dies, killed)
            with pytest.raises(asyncio.CancelledError):
                await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        world.restart()
        world.requests.received.clear()
        await world.run()
        assert world.requests.writes == []
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]
        actions = [entry for entry in await world.store.history("web") if entry.kind is HistoryKind.ACTION]
        assert actions[0].details["trigger"] == "heal"
        assert len(actions) == 2, "the deployment and the heal, each once"
        (operation, *_) = await world.store.operations(app="web", kind="ConfigMap")
        assert (operation.outcome, operation.by) == (Outcome.CONFIGURED, "driftd")
        assert [(field.live, field.desired) for field in operation.fields] == [("2", "1")]


async def test_a_plan_that_was_not_carried_out_is_not_reported_as_done(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed between the plan and the first write: the next one makes its own plan."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})

        async def killed(*_: object, **__: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(object_writer, "apply", killed)
            with pytest.raises(asyncio.CancelledError):
                await world.run()
        world.restart(mode=Mode.OBSERVE)
        await world.run()
        (operation, *_) = await world.store.operations(app="web", kind="ConfigMap")
        assert operation.outcome is Outcome.INTERRUPTED
        assert (await world.incident_events())[-1] == "drift opened"


async def test_an_old_mirror_takes_nothing_back_while_git_is_unreachable(open_world: OpenWorld) -> None:
    """Another process has deployed a later revision: that is known from the store, and its commit is not."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        old = world.source.revision
        await world.commit({"config.yaml": config_map(a="2")})
        await world.settle()
        world.restart()
        world.source.revision = old
        world.repository.folder.rename(world.folder / "elsewhere")
        await world.source.fetch()
        world.requests.received.clear()
        result = await world.watch(minutes=1)
        assert world.requests.writes == []
        (verdict,) = result.report.drifted
        assert verdict.left_to is not None
        assert "a later revision than the mirrored one was deployed" in verdict.left_to
        (world.folder / "elsewhere").rename(world.repository.folder)
        await world.source.fetch()
        assert (await world.run()).report.in_sync


async def test_a_branch_that_was_reset_is_followed(open_world: OpenWorld) -> None:
    """Git answers: that is what it declares now."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        first = world.repository.head
        await world.commit({"config.yaml": config_map(a="2")})
        await world.settle()
        world.repository.git("reset", "--hard", "--quiet", first)
        await world.source.fetch()
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
