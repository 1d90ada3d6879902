"""What an app declared before the revision that it is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from driftd.attribution.declarations import Earlier, Explanation, History
from driftd.attribution.plain_history import PastFiles
from driftd.attribution.rendered_history import PastRenderings
from driftd.detect.assessor import Judged
from driftd.git.mirror import Mirror
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision

Look = tuple[str, Verdict, str | None]
"""The commit that an object was compared with, what was said of it, and the version of it that this is said of."""


class Past:
    """The history of one app in Git, and what was seen of the app in the cluster.

    Answers are kept for as long as the revision is the same: a drift that lasts costs no Git.
    """

    def __init__(self, app: App, mirror: Mirror) -> None:
        self._files = PastFiles(mirror, app.path, app.namespace)
        self._renderings = PastRenderings(mirror, app.path, app.rendering, app.namespace)
        self._turn = asyncio.Lock()
        self._sha = ""
        self._known: dict[tuple[ResourceRef, int], Sequence[Earlier]] = {}
        self._applied: dict[tuple[bool, int, int], bool] = {}
        self._seen: dict[ResourceRef, Manifest | None] = {}
        self.explained: dict[ResourceRef, tuple[Look, Explanation | None]] = {}
        """What was last found of objects that differ, and by what look at them."""

    async def earlier(self, revision: Revision, objects: Iterable[Manifest], reach: int) -> History:
        """What the `reach` commits before `revision` declared of these objects of it. Raises: GitError."""
        objects = list(objects)
        async with self._turn:
            self._turn_to(revision)
            fresh = [one for one in objects if (one.ref, reach) not in self._known]
            found = {
                **await self._look(revision, [one for one in fresh if _in_file(one)], reach),
                **await self._look(revision, [one for one in fresh if not _in_file(one)], reach),
            }
            self._known.update({(one.ref, reach): found.get(one.ref, ()) for one in fresh})
            return {one.ref: self._known[one.ref, reach] for one in objects}

    async def was_applied(self, revision: Revision, like: Manifest, reach: int) -> bool:
        """Whether objects that are in sync show that one of the last `reach` commits in the history of an object, or
        `revision` itself, was applied: they were declared otherwise before. Raises: GitError.
        """
        others = [one for one in self._seen.values() if one is not None and _in_file(one) is _in_file(like)]
        known = (_in_file(like), reach, len(others))
        async with self._turn:
            self._turn_to(revision)
            if known not in self._applied:
                self._applied[known] = any((await self._look(revision, others, reach)).values())
            return self._applied[known]

    def saw(self, judged: Iterable[Judged]) -> None:
        """Takes in what is in the cluster."""
        for one in judged:
            if one.live is not None:
                verdict = one.verdict
                in_sync = verdict.status is Status.IN_SYNC and verdict.source is not None
                self._seen[verdict.ref] = one.wanted.manifest if in_sync else None
            elif one.verdict.ref in self._seen:
                self._seen[one.verdict.ref] = None

    def may_lack(self, ref: ResourceRef) -> bool:
        """Whether an object that is missing may have been left out: something of the app is there, and it never was."""
        return bool(self._seen) and ref not in self._seen

    def _turn_to(self, revision: Revision) -> None:
        if self._sha != revision.sha:
            self._sha = revision.sha
            self._known.clear()
            self._applied.clear()

    async def _look(self, revision: Revision, objects: Sequence[Manifest], reach: int) -> History:
        if not objects:
            return {}
        source = self._files if _in_file(objects[0]) else self._renderings
        return await source.earlier(revision.sha, objects, reach)


def _in_file(manifest: Manifest) -> bool:
    """Whether it stands in a file as it is, and was not made by a program."""
    return manifest.source.origin == "yaml"
