"""What an Application ignores: `spec.ignoreDifferences` as ignore rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.deployed import Object, Unsupported, items, section, text
from driftd.model.path import format_path

_REASON = "Argo CD ignores it"
_JQ = re.compile(
    r"""
    \.(?: (?P<key>[A-Za-z_][\w-]*) | "(?P<quoted>[^"\\]+)" )
    | \["(?P<in_brackets>[^"\\]+)"\]
    | (?P<each> \[\]\?? )
    """,
    re.VERBOSE,
)


def ignore_rules(application: Object) -> tuple[IgnoreRule, ...]:
    """The rules of one Application. Raises: Unsupported: an expression of jq is more than a path."""
    return tuple(
        [
            rule
            for entry in items(section(application, "spec"), "ignoreDifferences")
            if isinstance(entry, Mapping)
            for rule in _rules(entry)
        ]
    )


def _rules(entry: Object) -> Iterator[IgnoreRule]:
    conditions = {
        "kinds": _condition(entry, "kind"),
        "groups": _condition(entry, "group"),
        "names": _condition(entry, "name"),
        "namespaces": _condition(entry, "namespace"),
    }
    paths = [_of_pointer(str(pointer)) for pointer in items(entry, "jsonPointers")]
    paths += [_of_jq(str(expression)) for expression in items(entry, "jqPathExpressions")]
    if paths:
        yield IgnoreRule(paths=tuple(paths), reason=_REASON, origin="ignoreDifferences", **conditions)
    if managers := tuple(str(manager) for manager in items(entry, "managedFieldsManagers")):
        yield IgnoreRule(managers=managers, reason=_REASON, origin="ignoreDifferences", **conditions)


def _condition(entry: Object, key: str) -> tuple[str, ...]:
    value = text(entry, key)
    return (value,) if value and value != "*" else ()


def _of_pointer(pointer: str) -> str:
    """The pattern of a path that a JSON pointer names; a number may be that of any item."""
    if not pointer.startswith("/"):
        raise Unsupported(f"it ignores {pointer!r}, which is no JSON pointer")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
    return _pattern([None if step.isdecimal() else step for step in steps])


def _of_jq(expression: str) -> str:
    """The pattern of a path that an expression of jq names, if it names one: `.spec.containers[].image`."""
    steps: list[str | None] = []
    position = 0
    while position < len(expression):
        match = _JQ.match(expression, position)
        if match is None:
            raise Unsupported(f"it ignores what {expression!r} finds, and driftd knows no more of jq than paths")
        steps.append(None if match["each"] else match["key"] or match["quoted"] or match["in_brackets"])
        position = match.end()
    if not steps:
        raise Unsupported("it ignores all of an object by jq")
    return _pattern(steps)


def _pattern(steps: list[str | None]) -> str:
    """A pattern of driftd's paths; None stands for any item of a list."""
    result = ""
    for step in steps:
        if step is None:
            result += "[*]"
        else:
            result = format_path((step,)) if not result else result + _following(step)
    return result


def _following(step: str) -> str:
    return format_path(("x", step))[1:]
