"""One YAML document to one JSON value, from libyaml's events.

libyaml's events need no recursion, so nothing that stands in a file can overflow a stack here; its own composer
(PyYAML's CSafeLoader) crashes the process on deep nesting.
"""

from __future__ import annotations

import re
from sys import intern
from typing import Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from driftd.model.resource import Json
from driftd.render.scalars import (
    MERGE,
    MERGE_TAG,
    NOT_PLAIN_TEXT,
    UnreadableScalar,
    plain_key,
    plain_value,
    tagged_key,
    tagged_value,
)

Places = dict[int, dict[Any, int]]
"""Where entries stand: by the `id()` of a map or list, each key's or item's index of its first character."""

# go-yaml's measure of "billion laughs": the share of all decoded nodes that may come out of aliases falls from
# 99% for small documents to 10% for big ones.
_ALIASES_FREE, _NODES_FREE = 100, 1000
_RATIO_FROM, _RATIO_TO = 400_000, 4_000_000

_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_MERGE_KEY: Any = object()
Event = Any  # PyYAML's types say that the marks of an event may be None, which libyaml's never are
_MERGE_WANTS = "`<<` wants a map, or a list of maps"


class ComposeError(ValueError):
    """The text is no YAML that kubectl would read. `index` is that of the character where it was noticed."""

    def __init__(self, message: str, index: int) -> None:
        self.index = index
        super().__init__(message)


def compose(text: str, *, depth: int, places: Places | None = None) -> tuple[Json, int] | None:
    """The value of the first document in `text` and the index where its root starts; None where there is none.

    Aliases share what they stand for, so the value must not be edited. `places` is filled when it is given;
    its keys are valid as long as the value lives.

    Raises: ComposeError: a syntax error, a scalar that JSON cannot hold, nesting deeper than `depth`, an excess
        of aliases.
    """
    if text.isspace() or not text:
        return None
    if "\n\ufeff" in text:
        # libyaml skips it, go-yaml takes it for text: two different objects.
        raise ComposeError("a byte order mark starts a line: take it out", text.index("\n\ufeff") + 1)
    parser = CParser(text)
    try:
        return _Composer(text, depth, places).run(parser)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ComposeError(error.problem or "this is not YAML", mark.index if mark else 0) from error
    except ReaderError as error:
        before = text.encode(errors="replace")[: error.position].decode(errors="replace")
        raise ComposeError(f"{error.reason} (U+{int(error.character):04X})", len(before)) from error
    except YAMLError as error:
        raise ComposeError(str(error), 0) from error
    finally:
        parser.dispose()


class _Composer:
    """The state between two events: the innermost open map or list, and those around it."""

    __slots__ = (
        "aliased",
        "anchors",
        "container",
        "depth",
        "is_map",
        "key",
        "nodes",
        "places",
        "slashes",
        "stack",
        "text",
    )

    def __init__(self, text: str, depth: int, places: Places | None) -> None:
        self.text = text
        self.depth = depth
        self.places = places
        self.slashes = "\\/" in text
        self.stack: list[tuple[Any, bool, Any, str | None, int, Any]] = []
        self.container: Any = None
        self.is_map = False
        self.key: Any = None
        # A scalar is kept as its event, since it means another thing as a key; None is one that is still open.
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.nodes = 1
        self.aliased = 0

    def run(self, parser: CParser) -> tuple[Json, int] | None:  # one flat dispatch is the hot loop
        next_event = parser.get_event
        start = 0
        while True:
            event: Event = next_event()
            kind = event.__class__
            if kind is ScalarEvent:
                self.scalar(event)
            elif kind is MappingStartEvent:
                self.open(event, {})
            elif kind is SequenceStartEvent:
                self.open(event, [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.close()
            elif kind is AliasEvent:
                self.alias(event)
            elif kind is DocumentEndEvent:
                # What follows the document's end is not looked at: kubectl does not see it either.
                return self.container[0], start
            elif kind is StreamEndEvent:
                return None
            elif kind is DocumentStartEvent:
                self.container = []
                first: Event = parser.peek_event()
                start = first.start_mark.index

    def scalar(self, event: Event) -> None:
        self.nodes += 1
        if self.slashes and event.style == '"':
            self.refuse_escaped_slash(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (event, 1)
        if self.is_map and self.key is None:
            self.set_key(event)
            return
        text = event.value
        # Most scalars are text, and that is seen by their first character.
        is_text = event.tag is None and (not event.implicit[0] or (text and text[0] not in NOT_PLAIN_TEXT))
        value = text if is_text else _value_of(event)
        if self.is_map and self.key is not _MERGE_KEY:
            self.container[self.key] = value
            self.key = None
        else:
            self.place(value, event)

    def set_key(self, event: Event) -> None:
        text = event.value
        if text == MERGE and (event.implicit[0] or event.tag == MERGE_TAG):
            self.nodes -= 1
            self.key = _MERGE_KEY
            return
        self.key = _key_of(event)
        if self.places is not None:
            self.places[id(self.container)][self.key] = event.start_mark.index

    def open(self, event: Any, container: Any) -> None:
        if self.is_map and self.key is None:
            raise ComposeError("a map key must be a scalar, not a map or a list", event.start_mark.index)
        if len(self.stack) >= self.depth:
            raise ComposeError(f"nested deeper than {self.depth} levels", event.start_mark.index)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append((self.container, self.is_map, self.key, event.anchor, self.nodes, event))
        self.nodes += 1
        self.container = container
        self.is_map = container.__class__ is dict
        self.key = None
        if self.places is not None:
            self.places[id(container)] = {}

    def close(self) -> None:
        value = self.container
        self.container, self.is_map, self.key, anchor, before, event = self.stack.pop()
        if anchor is not None:
            self.anchors[anchor] = (value, self.nodes - before)
        self.place(value, event)

    def alias(self, event: Event) -> None:
        name, index = event.anchor, event.start_mark.index
        if name not in self.anchors:
            raise ComposeError(f"the alias *{name} has no anchor", index)
        anchored = self.anchors[name]
        if anchored is None:
            raise ComposeError(f"the anchor &{name} contains itself", index)
        target, size = anchored
        self.nodes += 1 + size
        self.aliased += size
        if self.aliased > _ALIASES_FREE and self.nodes > _NODES_FREE and self.aliased > self.nodes * _ratio(self.nodes):
            raise ComposeError("the aliases of this document stand for too much", index)
        is_scalar = target.__class__ is ScalarEvent
        if self.is_map and self.key is None:
            if not is_scalar:
                raise ComposeError("a map key must be a scalar, not a map or a list", index)
            self.key = _key_of(target)
            if self.places is not None:
                self.places[id(self.container)][self.key] = index
        elif self.key is _MERGE_KEY and target.__class__ is not dict:
            raise ComposeError(_MERGE_WANTS, index)
        else:
            self.place(_value_of(target) if is_scalar else target, event)

    def place(self, value: Json, event: Event) -> None:
        """Put a finished value where it belongs: under the waiting key, at the list's end, or merged."""
        if not self.is_map:
            if self.places is not None and self.stack:
                self.places[id(self.container)][len(self.container)] = event.start_mark.index
            self.container.append(value)
        elif self.key is _MERGE_KEY:
            self.merge(value, event)
            self.key = None
        else:
            self.container[self.key] = value
            self.key = None

    def merge(self, value: Json, event: Event) -> None:
        """`<<: {…}` or `<<: [*a, *b]`: the earlier of several wins, but all win over the keys before them, as in Go."""
        maps = reversed(value) if value.__class__ is list else (value,)
        for each in maps:
            if each.__class__ is not dict:
                raise ComposeError(_MERGE_WANTS, event.start_mark.index)
            self.container.update(each)
            if self.places is not None:
                self.places[id(self.container)].update(self.places[id(each)])

    def refuse_escaped_slash(self, event: Event) -> None:
        """libyaml knows the escape `\\/` of YAML 1.2; go-yaml, and so kubectl, refuses it."""
        if found := _ESCAPED_SLASH.search(self.text, event.start_mark.index, event.end_mark.index):
            raise ComposeError(r'kubectl does not know the escape "\/" in YAML', found.end() - 2)


def _value_of(event: Event) -> Json:
    try:
        if event.tag is not None:
            return tagged_value(event.value, event.tag)
        return plain_value(event.value) if event.implicit[0] else event.value
    except UnreadableScalar as error:
        raise ComposeError(str(error), event.start_mark.index) from error


def _key_of(event: Event) -> str:
    try:
        if event.tag is not None:
            return tagged_key(event.value, event.tag)
        return plain_key(event.value) if event.implicit[0] else intern(event.value)
    except UnreadableScalar as error:
        raise ComposeError(str(error), event.start_mark.index) from error


def _ratio(nodes: int) -> float:
    share = (nodes - _RATIO_FROM) / (_RATIO_TO - _RATIO_FROM)
    return 0.99 - 0.89 * min(max(share, 0.0), 1.0)
