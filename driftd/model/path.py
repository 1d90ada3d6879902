"""Where a field is inside a Kubernetes object, and how that is written.

Two kinds of path exist, and they are not interchangeable:

- a `FieldPath` names a field by meaning: items of a map list by their keys (`containers[name=web]`);
- a `DocumentPath` names it by position in the document that Git holds (`containers[0]`), which is what a
  line number is found by.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

Scalar = str | int | float | bool | None
"""A JSON scalar."""

DocumentPath = tuple[str | int, ...]
"""Map keys and list indexes from the document's root."""


@dataclass(frozen=True, slots=True)
class ListKey:
    """The keys that identify one item of an `x-kubernetes-list-type: map` list, in the schema's order."""

    keys: tuple[tuple[str, Scalar], ...]

    def __str__(self) -> str:
        return ",".join(f"{name}={_key_value(value)}" for name, value in self.keys)


@dataclass(frozen=True, slots=True)
class SetValue:
    """One item of an `x-kubernetes-list-type: set` list: it is its own key."""

    value: Scalar

    def __str__(self) -> str:
        return f"={_key_value(self.value)}"


Segment = str | int | ListKey | SetValue
FieldPath = tuple[Segment, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$/:-]+")
_PLAIN_VALUE = re.compile(r"[^\s\[\],=\"]+")


def format_path(path: FieldPath) -> str:
    """`spec.template.spec.containers[name=web].image`, as every output of driftd writes it (DESIGN.md §5).

    A map-list item is `[key=value]` (several keys joined by `,`), a set item `[=value]`, another list item
    `[index]`; a key that has a dot, a bracket or a blank in it is quoted: `metadata.labels["a.b/c"]`.
    """
    parts: list[str] = []
    for segment in path:
        if isinstance(segment, str):
            if _PLAIN_KEY.fullmatch(segment):
                parts.append(f".{segment}" if parts else segment)
            else:
                parts.append(f"[{json.dumps(segment, ensure_ascii=False)}]")
        else:
            parts.append(f"[{segment}]")
    return "".join(parts)


def _key_value(value: Scalar) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
