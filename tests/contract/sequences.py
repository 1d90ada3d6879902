# ruff: noqa: E501 - one request per line
"""Sequences of writes that both API servers have to answer identically, including managedFields."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tests.contract.client import APPLY, JSON_PATCH, MERGE, STRATEGIC

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    method: str
    path: str
    body: Any = None
    media: str | None = None


DEPLOYMENTS = "/apis/apps/v1/namespaces/{ns}/deployments"
SERVICES = "/api/v1/namespaces/{ns}/services"
CONFIG_MAPS = "/api/v1/namespaces/{ns}/configmaps"
SECRETS = "/api/v1/namespaces/{ns}/secrets"
PODS = "/api/v1/namespaces/{ns}/pods"
WIDGETS = "/apis/contract.example.com/v1/namespaces/{ns}/widgets"

DEPLOYMENT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "paused": True,  # otherwise the controllers' annotations are written between two requests, at different times on the two servers
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "nginx:1.25",
                        "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                        "env": [
                            {"name": "A", "value": "1"},
                            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        ],
                        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                        "readinessProbe": {"httpGet": {"port": 80}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    },
                    {"name": "side", "image": "busybox"},
                ],
                "volumes": [{"name": "tmp"}, {"name": "cfg", "configMap": {"name": "web"}}],
            },
        },
    },
}
PLAIN_DEPLOYMENT: Object = {
    **DEPLOYMENT,
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.25"}]},
        },
    },
}
"""A Deployment that rolls out."""
CONFIG_MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}}
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    },
}


def with_(base: Object, **paths: Any) -> Object:
    """A copy of an object with fields set, or removed if None: `spec__replicas=3`."""
    result = copy.deepcopy(base)
    for path, value in paths.items():
        *parents, last = path.split("__")
        at = result
        for name in parents:
            at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})  # type: ignore[assignment]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return result


def create(path: str, body: Object, manager: str = "creator") -> Step:
    return Step("POST", f"{path}?fieldManager={manager}", body)


def put(path: str, body: Object, manager: str = "putter") -> Step:
    return Step("PUT", f"{path}?fieldManager={manager}", body)


def patch(path: str, body: Any, media: str = MERGE, manager: str = "patcher") -> Step:
    return Step("PATCH", f"{path}?fieldManager={manager}", body, media)


def apply(path: str, body: Object, manager: str = "applier", query: str = "") -> Step:
    return Step("PATCH", f"{path}?fieldManager={manager}{query}", body, APPLY)


WEB = f"{DEPLOYMENTS}/web"
SMALL: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}


def _small(**fields: Any) -> Object:
    return with_(SMALL, **fields)


def _container(**fields: Any) -> Object:
    return _small(spec__template__spec__containers=[{"name": "web", **fields}])


SEQUENCES: dict[str, list[Step]] = {
    "create with defaults": [create(DEPLOYMENTS, DEPLOYMENT)],
    "create names its manager by its user agent": [Step("POST", DEPLOYMENTS, DEPLOYMENT)],
    "apply creates": [apply(WEB, DEPLOYMENT)],
    "apply twice changes nothing": [apply(WEB, DEPLOYMENT), apply(WEB, DEPLOYMENT)],
    "update by put": [
        create(DEPLOYMENTS, DEPLOYMENT),
        put(WEB, with_(DEPLOYMENT, spec__replicas=3, metadata__labels__tier="front")),
        put(WEB, with_(DEPLOYMENT, spec__replicas=3), "other"),
    ],
    "merge patch sets and removes": [
        create(DEPLOYMENTS, DEPLOYMENT),
        patch(WEB, {"metadata": {"annotations": {"a": "b"}, "labels": {"app": None}}, "spec": {"replicas": 5}}),
        patch(WEB, {"metadata": {"annotations": None}}, manager="other"),
    ],
    "json patch": [
        create(DEPLOYMENTS, DEPLOYMENT),
        patch(
            WEB,
            [
                {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
                {"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "busybox:1"},
                {"op": "remove", "path": "/spec/template/spec/containers/0/ports/1"},
                {"op": "test", "path": "/spec/replicas", "value": 2},
            ],
            JSON_PATCH,
        ),
    ],
    "strategic merge patch": [
        create(DEPLOYMENTS, DEPLOYMENT),
        patch(
            WEB,
            {
                "spec": {
                    "template": {
                        "spec": {
                            "$setElementOrder/containers": [{"name": "side"}, {"name": "web"}],
                            "containers": [
                                {"name": "side", "image": "busybox:2"},
                                {"name": "web", "env": [{"name": "C", "value": "3"}, {"name": "A", "$patch": "delete"}]},
                            ],
                            "volumes": [{"name": "cfg", "$patch": "delete"}],
                        }
                    }
                }
            },
            STRATEGIC,
        ),
    ],
    "strategic merge patch retains keys": [
        create(DEPLOYMENTS, DEPLOYMENT),
        patch(WEB, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, STRATEGIC),
    ],
    "apply after create conflicts": [
        create(DEPLOYMENTS, DEPLOYMENT),
        apply(WEB, _small(spec__replicas=7)),
        apply(WEB, with_(_container(image="nginx:1.26"), spec__replicas=7)),
        apply(WEB, with_(_container(image="nginx:1.26"), spec__replicas=7), query="&force=true"),
    ],
    "apply shares equal fields": [
        create(DEPLOYMENTS, DEPLOYMENT),
        apply(WEB, _small(spec__replicas=2)),
        apply(WEB, _small(spec__replicas=2), "second"),
        apply(WEB, _small(spec__replicas=3), "second"),
        apply(WEB, _small(metadata__labels={"x": "y"})),
        apply(WEB, _small(spec__replicas=3), "second"),
    ],
    "apply removes what it declares no more": [
        apply(WEB, with_(DEPLOYMENT, metadata__annotations={"a": "1", "b": "2"})),
        apply(WEB, with_(DEPLOYMENT, metadata__annotations={"a": "1"}, spec__template__spec__volumes=[{"name": "tmp"}])),
        apply(WEB, with_(DEPLOYMENT, spec__replicas=None)),
    ],
    "apply removes list items that nobody else has": [
        apply(WEB, DEPLOYMENT),
        apply(WEB, _container(env=[{"name": "D", "value": "4"}]), "second"),
        apply(WEB, _container(env=[{"name": "E", "value": "5"}]), "second"),
        apply(WEB, _container(), "second"),
    ],
    "apply and edits by hand": [
        apply(WEB, DEPLOYMENT),
        patch(WEB, {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:9"}]}}}}, STRATEGIC, "kubectl-edit"),
        apply(WEB, DEPLOYMENT),
        apply(WEB, DEPLOYMENT, query="&force=true"),
    ],
    "apply keeps fields that others added": [
        apply(WEB, DEPLOYMENT),
        patch(WEB, {"metadata": {"labels": {"by-hand": "yes"}}}),
        patch(WEB, {"spec": {"template": {"spec": {"containers": [{"name": "extra", "image": "x:1"}]}}}}, STRATEGIC),
        apply(WEB, with_(DEPLOYMENT, spec__replicas=4)),
    ],
    "the scale subresource": [
        apply(WEB, DEPLOYMENT),
        Step("GET", f"{WEB}/scale"),
        patch(f"{WEB}/scale", {"spec": {"replicas": 5}}, manager="scaler"),
        Step("GET", WEB),
        patch(f"{WEB}/scale", {"spec": {"replicas": 6}}, manager="scaler"),
        Step("GET", WEB),
        apply(WEB, DEPLOYMENT),
        patch(f"{WEB}/scale", {"spec": {"replicas": -1}}, manager="scaler"),
    ],
    "dry runs leave nothing": [
        Step("POST", f"{DEPLOYMENTS}?dryRun=All&fieldManager=creator", DEPLOYMENT),
        Step("GET", WEB),
        create(DEPLOYMENTS, DEPLOYMENT),
        apply(WEB, _small(spec__replicas=9), query="&dryRun=All&force=true"),
        patch(f"{WEB}", {"spec": {"replicas": 9}}),
        Step("DELETE", f"{WEB}?dryRun=All", {}),
        Step("GET", WEB),
    ],
    "config maps": [
        create(CONFIG_MAPS, CONFIG_MAP),
        apply(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"a": "1", "c": "3"}}),
        apply(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"c": "3"}}),
        put(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {}, "immutable": True}),
        put(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"x": "y"}, "immutable": True}),
    ],
    "empty and null values": [
        create(CONFIG_MAPS, {**CONFIG_MAP, "data": {}, "metadata": {"name": "c", "labels": {}, "annotations": None}}),
        apply(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"a": ""}, "binaryData": None}),
        patch(f"{CONFIG_MAPS}/c", {"data": {"a": None}}),
    ],
    "secrets": [
        create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}),
        apply(f"{SECRETS}/s", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "dg==", "l": "bQ=="}}),
        patch(f"{SECRETS}/s", {"stringData": {"k": "w"}}),
        apply(f"{SECRETS}/t", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "stringData": {"k": "v"}}),
        apply(f"{SECRETS}/t", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "stringData": {"m": "v"}}),
    ],
    "services": [
        create(SERVICES, SERVICE),
        put(f"{SERVICES}/web", with_(SERVICE, spec__type="NodePort")),
        apply(f"{SERVICES}/web", SERVICE),
        patch(f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}),
        apply(f"{SERVICES}/none", with_(SERVICE, metadata__name="none", spec__clusterIP="None")),
        apply(f"{SERVICES}/ext", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"},
                                  "spec": {"type": "ExternalName", "externalName": "example.com"}}),
    ],
    "finalizers and owners are sets": [
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__finalizers=["contract.example.com/a"])),
        apply(f"{CONFIG_MAPS}/c", with_(CONFIG_MAP, metadata__finalizers=["contract.example.com/b"]), query="&force=true"),
        apply(f"{CONFIG_MAPS}/c", CONFIG_MAP, query="&force=true"),
        patch(f"{CONFIG_MAPS}/c", {"metadata": {"finalizers": None}}),
    ],
    "managedFields can be emptied": [
        apply(WEB, DEPLOYMENT),
        patch(WEB, {"metadata": {"managedFields": [{}]}}),
        apply(WEB, _small(spec__replicas=2)),
        apply(WEB, with_(DEPLOYMENT, metadata__managedFields=[{"manager": "x"}])),
    ],
    "many updaters are merged into one": [
        create(CONFIG_MAPS, CONFIG_MAP),
        *(patch(f"{CONFIG_MAPS}/c", {"data": {f"k{n}": "v"}}, manager=f"m{n:02}") for n in range(13)),
    ],
    "kubectl takes over its own last-applied": [
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__annotations={
            "kubectl.kubernetes.io/last-applied-configuration":
                '{"apiVersion":"v1","data":{"a":"1","b":"2"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"c"}}\n'
        }), "kubectl-client-side-apply"),
        apply(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"a": "changed"}}, "kubectl"),
        apply(f"{CONFIG_MAPS}/c", {**CONFIG_MAP, "data": {"a": "changed", "b": "too"}}, "elsewhere"),
    ],
    "a status is written by its own subresource": [
        apply("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses/i", {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
            "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}},
        }),
        patch("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses/i/status", {
            "metadata": {"labels": {"l": "m"}}, "spec": {"ingressClassName": "x"},
            "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4", "ports": [{"port": 1, "protocol": "TCP"}]}]}},
        }),
        put("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses/i", {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
            "spec": {"rules": [{"host": "a.example.com"}]}, "status": {},
        }),
    ],
    "custom objects": [
        create(WIDGETS, {"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
                         "spec": {"size": 1, "parts": [{"name": "a"}, {"name": "b", "count": 2}], "tags": ["x", "y"],
                                  "free": {"any": [1, {"k": "v"}]}}}),
        apply(f"{WIDGETS}/w", {"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
                               "spec": {"parts": [{"name": "c", "count": 3}, {"name": "a"}], "tags": ["z"],
                                        "free": {"any": [1, {"k": "v"}], "more": {"deep": True}}}}),
        apply(f"{WIDGETS}/w", {"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
                               "spec": {"parts": [{"name": "a"}]}}),
        patch(f"{WIDGETS}/w/status", {"status": {"ready": True}, "spec": {"size": 99}}),
        patch(f"{WIDGETS}/w", {"status": {"ready": False}, "spec": {"size": 3}}),
        patch(f"{WIDGETS}/w", {"spec": {"unknown": 1}}),
        patch(f"{WIDGETS}/w", {"spec": {"size": 4}}, STRATEGIC),
        patch(f"{WIDGETS}/w/scale", {"spec": {"replicas": 4}}, manager="scaler"),
        Step("GET", f"{WIDGETS}/w"),
        put(f"{WIDGETS}/w", {"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}),
    ],
}  # fmt: skip

WIDGET_DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.contract.example.com"},
    "spec": {
        "group": "contract.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wdg"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1, "maximum": 50},
                                    "replicas": {"type": "integer", "default": 2},
                                    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                                    "tags": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "set",
                                        "items": {"type": "string"},
                                    },
                                    "parts": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {
                                                "name": {"type": "string"},
                                                "count": {"type": "integer", "default": 1},
                                            },
                                        },
                                    },
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {"ready": {"type": "boolean"}, "replicas": {"type": "integer"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}
