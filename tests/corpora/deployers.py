"""Argo CD and Flux as they write to a cluster: objects with their marks, under their managers, and their own statuses.

They render with the real kustomize and helm, and share no code with driftd.
Sources: argo-cd 3.6, controller/sync.go and util/argo/resource_tracking.go; kustomize-controller 1.9,
internal/controller/kustomization_controller.go, and what it left in a cluster; public dumps of objects of Argo CD.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.controlplane import ControlPlane

Object = dict[str, Any]

TIME = "2026-11-30T08:00:00Z"
FLUX = "kustomize.toolkit.fluxcd.io"
_KUSTOMIZATION = "kustomization.yaml"
_FIRST = ("CustomResourceDefinition", "Namespace", "ServiceAccount")
_HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
_NOT_AS_GO_READS_IT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")


class _Loader(yaml.CSafeLoader):
    """Reads YAML as sigs.k8s.io/yaml does: no times, and no numbers to the base of 60."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_AS_GO_READS_IT]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)


def documents(text: str) -> list[Object]:
    """The objects in a text of YAML; those of a List one by one."""
    found = [body for body in yaml.load_all(text, Loader=_Loader) if body]  # it is a safe loader
    return [each for body in found for each in (body["items"] if body["kind"] == "List" else [body])]


@dataclass
class Renderer:
    """Renders a folder to objects, as both deployers do."""

    assets: Path

    def plain(self, folder: Path) -> list[Object]:
        files = sorted(file for file in folder.rglob("*") if file.suffix in (".yaml", ".yml", ".json"))
        return [body for file in files for body in documents(file.read_text())]

    def kustomize(self, folder: Path) -> list[Object]:
        return documents(self._run("kustomize", "build", folder))

    def chart(self, folder: Path, release: str, namespace: str, *options: str) -> list[Object]:
        return documents(self._run("helm", "template", release, folder, "--namespace", namespace, *options))

    def folder(self, folder: Path, release: str, namespace: str, *options: str) -> list[Object]:
        """Whatever is in the folder."""
        if (folder / "Chart.yaml").exists():
            return self.chart(folder, release, namespace, *options)
        return self.kustomize(folder) if (folder / _KUSTOMIZATION).exists() else self.plain(folder)

    def with_kustomization(self, folder: Path, **fields: Any) -> list[Object]:
        """A folder with further fields in its kustomization; one without any gets one of all that is in it, as by Flux.

        It is not changed itself.
        """
        own = (folder / _KUSTOMIZATION).exists()
        below = [folder] if own else sorted(file.parent for file in folder.rglob(_KUSTOMIZATION))
        files = [] if own else sorted(folder.rglob("*.yaml"))
        alone = [file for file in files if not any(file.is_relative_to(each) for each in below)]
        with tempfile.TemporaryDirectory(dir=folder.parent) as overlay:
            resources = [os.path.relpath(path, overlay) for path in (*alone, *below)]
            kustomization = {"resources": resources, **{key: value for key, value in fields.items() if value}}
            Path(overlay, _KUSTOMIZATION).write_text(json.dumps(kustomization))
            return documents(self._run("kustomize", "build", "--load-restrictor=LoadRestrictionsNone", overlay))

    def _run(self, program: str, *arguments: str | Path) -> str:
        done = subprocess.run([self.assets / program, *arguments], capture_output=True, text=True, check=True)
        return done.stdout


@dataclass
class Cluster:
    """A cluster as deployers write to it."""

    control_plane: ControlPlane

    def apply(self, objects: Sequence[Object], *options: str, namespace: str = "default") -> None:
        """Definitions and namespaces come first, then the rest. `namespace` is for objects that name none."""
        access = ("--kubeconfig", str(self._access(namespace)))
        for group in _in_order(objects):
            self.control_plane.kubectl(*access, "apply", *options, "-f", "-", input=_list(group))
            if group[0]["kind"] == _FIRST[0]:
                self.control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def _access(self, namespace: str) -> Path:
        """A kubeconfig with a namespace: as an option, kubectl would refuse objects of others."""
        document = json.loads(self.control_plane.kubeconfig().read_text())
        document["contexts"][0]["context"]["namespace"] = namespace
        file = self.control_plane.folder / f"in-{namespace}.kubeconfig"
        file.write_text(json.dumps(document))
        return file

    def note(self, manager: str, name: str, namespace: str, body: Object, *options: str) -> None:
        """What a controller notes on an object: `name` is the resource and the name."""
        arguments = ("--type=merge", f"--field-manager={manager}", "-p", json.dumps(body), *options)
        self.control_plane.kubectl("-n", namespace, "patch", name, *arguments)


def _in_order(objects: Sequence[Object]) -> Iterable[list[Object]]:
    groups: dict[int, list[Object]] = {}
    for body in objects:
        rank = _FIRST.index(body["kind"]) if body["kind"] in _FIRST else len(_FIRST)
        groups.setdefault(rank, []).append(body)
    return [groups[rank] for rank in sorted(groups)]


def _list(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def is_hook(body: Object) -> bool:
    return any(key in (body["metadata"].get("annotations") or {}) for key in _HOOKS)


@dataclass
class ArgoCd:
    """An installation of Argo CD in a namespace of its own."""

    cluster: Cluster
    render: Renderer
    namespace: str
    tracking: Sequence[str] = ("annotation",)
    server_side: bool = False
    installation: str | None = None

    def sync(self, application: Object, folder: Path, commit: str, *options: str) -> None:
        """Deploys `folder`, where the Application's source is checked out at a commit, and notes that it did so."""
        name, namespace = application["metadata"]["name"], application["spec"]["destination"]["namespace"]
        rendered = self.render.folder(folder, _release(application), namespace, *options)
        objects = [self._marked(body, name, namespace) for body in rendered if not is_hook(body)]
        way = ("--server-side", "--force-conflicts") if self.server_side else ()
        self.cluster.apply(objects, *way, "--field-manager=argocd-controller", namespace=namespace)
        self.note_sync(application, objects, commit)

    def create(self, application: Object) -> None:
        """As the command `argocd app create` does."""
        self.cluster.apply([application], "--server-side", "--field-manager=argocd-server")

    def note_sync(self, application: Object, objects: Sequence[Object], commit: str) -> None:
        spec = application["spec"]
        history = [
            {"id": 0, "revision": "0" * 40, "source": {**spec["source"], "path": "elsewhere"}, "deployedAt": TIME},
            {"id": 1, "revision": commit, "source": spec["source"], "deployedAt": TIME, "deployStartedAt": TIME,
             "initiatedBy": {"automated": True}},
        ]  # fmt: skip
        resources = [_resource(body) for body in objects]
        status = {
            "sync": {
                "status": "Synced",
                "revision": commit,
                "comparedTo": {"source": spec["source"], "destination": spec["destination"]},
            },
            "health": {"status": "Healthy", "lastTransitionTime": TIME},
            "history": history,
            "operationState": {
                "phase": "Succeeded",
                "message": "successfully synced (all tasks run)",
                "startedAt": TIME,
                "finishedAt": TIME,
                "operation": {"sync": {"revision": commit}, "initiatedBy": {"automated": True}},
                "syncResult": {"revision": commit, "source": spec["source"], "resources": []},
            },
            "resources": resources,
            "reconciledAt": TIME,
            "sourceType": "Directory",
            "summary": {},
            "controllerNamespace": self.namespace,
        }
        name = f"application/{application['metadata']['name']}"
        self.cluster.note("argocd-application-controller", name, self.namespace, {"status": status})

    def _marked(self, body: Object, app: str, namespace: str) -> Object:
        marked = copy.deepcopy(body)
        metadata = marked["metadata"]
        if "label" in self.tracking:
            metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/instance": app}
        if "annotation" in self.tracking:
            group = marked["apiVersion"].rpartition("/")[0]
            mark = f"{app}:{group}/{marked['kind']}:{metadata.get('namespace') or namespace}/{metadata['name']}"
            annotations = {**(metadata.get("annotations") or {}), "argocd.argoproj.io/tracking-id": mark}
            if self.installation:
                annotations["argocd.argoproj.io/installation-id"] = self.installation
            metadata["annotations"] = annotations
        return marked


def _release(application: Object) -> str:
    helm = application["spec"]["source"].get("helm") or {}
    return str(helm.get("releaseName") or application["metadata"]["name"])


def _resource(body: Object) -> Object:
    group, _, version = body["apiVersion"].rpartition("/")
    found = {"group": group, "version": version, "kind": body["kind"], "name": body["metadata"]["name"]}
    return {**found, "namespace": body["metadata"].get("namespace", ""), "status": "Synced"}


@dataclass
class Flux:
    """Flux in the namespace `flux-system`."""

    cluster: Cluster
    render: Renderer
    namespace: str = "flux-system"

    def create(self, *objects: Object) -> None:
        """As the command `flux create` does."""
        self.cluster.apply(objects, "--server-side", "--field-manager=flux")

    def reconcile(self, kustomization: Object, folder: Path, revision: str, origin: str | None = None) -> list[Object]:
        """Deploys `folder` for a Kustomization that is in the cluster, and notes that it did so.

        Returns: what it has applied. `origin` is the revision that the source was made from.
        """
        metadata, spec = kustomization["metadata"], kustomization["spec"]
        namespace = metadata["namespace"]
        objects = self.render.with_kustomization(
            folder, patches=spec.get("patches"), namespace=spec.get("targetNamespace")
        )
        marks = {f"{FLUX}/name": metadata["name"], f"{FLUX}/namespace": namespace}
        for body in objects:
            body["metadata"]["labels"] = {**(body["metadata"].get("labels") or {}), **marks}
        self.cluster.apply(objects, "--server-side", "--force-conflicts", "--field-manager=kustomize-controller")
        status = {
            "observedGeneration": 1,
            "lastAppliedRevision": revision,
            "lastAttemptedRevision": revision,
            "inventory": {"entries": [_entry(body) for body in objects]},
            "conditions": [
                _condition("Ready", "ReconciliationSucceeded", f"Applied revision: {revision}"),
                _condition("Healthy", "Succeeded", "Health check passed"),
            ],
        }
        if origin:
            status["lastAppliedOriginRevision"] = origin
        self.note(f"kustomization/{metadata['name']}", namespace, "kustomize-controller", status)
        return objects

    def note(self, name: str, namespace: str, controller: str, status: Object) -> None:
        """A status, and the finalizer that every controller of Flux puts on its objects."""
        finalizers = {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}}
        self.cluster.note(f"gotk-{controller}", name, namespace, finalizers)
        self.cluster.note(f"gotk-{controller}", name, namespace, {"status": status}, "--subresource=status")


def _entry(body: Object) -> Object:
    group, _, version = body["apiVersion"].rpartition("/")
    metadata = body["metadata"]
    return {"id": f"{metadata.get('namespace', '')}_{metadata['name']}_{group}_{body['kind']}", "v": version}


def _condition(kind: str, reason: str, message: str) -> Object:
    return {
        "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": TIME,
        "observedGeneration": 1,
    }  # fmt: skip
