"""The manual page docs/driftd.1, from the command line's own help. `python -m tests.docs.reference` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_EXIT_STATUS = (
    ("0", "All is in sync."),
    ("1", "Something differs, or could not be applied."),
    ("2", "Something could not be told, or the command cannot be carried out."),
)
_ENVIRONMENT = (
    ("DRIFTD_CONFIG", "The configuration file, where --config is left out."),
    ("KUBECONFIG", "The kubeconfig file, where none is named."),
)


def man_page(commands: Iterable[tuple[tuple[str, ...], Any]], about: str) -> str:
    """The page in man(7)'s macros. `commands` are those that can be run, each with its name word by word."""
    lines = ['.TH DRIFTD 1 "" "driftd" "User Commands"', ".SH NAME", f"driftd \\- {_text(about)}"]
    lines += [".SH SYNOPSIS", ".B driftd", ".I COMMAND", "[OPTIONS]", ".SH COMMANDS"]
    for path, command in commands:
        lines += _command(path, command)
    for title, entries in (("EXIT STATUS", _EXIT_STATUS), ("ENVIRONMENT", _ENVIRONMENT)):
        lines.append(f".SH {title}")
        for term, text in entries:
            lines += [".TP", f".B {_text(term)}", _text(text)]
    return "\n".join(lines) + "\n"


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    context = command.make_context(path[-1], [], resilient_parsing=True)
    yield f".SS {_text(' '.join([*path, *command.collect_usage_pieces(context)[1:]]))}"
    yield _text(command.help or "")
    for option in command.params:
        record = option.get_help_record(context) if option.param_type_name == "option" else None
        if record is not None:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))


def _text(text: str) -> str:
    """One line in which nothing is a macro."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line
