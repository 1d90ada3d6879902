"""Simulates the scheduler and the kubelet: pods are bound to a node, get a status and, when deleted, are removed.

No containers run. The status of a pod depends on its spec: see `tests.support.pod_status`.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from tests.support.controlplane import ADMIN_GROUP, ControlPlane
from tests.support.pod_status import needs_report, status_of

NODE = "node-1"
_WORKERS = 16
_LONGEST_LINE = 4 * 1024 * 1024
_RETRY_AFTER = 0.2


class Kubelet:
    """Runs in a separate thread from `start` to `stop`; survives restarts of the API server."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> Self:
        """Register the node and start; afterwards pods are run.

        Raises: RuntimeError: the node could not be registered.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise RuntimeError("The stand-in kubelet could not start.") from self._failure
        return self

    def stop(self) -> None:
        """Stop; pods are left as they are."""
        if self._main is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._live())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _live(self) -> None:
        credentials = self._control_plane.credentials("kubelet", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(self._control_plane.certificate_authority))
        context.load_cert_chain(credentials.certificate, credentials.key)
        async with aiohttp.ClientSession(
            self._control_plane.server,
            connector=aiohttp.TCPConnector(ssl=context, limit=_WORKERS + 2),
            read_bufsize=_LONGEST_LINE,
            json_serialize=lambda value: orjson.dumps(value).decode(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        ) as session:
            work = _Pods(session)
            try:
                await _register_node(session)
            except BaseException as error:
                self._failure = error
                raise
            finally:
                self._started.set()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_WORKERS):
                    tasks.create_task(work.carry_out())
                tasks.create_task(work.watch())


class _Pods:
    """The pods of the cluster, each handled by one worker at a time, in its latest version."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._newest: dict[str, dict[str, Any]] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._busy: set[str] = set()
        self._addresses = 0

    async def watch(self) -> None:
        """List and watch all pods forever; relist whenever the stream or the API server ends."""
        while True:
            try:
                async for pod in _pods(self._session):
                    self._see(pod)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass  # restarted, or the resource version is too old: relist
            await asyncio.sleep(_RETRY_AFTER)

    async def carry_out(self) -> None:
        """Handle pods one at a time, forever."""
        while True:
            uid = await self._queue.get()
            self._busy.add(uid)
            pod = self._newest.pop(uid)
            try:
                await self._look_after(pod)
            except (aiohttp.ClientError, TimeoutError):
                self._newest.setdefault(uid, pod)
                await asyncio.sleep(_RETRY_AFTER)
            self._busy.discard(uid)
            if uid in self._newest:
                self._queue.put_nowait(uid)

    def _see(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if not _concerns_us(pod):
            return
        waiting = uid in self._newest
        self._newest[uid] = pod
        if not waiting and uid not in self._busy:
            self._queue.put_nowait(uid)

    async def _look_after(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
            await self._send("DELETE", path, body, agent="kubelet")
            return
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
                "target": target,
            }
            if not await self._send("POST", f"{path}/binding", binding, agent="kube-scheduler"):
                return
        status = {"metadata": {"uid": metadata["uid"]}, "status": status_of(pod, self._address(pod))}
        await self._send("PATCH", f"{path}/status", status, agent="kubelet")

    def _address(self, pod: dict[str, Any]) -> str:
        """The pod's own address, or the next free one of 10.244.0.0/16."""
        address: str | None = (pod.get("status") or {}).get("podIP")
        if address:
            return address
        self._addresses += 1
        return f"10.244.{self._addresses // 250 % 250}.{self._addresses % 250 + 2}"

    async def _send(self, method: str, path: str, body: dict[str, Any], *, agent: str) -> bool:
        """Returns: False if the API server refuses: the pod is deleted or has changed, and an event follows.

        Raises: aiohttp.ClientError: the request should be retried.
        """
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"User-Agent": f"{agent}/stand-in", "Content-Type": kind}
        async with self._session.request(method, path, data=orjson.dumps(body), headers=headers) as response:
            await response.read()
            if response.status >= 500 or response.status == 429:
                response.raise_for_status()
            return response.ok


def _concerns_us(pod: dict[str, Any]) -> bool:
    spec = pod["spec"]
    if spec.get("schedulingGates") or spec.get("nodeName", NODE) != NODE:
        return False
    if pod["metadata"].get("deletionTimestamp"):
        return True
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and (not spec.get("nodeName") or needs_report(pod))


async def _pods(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """All pods, followed by changed pods, until the stream ends."""
    async with session.get("/api/v1/pods") as response:
        response.raise_for_status()
        listed = orjson.loads(await response.read())
    for pod in listed["items"]:
        yield pod
    query = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
    async with session.get("/api/v1/pods", params=query) as response:
        response.raise_for_status()
        async for line in response.content:
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                return
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]


async def _register_node(session: aiohttp.ClientSession) -> None:
    """A ready node with room for every pod, without the taint that admission gives to a new one."""
    resources = {"cpu": "1000", "memory": "4Ti", "pods": "100000", "ephemeral-storage": "4Ti"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
    }
    async with session.post("/api/v1/nodes", json=node) as response:
        if response.status != 409:
            response.raise_for_status()
    merge = {"Content-Type": "application/merge-patch+json"}
    async with session.patch(f"/api/v1/nodes/{NODE}", json={"spec": {"taints": None}}, headers=merge) as response:
        response.raise_for_status()
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    status = {"capacity": resources, "allocatable": resources, "conditions": [ready]}
    async with session.patch(f"/api/v1/nodes/{NODE}/status", json={"status": status}, headers=merge) as response:
        response.raise_for_status()
