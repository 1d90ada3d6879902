"""Discovery and schemas of one cluster, cached and renewed when they turn out to be out of date."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

from driftd.diff.typed.schema import Schema, Schemas
from driftd.kube.discovery import ApiResource, Discovery
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.dry_run_cache import DryRunCache
from driftd.model.app import Capabilities
from driftd.model.errors import KubeError, UnknownKind

_RENEW_AFTER = 10.0
"""Seconds for which discovery counts as fresh when it lacks a kind: CRDs come and go."""

_RENEW_ALWAYS = 300.0
"""Seconds after which discovery and the index of schemas are read again: an updated CRD has new types."""


class ClusterView:
    """One cluster's connection, discovery and schemas. Safe to use from several passes at once."""

    def __init__(self, cluster: Cluster, schemas: SchemaSource) -> None:
        self.cluster = cluster
        self.dry_runs = DryRunCache(cluster)
        self._source = schemas
        self._discovery: Discovery | None = None
        self._loaded_at = 0.0
        self._parsed: dict[tuple[str, str], tuple[object, Schemas]] = {}
        self._capabilities: tuple[Discovery, Capabilities] | None = None
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        return self.cluster.name

    async def discovery(self, *, newer_than: float = 0.0) -> Discovery:
        """The kinds that the cluster serves, as of after `newer_than` on the monotonic clock."""
        async with self._lock:
            if (
                self._discovery is None
                or self._loaded_at <= newer_than
                or monotonic() - self._loaded_at > _RENEW_ALWAYS
            ):
                self._discovery = await Discovery.load(self.cluster)
                await self._source.refresh()
                self._loaded_at = monotonic()
            return self._discovery

    async def capabilities(self) -> Capabilities:
        """What charts may ask of this cluster: as discovery, and with its version. Raises: KubeError."""
        discovery = await self.discovery()
        if self._capabilities is None or self._capabilities[0] is not discovery:
            answer = await self.cluster.request("GET", "/version")
            version = answer.get("gitVersion") if isinstance(answer, Mapping) else None
            if not isinstance(version, str) or not version:
                raise KubeError(f"cluster {self.name}: {self.cluster.server} answers /version with something else")
            served = {
                name for each in discovery.resources for name in (each.api_version, f"{each.api_version}/{each.kind}")
            }
            self._capabilities = (
                discovery,
                Capabilities(version, tuple(sorted(served | discovery.failed_groups.keys()))),
            )
        return self._capabilities[1]

    async def resource(self, api_version: str, kind: str) -> ApiResource:
        """The resource that serves a kind.

        Raises: UnknownKind: fresh discovery has no such kind; KubeError: discovery failed.
        """
        discovery = await self.discovery()
        try:
            return discovery.find(api_version, kind)
        except UnknownKind:
            if monotonic() - self._loaded_at < _RENEW_AFTER:
                raise
        return (await self.discovery(newer_than=self._loaded_at)).find(api_version, kind)

    async def invalidate(self) -> None:
        """Makes the next request load discovery again: it was found to be out of date."""
        async with self._lock:
            self._discovery = None

    async def schema(self, resource: ApiResource) -> Schema | None:
        """The schema of a kind, or None if the cluster publishes none. Raises: KubeError."""
        key = (resource.group, resource.version)
        document = await self._source.document(resource.group, resource.version)
        if document is None:
            return None
        cached = self._parsed.get(key)
        try:
            if cached is None or cached[0] is not document:
                cached = (document, Schemas(document))
                self._parsed[key] = cached
            return cached[1].of(resource.group, resource.version, resource.kind)
        except (AttributeError, TypeError, ValueError) as error:
            raise KubeError(f"cluster {self.name}: the types of {resource.api_version} are of a wrong shape") from error
