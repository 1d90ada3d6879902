"""Schemas are fetched on demand and cached by hash."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError
from tests.kube.scripted import ScriptedApi, data, refused, text

APPS = "/openapi/v3/apis/apps/v1"


def types(name: str) -> dict[str, Any]:
    """A document with one type of that name."""
    return {"components": {"schemas": {name: {"type": "object"}}}}


def teach(api: ScriptedApi, hash_: str) -> None:
    """The server's index names one document, whose content is its hash."""
    api.on("GET", "/openapi/v3", data({"paths": {"apis/apps/v1": {"serverRelativeURL": f"{APPS}?hash={hash_}"}}}))
    api.on("GET", APPS, data(types(hash_)))


async def test_a_document_is_fetched_once_for_many_callers(api: ScriptedApi, cluster: Cluster) -> None:
    """Concurrent or later: one request for the index, one for the document."""
    teach(api, "A1")
    schemas = SchemaSource(cluster)
    documents = await asyncio.gather(*(schemas.document("apps", "v1") for _ in range(5)))
    assert documents == [types("A1")] * 5
    assert len(api.seen) == 2
    assert api.requests("GET", APPS)[0].query == {"hash": "A1"}


async def test_the_next_start_reads_documents_from_disk(api: ScriptedApi, cluster: Cluster, tmp_path: Path) -> None:
    """Only the index is requested; a changed hash fetches the document again and removes the old one."""
    teach(api, "A1")
    await SchemaSource(cluster, tmp_path / "cache").document("apps", "v1")
    assert await SchemaSource(cluster, tmp_path / "cache").document("apps", "v1") == types("A1")
    assert len(api.requests("GET", APPS)) == 1
    teach(api, "B2")
    assert await SchemaSource(cluster, tmp_path / "cache").document("apps", "v1") == types("B2")
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1


async def test_a_damaged_or_read_only_cache_only_costs_time(api: ScriptedApi, cluster: Cluster, tmp_path: Path) -> None:
    """A truncated file is fetched again; a folder that cannot be written is not used."""
    teach(api, "A1")
    await SchemaSource(cluster, tmp_path / "cache").document("apps", "v1")
    (file,) = (tmp_path / "cache").rglob("*.json")
    file.write_bytes(b'{"info": ')
    assert await SchemaSource(cluster, tmp_path / "cache").document("apps", "v1") == types("A1")
    (tmp_path / "file").write_text("")
    assert await SchemaSource(cluster, tmp_path / "file").document("apps", "v1") == types("A1")


async def test_a_refresh_fetches_changed_documents(api: ScriptedApi, cluster: Cluster) -> None:
    """A CRD's new schema is used after the index was read again."""
    teach(api, "A1")
    schemas = SchemaSource(cluster)
    await schemas.document("apps", "v1")
    teach(api, "B2")
    assert await schemas.document("apps", "v1") == types("A1")
    await schemas.refresh()
    assert await schemas.document("apps", "v1") == types("B2")


async def test_a_document_that_changes_after_the_index_was_read_is_found(api: ScriptedApi, cluster: Cluster) -> None:
    """The server redirects an outdated hash; the index then has the new one."""
    teach(api, "A1")
    schemas = SchemaSource(cluster)
    await schemas.refresh()
    teach(api, "B2")
    api.on("GET", APPS, text("", 301, {"Location": f"{APPS}?hash=B2"}), data(types("B2")))
    assert await schemas.document("apps", "v1") == types("B2")


async def test_an_unpublished_schema_is_none_and_an_unreadable_one_an_error(api: ScriptedApi, cluster: Cluster) -> None:
    """The error has the server's message."""
    teach(api, "A1")
    schemas = SchemaSource(cluster)
    assert await schemas.document("", "v1") is None
    api.on("GET", APPS, refused(500, "InternalError", "boom"))
    with pytest.raises(KubeError, match="boom"):
        await schemas.document("apps", "v1")
    api.on("GET", APPS, text("{"))
    with pytest.raises(KubeError, match="is not JSON"):
        await schemas.document("apps", "v1")


@pytest.mark.parametrize("answer", [[], {}, {"paths": {}}, {"paths": {"apis/apps/v1": {}}}, {"kind": "Status"}])
async def test_an_index_or_document_of_another_kind_is_an_error(
    api: ScriptedApi, cluster: Cluster, answer: Any
) -> None:
    """Not "no schemas": without them, values are compared differently."""
    teach(api, "A1")
    api.on("GET", APPS, data(answer))
    with pytest.raises(KubeError, match="is not an OpenAPI document"):
        await SchemaSource(cluster).document("apps", "v1")
    api.on("GET", "/openapi/v3", data(answer))
    with pytest.raises(KubeError, match="no index of documents"):
        await SchemaSource(cluster).document("apps", "v1")


async def test_a_server_without_openapi_v3_has_no_schemas(api: ScriptedApi, cluster: Cluster) -> None:
    """Before 1.24, and behind some proxies."""
    assert await SchemaSource(cluster).document("apps", "v1") is None


async def test_documents_are_cached_without_paths_and_descriptions(api: ScriptedApi, cluster: Cluster) -> None:
    """A property and a default of the name "description" are kept."""
    text = {"type": "string", "description": "A text."}
    note = {"type": "object", "description": "A note.", "default": {"description": "none"}}
    fields = {"description": text, "notes": {"type": "array", "items": {"allOf": [note]}}}
    schema = {"type": "object", "description": "A thing.", "properties": fields}
    teach(api, "A1")
    api.on("GET", APPS, data({"paths": {"/x": {}}, "components": {"schemas": {"Thing": schema}}}))
    document = await SchemaSource(cluster).document("apps", "v1")
    bare = {"type": "object", "default": {"description": "none"}}
    kept = {"description": {"type": "string"}, "notes": {"type": "array", "items": {"allOf": [bare]}}}
    assert document == {"components": {"schemas": {"Thing": {"type": "object", "properties": kept}}}}
