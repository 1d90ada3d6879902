"""What kubectl sends besides JSON and patches."""

from __future__ import annotations

import aiohttp
import pytest

from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.protobuf import MEDIA_TYPE
from driftd.sandbox.server import Sandbox

DEPLOYMENT = bytes.fromhex(
    "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412af010a1f0a0377656212001a0022002a003200380042005a0a0a03"
    "6170701203776562127e0800120c0a0a0a0361707012037765621a640a1c0a0012001a0022002a003200380042005a0a0a036170701203"
    "776562124412260a01781201782a00320a0a001000185022002a0042006a007200800100880100900100a201001a00320042004a005200"
    "5800600068008201008a01009a0100c2010022020a00280038001a0c0800100018002000280038001a002200"
)
"""The body of `kubectl create deployment web --image=x --replicas=0 --port=80`, of kubectl 1.37."""

PATH = "/apis/apps/v1/namespaces/default/deployments"


async def test_an_object_that_kubectl_creates_in_protobuf_is_the_one_of_its_json() -> None:
    """Go's zero values on the wire are no fields, and a pointer to zero is one."""
    labels = {"app": "web"}
    container = {"name": "x", "image": "x", "ports": [{"containerPort": 80}], "resources": {}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, "strategy": {}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": labels},
        "spec": spec,
        "status": {},
    }
    objects = []
    for content in ({"data": DEPLOYMENT, "headers": {"Content-Type": MEDIA_TYPE}}, {"json": body}):
        async with Sandbox(rollout=RolloutSettings(enabled=False)).serve() as sandbox, aiohttp.ClientSession() as http:
            answer = await http.post(f"{sandbox.url}{PATH}?fieldManager=kubectl-create", **content)
            assert answer.status == 201, await answer.text()
            objects.append(await answer.json())
    for obj in objects:
        for key in ("uid", "resourceVersion", "creationTimestamp"):
            del obj["metadata"][key]
        for entry in obj["metadata"]["managedFields"]:
            del entry["time"]
    assert objects[0] == objects[1]


@pytest.mark.parametrize("content", [b"", b"k8s\x00", DEPLOYMENT[:60], b"k8s\x00\xff\xff", b"{}"])
async def test_a_body_that_is_no_protobuf_is_refused(content: bytes) -> None:
    """With 400, as a JSON body that does not parse."""
    async with Sandbox().serve() as sandbox, aiohttp.ClientSession() as http:
        answer = await http.post(sandbox.url + PATH, data=content, headers={"Content-Type": MEDIA_TYPE})
        assert answer.status == 400


@pytest.mark.parametrize("command", ["exec", "attach", "portforward", "log"])
async def test_what_takes_a_running_container_is_answered_in_one_sentence(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the server prints nothing of its own on the terminal."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    async with Sandbox().serve() as sandbox, aiohttp.ClientSession() as http:
        answer = await http.get(f"{sandbox.url}/api/v1/namespaces/default/pods/web/{command}", headers=upgrade)
        assert answer.status == 501
        assert "runs no containers" in (await answer.json())["message"]
    assert capfd.readouterr().err == ""
