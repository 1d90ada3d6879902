"""The autoscalers that own the replica counts of workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.model.resource import JsonObject, ResourceRef, group_of

ReplicaRange = tuple[int, int]
"""Minimum and maximum number of replicas of an autoscaler."""


_AUTOSCALER, _SCALED_OBJECT = "HorizontalPodAutoscaler", "ScaledObject"
_DEPLOYMENT: Mapping[str, str] = {"apiVersion": "apps/v1", "kind": "Deployment"}


@dataclass(frozen=True, slots=True)
class Autoscalers:
    """The replica ranges of a cluster's autoscalers, by scale target."""

    ranges: Mapping[ResourceRef, ReplicaRange]

    @classmethod
    def of(cls, bodies: Iterable[JsonObject]) -> Autoscalers:
        """From live autoscalers of any version; other and malformed objects are skipped.

        A ScaledObject of KEDA goes before the HorizontalPodAutoscaler that KEDA makes of it, which knows no zero.
        """
        ranges: dict[ResourceRef, ReplicaRange] = {}
        for body in sorted(bodies, key=lambda body: body.get("kind") == _SCALED_OBJECT):
            ref = scale_target(body)
            if ref is not None and (replicas := _range(body)) is not None:
                ranges[ref] = replicas
        return cls(ranges)

    def range_of(self, ref: ResourceRef) -> ReplicaRange | None:
        """The range of the autoscaler of that object, or None if it has none."""
        return self.ranges.get(ref)


def scale_target(autoscaler: JsonObject) -> ResourceRef | None:
    """The object that a live autoscaler (HorizontalPodAutoscaler, ScaledObject) scales; None for other and malformed
    objects."""
    spec, metadata, kind = autoscaler.get("spec"), autoscaler.get("metadata"), autoscaler.get("kind")
    if kind not in (_AUTOSCALER, _SCALED_OBJECT) or not isinstance(spec, Mapping):
        return None
    target = spec.get("scaleTargetRef")
    if not isinstance(target, Mapping) or not isinstance(metadata, Mapping):
        return None
    default = _DEPLOYMENT if kind == _SCALED_OBJECT else {}
    named = {**default, **target}
    group = group_of(str(named.get("apiVersion") or ""))
    return ResourceRef(group, str(named.get("kind")), metadata.get("namespace"), str(named.get("name")))


def _range(autoscaler: JsonObject) -> ReplicaRange | None:
    """The least and most replicas that an autoscaler sets. Source: KEDA, ScaledObjectSpec, and its defaults."""
    spec = autoscaler["spec"]
    if autoscaler["kind"] == _AUTOSCALER:
        maximum, minimum = spec.get("maxReplicas"), spec.get("minReplicas")
        return (minimum if isinstance(minimum, int) else 1, maximum) if isinstance(maximum, int) else None
    limits = [spec.get("minReplicaCount") or 0, spec.get("maxReplicaCount") or 100, spec.get("idleReplicaCount")]
    known = [limit for limit in limits if isinstance(limit, int)]
    return (min(known), max(known)) if known else None
