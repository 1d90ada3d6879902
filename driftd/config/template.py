"""Entries of `apps` that stand for many apps: the variables in their values, and which of them go where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic_core import PydanticCustomError

from driftd.config.mistake import did_you_mean, mistake
from driftd.git.folder_pattern import WILDCARD

FOLDER, CLUSTER = "folder", "cluster"
"""Variables: the names of the folder and of the app's cluster. `1` is what the first `*` of the path stands for."""

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_KNOWN = rf"{FOLDER}|{CLUSTER}|[1-9]"
_MAX_WILDCARDS = 9
_TEXTS = ("name", "path", "namespace", "cluster")

_Location = tuple[str | int, ...]
_KeyMistake = tuple[_Location, PydanticCustomError]


def variables(text: object) -> list[str]:
    """The names of the variables in a value, in their order."""
    return _VARIABLE.findall(text) if isinstance(text, str) else []


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables replaced. Raises: KeyError: one has no value."""
    return _VARIABLE.sub(lambda match: values[match[1]], text)


def fill_in(entry: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The keys of an entry, as the file has them, with their variables replaced. Raises: KeyError: one has no value."""
    filled: Any = deepcopy(dict(entry))
    for (*way, key), text in _templates(entry):
        place = filled
        for step in way:
            place = place[step]
        place[key] = filled_in(text, values)
    return dict(filled)


def template_mistakes(app: Mapping[str, Any]) -> Iterator[_KeyMistake]:
    """What is wrong with the wildcards and the variables of an entry, by its keys."""
    path, clusters = app.get("path", ""), app.get("clusters")
    if not isinstance(path, str):
        return  # told where the key itself is checked
    wildcards = path.count(WILDCARD)
    if wildcards > _MAX_WILDCARDS:
        yield ("path",), mistake(f"has more than {_MAX_WILDCARDS} wildcards")
    if "exclude" in app and not wildcards:
        yield ("exclude",), mistake("has no use without a * in path: there is just one folder")
    if wildcards or clusters:
        yield from _unknown_variables(app, wildcards)
        yield from _names_of_their_own(app, wildcards, clusters if isinstance(clusters, list | tuple) else ())
    else:
        yield from _variables_of_one(app)


def _unknown_variables(app: Mapping[str, Any], wildcards: int) -> Iterator[_KeyMistake]:
    of_folder = [FOLDER, *map(str, range(1, wildcards + 1))]
    for location, text in _templates(app):
        allowed = {"path": [CLUSTER], "cluster": of_folder}.get(str(location[0]), [*of_folder, CLUSTER])
        for name in variables(text):
            if name not in allowed:
                shown = ", ".join(f"{{{one}}}" for one in allowed)
                hint = did_you_mean(name, allowed)
                yield location, mistake(f"there is no variable {{{name}}} here, only {shown}{hint}")
    if CLUSTER in variables(app.get("path")) and variables(app.get("cluster")):
        yield ("path",), mistake("cannot have {cluster}, as cluster comes from the path: name the clusters instead")


def _names_of_their_own(app: Mapping[str, Any], wildcards: int, clusters: Sequence[Any]) -> Iterator[_KeyMistake]:
    """Whether each of the apps can have a name that no other has."""
    name = app.get("name")
    if not isinstance(name, str):
        return
    if wildcards and not set(variables(name)) - {CLUSTER}:
        yield ("name",), mistake("needs {folder}, or {1} for what the first * stands for: each folder is an app")
    if len(clusters) > 1 and CLUSTER not in variables(name):
        yield ("name",), mistake("needs {cluster}: there is an app for each of the clusters")
    if len(set(map(str, clusters))) < len(clusters):
        yield ("clusters",), mistake("names a cluster twice")


def _variables_of_one(app: Mapping[str, Any]) -> Iterator[_KeyMistake]:
    """In an entry that stands for one app. In a path, other braces may be meant as they are."""
    for location, text in _templates(app):
        is_path = location[0] == "path" or "valuesFiles" in location
        if found := [one for one in variables(text) if not is_path or re.fullmatch(_KNOWN, one)]:
            what = f"{{{found[0]}}} stands for nothing here"
            yield location, mistake(f"{what}: it goes with a * in path, or with clusters")


def _templates(app: Mapping[str, Any]) -> Iterator[tuple[_Location, str]]:
    """The values of an entry in which variables may be, with their locations."""
    for key in _TEXTS:
        yield from _texts(app.get(key), (key,))
    yield from _texts(app.get("namespaces"), ("namespaces",))
    if isinstance(helm := app.get("helm"), Mapping):
        for key in ("releaseName", "valuesFiles"):
            yield from _texts(helm.get(key), ("helm", key))


def _texts(value: object, location: _Location) -> Iterator[tuple[_Location, str]]:
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, list | tuple):
        yield from (((*location, index), item) for index, item in enumerate(value) if isinstance(item, str))
