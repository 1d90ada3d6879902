"""What Git declared of an app's objects before, by whichever way it came from Git."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from driftd.model.drift import Behind, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.model.revision import Revision

MAX_COMMITS = 50
"""So many commits of an app's path are looked back at."""


@dataclass(frozen=True, slots=True)
class EarlierDeclaration:
    """What an earlier commit declared of an object: `manifest` is None where it declared no such object.

    `position` is the commit's in the history of the app's path, the newest being 0.
    """

    position: int
    behind: Behind
    manifest: Manifest | None


EarlierDeclarations = Mapping[ResourceRef, Sequence[EarlierDeclaration]]
"""Of some objects, what was declared otherwise than now: newest first, and each once for as long as it stayed."""


@dataclass(frozen=True, slots=True)
class LagExplanation:
    """What an earlier revision explains of an object that differs: these of its fields, or that it is missing."""

    earlier: EarlierDeclaration
    fields: frozenset[FieldPath] = frozenset()

    def marked(self, verdict: Verdict) -> Verdict:
        fields = tuple(replace(f, behind=True) if f.path in self.fields else f for f in verdict.fields)
        return replace(verdict, fields=fields, behind=self.earlier.behind)


class DeclarationTrail:
    """Collects what was declared of one object, from the newest commit on."""

    def __init__(self, now: Manifest) -> None:
        self.ref = now.ref
        self.found: list[EarlierDeclaration] = []
        self._last: JsonObject | None = now.body

    def add(self, position: int, commits: int, revision: Revision, manifest: Manifest | None) -> None:
        """`commits` is how many of them have touched what the object is made from since this revision."""
        placed = manifest.in_namespace(self.ref.namespace) if manifest is not None else None
        body = placed.body if placed is not None else None
        if body != self._last:
            self._last = body
            self.found.append(EarlierDeclaration(position, Behind(commits, revision), placed))


class DeclaredSet:
    """Some manifests, to be found by the place that their objects have in the cluster.

    `namespace` is that of objects that name none, if it is known. `whole` is False where some could not be read, so
    that what is not among these may have been declared all the same.
    """

    def __init__(self, manifests: Iterable[Manifest], namespace: str | None, *, whole: bool) -> None:
        self.whole = whole
        self._namespace = namespace
        self._named: dict[tuple[str, str, str], list[Manifest]] = defaultdict(list)
        for manifest in manifests:
            self._named[manifest.ref.group, manifest.ref.kind, manifest.ref.name].append(manifest)

    def of(self, ref: ResourceRef) -> Manifest | None:
        alike = self._named.get((ref.group, ref.kind, ref.name), ())
        return next((manifest for manifest in alike if self._is_at(manifest, ref.namespace)), None)

    def _is_at(self, manifest: Manifest, namespace: str | None) -> bool:
        own = manifest.ref.namespace
        return namespace is None or own == namespace or (own is None and self._namespace in (None, namespace))
