"""The rendered manifests of an app, merged from its files and the output of programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from driftd.model.errors import RenderError
from driftd.model.hook import Hook
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.text import plural

MAX_ERRORS = 100
"""Of one app that are told."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RenderedPart:
    """The manifests, errors and hooks of one part of an app: of a file, or of the output of Kustomize or Helm."""

    manifests: tuple[Manifest, ...] = ()
    errors: tuple[RenderError, ...] = ()
    hooks: tuple[Hook, ...] = ()


class RenderKind(StrEnum):
    """What rendered the manifests."""

    YAML = "yaml"
    KUSTOMIZE = "kustomize"
    HELM = "helm"


@dataclass(frozen=True, slots=True)
class Rendering:
    """The manifests that an app declares at one revision.

    With `errors`, the manifests are incomplete: a missing one may be declared all the same. `hooks` are declared and no
    part of the desired state. `parts` are kept because
    `CachingParser` caches them only as long as they are referenced.
    """

    kind: RenderKind
    manifests: tuple[Manifest, ...]
    errors: tuple[RenderError, ...]
    hooks: tuple[Hook, ...] = ()
    parts: tuple[RenderedPart, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def merge(
        cls,
        kind: RenderKind,
        parts: Sequence[RenderedPart],
        namespace: str,
        deduplicated: Callable[[Iterable[Manifest]], tuple[Manifest, ...]] = tuple,
    ) -> Rendering:
        """Merges the parts of an app: the first declaration of an object counts, any other one is an error.

        `namespace` is that of objects without one; `deduplicated` is as in `Parser`.
        """
        manifests, duplicates = _without_duplicates((m for part in parts for m in part.manifests), namespace)
        return cls(
            kind,
            deduplicated(manifests),
            _told([*(error for part in parts for error in part.errors), *duplicates]),
            tuple([hook for part in parts for hook in part.hooks]),
            tuple(parts),
        )

    def sharing(self, earlier: Sequence[Manifest]) -> Rendering:
        """This rendering with the manifests of `earlier` in place of equal ones, so that each is in memory once."""
        earlier_ids, current_ids = {id(m) for m in earlier}, {id(m) for m in self.manifests}
        by_key = {m.key: m for m in earlier if id(m) not in current_ids}
        if not by_key:
            return self
        shared = [m if id(m) in earlier_ids else by_key.get(m.key, m) for m in self.manifests]
        return replace(self, manifests=tuple(shared))


def _told(errors: Sequence[RenderError]) -> tuple[RenderError, ...]:
    """The errors that are told, and how many there are besides: nobody reads thousands, and they are kept and sent."""
    if len(errors) <= MAX_ERRORS:
        return tuple(errors)
    first, *others = errors[MAX_ERRORS:]
    rest = f"{first.message} (and {plural(len(others), 'more error')})" if others else first.message
    return (*errors[:MAX_ERRORS], RenderError(rest, file=first.file, line=first.line, column=first.column))


def _without_duplicates(
    manifests: Iterable[Manifest], namespace: str
) -> tuple[tuple[Manifest, ...], tuple[RenderError, ...]]:
    """The first manifest of each object, and an error for each further one."""
    by_ref: dict[ResourceRef, Manifest] = {}
    errors = []
    for manifest in manifests:
        ref, source = manifest.ref, manifest.source
        first = by_ref.setdefault(ref if ref.namespace else replace(ref, namespace=namespace), manifest)
        if first is not manifest:
            message = f"{ref} is declared twice: also in {first.source.file}:{first.source.line}"
            errors.append(RenderError(message, file=source.file, line=source.line))
    return tuple(by_ref.values()), tuple(errors)
