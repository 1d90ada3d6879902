"""Defaults of pods and pod templates. Source: pkg/apis/core/v1/defaults.go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from driftd.sandbox.document import Object

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MODES = {"secret": "defaultMode", "configMap": "defaultMode", "downwardAPI": "defaultMode", "projected": "defaultMode"}


def set_default(obj: Object, key: str, value: Any) -> None:
    """Sets a field that is absent or has Go's zero value."""
    if obj.get(key) in (None, ""):
        obj[key] = value


def fill_pod_spec(spec: Object) -> None:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    set_default(spec, "dnsPolicy", "ClusterFirst")
    set_default(spec, "restartPolicy", "Always")
    set_default(spec, "securityContext", {})
    set_default(spec, "terminationGracePeriodSeconds", 30)
    set_default(spec, "schedulerName", "default-scheduler")
    for volume in spec.get("volumes") or ():
        fill_volume(volume)
    for container in containers(spec):
        fill_container(container)
    if spec.get("hostNetwork"):
        for container in containers(spec, ephemeral=False):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port["containerPort"]


def fill_pod(pod: Object) -> None:
    fill_pod_spec(pod["spec"])
    spec = pod["spec"]
    for container in containers(spec, ephemeral=False):
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True


def containers(spec: Object, *, ephemeral: bool = True) -> Iterator[Object]:
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()
    if ephemeral:
        yield from spec.get("ephemeralContainers") or ()


def fill_container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        latest = _tag(container.get("image") or "") == "latest"
        container["imagePullPolicy"] = "Always" if latest else "IfNotPresent"
    set_default(container, "terminationMessagePath", "/dev/termination-log")
    set_default(container, "terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        set_default(port, "protocol", "TCP")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            set_default(source["fieldRef"], "apiVersion", "v1")
        if "fileKeyRef" in source:
            set_default(source["fileKeyRef"], "optional", False)
    for name in _PROBES:
        if container.get(name):
            _fill_probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _fill_http_get(hook)


def _fill_probe(probe: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    _fill_http_get(probe)
    if "grpc" in probe:
        set_default(probe["grpc"], "service", "")


def _fill_http_get(action: Object) -> None:
    if "httpGet" in action:
        set_default(action["httpGet"], "path", "/")
        set_default(action["httpGet"], "scheme", "HTTP")


def fill_volume(volume: Object) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for source, mode in _MODES.items():
        if source in volume and volume[source].get(mode) is None:
            volume[source][mode] = 420
    if "hostPath" in volume:
        set_default(volume["hostPath"], "type", "")
    if "image" in volume:
        latest = _tag(volume["image"].get("reference") or "") == "latest"
        set_default(volume["image"], "pullPolicy", "Always" if latest else "IfNotPresent")
    if "iscsi" in volume:
        set_default(volume["iscsi"], "iscsiInterface", "default")
    if "ephemeral" in volume:
        set_default(volume["ephemeral"]["volumeClaimTemplate"]["spec"], "volumeMode", "Filesystem")
    _fill_downward(volume.get("downwardAPI") or {})
    for source in (volume.get("projected") or {}).get("sources") or ():
        _fill_downward(source.get("downwardAPI") or {})
        if "serviceAccountToken" in source:
            set_default(source["serviceAccountToken"], "expirationSeconds", 3600)


def _fill_downward(source: Object) -> None:
    for item in source.get("items") or ():
        if "fieldRef" in item:
            set_default(item["fieldRef"], "apiVersion", "v1")


def _tag(image: str) -> str:
    if "@" in image:
        return ""
    name, colon, tag = image.rpartition(":")
    return tag if colon and "/" not in tag and name else "latest"
