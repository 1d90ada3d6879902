"""The history of an app's declarations before the revision that it is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from driftd.attribution.declarations import EarlierDeclaration, EarlierDeclarations, LagExplanation
from driftd.attribution.plain_history import PlainHistory
from driftd.attribution.rendered_history import RenderedHistory
from driftd.detect.assessor import Assessment
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import App, Capabilities
from driftd.model.drift import Status, Verdict
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision

LagKey = tuple[str, Verdict, str | None]
"""The commit that an object was compared with, its verdict, and the live object's resourceVersion."""


class AppHistory:
    """The history of one app in Git, and which of its objects were observed in the cluster.

    Results are cached while the revision is the same: drift that lasts costs no runs of Git.
    """

    def __init__(self, app: App, mirror: MirroredCommits) -> None:
        self._files = PlainHistory(mirror, app.path, app.namespace)
        self._renderings = RenderedHistory(mirror, app.path, app.rendering, app.namespace)
        self._lock = asyncio.Lock()
        self._sha = ""
        self._cached: dict[tuple[ResourceRef, int], Sequence[EarlierDeclaration]] = {}
        self._applied: dict[tuple[bool, int, int], bool] = {}
        self._observed: dict[ResourceRef, Manifest | None] = {}
        """Each object that was ever live, with its manifest if it is in sync."""
        self.explained: dict[ResourceRef, tuple[LagKey, LagExplanation | None]] = {}
        """The last explanation of each object that differs, with the inputs that it was computed from."""

    def render_for(self, capabilities: Capabilities) -> None:
        """Renders charts for a cluster with these capabilities from now on."""
        self._renderings.render_for(capabilities)

    async def earlier_declarations(
        self, revision: Revision, objects: Iterable[Manifest], reach: int
    ) -> EarlierDeclarations:
        """What the `reach` commits before `revision` declared for these of its objects. Raises: GitError."""
        objects = list(objects)
        async with self._lock:
            self._switch_to(revision)
            fresh = [manifest for manifest in objects if (manifest.ref, reach) not in self._cached]
            loaded = {
                **await self._load(revision, [manifest for manifest in fresh if _in_file(manifest)], reach),
                **await self._load(revision, [manifest for manifest in fresh if not _in_file(manifest)], reach),
            }
            self._cached.update({(manifest.ref, reach): loaded.get(manifest.ref, ()) for manifest in fresh})
            return {manifest.ref: self._cached[manifest.ref, reach] for manifest in objects}

    async def was_applied(self, revision: Revision, like: Manifest, reach: int) -> bool:
        """Whether `revision`, or one of the `reach` commits before it, was applied, judging by objects of the same
        origin as `like`: they are in sync, and were declared otherwise before. Raises: GitError.
        """
        in_sync = [m for m in self._observed.values() if m is not None and _in_file(m) is _in_file(like)]
        key = (_in_file(like), reach, len(in_sync))
        async with self._lock:
            self._switch_to(revision)
            if key not in self._applied:
                self._applied[key] = any((await self._load(revision, in_sync, reach)).values())
            return self._applied[key]

    def observe(self, assessments: Iterable[Assessment]) -> None:
        """Records which objects are live and in sync."""
        for assessment in assessments:
            verdict = assessment.verdict
            if assessment.live is not None:
                in_sync = verdict.status is Status.IN_SYNC and verdict.source is not None
                self._observed[verdict.ref] = assessment.mapped.manifest if in_sync else None
            elif verdict.ref in self._observed:
                self._observed[verdict.ref] = None

    def may_never_have_existed(self, ref: ResourceRef) -> bool:
        """Whether a missing object may never have been applied: it was never live, while others of the app were."""
        return bool(self._observed) and ref not in self._observed

    def _switch_to(self, revision: Revision) -> None:
        if self._sha != revision.sha:
            self._sha = revision.sha
            self._cached.clear()
            self._applied.clear()

    async def _load(self, revision: Revision, objects: Sequence[Manifest], reach: int) -> EarlierDeclarations:
        if not objects:
            return {}
        source = self._files if _in_file(objects[0]) else self._renderings
        return await source.earlier_declarations(revision.sha, objects, reach)


def _in_file(manifest: Manifest) -> bool:
    """Whether the manifest is declared in a plain file, and not rendered by a program."""
    return manifest.source.origin == "yaml"
