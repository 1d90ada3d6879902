"""What the cluster's own admission may change: its mutating webhooks and policies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from driftd.diff.mutation import Mutation, mutations_of
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_objects
from driftd.kube.objects import get
from driftd.live.cluster import ClusterView
from driftd.model.errors import UnknownKind
from driftd.model.resource import JsonObject

_GROUP = "admissionregistration.k8s.io"
_KINDS = ("MutatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
_VERSIONS = ("v1", "v1beta1")


class Admission:
    """The mutating admission of one cluster, read when it is first asked for: three LISTs, and a GET per namespace."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._mutations: asyncio.Task[Sequence[Mutation]] | None = None
        self._labels: dict[str, Mapping[str, str]] = {}

    async def may_change(self, resource: ApiResource, body: JsonObject) -> bool:
        """Whether a webhook or policy may change such an object. Raises: DriftdError: that could not be read."""
        if self._mutations is None:
            self._mutations = asyncio.ensure_future(self._read())
        mutations = [one for one in await self._mutations if one.concerns(resource.group, resource.plural)]
        if not mutations:
            return False
        metadata = body["metadata"]
        namespace = metadata["name"] if resource.kind == "Namespace" else metadata.get("namespace")
        labels = await self._labels_of(namespace) if namespace else None
        return any(one.selects(labels, metadata.get("labels") or {}) for one in mutations)

    async def _read(self) -> Sequence[Mutation]:
        listed = await asyncio.gather(*(self._list(kind) for kind in _KINDS))
        return mutations_of(*listed)

    async def _list(self, kind: str) -> Sequence[Mapping[str, Any]]:
        for version in _VERSIONS:
            try:
                resource = (await self._view.discovery()).find(f"{_GROUP}/{version}", kind)
            except UnknownKind:
                continue
            return (await list_objects(self._view.cluster, resource, None)).items
        return ()  # there can be none

    async def _labels_of(self, namespace: str) -> Mapping[str, str]:
        if namespace not in self._labels:
            resource = await self._view.resource("v1", "Namespace")
            body = await get(self._view.cluster, resource, None, namespace)
            self._labels[namespace] = (body or {}).get("metadata", {}).get("labels") or {}
        return self._labels[namespace]
