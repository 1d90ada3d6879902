"""Checks across sections: that names are unique, that references resolve, and that defaults for all apps suit each.

Works on unvalidated data, so that these mistakes are reported together with all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from driftd.config.mistake import did_you_mean
from driftd.config.settings import DEFAULT_CLUSTER
from driftd.config.template import variables
from driftd.config.values import boolean
from driftd.config.yaml_document import Location, children


def reference_mistakes(data: object) -> Iterator[tuple[Location, str]]:
    """Duplicate names, unresolved references, and keys that do not suit a default, with their locations."""
    for lists in ("clusters", "sources", "apps"):
        yield from _duplicates((lists,), children(data, lists))
    notify = data.get("notify") if isinstance(data, Mapping) else None
    yield from _duplicates(("notify", "webhooks"), children(notify, "webhooks"))
    sources = _names(data, "sources")
    clusters = _names(data, "clusters") or [DEFAULT_CLUSTER]
    for index, app in children(data, "apps"):
        yield from _reference(("apps", index, "source"), app, sources, "source")
        if not variables(app.get("cluster")):
            yield from _reference(("apps", index, "cluster"), app, clusters, "cluster")
        for place, name in enumerate(several if isinstance(several := app.get("clusters"), list) else ()):
            yield from _reference(("apps", index, "clusters", place), {"cluster": name}, clusters, "cluster")
        deploys = app.get("deploys", data.get("deploys") if isinstance(data, Mapping) else None)
        if app.get("rollback") == "auto" and boolean(deploys) is False:
            yield (
                ("apps", index, "rollback"),
                "auto is for apps that driftd deploys: with deploys: false, the deployer of this one rolls it back",
            )
        if boolean(app.get("takeOver")) and boolean(deploys) is False:
            yield (
                ("apps", index, "takeOver"),
                "true is for apps that driftd deploys: with deploys: false, nothing is taken over from their deployer",
            )


def _reference(
    location: Location, app: Mapping[str, Any], names: list[str], noun: str
) -> Iterator[tuple[Location, str]]:
    name = app.get(noun)
    if isinstance(name, str) and name not in names:
        hint = did_you_mean(name, names)
        if not hint:
            hint = f"; there are {', '.join(names)}" if names else f"; there are no {noun}s"
        yield location, f"there is no {noun} with this name{hint}"


def _duplicates(location: Location, entries: list[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[Location, str]]:
    first: dict[str, int] = {}
    for index, entry in entries:
        name = entry.get("name")
        if isinstance(name, str) and not variables(name) and first.setdefault(name, index) != index:
            yield (*location, index, "name"), f"must be unique: {location[-1]}[{first[name]}] has the same name"


def _names(data: object, key: str) -> list[str]:
    return [entry["name"] for _, entry in children(data, key) if isinstance(entry.get("name"), str)]
