"""The mirror of an artifact's source: each version that was asked for is a commit."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path

from driftd.artifacts.artifact import Artifact, unpacked
from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.git.built_mirror import BuiltCommit, BuiltMirror
from driftd.git.deadline import run_in_thread
from driftd.model.errors import GitError, SourceUnreachable
from driftd.model.revision import Revision


class ArtifactMirror(BuiltMirror):
    """Fetches a version once: what it is by its name or its digest does not change."""

    def __init__(self, source: ArtifactSource, folder: Path) -> None:
        super().__init__(source.name, source.title, source.timeout, folder)
        self.source = source

    async def fetch(self) -> Revision:
        """The source's version as a commit, fetched unless it is there.

        Raises: SourceUnreachable; RefNotFound: there is no such version (any more); GitError: it is not what it should
        be.
        """
        try:
            return await self.revision(self.source.applied)
        except GitError:
            pass  # it was not fetched yet, or the mirror is damaged
        try:
            async with asyncio.timeout(self.source.timeout):
                artifact = await _fetched(self.source)
        except TimeoutError as error:
            raise SourceUnreachable(f"{self.source}: took longer than {self.source.timeout:g} s") from error
        make = partial(_commit, self.source, artifact)
        return await run_in_thread(self._writer, self.source.timeout, lambda deadline: self._make(deadline, make()))


def artifact_mirror(source: ArtifactSource, cache: Path) -> ArtifactMirror:
    """The mirror of a source in its own folder below `cache`: one for all versions."""
    identity = f"{source.kind}\n{source.url}\n{source.chart}\n{source.media_type}"
    name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:12]
    return ArtifactMirror(source, cache / f"{source.name}-{name}")


async def _fetched(source: ArtifactSource) -> Artifact:
    from driftd.artifacts.https import https_reader  # noqa: PLC0415  # aiohttp is slow to import, and few apps need it

    registry = source.kind is not ArtifactKind.REPOSITORY_CHART
    async with https_reader(f"https://{source.host}" if registry else source.url, source.login, source.title) as reader:
        if registry:
            from driftd.artifacts.registry import fetch_artifact  # noqa: PLC0415  # as above

            return await fetch_artifact(source, reader)
        from driftd.artifacts.helm_repository import fetch_chart  # noqa: PLC0415  # as above

        return await fetch_chart(source, reader)


def _commit(source: ArtifactSource, artifact: Artifact) -> BuiltCommit:
    """Raises: GitError: the archive cannot be read."""
    is_chart = source.kind is not ArtifactKind.REGISTRY
    name = f"{source.folder}-{source.applied}" if is_chart else f"{source.name}@{source.applied}"
    files = unpacked(artifact, source.title, into=source.folder if is_chart else None)
    if is_chart and f"{source.folder}/Chart.yaml" not in files:
        raise GitError(f"{source}: the archive holds no chart")
    return BuiltCommit(
        applied=source.applied,
        name=name,
        author="Helm" if is_chart else "OCI",
        time=artifact.created,
        subject=f"{name} from {source.address} (sha256:{artifact.digest})",
        files=files,
    )
