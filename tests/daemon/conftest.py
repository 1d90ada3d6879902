"""A cluster for daemons in processes of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.sandbox.server import Sandbox


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """A cluster in this process, with the namespace `web`, served from a thread."""
    sandbox, ready, over = Sandbox(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with sandbox.serve():
            sandbox.write_kubeconfig(tmp_path / "kubeconfig")
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield tmp_path / "kubeconfig"
    over.set()
    thread.join()
