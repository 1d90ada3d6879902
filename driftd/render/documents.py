"""The documents of a file, read as `kubectl apply -f` reads them. Pure: bytes in, values out.

Source: `k8s.io/apimachinery/pkg/util/yaml` (`YAMLOrJSONDecoder`) and `k8s.io/cli-runtime` (`FileVisitor`): a
byte order mark decides between UTF-8 and UTF-16; a file that starts with `{` is read as a stream of JSON values
first; otherwise lines that start with `---` split the text before any YAML is parsed, so each part has its own
anchors, and only its first document counts.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from driftd.model.errors import RenderError
from driftd.model.resource import Json
from driftd.render.block_yaml import read_block
from driftd.render.compose import ComposeError, Places, compose
from driftd.render.json_stream import JsonError, next_value

_SEPARATOR = re.compile(r"^---(.*)\n?", re.MULTILINE)
_TO_NEXT_LINE = re.compile(r"[^\S\n]*\n?")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read before it is refused: `size` in bytes, `depth` in nested maps and lists.

    The share of aliases is limited as in go-yaml and is not a setting.
    """

    size: int = 64 * 1024 * 1024
    depth: int = 256


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Document:
    """One value of a file, never null. `line` is where the value starts, `start` where its document does."""

    value: Json
    line: int
    start: int


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two separators, or one JSON value of a stream. `line` is its first line in the file."""

    text: str
    line: int
    is_json: bool = False
    value: Json = None
    """The JSON value; YAML is not read yet."""

    def line_at(self, index: int) -> int:
        """The line of a character in the file. Only line feeds count, as in Git and in editors."""
        return self.line + self.text.count("\n", 0, index)


def read_documents(data: bytes, file: str, limits: Limits = DEFAULT) -> list[Document]:
    """Every document of a YAML or JSON file that is not null, in order. `file` is only for error messages.

    Raises: RenderError: with line and column; nothing of a file with an error is returned.
    """
    documents = []
    for part in parts(data, file, limits):
        value, index = (part.value, 0) if part.is_json else read_yaml(part, file, limits)
        if value is not None:
            documents.append(Document(value, part.line_at(index), part.line))
    return documents


def parts(data: bytes, file: str, limits: Limits = DEFAULT) -> Iterator[Part]:
    """The parts of a file, JSON read and YAML unread. Raises: RenderError: too big, a bad separator, bad JSON."""
    text = _decode(data, file, limits)
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
            message = f"only a comment may follow `---` on its line, not `{rest[:30]}`"
            raise RenderError(message, file=file, line=line, column=4)
        if separator.start() > begin:
            yield Part(text[begin : separator.start()], first)
        begin, first = separator.end(), line + 1
    if begin < len(text):
        yield Part(text[begin:], first)


def read_yaml(part: Part, file: str, limits: Limits, places: Places | None = None) -> tuple[Json, int]:
    """The value of a YAML part and the index where it starts; null for an empty one. `places` as in `compose`.

    Raises: RenderError.
    """
    # kubectl reads line by line and ends each with a line feed: a block scalar at the end of a file gets one, too.
    text = part.text if part.text.endswith("\n") else part.text + "\n"
    if (found := read_block(text, depth=limits.depth, places=places)) is not None:
        return found
    try:
        return compose(text, depth=limits.depth, places=places) or (None, 0)
    except ComposeError as error:
        message, index = str(error), error.index
        if text.startswith("%"):
            message, index = "kubectl reads no YAML directives: leave out the line with `%`", 0
        raise _error(part.text, index, message, file, part.line) from error


def _decode(data: bytes, file: str, limits: Limits) -> str:
    if len(data) > limits.size:
        raise RenderError(f"the file has {len(data)} bytes, more than the {limits.size} that are read", file=file)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, errors="replace")
            break
    else:
        text = data.decode(errors="replace")
    return text.replace("\r\n", "\n")


def _json_values(text: str, file: str, limits: Limits) -> tuple[list[Part], int]:
    """The JSON values at the start of a text, and the index where it goes on as YAML.

    As in kubectl, a text that is no JSON from the start (a flow map of YAML), or stops being JSON after the first
    value, is read on as YAML; after the second value that is an error.
    """
    found: list[Part] = []
    index = line = 0
    while True:
        try:
            value = next_value(text, index, depth=limits.depth)
        except JsonError as error:
            rest = _TO_NEXT_LINE.match(text, index).end()  # type: ignore[union-attr]  # it matches the empty string
            if not error.is_syntax or len(found) > 1 or (file.endswith(".json") and not _is_yaml(text[rest:], limits)):
                raise _error(text, error.index, str(error), file, 1) from error
            return found, rest
        if value is None:
            return found, len(text)
        line += text.count("\n", index, value[1])
        found.append(Part(text[value[1] : value[2]], 1 + line, is_json=True, value=value[0]))
        line += text.count("\n", value[1], value[2])
        index = value[2]


def _is_yaml(text: str, limits: Limits) -> bool:
    """Whether the text's first part is readable: a `.json` file that is neither should hear about its JSON."""
    try:
        compose(_SEPARATOR.split(text, maxsplit=1)[0], depth=limits.depth)
    except ComposeError:
        return False
    return True


def _error(text: str, index: int, message: str, file: str, first: int) -> RenderError:
    line = first + text.count("\n", 0, index)
    return RenderError(message, file=file, line=line, column=index - text.rfind("\n", 0, index))
