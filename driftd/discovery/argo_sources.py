"""The sources of an Application, as sources of driftd: repositories, charts, and values files from elsewhere."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.desired.sources import ComposedSource, Mount, Source
from driftd.discovery.build_environment import BuildEnvironment
from driftd.discovery.deployed import Object, Unsupported, git_source, short_name, text
from driftd.discovery.login import Login
from driftd.git.source import GitSource, Ref, RefKind, is_hash, is_ref_name

_OCI = "oci://"


@dataclass(frozen=True, slots=True)
class AppliedSource:
    """One source of an Application, and what of it was applied: a commit, a chart's version, or a digest."""

    body: Object
    revision: str

    @property
    def url(self) -> str:
        return text(self.body, "repoURL")

    @property
    def is_reference(self) -> bool:
        """Whether it is there for the files of another one only."""
        return bool(text(self.body, "ref")) and not text(self.body, "path") and not text(self.body, "chart")

    @property
    def path(self) -> str:
        """The folder that is deployed, from the root of what is fetched."""
        if text(self.body, "chart"):
            return text(self.body, "chart").rpartition("/")[2]
        folder = posixpath.normpath(text(self.body, "path").strip("/") or ".")
        return "" if folder == "." else folder

    def source(self, login_of: Callable[[str], Login]) -> GitSource | ArtifactSource:
        """Where it comes from. Raises: GitError: its address is not allowed. Unsupported."""
        if not self.revision:
            raise Unsupported("its last sync does not say what was applied")
        if text(self.body, "chart") or self.url.startswith(_OCI):
            return login_of(self.url).given_to_artifact(self._artifact())
        if not is_hash(self.revision):
            raise Unsupported("its last sync does not name a commit")
        return login_of(self.url).given_to(git_source(self.url, self._ref()))

    def _artifact(self) -> ArtifactSource:
        chart = text(self.body, "chart")
        if self.url.startswith("https://"):
            return ArtifactSource(ArtifactKind.REPOSITORY_CHART, short_name(chart), self.url, chart)
        if "://" in self.url.removeprefix(_OCI):
            raise Unsupported("its chart comes from a repository that is not read by https")
        registry = self.url.removeprefix(_OCI).rstrip("/")
        if not chart:
            return ArtifactSource(ArtifactKind.REGISTRY, short_name(registry), registry)
        return ArtifactSource(ArtifactKind.REGISTRY_CHART, short_name(chart), f"{registry}/{chart}", chart)

    def _ref(self) -> Ref:
        """The reference that it follows; the default branch where that is a range of versions."""
        target = text(self.body, "targetRevision")
        return Ref(RefKind.ANY, target) if target not in ("", "HEAD") and is_ref_name(target) else Ref()


@dataclass(slots=True)
class FilesOfOthers:
    """Collects the files that a source takes from the other sources of its Application (`$values/prod.yaml`)."""

    own: AppliedSource
    others: Mapping[str, AppliedSource]
    environment: BuildEnvironment
    _files: dict[str, list[str]] = field(default_factory=dict)

    def path(self, file: str) -> str:
        """Where a file will be: from the root of what is fetched, if it begins with `/`. Raises: Unsupported."""
        reference, _, path = file.removeprefix("$").partition("/")
        if not file.startswith("$") or reference not in self.others:
            return self.environment.expand(file)
        path = self.environment.expand(path)
        other = self.others[reference]
        is_chart = text(self.own.body, "chart") or self.own.url.startswith(_OCI)
        if (other.url, other.revision) == (self.own.url, self.own.revision) and not is_chart:
            return f"/{path}"
        if text(other.body, "chart") or other.url.startswith(_OCI):
            raise Unsupported(f"its file {file} is in a chart, or in a registry, and in no repository")
        self._files.setdefault(reference, []).append(path)
        return f"/${reference}/{path}"

    def added_to(self, source: GitSource | ArtifactSource, login_of: Callable[[str], Login]) -> tuple[Source, str]:
        """The source with these files, and what was applied of all of it. Raises: as `AppliedSource.source`."""
        if not self._files:
            return source, self.own.revision
        mounts, applied = [], [self.own.revision]
        for reference, files in sorted(self._files.items()):
            other = self.others[reference].source(login_of)
            assert isinstance(other, GitSource)  # noqa: S101  # `path` has refused any other
            mounts.append(
                Mount(replace(other, name=short_name(reference)), f"${reference}", files=tuple(sorted(set(files))))
            )
            applied.append(self.others[reference].revision)
        return ComposedSource(source, tuple(mounts)), " ".join(applied)
