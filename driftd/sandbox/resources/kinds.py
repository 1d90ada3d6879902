"""Kinds: decoding, defaults, validation and merging of their objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from driftd.sandbox.defaults import fill
from driftd.sandbox.document import Object
from driftd.sandbox.fields.atoms import Ref
from driftd.sandbox.fields.fieldset import FieldSet, path_of
from driftd.sandbox.fields.ownership import Merger
from driftd.sandbox.resources.catalog import Builtin, Resource
from driftd.sandbox.resources.codec import DecodeError
from driftd.sandbox.resources.strategic import strategic_merge
from driftd.sandbox.status import Cause, bad_request
from driftd.sandbox.validation import mistakes

_STATUS_KEEPS_METADATA = {"admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io"}
"""Groups whose status subresource does not change metadata."""
_STATUS_ALSO_RESETS = {
    "Deployment": (path_of("metadata", "labels"),),
    "Pod": (path_of("metadata", "deletionTimestamp"), path_of("metadata", "ownerReferences")),
}
_GENERATIONS = {
    "": {"Pod", "PodTemplate", "ReplicationController"},
    "apps": {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
    "autoscaling": {"HorizontalPodAutoscaler"},
    "batch": {"CronJob", "Job"},
    "discovery.k8s.io": {"EndpointSlice"},
    "flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
    "networking.k8s.io": {"Ingress", "IngressClass", "NetworkPolicy"},
    "policy": {"PodDisruptionBudget"},
    "scheduling.k8s.io": {"PriorityClass"},
    "apiextensions.k8s.io": {"CustomResourceDefinition"},
    "admissionregistration.k8s.io": {
        "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """The fields of an object that its Scale represents."""

    replicas: tuple[str, ...] = ("spec", "replicas")
    status: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] | None = ("spec", "selector")


class Kind(Protocol):
    """A kind in one version."""

    @property
    def resource(self) -> Resource: ...

    @property
    def scale(self) -> ScalePaths | None: ...

    @property
    def counts_generations(self) -> bool: ...

    def decode(self, obj: Object) -> tuple[Object, list[str]]:
        """Returns: the decoded object with defaults, and the paths of its unknown fields.

        Raises: ApiError (400).
        """

    def empty(self) -> Object:
        """The empty object that a new object of this kind is compared with."""

    def mistakes(self, obj: Object, old: Object | None) -> list[Cause]: ...

    def merger(self, subresource: str) -> Merger: ...

    def strategic_merge(self, live: Object, patch: Object) -> Object | None:
        """The merged object; None if the kind does not support strategic merge patches."""


class BuiltinKind:
    """A built-in kind of Kubernetes."""

    def __init__(self, builtin: Builtin, resource: Resource) -> None:
        self._builtin = builtin
        self.resource = resource
        self.scale = ScalePaths() if "scale" in resource.subresources else None
        self.counts_generations = resource.kind in _GENERATIONS.get(resource.group, ())

    def decode(self, obj: Object) -> tuple[Object, list[str]]:
        resource = self.resource
        try:
            decoded, unknown = self._builtin.codec.decode(resource.definition, obj)
        except DecodeError as error:
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {error}'
            ) from error
        fill(resource.group, decoded)
        return decoded, unknown

    @cached_property
    def _empty(self) -> Object:
        head = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return self._builtin.codec.decode(self.resource.definition, head)[0]

    def empty(self) -> Object:
        return self._empty

    def mistakes(self, obj: Object, old: Object | None) -> list[Cause]:
        return mistakes(self.resource.group, obj, old, namespaced=self.resource.namespaced)

    def merger(self, subresource: str) -> Merger:
        reset = self._resets(subresource)
        return Merger(
            type_of=self._type_of,
            api_version=self.resource.api_version,
            subresource=subresource,
            keep=(lambda fields: fields.recursive_difference(reset)) if reset else None,
            decode=lambda obj: self.decode(obj)[0],
            empty=self.empty(),
        )

    def _resets(self, subresource: str) -> FieldSet:
        if subresource == "status":
            paths = [path_of("spec"), *_STATUS_ALSO_RESETS.get(self.resource.kind, ())]
            if self.resource.group in _STATUS_KEEPS_METADATA:
                paths.append(path_of("metadata"))
            return FieldSet.of(*paths)
        return FieldSet.of(path_of("status")) if "status" in self.resource.subresources else FieldSet()

    def _type_of(self, api_version: str) -> Ref | None:
        return self._ref if api_version == self.resource.api_version else None

    @cached_property
    def _ref(self) -> Ref:
        return self._builtin.types.ref(self.resource.definition)

    def strategic_merge(self, live: Object, patch: Object) -> Object | None:
        return strategic_merge(live, patch, self._builtin.schemas, self.resource.definition)
