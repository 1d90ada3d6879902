"""Composes one YAML document into a JSON value, from libyaml's events.

Reading events needs no recursion, so no file can overflow the stack; libyaml's own composer (PyYAML's CSafeLoader)
crashes the process on deep nesting.
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
from driftd.render.yaml.positions import Positions
from driftd.render.yaml.scalars import (
    MERGE,
    MERGE_TAG,
    NOT_PLAIN_TEXT,
    UnreadableScalar,
    plain_key,
    plain_value,
    tagged_key,
    tagged_value,
)

# go-yaml's limit against "billion laughs": the share of decoded nodes that may come from aliases falls from 99% for
# small documents to 10% for large ones.
_ALIASES_FREE, _NODES_FREE = 100, 1000
_RATIO_FROM, _RATIO_TO = 400_000, 4_000_000

MAX_NODES = 1_000_000
"""In one document: some hundred megabytes. The largest objects of Kubernetes have some ten thousand."""

_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_MERGE_KEY: Any = object()
Event = Any  # PyYAML's types say that the marks of an event may be None, which libyaml's never are
_MERGE_ERROR = "`<<` wants a map, or a list of maps"


class ComposeError(ValueError):
    """The text is not YAML that kubectl would read. `index` is that of the character at the error."""

    def __init__(self, message: str, index: int) -> None:
        self.index = index
        super().__init__(message)


def compose(
    text: str, *, depth: int, nodes: int = MAX_NODES, positions: Positions | None = None
) -> tuple[Json, int] | None:
    """The value of the first document in `text` and the index where its root starts; None for an empty text.

    Aliases share their anchor's value, so the value must not be edited. `positions` is filled if given; its keys are
    valid as long as the value lives.

    Raises: ComposeError: a syntax error, a scalar without JSON form, nesting deeper than `depth`, more than `nodes`
    maps, lists and scalars, too many aliases.
    """
    if text.isspace() or not text:
        return None
    if "\n\ufeff" in text:
        # libyaml skips it, go-yaml reads it as text: two different objects.
        raise ComposeError("a byte order mark starts a line: take it out", text.index("\n\ufeff") + 1)
    parser = CParser(text)
    try:
        return _Composer(text, depth, nodes, positions).run(parser)
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
    """The state between two events: the innermost open map or list, and a stack of the enclosing ones."""

    __slots__ = (
        "aliased",
        "anchors",
        "container",
        "depth",
        "has_escaped_slash",
        "is_map",
        "key",
        "max_nodes",
        "nodes",
        "positions",
        "stack",
        "text",
    )

    def __init__(self, text: str, depth: int, max_nodes: int, positions: Positions | None) -> None:
        self.text = text
        self.depth = depth
        self.max_nodes = max_nodes
        self.positions = positions
        self.has_escaped_slash = "\\/" in text
        self.stack: list[tuple[Any, bool, Any, str | None, int, Any]] = []
        self.container: Any = None
        self.is_map = False
        self.key: Any = None
        # A scalar is kept as its event, since it has another value as a key; None marks an anchor that is still open.
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
                self.add_scalar(event)
            elif kind is MappingStartEvent:
                self.open_collection(event, {})
            elif kind is SequenceStartEvent:
                self.open_collection(event, [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.close_collection()
            elif kind is AliasEvent:
                self.add_alias(event)
            elif kind is DocumentEndEvent:
                # Text after the end of the document is not read, as in kubectl.
                return self.container[0], start
            elif kind is StreamEndEvent:
                return None
            elif kind is DocumentStartEvent:
                self.container = []
                first: Event = parser.peek_event()
                start = first.start_mark.index

    def add_scalar(self, event: Event) -> None:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise self.too_many_nodes(event)
        if self.has_escaped_slash and event.style == '"':
            self.refuse_escaped_slash(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (event, 1)
        if self.is_map and self.key is None:
            self.add_key(event)
            return
        text = event.value
        # Most scalars are strings, which their first character shows.
        is_text = event.tag is None and (not event.implicit[0] or (text and text[0] not in NOT_PLAIN_TEXT))
        value = text if is_text else _value_of(event)
        if self.is_map and self.key is not _MERGE_KEY:
            self.container[self.key] = value
            self.key = None
        else:
            self.add_value(value, event)

    def add_key(self, event: Event) -> None:
        text = event.value
        if text == MERGE and (event.implicit[0] or event.tag == MERGE_TAG):
            self.nodes -= 1
            self.key = _MERGE_KEY
            return
        self.key = _key_of(event)
        if self.positions is not None:
            self.positions[id(self.container)][self.key] = event.start_mark.index

    def open_collection(self, event: Any, container: Any) -> None:
        if self.is_map and self.key is None:
            raise ComposeError("a map key must be a scalar, not a map or a list", event.start_mark.index)
        if len(self.stack) >= self.depth:
            raise ComposeError(f"nested deeper than {self.depth} levels", event.start_mark.index)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append((self.container, self.is_map, self.key, event.anchor, self.nodes, event))
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise self.too_many_nodes(event)
        self.container = container
        self.is_map = container.__class__ is dict
        self.key = None
        if self.positions is not None:
            self.positions[id(container)] = {}

    def close_collection(self) -> None:
        value = self.container
        self.container, self.is_map, self.key, anchor, before, event = self.stack.pop()
        if anchor is not None:
            self.anchors[anchor] = (value, self.nodes - before)
        self.add_value(value, event)

    def add_alias(self, event: Event) -> None:
        name, index = event.anchor, event.start_mark.index
        if name not in self.anchors:
            raise ComposeError("the alias has no anchor: quote a text that starts with `*`", index)
        anchored = self.anchors[name]
        if anchored is None:
            raise ComposeError("the anchor contains itself", index)
        target, size = anchored
        self.nodes += 1 + size
        self.aliased += size
        if self.nodes > self.max_nodes:
            raise self.too_many_nodes(event)
        if (
            self.aliased > _ALIASES_FREE
            and self.nodes > _NODES_FREE
            and self.aliased > self.nodes * _max_alias_share(self.nodes)
        ):
            raise ComposeError("the aliases of this document stand for too much", index)
        is_scalar = target.__class__ is ScalarEvent
        if self.is_map and self.key is None:
            if not is_scalar:
                raise ComposeError("a map key must be a scalar, not a map or a list", index)
            self.key = _key_of(target)
            if self.positions is not None:
                self.positions[id(self.container)][self.key] = index
        elif self.key is _MERGE_KEY and target.__class__ is not dict:
            raise ComposeError(_MERGE_ERROR, index)
        else:
            self.add_value(_value_of(target) if is_scalar else target, event)

    def add_value(self, value: Json, event: Event) -> None:
        """Adds a finished value: under the pending key, at the end of the list, or merged."""
        if not self.is_map:
            if self.positions is not None and self.stack:
                self.positions[id(self.container)][len(self.container)] = event.start_mark.index
            self.container.append(value)
        elif self.key is _MERGE_KEY:
            self.merge(value, event)
            self.key = None
        else:
            self.container[self.key] = value
            self.key = None

    def merge(self, value: Json, event: Event) -> None:
        """`<<: {…}` or `<<: [*a, *b]`: earlier maps win over later ones, and all win over the keys before, as in Go."""
        maps = reversed(value) if value.__class__ is list else (value,)
        for each in maps:
            if each.__class__ is not dict:
                raise ComposeError(_MERGE_ERROR, event.start_mark.index)
            self.container.update(each)
            if self.positions is not None:
                self.positions[id(self.container)].update(self.positions[id(each)])

    def too_many_nodes(self, event: Event) -> ComposeError:
        return ComposeError(f"the document has more than {self.max_nodes} values", event.start_mark.index)

    def refuse_escaped_slash(self, event: Event) -> None:
        """libyaml accepts the escape `\\/` of YAML 1.2; go-yaml, and so kubectl, refuses it."""
        if match := _ESCAPED_SLASH.search(self.text, event.start_mark.index, event.end_mark.index):
            raise ComposeError(r'kubectl does not know the escape "\/" in YAML', match.end() - 2)


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


def _max_alias_share(nodes: int) -> float:
    share = (nodes - _RATIO_FROM) / (_RATIO_TO - _RATIO_FROM)
    return 0.99 - 0.89 * min(max(share, 0.0), 1.0)
