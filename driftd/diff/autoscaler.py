"""Which autoscaler owns the number of a workload's replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.model.resource import JsonObject, ResourceRef, group_of

ReplicaRange = tuple[int, int]
"""The least and the most replicas that an autoscaler may set."""


@dataclass(frozen=True, slots=True)
class Autoscalers:
    """The HorizontalPodAutoscalers of a cluster, by what they scale."""

    ranges: Mapping[ResourceRef, ReplicaRange]

    @classmethod
    def of(cls, bodies: Iterable[JsonObject]) -> Autoscalers:
        """From live HorizontalPodAutoscalers, of whatever version; others, and broken ones, are passed over."""
        found: dict[ResourceRef, ReplicaRange] = {}
        for body in bodies:
            ref = scale_target(body)
            if ref is None:
                continue
            most, least = body["spec"].get("maxReplicas"), body["spec"].get("minReplicas")
            if isinstance(most, int):
                found[ref] = (least if isinstance(least, int) else 1, most)
        return cls(found)

    def range_of(self, ref: ResourceRef) -> ReplicaRange | None:
        """Within what an autoscaler scales that object, or None if none does."""
        return self.ranges.get(ref)


def scale_target(autoscaler: JsonObject) -> ResourceRef | None:
    """What a live HorizontalPodAutoscaler scales; None for what is none, and for a broken one."""
    spec, metadata = autoscaler.get("spec"), autoscaler.get("metadata")
    if autoscaler.get("kind") != "HorizontalPodAutoscaler" or not isinstance(spec, Mapping):
        return None
    target = spec.get("scaleTargetRef")
    if not isinstance(target, Mapping) or not isinstance(metadata, Mapping):
        return None
    group = group_of(str(target.get("apiVersion") or ""))
    return ResourceRef(group, str(target.get("kind")), metadata.get("namespace"), str(target.get("name")))
