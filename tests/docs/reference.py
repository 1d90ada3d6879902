"""The parts of the documents that are made from the code. `python -m tests.docs.reference` writes them anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from driftd.cli.main import app
from driftd.config.schema import json_schema
from driftd.web.metrics import Metrics
from tests.docs.man_page import man_page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MANUAL = DOCS / "driftd.1"
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


def configuration() -> str:
    """Every key of the configuration, section by section, from its schema."""
    schema = json_schema()
    lines: list[str] = []
    for title, section in _sections(schema, "the file itself", schema):
        lines += [f"### {title}", "", section.get("description", ""), ""]
        lines += ["| key | value | default | |", "|---|---|---|---|"]
        required = set(section.get("required", ()))
        for key, value in section["properties"].items():
            default = "**required**" if key in required else _code(value.get("default"))
            lines.append(f"| `{key}` | {_kind(value, schema)} | {default} | {_cell(value.get('description', ''))} |")
        lines.append("")
    return "\n".join(lines)


def commands() -> str:
    """Every command with its arguments and options, from the command line's own help."""
    lines: list[str] = []
    for path, command in leaves():
        context = command.make_context(path[-1], [], resilient_parsing=True)
        words = [*path, *map(_argument, command.collect_usage_pieces(context)[1:]), "[OPTIONS]"]
        about = " ".join((command.help or "").split())
        lines += [f"### {' '.join(path[1:])}", "", f"`{' '.join(words)}`", "", about, ""]
        options = [p for p in command.params if p.param_type_name == "option"]
        if options:
            lines += ["| option | |", "|---|---|"]
            lines += [_option(option, context) for option in options]
            lines.append("")
    return "\n".join(lines)


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be run, with its name word by word."""
    yield from _leaves(typer.main.get_command(app), ("driftd",))


def metrics() -> str:
    """Every metric, from the registry that the daemon has."""
    lines = ["| metric | type | labels | |", "|---|---|---|---|"]
    for collector in Metrics()._registry._collector_to_names:
        names = collector._labelnames  # type: ignore[attr-defined]
        (family,) = collector.describe()  # type: ignore[attr-defined]
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| `{family.name}{suffix}` | {family.type} | {labels} | {_cell(family.documentation)} |")
    return "\n".join([*lines, ""])


PARTS: Mapping[str, Callable[[], str]] = {"configuration": configuration, "commands": commands, "metrics": metrics}


def with_parts(text: str) -> str:
    """A document with its generated parts as they should be."""
    return _PART.sub(lambda m: f"{m[1]}\n{PARTS[m['name']]()}\n{m[4]}", text)


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def _sections(
    section: Mapping[str, Any], title: str, schema: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield title, section
    for key, value in section["properties"].items():
        found = _resolve(value.get("items", value), schema)
        if "properties" in found:
            place = f"{key}[]" if "items" in value else key
            yield from _sections(found, place if section is schema else f"{title}.{place}", schema)


def _resolve(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in value:
        found: Mapping[str, Any] = schema["$defs"][value["$ref"].rpartition("/")[2]]
        return found
    return value


def _kind(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    found = _resolve(value, schema)
    if found.get("type") == "array":
        return f"list of {_kind(value['items'], schema)}"
    if "properties" in found:
        return "map"
    if "enum" in found:
        return ", ".join(f"`{word}`" for word in found["enum"])
    if "const" in found:
        return f"`{found['const']}`"
    if found.get("type") == "boolean":
        return "`true`, `false`"
    return "duration" if "1h30m" in value.get("examples", ()) else "text"


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from _leaves(below, (*path, name))


def _argument(piece: str) -> str:
    """`[[APP]...]...` and `{APP}` as people write them: `[APP]...` and `APP`."""
    optional, name = piece.startswith("["), re.sub(r"[\[\]{}.]", "", piece)
    return (f"[{name}]" if optional else name) + ("..." if "..." in piece else "")


def _option(option: Any, context: Any) -> str:
    names, about = option.get_help_record(context)
    return f"| `{_cell(names)}` | {_cell(about)} |"


def _code(default: object) -> str:
    if default in (None, "", [], ()) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def manual() -> str:
    """The manual page as it should be."""
    return man_page(leaves(), str(typer.main.get_command(app).help))


def main() -> int:
    fresh = {page: with_parts(page.read_text()) for page in pages()} | {MANUAL: manual()}
    for page, text in fresh.items():
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
            print(f"{page.relative_to(ROOT)}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
