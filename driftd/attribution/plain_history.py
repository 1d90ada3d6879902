"""Earlier declarations in the plain files of an app."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from driftd.attribution.declarations import MAX_COMMITS, DeclarationTrail, DeclaredSet, EarlierDeclarations
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.path_history import PathChange
from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from driftd.render.plain import MANIFEST_SUFFIXES

_MAX_READ_BYTES = 4 << 20
"""Maximum bytes of YAML read per call, the newest first: a second or two. Older contents are then unknown."""

_MAX_CACHED_BYTES = 1 << 20
"""Maximum bytes of parsed files cached for the next commit."""

_Content = tuple[str, str]
"""A blob's id, and the name of its file."""


@dataclass(slots=True)
class _Walk:
    """The walk back through the history of one object: the file that declares it, and the commits that changed that.

    `file` is None at the end of the walk: the object did not exist before, or that is unknown.
    """

    trail: DeclarationTrail
    file: str | None
    commits: int = 0


class PlainHistory:
    """The history of one app's plain files. The steps of its path at one revision, and some contents, are cached."""

    def __init__(self, mirror: MirroredCommits, path: str, namespace: str | None) -> None:
        self._mirror = mirror
        self._path = path
        self._namespace = namespace
        self._steps: tuple[str, list[PathChange]] = ("", [])
        self._cached: OrderedDict[_Content, tuple[int, DeclaredSet]] = OrderedDict()

    async def earlier_declarations(self, sha: str, objects: Collection[Manifest], reach: int) -> EarlierDeclarations:
        """What the `reach` commits before a revision declared for these of its objects, in whichever file.

        Three runs of Git, and one more for each commit that moved some of them between files. Raises: GitError.
        """
        steps = (await self._steps_of(sha))[1 : reach + 1]
        touched = {file for step in steps for file in step.differing_blobs}.intersection(m.source.file for m in objects)
        walks = [_Walk(DeclarationTrail(m), m.source.file) for m in objects if m.source.file in touched]
        contents = await self._read(_of_files(touched, steps))
        for position, step in enumerate(steps, start=1):
            changed = [walk for walk in walks if walk.file in step.differing_blobs]
            moved = [walk for walk in changed if not _found_in_own_file(walk, step, position, contents)]
            if moved:
                others = [
                    content
                    for content in _of_files(step.differing_blobs, [step])
                    if content[1].endswith(MANIFEST_SUFFIXES)
                ]
                contents |= await self._read(content for content in others if content not in contents)
                for walk in moved:
                    _find_in_other_file(walk, step, position, others, contents)
                moved_to = {walk.file for walk in moved if walk.file is not None}
                contents |= await self._read(_of_files(moved_to, steps[position:]))
        return {walk.trail.ref: walk.trail.earlier for walk in walks}

    async def _steps_of(self, sha: str) -> list[PathChange]:
        if self._steps[0] != sha:
            # Symbolic links in the path are resolved.
            path = (await self._mirror.tree(sha, self._path)).path if self._path else ""
            self._steps = (sha, await self._mirror.path_changes(sha, path, MAX_COMMITS + 1))
        return self._steps[1]

    async def _read(self, requested: Iterable[_Content]) -> dict[_Content, DeclaredSet]:
        """The declarations of these contents, up to `_MAX_READ_BYTES`."""
        contents = dict.fromkeys(requested)
        declared = {content: self._cached[content][1] for content in contents if content in self._cached}
        fresh = [content for content in contents if content not in declared]
        if fresh:
            data = await self._mirror.read_blobs([blob for blob, _ in fresh], _MAX_READ_BYTES)
            loaded = [content for content in fresh if content[0] in data]
            declared |= await asyncio.to_thread(self._parse, loaded, data)
            self._cache({content: (len(data[content[0]]), declared[content]) for content in loaded})
        return declared

    def _parse(self, contents: Collection[_Content], data: Mapping[str, bytes]) -> dict[_Content, DeclaredSet]:
        declared = {}
        for blob, file in contents:
            objects = read_manifests(data[blob], file)
            declared[blob, file] = DeclaredSet(objects.manifests, self._namespace, complete=not objects.errors)
        return declared

    def _cache(self, fresh: Mapping[_Content, tuple[int, DeclaredSet]]) -> None:
        self._cached.update(fresh)
        size = sum(length for length, _ in self._cached.values())
        while size > _MAX_CACHED_BYTES:
            size -= self._cached.popitem(last=False)[1][0]


def _of_files(files: Collection[str], steps: Iterable[PathChange]) -> list[_Content]:
    """The contents of these files in some commits, where the next newer commits have others."""
    return [(blob, file) for step in steps for file, blob in step.differing_blobs.items() if blob and file in files]


def _found_in_own_file(walk: _Walk, step: PathChange, position: int, contents: Mapping[_Content, DeclaredSet]) -> bool:
    """Adds what the object's file declared for it; False if the file did not declare it."""
    blob = step.differing_blobs[walk.file or ""]
    if blob is None:
        return False
    content = contents.get((blob, walk.file or ""))
    if content is None:
        walk.file = None  # the limit of bytes was reached: older declarations are unknown
        return True
    manifest = content.of(walk.trail.ref)
    if manifest is not None:
        walk.commits += 1
        walk.trail.add(position, walk.commits, step.revision, manifest)
    return manifest is not None


def _find_in_other_file(
    walk: _Walk, step: PathChange, position: int, others: Iterable[_Content], contents: Mapping[_Content, DeclaredSet]
) -> None:
    """Adds what another file declared for the object, or that none did."""
    walk.file = None
    complete = True
    for content in others:
        declared = contents.get(content)
        manifest = declared.of(walk.trail.ref) if declared is not None else None
        if manifest is not None:
            walk.file = content[1]
            walk.commits += 1
            walk.trail.add(position, walk.commits, step.revision, manifest)
            return
        complete = complete and declared is not None and declared.complete
    if complete:
        walk.trail.add(position, walk.commits + 1, step.revision, None)
