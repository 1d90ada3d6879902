"""Charts of Helm repositories: an index, and archives.

Source: helm.sh/docs/topics/chart_repository.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import yaml

from driftd.artifacts.artifact import MAX_PACKED, Artifact, time_of
from driftd.artifacts.https import HttpsReader
from driftd.artifacts.source import ArtifactSource
from driftd.model.errors import GitError, RefNotFound

_MAX_INDEX = 128 << 20
_MAX_EVENTS = 1_000_000
"""Of the entries of one chart."""
_MAX_DEPTH = 64
"""libyaml takes time by the square of the depth, and a real index has less than ten levels."""


async def fetch_chart(source: ArtifactSource, reader: HttpsReader) -> Artifact:
    """The archive of a chart's version, as its repository's index has it. Raises: GitError."""
    base = source.url.rstrip("/") + "/"
    index = await reader.get(urljoin(base, "index.yaml"), _MAX_INDEX)
    if index.status != 200:
        raise reader.refused(index)
    entry = await asyncio.to_thread(_entry, index.body, source)  # some are of tens of megabytes
    urls = [url for url in entry.get("urls") or () if isinstance(url, str)]
    if not urls:
        raise GitError(f"{source}: the index of the repository has no address of version {source.applied}")
    url = urljoin(base, urls[0])
    if not url.startswith("https://"):
        raise GitError(f"{source}: the address of version {source.applied} in the index is not https")
    answer = await reader.get(url, MAX_PACKED)
    if answer.status != 200:
        raise reader.refused(answer)
    digest = hashlib.sha256(answer.body).hexdigest()
    declared = str(entry.get("digest") or "").removeprefix("sha256:")
    if declared and declared != digest:
        raise GitError(f"{source}: version {source.applied} is not what the index of the repository says (its digest)")
    return Artifact(answer.body, digest, time_of(entry.get("created")))


def _entry(index: bytes, source: ArtifactSource) -> Mapping[str, Any]:
    """What an index says of the source's version. Raises: RefNotFound; GitError: it is no index."""
    try:
        versions = list(_versions(index, source.chart))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise GitError(f"{source}: the index of the repository cannot be read") from None
    for entry in versions:
        if str(entry.get("version")).removeprefix("v") == source.applied.removeprefix("v"):
            return entry
    raise RefNotFound(f"{source}: the repository does not have version {source.applied} (any more)")


def _versions(index: bytes, chart: str) -> Iterator[Mapping[str, Any]]:
    """The entries of one chart. An index has those of all charts: the others are passed over, and never held."""
    loader = yaml.CSafeLoader(index)
    try:
        events = _events(loader)
        for key in _keys(events):
            if key != "entries":
                _pass_over(events)
                continue
            for name in _keys(events):
                if name != chart:
                    _pass_over(events)
                    continue
                found = yaml.safe_load(yaml.emit([*_BEFORE, *_taken(events), *_AFTER]))
                yield from [entry for entry in found or () if isinstance(entry, dict)]
    finally:
        loader.dispose()


_BEFORE = (yaml.StreamStartEvent(), yaml.DocumentStartEvent())
_AFTER = (yaml.DocumentEndEvent(), yaml.StreamEndEvent())
_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def _events(loader: yaml.CSafeLoader) -> Iterator[yaml.Event]:
    """The events within the document. Raises: YAMLError: it is nested too deeply."""
    depth = 0
    while loader.check_event():
        event = loader.get_event()
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError("nested too deeply")
        if event is not None and not isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            yield event


def _keys(events: Iterator[yaml.Event]) -> Iterator[str]:
    """The keys of the map that begins; whoever takes one takes its value, too."""
    if not isinstance(next(events, None), yaml.MappingStartEvent):
        raise yaml.YAMLError("no map")
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return
        if not isinstance(event, yaml.ScalarEvent):
            raise yaml.YAMLError("no key")
        yield event.value


def _value(events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """The events of the value that begins."""
    depth = 0
    for event in events:
        yield event
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
        if depth == 0:
            break


def _pass_over(events: Iterator[yaml.Event]) -> None:
    for _ in _value(events):
        pass


def _taken(events: Iterator[yaml.Event]) -> list[yaml.Event]:
    """Raises: YAMLError: there are too many."""
    taken = []
    for event in _value(events):
        taken.append(event)
        if len(taken) > _MAX_EVENTS:
            raise yaml.YAMLError("too large")
    return taken
