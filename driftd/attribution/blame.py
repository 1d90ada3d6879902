"""Blame for drifted fields: the line that declares the value, and the commit that wrote it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.drift import Verdict
from driftd.model.errors import GitError
from driftd.model.revision import GitLine
from driftd.render.yaml.line_numbers import field_lines

FileLine = tuple[str, int]


async def add_blame(verdicts: Sequence[Verdict], mirror: MirroredCommits, sha: str) -> tuple[Verdict, ...]:
    """The verdicts with each field's line in Git and the commit that wrote it.

    A field that Kustomize or Helm rendered gets the line of its object's file. If blame fails, the line has no commit:
    attribution never costs a verdict.
    """
    drifted = [verdict for verdict in verdicts if verdict.fields and verdict.source is not None]
    if not drifted:
        return tuple(verdicts)
    files = await _files({verdict.source.file for verdict in drifted if verdict.source}, mirror, sha)
    declaring = iter(await asyncio.to_thread(_declaring_lines, drifted, files))
    lines = {
        (number, index): next(declaring)
        for number, verdict in enumerate(drifted)
        for index in range(len(verdict.fields))
    }
    blamed = await _blame(lines.values(), mirror, sha)
    attributed = {
        id(verdict): replace(
            verdict,
            fields=tuple(
                replace(drift, git=blamed[lines[number, index]]) for index, drift in enumerate(verdict.fields)
            ),
        )
        for number, verdict in enumerate(drifted)
    }
    return tuple(attributed.get(id(verdict), verdict) for verdict in verdicts)


async def _files(names: set[str], mirror: MirroredCommits, sha: str) -> Mapping[str, bytes]:
    try:
        return await asyncio.to_thread(mirror.tree_at(sha).read, sorted(names))
    except GitError:
        return {}


def _declaring_lines(drifted: Sequence[Verdict], files: Mapping[str, bytes]) -> list[FileLine]:
    """The lines that declare the fields of all verdicts, in their order: each file is read once for all of them."""
    fields = [(verdict.source, drift.at) for verdict in drifted if verdict.source for drift in verdict.fields]
    lines = [(source.file, source.line) for source, _ in fields]
    by_file = defaultdict[str, list[int]](list)
    for index, (source, _) in enumerate(fields):
        if source.file in files:
            by_file[source.file].append(index)
    for file, indexes in by_file.items():
        found = field_lines(files[file], [fields[index] for index in indexes])
        for index, line in zip(indexes, found, strict=True):
            lines[index] = file, line
    return lines


async def _blame(lines: Iterable[FileLine], mirror: MirroredCommits, sha: str) -> Mapping[FileLine, GitLine]:
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
