"""Namespaces that are being deleted: what they have lost cannot be put back before they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from driftd.detect.assessor import Assessment
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import get
from driftd.live.cluster import ClusterView
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError

log = structlog.get_logger(__name__)

_GONE_OR_GOING = frozenset({Status.MISSING, Status.DRIFTED})


async def with_deleted_namespaces(assessments: Sequence[Assessment], view: ClusterView) -> list[Assessment]:
    """The assessments; those of objects that differ say since when their namespace is being deleted.

    This costs a GET for each namespace in which an object is missing or being deleted: none where all is calm.
    """
    names = {name for one in assessments if (name := _suspect_namespace(one.verdict)) is not None}
    if not names:
        return list(assessments)
    try:
        resource = await view.resource("v1", "Namespace")
    except DriftdError as error:
        log.debug("namespaces not read", error=str(error))
        return list(assessments)
    ordered = sorted(names)
    times = await asyncio.gather(*(_deleted_since(view, resource, name) for name in ordered))
    deleted = {name: time for name, time in zip(ordered, times, strict=True) if time is not None}
    return [_marked(one, deleted.get(one.verdict.ref.namespace or "")) for one in assessments]


def _suspect_namespace(verdict: Verdict) -> str | None:
    return verdict.ref.namespace if verdict.status is Status.MISSING or verdict.is_being_deleted else None


async def _deleted_since(view: ClusterView, resource: ApiResource, name: str) -> datetime | None:
    try:
        namespace = await get(view.cluster, resource, None, name)
        since = namespace["metadata"].get("deletionTimestamp") if namespace is not None else None
        return datetime.fromisoformat(since) if since else None
    except (DriftdError, ValueError) as error:
        # Not to be read, which its objects were: an apply to them is refused if it is being deleted.
        log.debug("namespace not read", namespace=name, error=str(error))
        return None


def _marked(assessment: Assessment, since: datetime | None) -> Assessment:
    if since is None or assessment.verdict.status not in _GONE_OR_GOING:
        return assessment
    return replace(assessment, verdict=replace(assessment.verdict, namespace_deleted=since))
