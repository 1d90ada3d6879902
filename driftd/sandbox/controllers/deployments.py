"""Deployments: rollout from one ReplicaSet to the next, with progress in the status.

Source: k8s.io/kubernetes/pkg/controller/deployment.
"""

from __future__ import annotations

from datetime import datetime

from driftd.sandbox.controllers.access import Access, scaled_value, template_hash, with_condition
from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.store import Name

_KEY = ("apps", "deployments")
_SETS = ("apps", "replicasets")
_PODS = ("", "pods")
_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", _REVISION,
               "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"}  # fmt: skip


class Deployments:
    def __init__(self, access: Access) -> None:
        self._access = access

    def reconcile(self, name: Name) -> float | None:
        deployment = self._access.get(_KEY, name)
        if deployment is None:
            return None
        sets = self._access.controlled_by(deployment, _SETS)
        current = next((s for s in sets if _same_template(s, deployment)), None)
        others = [s for s in sets if s is not current]
        if deployment["spec"].get("paused"):
            return self._update_status(deployment, current, others)
        if current is None:
            if _recreates(deployment) and self._scale_down_all(others):
                return self._update_status(deployment, None, others)
            current = self._create(deployment, others)
        self._renumber(current, others)
        self._roll(deployment, current, others)
        self._clean_up(deployment, others)
        sets = self._access.controlled_by(deployment, _SETS)
        deployment = self._access.get(_KEY, name) or deployment
        current = next((s for s in sets if _same_template(s, deployment)), None)
        return self._update_status(deployment, current, [s for s in sets if s is not current])

    def _create(self, deployment: Object, others: list[Object]) -> Object:
        template = deployment["spec"]["template"]
        digest = template_hash(template, deployment["status"].get("collisionCount", 0))
        labels = {**(template["metadata"].get("labels") or {}), _HASH: digest}
        selector = deployment["spec"]["selector"]
        annotations = {
            key: value
            for key, value in (deployment["metadata"].get("annotations") or {}).items()
            if key not in _NOT_COPIED
        }
        annotations[_REVISION] = str(max(map(_revision, others), default=0) + 1)
        annotations |= _size_annotations(deployment)
        body: Object = {
            "metadata": {
                "name": f"{deployment['metadata']['name']}-{digest}",
                "labels": labels,
                "annotations": annotations,
            },
            "spec": {
                "replicas": _new_size(deployment, 0, others),
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), _HASH: digest}},
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        }
        if deployment["spec"].get("minReadySeconds"):
            body["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        return self._access.create(_SETS, deployment, body)

    def _renumber(self, current: Object, others: list[Object]) -> None:
        """Gives the current ReplicaSet the newest revision, as after a rollback."""
        newest = max(map(_revision, others), default=0)
        if _revision(current) <= newest:
            self._annotate(current, {_REVISION: str(newest + 1)})

    def _roll(self, deployment: Object, current: Object, others: list[Object]) -> None:
        if _recreates(deployment):
            self._scale_down_all(others)
            size = deployment["spec"].get("replicas", 1)
        else:
            size = _new_size(deployment, current["spec"].get("replicas", 0), others)
        self._scale(current, size, deployment)
        if _recreates(deployment):
            return
        replicas = deployment["spec"].get("replicas", 1)
        least = replicas - _unavailable(deployment)
        total = size + sum(s["spec"].get("replicas", 0) for s in others)
        not_ready_new = size - current["status"].get("availableReplicas", 0)
        room = total - least - not_ready_new
        for old in sorted(others, key=_revision):
            size_before = old["spec"].get("replicas", 0)
            unhealthy = size_before - old["status"].get("availableReplicas", 0)
            take = min(size_before, max(room, 0), max(unhealthy, 0)) or min(size_before, max(room, 0))
            if take:
                self._scale(old, size_before - take, deployment)
                room -= take

    def _scale_down_all(self, sets: list[Object]) -> bool:
        """Scales all sets to zero. Returns whether any of them still has pods."""
        for replica_set in sets:
            if replica_set["spec"].get("replicas"):
                self._scale(replica_set, 0, None)
        return any(replica_set["status"].get("replicas") for replica_set in sets)

    def _scale(self, replica_set: Object, size: int, deployment: Object | None) -> None:
        annotations = {**(replica_set["metadata"].get("annotations") or {})}
        if deployment is not None:
            annotations |= _size_annotations(deployment)
        current = replica_set["metadata"].get("annotations") or {}
        if replica_set["spec"].get("replicas") == size and same(current, annotations):
            return
        name = (replica_set["metadata"]["namespace"], replica_set["metadata"]["name"])

        def change(live: Object) -> Object:
            merged = {**(live["metadata"].get("annotations") or {}), **annotations}
            metadata = {**live["metadata"], "annotations": merged}
            return {**live, "metadata": metadata, "spec": {**live["spec"], "replicas": size}}

        self._access.change(_SETS, name, change)

    def _annotate(self, replica_set: Object, annotations: dict[str, str]) -> None:
        name = (replica_set["metadata"]["namespace"], replica_set["metadata"]["name"])

        def change(live: Object) -> Object:
            merged = {**(live["metadata"].get("annotations") or {}), **annotations}
            return {**live, "metadata": {**live["metadata"], "annotations": merged}}

        self._access.change(_SETS, name, change)

    def _clean_up(self, deployment: Object, others: list[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        done = [s for s in others if not s["spec"].get("replicas") and not s["status"].get("replicas")]
        for replica_set in sorted(done, key=_revision)[: max(len(done) - limit, 0)]:
            self._access.delete(_SETS, replica_set)

    def _update_status(self, deployment: Object, current: Object | None, others: list[Object]) -> float | None:
        """Writes the status. Returns the seconds until the progress deadline has to be checked."""
        before, now = deployment["status"], self._access.stamp()
        status = _counts(deployment, current, others)
        desired = deployment["spec"].get("replicas", 1)
        complete = (
            status.get("updatedReplicas", 0) == desired
            and status.get("replicas", 0) == desired
            and status.get("availableReplicas", 0) == desired
        )
        conditions: list[Object] = list(before.get("conditions") or ())
        conditions = with_condition(conditions, _available(deployment, status, now, conditions), now)
        progressing, check_after = self._progressing(deployment, current, status, now, complete=complete)
        if progressing is not None:
            conditions = with_condition(conditions, progressing, now)
        status["conditions"] = conditions
        if before.get("collisionCount"):
            status["collisionCount"] = before["collisionCount"]
        annotations = {_REVISION: str(_revision(current))} if current is not None else None
        self._access.set_status(_KEY, deployment, status, annotations=annotations)
        return check_after

    def _progressing(
        self, deployment: Object, current: Object | None, status: Object, now: str, *, complete: bool
    ) -> tuple[Object | None, float | None]:
        before = deployment["status"]
        old = next((c for c in before.get("conditions") or () if c["type"] == "Progressing"), None)
        name = (
            f'ReplicaSet "{current["metadata"]["name"]}"'
            if current
            else f'Deployment "{deployment["metadata"]["name"]}"'
        )
        paused = deployment["spec"].get("paused")
        if paused:
            return _condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now, old), None
        if complete:
            text = f"{name} has successfully progressed."
            return _condition("Progressing", "True", "NewReplicaSetAvailable", text, now, old), None
        counts = ("updatedReplicas", "readyReplicas", "availableReplicas")
        moved = any(status.get(key, 0) > before.get(key, 0) for key in counts)
        shrunk = status.get("replicas", 0) - status.get("updatedReplicas", 0) < before.get("replicas", 0) - before.get(
            "updatedReplicas", 0
        )
        fresh = before.get("observedGeneration") != deployment["metadata"]["generation"]
        if old is None or moved or shrunk or fresh:
            reason = "NewReplicaSetCreated" if old is None else "ReplicaSetUpdated"
            text = f"Created new replica set {name[11:]}" if old is None else f"{name} is progressing."
            return _condition("Progressing", "True", reason, text, now, None), self._deadline(deployment)
        if old["reason"] == "ProgressDeadlineExceeded":
            return old, None
        since = datetime.fromisoformat(old.get("lastUpdateTime") or now)
        remaining = self._deadline(deployment) - (self._access.now() - since).total_seconds()
        if remaining > 0:
            if old["reason"] == "NewReplicaSetAvailable":  # pods of a completed rollout were lost: not a new rollout
                return old, None
            return old, remaining
        text = f"{name} has timed out progressing."
        return _condition("Progressing", "False", "ProgressDeadlineExceeded", text, now, None), None

    def _deadline(self, deployment: Object) -> float:
        return float(deployment["spec"].get("progressDeadlineSeconds", 600))


def _counts(deployment: Object, current: Object | None, others: list[Object]) -> Object:
    sets = [*([current] if current else []), *others]
    total = sum(s["status"].get("replicas", 0) for s in sets)
    available = sum(s["status"].get("availableReplicas", 0) for s in sets)
    counts = {
        "replicas": total,
        "updatedReplicas": current["status"].get("replicas", 0) if current else 0,
        "readyReplicas": sum(s["status"].get("readyReplicas", 0) for s in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(total - available, 0)
        if total
        else max(deployment["spec"].get("replicas", 1) - available, 0),
    }
    return {"observedGeneration": deployment["metadata"]["generation"], **{k: v for k, v in counts.items() if v}}


def _available(deployment: Object, status: Object, now: str, conditions: list[Object]) -> Object:
    least = deployment["spec"].get("replicas", 1) - _unavailable(deployment)
    old = next((c for c in conditions if c["type"] == "Available"), None)
    if status.get("availableReplicas", 0) >= least:
        text = "Deployment has minimum availability."
        return _condition("Available", "True", "MinimumReplicasAvailable", text, now, old)
    text = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", text, now, old)


def _condition(kind: str, status: str, reason: str, message: str, now: str, old: Object | None) -> Object:
    """A condition with the time of its last change: that of `old` if status and reason are the same."""
    if old is not None and (old["status"], old.get("reason")) == (status, reason):
        return {**old, "message": message}
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": now}


def _same_template(replica_set: Object, deployment: Object) -> bool:
    template = replica_set["spec"]["template"]
    labels = {k: v for k, v in (template["metadata"].get("labels") or {}).items() if k != _HASH}
    desired = deployment["spec"]["template"]
    actual = {**template, "metadata": {**template["metadata"], "labels": labels}}
    expected = {**desired, "metadata": {**desired["metadata"], "labels": desired["metadata"].get("labels") or {}}}
    return same(actual, expected)


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "0")
    return int(text) if text.isdigit() else 0


def _recreates(deployment: Object) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "Recreate")


def _surge(deployment: Object) -> int:
    if _recreates(deployment):
        return 0
    return scaled_value(
        deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], deployment["spec"].get("replicas", 1), up=True
    )


def _unavailable(deployment: Object) -> int:
    replicas = int(deployment["spec"].get("replicas", 1))
    if _recreates(deployment):
        return int(replicas)
    share = scaled_value(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], replicas, up=False)
    return min(share or (0 if _surge(deployment) else 1), int(replicas))


def _new_size(deployment: Object, now: int, others: list[Object]) -> int:
    """The allowed size of the newest ReplicaSet at this point of the rollout."""
    replicas = int(deployment["spec"].get("replicas", 1))
    if _recreates(deployment) or now >= replicas:
        return replicas
    total = now + sum(s["spec"].get("replicas", 0) for s in others)
    return int(min(replicas, now + max(replicas + _surge(deployment) - total, 0)))


def _size_annotations(deployment: Object) -> dict[str, str]:
    replicas = deployment["spec"].get("replicas", 1)
    return {
        "deployment.kubernetes.io/desired-replicas": str(replicas),
        "deployment.kubernetes.io/max-replicas": str(replicas + _surge(deployment)),
    }
