"""The health of workloads, compared with what `kubectl rollout status` would say of the same object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.health.workloads import health
from driftd.model.health import HealthState
from driftd.model.resource import ResourceRef

HEALTHY, PROGRESSING, DEGRADED = HealthState.HEALTHY, HealthState.PROGRESSING, HealthState.DEGRADED

GROUPS = {
    "Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "Job": "batch",
    "CustomResourceDefinition": "apiextensions.k8s.io", "ConfigMap": "", "Widget": "example.com",
}  # fmt: skip


def ref(kind: str) -> ResourceRef:
    return ResourceRef(GROUPS[kind], kind, "web", "web")


def judged(kind: str, spec: dict[str, Any], status: dict[str, Any], generation: int | None = 1) -> tuple[Any, str]:
    live = {"metadata": {"name": "web", "generation": generation}, "spec": spec, "status": status}
    result = health(ref(kind), live)
    assert result.ref == ref(kind)
    return result.state, result.message


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


ROLLED_OUT = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize(
    ("spec", "status", "state", "says"),
    [
        ({"replicas": 2}, ROLLED_OUT, HEALTHY, ""),
        ({"replicas": 2}, {}, PROGRESSING, "not started"),
        ({"replicas": 2}, {**ROLLED_OUT, "observedGeneration": 0}, PROGRESSING, "latest change"),
        ({"replicas": 2}, {**ROLLED_OUT, "updatedReplicas": 1}, PROGRESSING, "1 of 2 replicas are updated"),
        (
            {"replicas": 2},
            {**ROLLED_OUT, "replicas": 3},
            PROGRESSING,
            "1 old replica is still there, 1 replica is not available",
        ),
        ({"replicas": 2}, {**ROLLED_OUT, "availableReplicas": 1}, PROGRESSING, "1 of 2 replicas are available"),
        ({"replicas": 3}, ROLLED_OUT, PROGRESSING, "2 of 3 replicas are updated"),
        ({}, {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, HEALTHY, ""),
        ({"replicas": 0}, {"observedGeneration": 1}, HEALTHY, ""),
        ({"replicas": 2}, {**ROLLED_OUT, **condition("Progressing", "True", "NewReplicaSetAvailable")}, HEALTHY, ""),
        (
            {"replicas": 2},
            {
                **ROLLED_OUT,
                "updatedReplicas": 1,
                **condition("Progressing", "False", "ProgressDeadlineExceeded", "late"),
            },
            DEGRADED,
            "late",
        ),
        (
            {"replicas": 2},
            {"observedGeneration": 1, **condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small")},
            DEGRADED,
            "exceeded quota",
        ),
    ],
)
def test_a_deployment_is_as_healthy_as_kubectl_rollout_status_says(
    spec: dict[str, Any], status: dict[str, Any], state: HealthState, says: str
) -> None:
    """Updated, without old replicas, available; failed once its progress deadline has passed."""
    result, message = judged("Deployment", spec, status)
    assert result is state
    assert says in message
    assert bool(message) is (state is not HEALTHY)


def stateful(**given: Any) -> dict[str, Any]:
    return {
        "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "currentReplicas": 3, "updatedReplicas": 3,
        "currentRevision": "web-1", "updateRevision": "web-1", **given,
    }  # fmt: skip


def rolling(partition: int | None) -> dict[str, Any]:
    spec = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}}
    return spec if partition is None else {**spec, "updateStrategy": {"rollingUpdate": {"partition": partition}}}


@pytest.mark.parametrize(
    ("spec", "status", "state"),
    [
        (rolling(0), stateful(), HEALTHY),
        (rolling(None), stateful(), HEALTHY),
        (rolling(0), {}, PROGRESSING),
        (rolling(0), stateful(readyReplicas=2), PROGRESSING),
        (rolling(0), stateful(updatedReplicas=1, updateRevision="web-2"), PROGRESSING),
        (rolling(None), stateful(updatedReplicas=1, updateRevision="web-2"), PROGRESSING),
        # A partition keeps the ordinals below it at the old revision: that is the end of the rollout.
        (rolling(2), stateful(updatedReplicas=1, updateRevision="web-2"), HEALTHY),
        (rolling(2), stateful(updatedReplicas=0, updateRevision="web-2"), PROGRESSING),
        (rolling(2), stateful(updatedReplicas=1, updateRevision="web-2", readyReplicas=2), PROGRESSING),
        (rolling(5), stateful(updatedReplicas=0, updateRevision="web-2"), HEALTHY),
        # Under OnDelete only people replace pods: waiting for the rollout could take forever.
        ({"replicas": 3, "updateStrategy": {"type": "OnDelete"}}, stateful(updateRevision="web-2"), HEALTHY),
        (
            {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
            stateful(updateRevision="web-2", readyReplicas=1),
            PROGRESSING,
        ),
        ({"replicas": 0}, stateful(replicas=0, readyReplicas=0, updatedReplicas=0), HEALTHY),
    ],
)
def test_a_stateful_set_is_healthy_once_its_rollout_has_come_as_far_as_it_will(
    spec: dict[str, Any], status: dict[str, Any], state: HealthState
) -> None:
    """Partitions and OnDelete end a rollout early on purpose."""
    assert judged("StatefulSet", spec, status)[0] is state


@given(replicas=st.integers(0, 6), partition=st.integers(0, 8), updated=st.integers(0, 6), ready=st.integers(0, 6))
def test_a_partitioned_rollout_ends_where_kubectl_says_it_ends(
    replicas: int, partition: int, updated: int, ready: int
) -> None:
    """kubectl: ready >= replicas, and updated >= replicas - partition."""
    spec = {"replicas": replicas, "updateStrategy": {"rollingUpdate": {"partition": partition}}}
    status = stateful(replicas=replicas, updatedReplicas=updated, readyReplicas=ready, updateRevision="web-2")
    done = ready >= replicas and updated >= replicas - partition
    assert (judged("StatefulSet", spec, status)[0] is HEALTHY) is done


def daemons(**given: int) -> dict[str, Any]:
    return {
        "observedGeneration": 1, "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": 3,
        "numberReady": 3, "numberAvailable": 3, **given,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "status", "state"),
    [
        ("RollingUpdate", daemons(), HEALTHY),
        ("RollingUpdate", {}, PROGRESSING),
        ("RollingUpdate", daemons(updatedNumberScheduled=2), PROGRESSING),
        ("RollingUpdate", daemons(numberAvailable=2), PROGRESSING),
        ("RollingUpdate", {"observedGeneration": 1, "desiredNumberScheduled": 0}, HEALTHY),
        ("OnDelete", daemons(updatedNumberScheduled=0), HEALTHY),
        ("OnDelete", daemons(updatedNumberScheduled=0, numberAvailable=1), PROGRESSING),
    ],
)
def test_a_daemon_set_is_healthy_once_every_node_has_an_updated_pod(
    strategy: str, status: dict[str, Any], state: HealthState
) -> None:
    """Under OnDelete old pods count, as long as they are available."""
    assert judged("DaemonSet", {"updateStrategy": {"type": strategy}}, status)[0] is state


@pytest.mark.parametrize(
    ("spec", "status", "state"),
    [
        ({}, {}, PROGRESSING),
        ({}, {"active": 1}, PROGRESSING),
        ({}, condition("Complete", "True"), HEALTHY),
        ({}, condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the backoff limit"), DEGRADED),
        ({}, condition("Failed", "False"), PROGRESSING),
        ({"suspend": True}, condition("Suspended", "True"), HEALTHY),
        ({"suspend": True}, condition("Failed", "True"), DEGRADED),
    ],
)
def test_a_job_is_healthy_once_it_is_complete(spec: dict[str, Any], status: dict[str, Any], state: HealthState) -> None:
    """A suspended one is meant to wait."""
    assert judged("Job", spec, status)[0] is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, PROGRESSING),
        (condition("Established", "True"), HEALTHY),
        (condition("Established", "False"), PROGRESSING),
        (condition("NamesAccepted", "False", "NotAccepted", "widgets is taken"), DEGRADED),
    ],
)
def test_a_custom_resource_definition_is_healthy_once_it_is_served(status: dict[str, Any], state: HealthState) -> None:
    """Established, or its names belong to another."""
    assert judged("CustomResourceDefinition", {}, status)[0] is state


@pytest.mark.parametrize("kind", ["ConfigMap", "Widget"])
def test_an_object_of_a_kind_without_health_rules_is_healthy_once_it_exists(kind: str) -> None:
    """Whatever its status says: there is no rule for it."""
    assert judged(kind, {}, {"phase": "Sad", "observedGeneration": 0})[0] is HEALTHY


@pytest.mark.parametrize("kind", list(GROUPS))
def test_a_missing_or_terminating_object_is_not_healthy(kind: str) -> None:
    """An object with a deletionTimestamp is being deleted."""
    assert health(ref(kind), None).state is DEGRADED
    going = health(ref(kind), {"metadata": {"name": "web", "deletionTimestamp": "2026-11-22T08:00:00Z"}})
    assert (going.state, going.message) == (PROGRESSING, "is being deleted")


numbers = st.none() | st.integers(0, 5)


COUNTS = [
    "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration",
    "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable",
]  # fmt: skip
specs = st.fixed_dictionaries({}, optional={"replicas": numbers, "updateStrategy": st.none(), "suspend": st.booleans()})


@given(
    kind=st.sampled_from(["Deployment", "StatefulSet", "DaemonSet", "Job", "CustomResourceDefinition"]),
    spec=specs,
    status=st.none() | st.dictionaries(st.sampled_from(COUNTS), numbers),
)
def test_any_status_gives_a_health_and_a_reason_if_not_healthy(kind: str, spec: Any, status: Any) -> None:
    """Fields that an API server may omit or return as null break nothing."""
    result = health(ref(kind), {"metadata": {"name": "web", "generation": 1}, "spec": spec, "status": status})
    assert bool(result.message) is (result.state is not HEALTHY)


@pytest.mark.parametrize(
    ("kind", "spec", "status", "own_pace"),
    [
        ("Job", {}, {"active": 1}, True),
        ("Job", {"activeDeadlineSeconds": 5}, condition("Failed", "True"), False),
        ("Deployment", {"paused": True, "replicas": 2}, {**ROLLED_OUT, "updatedReplicas": 0}, True),
        ("Deployment", {"replicas": 2}, {**ROLLED_OUT, "updatedReplicas": 0}, False),
        ("StatefulSet", {"replicas": 2}, {**ROLLED_OUT, "readyReplicas": 0}, False),
    ],
)
def test_a_running_job_and_a_paused_rollout_have_a_pace_of_their_own(
    kind: str, spec: dict[str, Any], status: dict[str, Any], own_pace: bool
) -> None:
    """No deadline of a revision applies to them."""
    result = health(ref(kind), {"metadata": {"name": "web", "generation": 1}, "spec": spec, "status": status})
    assert result.state is not HEALTHY
    assert result.own_pace is own_pace


def test_an_object_that_is_being_deleted_has_a_pace_of_its_own() -> None:
    """Its finalizers decide."""
    assert health(ref("ConfigMap"), {"metadata": {"name": "web", "deletionTimestamp": "2026-11-22T08:00:00Z"}}).own_pace


def test_a_restart_is_another_rollout_and_scaling_is_not() -> None:
    """An autoscaler that goes on scaling a broken release must not give it its deadline anew each time."""

    def rollout(**spec: Any) -> str:
        return health(ref("Deployment"), {"metadata": {"generation": 2}, "spec": spec, "status": {}}).rollout

    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-22T08:00:00Z"}}}
    assert rollout(replicas=2, template={}) == rollout(replicas=3, template={})
    assert rollout(replicas=2, template={}) != rollout(replicas=2, template=template)
