"""Reads the one YAML document of a configuration file and remembers where everything in it stands.

Scalars stay text: what a key means decides its type, so `tag: 1.10` is the tag "1.10" and not the number 1.1.
A key whose value is null counts as left out, as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Location = tuple[str | int, ...]
"""Keys and list indexes from the document's root."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
"""Aliases count each time they are used, so a file of nested aliases ends here."""

_MERGE_TAG = "tag:yaml.org,2002:merge"
_NULL_TAG = "tag:yaml.org,2002:null"
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "timestamp", "value", "map", "seq")
)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands. `key` is None for list items and for the document's root."""

    key: Position | None
    value: Position


@dataclass(frozen=True, slots=True)
class Misreading:
    """Something that is wrong with the text itself."""

    position: Position
    location: Location
    text: str


class Unreadable(Exception):
    """The text is not a YAML document. Holds the one misreading that ended the reading."""

    def __init__(self, misreading: Misreading) -> None:
        self.misreading = misreading
        super().__init__(misreading.text)


@dataclass(slots=True)
class Document:
    """The plain data (mappings, lists and text), where it stands, and the keys that were there twice."""

    data: Any = None
    places: dict[Location, Place] = field(default_factory=dict)
    misreadings: list[Misreading] = field(default_factory=list)

    def position(self, location: Location, *, key: bool) -> Position:
        """Where an entry's key (or its value) starts; for one that is not there, where its nearest ancestor does."""
        place = self.places.get(location)
        while place is None and location:
            location, key = location[:-1], True
            place = self.places.get(location)
        if place is None:
            return Position(1, 1)
        return place.key if key and place.key else place.value


def read(content: bytes) -> Document:
    """The document that `content` holds.

    Raises: Unreadable: it is no YAML, not exactly one document, or larger or deeper than a configuration ever is.
    """
    node = _compose(content)
    document = Document()
    document.data = _Reader(document).entry(node, (), key=None)
    return document


def _compose(content: bytes) -> yaml.Node:
    if len(content) > MAX_BYTES:
        raise _unreadable(Position(1, 1), f"larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(Position(line, 1), "not UTF-8 text") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = "; ".join(part for part in (error.context, error.problem) if part)
        raise _unreadable(_position(mark) if mark else Position(1, 1), f"not readable as YAML: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _unreadable(Position(line, 1), f"character U+{ord(text[error.position]):04X} is not allowed") from error
    except RecursionError as error:
        raise _unreadable(Position(1, 1), f"nested deeper than {MAX_DEPTH} levels") from error
    if node is None:
        raise _unreadable(Position(1, 1), "the file is empty: it needs at least sources and apps")
    return node


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def entry(self, node: yaml.Node, location: Location, *, key: Position | None) -> Any:
        self._nodes += 1
        here = _position(node.start_mark)
        if self._nodes > MAX_NODES or len(location) > MAX_DEPTH:
            raise _unreadable(here, f"more than {MAX_NODES} entries, or nested deeper than {MAX_DEPTH} levels")
        self._document.places[location] = Place(key, here)
        if node.tag == _NULL_TAG:
            return None
        if node.tag not in _PLAIN_TAGS:
            self._misread(here, location, f"the YAML tag {node.tag} has no meaning here")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.entry(item, (*location, index), key=None) for index, item in enumerate(node.value)]
        return node.value

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        seen: dict[str, Position] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            here = _position(key_node.start_mark)
            if key_node.tag == _MERGE_TAG:
                merged.append(value_node)
            elif not isinstance(key_node, yaml.ScalarNode):
                self._misread(here, location, "a key must be a word, not a list or a mapping")
            elif (key := key_node.value) in seen:
                self._misread(here, (*location, key), f"the key is here twice: line {seen[key].line} has it already")
            else:
                seen[key] = here
                value = self.entry(value_node, (*location, key), key=here)
                if value is not None:
                    values[key] = value
        for source in merged:
            self._merge(source, values, location)
        return values

    def _merge(self, node: yaml.Node, values: dict[str, Any], location: Location) -> None:
        """YAML 1.1's `<<: *anchor`: what the mapping does not say itself comes from the anchored one."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._merge(item, values, location)
        elif isinstance(node, yaml.MappingNode):
            own = {path: place for path, place in self._document.places.items() if path[: len(location)] == location}
            for key, value in self._mapping(node, location).items():
                if key not in values:
                    values[key] = value
            self._document.places.update(own)
        else:
            self._misread(_position(node.start_mark), location, "<< takes a mapping")

    def _misread(self, position: Position, location: Location, text: str) -> None:
        self._document.misreadings.append(Misreading(position, location, text))


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _unreadable(position: Position, text: str) -> Unreadable:
    return Unreadable(Misreading(position, (), text))


def children(data: object, key: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The mappings in the list `data[key]`, with their indexes; empty when the shape is another one."""
    items = data.get(key) if isinstance(data, Mapping) else None
    return [(i, item) for i, item in enumerate(items) if isinstance(item, Mapping)] if isinstance(items, list) else []
