"""Operations: recorded before they are made, and what came of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import store_world as world

from driftd.model.operation import Operation
from driftd.model.plan import Outcome, Trigger
from driftd.model.resource import ResourceRef
from driftd.store import Retention, Store


def operation(number: int, *, app: str = "web", kind: str = "Deployment", name: str = "web") -> Operation:
    return Operation(
        id=f"{number:032x}", app=app, cluster="prod", plan="p" * 32, trigger=Trigger.HEAL, revision="f" * 40,
        by="driftd", ref=ResourceRef("apps", kind, "web", name), api_version="apps/v1", fields=(world.field(),),
        planned=world.T0 + number * world.MINUTE,
    )  # fmt: skip


async def test_a_plan_is_known_after_a_crash_and_its_outcomes_are_not(url: str):
    """Which writes were about to be made is on the disk before the first of them."""
    store = await Store.open(url)
    planned = [operation(number) for number in range(3)]
    await store.record_plan(planned)
    await store.close()
    store = await Store.open(url)
    assert await store.open_plans("other") == []
    [plan] = await store.open_plans("web")
    assert (plan.id, plan.started, plan.recorded) == ("p" * 32, world.T0, False)
    assert plan.operations == tuple(planned)
    done = replace(planned[0], outcome=Outcome.CONFIGURED, finished=world.T0 + world.MINUTE)
    failed = replace(planned[2], outcome=Outcome.FAILED, error="no", finished=world.T0 + world.MINUTE)
    await store.record_outcomes([done, failed])
    [plan] = await store.open_plans("web")
    assert plan.operations == (done, planned[1], failed)
    interrupted = replace(planned[1], outcome=Outcome.INTERRUPTED, finished=world.T0 + 2 * world.MINUTE)
    await store.record_outcomes([interrupted])
    await store.transition_incidents("web", [], [], plans=["p" * 32])
    assert await store.open_plans("web") == []
    assert await store.operations() == [failed, interrupted, done]
    await store.record_plan([])
    await store.record_outcomes([])
    await store.close()


async def test_operations_are_found_by_app_object_and_time_newest_first(store: Store):
    """And page by page: `before` is the last one of the page before."""
    await store.record_plan([operation(0), operation(1, app="shop", kind="Service"), operation(2, name="api")])

    async def numbers(**criteria: object) -> list[int]:
        return [int(found.id, 16) for found in await store.operations(**criteria)]  # type: ignore[arg-type]

    assert await numbers() == [2, 1, 0]
    assert await numbers(app="web") == [2, 0]
    assert await numbers(kind="Deployment", namespace="web", name="web") == [0]
    assert await numbers(since=world.T0 + world.MINUTE) == [2, 1]
    assert await numbers(limit=2) == [2, 1]
    assert await numbers(limit=2, before=operation(1).id) == [0]
    assert await numbers(before="nobody") == []


async def test_old_operations_are_pruned(url: str):
    """By age, and by number where one app writes without end; the newest stay."""
    store = await Store.open(url, clock=lambda: world.T0 + timedelta(days=90, minutes=2))
    await store.record_plan([operation(number) for number in range(8)] + [operation(9, app="shop")])
    assert (await store.prune()).operations == 2
    assert (await store.prune(Retention(operations=4))).operations == 2
    assert [int(found.id, 16) for found in await store.operations()] == [9, 7, 6, 5, 4]
    await store.close()
