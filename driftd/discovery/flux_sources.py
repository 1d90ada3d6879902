"""The sources of Flux as sources of driftd, at what a Kustomization has applied.

Source: source-controller 1.9, docs/spec/v1/gitrepositories.md and ocirepositories.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.desired.sources import ComposedSource, Mount, Source
from driftd.discovery.deployed import Object, Unsupported, git_source, items, name_of, section, short_name, text
from driftd.discovery.flux_logins import FluxLogins
from driftd.git.paths import normalize_path
from driftd.git.source import GitSource, Ref, RefKind

GROUP = "source.toolkit.fluxcd.io"
GIT_REPOSITORY = (GROUP, "GitRepository")
OCI_REPOSITORY = (GROUP, "OCIRepository")

_COMMIT = re.compile(r"(?:.*[@/])?(?:sha1:|sha256:)?([0-9a-f]{40}|[0-9a-f]{64})")
"""`main@sha1:HEX`, `refs/heads/main@sha1:HEX`, `sha1:HEX`; before Flux 2 `main/HEX`."""
_DIGEST = re.compile(r"(?:.*@)?(sha256:[0-9a-f]{64})")
"""`latest@sha256:HEX`, `sha256:HEX`."""
_BRANCH, _TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class FoundSource:
    """A source at what was applied of it; `body` is its object, `ignored` the patterns of files that it leaves out."""

    source: Source
    applied: str
    url: str
    ignored: str
    body: Object


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a cluster by kind and `NAMESPACE/NAME`, and the logins to them."""

    objects: Mapping[tuple[str, str], Object]
    logins: FluxLogins = field(default_factory=FluxLogins)

    def repositories_of(self, kustomization: Object) -> tuple[str, ...] | None:
        """The address of a Kustomization's repository; none where it does not come from Git, None where not known."""
        kind = text(section(kustomization, "spec", "sourceRef"), "kind")
        if kind != GIT_REPOSITORY[1]:
            return ()
        body = self.objects.get((kind, _source_name(kustomization)))
        return None if body is None else (text(section(body, "spec"), "url"),)

    def of(self, kustomization: Object, applied: str) -> FoundSource:
        """That of a Kustomization, at the revision that it has applied. Raises: Unsupported; GitError."""
        kind, name = text(section(kustomization, "spec", "sourceRef"), "kind"), _source_name(kustomization)
        if kind not in (GIT_REPOSITORY[1], OCI_REPOSITORY[1]):
            raise Unsupported(
                f"it is deployed from {'an' if kind[:1] in 'AEIOU' else 'a'} {kind}, "
                "of which driftd knows no way to what was applied"
            )
        body = self.objects.get((kind, name))
        if body is None:
            raise Unsupported(f"its {kind} {name} is not there, or cannot be read")
        spec = section(body, "spec")
        source, commit = self._git(body, applied) if kind == GIT_REPOSITORY[1] else self._oci(body, applied)
        return FoundSource(source, commit, text(spec, "url"), text(spec, "ignore"), body)

    def _git(self, repository: Object, applied: str) -> tuple[Source, str]:
        commit = _commit(applied)
        source = self._git_source(repository)
        included = list(self._included(repository, applied))
        if not included:
            return source, commit
        mounts = tuple(mount for mount, _ in included)
        return ComposedSource(source, mounts), " ".join([commit, *(each for _, each in included)])

    def _git_source(self, repository: Object) -> GitSource:
        return self.logins.of(repository).given_to(
            git_source(text(section(repository, "spec"), "url"), _ref(repository))
        )

    def _included(self, repository: Object, applied: str) -> Iterator[tuple[Mount, str]]:
        """What a GitRepository includes of others, and the commit of each.

        These are known of what it has fetched last: of an earlier revision nobody knows them any more.
        """
        includes = [each for each in items(section(repository, "spec"), "include") if isinstance(each, Mapping)]
        if not includes:
            return
        status = section(repository, "status")
        artifacts = [each for each in items(status, "includedArtifacts") if isinstance(each, Mapping)]
        if text(section(status, "artifact"), "revision") != applied or len(artifacts) != len(includes):
            raise Unsupported(f"its GitRepository {name_of(repository)} includes others, and fetched them anew since")
        for each, artifact in zip(includes, artifacts, strict=True):
            name = text(section(each, "repository"), "name")
            other = self.objects.get((GIT_REPOSITORY[1], f"{repository['metadata']['namespace']}/{name}"))
            if other is None:
                raise Unsupported(f"the GitRepository {name} that it includes is not there, or cannot be read")
            if section(other, "spec").get("include") or text(section(other, "spec"), "ignore"):
                raise Unsupported(f"the GitRepository {name} that it includes leaves files out, or includes others")
            source = replace(self._git_source(other), name=short_name(name))
            to_path = normalize_path((text(each, "toPath") or name).strip("/"))
            yield (
                Mount(source, to_path, normalize_path(text(each, "fromPath").strip("/"))),
                _commit(text(artifact, "revision")),
            )

    def _oci(self, repository: Object, applied: str) -> tuple[Source, str]:
        spec = section(repository, "spec")
        digest = _DIGEST.fullmatch(applied)
        if digest is None:
            raise Unsupported(f"the revision that Flux has applied ({applied}) names no digest")
        layer = section(spec, "layerSelector")
        if text(layer, "operation") not in ("", "extract"):
            raise Unsupported(f"its OCIRepository {name_of(repository)} copies its layer as it is")
        address = text(spec, "url").removeprefix("oci://")
        source = ArtifactSource(
            ArtifactKind.REGISTRY, short_name(address), address, media_type=text(layer, "mediaType")
        )
        return self.logins.of(repository).given_to_artifact(source), digest[1]


def _source_name(kustomization: Object) -> str:
    reference = section(kustomization, "spec", "sourceRef")
    return f"{text(reference, 'namespace') or kustomization['metadata']['namespace']}/{text(reference, 'name')}"


def applied_identity(revision: str) -> str | None:
    """The commit, or the digest, that a revision of Flux names; None where it names neither."""
    match = _DIGEST.fullmatch(revision) if "@sha256:" in revision else _COMMIT.fullmatch(revision)
    return match[1] if match is not None else None


def _commit(revision: str) -> str:
    commit = _COMMIT.fullmatch(revision)
    if commit is None:
        raise Unsupported(f"the revision that Flux has applied ({revision}) names no commit")
    return commit[1]


def _ref(repository: Object) -> Ref:
    """The reference that a GitRepository follows."""
    ref = section(repository, "spec", "ref")
    if commit := text(ref, "commit"):
        return Ref(RefKind.COMMIT, commit)
    name = text(ref, "name")
    for prefix, kind in ((_BRANCH, RefKind.BRANCH), (_TAG, RefKind.TAG)):
        if name.startswith(prefix):
            return Ref(kind, name.removeprefix(prefix))
    if name:
        return Ref()  # another kind of reference: the commit counts in any case
    for kind in (RefKind.SEMVER, RefKind.TAG, RefKind.BRANCH):
        if value := text(ref, str(kind)):
            return Ref(kind, value)
    return Ref(RefKind.BRANCH, "master")
