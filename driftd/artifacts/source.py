"""Where an artifact comes from. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

from driftd.git.source import Auth, HeldFiles
from driftd.model.errors import GitError
from driftd.model.secret import Secret
from driftd.model.text import has_control_character

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_CHART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_DOCKER_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class ArtifactKind(StrEnum):
    """How an artifact is found."""

    REPOSITORY_CHART = "chart of a Helm repository"
    REGISTRY_CHART = "chart of a registry"
    REGISTRY = "artifact of a registry"


@dataclass(frozen=True, slots=True)
class HttpsLogin:
    """What is sent to one server, and what it is trusted by. `why_none` is told where it asks for more."""

    auth: Auth | None = None
    held: HeldFiles | None = None
    proxy: Secret | None = field(default=None, repr=False)
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class ArtifactSource:
    """A chart, or another artifact. `url` is that of a Helm repository (`https://HOST/PATH`), or in a registry
    `HOST/NAME`, where `chart` is the last part of the name.

    `applied` is a chart's version, or an artifact's digest (`sha256:HEX`). `media_type` is that of the layer that
    counts; by default the first one. `timeout` limits one fetch, in seconds.

    Raises: GitError: the address is not allowed. The text does not quote it: it may hold credentials.
    """

    kind: ArtifactKind
    name: str
    url: str
    chart: str = ""
    applied: str = ""
    media_type: str = ""
    login: HttpsLogin = HttpsLogin()
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.kind is ArtifactKind.REPOSITORY_CHART:
            _require_https(self.url)
        elif not _HOST.fullmatch(self.host) or not _NAME.fullmatch(self.repository):
            raise GitError("the address of the registry must be HOST/NAME, without a login")
        if self.kind is not ArtifactKind.REGISTRY and not _CHART.fullmatch(self.chart):
            raise GitError("the chart has no name that a chart can have")

    @property
    def address(self) -> str:
        """What is shown of it: never a secret."""
        return self.url if self.kind is ArtifactKind.REPOSITORY_CHART else f"oci://{self.url}"

    @property
    def host(self) -> str:
        """Of a registry: its name, and perhaps a port."""
        host = self.url.partition("/")[0]
        return _DOCKER_HUB.get(host, host)

    @property
    def repository(self) -> str:
        """Of a registry: the name of what is in it."""
        return self.url.partition("/")[2]

    @property
    def folder(self) -> str:
        """The folder that a chart is unpacked into."""
        return self.chart.rpartition("/")[2]

    @property
    def title(self) -> str:
        return f"{self.chart or self.name} ({self.address})"

    def at(self, applied: str) -> ArtifactSource:
        """The same source at another version or digest."""
        return replace(self, applied=applied)

    def __str__(self) -> str:
        return self.title


def _require_https(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise GitError("the address of the Helm repository cannot be read") from None
    if parts.scheme != "https" or not parts.hostname or has_control_character(url):
        raise GitError("the address of the Helm repository must begin with https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise GitError(
            "the address of the Helm repository must have no login and no query: use a Secret of the deployer"
        )
