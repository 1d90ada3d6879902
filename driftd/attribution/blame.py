"""Git's side of a drift: the line that declares the value, and the commit that wrote it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from driftd.git.mirror import Mirror
from driftd.model.drift import FieldDrift, Verdict
from driftd.model.errors import DriftdError, GitError
from driftd.model.resource import Source
from driftd.model.revision import GitLine
from driftd.render.line_numbers import line_of

FileLine = tuple[str, int]


async def add_blame(verdicts: Sequence[Verdict], mirror: Mirror, sha: str) -> tuple[Verdict, ...]:
    """The same verdicts with each field's line in Git, and who wrote it.

    What the field was made from by Kustomize or Helm has the line of its object's file. Where blame cannot be had the
    line stands alone: attribution never costs a verdict.
    """
    drifted = [verdict for verdict in verdicts if verdict.fields and verdict.source is not None]
    if not drifted:
        return tuple(verdicts)
    files = await _files({verdict.source.file for verdict in drifted if verdict.source}, mirror, sha)
    places: dict[tuple[int, int], FileLine] = {}
    for number, verdict in enumerate(drifted):
        for index, drift in enumerate(verdict.fields):
            places[number, index] = _place(verdict.source, drift, files)
        await asyncio.sleep(0)  # the whole file is read for it, while others may have to hurry
    blamed = await _blame(places.values(), mirror, sha)
    attributed = {
        verdict.ref: replace(
            verdict,
            fields=tuple(
                replace(drift, git=blamed[places[number, index]]) for index, drift in enumerate(verdict.fields)
            ),
        )
        for number, verdict in enumerate(drifted)
    }
    return tuple(attributed.get(verdict.ref, verdict) for verdict in verdicts)


async def _files(names: set[str], mirror: Mirror, sha: str) -> Mapping[str, bytes]:
    try:
        return await asyncio.to_thread(mirror.tree_at(sha).read, sorted(names))
    except GitError:
        return {}


def _place(source: Source | None, drift: FieldDrift, files: Mapping[str, bytes]) -> FileLine:
    assert source is not None  # noqa: S101  # only verdicts with a source come here
    data = files.get(source.file)
    if source.origin != "yaml" or data is None:
        return source.file, source.line
    try:
        return source.file, line_of(data, source, drift.at)
    except DriftdError:
        return source.file, source.line


async def _blame(places: Iterable[FileLine], mirror: Mirror, sha: str) -> Mapping[FileLine, GitLine]:
    lines: dict[str, set[int]] = defaultdict(set)
    for file, line in places:
        lines[file].add(line)

    try:
        answers = await mirror.blame(sha, lines)
    except GitError:
        answers = {}
    return {
        (file, line): answers.get(file, {}).get(line) or GitLine(file, line)
        for file, numbers in lines.items()
        for line in numbers
    }
