"""What an Application ignores: `spec.ignoreDifferences` as ignore rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.deployed import Object, Unsupported, items, section, text
from driftd.discovery.pointers import path_pattern, pattern_of

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
    ignored = [
        rule
        for entry in items(section(application, "spec"), "ignoreDifferences")
        if isinstance(entry, Mapping)
        for rule in _rules(entry)
    ]
    return (*ignored, *_managed_namespace(application))


def _managed_namespace(application: Object) -> Iterator[IgnoreRule]:
    """The labels and annotations that Argo CD itself gives to the namespace that it deploys to."""
    managed = section(application, "spec", "syncPolicy", "managedNamespaceMetadata")
    paths = [
        pattern_of(["metadata", part, key]) for part in ("labels", "annotations") for key in section(managed, part)
    ]
    name = text(section(application, "spec", "destination"), "namespace")
    if paths and name:
        reason, origin = "Argo CD manages it", "managedNamespaceMetadata"
        yield IgnoreRule(paths=tuple(paths), kinds=("Namespace",), names=(name,), reason=reason, origin=origin)


def _rules(entry: Object) -> Iterator[IgnoreRule]:
    conditions: dict[str, Any] = {
        "kinds": _condition(entry, "kind"),
        "groups": _condition(entry, "group"),
        "names": _condition(entry, "name"),
        "namespaces": _condition(entry, "namespace"),
    }
    paths = [path_pattern(str(pointer)) for pointer in items(entry, "jsonPointers")]
    paths += [_of_jq(str(expression)) for expression in items(entry, "jqPathExpressions")]
    if paths:
        yield IgnoreRule(paths=tuple(paths), reason=_REASON, origin="ignoreDifferences", **conditions)
    if managers := tuple(str(manager) for manager in items(entry, "managedFieldsManagers")):
        yield IgnoreRule(managers=managers, reason=_REASON, origin="ignoreDifferences", **conditions)


def _condition(entry: Object, key: str) -> tuple[str, ...]:
    value = text(entry, key)
    return (value,) if value and value != "*" else ()


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
    return pattern_of(steps)
