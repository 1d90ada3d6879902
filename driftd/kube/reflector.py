"""One collection of the cluster, kept as it is there: list once, then watch, and list again only when need be."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from driftd.kube.connection import Cluster
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import list_objects
from driftd.kube.retry import jittered
from driftd.kube.watch import EventType, WatchEvent, watch
from driftd.model.errors import DriftdError, Forbidden, Gone, UnknownKind
from driftd.model.resource import ResourceRef

log = structlog.get_logger()

Key = tuple[str | None, str]
"""Namespace and name."""


class CachedObject:
    """One live object. What it is kept as is this class's own affair; `object` gives it as decoded JSON."""

    __slots__ = ("_object", "ref")

    def __init__(self, ref: ResourceRef, content: dict[str, Any]) -> None:
        self.ref = ref
        self._object = content

    @property
    def object(self) -> dict[str, Any]:
        """The whole object, managedFields and all. Not to be changed."""
        return self._object

    @property
    def resource_version(self) -> str:
        return str(self._object["metadata"]["resourceVersion"])

    def __repr__(self) -> str:
        return f"CachedObject({self.ref})"


@dataclass(frozen=True, slots=True)
class Changed:
    """One object before and after: `old` None when it came, `new` None when it went."""

    ref: ResourceRef
    old: CachedObject | None
    new: CachedObject | None


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


class Reflector:
    """Keeps one scope. `run` never ends by itself; whatever goes wrong is recorded in `freshness` and tried again."""

    def __init__(
        self,
        cluster: Cluster,
        resource: ApiResource,
        namespace: str | None,
        on_change: Callable[[Changed], None],
        on_freshness: Callable[[Freshness], None],
        timing: Timing,
    ) -> None:
        self.objects: dict[Key, CachedObject] = {}
        self.failure: DriftdError | None = None
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._on_change = on_change
        self._on_freshness = on_freshness
        self._timing = timing
        self._version: str | None = None
        self._listed = False
        self._broken_since: float | None = None
        self._last_contact: float | None = None
        self._attempts = 0
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._told: tuple[bool, str | None] = (False, None)

    @property
    def freshness(self) -> Freshness:
        contact = datetime.fromtimestamp(self._last_contact, UTC) if self._last_contact is not None else None
        error = str(self.failure) if self.failure is not None else None
        return Freshness(synced=self._is_synced(), error=error, last_contact=contact)

    @property
    def version(self) -> str | None:
        """The resource version up to which the objects are known; None while they have to be listed again."""
        return self._version

    async def settled(self) -> None:
        """Returns once the objects are there, or the last try to get them has failed."""
        await self._settled.wait()

    def give_up(self) -> None:
        """Lets go of whoever waits in `settled`: nobody runs this any more."""
        self._settled.set()

    def try_now(self) -> None:
        """Cuts a pause after a failure short; `settled` then waits for that try."""
        if self.failure is not None and not self._wake.is_set():
            self._settled.clear()
            self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._follow()
            except Gone as error:
                # The objects stay until the new list tells what has changed since.
                self._version = None
                if self._attempts:
                    await self._rest(error)
                self._attempts += 1
            except DriftdError as error:
                if isinstance(error, UnknownKind):
                    self._version = None
                await self._rest(error)
            except Exception as error:  # noqa: BLE001  a defect must show as distrusted objects, never as silence
                _log_defect("watch failed unexpectedly", error, resource=str(self._resource))
                self._version = None
                await self._rest(DriftdError(f"the watch of {self._resource} failed: {type(error).__name__}"))

    def _is_synced(self) -> bool:
        if not self._listed:
            return False
        if isinstance(self.failure, Forbidden | UnknownKind):
            return False  # the server's word, which waiting does not change
        return self._broken_since is None or time.monotonic() - self._broken_since <= self._timing.stale_after

    async def _list(self) -> None:
        listing = await list_objects(self._cluster, self._resource, self._namespace)
        fresh: dict[Key, CachedObject] = {}
        for item in listing.items:
            cached = self._cached(item)
            fresh[cached.ref.namespace, cached.ref.name] = cached
        before, self.objects = self.objects, fresh
        first = not self._listed and self.failure is None
        self._listed = True
        self._version = listing.resource_version
        self._contact()
        self._recovered()
        if not first:  # whoever asked for this scope waits for it, and looks at everything then
            self._announce_difference(before, fresh)

    async def _follow(self) -> None:
        """One watch connection, from the last version on."""
        opened = asyncio.Event()
        started = time.monotonic()
        events = 0
        stream = watch(
            self._cluster,
            self._resource,
            self._namespace,
            self._version or "",
            duration=self._timing.watch,
            silence=self._timing.silence,
            opened=opened,
        )
        opening = asyncio.create_task(self._notice(opened))
        try:
            async with aclosing(stream) as following:
                async for event in following:
                    events += 1
                    self._attempts = 0
                    self._contact()
                    self._take(event)
        finally:
            opening.cancel()
            await asyncio.wait([opening])
        if opened.is_set():
            self._contact()
            self._recovered()
        if not events and time.monotonic() - started < 1.0:
            # A server that accepts and hangs up at once is not to be asked without end.
            self._attempts += 1
            await self._sleep(self._attempts)
        else:
            self._attempts = 0

    async def _notice(self, opened: asyncio.Event) -> None:
        await opened.wait()
        self._contact()
        self._recovered()

    def _take(self, event: WatchEvent) -> None:
        if event.type is not EventType.BOOKMARK:
            cached = self._cached(event.object)
            key = (cached.ref.namespace, cached.ref.name)
            if event.type is EventType.DELETED:
                old = self.objects.pop(key, None)
                self._announce(Changed(cached.ref, old or cached, None))
            else:
                old = self.objects.get(key)
                self.objects[key] = cached
                self._announce(Changed(cached.ref, old, cached))
        self._version = event.resource_version

    def _announce_difference(self, before: dict[Key, CachedObject], after: dict[Key, CachedObject]) -> None:
        for key, old in before.items():
            if key not in after:
                self._announce(Changed(old.ref, old, None))
        for key, new in after.items():
            known = before.get(key)
            if known is None or known.resource_version != new.resource_version:
                self._announce(Changed(new.ref, known, new))

    def _announce(self, change: Changed) -> None:
        try:
            self._on_change(change)
        except Exception as error:  # noqa: BLE001  the listener's defect: the objects here must go on being right
            _log_defect("a listener to changes failed", error, ref=str(change.ref))

    def _cached(self, content: dict[str, Any]) -> CachedObject:
        metadata = content["metadata"]
        resource = self._resource
        return CachedObject(
            ResourceRef(resource.group, resource.kind, metadata.get("namespace"), metadata["name"]), content
        )

    def _contact(self) -> None:
        self._last_contact = time.time()

    def _recovered(self) -> None:
        if self.failure is not None:
            log.info("watch works again", resource=str(self._resource), namespace=self._namespace)
        self.failure = None
        self._broken_since = None
        self._settled.set()
        self._tell()

    async def _rest(self, error: DriftdError) -> None:
        """Records what is wrong, and waits before the next try; tells when the objects turn stale meanwhile."""
        self._attempts += 1
        if self.failure is None or str(self.failure) != str(error):
            log.warning("watch broken", resource=str(self._resource), namespace=self._namespace, error=str(error))
        self.failure = error
        if self._broken_since is None:
            self._broken_since = time.monotonic()
        self._settled.set()
        self._tell()
        await self._sleep(self._attempts)
        self._tell()

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
                _log_defect("a listener to freshness failed", error, resource=str(self._resource))


def _log_defect(what: str, error: Exception, **about: str) -> None:
    """Says where it happened. No traceback: some renderers print its frames' variables, and those may be Secrets."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error(what, **about, error=type(error).__name__, at=f"{frame.filename}:{frame.lineno}")
