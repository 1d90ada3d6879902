"""`driftd check`: one comparison, with or without a configuration file."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog

from driftd.cli.check_explain import explain_object
from driftd.cli.checked_apps import CheckedApp, CheckRequest, checked_apps
from driftd.cli.deployed_commit import Fetched, next_deployment
from driftd.cli.discovered_apps import DiscoveredApps, discovered_apps
from driftd.cli.holds import at_their_holds
from driftd.cli.live_side import LazyClusters, Prefetch
from driftd.cli.merge_base import checkouts
from driftd.cli.output import Format, write_reports
from driftd.cli.output.progress import Progress, progress
from driftd.cli.pattern_apps import with_pattern_apps
from driftd.cli.preview_base import preview_base
from driftd.config.folders import cache_folder
from driftd.daemon.assembly import comparison_of
from driftd.desired.provider import DesiredStateProvider, InProcessProvider
from driftd.diff.compare import Comparison
from driftd.git.worktree import uncommitted_files
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.app import App, Capabilities
from driftd.model.errors import DriftdError, GitError, describe_defect
from driftd.model.report import Report
from driftd.model.revision import Revision
from driftd.model.text import plural
from driftd.process.garbage_collector import exclude_from_gc, gc_paused

if TYPE_CHECKING:
    from driftd.config.settings import Config
    from driftd.discovery.helm import InstalledRelease
    from driftd.live.cluster import ClusterView

log = structlog.get_logger(__name__)


async def run_check(
    request: CheckRequest, output: Format, *, show_all: bool, provider: DesiredStateProvider | None = None
) -> int:
    """Checks and prints. Returns the exit code: 0 in sync, 1 drift, 2 could not tell (which wins over drift).

    Without a `provider`, Git and rendering run in this process.
    Raises: DriftdError: nothing could be checked at all.
    """
    if request.repo is None and request.config is None and not request.discover:
        request = replace(request, config=_default_configuration())
    config = _configuration(request.config) if request.config is not None else None
    comparison = comparison_of(config, secrets.token_bytes(32))
    access = ClusterAccess(None, request.kubeconfig, request.context)
    provider = provider or InProcessProvider(cache_folder() / "check")
    fetched = Fetched(provider)
    discovers = _discovers(request, config)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="driftd-checkout-")))
        if discovers:
            found = await discovered_apps(request, access, output, folder)
        else:
            found = await _configured(request, config, folder, fetched)
        apps = found.apps
        uncommitted = asyncio.create_task(asyncio.to_thread(_uncommitted, apps, request))
        stack.enter_context(gc_paused())  # the process ends soon: what a collection would free goes with it
        shown = stack.enter_context(progress())
        if request.explain is not None:
            releases = [(release, access) for release in found.releases]
            return await explain_object(request.explain, [*apps, *releases], comparison, output, shown, provider)
        alone = len(apps) == 1 and not discovers and not found.not_judged
        reports = await _check(apps, comparison, output, shown, fetched, alone=alone)
        reports += await _check_releases(found.releases, access, comparison, output, shown)
        reports += found.not_judged
        exclude_from_gc()  # otherwise the end of `gc_paused` would traverse all of it
    write_reports(reports, output, show_all=show_all)
    for note in [*await uncommitted, *found.notes]:
        print(note, file=sys.stderr)
    if not request.names and not any(report.undecided for report in reports):
        for rule in comparison.ignore_rules.unused():
            print(f"this ignore rule has matched nothing: {rule}", file=sys.stderr)
    return _exit_code(reports)


async def _configured(request: CheckRequest, config: Config | None, folder: Path, fetched: Fetched) -> DiscoveredApps:
    """The apps of a repository or a configuration. Raises: DriftdError."""
    not_judged: Sequence[Report] = ()
    if config is not None:
        config, not_judged = await with_pattern_apps(request, config, fetched)
    apps = checked_apps(request, config, [report.app for report in not_judged])
    if config is not None and request.revision is None:
        apps = await at_their_holds(apps, config)
    apps, notes = await asyncio.to_thread(checkouts, apps, request, folder)
    return DiscoveredApps(
        apps, not_judged=not_judged, notes=[*notes, *_undiscovered(request, config, alone=not apps and not not_judged)]
    )


def _undiscovered(request: CheckRequest, config: Config | None, *, alone: bool) -> list[str]:
    """What is said of the apps that the daemon of a configuration finds, and a check of the configuration does not.

    Raises: DriftdError: they are all that there is.
    """
    if config is None or not config.discover or request.names:
        return []
    how = f"driftd check --discover {','.join(config.discover)} checks what is found in the cluster"
    if alone:
        raise DriftdError(f"{request.config} has no apps of its own: {how}")
    return [f"not checked: apps that `discover` finds; {how}"]


def _discovers(request: CheckRequest, config: Config | None) -> bool:
    """Whether the apps are those that are found in the cluster. Raises: DriftdError: the request contradicts itself."""
    discovers = bool(request.discover) or (request.repo is None and config is None)
    if request.deployer_credentials and not discovers:
        raise DriftdError("--use-deployer-credentials goes with --discover: a repository has its own")
    return discovers


def _uncommitted(apps: Sequence[CheckedApp], request: CheckRequest) -> list[str]:
    """What is said of changes that a check of the last commit does not see."""
    if request.worktree or request.revision:
        return []
    notes = []
    for local in [checked.local for checked in apps if checked.local is not None]:
        try:
            count = uncommitted_files(local.root, local.path)
        except GitError as error:
            log.debug("uncommitted changes not looked for", folder=str(local.root), error=str(error))
            continue
        if count:
            files = f"{plural(count, 'file')} in {local.root / local.path}"
            notes.append(f"not checked: uncommitted changes of {files}; --worktree checks them, too")
    return notes


def _exit_code(reports: Sequence[Report]) -> int:
    if any(report.undecided for report in reports):
        return 2
    return 0 if all(report.in_sync for report in reports) else 1


def _default_configuration() -> Path | None:
    """The configuration that the other commands would use, if it is there."""
    named = os.environ.get("DRIFTD_CONFIG")
    file = Path(named or "driftd.yaml")
    return file if named or file.exists() else None


def _configuration(file: Path) -> Config:
    from driftd.config.loading import load  # noqa: PLC0415  # a quarter of a second that only some checks need

    return load(file)


async def _check(
    apps: Sequence[CheckedApp],
    comparison: Comparison,
    output: Format,
    shown: Progress,
    fetched: Fetched,
    *,
    alone: bool,
) -> list[Report]:
    """The reports on apps. If one is `alone`, why it cannot be checked is raised, and else reported."""
    reports = []
    async with LazyClusters(output) as clusters:
        for checked in apps:
            revision = None
            connecting = asyncio.create_task(clusters.connect(checked.access))  # while Git is at work
            connecting.add_done_callback(lambda _: fetched.provider.steal_work())
            try:
                shown.step(f"fetching {checked.source.address}")
                at_commit, revision = await fetched.at_its_commit(checked)
                shown.step(f"comparing {checked.app.name}")
                comparing = comparison.with_ignored(checked.ignore)
                reports.append(await _report(at_commit, revision, connecting, comparing, fetched))
            except DriftdError as error:
                if alone:
                    raise
                reports.append(_failed_report(checked.app, revision, error))  # the other apps are checked all the same
            except Exception as error:
                if alone:
                    raise
                log.debug("app not checked", app=checked.app.name, exc_info=True)
                reports.append(_failed_report(checked.app, revision, DriftdError(describe_defect(error))))
            finally:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
    return reports


async def _check_releases(
    releases: Sequence[InstalledRelease],
    access: ClusterAccess,
    comparison: Comparison,
    output: Format,
    shown: Progress,
) -> list[Report]:
    reports = []
    async with LazyClusters(output) as clusters:
        for release in releases:
            shown.step(f"comparing {release.app.name}")
            view = await clusters.connect(access)
            from driftd.daemon.clusters import scan_release  # noqa: PLC0415  # imported by `connect` already

            comparing = comparison.with_ignored(release.ignore)
            try:
                reports.append(await scan_release(release.app, view, release.desired, comparing))
            except DriftdError as error:
                reports.append(_failed_report(release.app, release.desired.revision, error))
            except Exception as error:
                log.debug("app not checked", app=release.app.name, exc_info=True)
                reports.append(_failed_report(release.app, None, DriftdError(describe_defect(error))))
    return reports


async def _report(
    checked: CheckedApp,
    revision: Revision,
    connecting: asyncio.Task[ClusterView],
    comparison: Comparison,
    fetched: Fetched,
) -> Report:
    provider = fetched.provider

    async def capabilities() -> Capabilities:
        return await (await asyncio.shield(connecting)).capabilities()

    async with Prefetch(checked.app, connecting) as prefetch:
        try:
            desired = await provider.desired(
                checked.source, checked.app, revision, capabilities, prefetch.on_first_batch
            )
        except GitError as error:
            return _failed_report(checked.app, revision, error)
        pending, next_desired = await next_deployment(checked, revision, provider, capabilities)
        base = await preview_base(checked, revision, fetched, capabilities, comparison)
        reader = await prefetch.reader()
        view = await connecting
        from driftd.daemon.clusters import scan  # noqa: PLC0415  # imported by `connect` already

        mirror = provider.mirror(checked.source)
        report = await scan(checked.app, view, mirror, desired, comparison, reader, next_desired, base)
        return replace(report, pending=pending)


def _failed_report(app: App, revision: Revision | None, error: DriftdError) -> Report:
    return Report(app.name, app.cluster, revision, (), datetime.now(UTC), error=str(error))
