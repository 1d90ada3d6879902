"""A minimal API client: the cost of writing must not distort what is measured."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from benchmarks.world import STATUS, DeclaredObject, fill_template

DEPLOYER = "kubectl"
_APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Api:
    """The address of an API server, and its credentials."""

    url: str
    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connector = aiohttp.TCPConnector(ssl=self.tls if self.tls is not None else True, limit=_AT_ONCE * 4)
        async with aiohttp.ClientSession(self.url, connector=connector, headers=headers) as session:
            yield Session(session)


class Session:
    """Connections to one API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: str, content: str = "application/json") -> bytes:
        """Sends one request. Raises: RuntimeError: it was refused."""
        async with self._session.request(method, path, data=body, headers={"Content-Type": content}) as answer:
            text = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:500]}")
            return text

    async def get(self, path: str) -> bytes:
        """Returns: the body of the response. Raises: aiohttp.ClientResponseError: the request was refused."""
        async with self._session.get(path, raise_for_status=True) as answer:
            return await answer.read()

    async def namespace(self, name: str) -> None:
        """Creates a namespace."""
        body = f'{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}'
        await self.send("PATCH", f"/api/v1/namespaces/{name}?fieldManager={DEPLOYER}&force=true", body, _APPLY)

    async def deploy(self, obj: DeclaredObject) -> None:
        """Applies an object as `kubectl apply --server-side` does; a Deployment gets the status of a rollout."""
        await self.send("PATCH", f"{obj.item}?fieldManager={DEPLOYER}&force=true", obj.text, _APPLY)
        if obj.kind == "deployment":
            status = f'{{"status":{fill_template(STATUS, obj.namespace, obj.name)}}}'
            await self.send("PATCH", f"{obj.item}/status?fieldManager=kube-controller-manager", status, MERGE)

    async def deploy_all(self, objects: Iterable[DeclaredObject]) -> None:
        """Applies many objects concurrently, and creates their namespaces."""
        remaining = iter(objects)
        namespaces: dict[str, asyncio.Task[None]] = {}

        async def work() -> None:
            for obj in remaining:
                if obj.namespace not in namespaces:
                    namespaces[obj.namespace] = asyncio.create_task(self.namespace(obj.namespace))
                await namespaces[obj.namespace]
                await self.deploy(obj)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
