"""JSON pointers of other deployers as patterns of driftd's paths."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.discovery.deployed import Unsupported
from driftd.model.path import format_path


def path_pattern(pointer: str) -> str:
    """The pattern of what a JSON pointer names; a number may be that of any item.

    Raises: Unsupported: it is no pointer.
    """
    if not pointer.startswith("/") or pointer == "/":
        raise Unsupported(f"it ignores {pointer!r}, which is no JSON pointer")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
    return pattern_of([None if step.isdecimal() else step for step in steps])


def pattern_of(steps: Sequence[str | None]) -> str:
    """The pattern of a path, in which None stands for any item of a list."""
    result = ""
    for step in steps:
        if step is None:
            result += "[*]"
        else:
            result = result + format_path(("x", step))[1:] if result else format_path((step,))
    return result
