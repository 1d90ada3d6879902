"""Earlier declarations of an app's objects, from plain files or rendered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from driftd.model.drift import Behind, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.model.revision import Revision

MAX_COMMITS = 50
"""Maximum number of commits in the history of an app's path that are searched."""


@dataclass(frozen=True, slots=True)
class EarlierDeclaration:
    """The declaration of an object in an earlier commit: `manifest` is None if that did not declare the object.

    `position` is that of the commit in the history of the app's path, the newest being 0.
    """

    position: int
    behind: Behind
    manifest: Manifest | None


EarlierDeclarations = Mapping[ResourceRef, Sequence[EarlierDeclaration]]
"""The earlier declarations of objects that differ from the current ones, newest first, each where it was last valid."""


@dataclass(frozen=True, slots=True)
class LagExplanation:
    """An earlier declaration that explains a difference: the `fields` of an object, or that it is missing."""

    earlier: EarlierDeclaration
    fields: frozenset[FieldPath] = frozenset()

    def marked(self, verdict: Verdict) -> Verdict:
        """The verdict with the explained fields marked as behind."""
        fields = tuple(replace(f, behind=True) if f.path in self.fields else f for f in verdict.fields)
        return replace(verdict, fields=fields, behind=self.earlier.behind)


class DeclarationTrail:
    """Collects the earlier declarations of one object, from the newest commit on."""

    def __init__(self, current: Manifest) -> None:
        self.ref = current.ref
        self.earlier: list[EarlierDeclaration] = []
        self._last: JsonObject | None = current.body

    def add(self, position: int, commits: int, revision: Revision, manifest: Manifest | None) -> None:
        """Adds the declaration at a revision. `commits` is the number of commits since that changed its inputs."""
        namespaced = manifest.in_namespace(self.ref.namespace) if manifest is not None else None
        body = namespaced.body if namespaced is not None else None
        if body != self._last:
            self._last = body
            self.earlier.append(EarlierDeclaration(position, Behind(commits, revision), namespaced))


class DeclaredSet:
    """The manifests of a commit by their refs in the cluster.

    `namespace` is that of objects that name none, if it is known. `complete` is False if some manifests could not be
    read, so that an object that is not in this set may have been declared all the same.
    """

    def __init__(self, manifests: Iterable[Manifest], namespace: str | None, *, complete: bool) -> None:
        self.complete = complete
        self._namespace = namespace
        self._named: dict[tuple[str, str, str], list[Manifest]] = defaultdict(list)
        for manifest in manifests:
            self._named[manifest.ref.group, manifest.ref.kind, manifest.ref.name].append(manifest)

    def of(self, ref: ResourceRef) -> Manifest | None:
        """The manifest of an object, or None."""
        same_name = self._named.get((ref.group, ref.kind, ref.name), ())
        return next((manifest for manifest in same_name if self._is_in(manifest, ref.namespace)), None)

    def _is_in(self, manifest: Manifest, namespace: str | None) -> bool:
        own = manifest.ref.namespace
        return namespace is None or own == namespace or (own is None and self._namespace in (None, namespace))
