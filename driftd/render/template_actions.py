"""Edits of the actions (`{{ … }}`) in a copy of a chart's templates, for what `helm template` has no option for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

_TOKEN = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|'(?:\\.|[^'\\\n])*'|[$.\w]+|\}\}|[\s\S]")
_COMMENT = re.compile(r"\{\{-?\s*/\*")

_REVISION = "7919"
"""A revision that no first installation has."""

_OTHERWISE = {
    "now": '(toDate "2006-01-02 15:04:05" "2011-11-11 11:11:11")',
    "randInt": "sub",  # of the same two numbers: less than the first one
    "randNumeric": "randAlpha",
}
"""What to call in place of functions whose results might be the same twice by chance, or within a second or a day."""

Edit = Callable[[list[str]], str]
"""The text of an action, by its tokens."""


def edit_templates(chart: Path, edit: Edit) -> None:
    """Edits the actions in the templates of a chart on disk, and of the charts below it that are no archives."""
    for file in sorted(chart.rglob("*")):
        if "templates" in file.relative_to(chart).parts[:-1] and file.is_file() and not file.is_symlink():
            try:
                text = file.read_bytes().decode()
            except UnicodeDecodeError:
                continue
            if (edited := edit_actions(text, edit)) != text:
                file.write_bytes(edited.encode())


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
