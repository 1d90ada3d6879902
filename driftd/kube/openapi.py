"""The cluster's own schemas, one group at a time, kept by their content's hash."""

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


def usual_cache_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/driftd/openapi`, by default in `~/.cache`."""
    root = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache"
    return Path(root) / "driftd" / "openapi"


class SchemaSource:
    """OpenAPI v3 documents of one cluster.

    The index tells each document's hash, so one that is known, in memory or in `folder`, is not fetched again. Each
    server has its own folder in there: what one cluster serves is never another one's schema. No `folder`: memory only.
    """

    def __init__(self, cluster: Cluster, folder: Path | None = None) -> None:
        self._cluster = cluster
        server = hashlib.sha256(cluster.server.encode()).hexdigest()[:16]
        self._folder = folder / server if folder else None
        self._index: Mapping[str, str] | None = None
        self._documents: dict[str, tuple[str | None, dict[str, Any]]] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def refresh(self) -> None:
        """Reads the index again: after that, changed documents are fetched when they are asked for.

        Raises: KubeError: the index could not be read.
        """
        try:
            index = await self._cluster.request("GET", "/openapi/v3")
        except NoSuchPath:
            index = {}  # servers before 1.24 have no schemas of that form
        try:
            self._index = {key: entry["serverRelativeURL"] for key, entry in (index.get("paths") or {}).items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise KubeError(f"cluster {self._cluster.name}: /openapi/v3 is no index of documents") from error

    async def version_hash(self, group: str, version: str) -> str | None:
        """What changes when the document does; None when the cluster has none. Raises: as `refresh`."""
        url = await self._url(_key(group, version))
        return _hash(url) if url else None

    async def document(self, group: str, version: str) -> dict[str, Any] | None:
        """The types of one version's OpenAPI document, or None when the cluster publishes none for it.

        The paths and the descriptions, which are most of a document, are left out.

        Raises: KubeError: the index or the document could not be read.
        """
        key = _key(group, version)
        async with self._loading.setdefault(key, asyncio.Lock()):
            url = await self._url(key)
            if url is None:
                return None
            known = self._documents.get(key)
            if known is not None and known[0] is not None and known[0] == _hash(url):
                return known[1]
            return await self._from_disk(key, url) or await self._from_server(key, url)

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
        except orjson.JSONDecodeError:
            return None  # cut short by a crash of the machine: fetched anew
        self._documents[key] = (_hash(url), document)
        return document

    async def _from_server(self, key: str, url: str) -> dict[str, Any] | None:
        try:
            payload, document = await self._fetch(url)
        except KubeError as error:
            if error.status not in (301, 404):
                raise
            await self.refresh()  # the document has changed since: its hash, and so its URL, is another one
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
        if not isinstance(document, dict):
            raise KubeError(f"cluster {self._cluster.name}: {split.path} is not an OpenAPI document")
        types = _types(document)
        return orjson.dumps(types), types

    def _file(self, key: str, url: str) -> Path | None:
        hash_ = _hash(url)
        return self._folder / f"{key.replace('/', '_')}.{hash_}.types.json" if self._folder and hash_ else None


def _key(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _types(document: Mapping[str, Any]) -> dict[str, Any]:
    schemas = (document.get("components") or {}).get("schemas") or {}
    return {"components": {"schemas": {name: _undescribed(schema) for name, schema in schemas.items()}}}


def _undescribed(schema: Any) -> Any:
    """A schema without its descriptions. What is in a default or an enumeration is a value, and no schema."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            kept[key] = {name: _undescribed(below) for name, below in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            kept[key] = _undescribed(value)
        elif key in ("allOf", "anyOf", "oneOf") and isinstance(value, list):
            kept[key] = [_undescribed(below) for below in value]
        elif key != "description":
            kept[key] = value
    return kept


def _hash(url: str) -> str | None:
    """The hash that the index put into the URL, in a form fit for a file's name. Without one nothing is kept."""
    value = dict(parse_qsl(urlsplit(url).query)).get("hash")
    return hashlib.sha256(value.encode()).hexdigest()[:32] if value else None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None  # a cache: what is not there is fetched


def _write(file: Path, payload: bytes) -> None:
    """Keeps a document in place of the versions before it, so that the folder does not grow."""
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
        return  # a read-only or full disk costs speed, nothing else
