"""What an app declares, put together from what its files and programs gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from driftd.model.errors import RenderError
from driftd.model.resource import Manifest, ResourceRef


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Objects:
    """What a part of an app declares, and what of it could not be read."""

    manifests: tuple[Manifest, ...] = ()
    errors: tuple[RenderError, ...] = ()


class RenderKind(StrEnum):
    """What made the manifests."""

    YAML = "yaml"
    KUSTOMIZE = "kustomize"
    HELM = "helm"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What an app declares at one revision.

    With `errors`, the manifests are only a part of it: what is missing from them says nothing about Git. `parts` are
    what its files gave: as long as somebody holds these, nobody parses the files again.
    """

    kind: RenderKind
    manifests: tuple[Manifest, ...]
    errors: tuple[RenderError, ...]
    parts: tuple[Objects, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(
        cls,
        kind: RenderKind,
        parts: Sequence[Objects],
        namespace: str,
        kept: Callable[[Iterable[Manifest]], tuple[Manifest, ...]] = tuple,
    ) -> Rendering:
        """What the parts of an app declare together: an object that is declared twice counts once, as it stands first,
        and the other is an error.

        `namespace` is that of objects that name none; `kept` says how manifests are kept.
        """
        manifests, twice = _duplicates((m for part in parts for m in part.manifests), namespace)
        return cls(kind, kept(manifests), (*(error for part in parts for error in part.errors), *twice), tuple(parts))

    def sharing(self, earlier: Sequence[Manifest]) -> Rendering:
        """The same rendering with the very objects of `earlier` where these declare the same: each is held once."""
        before, now = {id(one) for one in earlier}, {id(one) for one in self.manifests}
        by_key = {one.key: one for one in earlier if id(one) not in now}
        if not by_key:
            return self
        shared = [one if id(one) in before else by_key.get(one.key, one) for one in self.manifests]
        return replace(self, manifests=tuple(shared))


def _duplicates(manifests: Iterable[Manifest], namespace: str) -> tuple[tuple[Manifest, ...], tuple[RenderError, ...]]:
    """The manifests without those of objects declared before, and an error for each of these."""
    seen: dict[ResourceRef, Manifest] = {}
    errors = []
    for manifest in manifests:
        ref, source = manifest.ref, manifest.source
        first = seen.setdefault(ref if ref.namespace else replace(ref, namespace=namespace), manifest)
        if first is not manifest:
            message = f"{ref} is declared twice: also in {first.source.file}:{first.source.line}"
            errors.append(RenderError(message, file=source.file, line=source.line))
    return tuple(seen.values()), tuple(errors)
