"""Commands: rows in the store, carried out by whoever holds the app's lease."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftd.model.command import Command, CommandKind, CommandState
from driftd.model.errors import DriftdError
from driftd.model.plan import Mode
from driftd.reconcile.commands import CommandQueue
from driftd.service.commands import EXPIRES_AFTER, CommandResult, Commands
from tests.support.world import World, deployment, until
from tests.support.worlds import OpenWorld


async def done(commands: Commands, world: World, kind: CommandKind, **more: str | bool) -> CommandResult:
    command = await commands.submit("web", kind, "ann", **more)  # type: ignore[arg-type]  # as it is called
    found: list[CommandResult] = []

    async def result() -> bool:
        answer = await commands.result(command)
        if answer is not None:
            found.append(answer)
        return answer is not None

    await until(result, f"the {kind}")
    assert world.app.name == command.app
    return found[0]


async def is_cancelled(world: World, command: Command) -> bool:
    record = await world.store.command(command.id)
    return record is not None and record.state is CommandState.CANCELLED


async def test_the_daemon_carries_out_what_is_asked_for(open_world: OpenWorld) -> None:
    """A sync fetches first; its result says what was written, and on whose word the history says."""
    async with open_world(mode=Mode.APPROVE) as world, world.engine():
        commands = Commands(world.store, world.clock)
        world.repository.write({"app/deployment.yaml": deployment("shop/web:2")})
        world.repository.commit("Update to 2")
        result = await done(commands, world, CommandKind.SYNC)
        assert result.in_sync
        assert result.action is not None
        assert {applied.ref.kind for applied in result.action.written} == {"Deployment", "ConfigMap"}
        assert await world.image() == "shop/web:2"
        assert any("by ann" in entry.summary for entry in await world.store.history("web"))
        assert (await done(commands, world, CommandKind.SYNC)).action is None


async def test_what_cannot_be_done_fails_with_the_reason(open_world: OpenWorld) -> None:
    """The daemon goes on with its work."""
    async with open_world(mode=Mode.APPROVE) as world, world.engine():
        commands = Commands(world.store, world.clock)
        with pytest.raises(DriftdError, match="no good revision to go back to"):
            await done(commands, world, CommandKind.ROLLBACK)
        assert (await done(commands, world, CommandKind.SYNC)).in_sync


async def test_an_observed_app_is_not_written_to_whoever_asks(open_world: OpenWorld) -> None:
    """The daemon's own configuration counts."""
    async with open_world() as world, world.engine():
        with pytest.raises(DriftdError, match="mode observe"):
            await done(Commands(world.store, world.clock), world, CommandKind.SYNC)
        assert world.requests.writes == []


async def test_what_nobody_took_up_in_time_is_not_done_any_more(open_world: OpenWorld) -> None:
    """Whoever asked has gone; a daemon that starts an hour later does not surprise people."""
    async with open_world(mode=Mode.APPROVE) as world:
        commands = Commands(world.store, world.clock)
        command = await commands.submit("web", CommandKind.SYNC, "ann")
        world.clock.advance(seconds=(EXPIRES_AFTER + timedelta(seconds=1)).total_seconds())
        async with world.engine():
            await until(lambda: is_cancelled(world, command), "its end")
        assert world.requests.writes == []


@pytest.mark.parametrize("days", [365, -365])
async def test_a_clock_that_is_set_expires_no_command_that_was_just_made(open_world: OpenWorld, days: int) -> None:
    """What was not there at the last look has been made since, whatever time it bears."""
    async with open_world(mode=Mode.APPROVE) as world:
        queue = CommandQueue(world.store, "this", world.clock, world.clock.monotonic)
        commands = Commands(world.store, world.clock)
        assert await queue.poll(["web"]) == set()
        command = await commands.submit("web", CommandKind.SYNC, "ann")
        world.clock.set(days=days)
        world.clock.advance(minutes=9)
        assert await queue.poll(["web"]) == {"web"}
        assert not await is_cancelled(world, command)
        late = await commands.submit("web", CommandKind.SYNC, "ann")
        world.clock.set(days=-days)
        assert await queue.poll(["web"]) == {"web"}
        assert not await is_cancelled(world, late)


async def test_a_command_may_be_taken_back_until_it_is_begun(open_world: OpenWorld) -> None:
    """Ctrl-C while the daemon is busy."""
    async with open_world(mode=Mode.APPROVE) as world:
        commands = Commands(world.store, world.clock)
        command = await commands.submit("web", CommandKind.SYNC, "ann")
        assert await commands.cancel(command)
        async with world.engine():
            assert (await done(commands, world, CommandKind.SYNC)).in_sync
        with pytest.raises(DriftdError, match="cancelled"):
            await commands.result(command)
