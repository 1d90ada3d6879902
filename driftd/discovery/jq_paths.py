"""The fields that an expression of jq names, as patterns of driftd's paths.

Nothing is run: what is read are paths, alternatives, and items of lists that are selected by the key by which the API
server knows them. Any other expression is said to be unknown. Source: jq 1.8, manual.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from driftd.discovery.deployed import Unsupported
from driftd.discovery.pointers import pattern_of

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<key> \.[A-Za-z_][\w-]* | \."(?:[^"\\])+" )
  | (?P<bracket> \.?\[ \s* (?: "[^"\\]+" | -?\d+ )? \s* \] )
  | (?P<select> select \s* \( \s* \.(?P<by>[A-Za-z_]\w*) \s*
        (?: == \s* "(?P<is>[^"\\*]+)"
          | \| \s* (?P<function>startswith|endswith|contains) \s* \( \s* "(?P<part>[^"\\*]+)" \s* \) )
        \s* \) )
  | (?P<sign> [|,()?] )
  | (?P<dot> \. (?![\w"\[]) )
    )""",
    re.VERBOSE,
)
_GLOBS = {"startswith": "{}*", "endswith": "*{}", "contains": "*{}*"}
_LIST_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "webhooks": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "conditions": "type",
    "hostAliases": "ip",
}
"""By which key the API server knows the items of a list, in all of Kubernetes' own kinds that have it."""
_MAX_PATHS = 100


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of a list with a key; the value may have `*` in it."""

    key: str
    value: str


_Step = str | _Item | None
_Path = tuple[_Step, ...]


def path_patterns(expression: str, *, built_in: bool) -> list[str]:
    """The patterns of what an expression names; an index, and `[]`, is any item of a list.

    Items are selected (`select(.name == "web")`) only of Kubernetes' own kinds (`built_in`): of others it is not known
    by what their items are told apart. Raises: Unsupported: the expression is of another kind, or names all.
    """
    reader = _Reader(expression, built_in)
    paths = reader.pipe()
    if not reader.is_at_end or not all(paths) or not paths or len(paths) > _MAX_PATHS:
        raise reader.unknown()
    return [_pattern(path) for path in paths]


def _pattern(path: _Path) -> str:
    text = ""
    pending: list[str | None] = []
    for step in path:
        if isinstance(step, _Item):
            text = _joined(text, pending) + f"[{step.key}={step.value}]"
            pending = []
        else:
            pending.append(step)
    return _joined(text, pending)


def _joined(text: str, steps: Sequence[str | None]) -> str:
    if not steps:
        return text
    rest = pattern_of(steps)
    return f"{text}.{rest}" if text and not rest.startswith("[") else text + rest


class _Reader:
    """Reads an expression by recursive descent: `|` joins less tightly than `,`."""

    def __init__(self, expression: str, built_in: bool) -> None:
        self._expression = expression
        self._built_in = built_in
        self._position = 0
        self._depth = 0

    @property
    def is_at_end(self) -> bool:
        return not self._expression[self._position :].strip()

    def unknown(self) -> Unsupported:
        known = "paths, alternatives, and items by their keys"
        return Unsupported(f"it ignores what {self._expression!r} finds: of jq, driftd knows {known}")

    def pipe(self) -> list[_Path]:
        paths: list[_Path] = [()]
        while True:
            alternatives = self._alternatives()
            paths = [self._and_then(first, then) for first in paths for then in alternatives]
            if len(paths) > _MAX_PATHS:
                raise self.unknown()
            if not self._takes("|"):
                return paths

    def _alternatives(self) -> list[_Path]:
        paths = self._term()
        while self._takes(","):
            paths += self._term()
        return paths

    def _term(self) -> list[_Path]:
        match = self._next()
        if match is None:
            raise self.unknown()
        if match["sign"] == "(":
            self._depth += 1
            if self._depth > 10:
                raise self.unknown()
            paths = self.pipe()
            self._depth -= 1
            if not self._takes(")"):
                raise self.unknown()
        elif match["sign"]:
            raise self.unknown()
        else:
            paths = [self._steps(match)]
        while (match := self._peek()) is not None and (match["key"] or match["bracket"] or match["sign"] == "?"):
            self._position = match.end()
            if not match["sign"]:
                paths = [self._and_then(path, self._steps(match)) for path in paths]
        return paths

    def _steps(self, match: re.Match[str]) -> _Path:
        if match["dot"]:
            return ()
        if match["key"]:
            return (match["key"][1:].strip('"'),)
        if match["bracket"]:
            inner = match["bracket"].lstrip(".").strip("[] \t\n")
            return (inner.strip('"') if inner.startswith('"') else None,)
        value = match["is"] or _GLOBS[match["function"]].format(match["part"])
        return (_Item(match["by"], value),)

    def _and_then(self, first: _Path, then: _Path) -> _Path:
        """One path after another. A selected item is one of the list that was gone through before."""
        if then and isinstance(then[0], _Item):
            if len(first) < 2 or first[-1] is not None or not self._built_in:
                raise self.unknown()
            if _LIST_KEYS.get(str(first[-2])) != then[0].key or re.search(r'[\s\[\],="]', then[0].value):
                raise self.unknown()
            return (*first[:-1], *then)
        return (*first, *then)

    def _takes(self, sign: str) -> bool:
        match = self._peek()
        if match is None or match["sign"] != sign:
            return False
        self._position = match.end()
        return True

    def _next(self) -> re.Match[str] | None:
        match = self._peek()
        if match is not None:
            self._position = match.end()
        return match

    def _peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self._expression, self._position)
