"""A client for the API server of a lab: sends what kubectl would, over one connection and without processes."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from driftd.diff.typed.schema import Schema, Schemas
from driftd.model.resource import Manifest
from tests.support.controlplane import ADMIN_GROUP, ControlPlane

JsonObject = dict[str, Any]
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


class Refused(Exception):
    """The API server refused the request."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The API path of a kind."""

    base: str
    plural: str
    namespaced: bool
    has_status: bool

    def collection(self, namespace: str | None) -> str:
        return f"{self.base}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.base}/{self.plural}"


class Api:
    """Requests as the administrator."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._address = urlsplit(cluster.server)
        admin = cluster.credentials("admin", (ADMIN_GROUP,))
        self._context = ssl.create_default_context(cafile=str(cluster.certificate_authority))
        self._context.load_cert_chain(admin.certificate, admin.key)
        self._connection = self._connect()
        self._resources: dict[tuple[str, str], Resource] = {}
        self._schemas: dict[str, Schemas] = {}

    def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> JsonObject:
        """Raises: Refused."""
        url = f"{path}?{urlencode(query)}" if query else path
        payload = None if body is None else json.dumps(body)
        for attempt in (1, 2):
            try:
                self._connection.request(method, url, payload, {"Content-Type": content, "Accept": "application/json"})
                answer = self._connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError):
                self._connection.close()
                self._connection = self._connect()
                if attempt == 2:
                    raise
        if answer.status >= 300:
            raise Refused(f"{method} {url}: {answer.status} {text[:400].decode(errors='replace')}")
        document: JsonObject = json.loads(text)
        return document

    def resource(self, api_version: str, kind: str) -> Resource:
        """Raises: Refused: the kind is not served."""
        cached = self._resources.get((api_version, kind))
        if cached is not None:
            return cached
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        served = self.request("GET", base)["resources"]
        names = {entry["name"] for entry in served}
        for entry in served:
            if entry["kind"] == kind and "/" not in entry["name"]:
                resource = Resource(base, entry["name"], entry["namespaced"], f"{entry['name']}/status" in names)
                self._resources[api_version, kind] = resource
                return resource
        raise Refused(f"no {kind} in {api_version}")

    def schema(self, api_version: str, kind: str) -> Schema | None:
        group, _, version = api_version.rpartition("/")
        path = f"/openapi/v3/apis/{api_version}" if group else f"/openapi/v3/api/{api_version}"
        if path not in self._schemas:
            self._schemas[path] = Schemas(self.request("GET", path))
        return self._schemas[path].of(group, version, kind)

    def path(self, manifest: Manifest) -> str:
        resource = self.resource(manifest.api_version, manifest.ref.kind)
        return f"{resource.collection(manifest.ref.namespace)}/{manifest.ref.name}"

    def get(self, manifest: Manifest) -> JsonObject:
        return self.request("GET", self.path(manifest))

    def dry_run(self, manifest: Manifest) -> JsonObject:
        """The result of a dry-run apply of the manifest, as requested by driftd."""
        query = {"fieldManager": "driftd", "force": "true", "dryRun": "All"}
        return self.request("PATCH", self.path(manifest), manifest.body, APPLY, **query)

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = str(self._address.hostname), self._address.port
        return http.client.HTTPSConnection(host, port, timeout=30, context=self._context)
