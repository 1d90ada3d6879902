"""A repository, a cluster, and the commands of driftd between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.rest_client import Cluster
from driftd.model.errors import ConfigError, DriftdError
from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.server import Sandbox
from tests.support.commands import invoke
from tests.support.gitserver import GitRepo

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: NAME\ndata:\n  a: VALUE\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\nstringData:\n  password: CANARY-in-git\n"
COLLECTIONS = {"ConfigMap": "configmaps", "Secret": "secrets"}


def config_map(name: str = "web", value: str = "one") -> str:
    return CONFIG_MAP.replace("NAME", name).replace("VALUE", value)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str


class World:
    """A repository with the folder `app`, a cluster with the namespace `web`, and driftd's own folders."""

    def __init__(self, folder: Path, sandbox: Sandbox, loop: asyncio.AbstractEventLoop, cluster: Cluster) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.kubeconfig = folder / "kubeconfig"
        self.repository = GitRepo(folder / "repository")
        self._loop = loop
        self._cluster = cluster

    def commit(self, **files: str) -> str:
        """Commits files below `app/`, by their names without `.yaml`."""
        return self.repository.write({f"app/{name}.yaml": text for name, text in files.items()}).commit("Change things")

    def apply(self, text: str, manager: str = "kubectl") -> None:
        """Server-side apply by somebody."""
        body = yaml.safe_load(text)
        path = f"/api/v1/namespaces/web/{COLLECTIONS[body['kind']]}/{body['metadata']['name']}"
        query = {"fieldManager": manager, "force": "true"}
        content = {"body": text.encode(), "content_type": "application/apply-patch+yaml"}
        self._wait(self._cluster.request("PATCH", path, query=query, **content))

    def get(self, kind: str, name: str) -> Any:
        return self._wait(self._cluster.request("GET", f"/api/v1/namespaces/web/{COLLECTIONS[kind]}/{name}"))

    def delete(self, kind: str, name: str) -> None:
        self._wait(self._cluster.request("DELETE", f"/api/v1/namespaces/web/{COLLECTIONS[kind]}/{name}"))

    def driftd(self, *arguments: str) -> CommandResult:
        """Runs a command, as `python -m driftd` would, with separate standard output and error."""
        return _command_result(invoke(arguments))

    def check(self, *arguments: str) -> CommandResult:
        """`driftd check` on the repository's folder `app`."""
        return self.driftd(
            "check", "--repo", self.repository.url, "--path", "app", "-n", "web", "--kubeconfig", str(self.kubeconfig),
            *arguments,
        )  # fmt: skip

    def configure(self, *apps: dict[str, Any], **more: Any) -> list[str]:
        """Writes a configuration with these apps; returns the arguments that name it."""
        file = self.folder / "driftd.yaml"
        document = {
            "apiVersion": "driftd.io/v1alpha1",
            "kind": "Config",
            "clusters": [{"name": "prod", "kubeconfig": str(self.kubeconfig)}],
            "sources": [{"name": "shop", "url": self.repository.url}],
            "apps": [{"source": "shop", "namespace": "web", **entry} for entry in apps],
            "store": {"url": f"sqlite:///{self.folder / 'history.db'}"},
            "cacheDir": str(self.folder / "mirrors"),
            **more,
        }
        file.write_text(yaml.safe_dump(document))
        return ["--config", str(file)]

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


def _command_result(result: Result) -> CommandResult:
    """The output with an error that the command raised, as `main` prints it."""
    error = result.exception
    if isinstance(error, ConfigError):
        return CommandResult(2, result.stdout, result.stderr + "\n".join(error.mistakes))
    if isinstance(error, DriftdError):
        return CommandResult(2, result.stdout, f"{result.stderr}driftd: {error}")
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return CommandResult(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.AbstractEventLoop]]:
    """An event loop in a thread of its own: each command runs another one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield (loop,)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def world(
    tmp_path: Path, serving: tuple[asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    (loop,) = serving
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    sandbox = Sandbox(rollout=RolloutSettings(enabled=False))
    sandbox.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}])
    started, stopping = threading.Event(), asyncio.Event()
    clusters: list[Cluster] = []

    async def serve() -> None:
        async with sandbox.serve():
            cluster = await Cluster.connect(ClusterAccess("test", sandbox.write_kubeconfig(tmp_path / "kubeconfig")))
            clusters.append(cluster)
            started.set()
            await stopping.wait()
            await cluster.close()

    served = asyncio.run_coroutine_threadsafe(serve(), loop)
    assert started.wait(20)
    yield World(tmp_path, sandbox, loop, clusters[0])
    loop.call_soon_threadsafe(stopping.set)
    served.result(20)
