"""`kubectl drift`: kubectl runs the program `kubectl-drift` with what follows, and leaves its own options to it."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.cli.main import app

_OF_DRIFTD_ITSELF = ("--version", "--install-completion", "--show-completion")


def arguments(given: Sequence[str]) -> list[str]:
    """What `driftd` is given: another command where the first word is one, else `check` with all of it.

    An app that is named like a command is checked by `kubectl drift check NAME`.
    """
    passed_on = bool(given) and (given[0] in _commands() or given[0] in _OF_DRIFTD_ITSELF)
    return [*given] if passed_on else ["check", *given]


def _commands() -> set[str | None]:
    commands = {one.name or (one.callback and one.callback.__name__) for one in app.registered_commands}
    return commands | {group.name for group in app.registered_groups}
