"""The permissions of an account, according to the API server."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.controlplane import ADMIN_GROUP, ControlPlane

WRITING = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A resource of discovery; `subresource` is empty for the main resource."""

    group: str
    resource: str
    subresource: str
    namespaced: bool
    verbs: frozenset[str]

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{name}.{self.group}" if self.group else name


class Access:
    """Queries the authorizer for a ServiceAccount, over one connection."""

    def __init__(self, cluster: ControlPlane, account: str) -> None:
        namespace, _, _ = account.partition(":")
        self._user = f"system:serviceaccount:{account}"
        self._groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        pair = cluster.credentials("admin", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(cluster.certificate_authority))
        context.load_cert_chain(pair.certificate, pair.key)
        address = urlsplit(cluster.server)
        assert address.hostname is not None
        self._connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=20, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def may(self, verb: str, kind: Kind, namespace: str = "web", name: str = "some") -> bool:
        attributes = {
            "verb": verb,
            "group": kind.group,
            "version": "*",
            "resource": kind.resource,
            "subresource": kind.subresource,
            "namespace": namespace if kind.namespaced else "",
            "name": "" if verb in ("list", "watch", "create", "deletecollection") else name,
        }
        return self._review({"resourceAttributes": attributes})

    def may_visit(self, path: str) -> bool:
        return self._review({"nonResourceAttributes": {"path": path, "verb": "get"}})

    def _review(self, spec: dict[str, Any]) -> bool:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": self._user, "groups": self._groups, **spec},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text
        allowed = json.loads(text)["status"]["allowed"]
        assert isinstance(allowed, bool)
        return allowed


def kinds(cluster: ControlPlane) -> list[Kind]:
    """All resources that the cluster serves, including subresources."""
    return sorted(set(_kinds(cluster)))


def _kinds(cluster: ControlPlane) -> Iterator[Kind]:
    groups = json.loads(cluster.get("/apis"))["groups"]
    versions = ["/api/v1", *(f"/apis/{version['groupVersion']}" for group in groups for version in group["versions"])]
    for path in versions:
        group = path.split("/")[2] if path.startswith("/apis/") else ""
        for entry in json.loads(cluster.get(path))["resources"]:
            resource, _, subresource = entry["name"].partition("/")
            yield Kind(group, resource, subresource, entry["namespaced"], frozenset(entry["verbs"]))
