"""The sandbox: a Kubernetes API in memory, served over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from uvicorn.protocols.http.h11_impl import H11Protocol

from driftd.sandbox.api import Api
from driftd.sandbox.controllers import Controllers, RolloutSettings
from driftd.sandbox.faults import Faults
from driftd.sandbox.hosting import serve_app
from driftd.sandbox.loading import load
from driftd.sandbox.status import internal
from driftd.sandbox.strategy import stamp
from driftd.sandbox.world import Clock, World, utc_now
from driftd.sandbox.writes import WriteOptions

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class Sandbox:
    """An in-memory cluster. Its objects outlive `serve`: serving again is a restart of the API server.

    `clock` is the source of timestamps, `rollout` the duration of rollouts, `history_limit` the number of changes per
    kind that a watch can replay, `bookmark_interval` the seconds between bookmarks.
    """

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        rollout: RolloutSettings | None = None,
        history_limit: int = 20_000,
        bookmark_interval: float = 60.0,
    ) -> None:
        self._world = World.new(clock, history_limit=history_limit)
        self._token = secrets.token_urlsafe(24)
        self._api = Api(self._world, token=self._token, bookmark_interval=bookmark_interval)
        self._controllers = Controllers(self._world, self._api.writes, self._api.deletion, rollout or RolloutSettings())
        self._url: str | None = None
        self._seed()

    @property
    def faults(self) -> Faults:
        """Fault injection."""
        return self._world.faults

    @property
    def url(self) -> str:
        """The URL of the API. Raises: RuntimeError: it is not being served."""
        if self._url is None:
            raise RuntimeError("the sandbox is not served: use it within serve()")
        return self._url

    @property
    def token(self) -> str:
        """The accepted bearer token. Another one is refused; requests without a token are accepted."""
        return self._token

    @property
    def resource_version(self) -> int:
        return self._world.store.revision

    def kubeconfig(self) -> str:
        """A kubeconfig for this API, as YAML."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "sandbox", "cluster": {"server": self.url}}],
                "users": [{"name": "sandbox", "user": {"token": self._token}}],
                "contexts": [
                    {"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}}
                ],
                "current-context": "sandbox",
            },
            sort_keys=False,
        )

    def write_kubeconfig(self, path: Path) -> Path:
        """Writes the kubeconfig, readable by its owner only, and returns its path."""
        path.touch(mode=0o600)
        path.write_text(self.kubeconfig())
        return path

    def compact(self) -> None:
        """Drops the history: watches and pages that resume from an earlier version get 410."""
        self._world.store.compact()

    def load(self, objects: Iterable[Mapping[str, Any]], *, manager: str = "sandbox") -> int:
        """Loads many objects at once, with defaults and ownership, without events, validation and rollouts.

        Ownership is computed once for objects with the same fields. Objects with managedFields or a status keep them.
        Missing namespaces are created.
        Returns: the number of objects.
        Raises: ApiError: an object cannot be decoded, or its kind is not served.
        """
        return load(self._world, objects, manager)

    @contextlib.asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Sandbox]:
        """Serves the API within the context. Port 0 selects a free port."""
        faults = self._world.faults

        class Protocol(H11Protocol):
            """Closes every connection while `faults.refusing` is set."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn asks for a narrower type
                if faults.refusing:
                    self.transport.abort()

            def _unsupported_upgrade_warning(self) -> None:
                """Nothing: kubectl gets an answer, and uvicorn's advice to install more is none to its user."""

            def data_received(self, data: bytes) -> None:
                if faults.refusing:
                    self.transport.abort()
                else:
                    super().data_received(data)

        async with serve_app(self._api, host, port, protocol=Protocol) as url:
            self._url = url
            controlling = asyncio.create_task(self._controllers.run())
            try:
                yield self
            finally:
                self._url = None
                self._api.watches.close_all()
                controlling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await controlling

    def _seed(self) -> None:
        """Creates the namespaces and the node of a new cluster."""
        namespaces = self._world.registry.of_kind("", "Namespace")
        if namespaces is None:
            raise internal("namespaces are not served")
        for name in _NAMESPACES:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self._api.writes.create(namespaces, "", body, WriteOptions(manager="kube-apiserver"))
        node = self._world.registry.of_kind("", "Node")
        if node is not None:
            now = stamp(self._world.clock())
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now,
                     "lastTransitionTime": now, "message": "kubelet is posting ready status"}  # fmt: skip
            capacity = {"cpu": "8", "memory": "32Gi", "pods": "110"}
            body = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": "sandbox",
                    "labels": {"kubernetes.io/hostname": "sandbox", "kubernetes.io/os": "linux"},
                },
                "status": {"capacity": capacity, "conditions": [ready]},
            }
            self._api.writes.create(node, "", body, WriteOptions(manager="kubelet"))
