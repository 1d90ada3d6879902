"""The autoscalers that own the replica counts of workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.model.resource import JsonObject, ResourceRef, group_of

ReplicaRange = tuple[int, int]
"""Minimum and maximum number of replicas of an autoscaler."""


@dataclass(frozen=True, slots=True)
class Autoscalers:
    """The replica ranges of a cluster's HorizontalPodAutoscalers, by scale target."""

    ranges: Mapping[ResourceRef, ReplicaRange]

    @classmethod
    def of(cls, bodies: Iterable[JsonObject]) -> Autoscalers:
        """From live HorizontalPodAutoscalers of any version; other and malformed objects are skipped."""
        ranges: dict[ResourceRef, ReplicaRange] = {}
        for body in bodies:
            ref = scale_target(body)
            if ref is None:
                continue
            maximum, minimum = body["spec"].get("maxReplicas"), body["spec"].get("minReplicas")
            if isinstance(maximum, int):
                ranges[ref] = (minimum if isinstance(minimum, int) else 1, maximum)
        return cls(ranges)

    def range_of(self, ref: ResourceRef) -> ReplicaRange | None:
        """The range of the autoscaler of that object, or None if it has none."""
        return self.ranges.get(ref)


def scale_target(autoscaler: JsonObject) -> ResourceRef | None:
    """The object that a live HorizontalPodAutoscaler scales; None for other and malformed objects."""
    spec, metadata = autoscaler.get("spec"), autoscaler.get("metadata")
    if autoscaler.get("kind") != "HorizontalPodAutoscaler" or not isinstance(spec, Mapping):
        return None
    target = spec.get("scaleTargetRef")
    if not isinstance(target, Mapping) or not isinstance(metadata, Mapping):
        return None
    group = group_of(str(target.get("apiVersion") or ""))
    return ResourceRef(group, str(target.get("kind")), metadata.get("namespace"), str(target.get("name")))
