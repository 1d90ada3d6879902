"""What the apps declare, and which objects several of them do: known from Git alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from driftd.live.mapping import RestMapping
from driftd.model.app import App
from driftd.model.resource import ResourceRef, Source

SharedObjects = Mapping[ResourceRef, "tuple[Declaration, ...]"]
"""The objects of one app that others declare, too, with their declarations."""

_NOTHING: SharedObjects = {}


@dataclass(frozen=True, slots=True, order=True)
class Declaration:
    """One app's declaration of an object. `at_work`: passes are made over the app, here or by another process."""

    app: str
    file: str
    line: int
    at_work: bool = True

    def __str__(self) -> str:
        return f"{self.app} ({self.file}:{self.line})"


@dataclass(frozen=True, slots=True)
class StoredDeclarations:
    """What an app declares by its last report. `at_work`: another process makes passes over it."""

    cluster: str
    sources: Mapping[ResourceRef, Source]
    at_work: bool


@dataclass(frozen=True, slots=True)
class _Declared:
    """What one app declares: the objects in its order, and where each is declared."""

    cluster: str
    refs: AbstractSet[ResourceRef]
    source_of: Callable[[ResourceRef], Source]
    at_work: bool


def _ignore(_app: str) -> None:
    """Nothing follows from a change, where each app has one pass only."""


class DeclaredObjects:
    """The objects that each app declares: by its current manifests in this process, else as the store has it.

    `on_change` is called with an app whose shared objects changed.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[str], None] = _ignore
        self._mappings: dict[str, RestMapping] = {}
        self._stored: Mapping[str, StoredDeclarations] = {}
        self._apps: dict[str, _Declared] = {}
        self._owners: dict[tuple[str, ResourceRef], tuple[str, ...]] = {}
        self._shared: dict[str, SharedObjects] = {}

    def declare(self, app: App, mapping: RestMapping) -> SharedObjects:
        """Takes in what an app declares now. Returns: its objects that other apps of its cluster declare, too.

        Nothing is compared while the mapping is the same object.
        """
        if self._mappings.get(app.name) is not mapping:
            self._mappings[app.name] = mapping
            self._update([app.name], {app.name: _mapped(app.cluster, mapping)})
        return self._shared.get(app.name, _NOTHING)

    def declared_here(self, app: str) -> bool:
        """Whether this process has read what an app declares."""
        return app in self._mappings

    def stored(self, app: str, cluster: str) -> AbstractSet[ResourceRef]:
        """What an app that this process has yet to read declares by its last report."""
        known = self._stored.get(app)
        return known.sources.keys() if known is not None and known.cluster == cluster else frozenset()

    def at_work_elsewhere(self, app: str) -> bool:
        """Whether another process makes passes over an app, so that it is known from the store."""
        return app in self._stored and self._stored[app].at_work

    def forget(self, app: str) -> None:
        """What this process has read of an app does not count any more."""
        if self._mappings.pop(app, None) is not None:
            self._update([app], {app: _stored(self._stored[app])} if app in self._stored else {})

    def set_stored(self, stored: Mapping[str, StoredDeclarations]) -> None:
        """Takes in what the store has of the apps; it counts for those of which this process has read nothing."""
        before, self._stored = self._stored, stored
        changed = [app for app in {*before, *stored} if before.get(app) is not stored.get(app)]
        changed = [app for app in changed if app not in self._mappings]
        self._update(changed, {app: _stored(stored[app]) for app in changed if app in stored})

    def _update(self, apps: Iterable[str], declared: Mapping[str, _Declared]) -> None:
        """Replaces what some apps declare; those that are not in `declared` declare nothing any more."""
        concerned = set[str]()
        for app in apps:
            if (old := self._apps.pop(app, None)) is not None:
                concerned.update(self._disown(app, old))
            if (new := declared.get(app)) is not None:
                self._apps[app] = new
                concerned.update(self._own(app, new))
            concerned.add(app)
        shared = {name: self._shared_of(name) for name in concerned}
        changed = [name for name in concerned if shared[name] != self._shared.get(name, _NOTHING)]
        self._shared |= shared
        for name in sorted(changed):
            self.on_change(name)

    def _own(self, app: str, declared: _Declared) -> set[str]:
        """Makes an app one of the owners of its objects. Returns: the others that have any of them."""
        alone, others = (app,), set[str]()
        for ref in declared.refs:
            key = (declared.cluster, ref)
            owners = self._owners.get(key)
            if owners is None:
                self._owners[key] = alone
            else:
                self._owners[key] = tuple(sorted((*owners, app)))
                others.update(owners)
        return others

    def _disown(self, app: str, declared: _Declared) -> set[str]:
        """The reverse. Returns: the others that have any of them."""
        others = set[str]()
        for ref in declared.refs:
            key = (declared.cluster, ref)
            left = tuple([owner for owner in self._owners.pop(key) if owner != app])
            if left:
                self._owners[key] = left
                others.update(left)
        return others

    def _shared_of(self, app: str) -> SharedObjects:
        own = self._apps.get(app)
        if own is None:
            return _NOTHING
        return {
            ref: tuple([self._declaration(owner, ref) for owner in owners if owner != app])
            for ref in own.refs
            if len(owners := self._owners[own.cluster, ref]) > 1
        }

    def _declaration(self, app: str, ref: ResourceRef) -> Declaration:
        declared = self._apps[app]
        source = declared.source_of(ref)
        return Declaration(app, source.file, source.line, declared.at_work)


def _mapped(cluster: str, mapping: RestMapping) -> _Declared:
    return _Declared(cluster, mapping.by_ref.keys(), lambda ref: mapping.by_ref[ref].manifest.source, at_work=True)


def _stored(declared: StoredDeclarations) -> _Declared:
    sources = declared.sources
    return _Declared(declared.cluster, sources.keys(), sources.__getitem__, declared.at_work)


def describe_shared(app: str, mapping: RestMapping, shared: SharedObjects) -> dict[ResourceRef, str]:
    """A sentence for each object of an app that others declare, too: it names all files."""
    sentences = {}
    for ref, others in shared.items():
        source = mapping.by_ref[ref].manifest.source
        named = ", ".join(map(str, sorted((Declaration(app, source.file, source.line), *others))))
        sentences[ref] = f"{ref} is declared by several apps, and written for none of them: {named}"
    return sentences


def tells(app: str, others: Iterable[Declaration]) -> bool:
    """Whether an app is the one that tells of an object that others declare, too: the first by name that is at work."""
    return all(app < other.app for other in others if other.at_work)
