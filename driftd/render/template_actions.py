"""Edits of the actions (`{{ … }}`) in a copy of a chart, for what `helm template` has no option for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePath

from driftd.render.chart_archive import UnreadableArchive, rewrite

_TOKEN = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|'(?:\\.|[^'\\\n])*'|[$.\w]+|\}\}|[\s\S]")
_COMMENT = re.compile(r"\{\{-?\s*/\*")

_REVISION = "7919"
"""A revision that no first installation has."""

_ANOTHER_TIME = "(toDate `2006-01-02 15:04:05` `2011-11-11 11:11:11`)"
"""In back quotes, so that it can stand in a text in double quotes."""
_NOT_CALLED = re.compile(re.escape(_ANOTHER_TIME).replace(r"\ ", r"\s+").encode())

_OTHERWISE = {
    "now": _ANOTHER_TIME,
    "ago": "toString",  # of the same time
    "randInt": "sub",  # of the same two numbers: less than the first one
    "randNumeric": "randAlpha",
    "shuffle": "repeat 2",
}
"""What to call in place of functions whose results might be the same twice by chance, or within a second or a day."""

Edit = Callable[[list[str]], str]
"""The text of an action, by its tokens."""


def edit_templates(chart: Path, edit: Edit) -> None:
    """Edits the actions in the templates of a chart on disk, and of the charts in it, packed or not."""
    _edit_files(chart, edit, _is_template)


def edit_everywhere(folder: Path, edit: Edit) -> None:
    """Edits the actions in templates and in all YAML of a folder: a template may give its values to `tpl`."""
    _edit_files(folder, edit, lambda path: _is_template(path) or path.suffix in {".yaml", ".yml"})


def restore_uncalled(output: bytes) -> bytes:
    """What Helm printed of edited files, with the actions that it printed as they stand, as they were."""
    return _NOT_CALLED.sub(b"now", output)


def _is_template(path: PurePath) -> bool:
    """Whether a file is one, by its path in the chart."""
    return "templates" in path.parts[:-1]


def _edit_files(chart: Path, edit: Edit, is_edited: Callable[[PurePath], bool]) -> None:
    def edited(path: PurePath, content: bytes) -> bytes:
        if path.suffix == ".tgz" and path.parent.name == "charts":
            try:
                return rewrite(content, edited)
            except UnreadableArchive:
                return content  # Helm says so
        if not is_edited(path):
            return content
        try:
            return edit_actions(content.decode(), edit).encode()
        except UnicodeDecodeError:
            return content

    for file in sorted(chart.rglob("*")):
        if file.is_file() and not file.is_symlink():
            before = file.read_bytes()
            if (after := edited(file.relative_to(chart), before)) != before:
                file.write_bytes(after)


def edit_actions(text: str, edit: Edit) -> str:
    """A template with its actions edited. Comments and all other text stay; so does the number of lines."""
    return "".join(_edited(text, edit))


def render_otherwise(tokens: list[str]) -> str:
    """Makes an action give something else wherever its result is not a function of the files."""
    return "".join(
        _REVISION if token.endswith(".Release.Revision") else _OTHERWISE.get(token, token) for token in tokens
    )


def without_unserved(api_versions: Collection[str]) -> Edit:
    """Makes an action say that the cluster lacks each API version that it asks for by name and that is not among these.

    Helm adds to the versions that it is told all those that it was built with, which the cluster may have dropped.
    """

    def edit(tokens: list[str]) -> str:
        result = list(tokens)
        for index, token in enumerate(tokens):
            if not token.endswith(".Capabilities.APIVersions.Has"):
                continue
            argument = next((i for i in range(index + 1, len(tokens)) if not tokens[i].isspace()), None)
            if argument is not None and (name := _literal(tokens[argument])) is not None and name not in api_versions:
                result[index : argument + 1] = ["false", *[""] * (argument - index)]
        return "".join(result)

    return edit


def _edited(text: str, edit: Edit) -> Iterator[str]:
    position = 0
    while (start := text.find("{{", position)) >= 0:
        yield text[position:start]
        if _COMMENT.match(text, start):
            end = text.find("*/", start)
            position = len(text) if end < 0 else end + 2
            yield text[start:position]
            continue
        tokens: list[str] = []
        position = start + 2
        while (token := _TOKEN.match(text, position)) is not None:
            position = token.end()
            tokens.append(token[0])
            if token[0] == "}}":
                break
        yield "{{" + edit(tokens)
    yield text[position:]


def _literal(token: str) -> str | None:
    if token[:1] == "`":
        return token[1:-1]
    try:
        value = json.loads(token) if token[:1] == '"' else None
    except ValueError:
        return None
    return value if isinstance(value, str) else None
