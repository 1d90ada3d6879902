"""One scope of the cluster, kept as it is there: list once, then watch, and list again only when need be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from driftd.kube.cached_object import CachedObject
from driftd.kube.coalescing import EventCoalescer
from driftd.kube.discovery import ApiResource
from driftd.kube.object_store import Collection, keyed, log_defect
from driftd.kube.objects import Key, list_each
from driftd.kube.rest_client import Cluster
from driftd.kube.retry import jittered
from driftd.kube.watch import EventType, WatchEvent, watch
from driftd.model.errors import DriftdError, Forbidden, Gone, Invalid, KubeError, UnknownKind
from driftd.process.garbage_collector import OBJECTS_PER_YIELD, gc_paused

log = structlog.get_logger()

_SHORT = 1.0
"""Seconds; a watch that ends sooner, with nothing told, is one that the server did not mean to serve."""

_LOADING_AT_ONCE = 8
"""Lists under way of one cluster: each of them has some megabytes of its own."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a scope can be trusted.

    `synced`: it was listed, and its watch works or has been broken for less than the bound. `error`: what is wrong
    just now, set even while `synced` still holds. `last_contact`: when the server last said anything about it.
    """

    synced: bool
    error: str | None
    last_contact: datetime | None


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. `stale_after`: how long a watch may be broken before its objects are not believed any more."""

    watch: float = 300.0
    silence: float = 150.0
    stale_after: float = 60.0
    backoff: float = 0.2
    backoff_cap: float = 30.0


@dataclass(slots=True)
class Loading:
    """How the lists of one cluster are loaded, which its reflectors have in common."""

    by_pages: set[str] = field(default_factory=set)
    """The API versions whose server is known not to offer lists as streams: groups may be served by others."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LOADING_AT_ONCE))


class Reflector:
    """Keeps one scope. `run` never ends by itself; whatever goes wrong is recorded in `freshness` and tried again."""

    def __init__(
        self,
        cluster: Cluster,
        resource: ApiResource,
        namespace: str | None,
        collection: Collection,
        on_freshness: Callable[[Freshness], None],
        timing: Timing,
        loading: Loading,
    ) -> None:
        self.collection = collection
        self.failure: DriftdError | None = None
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._on_freshness = on_freshness
        self._timing = timing
        self._loading = loading
        self._by_pages = False
        self._version: str | None = None
        self._listed = False
        self._broken_since: float | None = None
        self._last_contact: float | None = None
        self._attempts = 0
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._told: tuple[bool, str | None] = (False, None)
        self._turning_stale: asyncio.TimerHandle | None = None

    @property
    def freshness(self) -> Freshness:
        contact = datetime.fromtimestamp(self._last_contact, UTC) if self._last_contact is not None else None
        error = str(self.failure) if self.failure is not None else None
        return Freshness(synced=self._is_synced(), error=error, last_contact=contact)

    @property
    def version(self) -> str | None:
        """The resource version up to which the objects are known; None while they have to be listed again."""
        return self._version

    @property
    def doubt(self) -> str:
        """Why the scope cannot be trusted, where it cannot."""
        if self.failure is not None:
            return str(self.failure)
        return "its watch is broken, and could not be opened again in time" if self._listed else "not listed yet"

    async def settled(self) -> None:
        """Returns once the objects are there, or the last try to get them has failed."""
        await self._settled.wait()

    def give_up(self) -> None:
        """Lets go of whoever waits in `settled`: nobody runs this any more."""
        self._settled.set()
        if self._turning_stale is not None:
            self._turning_stale.cancel()

    def try_now(self) -> None:
        """Cuts a pause after a failure short; `settled` then waits for that try."""
        if self.failure is not None and not self._wake.is_set():
            self._settled.clear()
            self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                if self._version is not None:
                    await self._follow()
                elif self._by_pages or self._resource.api_version in self._loading.by_pages:
                    await self._load_by_pages()
                else:
                    await self._load_by_stream()
            except Gone as error:
                # The objects stay until the new list tells what has changed since.
                self._version = None
                self._lost()
                if self._attempts:
                    await self._rest(error)
                self._attempts += 1
            except DriftdError as error:
                if isinstance(error, UnknownKind):
                    self._version = None
                await self._rest(error)
            except Exception as error:  # noqa: BLE001  a defect must show as distrusted objects, never as silence
                log_defect("watch failed unexpectedly", error, resource=str(self._resource))
                self._version = None
                await self._rest(DriftdError(f"the watch of {self._resource} failed: {type(error).__name__}"))

    # -- listing and watching --------------------------------------------------------------------------------------

    async def _load_by_pages(self) -> None:
        async with self._loading.turns:
            listing = await list_each(self._cluster, self._resource, self._namespace, self.collection.packed)
        self._loaded(keyed(listing.items), listing.resource_version)

    async def _load_by_stream(self) -> None:
        """A list, and the watch that goes on from it, over one connection."""
        self._by_pages = True  # the next time: whatever breaks a long stream need not break pages
        started = time.monotonic()
        burst = EventCoalescer()
        fresh: dict[Key, CachedObject] = {}
        async with AsyncExitStack() as while_loading:
            await while_loading.enter_async_context(self._loading.turns)
            while_loading.enter_context(gc_paused())
            try:
                async with aclosing(self._events(initial=True)) as events:
                    async for event in events:
                        if self._version is not None:
                            self._take(event, burst)
                        elif event.ends_list:
                            self._loaded(fresh, event.resource_version)
                            await while_loading.aclose()
                        else:
                            self._collect(fresh, event)
            except (Invalid, Forbidden) as refused:
                if fresh or self._version is not None:
                    raise
                if isinstance(refused, Invalid):
                    version = self._resource.api_version
                    log.info("lists are read by pages", api_version=version, because=str(refused))
                    self._loading.by_pages.add(version)
                return  # where it is forbidden, the words on a list are what people know
        if self._version is None:
            raise KubeError(f"the list of {self._resource} ended before it was complete")
        self._lost()
        if time.monotonic() - started >= _SHORT:
            self._attempts = 0

    async def _follow(self) -> None:
        """One watch connection, from the last version on."""
        self._lost()
        opened = asyncio.Event()
        started = time.monotonic()
        heard = False
        burst = EventCoalescer()
        opening = asyncio.create_task(self._notice(opened))
        try:
            async with aclosing(self._events(opened=opened)) as events:
                async for event in events:
                    heard = True
                    self._take(event, burst)
        finally:
            opening.cancel()
            await asyncio.wait([opening])
        if opened.is_set():
            self._recovered()
        self._lost()
        if not heard and time.monotonic() - started < _SHORT:
            # A server that accepts and hangs up at once is not to be asked without end.
            self._attempts += 1
            await self._sleep(self._attempts)
        else:
            self._attempts = 0

    async def _events(
        self, *, initial: bool = False, opened: asyncio.Event | None = None
    ) -> AsyncGenerator[WatchEvent]:
        """What a watch tells; where much is there at once, other tasks have their turn in between."""
        stream = watch(
            self._cluster,
            self._resource,
            self._namespace,
            self._version or "",
            initial=initial,
            duration=self._timing.watch,
            silence=self._timing.silence,
            opened=opened,
        )
        count = 0
        async with aclosing(stream) as following:
            async for event in following:
                count += 1
                if count % OBJECTS_PER_YIELD == 0:
                    await asyncio.sleep(0)
                self._last_contact = time.time()
                yield event

    async def _notice(self, opened: asyncio.Event) -> None:
        await opened.wait()
        self._recovered()

    def _collect(self, fresh: dict[Key, CachedObject], event: WatchEvent) -> None:
        """Takes what is told before the list is complete: what is there, and perhaps what happens meanwhile."""
        if event.type is EventType.BOOKMARK:
            return
        [(key, cached)] = keyed([self.collection.packed(event.object)]).items()
        if event.type is EventType.DELETED:
            fresh.pop(key, None)
        else:
            fresh[key] = cached

    def _loaded(self, fresh: dict[Key, CachedObject], version: str) -> None:
        first = not self._listed and self.failure is None
        self._listed = True
        self._version = version
        self._by_pages = False
        # Whoever asked for this scope waits for it, and looks at everything then.
        self.collection.replace(fresh, announce=not first)
        self._recovered()

    def _take(self, event: WatchEvent, burst: EventCoalescer) -> None:
        self._attempts = 0
        for one in burst.add(event):
            self.collection.take(one)
        if not burst:  # else a break here has the server tell once more what is not taken in yet
            self._version = event.resource_version

    # -- what can be trusted ---------------------------------------------------------------------------------------

    def _is_synced(self) -> bool:
        if not self._listed:
            return False
        if isinstance(self.failure, Forbidden | UnknownKind):
            return False  # the server's word, which waiting does not change
        return self._broken_since is None or time.monotonic() - self._broken_since <= self._timing.stale_after

    def _recovered(self) -> None:
        if self.failure is not None:
            log.info("watch works again", resource=str(self._resource), namespace=self._namespace)
        self.failure = None
        self._last_contact = time.time()
        self._broken_since = None
        if self._turning_stale is not None:
            self._turning_stale.cancel()
            self._turning_stale = None
        self._settled.set()
        self._tell()

    def _lost(self) -> None:
        """From now on nothing is heard of the objects. For a while they are believed all the same, and no longer."""
        if self._broken_since is not None:
            return
        self._broken_since = time.monotonic()
        after = self._timing.stale_after + 0.01
        self._turning_stale = asyncio.get_running_loop().call_later(after, self._tell)

    async def _rest(self, error: DriftdError) -> None:
        """Records what is wrong, and waits before the next try."""
        self._attempts += 1
        if self.failure is None or str(self.failure) != str(error):
            log.warning("watch broken", resource=str(self._resource), namespace=self._namespace, error=str(error))
        self.failure = error
        self._lost()
        self._settled.set()
        self._tell()
        if isinstance(error, KubeError) and error.retry_after is not None:
            await asyncio.sleep(error.retry_after)  # the server's wish, which nobody's haste cuts short
        await self._sleep(self._attempts)

    async def _sleep(self, attempt: int) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(jittered(self._timing.backoff, attempt, self._timing.backoff_cap)):
                await self._wake.wait()

    def _tell(self) -> None:
        freshness = self.freshness
        told = (freshness.synced, freshness.error)
        if told != self._told:
            self._told = told
            try:
                self._on_freshness(freshness)
            except Exception as error:  # noqa: BLE001  as for a listener to changes
                log_defect("a listener to freshness failed", error, resource=str(self._resource))
