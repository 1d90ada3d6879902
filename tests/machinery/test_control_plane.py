"""The real control plane of the tests behaves like a cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.kubelet import Kubelet
from tests.support.server_process import ServerFailed


def deployment(name: str, image: str = "nginx", replicas: int = 1) -> str:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"did not come true within {seconds} s"
        time.sleep(0.1)


def test_the_cluster_reports_kubernetes_1_37(control_plane: ControlPlane) -> None:
    """The pinned version, not the v0.0.0 of a build without version flags."""
    assert json.loads(control_plane.get("/version"))["gitVersion"] == "v1.37.2"


def test_two_hundred_pods_roll_out_in_seconds(control_plane: ControlPlane, kubelet: Kubelet, namespace: str) -> None:
    """A Deployment with 200 replicas becomes available quickly enough for tests."""
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=deployment("many", replicas=200))
    control_plane.kubectl("rollout", "status", "-n", namespace, "deployment/many", "--timeout=30s")


def test_an_image_that_cannot_be_pulled_blocks_its_rollout(
    control_plane: ControlPlane, kubelet: Kubelet, namespace: str
) -> None:
    """A new image named `does-not-exist` leaves the old pod running and the new one waiting."""
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=deployment("web"))
    control_plane.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=30s")
    control_plane.kubectl("set", "image", "-n", namespace, "deployment/web", "main=nginx:does-not-exist")

    def reasons() -> str:
        path = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"
        return control_plane.kubectl("get", "pods", "-n", namespace, "-o", path).stdout

    until(lambda: reasons() == "ImagePullBackOff")
    ready = control_plane.kubectl("get", "deploy", "web", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}")
    assert ready.stdout == "1"


def test_a_job_completes_and_one_that_crashes_fails(
    control_plane: ControlPlane, kubelet: Kubelet, namespace: str
) -> None:
    """Pods of Jobs succeed, unless they are annotated to crash."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}
    for name, marks in (("good", {}), ("bad", {"kubelet.test/crashes": "yes"})):
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {**template, "metadata": {"annotations": marks}}},
        }
        control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(job))
    control_plane.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/good", "--timeout=30s")
    control_plane.kubectl("wait", "-n", namespace, "--for=condition=Failed", "job/bad", "--timeout=30s")


def test_a_daemon_set_runs_on_the_node_and_a_stateful_set_in_order(
    control_plane: ControlPlane, kubelet: Kubelet, namespace: str
) -> None:
    """The only node runs pods of every kind of workload."""
    labels = {"app": "x"}
    common = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}},
    }
    for kind, more in (("DaemonSet", {}), ("StatefulSet", {"serviceName": "x", "replicas": 2})):
        body = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": kind.lower()}, "spec": {**common, **more}}
        control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(body))
    control_plane.kubectl("rollout", "status", "-n", namespace, "daemonset/daemonset", "--timeout=30s")
    control_plane.kubectl("rollout", "status", "-n", namespace, "statefulset/statefulset", "--timeout=30s")


def test_a_deleted_pod_is_removed_and_replaced(control_plane: ControlPlane, kubelet: Kubelet, namespace: str) -> None:
    """The kubelet completes a deletion with a grace period."""
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=deployment("web"))
    control_plane.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=30s")
    before = control_plane.kubectl("get", "pods", "-n", namespace, "-o", "name").stdout.split()
    control_plane.kubectl("delete", "-n", namespace, *before, "--timeout=20s")
    control_plane.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=30s")
    after = control_plane.kubectl("get", "pods", "-n", namespace, "-o", "name").stdout.split()
    assert len(after) == 1
    assert after != before


def test_a_user_may_do_what_rbac_allows_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    """A kubeconfig for a user authenticates with that user's name and groups."""
    config = control_plane.kubeconfig_for("jane", ("readers",))
    answer = control_plane.kubectl("--kubeconfig", config, "auth", "whoami", "-o", "json")
    user = json.loads(answer.stdout)["status"]["userInfo"]
    assert user["username"] == "jane"
    assert "readers" in user["groups"]
    refused = control_plane.kubectl("--kubeconfig", config, "get", "pods", "-n", namespace, check=False)
    assert refused.returncode == 1
    assert "Forbidden" in refused.stderr
    control_plane.kubectl("create", "rolebinding", "read", "-n", namespace, "--clusterrole=view", "--group=readers")
    until(lambda: _may_list(control_plane, config, namespace))


def _may_list(control_plane: ControlPlane, config: Path, namespace: str) -> bool:
    answer = control_plane.kubectl("--kubeconfig", config, "get", "pods", "-n", namespace, check=False)
    return answer.returncode == 0


def test_requests_are_counted(control_plane: ControlPlane, namespace: str) -> None:
    """In the API server's own metrics."""

    def reads() -> float:
        return sum(
            sample.value
            for sample in control_plane.apiserver_metrics()
            if sample.name == "apiserver_request_total"
            and sample.labels["verb"] == "GET"
            and sample.labels["resource"] == "podtemplates"
            and sample.labels["scope"] == "resource"
        )

    before = reads()
    for _ in range(3):
        control_plane.kubectl("get", "podtemplate", "none", "--ignore-not-found", "-n", namespace)
    assert reads() == before + 3


@pytest.fixture
def own(assets: Path) -> Iterator[ControlPlane]:
    """A separate cluster, which the test may break."""
    with ControlPlane(assets) as cluster:
        yield cluster


def test_objects_and_the_address_outlive_a_restart_of_the_api_server(own: ControlPlane) -> None:
    """An older kubeconfig still works, new pods are run, and in between there is no response."""
    with Kubelet(own):
        own.kubectl("create", "configmap", "kept")
        own.stop_apiserver(grace=0)
        assert own.kubectl("get", "configmap", "kept", check=False).returncode != 0
        own.start_apiserver()
        own.kubectl("get", "configmap", "kept")
        own.kubectl("run", "late", "--image=nginx")
        own.kubectl("wait", "--for=condition=Ready", "pod/late", "--timeout=30s")


def test_a_server_that_cannot_start_shows_its_log(assets: Path) -> None:
    """The error has the reason, and no process is left running."""
    cluster = ControlPlane(assets, apiserver_flags=["--no-such-flag"])
    with pytest.raises(ServerFailed, match="unknown flag: --no-such-flag"):
        cluster.start()
    with pytest.raises(RuntimeError):
        _ = cluster.folder
