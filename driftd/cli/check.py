"""`driftd check`: one look, with or without a configuration file."""

from __future__ import annotations

import asyncio
import gc
import posixpath
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from driftd.cli.output import Format, load, write_reports
from driftd.cli.output.progress import Progress, progress
from driftd.config.folders import cache_folder
from driftd.daemon.assembly import app_of, cluster_access, comparison, git_source
from driftd.desired.provider import DesiredStateProvider, InProcessProvider
from driftd.diff.compare import Comparison
from driftd.git.source import GitSource, Ref, RefKind
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.app import App, RenderOptions
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError, GitError
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.revision import Revision
from driftd.process.gc_paused import gc_paused
from driftd.process.lazy_ca import lazy_ca

if TYPE_CHECKING:
    from driftd.config.settings import Config
    from driftd.daemon.clusters import Clusters
    from driftd.diff.explain import Explanation
    from driftd.live.api_reader import ApiReader
    from driftd.live.cluster import ClusterView


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What the command line asks for: either a repository, or a configuration and some of its apps."""

    names: tuple[str, ...]
    repo: str | None
    revision: str | None
    path: str
    namespace: str | None
    kubeconfig: Path | None
    context: str | None
    engine: Engine | None
    config: Path | None
    explain: str | None = None


@dataclass(frozen=True, slots=True)
class _CheckedApp:
    """One app to look at."""

    app: App
    source: GitSource
    access: ClusterAccess


async def run_check(
    request: CheckRequest, output: Format, *, show_all: bool, provider: DesiredStateProvider | None = None
) -> int:
    """Checks and prints. Returns the exit code: 0 in sync, 1 drift, 2 could not tell (which wins over drift).

    `beside` does what there is to do with Git; without it, that is done here.
    Raises: DriftdError: nothing could be checked at all.
    """
    config = _configuration(request.config) if request.config is not None else None
    how = comparison(config, secrets.token_bytes(32))
    subjects = _subjects(request, config)
    git = provider or InProcessProvider(cache_folder() / "check")
    with gc_paused(), progress() as shown:  # one look and out: what a collection would find goes with the process
        if request.explain is not None:
            return await _explain(request.explain, subjects, how, output, shown, git)
        reports = await _check(subjects, how, output, shown, git)
        gc.freeze()  # else the collector walks all of it once more as it is let go
    write_reports(reports, output, show_all=show_all)
    if not request.names and not any(report.undecided for report in reports):
        for rule in how.ignored.unused():
            print(f"this ignore rule has matched nothing: {rule}", file=sys.stderr)
    if any(report.undecided for report in reports):
        return 2
    return 0 if all(report.in_sync for report in reports) else 1


def _configuration(file: Path) -> Config:
    from driftd.config.loading import load  # noqa: PLC0415  # a quarter of a second that only some checks need

    return load(file)


def _subjects(request: CheckRequest, config: Config | None) -> list[_CheckedApp]:
    if request.repo is not None:
        if request.config is not None or request.names:
            raise DriftdError("--repo checks a repository, --config the apps of a configuration: give one of the two")
        return [_of_repository(request, request.repo)]
    if config is None:
        raise DriftdError("say what to check: --repo PATH_OR_URL, or --config FILE")
    known = [app.name for app in config.apps]
    for name in request.names:
        if name not in known:
            raise DriftdError(f"there is no app {name!r} in {request.config} (there are: {', '.join(known) or 'none'})")
    return [_of_config(name, config, request) for name in request.names or known]


def _of_repository(request: CheckRequest, repo: str) -> _CheckedApp:
    ref = Ref(RefKind.ANY, request.revision) if request.revision else Ref()
    source = GitSource(name="repository", url=_local(repo), ref=ref, allow_file=True, borrow=True)
    path = posixpath.normpath(request.path.strip("/"))
    path = "" if path == "." else path
    name = path.rpartition("/")[2] or Path(repo.rstrip("/")).name.removesuffix(".git") or "app"
    app = App(
        name=name,
        source=source.name,
        cluster=request.context or "default",
        path=path,
        namespace=request.namespace,
        engine=request.engine or Engine.CLIENT,
        rendering=RenderOptions(release=name, namespace=request.namespace or "default"),
    )
    return _CheckedApp(app, source, ClusterAccess(app.cluster, request.kubeconfig, request.context))


def _of_config(name: str, config: Config, request: CheckRequest) -> _CheckedApp:
    found = config.app(name)
    assert found is not None  # noqa: S101  # the caller has looked
    app = app_of(found, config)
    source = replace(git_source(config.source_of(found)), borrow=True)
    if request.revision:
        source = replace(source, ref=Ref(RefKind.ANY, request.revision))
    if request.engine is not None:
        app = replace(app, engine=request.engine)
    return _CheckedApp(app, source, cluster_access(config.cluster_of(found)))


def _local(repo: str) -> str:
    """A path as an absolute one; an address as it is."""
    path = Path(repo).expanduser()
    return str(path.resolve()) if path.exists() else repo


async def _check(
    subjects: list[_CheckedApp], how: Comparison, output: Format, shown: Progress, git: DesiredStateProvider
) -> list[Report]:
    revisions: dict[GitSource, Revision] = {}
    reports = []
    async with _LazyClusters(output) as live:
        for subject in subjects:
            revision = None
            connecting = asyncio.create_task(live.connect(subject.access))  # while Git is at work
            connecting.add_done_callback(lambda _: git.steal_work())
            try:
                if subject.source not in revisions:
                    shown.step(f"fetching {subject.source.address}")
                    revisions[subject.source] = await git.fetch(subject.source)
                revision = revisions[subject.source]
                shown.step(f"comparing {subject.app.name}")
                reports.append(await _report(subject, revision, connecting, how, git))
            except DriftdError as error:
                if len(subjects) == 1:
                    raise
                reports.append(_unjudged(subject.app, revision, error))  # the others are judged all the same
            finally:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
    return reports


def _unjudged(app: App, revision: Revision | None, error: DriftdError) -> Report:
    return Report(app.name, app.cluster, revision, (), datetime.now(UTC), error=str(error))


async def _report(
    subject: _CheckedApp,
    revision: Revision,
    connecting: asyncio.Task[ClusterView],
    how: Comparison,
    git: DesiredStateProvider,
) -> Report:
    async with _Prefetch(subject.app, connecting) as start:
        try:
            desired = await git.desired(subject.source, subject.app, revision, start.on_first_batch)
        except GitError as error:
            return _unjudged(subject.app, revision, error)
        reader = await start.reader()
        view = await connecting
        from driftd.daemon.clusters import scan  # noqa: PLC0415  # it is loaded by now

        return await scan(subject.app, view, git.mirror(subject.source), desired, how, reader)


class _Prefetch:
    """Begins to read what is live as soon as the first manifests tell what there is to read."""

    def __init__(self, app: App, connecting: asyncio.Task[ClusterView]) -> None:
        self._app = app
        self._connecting = connecting
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[Sequence[Manifest]] = self._loop.create_future()
        self._reader: ApiReader | None = None
        self._beginning = asyncio.create_task(self._begin())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beginning.cancel()
        await asyncio.gather(self._beginning, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()

    def on_first_batch(self, some: Sequence[Manifest]) -> None:
        """Takes some of an app's manifests, from any thread. The first ones count."""
        self._loop.call_soon_threadsafe(self._tell, some)

    async def reader(self) -> ApiReader:
        """A reader for all of them. Raises: DriftdError: there is no connection."""
        self._tell(())
        return await self._beginning

    def _tell(self, some: Sequence[Manifest]) -> None:
        if not self._first.done():
            self._first.set_result(some)

    async def _begin(self) -> ApiReader:
        some = await self._first
        view = await asyncio.shield(self._connecting)
        from driftd.daemon.clusters import prefetch  # noqa: PLC0415  # it is loaded by now
        from driftd.live.api_reader import ApiReader  # noqa: PLC0415  # as above

        self._reader = ApiReader(view.cluster)
        await prefetch(self._reader, self._app, view, some)
        return self._reader


async def _explain(
    wanted: str,
    subjects: list[_CheckedApp],
    how: Comparison,
    output: Format,
    shown: Progress,
    git: DesiredStateProvider,
) -> int:
    """Shows every field of one object. Raises: DriftdError: Git declares none of that name, or it cannot be read."""
    if output not in (Format.TABLE, Format.JSON):
        raise DriftdError("--explain prints a table or json")
    async with _LazyClusters(output) as live:
        for subject in subjects:
            shown.step(f"fetching {subject.source.address}")
            desired = await git.desired(subject.source, subject.app, await git.fetch(subject.source))
            view = await live.connect(subject.access)
            from driftd.daemon.clusters import explain  # noqa: PLC0415  # it is loaded by now

            if (found := await explain(wanted, subject.app, view, desired, how)) is not None:
                return _show(*found, output)
    raise DriftdError(
        f"Git declares no {wanted}: give KIND/NAME or KIND/NAMESPACE/NAME, as `driftd check --all` shows it"
    )


def _show(ref: ResourceRef, fields: list[Explanation], output: Format) -> int:
    from driftd.cli.output.explain import explanation_json, print_explanation  # noqa: PLC0415  # few checks explain

    if output is Format.JSON:
        print(explanation_json(ref, fields), end="")
    else:
        from rich.console import Console  # noqa: PLC0415  # only a table needs it

        print_explanation(Console(highlight=False), ref, fields)
    return 0 if all(field.verdict in ("in_sync", "undeclared", "ignored") for field in fields) else 1


class _LazyClusters:
    """The clusters, once what is needed for them, and to print, is imported: in a thread, while Git is at work."""

    def __init__(self, output: Format) -> None:
        self._output = output
        self._clusters: Clusters | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clusters is not None:
            await self._clusters.close()

    async def connect(self, access: ClusterAccess) -> ClusterView:
        if self._clusters is None:
            self._clusters = await asyncio.to_thread(_clusters, self._output)
        return await self._clusters.connect_and_discover(access)


def _clusters(output: Format) -> Clusters:
    with lazy_ca():
        from driftd.daemon.clusters import Clusters  # noqa: PLC0415  # see there

    load(output)
    return Clusters()
