"""Commands and leases: one process takes each, and a crash leaves neither hanging."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import store_world as world

from driftd.model.command import Command, CommandKind, CommandState, Lease
from driftd.store import Store

TTL = timedelta(seconds=30)


def command(number: int, app: str = "web", kind: CommandKind = CommandKind.SYNC, **more: object) -> Command:
    return Command(f"c-{number}", app, kind, "ada", world.T0 + number * world.MINUTE, **more)  # type: ignore[arg-type]


async def test_a_command_is_pending_until_one_process_starts_it(url: str):
    """It outlives a restart, comes in the order in which it was given, and only once."""
    store, other = await Store.open(url, clock=lambda: world.T0), await Store.open(url)
    first, second = command(1, kind=CommandKind.ROLLBACK, to="4f0c", release=True), command(2, "shop")
    for each in (second, first, first):
        await store.submit_command(each)
    assert await other.pending_commands(["web", "shop"]) == [first, second]
    assert await other.pending_commands(["shop"]) == [second]
    assert await other.pending_commands([]) == []
    started = await asyncio.gather(*(s.start_command("c-1", f"daemon-{n}") for n, s in enumerate((store, other))))
    assert sorted(started) == [False, True]
    assert await other.pending_commands(["web"]) == []
    record = await store.command("c-1")
    assert record is not None
    assert (record.command, record.state, record.holder) == (
        first,
        CommandState.RUNNING,
        f"daemon-{started.index(True)}",
    )
    await store.finish_command("c-1", result={"written": 3})
    record = await store.command("c-1")
    assert record is not None
    assert (record.state, record.result, record.error) == (CommandState.DONE, {"written": 3}, None)
    assert record.finished == world.T0
    await store.finish_command("c-1", error="too late")
    assert await store.command("c-1") == record
    assert await store.command("nobody") is None
    await store.close()
    await other.close()


async def test_a_command_that_fails_says_why(store: Store):
    await store.submit_command(command(1))
    await store.start_command("c-1", "daemon")
    await store.finish_command("c-1", error="Git was never reached")
    record = await store.command("c-1")
    assert record is not None
    assert (record.state, record.error, record.result) == (CommandState.FAILED, "Git was never reached", None)


async def test_only_a_pending_command_is_cancelled(store: Store):
    """And a cancelled one is not started any more."""
    for number in (1, 2):
        await store.submit_command(command(number))
    assert await store.cancel_command("c-1")
    assert not await store.cancel_command("c-1")
    assert not await store.start_command("c-1", "daemon")
    assert await store.start_command("c-2", "daemon")
    assert not await store.cancel_command("c-2")
    assert [c.id for c in await store.pending_commands(["web"])] == []


async def test_a_command_whose_process_ended_fails_with_a_word_to_people(store: Store):
    """Those of other apps and of the process itself go on."""
    for number, app, holder in ((1, "web", "old"), (2, "web", "new"), (3, "shop", "old")):
        await store.submit_command(command(number, app))
        await store.start_command(f"c-{number}", holder)
    await store.submit_command(command(4))
    await store.interrupt_commands("web", "new")
    records = [await store.command(f"c-{number}") for number in (1, 2, 3, 4)]
    assert [r.state for r in records if r] == [
        CommandState.FAILED, CommandState.RUNNING, CommandState.RUNNING, CommandState.PENDING
    ]  # fmt: skip
    assert records[0] is not None
    assert "driftd ended" in str(records[0].error)


async def test_old_commands_are_pruned_when_they_are_finished(url: str):
    store = await Store.open(url, clock=lambda: world.T0 + timedelta(days=365))
    for number in (1, 2, 3):
        await store.submit_command(command(number))
    await store.cancel_command("c-1")
    await store.start_command("c-2", "daemon")
    assert (await store.prune()).commands == 1
    assert [await store.command(f"c-{n}") is None for n in (1, 2, 3)] == [True, False, False]
    await store.close()


async def test_a_lease_has_one_holder_until_it_is_released_or_seen_to_have_ended(url: str):
    """Whatever a clock says; and not where it has been renewed since it was seen."""
    clock = [world.T0]
    store = await Store.open(url, clock=lambda: clock[0])
    lease = await store.acquire_lease("web", "one", TTL)
    assert lease is not None
    assert (lease.app, lease.holder) == ("web", "one")
    assert await store.lease("web") == lease
    assert await store.acquire_lease("web", "two", TTL) is None
    assert (await store.acquire_lease("shop", "two", TTL)) is not None
    assert await store.acquire_lease("web", "one", TTL) is not None
    clock[0] += timedelta(days=1)
    assert await store.acquire_lease("web", "two", TTL) is None
    assert await store.renew_leases("one", TTL) == {"web"}
    assert await store.acquire_lease("web", "two", TTL, ended=lease) is None
    renewed = await store.lease("web")
    taken = await store.acquire_lease("web", "two", TTL, ended=renewed)
    assert taken == Lease("web", "two", clock[0] + TTL)
    assert await store.renew_leases("one", TTL) == frozenset()
    await store.release_leases("two", ["web"])
    await store.acquire_lease("web", "one", TTL)
    await store.release_leases("one")
    assert await store.acquire_lease("web", "two", TTL) is not None
    await store.release_leases("two", ["shop"])
    assert await store.lease("shop") is None
    assert await store.renew_leases("two", TTL) == {"web"}
    assert await store.renew_leases("one", TTL) == frozenset()
    await store.close()


async def test_a_late_lease_is_renewed_unless_somebody_has_taken_it(store: Store):
    """Nobody has acted on the app in between, so its holder may go on."""
    for app in ("web", "shop"):
        assert await store.acquire_lease(app, "one", timedelta(0))
    assert await store.acquire_lease("web", "two", TTL, ended=await store.lease("web")) is not None
    assert await store.renew_leases("one", TTL) == {"shop"}
    assert await store.acquire_lease("shop", "two", TTL) is None


async def test_two_processes_never_hold_the_same_lease(url: str, tmp_path: Path):
    """Real processes fight for one lease that expires quickly; each writes down when it has it, and gives it back.

    A file that is created exclusively while the lease is held would tell of two holders.
    """
    await (await Store.open(url)).close()
    script = f"""
import asyncio, os, sys
from datetime import timedelta
from driftd.store import Store

async def main():
    store = await Store.open({url!r})
    held = 0
    while held < 15:
        if await store.acquire_lease("web", sys.argv[1], timedelta(seconds=60)) is None:
            await asyncio.sleep(0.001)
            continue
        os.close(os.open({str(tmp_path / "held")!r}, os.O_CREAT | os.O_EXCL))
        await asyncio.sleep(0.002)
        os.unlink({str(tmp_path / "held")!r})
        held += 1
        await store.release_leases(sys.argv[1])
        await asyncio.sleep(0.002)
    await store.close()

asyncio.run(main())
"""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, holder, env=os.environ, stderr=subprocess.PIPE
        )
        for holder in ("one", "two")
    ]
    errors = [(await process.communicate())[1].decode() for process in processes]
    assert errors == ["", ""]
