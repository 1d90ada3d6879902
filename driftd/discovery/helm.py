"""Helm's releases, and Flux' HelmReleases, as apps: what was installed is kept in the cluster.

Source: helm.sh/helm/v4, pkg/storage/driver; helm-controller 1.4, docs/spec/v2/helmreleases.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from driftd.desired.state import Desired
from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.deployed import NotJudged, Object, Unsupported, app_name, items, section, text
from driftd.discovery.flux_ignore import ignore_rules
from driftd.model.app import App, RenderOptions
from driftd.model.errors import RenderError
from driftd.model.revision import Revision
from driftd.render.helm import parse_manifests
from driftd.render.rendering import RenderedPart, Rendering, RenderKind

HELM_RELEASE = ("helm.toolkit.fluxcd.io", "HelmRelease")
STORAGE_LABELS = "owner=helm,status=deployed"
"""Of the Secrets (or ConfigMaps) that hold what is installed now."""

_GZIP = b"\x1f\x8b"
_MAX_BYTES = 64 << 20
"""Of one release, unpacked: a Secret holds no more than 1 MiB."""

ReleaseKey = tuple[str, str, int]
"""The namespace that a release is stored in, its name, and its revision."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is installed under one name. `manifest` may hold values of Secrets."""

    key: ReleaseKey
    namespace: str
    chart: str
    version: str
    deployed: datetime
    manifest: str

    def __repr__(self) -> str:
        return f"Release({self.key!r})"


@dataclass(frozen=True, slots=True)
class InstalledRelease:
    """A release as an app, with what it declares. `ignore` are the differences that its deployer ignores, too."""

    app: App
    desired: Desired
    ignore: tuple[IgnoreRule, ...] = ()


def decode_release(stored: Object) -> Release:
    """The release in a Secret or ConfigMap of Helm. Raises: Unsupported: it cannot be read; no value is quoted."""
    data = text(section(stored, "data"), "release")
    try:
        if stored.get("kind") == "Secret":
            data = base64.b64decode(data, validate=True).decode()
        packed = base64.b64decode(data, validate=True)
        content = _unpacked(packed) if packed.startswith(_GZIP) else packed
        body = json.loads(content)
    except (binascii.Error, ValueError, zlib.error, RecursionError):
        raise Unsupported("what Helm has stored of it cannot be read") from None  # the text would be in the error
    chart = section(body, "chart", "metadata")
    version = body.get("version")
    if not isinstance(version, int) or not text(body, "name"):
        raise Unsupported("what Helm has stored of it has no name and revision")
    return Release(
        (stored["metadata"]["namespace"], text(body, "name"), version),
        text(body, "namespace"),
        text(chart, "name"),
        text(chart, "version"),
        _time(text(section(body, "info"), "last_deployed")),
        text(body, "manifest"),
    )


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    content = unpacking.decompress(packed, _MAX_BYTES)
    if unpacking.unconsumed_tail:
        raise ValueError("too large")
    return content


def _time(stamp: str) -> datetime:
    """A time as Go writes it, with up to nine digits after the point."""
    try:
        time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", stamp))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def installed(
    releases: Sequence[Release], helm_releases: Sequence[Object], cluster: str
) -> Iterator[InstalledRelease | NotJudged]:
    """The apps of releases: those that a HelmRelease has installed are named by it, the others by themselves."""
    by_key = {release.key: release for release in releases}
    for body in helm_releases:
        name = app_name("helmrelease", body)
        try:
            yield _app(
                name,
                _take(by_key, _installed_by(body)),
                cluster,
                ignore_rules(items(section(body, "spec", "driftDetection"), "ignore"), "driftDetection"),
            )
        except Unsupported as error:
            yield NotJudged(name, str(error))
    for (namespace, name, _), release in by_key.items():
        yield _app(f"release/{namespace}/{name}", release, cluster)


def _take(by_key: dict[ReleaseKey, Release], key: ReleaseKey) -> Release:
    if key not in by_key:
        raise Unsupported("the release that Flux has installed is not there, or cannot be read")
    return by_key.pop(key)


def _installed_by(helm_release: Object) -> ReleaseKey:
    if "kubeConfig" in section(helm_release, "spec"):
        raise Unsupported("it deploys to another cluster: run driftd there, or configure that cluster")
    status = section(helm_release, "status")
    history = [each for each in items(status, "history") if isinstance(each, Mapping)]
    latest = next((each for each in history if each.get("status") == "deployed"), None)
    if latest is None:
        raise Unsupported("Flux has not installed it yet, or its last upgrade has failed")
    version = latest.get("version")
    namespace = text(status, "storageNamespace") or text(latest, "namespace")
    return namespace, text(latest, "name"), version if isinstance(version, int) else 0


def _app(name: str, release: Release, cluster: str, ignore: tuple[IgnoreRule, ...] = ()) -> InstalledRelease:
    app = App(
        name=name,
        source=name,
        cluster=cluster,
        namespace=release.namespace,
        deploys=False,
        # It may be made of hooks alone.
        rendering=RenderOptions(release=release.key[1], namespace=release.namespace, allow_empty=True),
    )
    chart = f"{release.chart}-{release.version}"
    try:
        part = parse_manifests(release.manifest.encode(), chart, lambda template: template)
    except RenderError as error:
        part = RenderedPart(errors=(error,))
    rendering = Rendering.merge(RenderKind.HELM, (part,), release.namespace)
    digest = hashlib.sha256(release.manifest.encode()).hexdigest()
    revision = Revision(digest, "Helm", release.deployed, f"{chart}, revision {release.key[2]}", chart)
    return InstalledRelease(app, Desired.of(revision, rendering, app), ignore)
