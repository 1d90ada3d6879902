"""A parser for Dockerfiles, as far as the tests need it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(slots=True)
class Stage:
    """A FROM and its instructions, which are pairs of a keyword and its text."""

    base: str
    name: str | None
    platform: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [text for word, text in self.instructions if word == keyword]

    def environment(self) -> dict[str, str]:
        pairs = [word.partition("=") for text in self.all("ENV") for word in shlex.split(text)]
        return {name: value for name, _, value in pairs}

    def labels(self) -> dict[str, str]:
        pairs = [word.partition("=") for text in self.all("LABEL") for word in shlex.split(text)]
        return {name: value for name, _, value in pairs}

    def arguments(self) -> dict[str, str]:
        pairs = [text.partition("=") for text in self.all("ARG")]
        return {name: value for name, _, value in pairs}

    def command(self, keyword: str) -> list[str]:
        """The last CMD or ENTRYPOINT, which has to be in exec form."""
        words = json.loads(self.all(keyword)[-1])
        assert isinstance(words, list)
        return words


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile, with the ARGs before the first FROM substituted in the FROMs."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for keyword, rest in _instructions(text):
        if keyword == "FROM":
            stages.append(_stage(_VARIABLE.sub(lambda m: arguments.get(m[1] or m[2], m[0]), rest)))
        elif stages:
            stages[-1].instructions.append((keyword, rest))
        else:
            assert keyword == "ARG", keyword
            name, _, value = rest.partition("=")
            arguments[name] = value
    return stages


def _stage(text: str) -> Stage:
    words = text.split()
    platform = words.pop(0).removeprefix("--platform=") if words[0].startswith("--platform=") else None
    named = len(words) == 3 and words[1].upper() == "AS"
    assert named or len(words) == 1, text
    return Stage(words[0], words[2] if named else None, platform)


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    instructions = []
    for line in joined.splitlines():
        keyword, _, rest = line.partition(" ")
        instructions.append((keyword, rest.strip()))
    return instructions


def ignored_by(text: str) -> Callable[[str], bool]:
    """A predicate for ignored paths: a pattern applies to a path and all below it, and the last match decides.

    Source: moby/patternmatcher. The syntax differs from .gitignore: `*` does not match across folders.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rules = [(re.compile(_expression(line.removeprefix("!"))), not line.startswith("!")) for line in lines]

    def ignored(path: str) -> bool:
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        verdict = False
        for pattern, excluded in rules:
            if any(pattern.fullmatch(prefix) for prefix in prefixes):
                verdict = excluded
        return verdict

    return ignored


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(meaning.get(part, re.escape(part)) for part in parts)
