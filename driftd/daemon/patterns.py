"""The apps of entries that stand for many: as the repositories have their folders, followed while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from driftd.config.expansion import Expansion, FolderQuery, Listing, NotJudged, expand, folder_queries
from driftd.config.settings import Config
from driftd.config.source import SourceConfig
from driftd.daemon.assembly import git_source
from driftd.git.mirror import Mirror, mirror_of
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.errors import GitError, RefNotFound
from driftd.model.revision import Revision

log = structlog.get_logger(__name__)

Locate = Callable[[SourceConfig], Awaitable[tuple[MirroredCommits, Revision]]]
"""Where the folders of a source are looked for. Raises: GitError."""


class PatternApps:
    """The apps of one configuration, as of the last commit of each source that was looked at.

    A source whose folders cannot be listed keeps the apps that it had; its patterns are among what cannot be judged.
    `on_change` is called when the apps are others than before.
    """

    def __init__(self, config: Config, on_change: Callable[[], None] = lambda: None) -> None:
        self._original = config
        self._on_change = on_change
        self._queries = _by_source(config)
        self._sources = {source.name: source for source in config.sources if source.name in self._queries}
        self._mirrors: dict[str, Mirror] = {}
        self._lock = asyncio.Lock()
        self._listings: dict[FolderQuery, Listing] = {}
        self._looked: dict[str, str] = {}
        self._expansion = expand(config, {})

    @property
    def config(self) -> Config:
        """The configuration in which each app has its own entry."""
        return self._expansion.config

    @property
    def not_judged(self) -> NotJudged:
        """What could not be made an app."""
        return self._expansion.not_judged

    @property
    def is_complete(self) -> bool:
        """Whether all folders are known, so that an app that is not there is gone."""
        return self._expansion.is_complete

    @property
    def not_known(self) -> list[str]:
        """The patterns whose folders were never known."""
        asked = [query for queries in self._queries.values() for query in queries]
        return [query.label for query in asked if self._listings.get(query, Listing()).folders is None]

    def __bool__(self) -> bool:
        """Whether apps may come and go with folders at all."""
        return bool(self._queries)

    async def look_at_mirrors(self) -> None:
        """Takes the folders as they are mirrored. Those of a source that is not are unknown until it is fetched."""
        for source in self._sources:
            try:
                revision = await self._mirror(source).resolve()
            except GitError as error:  # the fetch will tell of it, too
                log.debug("folders are not known yet", source=source, error=str(error))
            else:
                await self.look(source, revision)

    async def look(self, source: str, revision: Revision | None) -> bool:
        """Takes the folders of a revision. False: the apps are others than before."""
        if revision is None or source not in self._sources:
            return True
        async with self._lock:  # an earlier revision must not come after a later one
            if self._looked.get(source) == revision.sha:
                return True
            mirror, queries = self._mirror(source), self._queries[source]
            listings = await _listings(queries, mirror, revision.sha, self._listings)
            if not any(listing.error for listing in listings.values()):
                self._looked[source] = revision.sha
            return await self._take(listings)

    def _mirror(self, source: str) -> Mirror:
        """Raises: GitError."""
        if source not in self._mirrors:
            self._mirrors[source] = mirror_of(git_source(self._sources[source]), self._original.cache_dir)
        return self._mirrors[source]

    async def _take(self, listings: Mapping[FolderQuery, Listing]) -> bool:
        if all(self._listings.get(query) == listing for query, listing in listings.items()):
            return True
        before, self._listings = self._expansion, {**self._listings, **listings}
        self._expansion = now = await asyncio.to_thread(expand, self._original, self._listings)
        for name, (_, reason) in now.not_judged.items():
            if before.not_judged.get(name) != now.not_judged[name]:
                log.warning("cannot be judged", app=name, reason=reason)
        if now.config == before.config:
            return True
        come, gone = _difference(before.config, now.config), _difference(now.config, before.config)
        log.info("apps have come or gone with their folders", come=come, gone=gone)
        self._on_change()
        return False


async def expanded(config: Config, locate: Locate) -> Expansion:
    """The apps of a configuration, for a command: each source is asked where `locate` says."""
    listings: dict[FolderQuery, Listing] = {}
    queries = _by_source(config)
    for source in config.sources:
        if source.name in queries:
            try:
                mirror, revision = await locate(source)
            except GitError as error:
                listings |= dict.fromkeys(queries[source.name], Listing(error=str(error)))
            else:
                listings |= await _listings(queries[source.name], mirror, revision.sha, {})
    return expand(config, listings)


def mirrored(config: Config) -> Locate:
    """Looks at what the daemon has mirrored, or fetches where that is nothing."""

    async def locate(source: SourceConfig) -> tuple[MirroredCommits, Revision]:
        mirror = mirror_of(git_source(source), config.cache_dir)
        try:
            return mirror, await mirror.resolve()
        except RefNotFound:
            return mirror, await mirror.fetch()

    return locate


def fetched(config: Config) -> Locate:
    """Looks at what is in Git now."""

    async def locate(source: SourceConfig) -> tuple[MirroredCommits, Revision]:
        mirror = mirror_of(git_source(source), config.cache_dir)
        return mirror, await mirror.fetch()

    return locate


async def _listings(
    queries: Iterable[FolderQuery], mirror: MirroredCommits, sha: str, before: Mapping[FolderQuery, Listing]
) -> dict[FolderQuery, Listing]:
    """What a commit answers; where it cannot be asked, the answer before stays."""
    listings = {}
    for query in queries:
        try:
            folders = await mirror.folders(sha, query.pattern, query.exclude)
        except GitError as error:
            listings[query] = Listing(before.get(query, Listing()).folders, str(error))
        else:
            listings[query] = Listing(tuple(folders))
    return listings


def _by_source(config: Config) -> dict[str, list[FolderQuery]]:
    queries: dict[str, list[FolderQuery]] = {}
    for query in folder_queries(config):
        queries.setdefault(query.source, []).append(query)
    return queries


def _difference(config: Config, other: Config) -> list[str]:
    """The names of the apps that only `config` has."""
    names = {app.name for app in other.apps}
    return [app.name for app in config.apps if app.name not in names]
