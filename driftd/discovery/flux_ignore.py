"""What Flux ignores in some objects, as ignore rules: `driftDetection.ignore` of a HelmRelease, `ignore` of a
Kustomization.

Source: helm-controller 1.4, docs/spec/v2/helmreleases.md; kustomize-controller 1.9, docs/spec/v1/kustomizations.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.deployed import Object, Unsupported, items, section, text
from driftd.discovery.pointers import path_pattern

_LITERAL = re.compile(r"[A-Za-z0-9-]+")


def ignore_rules(entries: Sequence[Any], origin: str) -> tuple[IgnoreRule, ...]:
    """The rules of a list of such entries. Raises: Unsupported: objects are selected by more than names."""
    rules = []
    for each in entries:
        if not isinstance(each, Mapping):
            continue
        target = section(each, "target")
        if "labelSelector" in target or "annotationSelector" in target:
            raise Unsupported(f"its {origin} names objects by their labels or annotations")
        conditions: dict[str, Any] = {
            key: _literal(target, name, origin)
            for key, name in (("groups", "group"), ("kinds", "kind"), ("names", "name"), ("namespaces", "namespace"))
        }
        paths = tuple([path_pattern(str(pointer)) for pointer in items(each, "paths")])
        rules.append(IgnoreRule(paths=paths, reason="Flux ignores it", origin=origin, **conditions))
    return tuple(rules)


def _literal(target: Object, key: str, origin: str) -> tuple[str, ...]:
    value = text(target, key)
    if value and not _LITERAL.fullmatch(value):
        raise Unsupported(f"its {origin} names objects by the expression {value!r}")
    return (value,) if value else ()
