"""Parses the YAML document of a configuration file, with the position of every entry.

Scalars stay text, since the key decides the type: `tag: 1.10` is the tag "1.10", not the number 1.1.
A key with the value null is treated as absent, as in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from driftd.model.path import format_path

Location = tuple[str | int, ...]
"""Keys and list indexes from the document's root."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
"""Aliases count at each use, which bounds the expansion of nested aliases."""

_MERGE_TAG = "tag:yaml.org,2002:merge"
_NULL_TAG = "tag:yaml.org,2002:null"
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "timestamp", "value", "map", "seq")
)

_NAME_IN_PROBLEM = re.compile(r" '(?!<)[^']{2,}'")
"""An alias or tag that PyYAML quotes: `password: *hunter2` is one."""
_COMMENT_IN_BRACKETS = re.compile(r"[\[{](?:.*?(\w+):)?[^:]*\s(#[^\s#,\]}]+)")
_SECRET = re.compile(r"pass|secret|token|key|auth|credential", re.IGNORECASE)
"""Keys whose value no mistake repeats: a password may begin with a #."""
_COMMENT_IN_PLACE_OF_VALUE = re.compile(r"[ \t]*(#[^\s#]+)[ \t]*(?=[\r\n\0]|$)")
"""One word that clings to its #, such as a channel of Slack, where a value would be."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class EntryPositions:
    """The positions of an entry. `key` is None for list items and for the document's root."""

    key: Position | None
    value: Position


@dataclass(frozen=True, slots=True)
class YamlMistake:
    """A mistake in the text itself."""

    position: Position
    location: Location
    text: str


class UnreadableDocument(Exception):
    """The text is not a YAML document: the mistake that ended parsing."""

    def __init__(self, mistake: YamlMistake) -> None:
        self.mistake = mistake
        super().__init__(mistake.text)


@dataclass(slots=True)
class YamlDocument:
    """Plain data (mappings, lists and text), the positions of its entries, and mistakes that do not end parsing."""

    data: Any = None
    positions: dict[Location, EntryPositions] = field(default_factory=dict)
    mistakes: list[YamlMistake] = field(default_factory=list)

    def position(self, location: Location, *, key: bool) -> Position:
        """The position of an entry's key or value; for an absent entry, that of its nearest ancestor's key."""
        entry = self.positions.get(location)
        while entry is None and location:
            location, key = location[:-1], True
            entry = self.positions.get(location)
        if entry is None:
            return Position(1, 1)
        return entry.key if key and entry.key else entry.value


def parse_document(content: bytes) -> YamlDocument:
    """Parses the one document of `content`.

    Raises: UnreadableDocument: no YAML, not exactly one document, or over a limit of size, depth or entries.
    """
    node = _compose(content)
    document = YamlDocument()
    document.data = _Parser(document).entry(node, (), key=None)
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
        problem = "; ".join(_NAME_IN_PROBLEM.sub("", part) for part in (error.context, error.problem) if part)
        problem += _comment_in_brackets(text, mark.line + 1) if mark and "flow" in problem else ""
        raise _unreadable(_position(mark) if mark else Position(1, 1), f"not readable as YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _unreadable(Position(line, 1), f"character U+{ord(text[error.position]):04X} is not allowed") from error
    except RecursionError as error:
        raise _unreadable(Position(1, 1), f"nested deeper than {MAX_DEPTH} levels") from error
    if node is None:
        raise _unreadable(Position(1, 1), "the file is empty: it needs at least sources and apps")
    return node


def _comment_in_brackets(text: str, end: int) -> str:
    """Where a # in brackets has made a comment of what was to close them; empty if there is none before line `end`."""
    for number, line in enumerate(text.splitlines()[:end], start=1):
        if word := _COMMENT_IN_BRACKETS.search(line):
            shown = f', "{word[2]}"' if not _SECRET.search(word[1] or "") else ""
            return f"; in line {number} a # begins a comment in YAML: quote it{shown}"
    return ""


class _Parser:
    def __init__(self, document: YamlDocument) -> None:
        self._document = document
        self._nodes = 0
        self._merging: list[yaml.Node] = []

    def entry(self, node: yaml.Node, location: Location, *, key: Position | None) -> Any:
        self._nodes += 1
        position = _position(node.start_mark)
        if self._nodes > MAX_NODES or len(location) > MAX_DEPTH:
            raise _unreadable(position, f"more than {MAX_NODES} entries, or nested deeper than {MAX_DEPTH} levels")
        self._document.positions[location] = EntryPositions(key, position)
        if node.tag == _NULL_TAG:
            if word := _COMMENT_IN_PLACE_OF_VALUE.match(node.start_mark.buffer or "", node.start_mark.pointer):
                shown = f', "{word[1]}"' if not _SECRET.search(format_path(location)) else ""
                text = f"a # begins a comment in YAML, so there is no value here: quote it{shown}"
                self._add_mistake(position, location, text)
            return None
        if node.tag not in _PLAIN_TAGS:
            self._add_mistake(position, location, f"the YAML tag {node.tag} has no meaning here")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.entry(item, (*location, index), key=None) for index, item in enumerate(node.value)]
        return node.value

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        keys: dict[str, Position] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            position = _position(key_node.start_mark)
            if key_node.tag == _MERGE_TAG:
                merged.append(value_node)
            elif not isinstance(key_node, yaml.ScalarNode):
                self._add_mistake(position, location, "a key must be a word, not a list or a mapping")
            elif (key := key_node.value) in keys:
                self._add_mistake(
                    position, (*location, key), f"the key is here twice: line {keys[key].line} has it already"
                )
            else:
                keys[key] = position
                value = self.entry(value_node, (*location, key), key=position)
                if value is not None:
                    values[key] = value
        for source in merged:
            self._merge(source, values, location)
        return values

    def _merge(self, node: yaml.Node, values: dict[str, Any], location: Location) -> None:
        """YAML 1.1's `<<: *anchor`: adds the entries of the anchored mapping whose keys the mapping lacks."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._merge(item, values, location)
        elif isinstance(node, yaml.MappingNode):
            if node in self._merging:
                raise _unreadable(_position(node.start_mark), "a mapping merges itself")
            self._merging.append(node)
            own = {path: entry for path, entry in self._document.positions.items() if path[: len(location)] == location}
            for key, value in self._mapping(node, location).items():
                if key not in values:
                    values[key] = value
            self._document.positions.update(own)
            self._merging.pop()
        else:
            self._add_mistake(_position(node.start_mark), location, "<< takes a mapping")

    def _add_mistake(self, position: Position, location: Location, text: str) -> None:
        self._document.mistakes.append(YamlMistake(position, location, text))


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _unreadable(position: Position, text: str) -> UnreadableDocument:
    return UnreadableDocument(YamlMistake(position, (), text))


def children(data: object, key: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The mappings in the list `data[key]`, with their indexes; empty for data of any other shape."""
    items = data.get(key) if isinstance(data, Mapping) else None
    return [(i, item) for i, item in enumerate(items) if isinstance(item, Mapping)] if isinstance(items, list) else []
