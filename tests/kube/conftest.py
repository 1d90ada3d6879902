"""A scripted API server, and a connection to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from driftd.kube.rest_client import Cluster, ClusterAccess
from tests.kube.scripted import ScriptedApi, kubeconfig


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    """An API server without any path, until a test adds some."""
    async with ScriptedApi() as server:
        yield server


@pytest.fixture
async def cluster(api: ScriptedApi, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A connection to `api`."""
    connected = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url)))
    yield connected
    await connected.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until something holds, for at most ten seconds."""

    async def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold within ten seconds"
            await asyncio.sleep(0.01)

    return wait
