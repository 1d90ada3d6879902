"""Workloads roll out, and become healthy or fail, according to their conditions and counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import MERGE, ApiServer
from tests.contract.sequences import DEPLOYMENTS, PLAIN_DEPLOYMENT, PODS, WEB, with_
from tests.support.kubelet import Kubelet

Object = dict[str, Any]

_SETS = "/apis/apps/v1/namespaces/{ns}/replicasets"
_JOBS = "/apis/batch/v1/namespaces/{ns}/jobs"


@pytest.fixture(autouse=True)
def pods_run(request: pytest.FixtureRequest, api_server: ApiServer) -> Kubelet | None:
    """Runs a kubelet, since the real cluster has no node."""
    return request.getfixturevalue("kubelet") if api_server.name == "controlplane" else None


def _condition(obj: Object, kind: str) -> tuple[str, str] | None:
    conditions = obj.get("status", {}).get("conditions", ())
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == kind), None)


def _complete(obj: Object) -> bool:
    status = obj.get("status", {})
    return (
        status.get("observedGeneration") == obj["metadata"]["generation"]
        and status.get("updatedReplicas")
        == status.get("replicas")
        == status.get("availableReplicas")
        == obj["spec"]["replicas"]
        and _condition(obj, "Progressing") == ("True", "NewReplicaSetAvailable")
    )


async def test_a_deployment_rolls_out_and_reports_it(api_server: ApiServer) -> None:
    """Its ReplicaSet, pods, counts and conditions, and their field managers."""
    await api_server.apply(WEB, PLAIN_DEPLOYMENT)
    done = await api_server.eventually(WEB, _complete)
    assert _condition(done, "Available") == ("True", "MinimumReplicasAvailable")
    assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    entry = next(e for e in done["metadata"]["managedFields"] if e["manager"] == "kube-controller-manager")
    assert (entry["operation"], entry["subresource"]) == ("Update", "status")
    sets = (await api_server.get(_SETS))["items"]
    assert [s["metadata"]["ownerReferences"][0]["name"] for s in sets] == ["web"]
    pods = (await api_server.get(f"{PODS}?labelSelector=app=web"))["items"]
    assert [p["status"]["phase"] for p in pods] == ["Running", "Running"]
    assert all(p["metadata"]["ownerReferences"][0]["name"] == sets[0]["metadata"]["name"] for p in pods)


async def test_a_new_image_creates_a_new_replica_set_and_scales_the_old_one_down(api_server: ApiServer) -> None:
    """With the next revision number."""
    await api_server.apply(WEB, PLAIN_DEPLOYMENT)
    await api_server.eventually(WEB, _complete)
    changed = with_(PLAIN_DEPLOYMENT, spec__template__spec__containers=[{"name": "web", "image": "nginx:1.26"}])
    await api_server.apply(WEB, changed)
    done = await api_server.eventually(WEB, _complete)
    assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    sets = (await api_server.get(_SETS))["items"]
    assert sorted(s["spec"]["replicas"] for s in sets) == [0, 2]


async def test_an_image_that_does_not_exist_never_becomes_available(api_server: ApiServer) -> None:
    """Pods wait with ImagePullBackOff, the old ones keep running, and the progress deadline is exceeded."""
    await api_server.apply(WEB, PLAIN_DEPLOYMENT)
    await api_server.eventually(WEB, _complete)
    broken = with_(
        PLAIN_DEPLOYMENT,
        spec__template__spec__containers=[{"name": "web", "image": "registry.example.com/does-not-exist:1"}],
        spec__progressDeadlineSeconds=2,
    )
    await api_server.apply(WEB, broken)
    late = await api_server.eventually(
        WEB, lambda body: _condition(body, "Progressing") == ("False", "ProgressDeadlineExceeded"), seconds=30
    )
    assert _condition(late, "Available") == ("True", "MinimumReplicasAvailable")
    assert late["status"]["availableReplicas"] == 2
    pods = (await api_server.get(f"{PODS}?labelSelector=app=web"))["items"]
    waiting = [p["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason") for p in pods]
    assert waiting.count(None) == 2
    assert {"ErrImagePull", "ImagePullBackOff"} & set(waiting)


async def test_a_scaled_deployment_has_that_number_of_pods(api_server: ApiServer) -> None:
    """Through the scale subresource, up and down."""
    await api_server.apply(WEB, PLAIN_DEPLOYMENT)
    for replicas in (3, 1):
        await api_server.request("PATCH", f"{WEB}/scale", {"spec": {"replicas": replicas}}, MERGE)
        await api_server.eventually(WEB, _complete)
        await api_server.eventually(
            f"{PODS}?labelSelector=app=web",
            lambda body, n=replicas: len(body["items"]) == n,  # type: ignore[misc]
        )


async def test_a_deleted_deployment_leaves_nothing(api_server: ApiServer) -> None:
    """Its ReplicaSet and pods are garbage collected."""
    await api_server.apply(WEB, PLAIN_DEPLOYMENT)
    await api_server.eventually(WEB, _complete)
    await api_server.request("DELETE", WEB, {"propagationPolicy": "Background"})
    for path in (DEPLOYMENTS, _SETS, PODS):
        await api_server.eventually(path, lambda body: not body["items"])


async def test_stateful_and_daemon_sets_become_ready(api_server: ApiServer) -> None:
    """Pods of a StatefulSet are numbered; a DaemonSet has one pod for each node, and there is one node."""
    sets = "/apis/apps/v1/namespaces/{ns}/statefulsets"
    stateful = with_(PLAIN_DEPLOYMENT, kind="StatefulSet", spec__serviceName="web")
    await api_server.post(sets, stateful)
    done = await api_server.eventually(f"{sets}/web", lambda body: body.get("status", {}).get("readyReplicas") == 2)
    assert done["status"]["updateRevision"] == done["status"]["currentRevision"]
    pods = (await api_server.get(f"{PODS}?labelSelector=app=web"))["items"]
    assert [p["metadata"]["name"] for p in pods] == ["web-0", "web-1"]
    daemons = "/apis/apps/v1/namespaces/{ns}/daemonsets"
    await api_server.post(
        daemons, with_(PLAIN_DEPLOYMENT, kind="DaemonSet", spec__replicas=None, metadata__name="agent")
    )
    await api_server.eventually(
        f"{daemons}/agent",
        lambda body: body["status"].get("numberAvailable") == body["status"]["desiredNumberScheduled"] == 1,
    )


async def test_a_job_completes(api_server: ApiServer) -> None:
    """Its pod succeeds, its conditions report it, and the pod has the Job's labels."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}},
    }
    created = await api_server.post(_JOBS, job)
    assert created["spec"]["selector"]["matchLabels"] == {
        "batch.kubernetes.io/controller-uid": created["metadata"]["uid"]
    }
    done = await api_server.eventually(
        f"{_JOBS}/once", lambda body: _condition(body, "Complete") == ("True", "CompletionsReached"), seconds=30
    )
    assert done["status"]["succeeded"] == 1
