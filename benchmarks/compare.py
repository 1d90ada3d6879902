"""The cost of a verdict: microseconds of CPU per pair of declared and live object, by kind and way of deployment.

    python -m benchmarks.compare [--objects 1000] [--rounds 5] [--json FILE]

The objects are deployed into a sandbox over its API (client-side apply, server-side apply, and an Update as Helm sends
it), so that they have defaults, managedFields and, if they are workloads, a status from its controllers. All are in
sync, except for a row in which a label was set manually. Each row has many objects that differ only in their names and
are decoded separately, as after a LIST. The result is the best round, since noise of the machine only adds.

For comparison, a bare walk only checks the presence of each declared value, without types, owners or paths. Machines
differ, and so does one machine from hour to hour: the ratio of the two is stable.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from benchmarks.machine import machine
from benchmarks.table import parser, show, write
from driftd.diff.compare import Comparison
from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.redact import Redactor
from driftd.diff.typed.schema import Schema, Schemas
from driftd.health.workloads import health
from driftd.model.drift import Status
from driftd.model.resource import JsonObject, Manifest, Source, group_of
from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.server import Sandbox

COMPARISON = Comparison(Redactor(b"benchmark" * 4))
SETTLED_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """Objects of one kind that are deployed in one way. `types` is the path of their OpenAPI document."""

    body: JsonObject
    collection: str
    types: str
    way: str
    status: Status = Status.IN_SYNC

    @property
    def kind(self) -> str:
        return str(self.body["kind"])


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU per object. `verdict` includes `decode`, the decoding of the manifest's body."""

    kind: str
    way: str
    live_bytes: int
    managers: int
    verdict: float
    decode: float
    bare_walk: float
    health: float


Pairs = Sequence[tuple[Manifest, dict[str, Any]]]


def main(arguments: Sequence[str] | None = None) -> int:
    command = parser(__doc__)
    command.add_argument("--objects", type=int, default=1000, help="pairs per row (default: 1000)")
    command.add_argument("--rounds", type=int, default=5, help="of which the best counts (default: 5)")
    options = command.parse_args(arguments)
    costs = asyncio.run(run_benchmark(options.objects, options.rounds))
    host = machine("driftd's sandbox in place of Kubernetes")
    columns = ("", "bytes", "owners", "verdict", "decode", "bare walk", "health")
    show(f"Microseconds of CPU per pair, {options.objects} pairs a row", columns, list(_rows(costs)), [], host)
    figures = {"objects": options.objects, "costs": [asdict(cost) for cost in costs]}
    write(options.json, "compare", host, figures)
    return 0


async def run_benchmark(objects: int, rounds: int) -> list[Cost]:
    """The costs of all cases. Raises: RuntimeError: a verdict is not the expected one."""
    sandbox = Sandbox(rollout=RolloutSettings(pod_start=0.01, job_duration=0.01))
    async with sandbox.serve() as served, aiohttp.ClientSession(served.url) as session:
        await _send(session, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _definition())
        return [await _measure(session, case, objects, rounds) for case in _cases()]


async def _measure(session: aiohttp.ClientSession, case: Case, objects: int, rounds: int) -> Cost:
    live = await _deploy(session, case)
    api_version = str(case.body["apiVersion"])
    types = Schemas(await _send(session, "GET", case.types))
    schema = types.of(group_of(api_version), api_version.rpartition("/")[2], case.kind)
    text = json.dumps(live)
    pairs = [(_manifest(case, number), _renamed(text, number)) for number in range(objects)]
    for manifest, body in pairs[:20]:
        verdict = COMPARISON.verdict(manifest, body, schema)
        if verdict.status is not case.status:
            raise RuntimeError(f"{manifest.ref} by {case.way} should be {case.status}: {verdict}")
    gc.collect()
    gc.freeze()  # a collection would traverse the benchmark's own objects
    return Cost(
        case.kind,
        case.way,
        len(text),
        len(live["metadata"]["managedFields"]),
        _microseconds(lambda: _compare(pairs, schema), objects, rounds),
        _microseconds(lambda: _decode(pairs), objects, rounds),
        _microseconds(_walking(pairs), objects, rounds),
        _microseconds(lambda: _assess_health(pairs), objects, rounds),
    )


def _compare(pairs: Pairs, schema: Schema | None) -> None:
    for manifest, live in pairs:
        COMPARISON.verdict(manifest, live, schema)


def _decode(pairs: Pairs) -> None:
    for manifest, _ in pairs:
        _ = manifest.body


def _walking(pairs: Pairs) -> Callable[[], None]:
    bodies = [(manifest.body, live) for manifest, live in pairs]

    def walk() -> None:
        for desired, live in bodies:
            _missing(desired, live)

    return walk


def _assess_health(pairs: Pairs) -> None:
    for manifest, live in pairs:
        health(manifest.ref, live)


def _missing(desired: Any, live: Any) -> int:
    """The bare walk: the number of declared values that are missing; items of lists are matched by their names."""
    if desired.__class__ is dict:
        return sum([_missing(value, live.get(key)) for key, value in desired.items()])
    if desired.__class__ is list:
        if desired and desired[0].__class__ is dict and "name" in desired[0]:
            named = {item["name"]: item for item in live}
            return sum([_missing(item, named[item["name"]]) for item in desired])
        return sum([_missing(item, live_item) for item, live_item in zip(desired, live, strict=True)])
    return 1 if desired != live else 0


def _microseconds(work: Callable[[], None], objects: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return round(best / objects * 1e6, 2)


def _manifest(case: Case, number: int) -> Manifest:
    body = {**case.body, "metadata": {**case.body["metadata"], "name": f"bench-{number}"}}
    return Manifest.of(body, Source("bench.yaml", 1))


def _renamed(text: str, number: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(text)
    body["metadata"]["name"] = f"bench-{number}"
    return body


async def _deploy(session: aiohttp.ClientSession, case: Case) -> dict[str, Any]:
    """The live object after its deployment and the end of its rollout."""
    body: dict[str, Any] = copy.deepcopy(dict(case.body))
    item = f"{case.collection}/{body['metadata']['name']}"
    match case.way.partition(" + ")[0]:
        case "server-side apply" | "server-side":
            await _send(session, "PATCH", f"{item}?fieldManager=kubectl", body, "application/apply-patch+yaml")
        case "client-side apply":
            recorded = json.dumps({**body, "metadata": {"annotations": {}, **body["metadata"]}}, sort_keys=True)
            body["metadata"]["annotations"] = {LAST_APPLIED: recorded + "\n"}
            await _send(session, "POST", f"{case.collection}?fieldManager=kubectl-client-side-apply", body)
        case _:
            await _send(session, "POST", f"{case.collection}?fieldManager=helm", body)
    if case.status is not Status.IN_SYNC:
        label = {"metadata": {"labels": {"by": "hand"}}}
        await _send(session, "PATCH", f"{item}?fieldManager=kubectl-label", label, "application/merge-patch+json")
    live = await _wait_settled(session, item)
    await _send(session, "DELETE", item)
    return live


async def _wait_settled(session: aiohttp.ClientSession, item: str) -> dict[str, Any]:
    deadline = time.monotonic() + SETTLED_WITHIN
    while True:
        live = await _send(session, "GET", item)
        if live["kind"] != "Deployment" or live.get("status", {}).get("readyReplicas") == live["spec"]["replicas"]:
            return live
        if time.monotonic() > deadline:
            raise RuntimeError(f"the rollout does not end: {live.get('status')}")
        await asyncio.sleep(0.05)


async def _send(
    session: aiohttp.ClientSession, method: str, path: str, body: Any = None, content: str = "application/json"
) -> dict[str, Any]:
    payload = None if body is None else json.dumps(body)
    async with session.request(method, path, data=payload, headers={"Content-Type": content}) as answer:
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
        document: dict[str, Any] = await answer.json()
        return document


def _cases() -> list[Case]:
    namespace = "namespaces/default"
    workload = (_deployment(), f"/apis/apps/v1/{namespace}/deployments", "/openapi/v3/apis/apps/v1")
    service = (_service(), f"/api/v1/{namespace}/services", "/openapi/v3/api/v1")
    settings = (_config_map(), f"/api/v1/{namespace}/configmaps", "/openapi/v3/api/v1")
    custom = (_shop(), f"/apis/bench.example.com/v1/{namespace}/shops", "/openapi/v3/apis/bench.example.com/v1")
    ways = ("client-side apply", "server-side apply", "update")
    cases = [Case(*kind, way) for kind in (workload, service, settings, custom) for way in ways]
    return [*cases, Case(*workload, "server-side + hand", Status.DRIFTED)]


def _metadata() -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "shop", "app.kubernetes.io/part-of": "bench", "tier": "web", "team": "blue"}
    return {"name": "bench", "namespace": "default", "labels": labels}


def _deployment() -> JsonObject:
    selector = {"app.kubernetes.io/name": "shop", "tier": "web"}
    probe: Mapping[str, Any] = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 15}
    web = {
        "name": "web",
        "image": "registry.example.com/shop/web:1.25.3",
        "args": ["--listen=:8080", "--log-level=info"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "env": [
            {"name": "DATABASE", "value": "postgres://db.default:5432/shop"},
            {"name": "REGION", "value": "eu-west-1"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "token"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/shop"}, {"name": "cache", "mountPath": "/var/cache"}],
        "securityContext": {"readOnlyRootFilesystem": True, "runAsNonRoot": True},
    }
    proxy = {
        "name": "proxy",
        "image": "registry.example.com/infra/proxy:2.0.1",
        "ports": [{"name": "proxy", "containerPort": 15001}],
        "resources": {"requests": {"cpu": "0.5", "memory": "64Mi"}},
    }
    pod = {
        "serviceAccountName": "shop",
        "containers": [web, proxy],
        "volumes": [{"name": "config", "configMap": {"name": "shop"}}, {"name": "cache", "emptyDir": {}}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    }
    template = {"metadata": {"labels": selector, "annotations": {"checksum/config": "9f86d081884c7d65"}}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": selector}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(), "spec": spec}


def _service() -> JsonObject:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "metrics", "port": 9090}]
    spec = {"selector": {"app.kubernetes.io/name": "shop", "tier": "web"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(), "spec": spec}


def _config_map() -> JsonObject:
    data = {f"setting-{number}.conf": "value = 1\n" * 20 for number in range(8)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(), "data": data}


def _shop() -> JsonObject:
    shelves = [{"name": f"shelf-{number}", "size": number, "tags": ["a", "b"]} for number in range(6)]
    spec = {"owner": "blue", "open": True, "shelves": shelves, "options": {"a": "1", "b": "2"}}
    return {"apiVersion": "bench.example.com/v1", "kind": "Shop", "metadata": _metadata(), "spec": spec}


def _definition() -> JsonObject:
    text, number = {"type": "string"}, {"type": "integer"}
    tags = {"type": "array", "items": text}
    shelf = {"type": "object", "properties": {"name": text, "size": number, "tags": tags}, "required": ["name"]}
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    shelves = {"type": "array", "items": shelf, **keyed}
    options = {"type": "object", "additionalProperties": text}
    spec = {"owner": text, "open": {"type": "boolean"}, "shelves": shelves, "options": options}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Shop", "plural": "shops", "singular": "shop", "listKind": "ShopList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shops.bench.example.com"},
        "spec": {"group": "bench.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _rows(costs: Sequence[Cost]) -> Iterator[tuple[str, ...]]:
    for cost in costs:
        figures = (cost.verdict, cost.decode, cost.bare_walk, cost.health)
        name = f"{cost.kind}, {cost.way}"
        yield name, str(cost.live_bytes), str(cost.managers), *(f"{figure:.1f}" for figure in figures)


if __name__ == "__main__":
    sys.exit(main())
