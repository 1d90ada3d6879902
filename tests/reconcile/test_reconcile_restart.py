"""What outlives the process: a new one on the same store goes on where the old one ended."""

from __future__ import annotations

from driftd.model.plan import Mode
from tests.support.worlds import OpenWorld


async def test_an_open_incident_is_not_told_again_after_a_restart(open_world: OpenWorld) -> None:
    """And its end is told by whichever process sees it."""
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
    """The settle time begins anew, the revision does not."""
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


async def test_a_new_process_starts_from_the_revision_that_was_mirrored_when_git_is_away(open_world: OpenWorld) -> None:
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


async def test_without_any_revision_nothing_is_known_and_the_source_says_why(open_world: OpenWorld) -> None:
    """Not in sync, no message about the app: the source's own says it."""
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
