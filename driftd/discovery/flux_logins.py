"""The logins that Flux has for sources: Secrets in the namespace of each source.

Source: source-controller 1.9, docs/spec/v1/gitrepositories.md and ocirepositories.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from driftd.discovery.deployed import Object, Unsupported, section, text
from driftd.discovery.login import NOT_ALLOWED, Login, with_proxy_login
from driftd.model.resource import ResourceRef

_REFERENCES = ("secretRef", "certSecretRef", "proxySecretRef")
_NO_PROVIDER = ("", "generic")
_DOCKER = ".dockerconfigjson"
_GITHUB_APP = "githubAppID"


@dataclass(frozen=True, slots=True)
class FluxLogins:
    """The data of the Secrets that sources name; `missing` is why there is none."""

    secrets: Mapping[ResourceRef, Mapping[str, str]] = field(default_factory=dict, repr=False)
    missing: str = NOT_ALLOWED

    def of(self, source: Object) -> Login:
        """The login for the address of a source. Raises: Unsupported: it is of a kind that driftd lacks."""
        spec = section(source, "spec")
        if text(spec, "provider") not in _NO_PROVIDER:
            raise Unsupported(
                f"Flux logs in to its source by the provider {text(spec, 'provider')}, which driftd cannot"
            )
        if spec.get("insecure") is True:
            raise Unsupported("Flux reads its source without TLS (insecure), which driftd does not")
        if spec.get("serviceAccountName"):
            raise Unsupported("Flux logs in to its source by a ServiceAccount, which driftd cannot")
        data = self._data(source, "secretRef")
        if _GITHUB_APP in data:
            raise Unsupported("Flux logs in to its source as a GitHub App, which driftd cannot")
        trusted = data | self._data(source, "certSecretRef")
        proxy = self._data(source, "proxySecretRef")
        username, password = data.get("username", ""), data.get("password", "")
        if _DOCKER in data:
            username, password = _docker_login(data[_DOCKER], text(spec, "url"))
        return Login(
            username=username,
            password=password,
            bearer=data.get("bearerToken", ""),
            ssh_key=data.get("identity", ""),
            known_hosts=data.get("known_hosts", ""),
            ca=trusted.get("ca.crt") or trusted.get("caFile", ""),
            client_certificate=trusted.get("tls.crt") or trusted.get("certFile", ""),
            client_key=trusted.get("tls.key") or trusted.get("keyFile", ""),
            proxy=_proxy(proxy) if proxy else "",
            missing=self._missing(source),
        )

    def _data(self, source: Object, reference: str) -> dict[str, str]:
        data: dict[str, str] = {}
        for ref in _references(source, (reference,)):
            data |= self.secrets.get(ref, {})
        return data

    def _missing(self, source: Object) -> str:
        named = secrets_named(source)
        unread = [ref for ref in named if ref not in self.secrets]
        if self.missing or not unread:
            return self.missing or f"Flux has {'the same login' if named else 'no login'} for it"
        return f"Secret {unread[0].namespace}/{unread[0].name}, which Flux has a login in, cannot be read"


def secrets_named(source: Object) -> Sequence[ResourceRef]:
    """The Secrets that a source names."""
    return list(_references(source, _REFERENCES))


def _references(source: Object, keys: Sequence[str]) -> Iterator[ResourceRef]:
    for key in keys:
        if name := text(section(source, "spec", key), "name"):
            yield ResourceRef("", "Secret", source["metadata"]["namespace"], name)


def _proxy(data: Mapping[str, str]) -> str:
    return with_proxy_login(data.get("address", ""), data.get("username", ""), data.get("password", ""))


def _docker_login(config: str, url: str) -> tuple[str, str]:
    """The user's name and password for the registry of an address, of Docker's configuration; empty without any."""
    try:
        document: Any = json.loads(config)
        host = urlsplit(url).netloc.lower()
    except ValueError:
        raise Unsupported("the login that Flux has for its source cannot be read") from None
    auths = section(document, "auths") if isinstance(document, Mapping) else {}
    for server, entry in auths.items():
        if _registry(server) == host and isinstance(entry, Mapping):
            if text(entry, "username"):
                return text(entry, "username"), text(entry, "password")
            try:
                username, _, password = base64.b64decode(text(entry, "auth")).decode().partition(":")
            except (binascii.Error, ValueError):
                raise Unsupported("the login that Flux has for its source cannot be read") from None
            return username, password
    return "", ""


def _registry(server: str) -> str:
    """The registry that a key of Docker's configuration stands for."""
    return server.rpartition("://")[2].partition("/")[0].lower()
