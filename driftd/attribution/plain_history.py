"""What the plain files of an app declared before."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, DeclarationTrail, DeclaredSet, EarlierDeclarations
from driftd.git.mirror import Mirror
from driftd.git.path_history import PathChange
from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from driftd.render.plain import MANIFEST_SUFFIXES

_MOST_BYTES = 4 << 20
"""So much is read at a time, the newest first: a second or two of reading YAML. What was before is then not known."""

_KEPT_BYTES = 1 << 20
"""So much of what was read is kept, as it is decoded, for the next commit."""

_Content = tuple[str, str]
"""A blob, and the name of the file that it is the content of."""


@dataclass(slots=True)
class _Walk:
    """One object on the way back: the file that it stands in, and how many commits have touched that so far.

    `file` is None once the way is at its end: there was no such object, or it cannot be told.
    """

    trail: DeclarationTrail
    file: str | None
    commits: int = 0


class PlainHistory:
    """The history of one app's plain files. Kept are the steps of its path at one revision, and some contents."""

    def __init__(self, mirror: Mirror, path: str, namespace: str | None) -> None:
        self._mirror = mirror
        self._path = path
        self._namespace = namespace
        self._steps: tuple[str, list[PathChange]] = ("", [])
        self._kept: OrderedDict[_Content, tuple[int, DeclaredSet]] = OrderedDict()

    async def earlier_declarations(self, sha: str, objects: Collection[Manifest], reach: int) -> EarlierDeclarations:
        """What the `reach` commits before declared of these objects of a revision, whichever file it stood in.

        Three runs of Git, and one more for each commit that moved some of them between files. Raises: GitError.
        """
        steps = (await self._steps_of(sha))[1 : reach + 1]
        touched = {file for step in steps for file in step.differing_blobs}.intersection(m.source.file for m in objects)
        walks = [_Walk(DeclarationTrail(one), one.source.file) for one in objects if one.source.file in touched]
        contents = await self._read(_of_files(touched, steps))
        for position, step in enumerate(steps, start=1):
            concerned = [walk for walk in walks if walk.file in step.differing_blobs]
            lost = [walk for walk in concerned if not _stayed(walk, step, position, contents)]
            if lost:
                others = [
                    content
                    for content in _of_files(step.differing_blobs, [step])
                    if content[1].endswith(MANIFEST_SUFFIXES)
                ]
                contents |= await self._read(content for content in others if content not in contents)
                for walk in lost:
                    _moved(walk, step, position, others, contents)
                moved_to = {walk.file for walk in lost if walk.file is not None}
                contents |= await self._read(_of_files(moved_to, steps[position:]))
        return {walk.trail.ref: walk.trail.found for walk in walks}

    async def _steps_of(self, sha: str) -> list[PathChange]:
        if self._steps[0] != sha:
            # Without the links that the path may have in it.
            path = (await self._mirror.tree(sha, self._path)).path if self._path else ""
            self._steps = (sha, await self._mirror.path_changes(sha, path, MAX_COMMITS + 1))
        return self._steps[1]

    async def _read(self, wanted: Iterable[_Content]) -> dict[_Content, DeclaredSet]:
        """As many of these contents as may be read at a time."""
        contents = dict.fromkeys(wanted)
        found = {content: self._kept[content][1] for content in contents if content in self._kept}
        fresh = [content for content in contents if content not in found]
        if fresh:
            data = await self._mirror.read_blobs([blob for blob, _ in fresh], _MOST_BYTES)
            found |= await asyncio.to_thread(self._parsed, [content for content in fresh if content[0] in data], data)
            self._keep({content: (len(data[content[0]]), found[content]) for content in fresh if content in found})
        return found

    def _parsed(self, contents: Collection[_Content], data: Mapping[str, bytes]) -> dict[_Content, DeclaredSet]:
        found = {}
        for blob, file in contents:
            objects = read_manifests(data[blob], file)
            found[blob, file] = DeclaredSet(objects.manifests, self._namespace, whole=not objects.errors)
        return found

    def _keep(self, fresh: Mapping[_Content, tuple[int, DeclaredSet]]) -> None:
        self._kept.update(fresh)
        size = sum(length for length, _ in self._kept.values())
        while size > _KEPT_BYTES:
            size -= self._kept.popitem(last=False)[1][0]


def _of_files(files: Collection[str], steps: Iterable[PathChange]) -> list[_Content]:
    """The contents that some commits have of these files, where they have others than the commits after them."""
    return [(blob, file) for step in steps for file, blob in step.differing_blobs.items() if blob and file in files]


def _stayed(walk: _Walk, step: PathChange, position: int, contents: Mapping[_Content, DeclaredSet]) -> bool:
    """Takes in what the object's own file had of it; False where it had nothing."""
    blob = step.differing_blobs[walk.file or ""]
    if blob is None:
        return False
    content = contents.get((blob, walk.file or ""))
    if content is None:
        walk.file = None  # more than may be read: what was before is not known
        return True
    manifest = content.of(walk.trail.ref)
    if manifest is not None:
        walk.commits += 1
        walk.trail.add(position, walk.commits, step.revision, manifest)
    return manifest is not None


def _moved(
    walk: _Walk, step: PathChange, position: int, others: Iterable[_Content], contents: Mapping[_Content, DeclaredSet]
) -> None:
    """Takes in that the object stood in another file, or in none."""
    walk.file = None
    whole = True
    for content in others:
        declared = contents.get(content)
        manifest = declared.of(walk.trail.ref) if declared is not None else None
        if manifest is not None:
            walk.file = content[1]
            walk.commits += 1
            walk.trail.add(position, walk.commits, step.revision, manifest)
            return
        whole = whole and declared is not None and declared.whole
    if whole:
        walk.trail.add(position, walk.commits + 1, step.revision, None)
