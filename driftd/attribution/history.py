"""What an app declared before the revision that it is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from driftd.attribution.declarations import EarlierDeclaration, EarlierDeclarations, LagExplanation
from driftd.attribution.plain_history import PlainHistory
from driftd.attribution.rendered_history import RenderedHistory
from driftd.detect.assessor import Assessment
from driftd.git.mirror import Mirror
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision

LagKey = tuple[str, Verdict, str | None]
"""The commit that an object was compared with, what was said of it, and the version of it that this is said of."""


class AppHistory:
    """The history of one app in Git, and what was seen of the app in the cluster.

    Answers are kept for as long as the revision is the same: a drift that lasts costs no Git.
    """

    def __init__(self, app: App, mirror: Mirror) -> None:
        self._files = PlainHistory(mirror, app.path, app.namespace)
        self._renderings = RenderedHistory(mirror, app.path, app.rendering, app.namespace)
        self._lock = asyncio.Lock()
        self._sha = ""
        self._cached: dict[tuple[ResourceRef, int], Sequence[EarlierDeclaration]] = {}
        self._applied: dict[tuple[bool, int, int], bool] = {}
        self._seen: dict[ResourceRef, Manifest | None] = {}
        self.explained: dict[ResourceRef, tuple[LagKey, LagExplanation | None]] = {}
        """What was last found of objects that differ, and by what look at them."""

    async def earlier_declarations(
        self, revision: Revision, objects: Iterable[Manifest], reach: int
    ) -> EarlierDeclarations:
        """What the `reach` commits before `revision` declared of these objects of it. Raises: GitError."""
        objects = list(objects)
        async with self._lock:
            self._switch_to(revision)
            fresh = [one for one in objects if (one.ref, reach) not in self._cached]
            found = {
                **await self._load(revision, [one for one in fresh if _in_file(one)], reach),
                **await self._load(revision, [one for one in fresh if not _in_file(one)], reach),
            }
            self._cached.update({(one.ref, reach): found.get(one.ref, ()) for one in fresh})
            return {one.ref: self._cached[one.ref, reach] for one in objects}

    async def was_applied(self, revision: Revision, like: Manifest, reach: int) -> bool:
        """Whether objects that are in sync show that one of the last `reach` commits in the history of an object, or
        `revision` itself, was applied: they were declared otherwise before. Raises: GitError.
        """
        others = [one for one in self._seen.values() if one is not None and _in_file(one) is _in_file(like)]
        known = (_in_file(like), reach, len(others))
        async with self._lock:
            self._switch_to(revision)
            if known not in self._applied:
                self._applied[known] = any((await self._load(revision, others, reach)).values())
            return self._applied[known]

    def observe(self, judged: Iterable[Assessment]) -> None:
        """Takes in what is in the cluster."""
        for one in judged:
            if one.live is not None:
                verdict = one.verdict
                in_sync = verdict.status is Status.IN_SYNC and verdict.source is not None
                self._seen[verdict.ref] = one.mapped.manifest if in_sync else None
            elif one.verdict.ref in self._seen:
                self._seen[one.verdict.ref] = None

    def may_never_have_existed(self, ref: ResourceRef) -> bool:
        """Whether an object that is missing may have been left out: something of the app is there, and it never was."""
        return bool(self._seen) and ref not in self._seen

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
    """Whether it stands in a file as it is, and was not made by a program."""
    return manifest.source.origin == "yaml"
