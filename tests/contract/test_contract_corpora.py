"""Hundreds of real objects: both API servers set the same defaults, refusals and field owners."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.client import ApiServer, differences, normalise
from tests.contract.conftest import real_server, sandbox_server
from tests.support.controlplane import ControlPlane
from tests.support.corpora import NAMES, corpus

Object = dict[str, Any]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_FIRST = ("Namespace", "CustomResourceDefinition")


@pytest.fixture(scope="module")
def own_control_plane(assets: Path) -> Iterator[ControlPlane]:
    """A separate cluster, since the corpora have CRDs and cluster roles that would affect other tests."""
    with ControlPlane(assets) as cluster:
        yield cluster


@pytest.fixture
async def pair(own_control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[tuple[ApiServer, ApiServer]]:
    async with sandbox_server(tmp_path) as fake, real_server(own_control_plane) as real:
        yield fake, real


def _objects(folder: Path) -> list[Object]:
    """The manifests of a folder as JSON, namespaces and CRDs first."""
    files = sorted(folder.rglob("*.y*ml"))
    documents = [d for file in files for d in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)]
    objects = [d for d in documents if isinstance(d, dict) and d.get("kind") and d.get("metadata", {}).get("name")]
    plain: list[Object] = json.loads(json.dumps(objects, default=str))
    return sorted(plain, key=lambda obj: obj["kind"] not in _FIRST)


async def _paths(server: ApiServer) -> dict[tuple[str, str], tuple[str, bool]]:
    """The path of each kind, and whether it is namespaced."""
    served = {}
    for root in ("/api", "/apis"):
        for group in (await server.get(root, Accept=_AGGREGATED))["items"]:
            for version in group["versions"]:
                name = group["metadata"].get("name")
                api_version = f"{name}/{version['version']}" if name else version["version"]
                for resource in version["resources"]:
                    path = f"{root}/{api_version}" + "{namespace}/" + resource["resource"]
                    served[api_version, resource["responseKind"]["kind"]] = path, resource["scope"] == "Namespaced"
    return served


async def _wait_established(server: ApiServer, definitions: list[Object]) -> dict[tuple[str, str], tuple[str, bool]]:
    for definition in definitions:
        group, spec = definition["spec"]["group"], definition["spec"]
        version = next(v["name"] for v in spec["versions"] if v["storage"])
        await server.eventually(f"/apis/{group}/{version}/{spec['names']['plural']}", lambda body: "items" in body)
    return await _paths(server)


def _comparable(answer: Object) -> Object:
    """An object, or the code and reason of a refusal: the messages are compared in test_contract_refusals.py."""
    return answer if "object" in answer else {"code": answer["code"], "reason": answer["reason"]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(300)
async def test_the_sandbox_accepts_real_manifests_as_a_real_api_server_does(
    name: str, pair: tuple[ApiServer, ApiServer], corpora: Path, tmp_path: Path
) -> None:
    """Applied by server-side apply: object by object, the two answers are the same."""
    fake, real = pair
    objects = _objects(corpus(corpora / name, tmp_path / name))
    namespaces = {obj["metadata"].get("namespace") for obj in objects} - {None}
    for server in pair:
        for namespace in namespaces:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            await server.request("POST", "/api/v1/namespaces", body)
    wrong: list[str] = []
    accepted: list[Object] = []
    paths: list[dict[tuple[str, str], tuple[str, bool]]] = []
    compared = 0
    for obj in objects:
        if obj["kind"] not in _FIRST and not paths:
            paths = [await _wait_established(server, accepted) for server in pair]
        served = paths or [await _paths(server) for server in pair]
        key = obj["apiVersion"], obj["kind"]
        if key not in served[1]:
            continue  # the real API server does not serve it either
        assert key in served[0], f"the sandbox does not serve {key}"
        path, namespaced = served[1][key]
        namespace = f"/namespaces/{obj['metadata'].get('namespace', '{ns}')}" if namespaced else ""
        path = f"{path.replace('{namespace}', namespace)}/{obj['metadata']['name']}"
        expected = await real.apply(path, obj, force=True)
        actual = await fake.apply(path, obj, force=True)
        compared += 1
        answers = [
            _comparable(normalise(answer, server.namespace)) for answer, server in ((expected, real), (actual, fake))
        ]
        lines = differences(*answers)
        wrong.extend(f"{obj['kind']}/{obj['metadata']['name']} {line}" for line in lines)
        if obj["kind"] == "CustomResourceDefinition" and expected.code < 300:
            accepted.append(obj)
    assert not wrong, "\n".join(wrong)
    assert compared > 100
