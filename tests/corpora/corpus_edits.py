"""Manual edits of the corpora's objects, and the drift that driftd should report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

BY_HAND = "written-by-hand"
"""The value that every edit sets: in a Secret it must never be shown."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A kubectl command, and the field drift that results from it.

    `manager` is the field manager that has to be reported; None if the edit leaves no owner.
    """

    resource: str
    command: tuple[str, ...]
    path: str
    change: str
    manager: str | None
    desired: object = None
    live: object = None


def edits_of(corpus: str) -> list[Edit]:
    """The edits of a corpus, each of another field."""
    return [*_KUBE_PROMETHEUS] if corpus == "kube-prometheus" else [*_KAPP_EXAMPLES]


def _on(namespace: str, *command: str) -> tuple[str, ...]:
    return (*command, "--namespace", namespace)


def _patch(namespace: str, resource: str, patch: Mapping[str, object], kind: str = "merge") -> tuple[str, ...]:
    return _on(
        namespace, "patch", resource, f"--type={kind}", "--patch", json.dumps(patch), "--field-manager=night-shift"
    )


def _remove(namespace: str, resource: str, pointer: str) -> tuple[str, ...]:
    patch = json.dumps([{"op": "remove", "path": pointer}])
    return _on(namespace, "patch", resource, "--type=json", "--patch", patch, "--field-manager=night-shift")


_KUBE_PROMETHEUS = (
    Edit(
        "Deployment/monitoring/blackbox-exporter",
        _on("monitoring", "set", "image", "deployment/blackbox-exporter", f"kube-rbac-proxy={BY_HAND}:1"),
        "spec.template.spec.containers[name=kube-rbac-proxy].image",
        "changed",
        "kubectl-set",
        "quay.io/brancz/kube-rbac-proxy:v0.22.1",
        f"{BY_HAND}:1",
    ),
    Edit(
        "Deployment/monitoring/grafana",
        _on("monitoring", "scale", "deployment/grafana", "--replicas=3"),
        "spec.replicas",
        "changed",
        "kubectl",
        1,
        3,
    ),
    Edit(
        "Deployment/monitoring/grafana",
        _on("monitoring", "label", "--overwrite", "deployment/grafana", f"app.kubernetes.io/version={BY_HAND}"),
        'metadata.labels["app.kubernetes.io/version"]',
        "changed",
        "kubectl-label",
        "13.1.3",
        BY_HAND,
    ),
    Edit(
        "ConfigMap/monitoring/blackbox-exporter-configuration",
        _patch("monitoring", "configmap/blackbox-exporter-configuration", {"data": {"config.yml": BY_HAND}}),
        'data["config.yml"]',
        "changed",
        "night-shift",
        live=BY_HAND,
    ),
    Edit(
        "Service/monitoring/blackbox-exporter",
        _patch(
            "monitoring",
            "service/blackbox-exporter",
            {"spec": {"ports": [{"port": 19115, "targetPort": 19116}]}},
            "strategic",
        ),
        "spec.ports[port=19115,protocol=TCP].targetPort",
        "changed",
        "night-shift",
        "http",
        19116,
    ),
    Edit(
        "Service/monitoring/grafana",
        _remove("monitoring", "service/grafana", "/metadata/labels/app.kubernetes.io~1part-of"),
        'metadata.labels["app.kubernetes.io/part-of"]',
        "removed",
        None,
        "kube-prometheus",
    ),
    Edit(
        "Secret/monitoring/grafana-config",
        _patch("monitoring", "secret/grafana-config", {"stringData": {"grafana.ini": BY_HAND}}),
        'data["grafana.ini"]',
        "changed",
        "night-shift",
    ),
    Edit(
        "ServiceMonitor/monitoring/grafana",
        _patch(
            "monitoring",
            "servicemonitor/grafana",
            {"spec": {"selector": {"matchLabels": {"app.kubernetes.io/name": BY_HAND}}}},
        ),
        'spec.selector.matchLabels["app.kubernetes.io/name"]',
        "changed",
        "night-shift",
        "grafana",
        BY_HAND,
    ),
)

_KAPP_EXAMPLES = (
    Edit(
        "Deployment/cert-manager/cert-manager-webhook",
        _on("cert-manager", "set", "image", "deployment/cert-manager-webhook", f"cert-manager={BY_HAND}:1"),
        "spec.template.spec.containers[name=cert-manager].image",
        "changed",
        "kubectl-set",
        "quay.io/jetstack/cert-manager-webhook:v1.6.1",
        f"{BY_HAND}:1",
    ),
    Edit(
        "Deployment/gatekeeper-system/gatekeeper-audit",
        _on("gatekeeper-system", "scale", "deployment/gatekeeper-audit", "--replicas=3"),
        "spec.replicas",
        "changed",
        "kubectl",
        1,
        3,
    ),
    Edit(
        "Deployment/cert-manager/cert-manager-webhook",
        _on("cert-manager", "label", "--overwrite", "deployment/cert-manager-webhook", f"app={BY_HAND}"),
        "metadata.labels.app",
        "changed",
        "kubectl-label",
        "webhook",
        BY_HAND,
    ),
    Edit(
        "ConfigMap/pinniped-supervisor/pinniped-supervisor-static-config",
        _patch(
            "pinniped-supervisor",
            "configmap/pinniped-supervisor-static-config",
            {"data": {"pinniped.yaml": BY_HAND}},
        ),
        'data["pinniped.yaml"]',
        "changed",
        "night-shift",
        live=BY_HAND,
    ),
    Edit(
        "Service/cert-manager/cert-manager-webhook",
        _patch(
            "cert-manager",
            "service/cert-manager-webhook",
            {"spec": {"ports": [{"port": 443, "targetPort": 1}]}},
            "strategic",
        ),
        "spec.ports[port=443,protocol=TCP].targetPort",
        "changed",
        "night-shift",
        10250,
        1,
    ),
    Edit(
        "Service/istio-system/istiod",
        _remove("istio-system", "service/istiod", "/metadata/labels/istio.io~1rev"),
        'metadata.labels["istio.io/rev"]',
        "removed",
        None,
        "default",
    ),
    Edit(
        "Secret/gatekeeper-system/gatekeeper-webhook-server-cert",
        _patch(
            "gatekeeper-system",
            "secret/gatekeeper-webhook-server-cert",
            {"metadata": {"labels": {"gatekeeper.sh/system": BY_HAND}}},
        ),
        'metadata.labels["gatekeeper.sh/system"]',
        "changed",
        "night-shift",
        "yes",
        BY_HAND,
    ),
    Edit(
        "Gateway/knative-serving/knative-ingress-gateway",
        _patch(
            "knative-serving",
            "gateway/knative-ingress-gateway",
            {"spec": {"selector": {"istio": BY_HAND}}},
        ),
        "spec.selector.istio",
        "changed",
        "night-shift",
        "ingressgateway",
        BY_HAND,
    ),
)
