"""Who makes manifests of files: each for itself, or only those that were not made before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol
from weakref import WeakValueDictionary

from driftd.model.packing import DictionaryBuilder
from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from driftd.render.rendering import Objects
from driftd.render.tree import TreeFile

Pending = Callable[[], Mapping[str, Objects]]
"""Gives what each of some files declares, by their paths, once it is there."""


class Parser(Protocol):
    """Makes manifests of files. The same content under the same name gives the same manifests."""

    def cached(self, file: TreeFile) -> Objects | None:
        """What a file declares, if that is known without its content."""

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        """Sees to it that files with these contents are parsed."""

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        """Manifests as they are to be kept."""


class UncachedParser:
    """Parses what it is given, and keeps nothing."""

    def cached(self, _file: TreeFile) -> None:
        return None

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        found = {file.path: read_manifests(data, file.path) for file, data in files.items()}
        return lambda: found

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(manifests)


class CachingParser:
    """What the files of several revisions and apps declare, for as long as somebody holds it.

    So a revision costs the files that it changed, and two apps that share a file share its manifests. These are kept
    packed. Safe to use from several threads: at worst a file is parsed twice.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str], Objects] = WeakValueDictionary()
        self._samples: defaultdict[tuple[str, str], DictionaryBuilder] = defaultdict(DictionaryBuilder)

    def cached(self, file: TreeFile) -> Objects | None:
        return self._known.get((file.blob, file.path))

    def __len__(self) -> int:
        return len(self._known)

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        found: dict[str, Objects] = {}
        for file, data in files.items():
            objects = read_manifests(data, file.path)
            self._known[file.blob, file.path] = found[file.path] = replace(
                objects, manifests=self.deduplicated(objects.manifests)
            )
        return lambda: found

    def deduplicated(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple([one.packed(self._samples[one.api_version, one.ref.kind]) for one in manifests])
