"""Running pods are compared with their workload's template."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.pods import needs_revisions, pod_drift, pods_of
from driftd.model.drift import Change
from driftd.model.path import format_path

DIGEST = "registry.example.com/shop/web@sha256:"


def _deployment(image: str = "shop/web:1", **env: str) -> dict[str, Any]:
    container = {"name": "web", "image": image, "env": [{"name": k, "value": v} for k, v in env.items()]}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "d1",
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"template": {"spec": {"containers": [container]}}},
    }  # fmt: skip


def _pod(name: str = "web-aaa-1", template: str = "aaa", **change: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "web", "image": "shop/web:1"}], **change.pop("spec", {})}
    return {
        "metadata": {
            "name": name, "labels": {"pod-template-hash": template},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"web-{template}", "uid": template, "controller": True}],
            **change.pop("metadata", {}),
        },
        "spec": spec,
        "status": {"phase": "Running", **change.pop("status", {})},
    }  # fmt: skip


def _replica_set(template: str, revision: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"web-{template}", "labels": {"pod-template-hash": template},
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "uid": "d1", "controller": True}],
        }
    }  # fmt: skip


def _drift(
    workload: dict[str, Any], *pods: dict[str, Any], revisions: Any = (), settled: bool = True
) -> dict[str, Any]:
    result = pod_drift(workload, pods_of(workload, pods), revisions, rollout_complete=settled)
    return {format_path(drift.path): drift for drift in result}


def test_pods_as_their_template_has_them_are_no_drift() -> None:
    """A healthy workload has no pod drift."""
    assert _drift(_deployment(), _pod(), _pod("web-aaa-2")) == {}


def test_a_debug_container_in_a_pod_is_drift_of_its_workload_with_its_owner() -> None:
    """`kubectl debug` leaves it in the pod for the pod's lifetime."""
    fields = {"f:spec": {"f:ephemeralContainers": {".": {}, 'k:{"name":"debugger"}': {".": {}, "f:image": {}}}}}
    managed = {
        "manager": "kubectl-debug",
        "operation": "Update",
        "subresource": "ephemeralcontainers",
        "fieldsV1": fields,
    }
    pod = _pod(
        spec={"ephemeralContainers": [{"name": "debugger", "image": "busybox"}]}, metadata={"managedFields": [managed]}
    )
    drift = _drift(_deployment(), pod)["pods[name=web-aaa-1].spec.ephemeralContainers[name=debugger]"]
    assert drift.change is Change.ADDED
    assert drift.by is not None
    assert drift.by.manager == "kubectl-debug"


def test_the_image_of_a_single_pod_that_somebody_changed_is_drift() -> None:
    """The image is the one field of a running container that can be edited in place."""
    pod = _pod(spec={"containers": [{"name": "web", "image": "shop/web:hand"}]})
    drift = _drift(_deployment(), pod)["pods[name=web-aaa-1].spec.containers[name=web].image"]
    assert (drift.desired, drift.live) == ("shop/web:1", "shop/web:hand")


def test_containers_and_variables_of_no_known_injector_are_drift() -> None:
    """A mesh's proxy and a cloud's credentials are not; an unknown container is."""
    variables = [{"name": "AWS_ROLE_ARN", "value": "x"}, {"name": "MINER", "value": "on"}]
    containers = [
        {"name": "web", "image": "shop/web:1", "env": variables},
        {"name": "istio-proxy", "image": "istio/proxyv2:1"},
        {"name": "miner", "image": "evil/miner"},
    ]  # fmt: skip
    assert set(_drift(_deployment(), _pod(spec={"containers": containers}))) == {
        "pods[name=web-aaa-1].spec.containers[name=miner]",
        "pods[name=web-aaa-1].spec.containers[name=web].env[name=MINER]",
    }


@pytest.mark.parametrize(
    ("manager", "time", "drift"),
    [
        ("kube-controller-manager", "2026-01-01T10:00:00Z", False),
        ("kube-controller-manager", "2026-01-01T10:00:05Z", True),
        ("kubectl-set", "2026-01-01T10:00:05Z", True),
        ("kubectl-create", "2026-01-01T10:00:00Z", True),
    ],
)
def test_what_came_with_the_creation_of_a_pod_by_its_controller_is_admissions(
    manager: str, time: str, drift: bool
) -> None:
    """A mirror of images, and a sidecar of one's own. Who changes the pod later, or makes one by hand, is told."""
    container = {".": {}, "f:name": {}, "f:image": {}}
    fields = {
        "f:metadata": {"f:ownerReferences": {".": {}, 'k:{"uid":"aaa"}': {}}},
        "f:spec": {"f:containers": {'k:{"name":"web"}': container, 'k:{"name":"logs"}': container}},
    }
    pod = _pod(
        spec={"containers": [{"name": "web", "image": "mirror/shop/web:1"}, {"name": "logs", "image": "logs:1"}]},
        metadata={
            "creationTimestamp": "2026-01-01T10:00:00Z",
            "managedFields": [{"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}],
        },
    )
    assert bool(_drift(_deployment(), pod)) == drift


def test_pods_of_the_template_before_are_drift_once_the_rollout_has_ended() -> None:
    """Until then they are part of the rollout."""
    pods = (_pod(), _pod("web-bbb-1", "bbb"))
    revisions = (_replica_set("aaa", "1"), _replica_set("bbb", "2"))
    assert needs_revisions(_deployment(), pods_of(_deployment(), pods))
    assert _drift(_deployment(), *pods, revisions=revisions, settled=False) == {}
    drift = _drift(_deployment(), *pods, revisions=revisions)
    assert set(drift) == {"pods[name=web-aaa-1].metadata.labels.pod-template-hash"}
    assert next(iter(drift.values())).desired == "bbb"


def test_during_a_rollout_old_pods_are_not_compared_with_the_new_template() -> None:
    """The new ReplicaSet has no pods yet: all pods are of the previous template."""
    assert _drift(_deployment("shop/web:2"), _pod(), settled=False) == {}
    assert set(_drift(_deployment("shop/web:2"), _pod())) == {"pods[name=web-aaa-1].spec.containers[name=web].image"}


def test_pods_of_two_templates_are_not_compared_if_the_current_one_is_unknown() -> None:
    """The ReplicaSets could not be read."""
    assert _drift(_deployment("shop/web:2"), _pod(), _pod("web-bbb-1", "bbb"), revisions=()) == {}


def test_one_tag_with_two_digests_is_drift_that_names_the_pods() -> None:
    """The tag was moved between two pulls."""
    pods = [
        _pod(f"web-aaa-{n}", status={"containerStatuses": [{"name": "web", "imageID": DIGEST + digest * 64}]})
        for n, digest in ((1, "1"), (2, "2"), (3, "1"))
    ]
    drift = _drift(_deployment(), *pods)["pods.spec.containers[name=web].image"]
    assert drift.live == {f"sha256:{'1' * 64}": ["web-aaa-1", "web-aaa-3"], f"sha256:{'2' * 64}": ["web-aaa-2"]}


def test_the_pods_of_others_and_pods_that_are_going_are_passed_over() -> None:
    """A Deployment whose name begins like this one's has pods of its own."""
    other = _pod("web-api-ccc-1", "ccc")
    other["metadata"]["ownerReferences"][0]["name"] = "web-api-ccc"
    going = _pod(metadata={"deletionTimestamp": "2026-11-22T09:00:00Z"})
    ended = _pod("web-aaa-9", status={"phase": "Failed"})
    assert pods_of(_deployment(), [other, going, ended]) == []


def test_the_status_of_a_stateful_set_has_the_revision_of_its_pods() -> None:
    """Also with the strategy OnDelete, where old pods stay until somebody deletes them."""
    workload = {
        "kind": "StatefulSet", "metadata": {"name": "db", "uid": "s1"},
        "spec": {"template": {"spec": {"containers": []}}}, "status": {"updateRevision": "db-2"},
    }  # fmt: skip
    owner = {"ownerReferences": [{"kind": "StatefulSet", "uid": "s1", "controller": True}]}
    pods = [
        {"metadata": {"name": f"db-{n}", "labels": {"controller-revision-hash": f"db-{r}"}, **owner}, "spec": {}}
        for n, r in ((0, 1), (1, 2))
    ]
    assert set(_drift(workload, *pods)) == {"pods[name=db-0].metadata.labels.controller-revision-hash"}
