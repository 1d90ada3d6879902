"""Keeps the objects of one scope up to date: list, then watch, and list again when a watch cannot go on."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from driftd.kube.cached_object import CachedObject
from driftd.kube.coalescing import EventCoalescer
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import OBJECTS_PER_YIELD, list_each
from driftd.kube.object_store import ObjectStore, by_key, log_defect
from driftd.kube.objects import ObjectKey
from driftd.kube.resource_version import is_newer
from driftd.kube.rest_client import Cluster
from driftd.kube.watch import EventType, WatchEvent, WatchOutOfOrder, WatchSilent, watch
from driftd.model.backoff import exponential_delay
from driftd.model.errors import DriftdError, Forbidden, Gone, Invalid, KubeError, UnknownKind
from driftd.process.garbage_collector import gc_paused

log = structlog.get_logger()

_SHORT_WATCH_SECONDS = 1.0
"""A watch that ends sooner counts as a failure, for which the next one backs off."""

_MAX_CONCURRENT_LISTS = 8
"""Per cluster: each list holds some megabytes."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a scope is synced.

    `synced`: it was listed, and what happens in it is known, or has been unknown for less than `Timing.stale_after`.
    `error`: the current error, also while still `synced`. `last_contact`: when the server last sent a list, an event or
    a bookmark.
    """

    synced: bool
    error: str | None
    last_contact: datetime | None


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds.

    `bookmark_timeout`: how long a watch may send nothing; then its scope is listed again. `stale_after`: how long a
    watch may be broken before its scope is no longer synced. `relist_interval`: how long a scope goes on with what its
    watches say: then it is listed, however well they work. `attempt_timeout`: how long the first list of a scope is
    waited for; until it is there the scope is not synced.
    """

    watch_timeout: float = 300.0
    bookmark_timeout: float = 150.0
    stale_after: float = 60.0
    relist_interval: float = 1800.0
    attempt_timeout: float = 60.0
    backoff: float = 0.2
    backoff_cap: float = 30.0


@dataclass(slots=True)
class ListState:
    """What the reflectors of one cluster share for their lists."""

    paginated_api_versions: set[str] = field(default_factory=set)
    """API versions whose server does not support `sendInitialEvents`: aggregated API servers may differ in that."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT_LISTS))


class Reflector:
    """Lists and watches one scope into `store`. `run` never returns; errors show in `freshness` and are retried."""

    def __init__(
        self,
        cluster: Cluster,
        resource: ApiResource,
        namespace: str | None,
        store: ObjectStore,
        on_freshness: Callable[[Freshness], None],
        timing: Timing,
        list_state: ListState,
    ) -> None:
        self.store = store
        self.failure: DriftdError | None = None
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._on_freshness = on_freshness
        self._timing = timing
        self._list_state = list_state
        self._use_pages = False
        self._version: str | None = None
        self._listed = False
        self._relist_at = math.inf
        self._heard_at = 0.0
        self._connected = False
        self._broken_since: float | None = None
        self._last_contact: float | None = None
        self._attempts = 0
        self._attempted = asyncio.Event()
        self._wake = asyncio.Event()
        self._notified: tuple[bool, str | None] = (False, None)
        self._stale_timer: asyncio.TimerHandle | None = None

    @property
    def freshness(self) -> Freshness:
        contact = datetime.fromtimestamp(self._last_contact, UTC) if self._last_contact is not None else None
        error = str(self.failure) if self.failure is not None else None
        return Freshness(synced=self._is_synced(), error=error, last_contact=contact)

    @property
    def version(self) -> str | None:
        """The last resource version received; None while the scope has to be listed again."""
        return self._version

    @property
    def not_synced_reason(self) -> str:
        """Why the scope is not synced. Meaningless while it is."""
        if self.failure is not None:
            return str(self.failure)
        return "its watch is broken, and could not be opened again in time" if self._listed else "not listed yet"

    async def wait_for_attempt(self) -> None:
        """Returns once the scope is synced, or the latest attempt has failed."""
        await self._attempted.wait()

    def stop(self) -> None:
        """Releases the waiters of `wait_for_attempt`. To be called when `run` has been cancelled."""
        self._attempted.set()
        if self._stale_timer is not None:
            self._stale_timer.cancel()

    def retry_now(self) -> None:
        """Ends the current backoff; `wait_for_attempt` then waits for the attempt that follows."""
        if self.failure is not None and not self._wake.is_set():
            self._attempted.clear()
            self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                await self._list_or_watch()
            except WatchSilent as error:
                log.warning("watch silent", resource=str(self._resource), namespace=self._namespace, error=str(error))
                self._version = None
                self.failure = error
                self._mark_broken()
            except WatchOutOfOrder as error:
                self._version = None
                await self._back_off(error)
            except Gone as error:
                # The objects stay until the new list replaces them.
                self._version = None
                self._mark_broken()
                if self._attempts:
                    await self._back_off(error)
                self._attempts += 1
            except DriftdError as error:
                if isinstance(error, UnknownKind):
                    self._version = None
                await self._back_off(error)
            except Exception as error:  # noqa: BLE001  a defect must end up as an unsynced scope, not in silence
                log_defect("watch failed unexpectedly", error, resource=str(self._resource))
                self._version = None
                await self._back_off(DriftdError(f"the watch of {self._resource} failed: {type(error).__name__}"))

    # -- listing and watching --------------------------------------------------------------------------------------

    async def _list_or_watch(self) -> None:
        if self._list_is_due():
            self._version = None
        if self._version is not None:
            await self._watch()
        elif self._use_pages or self._resource.api_version in self._list_state.paginated_api_versions:
            await self._list_by_pages()
        else:
            await self._list_by_watch()

    def _list_is_due(self) -> bool:
        """Whether watches alone do not tell enough: for too long there was no list, or no watch that sent anything."""
        if time.monotonic() >= self._relist_at:
            return True
        if not self._listed or isinstance(self.failure, Forbidden):  # a list may be allowed where a watch is not
            return False
        silent = time.monotonic() - self._heard_at >= self._timing.bookmark_timeout
        return silent or self._seconds_broken() >= self._timing.stale_after / 2

    async def _list_by_pages(self) -> None:
        async with self._list_state.slots:
            listing = await list_each(self._cluster, self._resource, self._namespace, self.store.to_cached)
        self._replace(by_key(listing.items), listing.resource_version)

    async def _list_by_watch(self) -> None:
        """A list and the watch that continues it, over one connection (client-go: WatchList)."""
        self._use_pages = True  # by the next attempt: what breaks a long stream need not break pages
        started = time.monotonic()
        coalescer = EventCoalescer()
        objects: dict[ObjectKey, CachedObject] = {}
        async with AsyncExitStack() as while_listing:
            await while_listing.enter_async_context(self._list_state.slots)
            while_listing.enter_context(gc_paused())
            try:
                async with asyncio.timeout(self._timing.bookmark_timeout) as deadline:
                    async with aclosing(self._events(initial=True)) as events:
                        async for event in events:
                            if self._version is not None:
                                self._handle_event(event, coalescer)
                            elif event.ends_initial_events:
                                deadline.reschedule(None)
                                self._replace(objects, event.resource_version)
                                await while_listing.aclose()
                            else:
                                self._add_to_list(objects, event)
            except TimeoutError as error:  # a proxy may leave out what asks for a list
                raise KubeError(f"the list of {self._resource} did not end in time") from error
            except (Invalid, Forbidden) as refused:
                if objects or self._version is not None:
                    raise
                if isinstance(refused, Invalid):
                    version = self._resource.api_version
                    log.info("lists are read by pages", api_version=version, because=str(refused))
                    self._list_state.paginated_api_versions.add(version)
                return  # if forbidden, the error of a plain list is the one that users know
            finally:
                self._mark_disconnected()
        if self._version is None:
            raise KubeError(f"the list of {self._resource} ended before it was complete")
        self._mark_broken()
        if time.monotonic() - started >= _SHORT_WATCH_SECONDS:
            self._attempts = 0

    async def _watch(self) -> None:
        """One watch connection, from the last resource version on."""
        started = time.monotonic()
        coalescer = EventCoalescer()
        self._mark_broken()
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    self._handle_event(event, coalescer)
                    if not event.more_buffered and self._list_is_due():
                        return
        finally:
            self._mark_disconnected()
        self._mark_broken()
        if time.monotonic() - started < _SHORT_WATCH_SECONDS:
            # Backs off from a server that accepts watches and closes them at once, whatever it sends before.
            self._attempts += 1
            await self._sleep(self._attempts)
        else:
            self._attempts = 0

    async def _events(self, *, initial: bool = False) -> AsyncGenerator[WatchEvent]:
        """The events of a watch, with a yield to the event loop every `OBJECTS_PER_YIELD` of them."""
        silent_for = 0.0 if initial else time.monotonic() - self._heard_at
        stream = watch(
            self._cluster,
            self._resource,
            self._namespace,
            self._version or "",
            send_initial_events=initial,
            duration=self._timing.watch_timeout,
            bookmark_timeout=self._timing.bookmark_timeout,
            first_within=max(0.0, self._timing.bookmark_timeout - silent_for),
            opened=self._mark_connected,
        )
        count = 0
        async with aclosing(stream) as events:
            async for event in events:
                count += 1
                if count % OBJECTS_PER_YIELD == 0:
                    await asyncio.sleep(0)
                if self._version is not None:
                    self._require_order(event)
                    self._mark_heard()
                yield event

    def _require_order(self, event: WatchEvent) -> None:
        """Raises: WatchOutOfOrder: an event or a bookmark of the past. Believed, it could undo what a list has said."""
        if is_newer(self._version or "", event.resource_version):
            what = "a bookmark" if event.type is EventType.BOOKMARK else "an event"
            raise WatchOutOfOrder(f"the watch of {self._resource} sent {what} of an earlier version")

    def _add_to_list(self, objects: dict[ObjectKey, CachedObject], event: WatchEvent) -> None:
        """Applies an event of the incomplete list: an object, or a change made while it is sent."""
        if event.type is EventType.BOOKMARK:
            return
        [(key, cached)] = by_key([self.store.to_cached(event.object)]).items()
        if event.type is EventType.DELETED:
            objects.pop(key, None)
        else:
            objects[key] = cached

    def _replace(self, objects: dict[ObjectKey, CachedObject], version: str) -> None:
        first = not self._listed and self.failure is None
        self._listed = True
        self._version = version
        self._use_pages = False
        spread = random.uniform(0.8, 1.0)  # noqa: S311  spreads load only
        self._relist_at = time.monotonic() + self._timing.relist_interval * spread
        # No notification of the first list: the caller of `watch_scopes` waits for it, and then reads everything.
        self.store.replace(objects, notify=not first)
        self._mark_heard()

    def _handle_event(self, event: WatchEvent, coalescer: EventCoalescer) -> None:
        if event.resource_version != self._version:  # else no news: a watch that only repeats itself counts as failed
            self._attempts = 0
        for complete in coalescer.add(event):
            self.store.handle_event(complete)
        if not coalescer:  # a watch that breaks now has to start before the events that are not applied yet
            self._version = event.resource_version

    # -- freshness -------------------------------------------------------------------------------------------------

    def _is_synced(self) -> bool:
        if not self._listed:
            return False
        if isinstance(self.failure, Forbidden | UnknownKind):
            return False  # an answer of the server, not a failure that passes
        if time.monotonic() - self._heard_at > self._timing.bookmark_timeout + self._timing.stale_after:
            return False
        return self._connected or self._seconds_broken() <= self._timing.stale_after

    def _seconds_broken(self) -> float:
        return 0.0 if self._broken_since is None else time.monotonic() - self._broken_since

    def _mark_heard(self) -> None:
        """Takes in a sign of life: a list, an event, a bookmark. An open connection is none."""
        self._heard_at = time.monotonic()
        self._last_contact = time.time()
        if self._broken_since is None and self.failure is None and self._attempted.is_set():
            return  # as after most events
        self._broken_since = None
        if self._stale_timer is not None:
            self._stale_timer.cancel()
            self._stale_timer = None
        self._attempted.set()
        if self.failure is not None:
            log.info("watch works again", resource=str(self._resource), namespace=self._namespace)
            self.failure = None
        self._notify_freshness()

    def _mark_connected(self) -> None:
        """Takes in an open connection: it may send nothing for a while, unless the scope is stale already."""
        self._connected = self._is_synced()

    def _mark_disconnected(self) -> None:
        if self._connected:
            self._connected = False
            self._broken_since = None
            self._mark_broken()

    def _mark_broken(self) -> None:
        """Starts the time after which the scope counts as stale."""
        if self._broken_since is None:
            self._broken_since = time.monotonic()
        if self._stale_timer is not None:
            self._stale_timer.cancel()
        after = max(0.0, self._timing.stale_after - self._seconds_broken()) + 0.01
        self._stale_timer = asyncio.get_running_loop().call_later(after, self._notify_freshness)

    async def _back_off(self, error: DriftdError) -> None:
        """Records the error and waits before the next attempt."""
        self._attempts += 1
        if self.failure is None or str(self.failure) != str(error):
            log.warning("watch broken", resource=str(self._resource), namespace=self._namespace, error=str(error))
        self.failure = error
        self._mark_broken()
        self._attempted.set()
        self._notify_freshness()
        if isinstance(error, KubeError) and error.retry_after is not None:
            await asyncio.sleep(error.retry_after)  # not cut short by `retry_now`
        await self._sleep(self._attempts)

    async def _sleep(self, attempt: int) -> None:
        self._wake.clear()
        delay = exponential_delay(attempt, self._timing.backoff, self._timing.backoff_cap, jitter=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._wake.wait()

    def _notify_freshness(self) -> None:
        freshness = self.freshness
        state = (freshness.synced, freshness.error)
        if state != self._notified:
            self._notified = state
            try:
                self._on_freshness(freshness)
            except Exception as error:  # noqa: BLE001  as in `ObjectStore`
                log_defect("a listener to freshness failed", error, resource=str(self._resource))
