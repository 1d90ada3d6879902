"""Files that were parsed before: the same content under the same name gives the same manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from weakref import WeakValueDictionary

from driftd.model.packing import Samples
from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from driftd.render.options import Objects
from driftd.render.tree import TreeFile


class ParsedFiles:
    """What the files of several revisions and apps declare, for as long as somebody holds it.

    So a revision costs the files that it changed, and two apps that share a file share its manifests. These are kept
    packed. Safe to use from several threads: at worst a file is parsed twice.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str], Objects] = WeakValueDictionary()
        self._samples: defaultdict[tuple[str, str], Samples] = defaultdict(Samples)

    def known(self, file: TreeFile) -> Objects | None:
        return self._known.get((file.blob, file.path))

    def __len__(self) -> int:
        return len(self._known)

    def parse(self, file: TreeFile, data: bytes) -> Objects:
        """What the file declares, `data` being its content."""
        found = read_manifests(data, file.path)
        packed = replace(found, manifests=self.packed(found.manifests))
        self._known[file.blob, file.path] = packed
        return packed

    def packed(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        """Manifests as they are kept."""
        return tuple([one.packed(self._samples[one.api_version, one.ref.kind]) for one in manifests])
