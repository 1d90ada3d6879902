"""Sandboxes in a separate process: `python -m benchmarks.sandbox_server FOLDER OBJECTS [CLUSTERS]`.

Each has the same objects as a real cluster after their deployment. Kubeconfigs are written to FOLDER, and their paths
are printed as a line of JSON once all clusters are served. The process ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.api import Api
from benchmarks.world import DeclaredObject, declare, declared_objects
from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.server import Sandbox

_SAMPLE = declare("deployment", "sample-namespace", "sample-name")
_HELD = RolloutSettings(enabled=False)


async def serve(folder: Path, objects: int, clusters: int) -> None:
    """Serves until standard input is closed."""
    sample = await _deploy_sample()
    gc.disable()
    async with AsyncExitStack() as stack:
        kubeconfigs = []
        for number in range(clusters):
            sandbox = await stack.enter_async_context(Sandbox(rollout=_HELD).serve())
            sandbox.load(_live_objects(sample, declared_objects(objects)))
            kubeconfigs.append(str(sandbox.write_kubeconfig(folder / f"cluster-{number:02d}.kubeconfig")))
        gc.collect()
        gc.freeze()  # a collection would traverse all objects during the measurement, although they are no garbage
        gc.enable()
        print(json.dumps(kubeconfigs), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _deploy_sample() -> str:
    """A deployed object with managedFields, defaults and status, as JSON."""
    async with Sandbox(rollout=_HELD).serve() as sandbox, Api(sandbox.url, token=sandbox.token).session() as session:
        await session.namespace(_SAMPLE.namespace)
        await session.deploy(_SAMPLE)
        return (await session.get(_SAMPLE.item)).decode()


def _live_objects(sample: str, objects: Iterator[DeclaredObject]) -> Iterator[dict[str, Any]]:
    for obj in objects:
        text = sample.replace(_SAMPLE.namespace, obj.namespace).replace(_SAMPLE.name, obj.name)
        body: dict[str, Any] = orjson.loads(text)
        for key in ("uid", "resourceVersion"):
            del body["metadata"][key]
        yield body


class SandboxServer:
    """The process as a context manager. `kubeconfigs` are those of its clusters."""

    def __init__(self, folder: Path, objects: int, clusters: int = 1) -> None:
        self.kubeconfigs: list[Path] = []
        arguments = (str(folder), str(objects), str(clusters))
        self._command = [sys.executable, "-m", "benchmarks.sandbox_server", *arguments]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  # this module
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox ended with {self._process.wait()}")
        self.kubeconfigs = [Path(path) for path in json.loads(line)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
