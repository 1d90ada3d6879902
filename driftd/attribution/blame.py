"""Blame for drifted fields: the line that declares the value, and the commit that wrote it."""

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
    """The verdicts with each field's line in Git and the commit that wrote it.

    A field that Kustomize or Helm rendered gets the line of its object's file. If blame fails, the line has no commit:
    attribution never costs a verdict.
    """
    drifted = [verdict for verdict in verdicts if verdict.fields and verdict.source is not None]
    if not drifted:
        return tuple(verdicts)
    files = await _files({verdict.source.file for verdict in drifted if verdict.source}, mirror, sha)
    lines: dict[tuple[int, int], FileLine] = {}
    for number, verdict in enumerate(drifted):
        for index, drift in enumerate(verdict.fields):
            lines[number, index] = _declaring_line(verdict.source, drift, files)
        await asyncio.sleep(0)  # a whole file was parsed: other tasks get to run
    blamed = await _blame(lines.values(), mirror, sha)
    attributed = {
        verdict.ref: replace(
            verdict,
            fields=tuple(
                replace(drift, git=blamed[lines[number, index]]) for index, drift in enumerate(verdict.fields)
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


def _declaring_line(source: Source | None, drift: FieldDrift, files: Mapping[str, bytes]) -> FileLine:
    assert source is not None  # noqa: S101  # only verdicts with a source come here
    data = files.get(source.file)
    if source.origin != "yaml" or data is None:
        return source.file, source.line
    try:
        return source.file, line_of(data, source, drift.at)
    except DriftdError:
        return source.file, source.line


async def _blame(lines: Iterable[FileLine], mirror: Mirror, sha: str) -> Mapping[FileLine, GitLine]:
    by_file: dict[str, set[int]] = defaultdict(set)
    for file, line in lines:
        by_file[file].add(line)
    try:
        blamed = await mirror.blame(sha, by_file)
    except GitError:
        blamed = {}
    return {
        (file, line): blamed.get(file, {}).get(line) or GitLine(file, line)
        for file, numbers in by_file.items()
        for line in numbers
    }
