"""Sets of field paths, as `FieldsV1` writes them.

A path element is the string that FieldsV1 uses for it: `f:name` a field, `k:{"name":"x"}` an item of a map list,
`v:"x"` an item of a set, `i:0` an index.
Source: structured-merge-diff, "fieldpath".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PathElement = str
FieldPath = tuple[PathElement, ...]

_RANK = {"f": 0, "k": 1, "v": 2, "i": 3}


class FieldSet:
    """A trie of paths. `members` end at this node, `children` continue below it; an element may be in both.

    Treat it as immutable: every operation returns a new set. Only `insert` changes a set, during construction.
    """

    __slots__ = ("children", "members")

    def __init__(
        self, members: Iterable[PathElement] = (), children: dict[PathElement, FieldSet] | None = None
    ) -> None:
        self.members: set[PathElement] = set(members)
        self.children: dict[PathElement, FieldSet] = children if children is not None else {}

    @classmethod
    def of(cls, *paths: FieldPath) -> FieldSet:
        result = cls()
        for path in paths:
            result.insert(path)
        return result

    def insert(self, path: FieldPath) -> None:
        if not path:
            return
        node = self
        for element in path[:-1]:
            child = node.children.get(element)
            if child is None:
                child = node.children[element] = FieldSet()
            node = child
        node.members.add(path[-1])

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and self.members == other.members and self.children == other.children

    __hash__ = None  # type: ignore[assignment]  # it is a container

    def has(self, path: FieldPath) -> bool:
        node: FieldSet | None = self
        for element in path[:-1]:
            node = node.children.get(element) if node else None
            if node is None:
                return False
        return node is not None and path[-1] in node.members

    def under(self, element: PathElement) -> FieldSet:
        """The suffixes of the paths that begin with `element`."""
        return self.children.get(element) or EMPTY

    def union(self, other: FieldSet) -> FieldSet:
        children = dict(self.children)
        for element, child in other.children.items():
            mine = children.get(element)
            children[element] = child if mine is None else mine.union(child)
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        return FieldSet(
            self.members & other.members,
            _non_empty(
                (e, child.intersection(other.children[e])) for e, child in self.children.items() if e in other.children
            ),
        )

    def difference(self, other: FieldSet) -> FieldSet:
        """Without the paths of `other`, but with those below them."""
        return FieldSet(
            self.members - other.members,
            _non_empty(
                (e, child.difference(other.children[e]) if e in other.children else child)
                for e, child in self.children.items()
            ),
        )

    def recursive_difference(self, other: FieldSet) -> FieldSet:
        """Without the paths of `other` and those below them."""
        return FieldSet(
            self.members - other.members,
            _non_empty(
                (e, child.recursive_difference(other.children[e]) if e in other.children else child)
                for e, child in self.children.items()
                if e not in other.members
            ),
        )

    def paths(self, prefix: FieldPath = ()) -> Iterator[FieldPath]:
        """All paths, in the order of the API server."""
        for element in sorted(self.members, key=_order):
            yield (*prefix, element)
        for element in sorted(self.children, key=_order):
            yield from self.children[element].paths((*prefix, element))

    def to_fields_v1(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for element in sorted(self.members | self.children.keys(), key=_order):
            child = self.children.get(element)
            fields = child.to_fields_v1() if child else {}
            result[element] = {".": {}, **fields} if fields and element in self.members else fields
        return result

    @classmethod
    def from_fields_v1(cls, fields: dict[str, Any]) -> FieldSet:
        result = cls()
        for element, below in fields.items():
            if element == ".":
                continue
            if not below or "." in below:
                result.members.add(element)
            if below and (child := cls.from_fields_v1(below)):
                result.children[element] = child
        return result


EMPTY = FieldSet()
FieldFilter = Callable[[FieldSet], FieldSet]


def field(name: str) -> PathElement:
    return f"f:{name}"


def item(keys: dict[str, Any]) -> PathElement:
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def value(scalar: Any) -> PathElement:
    return "v:" + json.dumps(scalar, ensure_ascii=False)


def path_of(*names: str) -> FieldPath:
    """A path of field names."""
    return tuple(field(name) for name in names)


def path_text(path: FieldPath) -> str:
    """A path in the format of the API server's messages: `.spec.containers[name="web"].image`."""
    return "".join(element_text(element) for element in path)


def element_text(element: PathElement) -> str:
    kind, content = element[0], element[2:]
    if kind == "f":
        return f".{content}"
    if kind == "k":
        keys = json.loads(content)
        return "[" + ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(keys.items())) + "]"
    return f"[={content}]" if kind == "v" else f"[{content}]"


def _order(element: PathElement) -> tuple[int, str]:
    return _RANK[element[0]], element


def _non_empty(children: Iterable[tuple[PathElement, FieldSet]]) -> dict[PathElement, FieldSet]:
    return {element: child for element, child in children if child}
