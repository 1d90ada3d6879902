"""One repository with what deployers know besides plain objects, and how each has deployed its part of it."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.world import World, until

Object = dict[str, Any]

ARGO, FLUX, HELM = "argocd-controller", "kustomize-controller", "helm"
_PATHS = {"ConfigMap": "/api/v1/namespaces/web/configmaps", "Deployment": "/apis/apps/v1/namespaces/web/deployments",
          "Job": "/apis/batch/v1/namespaces/web/jobs"}  # fmt: skip
_VERSIONS = {"ConfigMap": "v1", "Deployment": "apps/v1", "Job": "batch/v1"}
_FLUX = "kustomize.toolkit.fluxcd.io"
_KAPP = "kapp.k14s.io"


@dataclass(frozen=True)
class Case:
    """An object that Git declares, and who has deployed it: with which labels and annotations, and in which way.

    Without a `manager` it is not there. `later` is what others make of its data while the day goes by. `leaves` says
    that Git stops to declare it, and `needs` that no other deployer has such an object.
    """

    declared: Object
    manager: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    applies: bool = True
    later: dict[str, str] = field(default_factory=dict)
    leaves: bool = False

    @property
    def file(self) -> str:
        metadata = self.declared["metadata"]
        return f"{self.declared['kind']}-{metadata.get('name') or metadata['generateName']}.yaml".lower()

    async def deploy(self, world: World) -> None:
        """As its deployer does it."""
        if self.manager is None:
            return
        body = copy.deepcopy(self.declared)
        metadata = body["metadata"]
        for key, pairs in (("labels", self.labels), ("annotations", self.annotations)):
            if pairs:
                metadata[key] = {**(metadata.get(key) or {}), **pairs}
        await create(world, body, self.manager, applies=self.applies)

    async def change(self, world: World) -> None:
        """What somebody else makes of it."""
        if self.later:
            path = f"{path_of(self.declared)}?fieldManager=shop-operator"
            await world.request("PATCH", path, {"data": self.later}, "application/merge-patch+json")


def path_of(body: Object) -> str:
    return f"{_PATHS[body['kind']]}/{body['metadata']['name']}"


async def create(world: World, body: Object, manager: str, *, applies: bool = True) -> None:
    """Creates an object by server-side apply, or else as other clients do."""
    if applies and body["metadata"].get("name"):
        path = f"{path_of(body)}?fieldManager={manager}&force=true"
        await world.request("PATCH", path, body, "application/apply-patch+yaml")
    else:
        await world.request("POST", f"{_PATHS[body['kind']]}?fieldManager={manager}", body)


async def finish(world: World, name: str) -> None:
    """Waits for a Job to be complete."""

    async def is_complete() -> bool:
        job = await world.request("GET", f"{_PATHS['Job']}/{name}")
        return any(one["type"] == "Complete" for one in job["status"].get("conditions") or ())

    await until(is_complete, f"the end of {name}")


async def collect(world: World, name: str) -> None:
    """Deletes a Job, as its deployer or the TTL controller does."""
    await world.request("DELETE", f"{_PATHS['Job']}/{name}?propagationPolicy=Background")


def config_map(name: str, annotations: dict[str, str] | None = None, **data: str) -> Object:
    metadata: Object = {"name": name, "namespace": "web"}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "1"}}


def job(name: str, annotations: dict[str, str] | None = None, *, ttl: int | None = None, image: str = "a:1") -> Object:
    metadata: Object = {"generateName" if name.endswith("-") else "name": name, "namespace": "web"}
    if annotations:
        metadata["annotations"] = annotations
    pod = {"restartPolicy": "Never", "containers": [{"name": "run", "image": image}]}
    spec: Object = {"template": {"spec": pod}, **({} if ttl is None else {"ttlSecondsAfterFinished": ttl})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _deployment() -> Object:
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    }
    metadata = {
        "name": "web",
        "namespace": "web",
        "annotations": {"argocd.argoproj.io/sync-options": "ServerSideApply=true"},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _tracked(kind: str, name: str) -> dict[str, str]:
    group = "apps" if kind == "Deployment" else "batch" if kind == "Job" else ""
    return {"argocd.argoproj.io/tracking-id": f"web:{group}/{kind}:web/{name}"}


def _argo(name: str, key: str, value: str, **more: Any) -> Case:
    declared = config_map(name, {f"argocd.argoproj.io/{key}": value})
    return Case(declared, ARGO, annotations=_tracked("ConfigMap", name), **more)


def _flux(name: str, key: str, value: str, **more: Any) -> Case:
    labels = {f"{_FLUX}/name": "web", f"{_FLUX}/namespace": "flux-system"}
    return Case(config_map(name, {f"{_FLUX}/{key}": value}), **{"manager": FLUX, "labels": labels, **more})


def _kapp(name: str, key: str, value: str, **more: Any) -> Case:
    labels = {f"{_KAPP}/app": "1764576000000000000", f"{_KAPP}/association": "v1.abc"}
    marks = {f"{_KAPP}/identity": f"v1;web//ConfigMap/{name};v1", f"{_KAPP}/original": "{}"}
    options = {"manager": "kapp", "labels": labels, "annotations": marks, "applies": False, **more}
    return Case(config_map(name, {f"{_KAPP}/{key}": value}), **options)


HOOK, HOOK_POLICY = "argocd.argoproj.io/hook", "argocd.argoproj.io/hook-delete-policy"
PRE_SYNC = job("before", {HOOK: "PreSync", HOOK_POLICY: "HookSucceeded"})
POST_SYNC = job("after", {HOOK: "PostSync", HOOK_POLICY: "BeforeHookCreation"})
HELM_HOOK = job("upgrade", {"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"})
GENERATED = job("sync-", {HOOK: "Sync"})
EACH_TIME = job("each-time-")
PASSING = job("passing", ttl=60)
CHANGED = job("passing", ttl=60, image="a:2")

CASES = (
    Case(PRE_SYNC),
    Case(POST_SYNC, ARGO, annotations=_tracked("Job", "after")),
    Case(HELM_HOOK),
    Case(GENERATED, ARGO),
    Case(PASSING, ARGO, annotations=_tracked("Job", "passing")),
    Case(_deployment(), ARGO, annotations=_tracked("Deployment", "web")),
    _argo("prune-false", "sync-options", "Prune=false", leaves=True),
    _argo("extraneous", "compare-options", "IgnoreExtraneous", leaves=True),
    _argo("replaced", "sync-options", "Replace=true", applies=False),
    _flux("if-not-present", "ssa", "IfNotPresent", later={"a": "2", "b": "2"}),
    _flux("ignored", "ssa", "Ignore", manager=None),
    _flux("merged", "ssa", "Merge", later={"b": "2"}),
    _flux("disabled", "reconcile", "disabled", later={"a": "2"}),
    _flux("prune-disabled", "prune", "disabled", leaves=True),
    _kapp("skipped", "update-strategy", "skip", later={"a": "2"}),
    _kapp("noop", "noop", "", manager=None),
    _kapp("exists", "exists", "", manager="somebody", labels={}, annotations={}, later={"a": "2"}),
    _kapp("orphaned", "delete-strategy", "orphan", leaves=True),
    Case(
        config_map("mutable", {"client.lifecycle.config.k8s.io/mutation": "ignore"}),
        "configsync.gke.io",
        annotations={"configsync.gke.io/resource-id": "_configmap_web_mutable"},
        labels={"app.kubernetes.io/managed-by": "configmanagement.gke.io"},
        later={"a": "2"},
    ),
    Case(config_map("unmanaged", {"configmanagement.gke.io/managed": "disabled"})),
    Case(config_map("local", {"config.kubernetes.io/local-config": "true"})),
    Case(config_map("free", {"kluctl.io/ignore-diff": "true"}), "kluctl", later={"a": "2"}),
    Case(config_map("deleted", {"kluctl.io/delete": "true"})),
    Case(
        config_map("kept", {"helm.sh/resource-policy": "keep"}),
        HELM,
        annotations={"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "web"},
        labels={"app.kubernetes.io/managed-by": "Helm"},
        applies=False,
        leaves=True,
    ),
    Case(
        config_map("of-fleet"),
        "fleetagent",
        annotations={"objectset.rio.cattle.io/id": "default-web", "objectset.rio.cattle.io/applied": "H4sI"},
        labels={"objectset.rio.cattle.io/hash": "abc"},
        applies=False,
    ),
    Case(config_map("in-a-set"), "kubectl", labels={"applyset.kubernetes.io/part-of": "applyset-abc-v1"}),
)


def files(*more: Case) -> dict[str, str]:
    """The files of the repository."""
    return {case.file: json.dumps(case.declared) for case in (*CASES, *more)}
