"""Known field managers: controllers with the fields that they write, deployers with their marks, and tools of people.

The table is `field_managers.toml`, which the configuration extends. Managers are identified by name alone, and any
client may choose any name: so a name is believed only for what its program really writes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from driftd.diff.rules.globs import matches_any
from driftd.model.drift import FieldOwner


@dataclass(frozen=True, slots=True)
class WrittenFields:
    """Undeclared fields that are somebody's work: patterns of paths, and the kinds of the objects.

    Empty `kinds` mean all kinds, empty `paths` all fields; `*` in a path matches any run of characters.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def cover(self, kind: str, path: str) -> bool:
        return (not self.kinds or kind in self.kinds) and (not self.paths or matches_any(self.paths, path))


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller (patterns of manager names) and what it writes."""

    managers: tuple[str, ...]
    writes: WrittenFields


@dataclass(frozen=True, slots=True)
class DeployerRow:
    """A deployer (patterns of manager names) and its marks: fields by which it knows the objects that it deploys.

    With an `operation` (Apply), it is one only where it writes in that way. One that writes without being asked has
    `claims`: groups of paths of labels and annotations that say that it, the `product`, keeps the object. The first
    complete group names the `keeper`. Fields of `controllers` say as much without any mark, but for kinds of the API
    `groups` that are its own.
    """

    managers: tuple[str, ...]
    marks: tuple[str, ...] = ()
    operation: str | None = None
    product: str = ""
    claims: tuple[tuple[str, ...], ...] = ()
    keeper: str = ""
    controllers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> DeployerRow:
        return cls(
            managers=_texts(row, "managers"),
            marks=_texts(row, "marks"),
            operation=row.get("operation"),
            product=row.get("product", row["name"]),
            claims=tuple(tuple(group) for group in row.get("claims", ())),
            keeper=row.get("keeper", ""),
            controllers=_texts(row, "controllers"),
            groups=_texts(row, "groups"),
        )

    def is_controller(self, manager: str) -> bool:
        """Whether what this manager owns is kept by the deployer, marked or not."""
        return bool(self.controllers) and _matches_any(manager, self.controllers)

    def is_by(self, owner: FieldOwner) -> bool:
        return self.is_writer(owner.manager, owner.operation)

    def is_writer(self, manager: str, operation: str) -> bool:
        return self.operation in (None, operation) and _matches_any(manager, self.managers)


@dataclass(frozen=True, slots=True)
class Managers:
    """Classifies field managers by name.

    `interactive` are tools with which people change single fields, `people` those and others that are in people's
    hands. `bookkeeping` is what controllers under any name note on objects of others.
    """

    controllers: tuple[Controller, ...] = ()
    bookkeeping: tuple[WrittenFields, ...] = ()
    deployers: tuple[DeployerRow, ...] = ()
    interactive: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    _writes: dict[str, tuple[WrittenFields, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Managers:
        """From a table in the form of `field_managers.toml`."""
        return cls(
            tuple(Controller(_texts(row, "managers"), _written(row)) for row in table["controllers"]),
            tuple(_written(row) for row in table["bookkeeping"]),
            tuple(DeployerRow.parse(row) for row in table["deployers"]),
            _texts(table, "interactive"),
            (*_texts(table, "interactive"), *_texts(table, "people")),
        )

    def extended(
        self, *, controllers: tuple[Controller, ...] = (), deployers: tuple[DeployerRow, ...] = ()
    ) -> Managers:
        """The same with additional controllers and deployers."""
        return replace(self, controllers=(*self.controllers, *controllers), deployers=(*self.deployers, *deployers))

    def is_controller(self, owner: FieldOwner) -> bool:
        """Whether this is a controller, by name or because it writes the status; controllers deploy nothing."""
        return owner.subresource == "status" or bool(self._written_by(owner.manager))

    def writes_everything(self, owner: FieldOwner) -> bool:
        """Whether every field of this manager is a controller's work: of the status, or as the configuration says."""
        if owner.subresource == "status":
            return True
        return any(not written.paths and not written.kinds for written in self._written_by(owner.manager))

    def is_work(self, owner: FieldOwner, kind: str, path: str) -> bool:
        """Whether the undeclared field at `path` is the work of its owner, a controller that does not deploy."""
        if owner.subresource == "status" or any(w.cover(kind, path) for w in self._written_by(owner.manager)):
            return True
        if self.is_of_people(owner) or self.is_deployer(owner):
            return False
        return self.is_bookkeeping(kind, path)

    def is_bookkeeping(self, kind: str, path: str) -> bool:
        """Whether the field at `path` tells by itself that a controller keeps it."""
        return any(written.cover(kind, path) for written in self.bookkeeping)

    def is_mark(self, owner: FieldOwner, path: str) -> bool:
        """Whether the field at `path` is a mark of its owner, a deployer."""
        return any(row.is_by(owner) and bool(row.marks) and matches_any(row.marks, path) for row in self.deployers)

    def is_interactive(self, owner: FieldOwner) -> bool:
        return _matches_any(owner.manager, self.interactive)

    def is_of_people(self, owner: FieldOwner) -> bool:
        """Whether people use this tool: not every request under its name is that of a program."""
        return _matches_any(owner.manager, self.people)

    def is_deployer(self, owner: FieldOwner) -> bool:
        return any(row.is_by(owner) for row in self.deployers)

    def _written_by(self, manager: str) -> tuple[WrittenFields, ...]:
        written = self._writes.get(manager)
        if written is None:
            written = tuple(c.writes for c in self.controllers if _matches_any(manager, c.managers))
            self._writes[manager] = written
        return written


@cache
def built_in_managers() -> Managers:
    """The managers of `field_managers.toml`."""
    return Managers.parse(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")))


def _written(row: Mapping[str, Any]) -> WrittenFields:
    return WrittenFields(_texts(row, "writes"), _texts(row, "kinds"))


def _texts(row: Mapping[str, Sequence[str]], key: str) -> tuple[str, ...]:
    return tuple(row.get(key, ()))


@lru_cache(maxsize=2048)
def _matches_any(manager: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(manager, pattern) for pattern in patterns)
