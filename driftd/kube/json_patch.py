"""JSON patches, for what server-side apply cannot say: take this field out, whoever owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from driftd.kube.discovery import ApiResource
from driftd.kube.rest_client import Cluster

CONTENT_TYPE = "application/json-patch+json"


async def json_patch(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    name: str,
    operations: Sequence[dict[str, Any]],
    *,
    field_manager: str,
) -> dict[str, Any]:
    """Carries out the operations of a JSON patch (RFC 6902), all or none; returns the object as it is then.

    Raises: Invalid: a `test` among the operations failed, or the result is not valid; NotFound, Forbidden, KubeError.
    """
    answer: dict[str, Any] = await cluster.request(
        "PATCH",
        resource.path(namespace, name),
        query={"fieldManager": field_manager},
        body=orjson.dumps(list(operations)),
        content_type=CONTENT_TYPE,
    )
    return answer
