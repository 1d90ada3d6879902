"""From entries that stand for many apps to these apps, by the folders that a repository has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from driftd.config.app import AppConfig
from driftd.config.settings import Config
from driftd.config.template import CLUSTER, FOLDER, fill_in, filled_in, variables
from driftd.git.folder_pattern import WILDCARD, FolderPattern
from driftd.model.path import format_path
from driftd.model.text import one_line

if TYPE_CHECKING:
    from driftd.git.folders import Folder

_MAX_LABEL = 120
_MAX_NAMED = 5
"""Folders that the text about a conflict names."""

NotJudged = Mapping[str, tuple[str, str]]
"""What cannot be judged: its cluster and the reason, by its name."""


@dataclass(frozen=True, slots=True)
class FolderQuery:
    """What has to be known of a source: the folders that a pattern matches."""

    source: str
    pattern: FolderPattern
    exclude: tuple[FolderPattern, ...] = ()

    @property
    def label(self) -> str:
        return _label(self.source, self.pattern.text)


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders that were found, by the last answer that there was; None where there was none. `error` says why the
    last question was not answered."""

    folders: tuple[Folder, ...] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """A configuration in which each app has its own entry, and what could not be made one.

    It is complete where all folders are known: an app that is not in it is gone then.
    """

    config: Config
    not_judged: NotJudged = field(default_factory=dict)
    is_complete: bool = True


def folder_queries(config: Config) -> list[FolderQuery]:
    """What has to be known before a configuration can be expanded."""
    asked = [query for entry in config.apps for _, path in _paths(entry, config) if (query := _query(entry, path))]
    return list(dict.fromkeys(asked))


def expand(config: Config, listings: Mapping[FolderQuery, Listing]) -> Expansion:
    """Makes an app of each folder. What is the same name for two folders is none of them."""
    made = _Made(config)
    for entry in config.apps:
        if entry.is_pattern:
            for cluster, path in _paths(entry, config):
                made.add_all(entry, cluster, path, listings)
    return made.expansion()


def _paths(entry: AppConfig, config: Config) -> Iterator[tuple[str | None, str]]:
    """The clusters of an entry, each with its path. None: the folders say which cluster it is."""
    if variables(entry.cluster):
        yield None, entry.path
        return
    for cluster in entry.clusters or (config.cluster_of(entry).name,):
        yield cluster, filled_in(entry.path, {CLUSTER: cluster}) if entry.is_pattern else entry.path


def _query(entry: AppConfig, path: str) -> FolderQuery | None:
    """What has to be known for an entry; None where its folder is given."""
    pattern = FolderPattern(path)
    if pattern.start == path:
        return None
    return FolderQuery(entry.source, pattern, tuple(map(FolderPattern, entry.exclude)))


class _Made:
    """The apps that were made so far."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clusters = [cluster.name for cluster in config.all_clusters]
        self._plain = {entry.name: entry for entry in config.apps if not entry.is_pattern}
        self._apps: dict[str, list[tuple[AppConfig, str]]] = {}
        """By name, each with its label."""
        self._not_judged: dict[str, tuple[str, str]] = {}
        self._is_complete = True

    def add_all(
        self, entry: AppConfig, cluster: str | None, path: str, listings: Mapping[FolderQuery, Listing]
    ) -> None:
        """Adds the apps of an entry in one cluster, or in those that their folders name."""
        query, keys = _query(entry, path), _keys_of_each(entry)
        if query is None:
            self._add(entry, keys, cluster, path)
            return
        listing = listings.get(query, Listing(error=f"source {entry.source} has not been fetched yet"))
        if listing.error is not None:
            self._is_complete = False
            self._refuse(query.label, cluster, f"its folders are not known: {listing.error}")
        elif not listing.folders and not entry.allow_empty:
            self._refuse(query.label, cluster, "there is no such folder in the repository: see to its path")
        for folder in listing.folders or ():
            if folder.problem is not None:
                self._refuse(_label_in(entry, folder.path, cluster), cluster, f"is no app: {folder.problem}")
            else:
                self._add(entry, keys, cluster, folder.path, query.pattern.wildcards(folder.path) or ())

    def expansion(self) -> Expansion:
        apps = list(self._plain.values())
        for name, made in self._apps.items():
            if name in self._plain:
                for entry, label in made:
                    reason = f'is no app: it would be called "{name}", as another app of the configuration is'
                    self._refuse(label, entry.cluster, reason)
            elif len(made) > 1:
                self._refuse(name, made[0][0].cluster, _conflict([label for _, label in made]))
            else:
                apps.append(made[0][0])
        return Expansion(self._config.with_apps(apps), self._not_judged, self._is_complete)

    def _add(
        self, entry: AppConfig, keys: Mapping[str, Any], cluster: str | None, path: str, wildcards: Sequence[str] = ()
    ) -> None:
        values = {FOLDER: path.rpartition("/")[2]}
        values |= {str(number): text for number, text in enumerate(wildcards, start=1)}
        label = _label_in(entry, path, cluster)
        if WILDCARD in path:  # as a namespace it would stand for all of them
            self._refuse(label, cluster, f"is no app: its name has a {WILDCARD}")
            return
        cluster = cluster or filled_in(entry.cluster or "", values)
        if cluster not in self._clusters:
            there = ", ".join(self._clusters)
            self._refuse(label, None, f'is no app: there is no cluster "{_shown(cluster)}" (there are: {there})')
            return
        filled = fill_in(keys, values | {CLUSTER: cluster}) | {"path": path, "cluster": cluster}
        try:
            app = AppConfig.model_validate(filled, by_alias=True, by_name=False)
        except ValidationError as error:
            self._refuse(label, cluster, f"is no app: {_explained(error, filled)}")
        else:
            self._apps.setdefault(app.name, []).append((app, label))

    def _refuse(self, label: str, cluster: str | None, reason: str) -> None:
        cluster = cluster or self._clusters[0]
        known = self._not_judged.get(label)
        if known is None:
            self._not_judged[label] = (cluster, reason)
        elif reason not in known[1]:
            self._not_judged[label] = (known[0], f"{known[1]}; {reason}")


def _keys_of_each(entry: AppConfig) -> Mapping[str, Any]:
    """What an entry says of each of its apps, as the file has it."""
    keys: dict[str, Any] = entry.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude={"clusters", "exclude", "path"}
    )
    return keys


def _conflict(labels: list[str]) -> str:
    named = " and ".join(sorted(labels)[:_MAX_NAMED])
    more = f" and {len(labels) - _MAX_NAMED} more" if len(labels) > _MAX_NAMED else ""
    return f"{len(labels)} apps would have this name, of {named}{more}: none of them is judged until their names differ"


def _explained(error: ValidationError, filled: Mapping[str, Any]) -> str:
    texts = []
    for detail in error.errors(include_url=False, include_input=False):
        value: Any = filled
        for key in detail["loc"]:
            value = value[key]
        texts.append(f'its {format_path(detail["loc"])} would be "{_shown(str(value))}", which {detail["msg"]}')
    return "; ".join(texts)


def _label_in(entry: AppConfig, path: str, cluster: str | None) -> str:
    label = _label(entry.source, path)
    return f"{label}@{cluster}" if len(entry.clusters) > 1 else label


def _label(source: str, path: str) -> str:
    """What a folder is called that is no app: safe to show and to store, and no other one's name."""
    label = _shown(f"{source}/{path}")
    if label == f"{source}/{path}":
        return label
    return f"{label}~{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}"


def _shown(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _MAX_LABEL else f"{shown[:_MAX_LABEL]}…"
