"""The state of a sandbox, shared by the HTTP API and the controllers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from driftd.sandbox.faults import Faults
from driftd.sandbox.resources.catalog import builtin
from driftd.sandbox.resources.registry import Registry
from driftd.sandbox.store import Store
from driftd.sandbox.strategy import Addresses

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class World:
    clock: Clock
    store: Store
    registry: Registry
    faults: Faults
    addresses: Addresses = field(default_factory=Addresses)

    @classmethod
    def new(cls, clock: Clock = utc_now, *, history_limit: int = 20_000) -> World:
        return cls(clock, Store(history_limit=history_limit), Registry(builtin()), Faults())
