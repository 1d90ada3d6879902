"""Fixtures: a separate world for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World, config_map, create_world, deployment

OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(tmp_path: Path) -> OpenWorld:
    """Opens a world whose app has a Deployment and a ConfigMap, with the test's configuration."""

    def open_with(**app: Any) -> AbstractAsyncContextManager[World]:
        return create_world(tmp_path, [("deployment.yaml", deployment()), ("config.yaml", config_map(a="1"))], **app)

    return open_with


@pytest.fixture
async def observed(open_world: OpenWorld) -> AsyncIterator[World]:
    async with open_world() as world:
        yield world
