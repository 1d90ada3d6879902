"""`.driftdignore`: excludes files that are no manifests, in the syntax of `.gitignore`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".driftdignore"


class IgnoreRules:
    """The rules of all ignore files that apply to one folder, `base` (ending in `/`; empty for the root).

    An ignore file applies to its folder and below; of several that match, the deepest one decides, and in it the last
    line. A file in an ignored folder cannot be included again. Hidden files and folders (those that start with a dot)
    below `base` are ignored without a rule.
    """

    def __init__(self, base: str, files: Mapping[str, bytes]) -> None:
        """`files`: the contents of the ignore files, by path from the repository's root."""
        self._base = base
        self._specs = [
            (path.removesuffix(IGNORE_FILE), _spec(content.decode(errors="replace").splitlines()))
            for path, content in sorted(files.items(), key=lambda item: item[0].count("/"), reverse=True)
        ]
        self._folders: dict[str, bool] = {"": False}

    def ignores(self, path: str) -> bool:
        """Whether a file below `base` is excluded."""
        folder, _, name = path.removeprefix(self._base).rpartition("/")
        return name.startswith(".") or self._ignores_folder(folder) or self._matches(path)

    def _ignores_folder(self, folder: str) -> bool:
        if folder not in self._folders:
            parent, _, name = folder.rpartition("/")
            self._folders[folder] = (
                name.startswith(".") or self._ignores_folder(parent) or self._matches(f"{self._base}{folder}/")
            )
        return self._folders[folder]

    def _matches(self, path: str) -> bool:
        for folder, spec in self._specs:
            if path.startswith(folder) and path != folder:
                matched = spec.check_file(path[len(folder) :]).include
                if matched is not None:
                    return matched
        return False


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  # slow to import, and few folders have rules

    return GitIgnoreSpec.from_lines(lines)
