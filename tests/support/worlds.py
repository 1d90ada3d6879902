"""Fixtures: a separate world for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World, config_map, deployment, opened

Opened = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def a_world(tmp_path: Path) -> Opened:
    """Opens a world whose app has a Deployment and a ConfigMap, with the test's configuration."""

    def open_world(**app: Any) -> AbstractAsyncContextManager[World]:
        return opened(tmp_path, [("deployment.yaml", deployment()), ("config.yaml", config_map(a="1"))], **app)

    return open_world


@pytest.fixture
async def observed(a_world: Opened) -> AsyncIterator[World]:
    async with a_world() as world:
        yield world
