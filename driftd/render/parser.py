"""Parsing files into manifests, with and without a cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol
from weakref import WeakValueDictionary

from driftd.model.packing import DictionaryBuilder
from driftd.model.resource import Manifest
from driftd.render.file_tree import TreeFile
from driftd.render.manifests import read_manifests
from driftd.render.rendering import RenderedPart

FileKey = tuple[str, str]
"""The blob and the path of a file, of which its manifests are a function."""

PendingParts = Callable[[], Mapping[str, RenderedPart]]
"""Waits for the parsed files and returns them by path."""


class Parser(Protocol):
    """Parses files into manifests. Equal content at the same path gives equal manifests."""

    def cached(self, file: TreeFile) -> RenderedPart | None:
        """The parsed file, if it is available without its content."""

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        """Parses files with these contents, possibly in another process."""

    def known(self, folder: str) -> dict[FileKey, RenderedPart]:
        """The parsed files in a folder and below it that are available without their content."""

    def keep(self, key: FileKey, part: RenderedPart) -> RenderedPart:
        """A file that was parsed elsewhere, in the form in which it is kept in memory, and available from now on."""

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        """The manifests in the form in which they are kept in memory."""


class UncachedParser:
    """Parses without a cache."""

    def cached(self, _file: TreeFile) -> None:
        return None

    def known(self, _folder: str) -> dict[FileKey, RenderedPart]:
        return {}

    def keep(self, _key: FileKey, part: RenderedPart) -> RenderedPart:
        return part

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        parts = {file.path: read_manifests(data, file.path) for file, data in files.items()}
        return lambda: parts

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(manifests)


class CachingParser:
    """Caches the parsed files of several revisions and apps for as long as they are referenced.

    A new revision costs the files that it changed, and two apps that share a file share its manifests. Manifests are
    kept packed. Thread-safe: at worst a file is parsed twice.
    """

    def __init__(self) -> None:
        self._cache: WeakValueDictionary[FileKey, RenderedPart] = WeakValueDictionary()
        self._samples: defaultdict[tuple[str, str], DictionaryBuilder] = defaultdict(DictionaryBuilder)

    def cached(self, file: TreeFile) -> RenderedPart | None:
        return self._cache.get((file.blob, file.path))

    def __len__(self) -> int:
        return len(self._cache)

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        parts: dict[str, RenderedPart] = {}
        for file, data in files.items():
            parts[file.path] = self.keep((file.blob, file.path), read_manifests(data, file.path))
        return lambda: parts

    def known(self, folder: str) -> dict[FileKey, RenderedPart]:
        prefix = f"{folder}/" if folder else ""
        references = [ref for ref in self._cache.valuerefs() if ref.key[1] == folder or ref.key[1].startswith(prefix)]
        return {ref.key: part for ref in references if (part := ref()) is not None}

    def keep(self, key: FileKey, part: RenderedPart) -> RenderedPart:
        self._cache[key] = kept = replace(part, manifests=self.deduplicated(part.manifests))
        return kept

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple([m.packed(self._samples[m.api_version, m.ref.kind]) for m in manifests])
