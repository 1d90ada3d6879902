"""Ways to deploy objects, each with its entries in managedFields."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable
from pathlib import Path

from driftd.diff.normalise import LAST_APPLIED
from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from tests.lab.api import APPLY, Api, JsonObject, Refused
from tests.support.corpora import layers

WAYS = ("server-side apply", "apply", "create", "helm", "flux", "create, then flux", "apply, then flux")


def deploy(api: Api, manifest: Manifest, way: str) -> None:
    """Create the object. Raises: Refused."""
    first, _, then = way.partition(", then ")
    if then:
        deploy(api, manifest, first)
        way = then
    collection = api.path(manifest).rpartition("/")[0]
    body: JsonObject = copy.deepcopy(dict(manifest.body))
    match way:
        case "server-side apply":
            api.request("PATCH", api.path(manifest), body, APPLY, fieldManager="kubectl")
        case "flux":
            api.request("PATCH", api.path(manifest), body, APPLY, fieldManager="kustomize-controller", force="true")
        case "apply":
            recorded = json.dumps(body) + "\n"
            annotations = body["metadata"].get("annotations") or {}
            body["metadata"]["annotations"] = {**annotations, LAST_APPLIED: recorded}
            api.request("POST", collection, body, fieldManager="kubectl-client-side-apply")
        case "helm":
            body["metadata"].setdefault("labels", {})
            api.request("POST", collection, body, fieldManager="helm")
        case _:
            api.request("POST", collection, body, fieldManager="kubectl-create")


def deploy_corpus(api: Api, repository: Path, way: str) -> list[Manifest]:
    """Create the objects of a corpus, layer by layer; returns those that the API server accepted."""
    accepted = []
    for layer in layers(repository):
        created = [manifest for manifest in _manifests(layer) if _try(api, manifest, way)]
        accepted += created
        _wait_until_served(api, [manifest for manifest in created if manifest.ref.kind == "CustomResourceDefinition"])
    return accepted


def _manifests(layer: Iterable[Path]) -> Iterable[Manifest]:
    for file in sorted(file for folder in layer for file in folder.rglob("*.yaml")):
        yield from read_manifests(file.read_bytes(), file.name).manifests


def _try(api: Api, manifest: Manifest, way: str) -> bool:
    try:
        deploy(api, manifest, way)
    except Refused:
        return False
    return True


def _wait_until_served(api: Api, definitions: list[Manifest]) -> None:
    deadline = time.monotonic() + 60
    waiting = definitions
    while waiting:
        waiting = [manifest for manifest in waiting if not _is_served(api, manifest)]
        if time.monotonic() > deadline:
            raise AssertionError(f"not served after a minute: {[str(m.ref) for m in waiting]}")
        if waiting:
            time.sleep(0.1)


def _is_served(api: Api, manifest: Manifest) -> bool:
    live = api.get(manifest)
    spec = live["spec"]
    try:
        for version in spec["versions"]:
            if version["served"]:
                api_version = f"{spec['group']}/{version['name']}"
                api.resource(api_version, spec["names"]["kind"])
                if api.schema(api_version, spec["names"]["kind"]) is None:
                    api._schemas.pop(f"/openapi/v3/apis/{api_version}", None)
                    return False
    except Refused:
        return False
    return True
