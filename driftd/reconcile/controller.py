"""The controller: what makes a pass over an app happen, and where its result goes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog

from driftd.desired.source import SourceState
from driftd.incidents.recorder import Recorder
from driftd.model.backoff import exponential_delay
from driftd.model.errors import DriftdError, StoreError
from driftd.model.next_deployment import NextDeployment
from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.model.revision import Revision
from driftd.process.supervisor import Supervisor
from driftd.reconcile.commands import CommandQueue, carry_out
from driftd.reconcile.leases import Leases, keep_leases
from driftd.reconcile.reconciler import Reconciler
from driftd.reconcile.result import PassResult
from driftd.reconcile.workqueue import WorkQueue
from driftd.store.store import Store

_CONCURRENT_PASSES = 4
"""Passes that run at the same time, each over another app."""

_COALESCE_SECONDS = 0.01
"""After a change in the cluster: changes that come together are scanned together."""

_MIN_RETRY_SECONDS = 5.0
_MAX_RETRY_SECONDS = 60.0
"""Until a pass that failed in itself is tried again: the first time, and after many failures."""

_COMMAND_POLL_SECONDS = 1.0

_AWAIT_FETCH_SECONDS = 0.2
"""Between two looks whether Git has answered since a lease was acquired."""

_PASSES = tuple(f"pass/{number}" for number in range(_CONCURRENT_PASSES))
_FETCHES = tuple(f"fetch/{number}" for number in range(_CONCURRENT_PASSES))
_BACKGROUND = ("leases", "commands")
"""The names of its background tasks."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What a fetch has brought: a commit, and what the deployer of an app that is pinned has yet to deploy."""

    sha: str | None
    next: NextDeployment | None


def _fetched(source: SourceState) -> _Fetched:
    return _Fetched(source.revision.sha if source.revision is not None else None, source.next)


class Controller:
    """Turns events into passes over the apps whose leases this process holds. An event only enqueues an app's name."""

    def __init__(
        self,
        sources: Mapping[str, SourceState],
        recorder: Recorder,
        store: Store,
        leases: Leases,
        now: Callable[[], datetime],
        observers: Sequence[Callable[[PassResult], None]] = (),
        look: Callable[[str, Revision | None], Awaitable[bool]] | None = None,
    ) -> None:
        """`look` is shown the revision of each source that was fetched. False: the apps are others from now on, and no
        pass over these begins for it."""
        self.sources = dict(sources)
        self.reconcilers: dict[str, Reconciler] = {}
        self.results: dict[str, PassResult] = {}
        self.queue = WorkQueue()
        self.leases = leases
        self._commands = CommandQueue(store, leases.holder, now)
        self._running_since: dict[str, float] = {}
        self._recorder = recorder
        self._store = store
        self._now = now
        self._observers = tuple(observers)
        self._look = look
        self._supervisor: Supervisor | None = None
        self._failures: defaultdict[str, int] = defaultdict(int)
        self._fetched: dict[str, _Fetched] = {}
        self._fetches = WorkQueue()
        self._due_fetch: dict[str, int] = {}
        """By app, the number of the fetch that has to end before anything is written, since its lease was acquired."""

    def start(self, supervisor: Supervisor) -> None:
        """Starts its background tasks, which end with `stop`."""
        self._supervisor = supervisor
        keep, poll = _BACKGROUND
        supervisor.start(keep, self._keep_leases)
        supervisor.start(poll, self._poll_commands)
        for name in _PASSES:
            supervisor.start(name, lambda: self.queue.work(self._pass))
        for name in _FETCHES:
            supervisor.start(name, lambda: self._fetches.work(self._fetch_anew))

    async def stop(self, grace: float) -> None:
        """Lets passes that run now finish within `grace` seconds, starts no other, and releases the leases."""
        self.queue.close()
        if self._supervisor is not None:
            await self._supervisor.join(*_PASSES, timeout=grace)
            await self._supervisor.stop(*_BACKGROUND, *_FETCHES)
        for reconciler in self.reconcilers.values():
            await reconciler.close()
        try:
            await self.leases.release()
        except DriftdError as error:
            log.warning("leases not released", error=str(error))

    def request_full_pass(self, app: str, delay: float = 0.0) -> None:
        """Enqueues an app for a pass that scans all of its objects."""
        if app in self.reconcilers:
            self.reconcilers[app].request_full_pass()
            self.queue.add(app, delay)

    def enqueue_changed(self, app: str) -> None:
        """Enqueues an app of which something has changed in the cluster: the pass scans that."""
        if app in self.reconcilers:
            self.queue.add(app, _COALESCE_SECONDS)

    async def fetch(self, name: str) -> float | None:
        """Fetches a source, and enqueues its apps where there is a new revision.

        Returns: the seconds until the next attempt after a failure, None if it went well.
        """
        source = self.sources[name]
        known, had_error = _fetched(source), source.error
        await source.fetch()
        # A pass or a command may have fetched it in between, for its own app.
        now = _fetched(source)
        is_new = now != self._fetched.get(name, known)
        self._fetched[name] = now
        if source.error is not None:
            log.warning("source unreachable", source=name, error=source.error, failures=source.failures)
        elif now.sha != known.sha and source.revision is not None:
            log.info("new revision", source=name, revision=source.revision.sha, subject=source.revision.subject)
        same_apps = self._look is None or await self._look(name, source.revision)
        await self._recorder.record_fetch(source)
        if same_apps and (is_new or (known.sha is None and source.error != had_error)):
            for app in self.apps_of(name):
                self.queue.add(app)  # which objects the commit concerns, the pass finds out
        return source.retry_after.total_seconds() if source.retry_after else None

    def stuck(self, after: timedelta) -> bool:
        """Whether a pass has been running for longer than `after`."""
        return any(monotonic() - since > after.total_seconds() for since in self._running_since.values())

    def apps_of(self, source: str) -> Iterable[str]:
        return [name for name, reconciler in self.reconcilers.items() if reconciler.app.source == source]

    @property
    def reports(self) -> list[Report]:
        """The latest report of each app that has had a pass."""
        return [self.results[name].report for name in self.reconcilers if name in self.results]

    def _on_lease_acquired(self, app: str) -> None:
        """Requests a pass, unless the first fetch of its source is still to come: that one enqueues its apps."""
        self.reconcilers[app].take_over()
        source = self.reconcilers[app].source
        if source.answered:  # whoever held the lease before may have deployed a later revision since
            self._due_fetch[app] = source.asked + 1
            self._fetches.add(source.name)
        else:
            self._due_fetch[app] = 1
        if source.revision is not None or source.error is not None:
            self.request_full_pass(app)

    async def _fetch_anew(self, source: str) -> None:
        try:
            await self.fetch(source)
        except DriftdError as error:
            log.error("fetch not recorded", source=source, error=str(error))  # noqa: TRY400  # the text says it all

    def _awaits_fetch(self, reconciler: Reconciler) -> bool:
        """Whether driftd might write what Git does not declare any more: its mirror is from before it had the lease."""
        due = self._due_fetch.get(reconciler.app.name, 0)
        return reconciler.app.mode is not Mode.OBSERVE and reconciler.source.answered < due

    async def _keep_leases(self) -> None:
        await keep_leases(self.leases, lambda: list(self.reconcilers), self._on_lease_acquired, self._on_lease_unknown)

    def _on_lease_unknown(self, app: str, error: str) -> None:
        """No pass is made then: what the last one said is not known any more."""
        result = self.results.get(app)
        if result is None or not result.failed:
            self._record_failure(app, f"its lease could not be kept: {error}")

    async def _poll_commands(self) -> None:
        while True:
            try:
                for app in await self._commands.poll([app for app in self.reconcilers if self.leases.holds(app)]):
                    self.queue.add(app)
            except DriftdError as error:
                log.error("commands not read", error=str(error))  # noqa: TRY400  # the text says it all
            await asyncio.sleep(_COMMAND_POLL_SECONDS)

    async def _pass(self, name: str) -> None:
        reconciler = self.reconcilers.get(name)
        if reconciler is None or not self.leases.holds(name):  # a pass is requested once the lease is acquired
            return
        if self._awaits_fetch(reconciler):
            self.queue.add(name, _AWAIT_FETCH_SECONDS)
            return
        self._running_since[name] = monotonic()
        command = None
        try:
            command = await self._commands.take(name)
            if command is None:
                self._conclude(name, await reconciler.run())
                return
            self.queue.add(name)  # for the next command, or for what else has happened
            log.info("command", app=name, kind=str(command.kind), by=command.by)
            self._conclude(name, await carry_out(self._store, reconciler, command))
        except DriftdError as error:
            if command is not None:  # the person reads why; how the app is, the next pass says
                log.error("command failed", app=name, error=str(error))  # noqa: TRY400  # the text says it all
                self.request_full_pass(name)
            else:
                log.error("pass failed", app=name, error=str(error))  # noqa: TRY400  # as above
                await self._fail(name, str(error))
        except Exception as error:
            # A defect of ours in one app must not stop the others, nor go unseen.
            log.exception("pass crashed", app=name)
            await self._fail(name, f"it crashed ({type(error).__name__}): see the log")
        finally:
            del self._running_since[name]

    async def _fail(self, name: str, error: str) -> None:
        """Records a failed pass, where that can be done, and tries again later."""
        self._record_failure(name, error)
        self._failures[name] += 1
        delay = exponential_delay(self._failures[name], _MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS)
        self.request_full_pass(name, delay)
        with suppress(StoreError):  # it may be what the pass has failed for
            await self._store.record_failed_pass(name, self.results[name].report.error or error)

    def _record_failure(self, name: str, error: str) -> None:
        """The result of a pass that failed: whatever the one before has found, the app is unknown now."""
        before = self.results.get(name)
        app = self.reconcilers[name].app
        report = Report(
            name, app.cluster, before.report.revision if before else None, (), self._now(),
            error=f"the last pass failed: {error}",
        )  # fmt: skip
        result = PassResult(report, hold=before.hold if before else None, failed=True)
        self.results[name] = result
        for observer in self._observers:
            observer(result)

    def _conclude(self, name: str, result: PassResult) -> None:
        self._failures.pop(name, None)
        self.results[name] = result
        self._log(result)
        for observer in self._observers:
            observer(result)
        if result.requeue_after is not None:  # what time alone changes needs no object to be read again
            self.queue.add(name, max(0.05, result.requeue_after.total_seconds()))

    def _log(self, result: PassResult) -> None:
        report = result.report
        counts = {str(status): count for status, count in report.counts.items() if count}
        log.info(
            "pass",
            app=report.app,
            revision=report.revision.sha if report.revision else None,
            in_sync=report.in_sync,
            objects=counts,
            seconds=round(result.seconds, 3),
        )
        if report.error:
            log.warning("app not assessed", app=report.app, error=report.error)
        if result.action is not None:
            log.info(
                "applied",
                app=report.app,
                trigger=str(result.action.trigger),
                written=[str(applied.ref) for applied in result.action.written],
                failed={str(applied.ref): applied.error for applied in result.action.failed},
            )
