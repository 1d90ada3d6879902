"""Defaults of workloads. Source: pkg/apis/{apps,batch,core,autoscaling}/*/defaults.go."""

from __future__ import annotations

from driftd.sandbox.defaults.pods import fill_pod, fill_pod_spec, set_default
from driftd.sandbox.document import Object


def _template(spec: Object) -> None:
    template = spec.get("template")
    if template:
        fill_pod_spec(template["spec"])


def _deployment(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "replicas", 1)
    strategy = spec["strategy"]
    set_default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        set_default(rolling, "maxUnavailable", "25%")
        set_default(rolling, "maxSurge", "25%")
    set_default(spec, "revisionHistoryLimit", 10)
    set_default(spec, "progressDeadlineSeconds", 600)
    _template(spec)


def _stateful_set(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "podManagementPolicy", "OrderedReady")
    set_default(spec["updateStrategy"], "type", "RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        rolling = spec["updateStrategy"].setdefault("rollingUpdate", {})
        set_default(rolling, "partition", 0)
        set_default(rolling, "maxUnavailable", 1)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    set_default(retention, "whenDeleted", "Retain")
    set_default(retention, "whenScaled", "Retain")
    set_default(spec, "replicas", 1)
    set_default(spec, "revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        fill_claim(claim)
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec["updateStrategy"], "type", "RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        rolling = spec["updateStrategy"].setdefault("rollingUpdate", {})
        set_default(rolling, "maxUnavailable", 1)
        set_default(rolling, "maxSurge", 0)
    set_default(spec, "revisionHistoryLimit", 10)
    _template(spec)
    _template_generation(obj)


def _template_generation(obj: Object) -> None:
    """A field of an older API version, kept as an annotation."""
    obj["metadata"].setdefault("annotations", {}).setdefault("deprecated.daemonset.template.generation", "1")


def _replica_set(obj: Object) -> None:
    set_default(obj["spec"], "replicas", 1)
    _inherit_labels(obj)
    _template(obj["spec"])


def _replication_controller(obj: Object) -> None:
    spec = obj["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    _inherit_labels(obj)
    set_default(spec, "replicas", 1)
    set_default(spec, "selector", {})
    _template(spec)


def _inherit_labels(obj: Object) -> None:
    labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def _job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    set_default(spec, "parallelism", 1)
    set_default(spec, "backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1)
    set_default(spec, "completionMode", "NonIndexed")
    set_default(spec, "suspend", False)
    set_default(spec, "podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    set_default(spec, "manualSelector", False)


def _job(obj: Object) -> None:
    _job_spec(obj["spec"])
    _inherit_labels(obj)
    _template(obj["spec"])


def _cron_job(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "concurrencyPolicy", "Allow")
    set_default(spec, "suspend", False)
    set_default(spec, "successfulJobsHistoryLimit", 3)
    set_default(spec, "failedJobsHistoryLimit", 1)
    _template(spec["jobTemplate"]["spec"])


def _pod_template(obj: Object) -> None:
    fill_pod_spec(obj["template"]["spec"])


def fill_claim(claim: Object) -> None:
    set_default(claim["spec"], "volumeMode", "Filesystem")
    set_default(claim["status"], "phase", "Pending")


_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _autoscaler(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = {**_UP, **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {**_DOWN, **(behavior.get("scaleDown") or {})}


WORKLOADS = {
    ("", "Pod"): fill_pod,
    ("", "PodTemplate"): _pod_template,
    ("", "ReplicationController"): _replication_controller,
    ("", "PersistentVolumeClaim"): fill_claim,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
}
