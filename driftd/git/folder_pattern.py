"""Patterns of folders: paths in a repository in which `*` is any run of characters within one folder's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

WILDCARD = "*"


@dataclass(frozen=True)
class FolderPattern:
    """A path whose folders' names may have `*` in them. As in a shell, no `*` takes the dot that a name begins with.

    Of two in one name, the first stands for as much as it can. Raises: ValueError: it has `**`; the text is for users.
    """

    text: str

    def __post_init__(self) -> None:
        if "**" in self.text:
            raise ValueError("** is not supported: write one * for each folder on the way, as in clusters/*/*")

    @property
    def folders(self) -> tuple[str, ...]:
        """The patterns of single names, from the repository's root."""
        return tuple(self.text.split("/")) if self.text else ()

    @property
    def start(self) -> str:
        """The path of the last folder before the first wildcard; empty for the root."""
        names = self.folders
        wild = next((index for index, name in enumerate(names) if WILDCARD in name), len(names))
        return "/".join(names[:wild])

    def wildcards(self, path: str) -> tuple[str, ...] | None:
        """What each `*` stands for in a path; None where it does not match."""
        match = self._compiled.fullmatch(path)
        return match.groups() if match is not None else None

    def covers(self, path: str) -> bool:
        """Whether it matches a path, or a folder above it."""
        names = path.split("/")[: len(self.folders)]
        return self.wildcards("/".join(names)) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile("/".join(map(_expression, self.folders)), re.DOTALL)


def _expression(name: str) -> str:
    """The regular expression of one name."""
    not_hidden = r"(?!\.)" if name.startswith(WILDCARD) else ""
    return not_hidden + "([^/]*)".join(map(re.escape, name.split(WILDCARD)))
