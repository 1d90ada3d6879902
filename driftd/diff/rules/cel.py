"""Conditions in CEL, the Common Expression Language of Kubernetes' own policies.

Source: https://github.com/google/cel-spec. Pure: an expression reads only its variables.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from driftd.model.drift import FieldDrift
from driftd.model.errors import DriftdError
from driftd.model.path import format_path
from driftd.model.resource import JsonObject


def validate(expression: str) -> str:
    """Returns the expression. Raises: DriftdError: it does not parse, or uses an unknown variable."""
    try:
        program = _program(expression)
    except ValueError as error:
        raise DriftdError(f"not a CEL expression: {str(error).splitlines()[0]}") from error
    unknown = sorted(set(program.variables()) - {"object", "field"})
    if unknown:
        raise DriftdError(f"CEL: there is no {unknown[0]}; an expression may use object and field")
    return expression


def evaluate(expression: str, declared: JsonObject, drift: FieldDrift) -> bool:
    """Whether an expression is true of a difference.

    Its variables are `object`, the manifest in Git, and `field`, with `path`, `change`, `desired`, `live` and `manager`
    (empty if the field has no owner). An expression that fails, by a missing key or a value of another type, is false.
    """
    field = {
        "path": format_path(drift.path),
        "change": str(drift.change),
        "desired": drift.desired,
        "live": drift.live,
        "manager": drift.by.manager if drift.by else "",
    }
    try:
        return _program(expression).execute({"object": dict(declared), "field": field}) is True
    except Exception:  # noqa: BLE001  # the library raises various exceptions for a value of another type
        return False


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    import cel  # noqa: PLC0415  # slow to import, and rarely used

    return cel.compile(expression)
