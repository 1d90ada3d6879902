"""`.driftdignore`: excludes files that are no manifests, in the syntax of `.gitignore`."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.model.errors import RenderError
from driftd.render.gitignore import Effort, Pattern, TooMuchWork

IGNORE_FILE = ".driftdignore"
SOURCE_IGNORE_FILE = ".sourceignore"
"""Flux' own: what it names is not part of what is deployed."""
MAX_PATTERNS = 1000
"""In one file."""
_MOST_STEPS = 50_000_000
"""Of matching all paths of an app: some twenty seconds. A thousand patterns and ten thousand files take a fifth."""


class IgnoreRules:
    """The rules of all ignore files that apply to one folder, `base` (ending in `/`; empty for the root).

    An ignore file applies to its folder and below; of several that match, the deepest one decides, and in it the last
    line. A file in an ignored folder cannot be included again. Hidden files and folders (those that start with a dot)
    below `base` are ignored without a rule.
    """

    def __init__(self, base: str, files: Mapping[str, bytes], first: str = "") -> None:
        """`files`: the contents of the ignore files, by path from the repository's root; `first`: patterns that count
        before them, from the root on.

        Raises: RenderError: one has too many patterns, or one that is too long.
        """
        self._base = base
        self._patterns = [("", _patterns(SOURCE_IGNORE_FILE, first))] if first else []
        self._patterns += [
            (path[: path.rfind("/") + 1], _patterns(path, content.decode(errors="replace")))
            for path, content in sorted(files.items(), key=lambda item: item[0].count("/"), reverse=True)
        ]
        self._folders: dict[str, bool] = {"": False}
        self._effort = Effort(_MOST_STEPS)

    def ignores(self, path: str) -> bool:
        """Whether a file below `base` is excluded. Raises: RenderError: there are too many patterns for the files."""
        folder, _, name = path.rpartition("/")
        try:
            return name.startswith(".") or self._ignores_folder(folder) or self._matches(path)
        except TooMuchWork as error:
            message = "matching all files takes too long: there are too many patterns, or too many stars in them"
            raise RenderError(message, file=self._patterns[0][0] + IGNORE_FILE) from error

    def _ignores_folder(self, folder: str) -> bool:
        if folder not in self._folders:
            parent, _, name = folder.rpartition("/")
            is_hidden = name.startswith(".") and f"{folder}/".startswith(self._base) and f"{folder}/" != self._base
            self._folders[folder] = is_hidden or self._ignores_folder(parent) or self._matches(f"{folder}/")
        return self._folders[folder]

    def _matches(self, path: str) -> bool:
        for folder, patterns in self._patterns:
            if path.startswith(folder) and path != folder:
                steps = path[len(folder) :].rstrip("/").split("/")
                for pattern in patterns:
                    if pattern.matches(steps, self._effort, is_folder=path.endswith("/")):
                        return not pattern.includes
        return False


def _patterns(file: str, text: str) -> tuple[Pattern, ...]:
    """The patterns of an ignore file, the last one first: it decides."""
    patterns: list[Pattern] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            pattern = Pattern.parse(line)
        except ValueError as error:
            raise RenderError(str(error), file=file, line=number) from error
        if pattern is not None:
            patterns.append(pattern)
        if len(patterns) > MAX_PATTERNS:
            raise RenderError(f"there are more than {MAX_PATTERNS} patterns", file=file, line=number)
    return tuple(reversed(patterns))
