"""Paths of fields in Kubernetes objects, and their text form.

There are two kinds of path, which are not interchangeable:

- a `FieldPath` identifies a field by meaning: items of a map list by their keys (`containers[name=web]`);
- a `DocumentPath` identifies it by position in the document in Git (`containers[0]`), from which its line number
  follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
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
    """One item of an `x-kubernetes-list-type: set` list, which is its own key."""

    value: Scalar

    def __str__(self) -> str:
        return f"={_key_value(self.value)}"


Segment = str | int | ListKey | SetValue
FieldPath = tuple[Segment, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$/:-]+")
_PLAIN_VALUE = re.compile(r"[^\s\[\],=\"]+")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_KEY_AND_VALUE = rf'[^\s\[\],="]*=(?:{_QUOTED}|{_PLAIN_VALUE.pattern})'
_FLAT = re.compile(
    r"(?P<map>(?:.*\.)?(?:metadata\.(?:labels|annotations)|matchLabels|nodeSelector))\.(?P<key>[^\[\]]*\.[^\[\]]*)$"
)
_FLAT_DATA = re.compile(r"(?P<map>data|stringData|binaryData)\.(?P<key>[^\[\]]*\.[^\[\]]*)$")
"""Keys in a map whose values have no keys of their own."""
_PATTERN_PART = re.compile(
    rf"(?P<dot>\.)?(?P<key>[A-Za-z0-9_$/:*-]+)|\[(?:{_QUOTED}|[0-9]+|\*|{_KEY_AND_VALUE}(?:,{_KEY_AND_VALUE})*)\]"
)


def format_path(path: FieldPath) -> str:
    """The text form of a path in all output, such as `spec.template.spec.containers[name=web].image`.

    An item of a map list is `[key=value]` (several keys are joined by `,`), of a set `[=value]`, of another list
    `[index]`; a key with a dot, bracket or blank is quoted: `metadata.labels["a.b/c"]`. A contract: see "Contracts" in
    docs/design.md.
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


def path_pattern_mistake(pattern: str, kind: str | None = None) -> str | None:
    """What is wrong with a path in which `*` stands for any run of characters; None where it can match a field.

    The forms of other tools would match nothing: JSON pointers (`/spec/replicas`), jq (`.spec.replicas`), and dotted
    keys without brackets, or in brackets without quotes. `kind` is that of the objects, where it is known.
    """
    if pattern.startswith("/"):
        return "starts with /: its parts are joined by dots, as in spec.replicas"
    if pattern.startswith(("$.", ".")):
        return f"starts with {pattern[: pattern.index('.') + 1]}: the first part is a name, as in spec.replicas"
    end = 0
    while end < len(pattern):
        part = _PATTERN_PART.match(pattern, end)
        if part is None or (part["key"] and end and not part["dot"] and not part["key"].startswith("*")):
            break
        if part["dot"] and not end:
            break
        end = part.end()
    if pattern and end == len(pattern):
        return _dotted_key(pattern, kind)
    rest = pattern[end:]
    if rest.startswith("[") and "]" not in rest:
        return f'has a bracket that is not closed: "{rest}"'
    if rest.startswith("["):
        return f'has brackets that are none of [name=value], [0], [*], ["a.b/c"]: "{rest}"'
    if rest.startswith("."):
        return "has an empty part between its dots" if rest.startswith("..") else f'has no name after a dot: "{rest}"'
    return f'cannot be read from here on: "{rest}"'


def _dotted_key(pattern: str, kind: str | None) -> str | None:
    """That the last part of a path is taken for several, since its dots are not quoted."""
    flat = _FLAT.match(pattern) or (_FLAT_DATA.match(pattern) if kind in ("ConfigMap", "Secret") else None)
    if flat is None:
        return None
    return f'has dots in a key, which takes brackets and quotes: {flat["map"]}["{flat["key"]}"]'


class PathSet:
    """Paths of fields, to be asked of many others whether they overlap: in the time of a path's length."""

    def __init__(self, paths: Iterable[FieldPath]) -> None:
        self._paths = set(paths)
        self._beginnings = {path[:depth] for path in self._paths for depth in range(len(path) + 1)}

    def overlaps(self, path: FieldPath) -> bool:
        """Whether a field is one of these, within one of them, or has one within it."""
        return path in self._beginnings or any(path[:depth] in self._paths for depth in range(len(path)))


def _key_value(value: Scalar) -> str:
    if isinstance(value, str):
        return value if _PLAIN_VALUE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
