"""The two API servers of the contract suite: as a fixture with two parameters, and as a pair."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from driftd.sandbox.server import Sandbox
from tests.contract.client import ApiServer
from tests.support import CONTROLPLANE
from tests.support.controlplane import ControlPlane

REAL, FAKE = "controlplane", "sandbox"


@pytest.fixture(params=[FAKE, pytest.param(REAL, marks=getattr(pytest.mark, CONTROLPLANE))])
async def api_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """Runs a test of the contract against the sandbox, and against the real API server."""
    if request.param == FAKE:
        async with sandbox_server(tmp_path) as server:
            yield server
    else:
        async with real_server(request.getfixturevalue("control_plane")) as server:
            yield server


@pytest.fixture
async def both(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[tuple[ApiServer, ApiServer]]:
    """The sandbox and the real API server, for comparison."""
    async with sandbox_server(tmp_path) as fake, real_server(control_plane) as real:
        yield fake, real


@asynccontextmanager
async def sandbox_server(folder: Path) -> AsyncIterator[ApiServer]:
    async with Sandbox().serve() as sandbox, aiohttp.ClientSession() as session:
        kubeconfig = sandbox.write_kubeconfig(folder / "sandbox.kubeconfig")
        server = ApiServer(FAKE, sandbox.url, session, None, kubeconfig)
        async with _namespace(server):
            yield server


@asynccontextmanager
async def real_server(control_plane: ControlPlane) -> AsyncIterator[ApiServer]:
    pair = control_plane.credentials("admin", ("system:masters",))
    tls = ssl.create_default_context(cafile=str(control_plane.certificate_authority))
    tls.load_cert_chain(pair.certificate, pair.key)
    async with aiohttp.ClientSession() as session:
        server = ApiServer(REAL, control_plane.server, session, tls, control_plane.kubeconfig())
        async with _namespace(server):
            yield server


@asynccontextmanager
async def _namespace(server: ApiServer) -> AsyncIterator[None]:
    server.namespace = f"contract-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": server.namespace}}
    await server.post("/api/v1/namespaces", body)
    yield
    await server.request("DELETE", "/api/v1/namespaces/{ns}")
