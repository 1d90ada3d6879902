"""Artifacts of OCI registries.

Source: OCI distribution specification 1.1, "Pull"; distribution.github.io/distribution/spec/auth/token;
helm.sh/docs/topics/registries; fluxcd.io/flux/cheatsheets/oci-artifacts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from driftd.artifacts.artifact import MAX_PACKED, Artifact, time_of
from driftd.artifacts.https import Answer, HttpsReader
from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.model.errors import GitError, RefNotFound

CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_MAX_MANIFEST, _MAX_TOKEN = 4 << 20, 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


async def fetch_artifact(source: ArtifactSource, reader: HttpsReader) -> Artifact:
    """The layer of an artifact that counts: by its digest, or a chart by its version. Raises: GitError."""
    reference = source.applied.replace("+", "_") if source.kind is ArtifactKind.REGISTRY_CHART else source.applied
    if not (_TAG.fullmatch(reference) or _DIGEST.fullmatch(reference)):
        raise GitError(f"{source}: {source.applied!r} is neither a digest nor a version")
    repository = f"https://{source.host}/v2/{source.repository}"
    registry = _Registry(source, reader)
    answer = await registry.get(f"{repository}/manifests/{reference}", _MAX_MANIFEST, accept=_MANIFESTS)
    if answer.status == 404:
        raise RefNotFound(f"{source}: the registry does not have {source.applied} (any more)")
    _require_ok(answer, reader)
    _verify(answer.body, reference, source)
    manifest = _document(answer.body, source)
    layer = _layer(manifest, source)
    digest = str(layer.get("digest"))
    if not _DIGEST.fullmatch(digest):
        raise GitError(f"{source}: its layer has no digest that driftd can verify")
    blob = await registry.get(f"{repository}/blobs/{digest}", MAX_PACKED)
    _require_ok(blob, reader)
    _verify(blob.body, digest, source)
    annotations = manifest.get("annotations")
    created = annotations.get("org.opencontainers.image.created") if isinstance(annotations, Mapping) else None
    return Artifact(blob.body, digest.removeprefix("sha256:"), time_of(created))


class _Registry:
    """Reads from a registry, with the token that it asks for."""

    def __init__(self, source: ArtifactSource, reader: HttpsReader) -> None:
        self._source = source
        self._reader = reader
        self._authorization = ""

    async def get(self, url: str, limit: int, accept: str = "*/*") -> Answer:
        answer = await self._reader.get(url, limit, accept=accept, authorization=self._authorization)
        if answer.status != 401 or self._authorization:
            return answer
        self._authorization = await self._asked_for(answer.headers.get("WWW-Authenticate", ""))
        if not self._authorization:
            return answer
        return await self._reader.get(url, limit, accept=accept, authorization=self._authorization)

    async def _asked_for(self, challenge: str) -> str:
        """What a registry asks for: the login itself, or a token that is had with it, or without any."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() != "bearer":
            return self._reader.authorization or ""
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.get("realm", "")
        query = {"scope": f"repository:{self._source.repository}:pull"}
        if "service" in parameters:
            query["service"] = parameters["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        with_login = _is_of_registry(realm, self._source.host)
        answer = await self._reader.token(url, _MAX_TOKEN, with_login=with_login)
        _require_ok(answer, self._reader)
        document = _document(answer.body, self._source)
        token = document.get("token") or document.get("access_token")
        return f"Bearer {token}" if isinstance(token, str) and token.isprintable() else ""


def _is_of_registry(realm: str, host: str) -> bool:
    """Whether tokens are given out by the registry's own server, or by one of the same domain.

    `auth.docker.io` for `registry-1.docker.io`, `gitlab.com` for `registry.gitlab.com`: others do not get the login.
    """
    try:
        server, own = URL(realm).origin(), URL(f"https://{host}").origin()
    except ValueError:
        return False  # whoever asks it says that it is no address
    if server == own:
        return True
    domain = (own.host or "").split(".")[-2:]
    return (server.host or "").split(".")[-2:] == domain and len(domain) == 2 and not domain[1].isdecimal()


def _require_ok(answer: Answer, reader: HttpsReader) -> None:
    if answer.status != 200:
        raise reader.refused(answer)


def _verify(body: bytes, reference: str, source: ArtifactSource) -> None:
    if reference.startswith("sha256:") and reference != f"sha256:{hashlib.sha256(body).hexdigest()}":
        raise GitError(f"{source}: the registry sends something else than {reference}")


def _document(body: bytes, source: ArtifactSource) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):
        raise GitError(f"{source}: the registry's answer cannot be read")
    return document


def _layer(manifest: Mapping[str, Any], source: ArtifactSource) -> Mapping[str, Any]:
    """The layer that counts: of a chart the chart, else that of the source's media type, or the first one."""
    layers = [layer for layer in manifest.get("layers") or () if isinstance(layer, Mapping)]
    wanted = CHART_LAYER if source.kind is ArtifactKind.REGISTRY_CHART else source.media_type
    for layer in layers:
        if not wanted or layer.get("mediaType") == wanted:
            return layer
    raise GitError(f"{source}: the artifact has no layer {wanted}" if wanted else f"{source}: it is no single artifact")
