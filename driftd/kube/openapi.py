"""The cluster's OpenAPI schemas, one document per group version, cached by hash."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from driftd.kube.errors import NoSuchPath
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError


class SchemaSource:
    """OpenAPI v3 documents of one cluster.

    The index has the hash of each document, so cached ones, in memory or in `folder`, are not fetched again. Each
    server has its own sub-folder, so that clusters never share schemas. Without `folder` the cache is in memory only.
    """

    def __init__(self, cluster: Cluster, folder: Path | None = None) -> None:
        self._cluster = cluster
        server = hashlib.sha256(cluster.server.encode()).hexdigest()[:16]
        self._folder = folder / server if folder else None
        self._index: Mapping[str, str] | None = None
        self._documents: dict[str, tuple[str | None, dict[str, Any]]] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def refresh(self) -> None:
        """Reads the index again, after which `document` fetches changed documents.

        Raises: KubeError: the index could not be read.
        """
        try:
            index = await self._cluster.request("GET", "/openapi/v3")
        except NoSuchPath:
            self._index = {}  # servers before 1.24 have no OpenAPI v3
            return
        try:
            urls = {key: entry["serverRelativeURL"] for key, entry in index["paths"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise self._no_index() from error
        if not urls or not all(isinstance(url, str) for url in urls.values()):
            raise self._no_index()
        self._index = urls

    async def document(self, group: str, version: str) -> dict[str, Any] | None:
        """The schemas of one group version, or None if the cluster publishes none.

        Without paths and descriptions, which are most of an OpenAPI document.

        Raises: KubeError: the index or the document could not be read.
        """
        key = _key(group, version)
        async with self._loading.setdefault(key, asyncio.Lock()):
            url = await self._url(key)
            if url is None:
                return None
            cached = self._documents.get(key)
            if cached is not None and cached[0] is not None and cached[0] == _hash(url):
                return cached[1]
            return await self._from_disk(key, url) or await self._from_server(key, url)

    def _no_index(self) -> KubeError:
        return KubeError(f"cluster {self._cluster.name}: /openapi/v3 is no index of documents")

    async def _url(self, key: str) -> str | None:
        if self._index is None:
            await self.refresh()
        return (self._index or {}).get(key)

    async def _from_disk(self, key: str, url: str) -> dict[str, Any] | None:
        file = self._file(key, url)
        payload = await asyncio.to_thread(_read, file) if file else None
        if payload is None:
            return None
        try:
            document: dict[str, Any] = orjson.loads(payload)
            _ = document["components"]["schemas"].items()
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return None  # damaged by a crash of the machine: fetched again
        self._documents[key] = (_hash(url), document)
        return document

    async def _from_server(self, key: str, url: str) -> dict[str, Any] | None:
        try:
            payload, document = await self._fetch(url)
        except KubeError as error:
            if error.status not in (301, 404):
                raise
            await self.refresh()  # the document has changed, and with its hash the URL
            renewed = await self._url(key)
            if renewed is None:
                return None
            url = renewed
            payload, document = await self._fetch(url)
        self._documents[key] = (_hash(url), document)
        file = self._file(key, url)
        if file is not None:
            await asyncio.to_thread(_write, file, payload)
        return document

    async def _fetch(self, url: str) -> tuple[bytes, dict[str, Any]]:
        split = urlsplit(url)
        query = dict(parse_qsl(split.query))
        payload: bytes = await self._cluster.request("GET", split.path, query=query, decode=False)
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise KubeError(f"cluster {self._cluster.name}: {split.path} is not JSON") from error
        try:
            types = _types(document)
        except (KeyError, TypeError, AttributeError):
            # from None: the answer may be anything.
            raise KubeError(f"cluster {self._cluster.name}: {split.path} is not an OpenAPI document") from None
        return orjson.dumps(types), types

    def _file(self, key: str, url: str) -> Path | None:
        hash_ = _hash(url)
        return self._folder / f"{key.replace('/', '_')}.{hash_}.types.json" if self._folder and hash_ else None


def _key(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _types(document: Mapping[str, Any]) -> dict[str, Any]:
    """Raises: KeyError, TypeError, AttributeError: it is no OpenAPI document with types."""
    schemas = document["components"]["schemas"]
    return {"components": {"schemas": {name: _without_descriptions(schema) for name, schema in schemas.items()}}}


def _without_descriptions(schema: Any) -> Any:
    """A schema without its descriptions. Defaults and enumerations are values, not schemas."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            kept[key] = {name: _without_descriptions(below) for name, below in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            kept[key] = _without_descriptions(value)
        elif key in ("allOf", "anyOf", "oneOf") and isinstance(value, list):
            kept[key] = [_without_descriptions(below) for below in value]
        elif key != "description":
            kept[key] = value
    return kept


def _hash(url: str) -> str | None:
    """The hash in a URL of the index, as a file name. Without one a document is not cached."""
    value = dict(parse_qsl(urlsplit(url).query)).get("hash")
    return hashlib.sha256(value.encode()).hexdigest()[:32] if value else None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None  # not cached


def _write(file: Path, payload: bytes) -> None:
    """Writes a document and removes its earlier versions, so that the folder does not grow."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            temporary.write(payload)
        Path(temporary.name).replace(file)
        document = file.name.rsplit(".", 3)[0]
        for other in file.parent.glob(f"{document}.*.json"):
            if other != file:
                other.unlink(missing_ok=True)
    except OSError:
        return  # a read-only or full disk only costs speed
