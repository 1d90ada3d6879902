"""The pod status that the simulated kubelet reports."""

from __future__ import annotations

from typing import Any

from tests.support.pod_status import CRASH_ANNOTATION, needs_report, status_of


def pod(image: str = "nginx", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", **metadata}, "spec": {"containers": [{"name": "main", "image": image}]}}


def ready(status: dict[str, Any]) -> str:
    return next(str(each["status"]) for each in status["conditions"] if each["type"] == "Ready")


def test_a_plain_pod_runs_and_is_ready() -> None:
    """Running, ready, with an address and an image digest."""
    status = status_of(pod(), "10.244.0.2")
    assert (status["phase"], ready(status), status["podIP"]) == ("Running", "True", "10.244.0.2")
    assert status["containerStatuses"][0]["imageID"].startswith("nginx@sha256:")


def test_a_pod_whose_image_is_broken_waits() -> None:
    """Pending, with the reason that a real kubelet reports."""
    status = status_of(pod("shop/broken:1"), "10.244.0.2")
    assert (status["phase"], ready(status)) == ("Pending", "False")
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"


def test_a_pod_that_crashes_backs_off_but_its_phase_is_running() -> None:
    """As with a real kubelet: phase Running, not ready, restarted."""
    status = status_of(pod(annotations={CRASH_ANNOTATION: "yes"}), "10.244.0.2")
    assert (status["phase"], ready(status)) == ("Running", "False")
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["containerStatuses"][0]["restartCount"] > 0


def test_pods_of_a_job_end() -> None:
    """With success, or with failure if they crash."""
    owner = [{"kind": "Job", "name": "j"}]
    assert status_of(pod(ownerReferences=owner), "10.244.0.2")["phase"] == "Succeeded"
    crashing = pod(ownerReferences=owner, annotations={CRASH_ANNOTATION: "yes"})
    assert status_of(crashing, "10.244.0.2")["phase"] == "Failed"


def test_a_broken_init_container_blocks_the_others() -> None:
    """The main container is not started."""
    blocked = pod()
    blocked["spec"]["initContainers"] = [{"name": "init", "image": "broken"}]
    status = status_of(blocked, "10.244.0.2")
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_pod_is_reported_again_when_its_containers_change() -> None:
    """The status is reported once, and again after an edit of an image or a new ephemeral container."""
    changing = pod()
    assert needs_report(changing)
    changing["status"] = status_of(changing, "10.244.0.2")
    assert not needs_report(changing)
    changing["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox"}]
    assert needs_report(changing)
    changing["status"] = status_of(changing, "10.244.0.2")
    assert not needs_report(changing)
