"""One configuration at work: its controller, timers, watches and messages, started and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import structlog

from driftd.config.settings import Config
from driftd.daemon.assembly import utc_now
from driftd.daemon.components import Components, components
from driftd.daemon.discovery import DiscoveredApps
from driftd.daemon.messaging import Messaging, messaging
from driftd.daemon.patterns import PatternApps
from driftd.daemon.timers import Timers
from driftd.discovery.deployed import DeployedApp
from driftd.kube.cache import LiveCache, Timing
from driftd.live.watches import ClusterWatches
from driftd.model.audit import AuditEvent
from driftd.model.errors import DriftdError, StoreError, describe_defect
from driftd.model.report import Report
from driftd.process.garbage_collector import freeze_heap
from driftd.process.supervisor import Supervisor
from driftd.reconcile.controller import Controller
from driftd.reconcile.other_apps import OtherApps
from driftd.reconcile.result import PassResult
from driftd.store.records import Backlog
from driftd.web.metrics import Metrics

log = structlog.get_logger(__name__)

_GRACE_SECONDS = 6.0
"""Seconds that passes under way have to end; with the web server's own it stays under ten."""

_SETUP_RETRY_SECONDS = 10.0
"""Seconds until an app whose cluster cannot be logged in to is tried again."""

_STUCK_AFTER = timedelta(minutes=10)
"""How long one pass may take before the process counts as stuck."""

_DRAIN_SECONDS = 1.0
"""Seconds for which what is due is still sent when the daemon stops."""

_FETCH_RETRY_SECONDS = 30.0
"""Seconds until a source is fetched again after a failure that is none of its own."""

_PRUNE_INTERVAL = timedelta(hours=6)

_HOUSEKEEPING_SECONDS = 5.0
"""Seconds between two looks at how the daemon itself is."""


class Running:
    """The controller of one configuration at work, with its timers and watches."""

    def __init__(
        self,
        components: Components,
        controller: Controller,
        timers: Timers,
        discovered: DiscoveredApps,
        patterns: PatternApps,
    ) -> None:
        self.components = components
        self.discovered = discovered
        self.patterns = patterns
        self.controller = controller
        self.watches: dict[str, ClusterWatches] = {}
        self._timers = timers
        self.unreachable: dict[str, str] = {}
        """Apps that could not be set up, with the reason."""

    @property
    def config(self) -> Config:
        return self.components.config

    @property
    def not_judged(self) -> Mapping[str, tuple[str, str]]:
        """What is no app that can be judged, with its cluster and the reason."""
        return {**self.discovered.not_judged, **self.patterns.not_judged}

    def fetch_now(self) -> None:
        self._timers.fetch_now()

    def audit(self, cluster: str | None, events: Sequence[AuditEvent]) -> bool:
        """Records the audit events of a cluster (None: the default one). False: there is no such cluster."""
        clusters = [one.name for one in self.config.all_clusters]
        name = cluster or clusters[0]
        if name not in clusters:
            return False
        watches = self.watches.get(name)
        if watches is not None:
            watches.record_audit(events)
        return True

    def stuck(self) -> bool:
        """Whether a pass has been running for longer than any should."""
        return self.controller.stuck(_STUCK_AFTER)

    def reports(self) -> list[Report]:
        """The latest reports; an app that could not be set up has one with the reason and nothing else."""
        unreachable = {app: (self.components.app(app).cluster, reason) for app, reason in self.unreachable.items()}
        return [
            *self.controller.reports,
            *(self._without_setup(app, *why) for app, why in {**unreachable, **self.not_judged}.items()),
        ]

    def _without_setup(self, app: str, cluster: str, reason: str) -> Report:
        return Report(app, cluster, None, (), self.components.now(), error=reason)

    def take_discovered(self) -> bool:
        """Takes up the commits that have been deployed since. False: the apps themselves are others now."""
        if self.patterns.config != self.components.config:
            return False
        now = {one.app.name: one for one in self.discovered.apps}
        before = self.components.discovered
        if {name: _description(one) for name, one in now.items()} != {
            name: _description(one) for name, one in before.items()
        }:
            return False
        for name, one in now.items():
            if self.components.source(name).pin(one.commit, one.next):
                self._timers.fetch_source_now(name)
        return True

    def apps_of_others(self) -> dict[str, str]:
        """The apps over which another process makes the passes, with that one."""
        held = self.controller.leases.other_holder
        return {app: holder for app in self.controller.reconcilers if (holder := held(app)) is not None}

    def observe_leases(self, metrics: Metrics) -> None:
        """Keeps in the metrics over which apps this process makes the passes."""
        for app, reconciler in self.controller.reconcilers.items():
            metrics.observe_lease(app, reconciler.app.cluster, held=self.controller.leases.holds(app))

    def forget_apps_of_others(self, metrics: Metrics) -> None:
        """Forgets the reports of apps whose lease another process has acquired: they would go stale here."""
        for app in self.apps_of_others():
            if self.controller.results.pop(app, None) is not None:
                metrics.forget_report(app)

    def not_ready(self) -> list[str]:
        """Why not everything is known yet, or cannot be kept."""
        reasons = []
        if (error := self.components.store.write_error) is not None:
            reasons.append(f"the store cannot be written, so that leases end and no pass is made: {error}")
        reasons += [f"app {app}: {reason}" for app, reason in self.unreachable.items()]
        reasons += [f"the folders of {label} are not known yet" for label in self.patterns.not_known]
        reasons += [
            f"source {s.name} has not been fetched yet"
            for s in self.controller.sources.values()
            if s.last_attempt is None
        ]
        reasons += [
            f"app {name} has had no pass yet"
            for name in self.controller.reconcilers
            if name not in self.controller.results and self.controller.leases.other_holder(name) is None
        ]
        return reasons


def _description(found: DeployedApp) -> DeployedApp:
    """What of a deployed app does not change with each deployment."""
    return replace(found, commit="", next=None)


@asynccontextmanager
async def delivering(config: Config, metrics: Metrics, supervisor: Supervisor) -> AsyncIterator[Messaging]:
    """The store and the channels of a configuration, with the dispatcher at work: it goes on when the rest changes."""
    async with messaging(config, on_delivery=lambda name, ok: metrics.observe_delivery(name, ok=ok)) as opened:
        opened.dispatcher.start(supervisor)
        try:
            yield opened
        finally:
            try:
                await opened.dispatcher.drain(_DRAIN_SECONDS)
            except StoreError as error:
                log.warning("messages left for the next start", error=str(error))
            await opened.dispatcher.stop(supervisor)


@asynccontextmanager
async def running(
    config: Config,
    metrics: Metrics,
    opened: Messaging,
    supervisor: Supervisor,
    discovered: DiscoveredApps | None = None,
    patterns: PatternApps | None = None,
) -> AsyncIterator[Running]:
    """Everything else of one configuration, started; stopped in the order that loses nothing.

    `discovered` are the apps that are found in its clusters, `patterns` those that are made of the sources' folders.
    """
    discovered = discovered or DiscoveredApps(config, lambda: None)
    patterns = patterns if patterns is not None else PatternApps(config)
    config = patterns.config
    async with components(config, opened, discovered=discovered.apps, not_judged=lambda: patterns.not_judged) as made:
        sources = {name: made.source(name) for name in [*(one.name for one in config.sources), *made.discovered]}
        controller = Controller(
            sources, made.recorder, made.store, made.leases, made.now, [_observer(metrics)], patterns.look
        )
        made.declared.on_change = controller.request_full_pass
        timers = Timers(lambda name: _fetch(controller, name, metrics), controller.request_full_pass, supervisor)
        at_work = Running(made, controller, timers, discovered, patterns)
        metrics.retain(
            apps={app.name: app.cluster for app in made.apps.values()},
            sources=list(sources),
            channels=made.channels,
        )
        await _forget_others(at_work)
        for state in sources.values():
            await state.resume()
        for app in made.apps.values():
            await _add_app(at_work, app.name)
            timers.every_app(app.name, app.interval)
        for name, state in sources.items():
            timers.every_source(name, state.interval)
        others = OtherApps(made.store, made.leases, made.declared, list(made.apps))
        await others.look()
        supervisor.start("other apps", others.follow)
        supervisor.start("housekeeping", lambda: _housekeeping(at_work, metrics))
        supervisor.start("late apps", lambda: _set_up_late(at_work))
        controller.start(supervisor)
        timers.start()
        try:
            yield at_work
        finally:
            await timers.stop()
            await controller.stop(_GRACE_SECONDS)
            await supervisor.stop("housekeeping", "late apps", "other apps")
            for watches in at_work.watches.values():
                await watches.close()


async def _add_app(at_work: Running, name: str) -> None:
    made, controller = at_work.components, at_work.controller
    cluster = made.app(name).cluster
    try:
        view = await made.view(cluster)
    except DriftdError as error:
        if at_work.unreachable.get(name) != str(error):
            log.error("app cannot be set up", app=name, error=str(error))  # noqa: TRY400  # the text says it all
        at_work.unreachable[name] = str(error)
        return
    except Exception as error:
        # A defect of ours in what one app needs must not keep the others from being set up.
        log.exception("setting up an app crashed", app=name)
        at_work.unreachable[name] = describe_defect(error)
        return
    at_work.unreachable.pop(name, None)
    watches = at_work.watches.get(cluster)
    if watches is None:
        timing = _timing(at_work.config)
        watches = ClusterWatches(
            lambda changed, freshness: LiveCache(view.cluster, changed, freshness, timing),
            controller.enqueue_changed,
            made.now,
        )
        at_work.watches[cluster] = watches
    controller.reconcilers[name] = await made.reconciler(
        name, made.background(watches, lambda: controller.enqueue_changed(name))
    )


def _timing(config: Config) -> Timing:
    """How far the watches of a configuration's clusters are trusted."""
    watch = config.watch
    return Timing(bookmark_timeout=watch.silence.total_seconds(), relist_interval=watch.relist.total_seconds())


async def _set_up_late(at_work: Running) -> None:
    """Tries again what could not be set up at the start: a kubeconfig or a login may come later."""
    while True:
        await asyncio.sleep(_SETUP_RETRY_SECONDS)
        for name in list(at_work.unreachable):
            await _add_app(at_work, name)
            at_work.controller.request_full_pass(name)


async def _forget_others(at_work: Running) -> None:
    made, discovered = at_work.components, at_work.discovered
    there = made.apps.keys() | at_work.not_judged.keys()
    if not at_work.patterns.is_complete:
        return  # an app whose folder was not seen may be there all the same
    if at_work.patterns:
        await made.store.remove_reports(await _reports_of_others(made, there))
    if made.config.discover:
        if not discovered.is_complete:
            return  # as above
        await made.store.remove_reports([one.name for one in await made.queries.apps() if one.name not in there])
    sources = [source.repository for source in at_work.controller.sources.values()]
    await made.recorder.forget_others(there, sources, made.leases.is_renewed_elsewhere)


async def _reports_of_others(made: Components, there: Collection[str]) -> list[str]:
    """The apps of reports in the store that are not there, and over which no other process makes passes."""
    elsewhere = made.leases.is_renewed_elsewhere
    return [
        header.app
        for header in await made.store.report_headers()
        if header.app not in there and (header.lease is None or not elsewhere(header.lease))
    ]


_NotJudged = Mapping[str, tuple[str, str]]


async def _record_not_judged(at_work: Running, metrics: Metrics, before: _NotJudged) -> _NotJudged:
    """Keeps what was found and cannot be judged where other processes see it, too. Returns: what it is now."""
    made, now = at_work.components, dict(at_work.not_judged)
    gone = [app for app in before if app not in now]
    for app in gone:
        metrics.forget_report(app)
    await made.store.remove_reports([app for app in gone if app not in made.apps])
    for report in at_work.reports():
        if report.app in now and before.get(report.app) != now[report.app]:
            await made.store.record_report(report)
    return now


async def _observe_store(made: Components, metrics: Metrics) -> None:
    metrics.observe_store(writable=made.store.write_error is None, unreadable=len(made.store.unreadable))
    try:
        backlog = await made.store.backlog()
    except StoreError as error:
        log.warning("outbox cannot be used", error=str(error))
        return
    metrics.observe_backlog({name: Backlog(0, 0, None) for name in made.channels} | dict(backlog))


async def _fetch(controller: Controller, name: str, metrics: Metrics) -> float | None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    failed = True
    try:
        retry_after = await controller.fetch(name)
        failed = False
    except DriftdError as error:
        log.error("fetch not recorded", source=name, error=str(error))  # noqa: TRY400  # the text says it all
        retry_after = _FETCH_RETRY_SECONDS
    except Exception:
        log.exception("fetch crashed", source=name)  # a defect of ours in one source must not stop the others
        retry_after = _FETCH_RETRY_SECONDS
    source = controller.sources[name]
    metrics.observe_fetch(
        name,
        ok=source.error is None and not failed,
        seconds=loop.time() - started,
        time=source.last_attempt or utc_now(),
    )
    return retry_after


def _observer(metrics: Metrics) -> Callable[[PassResult], None]:
    def observe(result: PassResult) -> None:
        if result.failed:
            metrics.observe_failed_pass(result.report)
            return
        metrics.observe_pass(result.report, result.seconds, held=result.hold is not None)
        metrics.observe_reverted(result.report.app, result.reverted)
        if result.action is not None:
            metrics.observe_action(result.action)

    return observe


async def _housekeeping(at_work: Running, metrics: Metrics) -> None:
    """Keeps what the daemon knows of itself in the metrics, tells of useless rules, and keeps the store in bounds."""
    loop = asyncio.get_running_loop()
    next_pruning = loop.time()
    settled = False
    not_judged: _NotJudged = {}
    while True:
        at_work.forget_apps_of_others(metrics)
        at_work.observe_leases(metrics)
        metrics.observe_queue(len(at_work.controller.queue))
        for report in at_work.reports():
            if report.app in at_work.unreachable or report.app in at_work.not_judged:
                metrics.observe_unreachable(report)
        try:
            not_judged = await _record_not_judged(at_work, metrics, not_judged)
        except StoreError as error:
            log.warning("what cannot be judged is not recorded", error=str(error))
        await _observe_store(at_work.components, metrics)
        if not at_work.not_ready() and at_work.controller.results.keys() >= at_work.controller.reconcilers.keys():
            unused = at_work.components.comparison.ignore_rules.unused()
            metrics.observe_unused_rules(len(unused))
            if not settled:
                settled = True
                for rule in unused:
                    log.warning("ignore rule has matched nothing", rule=str(rule))
                freeze_heap()
        if loop.time() >= next_pruning:
            next_pruning = loop.time() + _PRUNE_INTERVAL.total_seconds()
            try:
                await at_work.components.store.prune()
                await _forget_others(at_work)  # by now it is known which leases are not renewed
            except DriftdError as error:
                log.error("the store could not be pruned", error=str(error))  # noqa: TRY400  # the text says it all
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
