"""What the apps of one process declare, and which objects two of them do: known from Git alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driftd.live.mapping import RestMapping
from driftd.model.app import App
from driftd.model.resource import ResourceRef, Source

_NOTHING: Mapping[ResourceRef, tuple[Declaration, ...]] = {}


@dataclass(frozen=True, slots=True, order=True)
class Declaration:
    """One app's declaration of an object."""

    app: str
    file: str
    line: int

    @classmethod
    def of(cls, app: str, source: Source) -> Declaration:
        return cls(app, source.file, source.line)

    def __str__(self) -> str:
        return f"{self.app} ({self.file}:{self.line})"


def _ignore(_app: str) -> None:
    """Nothing follows from a change, where each app has one pass only."""


class DeclaredObjects:
    """The objects of each app's current manifests. `on_change` is called with an app whose shared objects changed."""

    def __init__(self) -> None:
        self.on_change: Callable[[str], None] = _ignore
        self._mappings: dict[str, tuple[str, RestMapping]] = {}
        self._shared: dict[str, Mapping[ResourceRef, tuple[Declaration, ...]]] = {}

    def declare(self, app: App, mapping: RestMapping) -> Mapping[ResourceRef, tuple[Declaration, ...]]:
        """Takes in what an app declares now. Returns: its objects that other apps of its cluster declare, too.

        Nothing is compared while the mapping is the same object.
        """
        known = self._mappings.get(app.name)
        if known is None or known[1] is not mapping:
            self._mappings[app.name] = (app.cluster, mapping)
            self._update()
        return self._shared.get(app.name, _NOTHING)

    def forget(self, app: str) -> None:
        """An app that this process does not work on any more declares nothing here."""
        if self._mappings.pop(app, None) is not None:
            self._update()

    def _update(self) -> None:
        shared = {name: self._shared_of(name) for name in self._mappings}
        changed = {name for name in shared if shared[name] != self._shared.get(name, _NOTHING)}
        self._shared = shared
        for name in sorted(changed):
            self.on_change(name)

    def _shared_of(self, app: str) -> Mapping[ResourceRef, tuple[Declaration, ...]]:
        cluster, own = self._mappings[app]
        others: dict[ResourceRef, list[Declaration]] = {}
        for name, (where, mapping) in self._mappings.items():
            if name == app or where != cluster:
                continue
            for ref in own.by_ref.keys() & mapping.by_ref.keys():
                others.setdefault(ref, []).append(Declaration.of(name, mapping.by_ref[ref].manifest.source))
        return {ref: tuple(sorted(others[ref])) for ref in own.by_ref if ref in others}


def describe_shared(
    app: str, mapping: RestMapping, shared: Mapping[ResourceRef, tuple[Declaration, ...]]
) -> tuple[str, ...]:
    """A sentence for each object that several apps declare, where it is this one that tells: the first by name."""
    sentences = []
    for ref, others in shared.items():
        if app < others[0].app:
            own = Declaration.of(app, mapping.by_ref[ref].manifest.source)
            named = ", ".join(map(str, (own, *others)))
            sentences.append(f"{ref} is declared by several apps, and written for none of them: {named}")
    return tuple(sentences)
