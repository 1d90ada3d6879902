"""kubectl works against both API servers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.contract.client import ApiServer
from tests.contract.sequences import PLAIN_DEPLOYMENT, WEB, with_

Kubectl = Callable[..., Awaitable[str]]


@pytest.fixture
def run(api_server: ApiServer, assets: Path, tmp_path: Path) -> Kubectl:
    """Runs kubectl in the test's namespace, and returns its output."""

    async def kubectl(*arguments: str, code: int = 0, **environment: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(assets / "kubectl"), "--kubeconfig", str(api_server.kubeconfig), "-n", api_server.namespace, *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(tmp_path), **environment},
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        assert process.returncode == code, f"kubectl {' '.join(arguments)}: {output}"
        return output

    return kubectl


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "web.json"
    file.write_text(json.dumps(PLAIN_DEPLOYMENT))
    return file


def _declare(manifest: Path, obj: object, *, image: str = "1.25") -> None:
    manifest.write_text(json.dumps(obj).replace("1.25", image))


def _image(obj: dict[str, object]) -> object:
    return obj["spec"]["template"]["spec"]["containers"][0]["image"]  # type: ignore[index]


async def test_kubectl_applies_edits_scales_and_deletes(api_server: ApiServer, run: Kubectl, manifest: Path) -> None:
    """A Deployment from its first apply to its deletion, by kubectl alone."""
    assert "created" in await run("apply", "-f", str(manifest))
    assert "unchanged" in await run("apply", "-f", str(manifest))
    _declare(manifest, PLAIN_DEPLOYMENT, image="1.26")
    assert "configured" in await run("apply", "-f", str(manifest))
    assert _image(await api_server.get(WEB)) == "nginx:1.26"
    assert "edited" in await run("edit", "deployment", "web", KUBE_EDITOR='sed -i "s/nginx:1.26/nginx:1.27/"')
    edited = await api_server.get(WEB)
    assert _image(edited) == "nginx:1.27"
    assert "kubectl-edit" in [entry["manager"] for entry in edited["metadata"]["managedFields"]]
    assert "scaled" in await run("scale", "deployment", "web", "--replicas=3")
    assert "annotated" in await run("annotate", "deployment", "web", "note=this")
    assert "labeled" in await run("label", "deployment", "web", "mine=yes")
    assert "image updated" in await run("set", "image", "deployment/web", "web=nginx:1.28")
    assert "restarted" in await run("rollout", "restart", "deployment/web")
    assert "patched" in await run("patch", "deployment", "web", "-p", '{"spec":{"replicas":1}}')
    assert "web" in await run("get", "deployments")
    assert "web" in await run("get", "deploy", "web", "-o", "yaml", "--show-managed-fields")
    described = await api_server.get(WEB)
    assert (_image(described), described["spec"]["replicas"]) == ("nginx:1.28", 1)
    assert described["metadata"]["annotations"]["note"] == "this"
    assert "deleted" in await run("delete", "deployment", "web", "--timeout=30s")
    assert (await api_server.request("GET", WEB)).code == 404


async def test_kubectl_applies_server_side_and_reports_conflicts(
    api_server: ApiServer, run: Kubectl, manifest: Path
) -> None:
    """Ownership, a conflict after an edit, and force."""
    assert "serverside-applied" in await run("apply", "--server-side", "--field-manager=one", "-f", str(manifest))
    await run("set", "image", "deployment/web", "web=nginx:2")
    refused = await run("apply", "--server-side", "--field-manager=one", "-f", str(manifest), code=1)
    assert 'conflict with "kubectl-set"' in refused
    assert '.spec.template.spec.containers[name="web"].image' in refused
    await run("apply", "--server-side", "--field-manager=one", "--force-conflicts", "-f", str(manifest))
    assert _image(await api_server.get(WEB)) == "nginx:1.25"


async def test_kubectl_diff_reports_differences_by_its_exit_code(run: Kubectl, manifest: Path) -> None:
    """0 without a difference, 1 with one, for client-side and server-side diffs."""
    await run("apply", "-f", str(manifest))
    await run("diff", "-f", str(manifest))
    _declare(manifest, PLAIN_DEPLOYMENT, image="1.99")
    assert "image: nginx:1.99" in await run("diff", "-f", str(manifest), code=1)
    assert "nginx:1.99" in await run("diff", "--server-side", "--force-conflicts", "-f", str(manifest), code=1)


async def test_kubectl_refuses_unknown_fields(run: Kubectl, manifest: Path) -> None:
    """kubectl requests strict validation by the server."""
    _declare(manifest, with_(PLAIN_DEPLOYMENT, spec__replicaz=3))
    assert 'unknown field "spec.replicaz"' in await run("apply", "-f", str(manifest), code=1)


async def test_kubectl_explains_and_lists_kinds(run: Kubectl) -> None:
    """With discovery and OpenAPI v3."""
    assert "Number of desired pods" in await run("explain", "deployment.spec.replicas")
    assert "deployments" in await run("api-resources", "--api-group=apps")


async def test_kubectl_creates_without_a_manifest_and_asks_what_it_may(api_server: ApiServer, run: Kubectl) -> None:
    """It sends these in protobuf."""
    assert "created" in await run("create", "deployment", "web", "--image=nginx:1.25", "--port=80")
    assert "created" in await run("create", "configmap", "settings", "--from-literal=a=b")
    assert "exposed" in await run("expose", "deployment", "web", "--port=80")
    assert "yes" in await run("auth", "can-i", "create", "deployments")
    assert _image(await api_server.get(WEB)) == "nginx:1.25"
