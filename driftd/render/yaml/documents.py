"""The documents of a YAML or JSON file, read as `kubectl apply -f` reads them. Pure: bytes in, values out.

Source: `k8s.io/apimachinery/pkg/util/yaml` (`YAMLOrJSONDecoder`) and `k8s.io/cli-runtime` (`FileVisitor`): a
byte order mark decides between UTF-8 and UTF-16; a file that starts with `{` is read as a stream of JSON values
first; otherwise lines that start with `---` split the text before any YAML is parsed, so each part has its own
anchors, and only the first document in it counts.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from driftd.model.errors import RenderError
from driftd.model.resource import Json
from driftd.render.yaml.block import read_block
from driftd.render.yaml.compose import MAX_NODES, ComposeError, compose
from driftd.render.yaml.json_stream import JsonError, has_more_tokens, next_value
from driftd.render.yaml.positions import Positions

_NODE_MARKS = ("\n", ",", "[", "{", "- ")
"""Each node but the first has one of these before it. Most are in texts, so that their number is an upper bound."""

_SEPARATOR = re.compile(r"^---(.*)\n?", re.MULTILINE)
_REST_OF_LINE = re.compile(r"[^\S\n]*\n?")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits beyond which a file is refused: `size` in bytes, `depth` in nested maps and lists, `documents` in it, and
    `nodes`, which are the maps, lists and scalars of one document, counted as often as aliases stand for them.

    The share of aliases is limited as in go-yaml, and not configurable.
    """

    size: int = 32 * 1024 * 1024
    depth: int = 256
    documents: int = 50_000
    nodes: int = MAX_NODES


DEFAULT_LIMITS = ReadLimits()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One value of a file, never null. `line` is the first line of the value, `start` that of its document."""

    value: Json
    line: int
    start: int


@dataclass(frozen=True, slots=True)
class RawDocument:
    """The text between two separators, or of one JSON value of a stream. `line` is its first line in the file."""

    text: str
    line: int
    is_json: bool = False
    value: Json = None
    """The parsed JSON; None for YAML, which is not parsed yet."""

    def line_at(self, index: int) -> int:
        """The line of a character, by index. Only line feeds count, as in Git and in editors."""
        return self.line + self.text.count("\n", 0, index)

    def lines_at(self, indexes: Sequence[int]) -> list[int]:
        """The lines of several characters, in the time of going through the text once."""
        lines: dict[int, int] = {}
        line, counted = self.line, 0
        for index in sorted(set(indexes)):
            line += self.text.count("\n", counted, index)
            counted = index
            lines[index] = line
        return [lines[index] for index in indexes]


def read_documents(data: bytes, file: str, limits: ReadLimits = DEFAULT_LIMITS) -> list[ParsedDocument]:
    """The documents of a YAML or JSON file that are not null, in order. `file` is for error messages.

    Raises: RenderError: with line and column; a file with an error gives no documents.
    """
    documents = []
    for raw in split_documents(data, file, limits):
        value, index = (raw.value, 0) if raw.is_json else read_yaml(raw, file, limits)
        if value is not None:
            documents.append(ParsedDocument(value, raw.line_at(index), raw.line))
    return documents


def split_documents(data: bytes, file: str, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[RawDocument]:
    """Splits a file; JSON is parsed on the way. Raises: RenderError: too large, a bad separator, bad JSON."""
    text = _decode(data, file, limits)
    for number, document in enumerate(_split_text(text, file, limits)):
        if number >= limits.documents:
            raise RenderError(f"the file has more than {limits.documents} documents", file=file, line=document.line)
        yield document


def _split_text(text: str, file: str, limits: ReadLimits) -> Iterator[RawDocument]:
    begin = 0
    if text.lstrip().startswith("{"):
        values, begin = _json_values(text, file, limits)
        yield from values
    first = line = 1 + text.count("\n", 0, begin)
    counted = begin
    for separator in _SEPARATOR.finditer(text, begin):
        line += text.count("\n", counted, separator.start())
        counted = separator.start()
        if (rest := separator[1].strip()) and not rest.startswith("#"):
            message = "only a comment may follow `---` on its line"
            raise RenderError(message, file=file, line=line, column=4)
        if separator.start() > begin:
            yield RawDocument(text[begin : separator.start()], first)
        begin, first = separator.end(), line + 1
    if begin < len(text):
        yield RawDocument(text[begin:], first)


def read_yaml(raw: RawDocument, file: str, limits: ReadLimits, positions: Positions | None = None) -> tuple[Json, int]:
    """The value of a YAML document and the index where it starts; null for an empty one. `positions` as in `compose`.

    Raises: RenderError.
    """
    # kubectl reads lines and ends each with a line feed, so a block scalar at the end of a file has one too.
    text = raw.text if raw.text.endswith("\n") else raw.text + "\n"
    may_be_large = len(text) > limits.nodes and sum(map(text.count, _NODE_MARKS)) > limits.nodes
    if not may_be_large and (result := read_block(text, depth=limits.depth, positions=positions)) is not None:
        return result
    try:
        return compose(text, depth=limits.depth, nodes=limits.nodes, positions=positions) or (None, 0)
    except ComposeError as error:
        message, index = str(error), error.index
        if text.startswith("%"):
            message, index = "kubectl reads no YAML directives: leave out the line with `%`", 0
        raise _error(raw.text, index, message, file, raw.line) from error


def _decode(data: bytes, file: str, limits: ReadLimits) -> str:
    if len(data) > limits.size:
        raise RenderError(f"the file has {len(data)} bytes, more than the {limits.size} that are read", file=file)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, errors="replace")
            break
    else:
        text = data.decode(errors="replace")
    return text.replace("\r\n", "\n")


def _json_values(text: str, file: str, limits: ReadLimits) -> tuple[list[RawDocument], int]:
    """The JSON values at the start of a text, and the index where YAML follows.

    As in kubectl, text that is not JSON (a flow map of YAML), at the start or after the first value, is read as YAML;
    after the second value it is an error.
    """
    values: list[RawDocument] = []
    index = line = 0
    if len(text) > limits.nodes and has_more_tokens(text, 2 * limits.nodes):
        raise RenderError(f"the file has more than {limits.nodes} values", file=file)
    while len(values) <= limits.documents:
        try:
            value = next_value(text, index, depth=limits.depth)
        except JsonError as error:
            rest = _REST_OF_LINE.match(text, index).end()  # type: ignore[union-attr]  # it matches the empty string
            if not error.is_syntax or len(values) > 1 or (file.endswith(".json") and not _is_yaml(text[rest:], limits)):
                raise _error(text, error.index, str(error), file, 1) from error
            return values, rest
        if value is None:
            return values, len(text)
        line += text.count("\n", index, value[1])
        values.append(RawDocument(text[value[1] : value[2]], 1 + line, is_json=True, value=value[0]))
        line += text.count("\n", value[1], value[2])
        index = value[2]
    raise RenderError(f"the file has more than {limits.documents} documents", file=file)


def _is_yaml(text: str, limits: ReadLimits) -> bool:
    """Whether the first document is valid YAML: if not, the error of a `.json` file is that of its JSON."""
    try:
        compose(_SEPARATOR.split(text, maxsplit=1)[0], depth=limits.depth, nodes=limits.nodes)
    except ComposeError:
        return False
    return True


def _error(text: str, index: int, message: str, file: str, first: int) -> RenderError:
    line = first + text.count("\n", 0, index)
    return RenderError(message, file=file, line=line, column=index - text.rfind("\n", 0, index))
