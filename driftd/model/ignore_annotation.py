"""The annotation by which an object in Git has some of its own fields ignored."""

from __future__ import annotations

from functools import lru_cache

from driftd.model.path import path_pattern_mistake

ANNOTATION = "driftd.io/ignore"

_WHOLE_OBJECT = frozenset({"*", "true", "all"})
_NOTHING = "false"
_MAX_PATHS, _MAX_PATH_LENGTH = 100, 1000
"""So that no repository can make a comparison slow."""


@lru_cache(maxsize=256)
def ignored_paths(text: str) -> tuple[str, ...] | None:
    """The paths in a value of the annotation, separated by commas or white space; None for the whole object.

    The first 100 count, of up to 1,000 characters each; `annotation_mistake` refuses others. Cached, since each
    difference of an object asks for them.
    """
    paths = _split(text)
    if _WHOLE_OBJECT.intersection(paths):
        return None
    if paths == (_NOTHING,):
        return ()
    return tuple([path for path in paths if len(path) <= _MAX_PATH_LENGTH][:_MAX_PATHS])


def annotation_mistake(text: str, kind: str) -> str | None:
    """What is wrong with a value of the annotation: the first path that could match no field, or its size; else None.

    `kind` is the object's.

    A path that matches nothing leaves unprotected what it was meant to protect.
    """
    paths = _split(text)
    if len(paths) > _MAX_PATHS:
        return f"it has more than {_MAX_PATHS} paths"
    for path in paths:
        if len(path) > _MAX_PATH_LENGTH:
            return f"it has a path of more than {_MAX_PATH_LENGTH} characters"
        if path not in _WHOLE_OBJECT and (what := path_pattern_mistake(path, kind)) is not None:
            return f'the path "{path}" {what}'
    return None


def _split(text: str) -> tuple[str, ...]:
    """The paths, separated by commas and white space outside of brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if depth <= 0 and (char.isspace() or char == ","):
            parts.append(text[start:index])
            start = index + 1
    return tuple(part for part in (*parts, text[start:]) if part)
