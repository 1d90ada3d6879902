"""Workloads and pods. Source: pkg/apis/{apps,batch,core}/validation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.selectors import matches_labels
from driftd.sandbox.status import Cause
from driftd.sandbox.validation.metadata import DNS_LABEL, LABEL_HELP, labels

_POLICIES = ["Always", "IfNotPresent", "Never"]
_POD_MUTABLE = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}


def _selector(spec: Object, kind: str) -> Iterator[Cause]:
    selector, labels_ = spec.get("selector"), spec["template"]["metadata"].get("labels")
    if selector is None:
        yield Cause.required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield Cause.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
        return
    if not matches_labels(selector, labels_):
        text = "`selector` does not match template `labels`"
        yield Cause.invalid("spec.template.metadata.labels", labels_, text)


def _same_selector(spec: Object, old: Object | None) -> Iterator[Cause]:
    if old is not None and not same(spec.get("selector"), old["spec"].get("selector")):
        yield Cause.invalid("spec.selector", spec.get("selector"), "field is immutable")


def _count(spec: Object, key: str, field: str = "spec") -> Iterator[Cause]:
    if (spec.get(key) or 0) < 0:
        yield Cause.invalid(f"{field}.{key}", spec[key], "must be greater than or equal to 0")


def deployment(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    yield from _count(spec, "replicas")
    yield from _selector(spec, "deployment")
    yield from template(spec["template"], "spec.template", restart=["Always"])
    strategy = spec["strategy"]
    if strategy.get("type") not in ("RollingUpdate", "Recreate"):
        yield Cause.unsupported("spec.strategy.type", strategy.get("type"), ["Recreate", "RollingUpdate"])
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        yield Cause.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from _count(spec, key)
    if (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
        yield Cause.invalid(
            "spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"), "must be greater than minReadySeconds"
        )
    yield from _same_selector(spec, old)


def replica_set(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _count(obj["spec"], "replicas")
    yield from _selector(obj["spec"], "replicaset")
    yield from template(obj["spec"]["template"], "spec.template", restart=["Always"])
    yield from _same_selector(obj["spec"], old)


def daemon_set(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _selector(obj["spec"], "daemonset")
    yield from template(obj["spec"]["template"], "spec.template", restart=["Always"])
    yield from _same_selector(obj["spec"], old)


def stateful_set(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    yield from _count(spec, "replicas")
    yield from _selector(spec, "statefulset")
    yield from template(spec["template"], "spec.template", restart=["Always"])
    if old is not None:
        for key in ("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"):
            if not same(spec.get(key), old["spec"].get(key)):
                yield Cause.invalid(f"spec.{key}", spec.get(key), "field is immutable")


def job(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    for key in ("parallelism", "completions", "backoffLimit"):
        yield from _count(spec, key)
    yield from template(spec["template"], "spec.template", restart=["OnFailure", "Never"])
    if old is not None:
        for key in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"):
            if not same(spec.get(key), old["spec"].get(key)):
                yield Cause.invalid(f"spec.{key}", spec.get(key), "field is immutable")
        if not same(spec["template"], old["spec"]["template"]):
            yield Cause.invalid("spec.template", spec["template"], "field is immutable")


def cron_job(obj: Object, _old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    if not spec.get("schedule"):
        yield Cause.required("spec.schedule")
    elif not spec["schedule"].startswith("@") and len(spec["schedule"].split()) != 5:
        count = len(spec["schedule"].split())
        yield Cause.invalid(
            "spec.schedule",
            spec["schedule"],
            f"expected exactly 5 fields, found {count}: {json.dumps(spec['schedule'].split())}",
        )
    yield from template(
        spec["jobTemplate"]["spec"]["template"], "spec.jobTemplate.spec.template", restart=["OnFailure", "Never"]
    )


def pod(obj: Object, old: Object | None) -> Iterator[Cause]:
    if old is None:
        yield from pod_spec(obj["spec"], "spec")
        return
    if not same(_fixed(obj["spec"]), _fixed(old["spec"])):
        yield Cause.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _fixed(spec: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in _POD_MUTABLE}
    for key in ("containers", "initContainers"):
        if fixed.get(key):
            fixed[key] = [{k: v for k, v in container.items() if k != "image"} for container in fixed[key]]
    return fixed


def template(value: Object, field: str, *, restart: list[str]) -> Iterator[Cause]:
    yield from labels(value["metadata"].get("labels") or {}, f"{field}.labels")
    spec = value["spec"]
    yield from pod_spec(spec, f"{field}.spec")
    if spec.get("restartPolicy") not in restart:
        if restart == ["Always"]:
            yield Cause.unsupported(f"{field}.spec.restartPolicy", spec.get("restartPolicy"), restart)
        else:
            yield (
                Cause.required(f"{field}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
                if not spec.get("restartPolicy")
                else Cause.unsupported(f"{field}.spec.restartPolicy", spec["restartPolicy"], restart)
            )


def pod_spec(spec: Object, field: str) -> Iterator[Cause]:
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    for index, volume in enumerate(spec.get("volumes") or ()):
        if not volume.get("name"):
            yield Cause.required(f"{field}.volumes[{index}].name")
        elif not DNS_LABEL.fullmatch(volume["name"]):
            yield Cause.invalid(f"{field}.volumes[{index}].name", volume["name"], LABEL_HELP)
    if not spec.get("containers"):
        yield Cause.required(f"{field}.containers")
    seen: set[str] = set()
    for key in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            yield from _container(container, f"{field}.{key}[{index}]", seen, volumes)
    if spec.get("dnsPolicy") not in ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        yield Cause.unsupported(
            f"{field}.dnsPolicy", spec.get("dnsPolicy"), ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
        )


def _container(container: Object, field: str, seen: set[str], volumes: set[Any]) -> Iterator[Cause]:
    name = container.get("name") or ""
    if not name:
        yield Cause.required(f"{field}.name")
    elif not DNS_LABEL.fullmatch(name):
        yield Cause.invalid(f"{field}.name", name, LABEL_HELP)
    elif name in seen:
        yield Cause("FieldValueDuplicate", f'Duplicate value: "{name}"', f"{field}.name")
    seen.add(name)
    if not container.get("image"):
        yield Cause.required(f"{field}.image")
    if container.get("imagePullPolicy") not in _POLICIES:
        yield Cause.unsupported(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), _POLICIES)
    for index, port in enumerate(container.get("ports") or ()):
        yield from _port(port.get("containerPort") or 0, f"{field}.ports[{index}].containerPort")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{field}.env[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _mount(mount, f"{field}.volumeMounts[{index}]", volumes)


def _port(number: int, field: str) -> Iterator[Cause]:
    if number == 0:
        yield Cause.required(field)
    elif not 0 < number < 65536:
        yield Cause.invalid(field, number, "must be between 1 and 65535, inclusive")


def _variable(variable: Object, field: str) -> Iterator[Cause]:
    if not variable.get("name"):
        yield Cause.required(f"{field}.name")
    if variable.get("value") and variable.get("valueFrom"):
        yield Cause.invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")


def _mount(mount: Object, field: str, volumes: set[Any]) -> Iterator[Cause]:
    if not mount.get("name"):
        yield Cause.required(f"{field}.name")
    elif mount["name"] not in volumes:
        yield Cause("FieldValueNotFound", f'Not found: "{mount["name"]}"', f"{field}.name")
    if not mount.get("mountPath"):
        yield Cause.required(f"{field}.mountPath")


WORKLOADS = {
    ("", "Pod"): pod,
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "DaemonSet"): daemon_set,
    ("batch", "Job"): job,
    ("batch", "CronJob"): cron_job,
}
