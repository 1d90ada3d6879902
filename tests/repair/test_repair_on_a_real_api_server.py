"""A heal on a real API server: what was planned is as Git says, and every other field is what it was."""

from __future__ import annotations

import asyncio
import copy
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from driftd.desired.provider import InProcessProvider
from driftd.desired.source import SourceState
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.ignore import IgnoreRule, IgnoreRuleSet
from driftd.git.source import GitSource
from driftd.incidents.recorder import Recorder
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.objects import apply
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.errors import Conflict, Invalid
from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.reconcile.reconciler import Reconciler, Shared
from driftd.render.parser import CachingParser
from driftd.store import Store
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo
from tests.support.world import Clock

pytestmark = [pytest.mark.controlplane, pytest.mark.timeout(300)]

SEED = int(os.environ.get("DRIFTD_HEAL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
ROUNDS = int(os.environ.get("DRIFTD_HEAL_ROUNDS", "2"))
OBJECTS = 4
"""Objects of each kind."""

JsonObject = dict[str, Any]
MERGE, JSON = "application/merge-patch+json", "application/json-patch+json"
HANDS = ("kubectl-edit", "kubectl-patch", "kubectl-set", "night-shift", "OpenAPI-Generator", "k9s")
CONTROLLERS = ("controller", "capi-controller", "my-operator", "aws-load-balancer", "manager")
AUTOSCALERS = ("horizontal-pod-autoscaler", "keda-operator", "my-autoscaler", "manager", "Go-http-client")
DEPLOYERS = ("driftd", "flux", "pipeline")

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "routes.heal.example.com"},
    "spec": {
        "group": "heal.example.com", "scope": "Namespaced",
        "names": {"plural": "routes", "singular": "route", "kind": "Route"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {
                "backends": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                             "items": {"type": "object", "required": ["name"], "properties": {
                                 "name": {"type": "string"}, "port": {"type": "integer"},
                                 "weight": {"type": "integer", "default": 1}}}},
                "hosts": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "steps": {"type": "array", "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "weight": {"type": "integer"}}}},
                "match": {"type": "object", "x-kubernetes-map-type": "atomic",
                          "additionalProperties": {"type": "string"}},
                "replicas": {"type": "integer"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            }}},
        }}}],
    },
}  # fmt: skip

PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets/",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/",
    "Service": "/api/v1/namespaces/{}/services/", "ConfigMap": "/api/v1/namespaces/{}/configmaps/",
    "Secret": "/api/v1/namespaces/{}/secrets/", "Route": "/apis/heal.example.com/v1/namespaces/{}/routes/",
}  # fmt: skip


def pod_template(chance: random.Random, name: str) -> JsonObject:
    env = [{"name": key, "value": str(chance.randrange(9))} for key in chance.sample("ABCDEF", 4)]
    main: JsonObject = {"name": "main", "image": "shop/main:1", "env": env, "args": ["serve", "--port", "80"]}
    main["ports"] = [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]
    main["resources"] = {"limits": {"cpu": "500m", "memory": "1024Mi"}}
    volumes = [{"name": "work", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config-0"}}]
    sidecars = [{"name": side, "image": f"shop/{side}:1"} for side in chance.sample(("log", "proxy"), 2)]
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [main, *sidecars], "volumes": volumes, "terminationGracePeriodSeconds": 5},
    }


def workload(kind: str, name: str, chance: random.Random) -> JsonObject:
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": pod_template(chance, name)}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "spec": spec}


def manifest(kind: str, number: int, chance: random.Random) -> JsonObject:
    """A random object as Git declares it."""
    name = f"{kind.lower()}-{number}"
    body: JsonObject
    if kind in ("Deployment", "StatefulSet"):
        body = workload(kind, name, chance)
    elif kind == "Service":
        ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81, "targetPort": 9000}]
        body = {"apiVersion": "v1", "kind": kind, "spec": {"selector": {"app": name}, "ports": ports}}
    elif kind == "Route":
        body = {"apiVersion": "heal.example.com/v1", "kind": kind, "spec": {
            "backends": [{"name": key, "port": chance.randrange(9)} for key in chance.sample("abcd", 3)],
            "hosts": chance.sample(["a.example", "b.example", "c.example"], 3),
            "steps": [{"name": "one", "weight": 100}, {"name": "two", "weight": 0}],
            "match": {"path": "/", "method": "GET"}, "free": {"deep": {"list": [1, 2]}, "on": False},
        }}  # fmt: skip
    else:
        text = {"a": str(chance.randrange(9)), "b": "x", "threads": "2"}
        body = {"apiVersion": "v1", "kind": kind, ("stringData" if kind == "Secret" else "data"): text}
    labels = dict.fromkeys(chance.sample("xyz", chance.randrange(3)), "1")
    body["metadata"] = {"name": name, **({"labels": labels} if labels else {})}
    return body


@dataclass
class Place:
    """A namespace of the real cluster, and the app that declares it."""

    cluster: Cluster
    namespace: str
    repository: GitRepo
    source: SourceState
    runner: Reconciler
    view: ClusterView
    chance: random.Random
    clock: Clock

    def path(self, body: JsonObject) -> str:
        return PATHS[body["kind"]].format(self.namespace) + body["metadata"]["name"]

    async def get(self, body: JsonObject) -> JsonObject:
        answer: JsonObject = await self.cluster.request("GET", self.path(body))
        return answer

    async def patch(self, body: JsonObject, manager: str, change: Any, subresource: str = "") -> None:
        await self.cluster.request(
            "PATCH", self.path(body) + subresource, query={"fieldManager": manager}, body=orjson.dumps(change),
            content_type=JSON if isinstance(change, list) else MERGE,
        )  # fmt: skip

    async def commit(self, manifests: list[JsonObject]) -> None:
        self.repository.write({"app/all.yaml": yaml.safe_dump_all(manifests)}).commit("Declare them")
        await self.source.fetch()

    async def run(self) -> Report:
        self.runner.request_full_pass()
        result = await self.runner.run()
        assert result.action is None or not result.action.failed, f"seed {SEED}: {result.action}"
        return result.report


@pytest.fixture
async def place(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/.keep": ""}).commit("Begin")
    cluster = await Cluster.connect(ClusterAccess("real", control_plane.kubeconfig()))
    store = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(CRD))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", CRD["metadata"]["name"], "--timeout=60s")  # type: ignore[index]
    while (  # noqa: ASYNC110  # its types are published a moment later
        "weight"
        not in control_plane.kubectl("get", "--raw", "/openapi/v3/apis/heal.example.com/v1", check=False).stdout
    ):
        await asyncio.sleep(0.1)
    try:
        now = Clock()
        provider = InProcessProvider(tmp_path / "mirrors", CachingParser())
        source = SourceState(GitSource("shop", repository.url, allow_file=True), provider, timedelta(seconds=60), now)
        view = ClusterView(cluster, SchemaSource(cluster, tmp_path / "openapi"))
        rules = (IgnoreRule(paths=("data.threads",)), IgnoreRule(paths=("spec.steps[*].weight",)))
        comparison = Comparison(Redactor(b"k" * 32), ignore_rules=IgnoreRuleSet(rules))
        app = App("web", "shop", "real", path="app", namespace=namespace, mode=Mode.HEAL)
        recorder = Recorder(store, [], now, lambda: None)
        runner = Reconciler(app, source, view, Shared(store, comparison, recorder, now, now.monotonic))
        yield Place(cluster, namespace, repository, source, runner, view, random.Random(SEED), now)
    finally:
        await cluster.close()
        await store.close()


def stable(live: JsonObject) -> JsonObject:
    """An object without what every write, or its controller, changes."""
    kept = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    for key in ("resourceVersion", "generation", "managedFields"):
        kept["metadata"].pop(key, None)
    annotations = kept["metadata"].get("annotations", {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    if not annotations:
        kept["metadata"].pop("annotations", None)
    if not kept["metadata"].get("labels", True):
        del kept["metadata"]["labels"]
    return kept


def writers(live: JsonObject) -> list[JsonObject]:
    """Who wrote what of an object and when, but its status."""
    return [entry for entry in live["metadata"]["managedFields"] if entry.get("subresource") != "status"]


# -- what others do, which is not driftd's to change -----------------------------------------------------------------


async def others_write(place: Place, body: JsonObject) -> None:
    """Controllers, autoscalers, and people where a rule or Kubernetes leaves it to them."""
    kind, chance = body["kind"], place.chance
    uid = (await place.get({"kind": "ConfigMap", "metadata": {"name": "configmap-0"}}))["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "configmap-0", "uid": uid}
    writes: list[tuple[str, Any, str]] = [
        (chance.choice(CONTROLLERS), {"metadata": {"finalizers": ["heal.example.com/cleanup"]}}, ""),
    ]
    if body["metadata"]["name"] != owner["name"]:
        writes.append((chance.choice(CONTROLLERS), {"metadata": {"ownerReferences": [owner]}}, ""))
    if kind in ("Deployment", "StatefulSet"):
        scaled = {"spec": {"replicas": chance.randrange(3, 9)}}
        writes += [
            (chance.choice(AUTOSCALERS), scaled, "/scale"),
            (chance.choice(CONTROLLERS), {"metadata": {"annotations": {"field.cattle.io/publicEndpoints": "[]"}}}, ""),
            ("kubelet", {"status": {"observedGeneration": 1}}, "/status"),
            (chance.choice(HANDS), {"spec": {"revisionHistoryLimit": 3}}, ""),
        ]
    if kind == "Deployment":
        writes.append((chance.choice(HANDS), {"spec": {"paused": True}}, ""))
    if kind == "ConfigMap":
        writes.append((chance.choice(HANDS), {"data": {"threads": str(chance.randrange(9))}}, ""))
    if kind == "Secret":
        writes.append((chance.choice(HANDS), {"data": {"threads": "OA=="}}, ""))
    if kind == "Route":
        moved = [{"op": "replace", "path": "/spec/steps/0/weight", "value": chance.randrange(99)}]
        writes += [("flagger", moved, ""), (chance.choice(HANDS), {"spec": {"replicas": 7}}, "")]
    if kind == "Service":
        writes.append((chance.choice(HANDS), {"spec": {"sessionAffinity": "ClientIP"}}, ""))
    for manager, change, subresource in chance.sample(writes, chance.randrange(len(writes) + 1)):
        await place.patch(body, manager, change, subresource)


# -- hands, whose work is to be undone -------------------------------------------------------------------------------

Edit = Callable[[JsonObject, random.Random], None]
"""Changes a live object as somebody with `kubectl edit` would."""


def main_container(live: JsonObject) -> JsonObject:
    containers = live["spec"]["template"]["spec"]["containers"]
    return next(one for one in containers if one["name"] == "main")  # type: ignore[no-any-return]


def add_label(live: JsonObject, _: random.Random) -> None:
    live["metadata"].setdefault("labels", {})["oops"] = "1"


def change_label(live: JsonObject, _: random.Random) -> None:
    for key in live["metadata"].get("labels", {}):
        live["metadata"]["labels"][key] = "by-hand"


def add_annotation(live: JsonObject, _: random.Random) -> None:
    live["metadata"].setdefault("annotations", {})["a.example/b~c"] = "x"


def empty_metadata(live: JsonObject, _: random.Random) -> None:
    live["metadata"]["labels"] = dict.fromkeys(live["metadata"].get("labels", {}), "")
    live["metadata"].setdefault("annotations", {})["empty"] = ""


def change_image(live: JsonObject, _: random.Random) -> None:
    main_container(live)["image"] = "shop/main:hotfix"


def change_env(live: JsonObject, chance: random.Random) -> None:
    env = main_container(live)["env"]
    env.pop(chance.randrange(len(env)))
    env[0]["value"] = "by hand"
    env.insert(chance.randrange(len(env)), {"name": "EXTRA", "value": "1"})


def shuffle_env(live: JsonObject, chance: random.Random) -> None:
    chance.shuffle(main_container(live)["env"])


def change_args(live: JsonObject, chance: random.Random) -> None:
    main_container(live)["args"] = chance.choice([["serve"], ["serve", "--port", "81"], ["a", "b", "c", "d"]])


def privilege(live: JsonObject, _: random.Random) -> None:
    main_container(live)["securityContext"] = {"privileged": True}


def empty_env(live: JsonObject, _: random.Random) -> None:
    for one in main_container(live)["env"]:
        one.pop("value", None)


def change_protocol(live: JsonObject, chance: random.Random) -> None:
    ports = main_container(live)["ports"]
    chance.choice(ports)["protocol"] = "SCTP"
    ports.append({"containerPort": 81})


def drop_limits(live: JsonObject, _: random.Random) -> None:
    main_container(live).pop("resources", None)


def change_container(live: JsonObject, chance: random.Random) -> None:
    containers = live["spec"]["template"]["spec"]["containers"]
    others = [one for one in containers if one["name"] != "main"]
    containers.remove(chance.choice(others))
    containers.append({"name": "peek", "image": "busybox", "env": [{"name": "A", "value": "1"}]})


def change_volume(live: JsonObject, _: random.Random) -> None:
    live["spec"]["template"]["spec"]["volumes"][0] = {"name": "work", "hostPath": {"path": "/data", "type": ""}}


def change_ports(live: JsonObject, chance: random.Random) -> None:
    ports = live["spec"]["ports"]
    chance.choice(ports)["port"] = 8080


def change_data(live: JsonObject, chance: random.Random) -> None:
    live["data"]["extra"] = "eA=="
    live["data"]["a"] = "eHh4"
    if chance.random() < 0.5:
        live["data"].pop("b", None)


def drop_data(live: JsonObject, chance: random.Random) -> None:
    live["data"] = {key: value for key, value in live["data"].items() if key == "threads"}
    live["binaryData" if live["kind"] == "ConfigMap" else "data"] = {**live.get("binaryData", live["data"]), "z": ""}
    if chance.random() < 0.5:
        live["data"]["a"] = ""


def change_backends(live: JsonObject, chance: random.Random) -> None:
    backends = live["spec"]["backends"]
    backends.pop(chance.randrange(len(backends)))
    backends[0]["port"] = 99
    backends.append({"name": "z", "port": 1})


def shuffle_backends(live: JsonObject, chance: random.Random) -> None:
    chance.shuffle(live["spec"]["backends"])


def change_hosts(live: JsonObject, chance: random.Random) -> None:
    hosts = live["spec"]["hosts"]
    hosts.pop(chance.randrange(len(hosts)))
    hosts.insert(0, "evil.example")


def change_match(live: JsonObject, _: random.Random) -> None:
    live["spec"]["match"] = {"path": "/x", "extra": "1"}


def change_step(live: JsonObject, _: random.Random) -> None:
    live["spec"]["steps"][1]["name"] = "by-hand"


def change_free(live: JsonObject, _: random.Random) -> None:
    live["spec"]["free"] = {"deep": {"list": [1], "more": {"x": 1}}, "on": True}


METADATA: tuple[Edit, ...] = (add_label, change_label, add_annotation, empty_metadata)
TEMPLATES: tuple[Edit, ...] = (
    change_image, change_env, shuffle_env, empty_env, change_args, change_protocol, privilege, drop_limits,
    change_container, change_volume,
)  # fmt: skip
EDITS: dict[str, tuple[Edit, ...]] = {
    "Deployment": (*METADATA, *TEMPLATES), "StatefulSet": (*METADATA, *TEMPLATES),
    "Service": (*METADATA, change_ports), "ConfigMap": (*METADATA, change_data, drop_data),
    "Secret": (*METADATA, change_data, drop_data),
    "Route": (*METADATA, change_backends, shuffle_backends, change_hosts, change_match, change_step, change_free),
}  # fmt: skip


async def hands_edit(place: Place, body: JsonObject) -> list[str]:
    """One to three edits. Returns: their names."""
    edits = place.chance.sample(EDITS[body["kind"]], place.chance.randrange(1, 4))
    return [edit.__name__ for edit in edits if await hand_edits(place, body, edit)]


async def hand_edits(place: Place, body: JsonObject, edit: Edit) -> bool:
    """Whether the API server took it: two edits may exclude each other. On a conflict it begins again, as kubectl."""
    manager = place.chance.choice(HANDS)
    while True:
        live = await place.get(body)
        edit(live, place.chance)
        try:
            await place.cluster.request(
                "PUT", place.path(body), query={"fieldManager": manager}, body=orjson.dumps(live)
            )
        except Conflict:
            continue
        except Invalid:
            return False
        return True


async def deploy(place: Place, manifests: list[JsonObject]) -> None:
    """Some objects by another deployer, the rest by driftd; until all is in sync."""
    for body in manifests:
        deployer = place.chance.choice(DEPLOYERS)
        if deployer != "driftd":
            resource = await place.view.resource(body["apiVersion"], body["kind"])
            named = {**body, "metadata": {**body["metadata"], "namespace": place.namespace}}
            await apply(place.cluster, resource, named, field_manager=deployer)
    assert (await place.run()).in_sync, f"seed {SEED}"


async def test_rules_that_a_hand_added_to_a_policy_are_not_taken_out_alone(place: Place) -> None:
    """With them the API server has made it a policy for Egress, too: without them, nothing may go out any more."""
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
    }  # fmt: skip
    await place.commit([policy])
    await place.run()
    by_hand = {"metadata": {"labels": {"a": "b"}}, "spec": {"egress": [{}], "policyTypes": None}}
    await place.patch(policy, "kubectl-edit", by_hand)
    for _ in range(2):
        await place.run()
    live = await place.get(policy)
    assert (live["spec"]["egress"], live["spec"]["policyTypes"]) == ([{}], ["Ingress", "Egress"])
    assert "labels" not in live["metadata"]


TCP, HTTP, EXEC = {"tcpSocket": {"port": 80}}, {"httpGet": {"path": "/", "port": 80}}, {"exec": {"command": ["x"]}}


def deployment_with(**container: Any) -> JsonObject:
    containers = [{"name": "main", "image": "shop/main:1", **container}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def with_volume(**source: Any) -> JsonObject:
    body = deployment_with()
    body["spec"]["template"]["spec"]["volumes"] = [{"name": "v", **source}]
    return body


def with_strategy(kind: str = "Deployment", **strategy: Any) -> JsonObject:
    body = {**deployment_with(), "kind": kind}
    body["spec"]["strategy" if kind == "Deployment" else "updateStrategy"] = strategy
    return body


@pytest.mark.parametrize(
    "revisions",
    [
        [deployment_with(readinessProbe=one) for one in (HTTP, TCP, EXEC, HTTP)] + [deployment_with()],
        [deployment_with(env=[{"name": "A", **one}]) for one in (
            {"value": ""}, {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"value": "1"},
        )],
        [with_volume(**one) for one in (
            {"emptyDir": {}}, {"configMap": {"name": "a"}}, {"hostPath": {"path": "/a"}}, {"emptyDir": {}},
        )],
        [deployment_with(), *[with_strategy(type=one) for one in ("Recreate", "RollingUpdate")]],
        [with_strategy("StatefulSet", type=one) for one in ("RollingUpdate", "OnDelete", "RollingUpdate")],
    ],
    ids=["probe", "env", "volume", "deployment", "statefulset"],
)  # fmt: skip
async def test_a_commit_may_put_one_member_of_a_union_in_the_place_of_another(
    place: Place, revisions: list[JsonObject]
) -> None:
    """What the API server had made up for the one before goes with it: it refuses the one beside the other."""
    for body in revisions:
        await place.commit([body])
        report = await place.run()
        assert report.in_sync, report.drifted


def service(**spec: Any) -> JsonObject:
    port = {"name": "http", "port": 80}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    return {**body, "spec": {"selector": {"app": "web"}, "ports": [port], **spec}}


@pytest.mark.parametrize(
    "revisions",
    [
        [deployment_with(readinessProbe={**HTTP, "periodSeconds": 5}), deployment_with()],
        [with_strategy(type="Recreate"), with_strategy(rollingUpdate={"maxSurge": 1})],
        [service(type="ExternalName", externalName="a.example"), service(), service(type="NodePort"), service()],
        [deployment_with(image="shop/main"), deployment_with()],
    ],
    ids=["probe", "strategy", "service", "image"],
)
async def test_a_commit_may_take_back_what_an_earlier_one_declared(place: Place, revisions: list[JsonObject]) -> None:
    """Then it is as the API server has it by default: as it would be if it had never been declared."""
    for body in revisions:
        await place.commit([body])
        report = await place.run()
        assert report.in_sync, report.drifted


async def test_what_git_declares_of_what_was_left_to_others_is_put_right_at_once(place: Place) -> None:
    """Somebody has seen the drift, and says in Git what it should be."""
    await place.commit([service()])
    await place.run()
    await place.patch(service(), "kubectl-edit", {"spec": {"type": "NodePort"}})
    assert not (await place.run()).in_sync
    await place.commit([service(type="ClusterIP")])
    assert (await place.run()).in_sync
    assert (await place.get(service()))["spec"]["type"] == "ClusterIP"


async def test_an_account_that_a_hand_gave_to_pods_is_taken_out_under_both_of_its_names(place: Place) -> None:
    """The API server fills in the one from the other."""
    body = manifest("Deployment", 0, place.chance)
    await place.commit([body])
    await place.run()
    await place.patch(body, "kubectl-edit", {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}})
    report = await place.run()
    assert "serviceAccount" not in str((await place.get(body))["spec"])
    assert report.in_sync


async def test_after_a_heal_every_field_that_was_not_in_the_plan_is_what_it_was(place: Place) -> None:
    """Random objects, other managers and hands: only what the hands did is undone, byte for byte."""
    manifests = [manifest(kind, number, place.chance) for kind in EDITS for number in range(OBJECTS)]
    await place.commit(manifests)
    await deploy(place, manifests)
    for _ in range(ROUNDS):
        place.clock.advance(hours=1)  # what was healed in the round before does not slow down this one
        for body in manifests:
            await others_write(place, body)
        told = {verdict.ref.name: verdict.fields for verdict in (await place.run()).drifted}
        before = {place.path(body): await place.get(body) for body in manifests}
        await place.run()
        for body in manifests:
            live = await place.get(body)
            assert writers(live) == writers(before[place.path(body)]), f"seed {SEED}: an untouched object was written"
        edits = {place.path(body): await hands_edit(place, body) for body in manifests}
        report = await place.run()
        for body in manifests:
            live = stable(await place.get(body))
            context = f"seed {SEED}: {body['kind']} after {edits[place.path(body)]}"
            assert live == stable(before[place.path(body)]), context
        more = {v.ref.name: (v.fields, edits) for v in report.drifted if v.ref.name not in told}
        assert not more, f"seed {SEED}: {more}"
