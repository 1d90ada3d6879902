"""driftd's metrics, for Prometheus: names begin with `driftd_`, units are seconds, times are Unix seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

import driftd
from driftd.model.plan import Action
from driftd.model.report import Report
from driftd.process.supervisor import TaskState
from driftd.store.records import Backlog

_PASS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class PassOutcome(StrEnum):
    """The result of a pass over an app."""

    IN_SYNC = "in_sync"
    DRIFT = "drift"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Metrics:
    """All metrics, in a registry of their own. Methods do not block, and may be called from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._in_sync = Gauge(
            "driftd_app_in_sync",
            "1 when every object of the app was read and none differs.",
            ("app", "cluster"),
            registry=registry,
        )
        self._unknown = Gauge(
            "driftd_app_unknown",
            "1 when the app, or any object of it, could not be judged, or its last pass failed.",
            ("app", "cluster"),
            registry=registry,
        )
        self._held = Gauge(
            "driftd_app_held", "1 while the app is kept at an earlier revision.", ("app", "cluster"), registry=registry
        )
        self._app_pending = Gauge(
            "driftd_app_pending",
            "1 while the app's deployer has yet to deploy a revision, by its own word.",
            ("app", "cluster"),
            registry=registry,
        )
        self._leader = Gauge(
            "driftd_app_leader",
            "1 while this process holds the app's lease and makes the passes, 0 while it stands by.",
            ("app", "cluster"),
            registry=registry,
        )
        self._objects = Gauge(
            "driftd_objects",
            "Objects of the app, by verdict of its last pass.",
            ("app", "cluster", "status"),
            registry=registry,
        )
        self._last_pass = Gauge(
            "driftd_pass_last_timestamp_seconds",
            "When the app's last pass that did not fail ended.",
            ("app", "cluster"),
            registry=registry,
        )
        self._passes = Counter("driftd_pass", "Passes over the app.", ("app", "result"), registry=registry)
        self._pass_seconds = Histogram(
            "driftd_pass_duration_seconds", "How long a pass took.", ("app",), buckets=_PASS_BUCKETS, registry=registry
        )
        self._actions = Counter(
            "driftd_actions", "Times that driftd wrote to a cluster.", ("app", "trigger", "result"), registry=registry
        )
        self._reverted = Counter(
            "driftd_reverted_edits",
            "Edits by hand that somebody else than driftd put back before a pass saw them.",
            ("app",),
            registry=registry,
        )
        self._fetches = Counter(
            "driftd_source_fetch", "Fetches of the source.", ("source", "result"), registry=registry
        )
        self._fetch_seconds = Histogram(
            "driftd_source_fetch_duration_seconds", "How long a fetch took.", ("source",), registry=registry
        )
        self._fetched = Gauge(
            "driftd_source_last_success_timestamp_seconds",
            "When the source last answered.",
            ("source",),
            registry=registry,
        )
        self._unused_rules = Gauge(
            "driftd_ignore_rules_unused",
            "Ignore rules of the configuration that have matched nothing since it was taken up.",
            registry=registry,
        )
        self._notifications = Counter(
            "driftd_notifications", "Messages tried.", ("channel", "result"), registry=registry
        )
        self._pending = Gauge(
            "driftd_notifications_pending", "Messages that wait for delivery.", ("channel",), registry=registry
        )
        self._given_up = Gauge(
            "driftd_notifications_failed",
            "Messages of the last days that were given up, or could not be read.",
            ("channel",),
            registry=registry,
        )
        self._oldest_pending = Gauge(
            "driftd_notifications_oldest_pending_timestamp_seconds",
            "When the oldest message that waits for delivery was accepted; absent where none waits.",
            ("channel",),
            registry=registry,
        )
        self._store_writable = Gauge("driftd_store_writable", "1 while the store can be written.", registry=registry)
        self._unreadable = Gauge(
            "driftd_store_unreadable_records",
            "Records of the store that were met since the start and could not be read.",
            registry=registry,
        )
        self._task_running = Gauge(
            "driftd_task_running",
            "1 while the background task runs, 0 while it waits to be started again after a crash.",
            ("task",),
            registry=registry,
        )
        self._task_crashes = Counter(
            "driftd_task_crashes", "Crashes of the background task.", ("task",), registry=registry
        )
        self._queue = Gauge("driftd_queue_depth", "Apps that wait for a pass.", registry=registry)
        self._reloads = Counter(
            "driftd_config_reloads", "Times that the configuration was read.", ("result",), registry=registry
        )
        self._config_refused = Gauge(
            "driftd_config_refused",
            "1 while the configuration file has mistakes, and the one before stays in force.",
            registry=registry,
        )
        build = Gauge("driftd_build_info", "Always 1; the label is driftd's version.", ("version",), registry=registry)
        build.labels(driftd.__version__).set(1)

    def observe_pass(self, report: Report, seconds: float, *, held: bool = False) -> None:
        """Records a finished pass over an app."""
        result = (
            PassOutcome.IN_SYNC if report.in_sync else PassOutcome.UNKNOWN if report.undecided else PassOutcome.DRIFT
        )
        self._observe_report(report, result)
        self._app_pending.labels(report.app, report.cluster).set(report.pending is not None)
        self._last_pass.labels(report.app, report.cluster).set(report.time.timestamp())
        self._pass_seconds.labels(report.app).observe(seconds)
        self.observe_hold(report.app, report.cluster, held=held)

    def observe_reverted(self, app: str, count: int) -> None:
        """Records edits of an app's objects that were put back before a pass saw them."""
        self._reverted.labels(app).inc(count)

    def observe_unreachable(self, report: Report) -> None:
        """Records that there can be no pass over an app; `report` has no verdicts, but the reason."""
        labels = (report.app, report.cluster)
        self._in_sync.labels(*labels).set(report.in_sync)
        self._unknown.labels(*labels).set(report.undecided)

    def observe_failed_pass(self, report: Report) -> None:
        """Records that a pass failed; `report` has no verdicts, since what the one before said is out of date."""
        self._observe_report(report, PassOutcome.FAILED)

    def _observe_report(self, report: Report, result: PassOutcome) -> None:
        labels = (report.app, report.cluster)
        self._in_sync.labels(*labels).set(report.in_sync)
        self._unknown.labels(*labels).set(report.undecided)
        for status, count in report.counts.items():
            self._objects.labels(*labels, str(status)).set(count)
        self._passes.labels(report.app, str(result)).inc()

    def observe_hold(self, app: str, cluster: str, *, held: bool) -> None:
        """Records whether the app is held at an earlier revision."""
        self._held.labels(app, cluster).set(held)

    def observe_lease(self, app: str, cluster: str, *, held: bool) -> None:
        """Records whether this process makes the passes over the app."""
        self._leader.labels(app, cluster).set(held)

    def observe_fetch(self, source: str, *, ok: bool, seconds: float, time: datetime) -> None:
        """Records a fetch of a source that ended at `time`."""
        self._fetches.labels(source, _result(ok)).inc()
        self._fetch_seconds.labels(source).observe(seconds)
        if ok:
            self._fetched.labels(source).set(time.timestamp())

    def observe_action(self, action: Action) -> None:
        """Records an attempt to write to a cluster."""
        self._actions.labels(action.app, str(action.trigger), _result(not action.failed)).inc()

    def observe_delivery(self, channel: str, *, ok: bool) -> None:
        """Records an attempt to deliver a message to a channel."""
        self._notifications.labels(channel, _result(ok)).inc()

    def observe_backlog(self, backlog: Mapping[str, Backlog]) -> None:
        """Records what waits in the outbox, by channel; channels without an entry have nothing that waits."""
        for metric in (self._pending, self._given_up, self._oldest_pending):
            _remove_series(metric, lambda labels: labels["channel"] not in backlog, "channel")
        for channel, waiting in backlog.items():
            self._pending.labels(channel).set(waiting.pending)
            self._given_up.labels(channel).set(waiting.failed)
            if waiting.oldest is not None:
                self._oldest_pending.labels(channel).set(waiting.oldest.timestamp())
            else:
                self._oldest_pending.remove_by_labels({"channel": channel})

    def observe_store(self, *, writable: bool, unreadable: int = 0) -> None:
        """Records whether the store can be written, and how many of its records could not be read."""
        self._store_writable.set(writable)
        self._unreadable.set(unreadable)

    def observe_task(self, task: str, state: TaskState) -> None:
        """Records what has become of a background task."""
        if state is TaskState.STOPPED:
            for metric in (self._task_running, self._task_crashes):
                _remove_series(metric, lambda labels: labels["task"] == task, "task")
            return
        self._task_running.labels(task).set(state is TaskState.RUNNING)
        crashes = self._task_crashes.labels(task)  # there from the start, with 0: an increase from nothing is none
        if state is TaskState.CRASHED:
            crashes.inc()

    def observe_queue(self, depth: int) -> None:
        """Records the number of apps that wait for a pass."""
        self._queue.set(depth)

    def observe_unused_rules(self, count: int) -> None:
        """Records the number of ignore rules that have matched nothing in any app."""
        self._unused_rules.set(count)

    def observe_reload(self, *, ok: bool) -> None:
        """Records a reload of the configuration; with `ok` false it was refused and the old one stays."""
        self._reloads.labels(_result(ok)).inc()
        self._config_refused.set(not ok)

    def retain(self, *, apps: Mapping[str, str], sources: Iterable[str], channels: Iterable[str]) -> None:
        """Removes the series of all other apps (name to cluster), sources and channels."""
        kept_sources, kept_channels = frozenset(sources), frozenset(channels)
        per_app_and_cluster: tuple[MetricWrapperBase, ...] = (
            self._in_sync, self._unknown, self._held, self._app_pending, self._leader, self._objects, self._last_pass,
        )  # fmt: skip
        for metric in per_app_and_cluster:
            _remove_series(metric, lambda labels: apps.get(labels["app"]) != labels["cluster"], "app", "cluster")
        per_app: tuple[MetricWrapperBase, ...] = (self._passes, self._pass_seconds, self._actions, self._reverted)
        for metric in per_app:
            _remove_series(metric, lambda labels: labels["app"] not in apps, "app")
        per_source: tuple[MetricWrapperBase, ...] = (self._fetches, self._fetch_seconds, self._fetched)
        for metric in per_source:
            _remove_series(metric, lambda labels: labels["source"] not in kept_sources, "source")
        _remove_series(self._notifications, lambda labels: labels["channel"] not in kept_channels, "channel")

    def forget_report(self, app: str) -> None:
        """Removes what the last report of an app says: it is out of date where another process makes the passes."""
        for metric in (self._in_sync, self._unknown, self._held, self._app_pending, self._objects, self._last_pass):
            _remove_series(metric, lambda labels: labels["app"] == app, "app", "cluster")

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the text format of an `Accept` header (Prometheus' or OpenMetrics), and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _result(ok: bool) -> str:
    return "success" if ok else "failure"


def _remove_series(metric: MetricWrapperBase, is_gone: Callable[[Mapping[str, str]], bool], *names: str) -> None:
    """Removes the series whose labels (those of `names`) satisfy `is_gone`."""
    series = {tuple(sample.labels[name] for name in names) for family in metric.collect() for sample in family.samples}
    for values in series:
        labels = dict(zip(names, values, strict=True))
        if is_gone(labels):
            metric.remove_by_labels(labels)
